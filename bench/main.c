/* deskhand-bench [OPTION]... MODEL [WIDTH HEIGHT]: see usage(). */
#include "bench/bench.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr,
            "usage: deskhand-bench [OPTION]... MODEL [WIDTH HEIGHT]\n\n"
            "Times a step of the agent on a drawn screen, or with --prompt a text alone.\n\n"
            "  --threads N      default all cores\n"
            "  --backend NAME   generic, avx2, avx512, avx512bf16\n"
            "  --precision P    f32 or bf16\n"
            "  --weights W      int8 or int4, default as they are in the file\n"
            "  --prompt N       a text of N tokens instead of a screen\n"
            "  --reply N        tokens to write, default 64\n"
            "  --runs N         medians are of these, default 5\n"
            "  --json           one object instead of a table\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"threads", 1, NULL, 't'}, {"backend", 1, NULL, 'b'}, {"precision", 1, NULL, 'p'},
        {"weights", 1, NULL, 'w'}, {"prompt", 1, NULL, 'n'},  {"reply", 1, NULL, 'r'},
        {"runs", 1, NULL, 'u'},    {"json", 0, NULL, 'j'},    {0}};
    struct bench_options o = {0};
    struct err err = {0};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 't':
            o.n_threads = atoi(optarg);
            break;
        case 'b':
            o.backend = optarg;
            break;
        case 'p':
            o.precision = optarg;
            break;
        case 'w':
            o.weights = optarg;
            break;
        case 'n':
            o.n_prompt = atoi(optarg);
            break;
        case 'r':
            o.max_tokens = atoi(optarg);
            break;
        case 'u':
            o.n_runs = atoi(optarg);
            break;
        case 'j':
            o.json = true;
            break;
        default:
            return usage();
        }
    }
    if (argc - optind != 1 && argc - optind != 3)
        return usage();
    if (argc - optind == 3) {
        o.w = atoi(argv[optind + 1]);
        o.h = atoi(argv[optind + 2]);
    }
    if (bench_run(argv[optind], &o, stdout, &err) < 0) {
        fprintf(stderr, "deskhand-bench: %s\n", err.text);
        return 1;
    }
    return 0;
}
