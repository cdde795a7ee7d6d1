/* PNG through libpng. libpng reports a broken file by longjmp; all state lives in a struct that
 * the function with setjmp gets from its caller, so that nothing is lost in a register and every
 * buffer is freed in one place whichever way it ends.
 *
 * Writing is for screenshots on the way to a disk and a browser while a step waits, so speed comes
 * before the smallest file. Windows and text are runs and repeats of bytes: no filter and level 1
 * of zlib. A photograph has neither, and looking for repeats in it is lost time: its differences to
 * the left pixel are stored with Huffman codes and runs alone. */
#include "vision/png.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MAX_SIDE 16384
#define MAX_BYTES ((size_t)512 << 20)    /* of the picture in memory */
#define MAX_FILE ((size_t)256 << 20)     /* of the compressed file */
#define MAX_CHUNK ((png_alloc_size_t)8 << 20) /* of one text, profile ... chunk */

/* The sentence of libpng, kept until we are back from the jump. */
static void on_error(png_structp png, png_const_charp text)
{
    snprintf(png_get_error_ptr(png), 128, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
}

/* writing */

struct writer {
    png_structp png;
    png_infop info;
    uint8_t *data;
    size_t n, cap;
    char error[128];
};

static void writer_done(struct writer *w)
{
    if (w->png)
        png_destroy_write_struct(&w->png, &w->info);
    free(w->data);
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct writer *w = png_get_io_ptr(png);
    if (n > w->cap - w->n) {
        w->cap = w->cap * 2 + n;
        w->data = mem_realloc(w->data, w->cap);
    }
    memcpy(w->data + w->n, data, n);
    w->n += n;
}

static void on_flush(png_structp png)
{
}

/* Is it more photograph than windows? Looks at every 16th row for pixels unlike their left one. */
static bool is_busy(const struct frame *f)
{
    uint64_t n = 0, n_new = 0;
    for (int y = 0; y < f->h; y += 16) {
        const uint8_t *p = f->rgb + (size_t)y * (size_t)f->w * 3;
        for (int x = 1; x < f->w; x++, p += 3)
            n_new += p[0] != p[3] || p[1] != p[4] || p[2] != p[5];
        n += (uint64_t)f->w;
    }
    return n_new > n / 2;
}

static bool write_all(struct writer *w, const struct frame *f)
{
    if (setjmp(png_jmpbuf(w->png)))
        return false;
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_user_limits(w->png, 32767, 32767);
    png_set_compression_level(w->png, 1);
    bool busy = is_busy(f);
    png_set_compression_strategy(w->png, busy ? Z_RLE : Z_DEFAULT_STRATEGY);
    png_set_compression_buffer_size(w->png, 1 << 16);
    png_set_filter(w->png, PNG_FILTER_TYPE_BASE, busy ? PNG_FILTER_SUB : PNG_FILTER_NONE);
    png_set_IHDR(w->png, w->info, (png_uint_32)f->w, (png_uint_32)f->h, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (int y = 0; y < f->h; y++)
        png_write_row(w->png, f->rgb + (size_t)y * (size_t)f->w * 3);
    png_write_end(w->png, NULL);
    return true;
}

int png_write_mem(const struct frame *f, uint8_t **ret_data, size_t *ret_n, struct err *err)
{
    AUTO(writer_done) struct writer w = {0};

    if (!f->rgb || f->w < 1 || f->h < 1)
        return err_set(err, -EINVAL, "cannot write an empty picture (%d x %d pixels) as PNG", f->w,
                       f->h);
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w.error, on_error, on_warning);
    w.info = w.png ? png_create_info_struct(w.png) : NULL;
    if (!w.info)
        return err_set(err, -ENOMEM, "libpng has no memory to write a picture");
    if (!write_all(&w, f))
        return err_set(err, -EIO, "writing a PNG of %d x %d pixels failed: %s", f->w, f->h,
                       w.error);
    *ret_data = w.data;
    *ret_n = w.n;
    w.data = NULL;
    return 0;
}

int png_write_file(const struct frame *f, const char *path, struct err *err)
{
    AUTO_FREE uint8_t *data = NULL;
    size_t n;
    int rc = png_write_mem(f, &data, &n, err);
    return rc < 0 ? rc : file_write(path, data, n, 0600, err);
}

/* reading */

struct reader {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t n, at;
    struct frame frame;
    uint8_t *rgba;   /* one row, or all of an interlaced picture */
    char error[128];
};

static void reader_done(struct reader *r)
{
    if (r->png)
        png_destroy_read_struct(&r->png, &r->info, NULL);
    frame_done(&r->frame);
    free(r->rgba);
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    struct reader *r = png_get_io_ptr(png);
    if (n > r->n - r->at)
        png_error(png, "the data ends in the middle");
    memcpy(out, r->data + r->at, n);
    r->at += n;
}

/* Lays RGBA on white. */
static void flatten(const uint8_t *restrict rgba, int w, uint8_t *restrict rgb)
{
    for (int x = 0; x < w; x++, rgba += 4, rgb += 3) {
        unsigned a = rgba[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * a + 255 * (255 - a) + 127) / 255);
    }
}

