/* MiMo-VL's official prompt texts. Pure, any thread. */
#ifndef DESKHAND_AGENT_PROMPT_H
#define DESKHAND_AGENT_PROMPT_H

#include "base/str.h"

/* The user's turn after the picture: GUI agent with its history ("" for none), and grounding. */
void prompt_agent(const char *goal, const char *history, struct str *out);
void prompt_ground(const char *target, struct str *out);

#endif
