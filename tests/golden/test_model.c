/* The whole way from pixels to words against transformers, on the checkpoint of the goldens:
 * resized bytes and patches to the last bit, features and logits within a tolerance, token ids,
 * M-RoPE indices and greedy text exactly.
 *
 *   test_model FOLDER model.json exact|auto|int8_keys|cuda
 *
 * exact: the best backend that computes in float32 as the reference did, from the same bf16
 * weights; what differs is the order of sums. auto: the backend that the program would choose,
 * which may round to bf16 on the way, with a tolerance for that; words may then differ. int8_keys:
 * the same with keys and values in int8, also beside those in bf16. */
#include "base/mem.h"
#include "base/str.h"
#include "model/vlm.h"
#include "tests/golden/screen.h"
#include "vision/patch.h"
#include "vision/resize.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Largest difference allowed, as a share of the largest value. */
#define CLOSE_EXACT 3e-5
#define CLOSE_AUTO 3e-2
#define CLOSE_INT8_KEYS 8e-2      /* to the golden ones, and to those in bf16 */
#define CLOSE_INT8_KEYS_MEAN 1e-2 /* the same, the mean of all cases */
#define MAX_PICTURES 16
#define MAX_MESSAGES 8
#define MAX_PARTS 4

static const char *folder, *golden_path;
static bool is_exact, int8_keys, is_cuda;
static double close_enough;
static json_t *golden;
static struct vlm *m;
static struct patches pictures[MAX_PICTURES];
static int n_pictures;

static int64_t integer(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!json_is_integer(v))
        fail_msg("the golden lacks the number %s", key);
    return json_integer_value(v);
}

static const char *string(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void same_weights(void)
{
    char path[4096];
    json_t *w = json_object_get(golden, "weights");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read", path);
    size_t n = (size_t)integer(w, "bytes");
    AUTO_FREE uint8_t *data = mem_alloc(n + 1);
    size_t got = fread(data, 1, n + 1, f);
    fclose(f);
    if (got != n || golden_crc(data, n) != (uint32_t)integer(w, "crc32"))
        fail_msg("the goldens are for other weights (sha256 %s); run tools/goldens/make.sh",
                 string(w, "sha256"));
}

static int setup(void **state)
{
    json_error_t e;
    struct err err = {0};
    golden = json_load_file(golden_path, 0, &e);
    if (!golden)
        fail_msg("%s: %s", golden_path, e.text);
    same_weights();
    static const char *const exact[] = {"avx512", "avx2", "generic"};
    for (size_t i = 0; is_exact && !is_cuda && !m && i < N_ELEMENTS(exact); i++)
        vlm_open(folder, &(struct vlm_options){.backend = exact[i]}, &m, &err);
    if (is_cuda)
        vlm_open(folder, &(struct vlm_options){.backend = "cuda", .precision = "f32"}, &m, &err);
    else if (!is_exact)
        vlm_open(folder, &(struct vlm_options){.kv = int8_keys ? "int8" : NULL}, &m, &err);
    if (!m)
        fail_msg("%s", err.text);
    struct vlm_info info;
    vlm_info(m, &info);
    print_message("backend %s\n", info.backend);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "pictures"), i, row)
    {
        assert_true(i < MAX_PICTURES);
        struct frame f = golden_screen((int)integer(row, "w"), (int)integer(row, "h"),
                                       (uint32_t)i + 1);
        if (patch_from_frame(&f, vlm_image_spec(m), &pictures[i], NULL, NULL, &err) < 0)
            fail_msg("picture %zu: %s", i, err.text);
        frame_done(&f);
        n_pictures++;
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < n_pictures; i++)
        patches_done(&pictures[i]);
    vlm_close(m);
    json_decref(golden);
    return 0;
}

static int d_model(void)
{
    struct vlm_info i;
    vlm_info(m, &i);
    return i.d_model;
}

