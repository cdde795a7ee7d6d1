/* Build tool: embed DIR OUT.c DEPFILE writes every file of DIR as a C table (serve/assets.h), so
 * that deskhandd serves its dashboard from one binary and no request names a path on disk. The
 * depfile names the files and the folder, so a new file rebuilds too. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 256

static char *paths[FILES_MAX];
static int n_paths;

static const char *type_of(const char *name)
{
    static const struct {
        const char *end, *type;
    } rows[] = {
        {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},   {".svg", "image/svg+xml"},
        {".png", "image/png"},                 {".json", "application/json"},
        {".ico", "image/x-icon"},              {".woff2", "font/woff2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(name), k = strlen(rows[i].end);
        if (n > k && strcmp(name + n - k, rows[i].end) == 0)
            return rows[i].type;
    }
    return NULL;
}

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "embed: %s: %s\n", path, what);
    exit(1);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files with a type we serve, two folders deep at most. */
static void walk(const char *root, const char *below, int depth, FILE *deps)
{
    char dir[2048];
    snprintf(dir, sizeof dir, "%s%s", root, below);
    DIR *d = opendir(dir);
    if (!d && depth == 0)
        return; /* no dashboard in this tree */
    if (!d)
        fail("cannot be listed", dir);
    fprintf(deps, " %s", dir);
    struct dirent *e;
    while ((e = readdir(d))) {
        char path[1024], full[4096];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", below, e->d_name);
        snprintf(full, sizeof full, "%s%s", root, path);
        if (stat(full, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 2)
            walk(root, path, depth + 1, deps);
        if (!S_ISREG(st.st_mode) || !type_of(path))
            continue;
        if (n_paths == FILES_MAX)
            fail("more files than the table holds", root);
        paths[n_paths] = strdup(path);
        if (!paths[n_paths++])
            fail("out of memory", path);
        fprintf(deps, " %s", full);
    }
    closedir(d);
}

static void write_bytes(FILE *out, const char *root, int i)
{
    char full[4096];
    int c, n = 0;
    snprintf(full, sizeof full, "%s%s", root, paths[i]);
    FILE *in = fopen(full, "rb");
    if (!in)
        fail("cannot be read", full);
    fprintf(out, "static const unsigned char data%d[] = {", i);
    for (; (c = getc(in)) != EOF; n++)
        fprintf(out, "%s%d,", n % 24 ? "" : "\n    ", c);
    fprintf(out, "%s};\n#define SIZE%d %d\n", n ? "\n" : "0", i, n);
    fclose(in);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage: embed DIR OUT.c DEPFILE", "arguments");
    FILE *out = fopen(argv[2], "w"), *deps = fopen(argv[3], "w");
    if (!out || !deps)
        fail("cannot be written", argv[2]);
    fprintf(deps, "%s:", argv[2]);
    walk(argv[1], "", 0, deps);
    fprintf(deps, "\n");
    qsort(paths, (size_t)n_paths, sizeof paths[0], by_name);

    fprintf(out, "/* Made by serve/embed.c; do not edit. */\n#include \"serve/assets.h\"\n\n");
    for (int i = 0; i < n_paths; i++)
        write_bytes(out, argv[1], i);
    fprintf(out, "const struct asset assets[] = {\n");
    for (int i = 0; i < n_paths; i++)
        fprintf(out, "    {\"%s\", \"%s\", data%d, SIZE%d},\n", paths[i], type_of(paths[i]), i, i);
    fprintf(out, "    {0},\n};\nconst size_t n_assets = %d;\n", n_paths);
    for (int i = 0; i < n_paths; i++)
        free(paths[i]);
    return fclose(out) || fclose(deps);
}
