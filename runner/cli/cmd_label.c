/* cmd_label.c - bnexp tag and bnexp note: words that people put on runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "store/label.h"

static bn_status open_run(const char *home, const char *name, bn_store **store, bn_run *run,
                          bn_error *err)
{
    /* Reading first: a typo in --home must not make a new home. */
    bn_status status = bn_store_open(store, bn_command_home(home), BN_STORE_READ, err);
    if (status == BN_OK) status = bn_run_find(*store, name, run, err);
    bn_store_close(*store);
    *store = NULL;
    if (status != BN_OK) return status;
    return bn_store_open(store, bn_command_home(home), BN_STORE_WRITE, err);
}

int bn_cmd_tag(int argc, char **argv)
{
    const char *home = NULL;
    bool remove = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--remove", 0, BN_OPTION_FLAG, &remove, NULL, "take the tags off instead"},
    };
    const bn_options options = {
        .usage = "bnexp tag RUN TAG... [--remove]",
        .about = "Puts words on a run, to find it by: 'bnexp ls --tag best'.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 2,
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_option_list words;
    bn_store *store = NULL;
    bn_run run;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &words, &help, &err);
    if (status != BN_OK || help) return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
    status = open_run(home, words.items[0], &store, &run, &err);
    for (size_t i = 1; status == BN_OK && i < words.count; i++) {
        status = remove ? bn_tag_remove(store, run.id, words.items[i], &err)
                        : bn_tag_add(store, run.id, words.items[i], &err);
    }
    bn_store_close(store);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

/* All of stdin, up to one byte more than a note may have. */
static bn_status read_stdin(char **out, bn_error *err)
{
    size_t length = 0, room = BN_NOTE_BYTES_MAX + 2;
    *out = malloc(room);
    if (!*out) return bn_fail(err, BN_ENOMEM, "the note: out of memory");
    length = fread(*out, 1, room - 1, stdin);
    if (ferror(stdin)) return bn_fail(err, BN_EIO, "the note: standard input cannot be read");
    while (length > 0 && (*out)[length - 1] == '\n') length--;
    (*out)[length] = '\0';
    if (strlen(*out) == length) return BN_OK;
    return bn_fail(err, BN_EINVAL, "the note: a text has no zero bytes");
}

int bn_cmd_note(int argc, char **argv)
{
    const char *home = NULL;
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
    };
    const bn_options options = {
        .usage = "bnexp note RUN \"TEXT\"|-",
        .about = "Keeps a sentence with a run, or a report of at most 1 MiB from standard input\n"
                 "(-); 'bnexp show RUN' tells it.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 2,
        .arguments_max = 2,
    };
    bn_option_list words;
    bn_store *store = NULL;
    bn_run run;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &words, &help, &err);
    if (status != BN_OK || help) return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
    status = open_run(home, words.items[0], &store, &run, &err);
    const char *text = words.items[1];
    char *given = NULL;
    if (status == BN_OK && strcmp(text, "-") == 0) status = read_stdin(&given, &err);
    if (status == BN_OK) status = bn_note_add(store, run.id, given ? given : text, &err);
    free(given);
    bn_store_close(store);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
