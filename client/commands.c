/* The table of subcommands: usage, parser and main read it. Adding one is a row, a file and a
 * test. */
#include "client/cli.h"

#define START_OPTIONS "no-start model lora display policy threads looks "

const struct command commands[] = {
    {"do", "GOAL",
     START_OPTIONS "json dry-run no-think max-steps max-seconds approve view window adapter",
     "carry out a task and show each step", cmd_do},
    {"ground", "TARGET", START_OPTIONS "json zoom view window adapter",
     "where on the screen is it? prints x,y", cmd_ground},
    {"ask", "QUESTION", START_OPTIONS "json view window adapter", "ask the model about the screen",
     cmd_ask},
    {"shot", "FILE", START_OPTIONS "json cursor", "save a screenshot as PNG", cmd_shot},
    {"watch", NULL, "json approve", "follow what the daemon does", cmd_watch},
    {"stop", NULL, "json", "stop the running task, release all keys", cmd_stop},
    {"pause", NULL, "json", "hold the running task after its step", cmd_pause},
    {"resume", NULL, "json", "go on with a paused task", cmd_resume},
    {"status", NULL, "json", "daemon, model, screen and task", cmd_status},
    {"history", NULL, "json limit", "earlier tasks", cmd_history},
    {"show", "TASK", "json", "the steps of one task", cmd_show},
    {"dashboard", NULL, START_OPTIONS "json", "print a one-time address for the browser",
     cmd_dashboard},
    {"doctor", NULL, "json model display", "check this machine, say what to do", cmd_doctor},
#ifdef DESKHAND_BENCH
    {"bench", NULL,
     "json model threads weights precision kv backend prompt reply runs together vs-llama vs-ik "
     "shapes rows",
     "how fast the engine is on this machine, alone or beside llama.cpp", cmd_bench},
    {"eval", "PATH", "json model lora weights precision threads looks limit agent view verbose",
     "how well the model points and acts, on a file or folder of screens", cmd_eval},
    {"export", "[TASK]", "json limit swift", "good steps of the history as a training set",
     cmd_export},
#endif
    {"model", "[COMMAND]", "",
     "look at checkpoints: info, verify, quantize, merge-lora, perplexity", cmd_model},
    {"model info", "PATH", "json mmproj verbose", "what a checkpoint is made of", cmd_model_info},
    {"model verify", "PATH", "json mmproj threads",
     "is every tensor there, finite, and are pictures seen?", cmd_model_verify},
    {"model quantize", "IN OUT", "json mmproj lora type vision-type",
     "write a checkpoint as GGUF (and mmproj-OUT beside it)", cmd_model_quantize},
    {"model merge-lora", "IN OUT", "json mmproj lora type vision-type",
     "the same with an adapter merged in; bf16 unless --type says otherwise", cmd_model_merge},
    {"model perplexity", "MODEL FILE", "json mmproj threads weights precision kv limit verbose",
     "how well a model expects a text, or the answers of a data set (ms-swift's JSONL)",
     cmd_model_perplexity},
    {"reload", NULL, "json new-token", "let the daemon read its policy again, the task goes on",
     cmd_reload},
    {"shutdown", NULL, "json", "end the daemon", cmd_shutdown},
    {"version", NULL, "", "print the version", cmd_version},
    {"help", "[COMMAND]", "", "this text, or all about one command", cmd_help},
};
const int n_commands = sizeof(commands) / sizeof(commands[0]);

int cmd_version(const struct cli *c)
{
    puts("deskhand " DESKHAND_VERSION);
    return CLI_OK;
}

int cmd_help(const struct cli *c)
{
    const struct command *cmd = c->arg ? command_find(c->arg) : NULL;
    if (c->arg && !cmd)
        return cli_fail(c, CLI_USAGE, "there is no command \"%s\"", c->arg);
    cli_usage(stdout, cmd);
    return CLI_OK;
}
