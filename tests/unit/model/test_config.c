/* model/config.c: both forms of config.json, the defaults, and one sentence for each number that
 * does not fit. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/config.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* MiMo-VL-7B's numbers. */
static const char text_part[] =
    "\"hidden_size\":4096,\"intermediate_size\":11008,\"num_hidden_layers\":36,"
    "\"num_attention_heads\":32,\"num_key_value_heads\":8,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":128000,\"rms_norm_eps\":1e-5,\"rope_theta\":640000,"
    "\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[16,24,24]},\"vocab_size\":151680,"
    "\"tie_word_embeddings\":false,\"use_sliding_window\":false";
static const char vision_part[] =
    "\"vision_config\":{\"depth\":32,\"hidden_size\":1280,\"intermediate_size\":3456,"
    "\"num_heads\":16,\"out_hidden_size\":4096,\"patch_size\":14,\"spatial_merge_size\":2,"
    "\"temporal_patch_size\":2,\"window_size\":112,\"fullatt_block_indexes\":[7,15,23,31],"
    "\"hidden_act\":\"silu\",\"in_channels\":3}";
static const char pre[] =
    "{\"min_pixels\":3136,\"max_pixels\":12845056,\"patch_size\":14,\"temporal_patch_size\":2,"
    "\"merge_size\":2,\"image_mean\":[0.48145466,0.4578275,0.40821073],"
    "\"image_std\":[0.26862954,0.26130258,0.27577711]}";
static const char gen[] = "{\"eos_token_id\":[151645,151643]}";

static char dir[64];

