/* The dashboard's files, compiled in by embed.c. */
#ifndef DESKHAND_SERVE_ASSETS_H
#define DESKHAND_SERVE_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* "/index.html" */
    const char *type;
    const unsigned char *data;
    size_t n;
};
extern const struct asset assets[];
extern const size_t n_assets;

#endif