/* Share of the largest value by which got[i * stride] is away from list[i], at most. */
static double distance(json_t *list, const float *got, int stride, double largest)
{
    size_t i;
    json_t *v;
    double worst = 0;
    json_array_foreach(list, i, v)
    {
        double d = fabs(json_number_value(v) - (double)got[i * (size_t)stride]);
        if (!(d <= worst))
            worst = d; /* a NaN too */
    }
    return worst / largest;
}

static void pictures_are_resized_and_cut_to_the_last_bit(void **state)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "pictures"), i, row)
    {
        struct frame f = golden_screen((int)integer(row, "w"), (int)integer(row, "h"),
                                       (uint32_t)i + 1);
        struct frame r;
        const struct patches *p = &pictures[i];
        json_t *grid = json_object_get(row, "grid");
        struct err err = {0};
        if (golden_crc(f.rgb, (size_t)(f.w * f.h * 3)) != (uint32_t)integer(row, "crc"))
            fail_msg("picture %zu is drawn otherwise than in the goldens", i);
        assert_int_equal(p->grid_h, json_integer_value(json_array_get(grid, 0)));
        assert_int_equal(p->grid_w, json_integer_value(json_array_get(grid, 1)));
        if (resize_bicubic(&f, p->grid_w * p->patch_size, p->grid_h * p->patch_size, &r, &err) < 0)
            fail_msg("%s", err.text);
        if (golden_crc(r.rgb, (size_t)(r.w * r.h * 3)) != (uint32_t)integer(row, "resized"))
            fail_msg("picture %zu, %dx%d to %dx%d: Pillow gives other bytes", i, f.w, f.h, r.w,
                     r.h);
        size_t n = (size_t)(p->grid_h * p->grid_w * patches_n_cols(p)) * sizeof(float);
        if (golden_crc(p->rows, n) != (uint32_t)integer(row, "patches"))
            fail_msg("picture %zu: transformers cuts other patches", i);
        frame_done(&f);
        frame_done(&r);
    }
    assert_true(i >= 10);
}

/* The CPU that plays a GPU takes minutes for large pictures. */
static bool is_too_large(const struct patches *p)
{
    return is_cuda && p->grid_h * p->grid_w > 800;
}

static void features_agree(void **state)
{
    size_t i, k;
    json_t *row, *one;
    double worst = 0;
    json_array_foreach(json_object_get(golden, "pictures"), i, row)
    {
        AUTO_FREE float *f = NULL;
        struct err err = {0};
        if (is_too_large(&pictures[i]))
            continue;
        if (vlm_encode_image(m, &pictures[i], &f, &err) < 0)
            fail_msg("%s", err.text);
        json_array_foreach(json_object_get(row, "features"), k, one)
        {
            int64_t at = integer(one, "row");
            json_t *values = json_object_get(one, "values");
            assert_true(at >= 0 && at < patches_n_tokens(&pictures[i]));
            assert_int_equal(json_array_size(values), d_model());
            double d = distance(values, f + at * d_model(), 1,
                                json_number_value(json_object_get(row, "largest")));
            if (!(d <= close_enough))
                fail_msg("picture %zu, visual token %lld: off by %g of the largest feature", i,
                         (long long)at, d);
            worst = fmax(worst, d);
        }
    }
    print_message("features: off by at most %.2g of the largest\n", worst);
}

/* A request as the golden writes it; texts stay the JSON's. */
struct turn {
    struct vlm_part parts[MAX_MESSAGES][MAX_PARTS];
    struct vlm_message messages[MAX_MESSAGES];
    struct vlm_request r;
    bool skip; /* has a picture that is too large */
};

