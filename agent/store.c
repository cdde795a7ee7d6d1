/* history.db with two tables and a folder a task for its pictures. See store.h. */
#include "agent/store.h"
#include "agent/text.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "vision/png.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

struct store {
    sqlite3 *db;
    char *dir;
};

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    "CREATE TABLE IF NOT EXISTS task(id INTEGER PRIMARY KEY AUTOINCREMENT, goal TEXT NOT NULL,"
    " model TEXT, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',"
    " started_us INTEGER NOT NULL, ended_us INTEGER, steps INTEGER NOT NULL DEFAULT 0,"
    " code TEXT NOT NULL DEFAULT '');"
    "CREATE TABLE IF NOT EXISTS step(task INTEGER NOT NULL REFERENCES task(id), n INTEGER NOT NULL,"
    " data TEXT NOT NULL, answer TEXT, at_us INTEGER NOT NULL, PRIMARY KEY(task, n));";

/* A history of before the column was. */
static const char add_code[] = "ALTER TABLE task ADD COLUMN code TEXT NOT NULL DEFAULT ''";

static const char close_open_tasks[] =
    "UPDATE task SET state='failed', code='daemon', reason='the daemon ended while the task ran'"
    " WHERE state IN ('running','paused','approval');";

static int fail(struct store *s, struct err *err)
{
    return err_set(err, -EIO, "cannot write the history in %s: %s", s->dir,
                   sqlite3_errmsg(s->db));
}

static bool has_code(sqlite3 *db)
{
    sqlite3_stmt *q = NULL;
    bool has = false;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM pragma_table_info('task') WHERE name='code'", -1, &q,
                           NULL) == SQLITE_OK)
        has = sqlite3_step(q) == SQLITE_ROW;
    sqlite3_finalize(q);
    return has;
}

int store_open(const char *state_dir, struct store **ret, struct err *err)
{
    int rc = file_mkdirs(state_dir, 0700, err);
    if (rc < 0)
        return rc;
    struct store *s = mem_zalloc(sizeof *s);
    s->dir = mem_strdup(state_dir);
    AUTO_FREE char *path = file_join(state_dir, "history.db");
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) ||
        sqlite3_busy_timeout(s->db, 500) || sqlite3_exec(s->db, schema, NULL, NULL, NULL) ||
        (!has_code(s->db) && sqlite3_exec(s->db, add_code, NULL, NULL, NULL)) ||
        sqlite3_exec(s->db, close_open_tasks, NULL, NULL, NULL)) {
        rc = err_set(err, -EIO, "cannot open the history %s: %s", path, sqlite3_errmsg(s->db));
        store_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    free(s->dir);
    free(s);
}

int64_t store_task_add(struct store *s, const char *goal, const char *model, struct err *err)
{
    sqlite3_stmt *q = NULL;
    int64_t id = -1;
    if (sqlite3_prepare_v2(
            s->db, "INSERT INTO task(goal,model,state,started_us) VALUES(?,?,'running',?)", -1, &q,
            NULL) == SQLITE_OK) {
        sqlite3_bind_text(q, 1, goal, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, model, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 3, clock_wall_us());
        if (sqlite3_step(q) == SQLITE_DONE)
            id = sqlite3_last_insert_rowid(s->db);
    }
    sqlite3_finalize(q);
    return id >= 0 ? id : fail(s, err);
}

int store_task_set(struct store *s, int64_t task, const char *state, const char *code,
                   const char *reason, int n_steps, struct err *err)
{
    sqlite3_stmt *q = NULL;
    bool ok = false;
    if (sqlite3_prepare_v2(s->db,
                           "UPDATE task SET state=?1, code=?2, reason=?3, steps=?4,"
                           " ended_us=iif(?2='', NULL, ?5) WHERE id=?6", -1, &q,
                           NULL) == SQLITE_OK) {
        sqlite3_bind_text(q, 1, state, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, code, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 3, reason, -1, SQLITE_STATIC);
        sqlite3_bind_int(q, 4, n_steps);
        sqlite3_bind_int64(q, 5, clock_wall_us());
        sqlite3_bind_int64(q, 6, task);
        ok = sqlite3_step(q) == SQLITE_DONE;
    }
    sqlite3_finalize(q);
    return ok ? 0 : fail(s, err);
}

