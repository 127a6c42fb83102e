/* mlflow.h - runs at an MLflow tracking server, by its REST API 2.0: an experiment, a run in it,
 * parameters, metrics in batches, a status at the end.
 *
 * MLflow names runs itself, so ours carry the tag bnexp.run, by which one that was made before a
 * crash is found again. A metric that is logged twice with the same step, time and value is one
 * point there, so a repeated batch changes nothing. */
#ifndef BN_REPORTERS_MLFLOW_H
#define BN_REPORTERS_MLFLOW_H

#include "reporters/credentials.h"
#include "reporters/reporter.h"

typedef struct bn_mlflow_options {
    const char *user_agent;
    char base_url[512];   /* MLFLOW_TRACKING_URI, without a slash at its end */
    char experiment[256]; /* --project, MLFLOW_EXPERIMENT_NAME, else "bnexp" */
    bn_secret secret;     /* MLFLOW_TRACKING_TOKEN, or NAME:PASSWORD; "": none */
    bool token;           /* it is a token */
    double first_wait_s, timeout_s;
} bn_mlflow_options;

/* Fills in what the environment says; experiment may be NULL. BN_EINVAL names the variable. */
BN_MUST_CHECK bn_status bn_mlflow_settings(bn_mlflow_options *options, const char *experiment,
                                           bn_environment environment, bn_error *err);

/* Borrows all of its arguments until it is closed. */
BN_MUST_CHECK bn_status bn_mlflow_open(bn_reporter *out, bn_store *store, bn_feed *feed,
                                       const bn_mlflow_options *options, bn_error *err);

#endif
