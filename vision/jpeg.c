/* JPEG through TurboJPEG, for the live picture. The chroma is kept at full resolution from quality
 * 80 on: halved, small coloured text on a screen becomes unreadable. */
#include "vision/jpeg.h"
#include "base/mem.h"

#include <errno.h>
#include <turbojpeg.h>

#define MAX_SIDE 16384
#define MAX_BYTES ((size_t)512 << 20)

static void handle_done(tjhandle *h)
{
    if (*h)
        tjDestroy(*h);
}

int jpeg_write_mem(const struct frame *f, int quality, uint8_t **ret_data, size_t *ret_n,
                   struct err *err)
{
    if (!f->rgb || f->w < 1 || f->h < 1)
        return err_set(err, -EINVAL, "cannot write an empty picture (%d x %d pixels) as JPEG", f->w,
                       f->h);
    if (quality < 1 || quality > 100)
        return err_set(err, -EINVAL, "JPEG quality %d is not between 1 and 100", quality);

    AUTO(handle_done) tjhandle h = tjInitCompress();
    if (!h)
        return err_set(err, -ENOMEM, "TurboJPEG cannot start: %s", tjGetErrorStr2(NULL));
    int chroma = quality >= 80 ? TJSAMP_444 : TJSAMP_420;
    unsigned long n = tjBufSize(f->w, f->h, chroma);
    if (n == (unsigned long)-1)
        return err_set(err, -EINVAL, "a picture of %d x %d pixels is too large for JPEG", f->w,
                       f->h);
    unsigned char *data = mem_alloc(n);
    if (tjCompress2(h, f->rgb, f->w, 0, f->h, TJPF_RGB, &data, &n, chroma, quality,
                    TJFLAG_NOREALLOC) < 0) {
        free(data);
        return err_set(err, -EIO, "writing a JPEG of %d x %d pixels failed: %s", f->w, f->h,
                       tjGetErrorStr2(h));
    }
    *ret_data = mem_realloc(data, n);
    *ret_n = n;
    return 0;
}

int jpeg_read_mem(const uint8_t *data, size_t n, struct frame *ret, struct err *err)
{
    AUTO(handle_done) tjhandle h = tjInitDecompress();
    AUTO(frame_done) struct frame f = {0};
    int width, height, chroma, space;

    if (!h)
        return err_set(err, -ENOMEM, "TurboJPEG cannot start: %s", tjGetErrorStr2(NULL));
    if (n < 2 || data[0] != 0xff || data[1] != 0xd8)
        return err_set(err, -EINVAL, "this is not a JPEG picture (%zu bytes, no JPEG signature)",
                       n);
    if (tjDecompressHeader3(h, data, n, &width, &height, &chroma, &space) < 0)
        return err_set(err, -EINVAL, "the JPEG picture of %zu bytes cannot be read: %s", n,
                       tjGetErrorStr2(h));
    if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE ||
        (size_t)width * (size_t)height * 3 > MAX_BYTES)
        return err_set(err, -EINVAL,
                       "the JPEG picture says %d x %d pixels, at most %d x %d and 512 MiB are read",
                       width, height, MAX_SIDE, MAX_SIDE);
    CHECK(frame_alloc(&f, width, height) == 0);
    if (tjDecompress2(h, data, n, f.rgb, width, 0, height, TJPF_RGB, TJFLAG_STOPONWARNING) < 0)
        return err_set(err, -EINVAL, "the JPEG picture of %zu bytes cannot be read: %s", n,
                       tjGetErrorStr2(h));
    *ret = f;
    f = (struct frame){0};
    return 0;
}
