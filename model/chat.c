/* MiMo's chat template: messages to token ids. Control tokens go in by id, texts as plain text, so
 * nothing a user or a screen says can close a turn or open another. */
#include "model/chat.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/think.h"

#include <errno.h>
#include <string.h>

#define SYSTEM_TEXT "You are MiMo, an AI assistant developed by Xiaomi."

struct builder {
    const struct bpe *bpe;
    int32_t *ids;
    int n, cap, n_ctx;
    struct chat_image *images;
    int n_images;
    int32_t im_start, im_end, vision_start, vision_end, image_pad, video_pad;
    struct err *err;
    int rc;
    struct str text; /* plain text not yet encoded: pieces are merged over part borders */
};

static void put(struct builder *b, int32_t id)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 256;
        b->ids = mem_realloc(b->ids, (size_t)b->cap * sizeof *b->ids);
    }
    b->ids[b->n++] = id;
}

static void flush(struct builder *b)
{
    int32_t *ids;
    int n;
    if (b->rc < 0 || !b->text.n)
        return;
    if (b->text.overflow)
        b->rc = err_set(b->err, -EFBIG, "the conversation's text is longer than 64 MiB");
    else
        b->rc = bpe_encode(b->bpe, b->text.s, b->text.n, false, &ids, &n, b->err);
    str_reset(&b->text);
    if (b->rc < 0)
        return;
    for (int i = 0; i < n; i++)
        put(b, ids[i]);
    free(ids);
}

static void control(struct builder *b, int32_t id)
{
    flush(b);
    put(b, id);
}

static void image(struct builder *b, const struct patches *p, bool is_video)
{
    size_t n = 0;
    if (!p || p->merge_size < 1 || p->grid_t < 1 || p->grid_h < p->merge_size ||
        p->grid_w < p->merge_size ||
        mem_mul(&n, (size_t)p->grid_t, (size_t)(p->grid_h / p->merge_size)) ||
        mem_mul(&n, n, (size_t)(p->grid_w / p->merge_size))) {
        b->rc = err_set(b->err, -EINVAL, "a picture of a message is empty");
        return;
    }
    control(b, b->vision_start);
    if (b->rc == 0 && n > (size_t)MAX(b->n_ctx - b->n, 0))
        b->rc = err_set(b->err, -E2BIG,
                        "%d tokens of prompt and a picture of %zu; the model's context is %d", b->n,
                        n, b->n_ctx);
    if (b->rc < 0)
        return;
    b->images = mem_realloc(b->images, (size_t)(b->n_images + 1) * sizeof *b->images);
    b->images[b->n_images++] = (struct chat_image){b->n, is_video, p};
    for (size_t i = 0; i < n; i++)
        put(b, is_video ? b->video_pad : b->image_pad);
    control(b, b->vision_end);
}

static int need(struct builder *b, const char *name)
{
    int32_t id = bpe_find_special(b->bpe, name);
    if (id < 0 && b->rc == 0)
        b->rc = err_set(b->err, -EINVAL, "the tokenizer has no token %s", name);
    return id;
}

/* " /no_think" must be the very last characters of the turn, behind pictures and text. */
static void no_think(struct builder *b, const struct vlm_message *m)
{
    const struct vlm_part *last = m->n_parts ? &m->parts[m->n_parts - 1] : NULL;
    const char *text = last && last->kind == VLM_TEXT && last->text ? last->text : "";
    size_t n = strlen(text), k = strlen(THINK_OFF_WORD);

    if (n < k || strcmp(text + n - k, THINK_OFF_WORD) != 0)
        str_puts(&b->text, " " THINK_OFF_WORD);
}

static int last_user(const struct vlm_request *r)
{
    int i = r->n_messages - 1;

    while (i >= 0 && !str_eq(r->messages[i].role, "user"))
        i--;
    return i;
}

static bool is_role(const char *role)
{
    return str_eq(role, "system") || str_eq(role, "user") || str_eq(role, "assistant");
}

int chat_build(const struct bpe *bpe, const struct vlm_config *c, const struct vlm_request *r,
               int32_t **ret_ids, int *ret_n, struct chat_image **ret_images, int *ret_n_images,
               struct err *err)
{
    struct builder b = {.bpe = bpe, .err = err, .n_ctx = c->n_ctx, .video_pad = -1};
    b.im_start = need(&b, "<|im_start|>");
    b.im_end = need(&b, "<|im_end|>");
    if (c->vit.depth) {
        b.vision_start = need(&b, "<|vision_start|>");
        b.vision_end = need(&b, "<|vision_end|>");
        b.image_pad = need(&b, "<|image_pad|>");
    }
    if (b.rc == 0 && (r->n_messages < 1 || !str_eq(r->messages[0].role, "system"))) {
        control(&b, b.im_start);
        str_puts(&b.text, "system\n" SYSTEM_TEXT);
        control(&b, b.im_end);
        str_puts(&b.text, "\n");
    }
    int off = r->think == VLM_THINK_OFF ? c->no_think : VLM_NO_THINK_NONE;
    int off_at = off == VLM_NO_THINK_SUFFIX ? last_user(r) : -1;
    for (int i = 0; i < r->n_messages && b.rc == 0; i++) {
        const struct vlm_message *m = &r->messages[i];
        if (!is_role(m->role)) {
            b.rc = err_set(err, -EINVAL,
                           "message %d has the role \"%.40s\"; expected system, user or assistant",
                           i, m->role ? m->role : "");
            break;
        }
        control(&b, b.im_start);
        str_puts(&b.text, m->role);
        str_puts(&b.text, "\n");
        for (int k = 0; k < m->n_parts && b.rc == 0; k++) {
            bool is_video = m->parts[k].kind == VLM_VIDEO;
            if (is_video && b.video_pad < 0)
                b.video_pad = need(&b, "<|video_pad|>");
            if (m->parts[k].kind != VLM_TEXT && b.rc == 0)
                image(&b, m->parts[k].image, is_video);
            else if (m->parts[k].kind == VLM_TEXT && m->parts[k].text)
                str_puts(&b.text, m->parts[k].text);
        }
        if (i == off_at)
            no_think(&b, m);
        control(&b, b.im_end);
        str_puts(&b.text, "\n");
    }
    if (b.rc == 0) {
        control(&b, b.im_start);
        str_puts(&b.text, "assistant\n");
        if (off == VLM_NO_THINK_PREFILL)
            str_puts(&b.text, THINK_EMPTY);
        if (r->prefill)
            str_puts(&b.text, r->prefill);
        flush(&b);
    }
    str_done(&b.text);
    if (b.rc == 0 && b.n > c->n_ctx)
        b.rc = err_set(err, -E2BIG, "the prompt has %d tokens; the model's context is %d", b.n,
                       c->n_ctx);
    if (b.rc < 0) {
        free(b.ids);
        free(b.images);
        return b.rc;
    }
    *ret_ids = b.ids;
    *ret_n = b.n;
    *ret_images = b.images;
    *ret_n_images = b.n_images;
    return 0;
}
