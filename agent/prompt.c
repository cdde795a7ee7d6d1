/* MiMo-VL's official prompts, byte for byte (lmms-eval's GUI-agent and ScreenSpot tasks;
 * docs/model reference 2.4 and 2.5). The system turn is the chat template's default. */
#include "agent/prompt.h"

void prompt_agent(const char *goal, const char *history, struct str *out)
{
    str_puts(out,
             "You are a GUI agent. You will be provided with a screenshot, a goal, and your action "
             "history. You need to perform the next action to complete the task.\n\n"
             "## Action Space\n"
             "{\"action\": \"click\", \"start_point\": [x,y]}\n"
             "{\"action\": \"drag\", \"start_point\": [x,y], \"end_point\": [x,y]}\n"
             "{\"action\": \"input\", \"text\": \"text\"}\n"
             "{\"action\": \"press\", \"keys\": [key1, key2, ...]}\n"
             "{\"action\": \"wait\"}\n"
             "{\"action\": \"finished\", \"status\": \"status\"}\n\n"
             "## Goal\n");
    str_puts(out, goal);
    str_puts(out, "\n\n## Previous Actions\n");
    str_puts(out, *history ? history : "None");
    str_puts(out, "\n\nNow, output the next action in json format "
                  "[{\"action\": \"{action_name}\"}, ...].");
}

void prompt_ground(const char *target, struct str *out)
{
    str_puts(out, "Locate UI components that match the command: \"");
    /* a quote in the command would end it early */
    for (const char *c = target; *c; c++)
        str_putc(out, *c == '"' ? '\'' : *c);
    str_puts(out, "\". Output a JSON in the format [{\"bbox_2d\": [...], \"label\": "
                  "\"{the_whole_command}\"}, ...].");
}
