/* fleet_inside.h - what the fleet's two files share: who is alive, and what is to be written. */
#ifndef BN_RUNNER_FLEET_FLEET_INSIDE_H
#define BN_RUNNER_FLEET_FLEET_INSIDE_H

#include "runner/fleet/fleet.h"

/* A change with the texts it points to. */
typedef struct bn_fleet_change {
    int64_t run;
    bn_run_change change;
    char reason[240], token[96], host[64], device[128];
} bn_fleet_change;

struct bn_fleet {
    bn_fleet_options options;
    bn_ingest *ingest;
    bn_member **members;
    size_t count, room;
    bn_fleet_change *moves;
    size_t move_count, move_room;
    double looked_s, logs_s;
    int64_t records;
};

#endif