/* Asks libpng to turn whatever the file holds into 8-bit RGB or RGBA. */
static void ask_for_rgb(struct reader *r)
{
    png_byte type = png_get_color_type(r->png, r->info);

    if (png_get_bit_depth(r->png, r->info) == 16)
        png_set_scale_16(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (!(type & PNG_COLOR_MASK_COLOR))
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (png_get_valid(r->png, r->info, PNG_INFO_tRNS))
        png_set_tRNS_to_alpha(r->png);
    if (!(type & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(r->png);
}

static bool read_all(struct reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return false;
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_malloc_max(r->png, MAX_CHUNK);
    png_set_chunk_cache_max(r->png, 64);
    png_read_info(r->png, r->info);

    int w = (int)png_get_image_width(r->png, r->info);
    int h = (int)png_get_image_height(r->png, r->info);
    if ((size_t)w * (size_t)h * 3 > MAX_BYTES)
        png_error(r->png, "the picture needs more than 512 MiB");
    ask_for_rgb(r);
    int n_passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    int n_channels = png_get_channels(r->png, r->info);
    size_t stride = png_get_rowbytes(r->png, r->info), out_stride = (size_t)w * 3;
    if (png_get_bit_depth(r->png, r->info) != 8 || (n_channels != 3 && n_channels != 4) ||
        stride != (size_t)w * (size_t)n_channels)
        png_error(r->png, "the colour type is not one of PNG");
    if (frame_alloc(&r->frame, w, h) < 0)
        png_error(r->png, "the picture is empty");

    if (n_channels == 3) {
        for (int pass = 0; pass < n_passes; pass++)
            for (int y = 0; y < h; y++)
                png_read_row(r->png, r->frame.rgb + (size_t)y * out_stride, NULL);
    } else {
        bool whole = n_passes > 1;
        if (whole && stride * (size_t)h > MAX_BYTES)
            png_error(r->png, "the interlaced picture needs more than 512 MiB");
        r->rgba = mem_zalloc(stride * (whole ? (size_t)h : 1));
        for (int pass = 0; pass < n_passes; pass++)
            for (int y = 0; y < h; y++) {
                uint8_t *row = r->rgba + (whole ? (size_t)y * stride : 0);
                png_read_row(r->png, row, NULL);
                if (pass == n_passes - 1)
                    flatten(row, w, r->frame.rgb + (size_t)y * out_stride);
            }
    }
    png_read_end(r->png, NULL);
    return true;
}

int png_read_mem(const uint8_t *data, size_t n, struct frame *ret, struct err *err)
{
    AUTO(reader_done) struct reader r = {.data = data, .n = n};

    if (n < 8 || png_sig_cmp(data, 0, 8))
        return err_set(err, -EINVAL, "this is not a PNG picture (%zu bytes, no PNG signature)", n);
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r.error, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info)
        return err_set(err, -ENOMEM, "libpng has no memory to read a picture");
    if (!read_all(&r))
        return err_set(err, -EINVAL, "the PNG picture of %zu bytes cannot be read: %s", n, r.error);
    *ret = r.frame;
    r.frame = (struct frame){0};
    return 0;
}

int png_read_file(const char *path, struct frame *ret, struct err *err)
{
    AUTO_FREE char *data = NULL;
    size_t n;
    int rc = file_read(path, MAX_FILE, &data, &n, err);
    if (rc < 0)
        return rc;
    rc = png_read_mem((const uint8_t *)data, n, ret, err);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}
