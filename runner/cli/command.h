/* command.h - the command table's row. A command is one cmd_*.c; adding one is adding a row in
 * main.c. */
#ifndef BN_RUNNER_CLI_COMMAND_H
#define BN_RUNNER_CLI_COMMAND_H

#include <stddef.h>

#include "engine/base/status.h"

/* Exit codes of every command. */
enum {
    BN_EXIT_OK = 0,
    BN_EXIT_ERROR = 1,     /* the machine: disk, memory, network */
    BN_EXIT_USAGE = 2,     /* flags, files, configuration */
    BN_EXIT_NOT_FOUND = 3, /* the run or sweep that was named */
    BN_EXIT_AMBIGUOUS = 4, /* the name fits several */
    BN_EXIT_CONFLICT = 5,  /* the state forbids it: locked, already running */
    BN_EXIT_PARTIAL = 6,   /* done, but some runs failed */
};

typedef struct bn_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
    const char *arguments;             /* "FILE [--dry-run]" */
    const char *help;                  /* one line */
} bn_command;

/* All of them, by name. */
const bn_command *bn_command_table(size_t *count);

/* Prints "bnexp: <text>" on stderr and returns the exit code that fits the status. */
int bn_command_fail(const bn_error *err);

/* The home folder: the option if given, else BNEXP_HOME, else "runs". */
const char *bn_command_home(const char *option);

#endif
