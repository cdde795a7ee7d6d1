/* What only the CUDA backend has: a GPU that runs out of memory is a sentence, not a crash,
 * wherever it happens. */
#include "base/mem.h"
#include "model/cuda/cuda.h"
#include "model/vlm.h"

#include <cuda_runtime_api.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;

static void a_failure_is_kept(void **state)
{
    struct backend *b;
    struct err err = {0};
    float x[2] = {1, 2}, out[2] = {7, 7};
    static const float w[4] = {1, 0, 0, 1};
    struct weight_part part = {w, TENSOR_F32, 2};
    struct weight packed;

    assert_int_equal(backend_cuda_open("f32", &b, &err), 0);
    b->weight_pack(b, &part, 1, 2, NULL, &packed);
    b->linear(b, &packed, x, 2, 1, out, 2, false);
    assert_int_equal(b->sync(b, &err), 0);
    assert_true(out[0] == 1 && out[1] == 2);
    b->weight_done(b, &packed);

    shim_fail_alloc(1);
    b->weight_pack(b, &part, 1, 2, NULL, &packed);
    shim_fail_alloc(0);
    out[0] = 7;
    b->linear(b, &packed, x, 2, 1, out, 2, false);
    assert_true(out[0] == 7);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(b->sync(b, &err), -EIO);
        assert_non_null(strstr(err.text, "out of memory"));
    }
    float *buffer = b->buffer(b, 64, false);
    buffer[0] = 1; /* still memory */
    b->buffer_done(b, buffer);
    b->weight_done(b, &packed);
    b->close(b);
}

static void what_it_does_not_know_is_refused(void **state)
{
    struct backend *b;
    struct err err = {0};

    assert_int_equal(backend_cuda_open("f16", &b, &err), -EINVAL);
    assert_non_null(strstr(err.text, "f16"));
}

static void a_model_without_room_does_not_open(void **state)
{
    static const int after[] = {1, 2, 5, 20, 60};
    struct vlm *m;

    for (size_t i = 0; i < N_ELEMENTS(after); i++) {
        struct err err = {0};
        shim_fail_alloc(after[i]);
        int r = vlm_open(folder, &(struct vlm_options){.backend = "cuda"}, &m, &err);
        shim_fail_alloc(0);
        assert_int_equal(r, -EIO);
        assert_non_null(strstr(err.text, "out of memory"));
    }
    struct err err = {0};
    struct vlm_info info;
    assert_int_equal(vlm_open(folder, &(struct vlm_options){.backend = "cuda"}, &m, &err), 0);
    vlm_info(m, &info);
    assert_string_equal(info.backend, "cuda");
    vlm_close(m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_kept),
        cmocka_unit_test(what_it_does_not_know_is_refused),
        cmocka_unit_test(a_model_without_room_does_not_open),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: test_cuda FOLDER\n");
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests_name("cuda", tests, NULL, NULL);
}
