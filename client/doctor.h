/* The rows of `deskhand doctor`, apart from where they come from. */
#ifndef DESKHAND_CLIENT_DOCTOR_H
#define DESKHAND_CLIENT_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

#define DOCTOR_MAX 32
struct doctor {
    int n;
    struct doctor_row {
        enum doctor_level level;
        const char *what; /* static, ASCII */
        char text[640];
    } rows[DOCTOR_MAX];
};
void doctor_add(struct doctor *d, enum doctor_level level, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Prints all rows; 1 when one is FAIL, else 0. */
int doctor_print(const struct doctor *d, FILE *out, bool json);
/* Are the files of a checkpoint there and readable? Adds one row. */
void doctor_model(struct doctor *d, const char *path);

#endif
