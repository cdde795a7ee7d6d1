/* What the subcommands share: the table's row, the parsed command line, exit codes, the way to the
 * daemon, and printing of outside text. */
#ifndef DESKHAND_CLIENT_CLI_H
#define DESKHAND_CLIENT_CLI_H

#include "client/rpc.h"

#include <stdbool.h>
#include <stdio.h>

/* docs/cli.md: scripts rely on these. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the task failed, or its actions had no effect */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no daemon, no screen or no model */
    CLI_REFUSED = 4,     /* policy or user said no */
    CLI_NEEDS_USER = 5,  /* the model asks for a person */
    CLI_STOPPED = 6,     /* stopped by a person */
    CLI_BUDGET = 7       /* steps or seconds are used up */
};

enum cli_approve { CLI_APPROVE_AUTO, CLI_APPROVE_ASK, CLI_APPROVE_DENY };

struct cli {
    bool json, new_token, dry_run, cursor, no_start, no_think, zoom, agent, verbose;
    long max_steps, limit, threads, looks; /* 0: not given */
    double max_seconds;
    enum cli_approve approve;
    const char *view, *window;
    const char *model, *lora, *adapter, *display, *policy;
    const char *swift;
    const char *type, *vision_type, *mmproj;
    const char *weights, *precision, *kv, *backend, *vs_llama, *vs_ik, *shapes, *rows;
    long prompt, reply, runs, together; /* 0: not given */
    const char *arg, *arg2; /* the positional arguments, NULL when there is none */
};

struct command {
    /* name: a word, or two ("model info"); arg: "GOAL", "[TASK]", "IN OUT" or NULL; options: "json
     * limit ..." */
    const char *name, *arg, *options;
    const char *summary;
    int (*run)(const struct cli *c); /* returns an enum cli_exit */
};
extern const struct command commands[];
extern const int n_commands;
const struct command *command_find(const char *name);

/* argv[0] is the first word after the subcommand. -EINVAL with a sentence. */
int cli_parse(const struct command *cmd, int argc, char **argv, struct cli *ret, struct err *err);
void cli_usage(FILE *out, const struct command *cmd); /* NULL: the whole table */

/* From the "code" of a `state` notification; its "state" decides where the code is not known. */
enum cli_exit cli_exit_for_code(const char *code, const char *state);
enum cli_exit cli_exit_for_error(int rpc_code); /* a JSON-RPC error code, 0: no connection */

/* The daemon, started first when `start` and none runs. 0, or an exit code after its sentence. */
int cli_connect(const struct cli *c, bool start, struct rpc *ret);
/* One request and its reply; the sentence of an error is printed. 0 or an exit code. */
int cli_call(const struct cli *c, bool start, const char *method, json_t *params,
             int64_t timeout_us, struct rpc *ret_rpc, json_t **ret_result);
int cli_fail(const struct cli *c, enum cli_exit code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void cli_put(FILE *out, const char *s);            /* printable, no newline; NULL prints nothing */
void cli_put_json(FILE *out, const json_t *j);     /* one line, ASCII */
/* What the model shall be shown, which window is the terminal ($WINDOWID), and the adapter. */
void cli_add_choices(const struct cli *c, json_t *params);
const char *cli_text(const json_t *object, const char *key); /* "" when absent or no string */
long cli_int(const json_t *object, const char *key);         /* 0 when absent */

int cmd_do(const struct cli *c);
int cmd_ground(const struct cli *c);
int cmd_ask(const struct cli *c);
int cmd_shot(const struct cli *c);
int cmd_watch(const struct cli *c);
int cmd_stop(const struct cli *c);
int cmd_pause(const struct cli *c);
int cmd_resume(const struct cli *c);
int cmd_reload(const struct cli *c);
int cmd_shutdown(const struct cli *c);
int cmd_status(const struct cli *c);
int cmd_history(const struct cli *c);
int cmd_show(const struct cli *c);
int cmd_dashboard(const struct cli *c);
int cmd_doctor(const struct cli *c);
int cmd_model(const struct cli *c);
int cmd_model_info(const struct cli *c);
int cmd_model_verify(const struct cli *c);
int cmd_model_quantize(const struct cli *c);
int cmd_model_merge(const struct cli *c);
int cmd_model_perplexity(const struct cli *c);
int cmd_bench(const struct cli *c); /* only where bench/ is built */
int cmd_eval(const struct cli *c);
int cmd_export(const struct cli *c);
int cmd_version(const struct cli *c);
int cmd_help(const struct cli *c);

#endif
