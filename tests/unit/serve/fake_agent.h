#ifndef DESKHAND_TESTS_FAKE_AGENT_H
#define DESKHAND_TESTS_FAKE_AGENT_H

#include "agent/agent.h"

#define FAKE_KNOCKS 500
#define FAKE_MURMUR_BYTES 3900000
#define FAKE_PICTURE_BYTES 3000000

struct fake_counts {
    int n_service, n_closed, n_reloads, n_forgotten;
};
extern struct fake_counts fake_counts;

#endif
