/* options.h - one command's flags as a table: parsing, --help and completion follow from it. */
#ifndef BN_RUNNER_CLI_OPTIONS_H
#define BN_RUNNER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "engine/base/status.h"

enum {
    BN_OPTION_LIST_MAX = 128,
    BN_OPTION_THREADS_MAX = 1024, /* of every --threads */
};

typedef struct bn_option_list {
    const char *items[BN_OPTION_LIST_MAX];
    size_t count;
} bn_option_list;

typedef enum bn_option_kind {
    BN_OPTION_FLAG, /* bool: present or not */
    BN_OPTION_TEXT, /* const char *: borrowed from argv */
    BN_OPTION_INT,  /* int64_t */
    BN_OPTION_REAL, /* double */
    BN_OPTION_LIST, /* bn_option_list: may be given many times */
} bn_option_kind;

typedef struct bn_option {
    const char *name; /* "--dry-run" */
    char letter;      /* 'n' for -n; 0: none */
    bn_option_kind kind;
    void *value;          /* where it goes; keeps what it holds when the option is absent */
    const char *argument; /* "N", "DIR"; NULL for a flag */
    const char *help;
} bn_option;

/* What a number may be. */
typedef struct bn_option_range {
    const void *value;  /* the option's */
    double least, most; /* most INFINITY: no bound but the type's */
    bool above;         /* least itself is too little */
} bn_option_range;

typedef struct bn_options {
    const char *usage; /* "bnexp sweep FILE [options]" */
    const char *about; /* what the command does: shown by --help, a few lines */
    const bn_option *table;
    size_t count;
    size_t arguments_min, arguments_max; /* that are no options */
    const bn_option_range *ranges;       /* of every INT and REAL of the table */
    size_t range_count;
} bn_options;

/* Parses argv[1...] ("--name value", "--name=value", "-n value", "--" ends options). What is no
 * option goes to arguments. *help: --help was given and printed. BN_EINVAL names the flag, and the
 * nearest, or what its number may be. */
BN_MUST_CHECK bn_status bn_options_parse(const bn_options *options, int argc, char **argv,
                                         bn_option_list *arguments, bool *help, bn_error *err);

void bn_options_help(const bn_options *options, FILE *out);

#endif