static void put(const char *name, const char *text)
{
    AUTO_FREE char *path = file_join(dir, name);
    struct err e = {0};
    if (!text)
        unlink(path);
    else if (file_write(path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", e.text);
}

static void put_flat(void)
{
    AUTO(str_done) struct str s = {0};
    str_printf(&s, "{\"model_type\":\"qwen2_5_vl\",%s,%s}", text_part, vision_part);
    put("config.json", str_cstr(&s));
    put("preprocessor_config.json", pre);
    put("generation_config.json", gen);
}

/* The good file with `from` (found in exactly this spelling) replaced by `to`. */
static void put_changed(const char *name, const char *from, const char *to)
{
    AUTO_FREE char *path = file_join(dir, name);
    AUTO_FREE char *text = NULL;
    AUTO(str_done) struct str s = {0};
    size_t n;
    put_flat();
    assert_int_equal(file_read(path, 1 << 20, &text, &n, NULL), 0);
    char *at = strstr(text, from);
    if (!at)
        fail_msg("%s is not in %s", from, name);
    str_add(&s, text, (size_t)(at - text));
    str_puts(&s, to);
    str_puts(&s, at + strlen(from));
    put(name, str_cstr(&s));
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/deskhand-cfg-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    put("config.json", NULL);
    put("preprocessor_config.json", NULL);
    put("generation_config.json", NULL);
    return rmdir(dir);
}

static struct vlm_config good(void)
{
    struct vlm_config c;
    struct err e = {0};
    if (config_read(dir, &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void is_mimo(const struct vlm_config *c)
{
    assert_int_equal(c->d_model, 4096);
    assert_int_equal(c->d_ff, 11008);
    assert_int_equal(c->n_layers, 36);
    assert_int_equal(c->n_heads, 32);
    assert_int_equal(c->n_kv_heads, 8);
    assert_int_equal(c->d_head, 128); /* hidden_size over heads */
    assert_int_equal(c->n_vocab, 151680);
    assert_true(c->rms_eps == 1e-5f);
    assert_true(c->rope_theta == 640000);
    assert_int_equal(c->mrope_section[0], 16);
    assert_int_equal(c->mrope_section[1], 24);
    assert_int_equal(c->mrope_section[2], 24);
    assert_false(c->tie_embeddings);
    assert_int_equal(c->vit.depth, 32);
    assert_int_equal(c->vit.d_model, 1280);
    assert_int_equal(c->vit.d_ff, 3456);
    assert_int_equal(c->vit.n_full, 4);
    assert_int_equal(c->vit.full[3], 31);
    assert_int_equal(c->vit.tokens_per_second, 4); /* the class's default */
    assert_int_equal(c->image.min_pixels, 3136);
    assert_int_equal(c->image.max_pixels, 12845056);
    assert_true(c->image.rescale == (float)(1.0 / 255));
    assert_true(c->image.std[1] == 0.26130258f);
    assert_int_equal(c->n_eos, 2);
    assert_true(config_is_eos(c, 151645));
    assert_true(config_is_eos(c, 151643));
    assert_false(config_is_eos(c, 0));
}

static void flat_and_nested_files_say_the_same(void **state)
{
    put_flat();
    struct vlm_config c = good();
    is_mimo(&c);
    AUTO(str_done) struct str s = {0};
    str_printf(&s, "{\"model_type\":\"qwen2_5_vl\",\"text_config\":{%s},%s}", text_part,
               vision_part);
    put("config.json", str_cstr(&s));
    c = good();
    is_mimo(&c);
}

static void other_forms_are_understood(void **state)
{
    put_changed("preprocessor_config.json", "\"min_pixels\":3136,\"max_pixels\":12845056",
                "\"size\":{\"shortest_edge\":784,\"longest_edge\":1000000}");
    struct vlm_config c = good();
    assert_int_equal(c.image.min_pixels, 784);
    assert_int_equal(c.image.max_pixels, 1000000);

    put_changed("generation_config.json", "[151645,151643]", "151645");
    c = good();
    assert_int_equal(c.n_eos, 1);

    put_changed("config.json", "\"num_attention_heads\":32",
                "\"num_attention_heads\":16,\"head_dim\":128");
    c = good();
    assert_int_equal(c.n_heads * c.d_head, 2048);

    put_changed("config.json", "\"type\":\"mrope\"",
                "\"rope_type\":\"default\",\"type\":\"default\"");
    good();

    put_changed("config.json", "\"in_channels\":3", "\"in_chans\":3,\"tokens_per_second\":2");
    c = good();
    assert_int_equal(c.vit.tokens_per_second, 2);
    assert_int_equal(c.view_w, 0); /* says nothing of screens */

    put_changed("preprocessor_config.json", "\"patch_size\":14",
                "\"patch_size\":14,\"trained_screen_width\":448,\"trained_screen_height\":336,"
                "\"looks\":5");
    c = good();
    assert_int_equal(c.view_w, 448);
    assert_int_equal(c.view_h, 336);
    assert_int_equal(c.looks, 5);

    put_flat();
    put("generation_config.json", NULL);
    put_changed("config.json", "\"vocab_size\"", "\"eos_token_id\":7,\"vocab_size\"");
    put("generation_config.json", NULL);
    c = good();
    assert_int_equal(c.eos[0], 7);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    static const char config[] = "config.json", prep[] = "preprocessor_config.json";
    static const struct {
        const char *file, *from, *to, *says;
    } rows[] = {
        {config, "\"qwen2_5_vl\"", "\"llava\"", "llava"},
        {config, "\"hidden_size\":4096", "\"hidden_size\":0", "hidden_size"},
        {config, "\"hidden_size\":4096", "\"hidden_size\":1e9", "hidden_size"},
        {config, "\"hidden_size\":4096", "\"hidden_size\":4100", "4100"},
        {config, "\"num_hidden_layers\":36", "\"num_hidden_layers\":-1", "num_hidden_layers"},
        {config, "\"num_hidden_layers\":36,", "", "num_hidden_layers"},
        {config, "\"num_key_value_heads\":8", "\"num_key_value_heads\":5", "num_key_value_heads"},
        {config, "\"num_attention_heads\":32", "\"num_attention_heads\":\"32\"",
         "num_attention_heads"},
        {config, "[16,24,24]", "[16,24,25]", "mrope_section"},
        {config, "[16,24,24]", "[16,24]", "mrope_section"},
        {config, "[16,24,24]", "[-16,56,24]", "mrope_section"},
        {config, "\"type\":\"mrope\"", "\"type\":\"yarn\"", "yarn"},
        {config, "\"hidden_act\":\"silu\"", "\"hidden_act\":\"gelu\"", "gelu"},
        {config, "\"use_sliding_window\":false", "\"use_sliding_window\":true",
         "use_sliding_window"},
        {config, "\"rms_norm_eps\":1e-5", "\"rms_norm_eps\":1", "rms_norm_eps"},
        {config, "\"rope_theta\":640000", "\"rope_theta\":\"x\"", "rope_theta"},
        {config, "\"vision_config\"", "\"vision\"", "vision_config"},
        {config, "\"num_heads\":16", "\"num_heads\":15", "num_heads"},
        {config, "\"out_hidden_size\":4096", "\"out_hidden_size\":2048", "out_hidden_size"},
        {config, "\"window_size\":112", "\"window_size\":100", "window_size"},
        {config, "[7,15,23,31]", "[7,15,23,32]", "fullatt_block_indexes"},
        {config, "[7,15,23,31]", "7", "fullatt_block_indexes"},
        {config, "\"in_channels\":3", "\"in_channels\":1", "in_channels"},
        {config, "\"depth\":32", "\"depth\":100000", "depth"},
        {prep, "\"patch_size\":14", "\"patch_size\":16", "patch 16"},
        {prep, "\"merge_size\":2", "\"merge_size\":4", "merge 4"},
        {prep, "\"max_pixels\":12845056", "\"max_pixels\":100", "max_pixels"},
        {prep, "\"patch_size\":14", "\"patch_size\":14,\"trained_screen_width\":-1",
         "trained_screen_width"},
        {prep, "\"patch_size\":14", "\"patch_size\":14,\"looks\":8", "looks"},
        {prep, "\"max_pixels\":12845056", "\"max_pixels\":\"many\"", "max_pixels"},
        {prep, "0.26862954", "0", "image_std"},
        {prep, "0.48145466,", "", "image_mean"},
        {prep, "{", "[", "JSON"},
        {"generation_config.json", "[151645,151643]", "[151680]", "eos_token_id"},
        {"generation_config.json", "[", "{", "JSON"},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct vlm_config c;
        struct err e = {0};
        put_changed(rows[i].file, rows[i].from, rows[i].to);
        if (config_read(dir, &c, &e) == 0)
            fail_msg("took %s", rows[i].to);
        if (!strstr(e.text, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.text, rows[i].says);
    }
    put_flat();
    put("preprocessor_config.json", NULL);
    struct vlm_config c;
    struct err e = {0};
    assert_true(config_read(dir, &c, &e) < 0);
    assert_non_null(strstr(e.text, "preprocessor_config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flat_and_nested_files_say_the_same, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(other_forms_are_understood, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused_by_name, make_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
