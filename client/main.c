/* `deskhand`: finds the row of commands.c, parses its options, runs it. Everything it can do is
 * asked of the daemon over docs/protocol.md; this program holds no model and touches no window
 * (doctor only looks). */
#include "client/cli.h"

#include <signal.h>
#include <string.h>

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    /* two words before one: "model info" before "model" */
    char both[64];
    int n_words = 1;
    const struct command *cmd = NULL;
    if (argc > 2 && snprintf(both, sizeof(both), "%s %s", name, argv[2]) < (int)sizeof(both))
        cmd = command_find(both);
    if (cmd)
        n_words = 2;
    else
        cmd = command_find(name);
    struct cli cli = {0};
    struct err err = {0};
    if (!cmd)
        return cli_fail(&cli, CLI_USAGE, "there is no command \"%s\": see deskhand help", name);
    for (int i = 1 + n_words; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (strcmp(argv[i], "--help") == 0) {
            cli_usage(stdout, cmd);
            return CLI_OK;
        }
    }
    if (cli_parse(cmd, argc > n_words ? argc - 1 - n_words : 0, argv + 1 + n_words, &cli, &err) < 0)
        return cli_fail(&cli, CLI_USAGE, "%s", err.text);
    int rc = cmd->run(&cli);
    if (fflush(stdout) != 0)
        return cli_fail(&cli, CLI_FAILED, "cannot write the output");
    return rc;
}
