/* main.c - the command table: bnexp COMMAND ..., in the manner of git. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/nearest.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"

static int help(int argc, char **argv);
static int version(int argc, char **argv);

static const bn_command COMMANDS[] = {
    {"bench", bn_cmd_bench, "[--json]", "how fast this machine trains, beside its own peak"},
    {"cancel", bn_cmd_cancel, "SWEEP|RUN", "ends a sweep and its runs now, or one run"},
    {"compare", bn_cmd_compare, "[SWEEP...] [--by KNOB]", "the sides of a sweep, twin by twin"},
    {"completion", bn_cmd_completion, "bash|zsh|fish", "a completion script"},
    {"dashboard", bn_cmd_dashboard, "--out DIR | --serve",
     "the home as a page: in a folder, or live"},
    {"data", bn_cmd_data, "info|synth|fetch|prepare ...",
     "text in, corpora and numbers about them out"},
    {"diff", bn_cmd_diff, "RUN RUN", "what two runs were told differently"},
    {"doctor", bn_cmd_doctor, "", "is all well with the home?"},
    {"eval", bn_cmd_eval, "RUN", "loss of a trained network, weights packed"},
    {"export", bn_cmd_export, "--format FORMAT [--out PATH]", "every record, none sampled away"},
    {"gc", bn_cmd_gc, "[--older 30d]", "empties the trash"},
    {"generate", bn_cmd_generate, "RUN [--prompt TEXT]", "text from a trained network"},
    {"help", help, "[COMMAND]", "this list, or more of one command"},
    {"logs", bn_cmd_logs, "RUN [-f] [--stderr]", "what a run wrote"},
    {"ls", bn_cmd_ls, "[runs|sweeps|metrics]", "what the home holds"},
    {"man", bn_cmd_man, "", "the manual page"},
    {"note", bn_cmd_note, "RUN TEXT", "a sentence kept with a run"},
    {"pause", bn_cmd_pause, "SWEEP", "starts no new runs of a sweep"},
    {"resume", bn_cmd_resume, "SWEEP", "lets a paused sweep go on"},
    {"retry", bn_cmd_retry, "SWEEP|RUN [--failed ...]", "failed runs wait for another attempt"},
    {"rm", bn_cmd_rm, "RUN... | --sweep NAME", "runs into the trash"},
    {"show", bn_cmd_show, "RUN", "everything known of one run"},
    {"sql", bn_cmd_sql, "\"SELECT ...\"", "the database itself, read-only"},
    {"stop", bn_cmd_stop, "SWEEP|RUN", "active runs finish, then the sweep ends; or one run"},
    {"sweep", bn_cmd_sweep, "FILE [--dry-run] [--jobs N]",
     "the runs of a sweep file, to their end"},
    {"sync", bn_cmd_sync, "wandb|mlflow|... [SWEEP...]", "send what a reporter has not heard yet"},
    {"tag", bn_cmd_tag, "RUN TAG...", "words to find a run by"},
    {"train", bn_cmd_train, "PRESET|FILE|RUN-FOLDER", "one run; --help lists every knob"},
    {"version", version, "", "the version"},
    {"watch", bn_cmd_watch, "[SWEEP]", "how a sweep is doing"},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

const bn_command *bn_command_table(size_t *count)
{
    *count = COMMAND_COUNT;
    return COMMANDS;
}

static int version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("bnexp %s\n", BN_VERSION);
    return BN_EXIT_OK;
}

static int unknown(const char *word)
{
    const char *near = bn_nearest(word, &COMMANDS[0].name, COMMAND_COUNT, sizeof COMMANDS[0]);
    if (near) {
        (void)fprintf(stderr, "bnexp: there is no command '%s'; did you mean '%s'?\n", word, near);
    } else {
        (void)fprintf(stderr, "bnexp: there is no command '%s'; 'bnexp help' lists them\n", word);
    }
    return BN_EXIT_USAGE;
}

static const bn_command *find(const char *word)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(COMMANDS[i].name, word) == 0) return &COMMANDS[i];
    }
    return NULL;
}

/* "help sweep" is "sweep --help". */
static int help_of(char *word)
{
    char option[] = "--help";
    char *words[] = {word, option, NULL};
    const bn_command *command = find(word);
    if (!command) return unknown(word);
    bool itself = command->run == help || command->run == version;
    return itself ? help(0, NULL) : command->run(2, words);
}

static int help(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-') return help_of(argv[1]);
    (void)printf("bnexp - what 1.58-bit transformers cost and save, next to FP16 twins\n\n"
                 "usage: bnexp COMMAND [arguments]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const bn_command *command = &COMMANDS[i];
        (void)printf("  %-10s %-34s %s\n", command->name, command->arguments, command->help);
    }
    (void)printf("\nbnexp COMMAND --help tells more of each.\n");
    return BN_EXIT_OK;
}

static int exit_code(bn_status status)
{
    switch (status) {
    case BN_OK:
        return BN_EXIT_OK;
    case BN_EINVAL:
        return BN_EXIT_USAGE;
    case BN_ENOENT:
        return BN_EXIT_NOT_FOUND;
    case BN_EAMBIGUOUS:
        return BN_EXIT_AMBIGUOUS;
    case BN_EAGAIN:
    case BN_ESTALE:
        return BN_EXIT_CONFLICT;
    case BN_EIO:
    case BN_ENOMEM:
    case BN_ECORRUPT:
        return BN_EXIT_ERROR;
    }
    return BN_EXIT_ERROR;
}

int bn_command_fail(const bn_error *err)
{
    (void)fprintf(stderr, "bnexp: %s\n", err->text);
    return exit_code(err->status);
}

const char *bn_command_home(const char *option)
{
    if (option) return option;
    const char *home = getenv("BNEXP_HOME"); /* NOLINT(concurrency-mt-unsafe): before any thread */
    return home && *home ? home : "runs";
}

/* The first three descriptors are taken before any file can get one of them and be written to by
 * what is said to people. What was closed stays closed to them: a write to it fails. */
static void hold_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* Output that did not arrive is a failure even where all else went well: nobody who reads the exit
 * status of `bnexp ls --json > FILE` may take half a file for the whole. */
static int finish(int code)
{
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) lost = true;
    if (!lost || code != BN_EXIT_OK) return code;
    bn_error err = {0};
    (void)(errno ? bn_fail_errno(&err, "write to stdout")
                 : bn_fail(&err, BN_EIO, "write to stdout: not all of it was taken"));
    return bn_command_fail(&err);
}

static int run(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)help(0, NULL);
        return argc < 2 ? BN_EXIT_USAGE : BN_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) return version(0, NULL);
    const bn_command *command = find(argv[1]);
    return command ? command->run(argc - 1, argv + 1) : unknown(argv[1]);
}

int main(int argc, char **argv)
{
    hold_streams();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file too large for `ulimit -f` is an error, not an end */
    return finish(run(argc, argv));
}
