/* deskhand-bench MODEL [WIDTH HEIGHT [THREADS [BACKEND [WEIGHTS]]]] [--json] */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct bench_options o = {0};
    struct err err = {0};

    if (argc > 1 && strcmp(argv[argc - 1], "--json") == 0) {
        o.json = true;
        argc--;
    }
    if (argc < 2 || argc > 7 || argv[1][0] == '-') {
        fprintf(stderr, "usage: deskhand-bench MODEL [WIDTH HEIGHT [THREADS [BACKEND [WEIGHTS]]]] "
                        "[--json]\n");
        return 2;
    }
    if (argc > 3) {
        o.w = atoi(argv[2]);
        o.h = atoi(argv[3]);
    }
    o.n_threads = argc > 4 ? atoi(argv[4]) : 0;
    o.backend = argc > 5 ? argv[5] : NULL;
    o.weights = argc > 6 ? argv[6] : NULL;
    if (bench_run(argv[1], &o, stdout, &err) < 0) {
        fprintf(stderr, "deskhand-bench: %s\n", err.text);
        return 1;
    }
    return 0;
}