static void turn_of(json_t *row, struct turn *t)
{
    json_t *list = json_object_get(row, "messages"), *message, *part;
    size_t i, k;
    memset(t, 0, sizeof *t);
    json_array_foreach(list, i, message)
    {
        json_t *content = json_object_get(message, "content");
        assert_true(i < MAX_MESSAGES && json_array_size(content) <= MAX_PARTS);
        json_array_foreach(content, k, part)
        {
            const char *text = string(part, "text");
            if (text) {
                t->parts[i][k] = (struct vlm_part){VLM_TEXT, text, NULL};
            } else {
                int64_t p = integer(part, "picture");
                assert_true(p >= 0 && p < n_pictures);
                t->parts[i][k] = (struct vlm_part){VLM_IMAGE, NULL, &pictures[p]};
                t->skip |= is_too_large(&pictures[p]);
            }
        }
        t->messages[i] = (struct vlm_message){string(message, "role"), t->parts[i],
                                              (int)json_array_size(content)};
    }
    t->r = (struct vlm_request){.messages = t->messages, .n_messages = (int)json_array_size(list),
                                .prefill = string(row, "prefill"), .max_tokens = 24};
}

static void prompts_and_positions_are_equal(void **state)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "cases"), i, row)
    {
        struct turn t;
        AUTO_FREE int32_t *ids = NULL, *pos = NULL;
        int n;
        struct err err = {0};
        turn_of(row, &t);
        if (vlm_prompt(m, &t.r, &ids, &pos, &n, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        if (n != integer(row, "n"))
            fail_msg("case %zu has %d tokens, expected %lld", i, n, (long long)integer(row, "n"));
        if (golden_crc(ids, (size_t)n * 4) != (uint32_t)integer(row, "ids"))
            fail_msg("case %zu has other token ids", i);
        for (int a = 0; a < 3; a++)
            assert_int_equal(pos[a * n + n - 1], json_integer_value(json_array_get(
                                                     json_object_get(row, "last_pos"), (size_t)a)));
        if (golden_crc(pos, (size_t)n * 12) != (uint32_t)integer(row, "pos"))
            fail_msg("case %zu has other M-RoPE indices", i);
    }
    assert_true(i >= 50);
}

static void logits_agree(void **state)
{
    size_t i;
    json_t *row;
    double worst = 0, sum = 0;
    int n_judged = 0;
    struct vlm_info info;
    int stride = (int)integer(golden, "stride");
    vlm_info(m, &info);
    json_array_foreach(json_object_get(golden, "cases"), i, row)
    {
        struct turn t;
        AUTO_FREE float *l = NULL;
        struct err err = {0};
        json_t *want = json_object_get(row, "logits");
        turn_of(row, &t);
        if (t.skip)
            continue;
        if (vlm_logits(m, &t.r, &l, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal((int)json_array_size(want), (info.n_vocab + stride - 1) / stride);
        double d = distance(want, l, stride, json_number_value(json_object_get(row, "largest")));
        if (!(d <= close_enough))
            fail_msg("case %zu: off by %g of the largest logit", i, d);
        worst = fmax(worst, d);
        sum += d;
        n_judged++;
    }
    print_message("logits: off by at most %.2g of the largest, %.2g in the mean\n", worst,
                  sum / n_judged);
    if (int8_keys)
        assert_true(sum / n_judged <= CLOSE_INT8_KEYS_MEAN);
}

static int argmax(const float *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

/* What keys in int8 cost beyond those in bf16. */
static void int8_is_close_to_bf16(void **state)
{
    size_t i;
    json_t *row;
    double worst = 0, sum = 0;
    int n_first = 0;
    struct vlm *plain;
    struct vlm_info info;
    struct err err = {0};
    vlm_info(m, &info);
    if (vlm_open(folder, &(struct vlm_options){0}, &plain, &err) < 0)
        fail_msg("%s", err.text);
    json_array_foreach(json_object_get(golden, "cases"), i, row)
    {
        struct turn t;
        AUTO_FREE float *got = NULL, *want = NULL;
        double most = 0, off = 0;
        turn_of(row, &t);
        if (vlm_logits(m, &t.r, &got, &err) < 0 || vlm_logits(plain, &t.r, &want, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        for (int k = 0; k < info.n_vocab; k++) {
            most = fmax(most, fabs((double)want[k]));
            off = fmax(off, fabs((double)got[k] - (double)want[k]));
        }
        sum += off / most;
        worst = fmax(worst, off / most);
        n_first += argmax(got, info.n_vocab) == argmax(want, info.n_vocab);
    }
    vlm_close(plain);
    print_message("int8 keys: off by %.2g of the largest logit, at most %.2g; %d of %zu first "
                  "tokens\n",
                  sum / (double)i, worst, n_first, i);
    assert_true(worst > 0 && worst <= CLOSE_INT8_KEYS && sum / (double)i <= CLOSE_INT8_KEYS_MEAN);
    assert_true(n_first * 20 >= (int)i * 19);
}

/* Until the first step where the two best logits are too close to call. */
static void greedy_text_is_equal(void **state)
{
    size_t i;
    json_t *row;
    int whole = 0, bytes = 0;
    json_array_foreach(json_object_get(golden, "cases"), i, row)
    {
        struct turn t;
        struct vlm_reply reply;
        struct err err = {0};
        const char *want = string(row, "text");
        size_t n = strlen(want);
        turn_of(row, &t);
        if (t.skip)
            continue;
        if (vlm_generate(m, &t.r, &reply, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        bool is_whole = json_is_true(json_object_get(row, "whole"));
        /* a cut between the bytes of one letter shows as U+FFFD at the end of the golden */
        while (!is_whole && n >= 3 && memcmp(want + n - 3, "\xef\xbf\xbd", 3) == 0)
            n -= 3;
        if (reply.n_text < n || memcmp(reply.text, want, n) != 0 || (is_whole && reply.n_text != n))
            fail_msg("case %zu says \"%s\", expected \"%s\"%s", i, reply.text, want,
                     is_whole ? "" : "...");
        if (is_whole)
            assert_int_equal(reply.stop, json_is_true(json_object_get(row, "ended"))
                                             ? VLM_STOP_EOS
                                             : VLM_STOP_LENGTH);
        whole += is_whole;
        bytes += (int)n;
        vlm_reply_done(&reply);
    }
    print_message("greedy: %d of %zu replies to the end, %d bytes compared\n", whole, i, bytes);
    assert_true(bytes > 500);
}

static bool has_bf16(void)
{
    struct vlm *v = NULL;
    bool has = vlm_open(folder, &(struct vlm_options){.precision = "bf16"}, &v, NULL) == 0;
    vlm_close(v);
    return has;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest exact[] = {
        cmocka_unit_test(pictures_are_resized_and_cut_to_the_last_bit),
        cmocka_unit_test(features_agree),
        cmocka_unit_test(prompts_and_positions_are_equal),
        cmocka_unit_test(logits_agree),
        cmocka_unit_test(greedy_text_is_equal),
    };
    const struct CMUnitTest automatic[] = {
        cmocka_unit_test(features_agree),
        cmocka_unit_test(logits_agree),
    };
    const struct CMUnitTest keys[] = {
        cmocka_unit_test(logits_agree),
        cmocka_unit_test(int8_is_close_to_bf16),
    };
    static const char *const hows[] = {"exact", "auto", "int8_keys", "cuda"};
    const int n_hows = N_ELEMENTS(hows);
    int how = 0;
    while (argc == 4 && how < n_hows && !str_eq(argv[3], hows[how]))
        how++;
    if (argc != 4 || how == n_hows) {
        fprintf(stderr, "usage: test_model FOLDER model.json exact|auto|int8_keys|cuda\n");
        return 2;
    }
    folder = argv[1];
    golden_path = argv[2];
    is_cuda = how == 3;
    is_exact = how == 0 || is_cuda;
    int8_keys = how == 2;
    close_enough = is_exact ? CLOSE_EXACT : int8_keys ? CLOSE_INT8_KEYS : CLOSE_AUTO;
    if (int8_keys && !has_bf16())
        return 77;
    return is_exact    ? cmocka_run_group_tests(exact, setup, teardown)
           : int8_keys ? cmocka_run_group_tests(keys, setup, teardown)
                       : cmocka_run_group_tests(automatic, setup, teardown);
}