int store_step_add(struct store *s, int64_t task, int n, json_t *step, const char *answer,
                   struct err *err)
{
    AUTO_FREE char *data = json_dumps(step, JSON_COMPACT);
    sqlite3_stmt *q = NULL;
    bool ok = false;
    if (data && sqlite3_prepare_v2(s->db,
                                   "INSERT OR REPLACE INTO step(task,n,data,answer,at_us)"
                                   " VALUES(?,?,?,?,?)",
                                   -1, &q, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(q, 1, task);
        sqlite3_bind_int(q, 2, n);
        sqlite3_bind_text(q, 3, data, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 4, answer, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 5, clock_wall_us());
        ok = sqlite3_step(q) == SQLITE_DONE;
    }
    sqlite3_finalize(q);
    return ok ? 0 : fail(s, err);
}

static char *picture_path(struct store *s, int64_t task, int n, const char *which, bool dir)
{
    struct str p = {0};
    str_printf(&p, "%s/task/%lld", s->dir, (long long)task);
    if (!dir)
        str_printf(&p, "/%d-%s.png", n, which);
    return str_take(&p);
}

int store_picture_add(struct store *s, int64_t task, int n, const char *which,
                      const struct frame *f, struct err *err)
{
    AUTO_FREE char *dir = picture_path(s, task, n, which, true);
    AUTO_FREE char *path = picture_path(s, task, n, which, false);
    int rc = file_mkdirs(dir, 0700, err);
    return rc < 0 ? rc : png_write_file(f, path, err);
}

int store_picture_read(struct store *s, int64_t task, int n, const char *which, uint8_t **ret,
                       size_t *ret_n, struct err *err)
{
    AUTO_FREE char *path = picture_path(s, task, n, which, false);
    char *data;
    int rc = file_read(path, (size_t)64 << 20, &data, ret_n, err);
    if (rc == 0)
        *ret = (uint8_t *)data;
    return rc;
}

static json_t *text_at(sqlite3_stmt *q, int col)
{
    return text_json((const char *)sqlite3_column_text(q, col));
}

static json_t *task_row(sqlite3_stmt *q)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:i, s:o, s:o}", "task",
                     (json_int_t)sqlite3_column_int64(q, 0), "goal", text_at(q, 1), "state",
                     text_at(q, 2), "reason", text_at(q, 3), "started",
                     (json_int_t)sqlite3_column_int64(q, 4), "ended",
                     (json_int_t)sqlite3_column_int64(q, 5), "n_steps", sqlite3_column_int(q, 6),
                     "model", text_at(q, 7), "code", text_at(q, 8));
}

#define TASK_COLUMNS "SELECT id,goal,state,reason,started_us,ended_us,steps,model,code FROM task "

json_t *store_tasks(struct store *s, int limit)
{
    json_t *list = json_array();
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, TASK_COLUMNS "ORDER BY id DESC LIMIT ?", -1, &q, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_int(q, 1, CLAMP(limit, 1, 1000));
        while (sqlite3_step(q) == SQLITE_ROW)
            json_array_append_new(list, task_row(q));
    }
    sqlite3_finalize(q);
    return list;
}

json_t *store_task(struct store *s, int64_t task)
{
    json_t *t = NULL;
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, TASK_COLUMNS "WHERE id=?", -1, &q, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(q, 1, task);
        if (sqlite3_step(q) == SQLITE_ROW)
            t = task_row(q);
    }
    sqlite3_finalize(q);
    if (!t)
        return NULL;
    json_t *steps = json_array();
    q = NULL;
    if (sqlite3_prepare_v2(s->db, "SELECT data,answer FROM step WHERE task=? ORDER BY n", -1, &q,
                           NULL) == SQLITE_OK) {
        sqlite3_bind_int64(q, 1, task);
        while (sqlite3_step(q) == SQLITE_ROW) {
            const char *data = (const char *)sqlite3_column_text(q, 0);
            json_t *step = json_loads(data ? data : "{}", 0, NULL);
            if (!step)
                continue;
            json_object_set_new(step, "answer", text_at(q, 1));
            json_array_append_new(steps, step);
        }
    }
    sqlite3_finalize(q);
    json_object_set_new(t, "steps", steps);
    return t;
}
