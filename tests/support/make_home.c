/* make_home.c - fills a home for tests and figures of the command line:
 *   make_home HOME NAME WIDTHS SEEDS RECORDS [METRICS] */
#include <stdio.h>
#include <stdlib.h>

#include "support/demo_home.h"

int main(int argc, char **argv)
{
    bn_store *store = NULL;
    bn_error err = {0};
    if (argc < 6 || argc > 7) {
        (void)fprintf(stderr, "usage: make_home HOME NAME WIDTHS SEEDS RECORDS [METRICS]\n");
        return 2;
    }
    demo_plan plan = {.name = argv[2],
                      .widths = (int)strtol(argv[3], NULL, 10),
                      .seeds = (int)strtol(argv[4], NULL, 10),
                      .records = (int)strtol(argv[5], NULL, 10),
                      .metrics = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 0};
    bn_status status = bn_store_open(&store, argv[1], BN_STORE_WRITE, &err);
    if (status == BN_OK) status = demo_home_fill(store, &plan, &err);
    bn_store_close(store);
    if (status != BN_OK) (void)fprintf(stderr, "make_home: %s\n", err.text);
    return status == BN_OK ? 0 : 1;
}
