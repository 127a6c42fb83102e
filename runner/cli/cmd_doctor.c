/* cmd_doctor.c - bnexp doctor: is all well with this home? One row of the table a question. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/doctor_cards.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/words.h"

typedef enum verdict { FINE, WORTH_A_LOOK, WRONG } verdict;
static const char *const VERDICTS[] = {"ok", "look", "wrong"};

typedef struct patient {
    const char *home;
    bn_store *store; /* NULL: it did not open, and open says why */
    bn_error open;   /* or why its runs cannot be listed */
    bn_run *runs;
    size_t count;
    bn_doctor_cards cards;
} patient;

static verdict home_folder(const patient *at, bn_text *says)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    if (bn_path_absolute(path, at->home, &err) != BN_OK) return WRONG;
    bn_text_add(says, path);
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && !S_ISDIR(info.st_mode)) {
        bn_text_add(says, " is not a folder: no home can be there");
        return WRONG;
    }
    if (exists && access(path, W_OK | X_OK) == 0) return FINE;
    bn_text_add(says, exists ? " cannot be written to by this user: no run can start in it"
                             : " does not exist yet; the first sweep makes it");
    return WORTH_A_LOOK;
}

static verdict free_space(const patient *at, bn_text *says)
{
    struct statvfs info;
    char words[BN_WORDS_MAX];
    if (statvfs(bn_file_exists(at->home) ? at->home : ".", &info) != 0) {
        bn_text_add(says, "the file system does not say");
        return WORTH_A_LOOK;
    }
    double bytes = (double)info.f_bavail * (double)info.f_frsize;
    bn_text_addf(says, "%s free", bn_words_bytes(words, bytes));
    return bytes < 1e9 ? WORTH_A_LOOK : FINE;
}

static verdict database(const patient *at, bn_text *says)
{
    if (at->open.status == BN_OK) {
        bn_text_add(says, "opens, and has this program's schema");
        return FINE;
    }
    bn_text_add(says, at->open.text);
    if (at->open.status == BN_ECORRUPT) {
        bn_text_add(says,
                    "; restore a copy, or move bnexp.db, bnexp.db-wal and bnexp.db-shm away and "
                    "give the sweeps again: runs of bnexp's own engine go on from their "
                    "folders");
    }
    return at->open.status == BN_ENOENT ? WORTH_A_LOOK : WRONG;
}

/* Nothing is well that could not be looked at; a home that is new has nothing to look at. */
static bool looked_at(const patient *at, verdict *found, bn_text *says)
{
    *found = at->open.status == BN_ENOENT ? FINE : WORTH_A_LOOK;
    if (at->open.status == BN_OK) return true;
    bn_text_add(says, *found == FINE ? "there is nothing yet" : "not looked at");
    return false;
}

static verdict integrity(const patient *at, bn_text *says)
{
    bn_error err = {0};
    verdict found;
    if (!at->store) return looked_at(at, &found, says) ? FINE : found;
    if (bn_store_check(at->store, &err) == BN_OK) {
        bn_text_add(says, "every page, index and reference agrees");
        return FINE;
    }
    bn_text_addf(says, "%s; 'bnexp doctor --backup FILE' saves what can be read", err.text);
    return WRONG;
}

static verdict manager(const patient *at, bn_text *says)
{
    char holder[160];
    size_t running = 0;
    verdict found;
    bool held = bn_manager_holder(at->home, holder);
    if (held) bn_text_addf(says, "%s, ", holder);
    if (!looked_at(at, &found, says)) return found;
    for (size_t i = 0; i < at->count; i++) running += at->runs[i].state == BN_RUN_RUNNING;
    if (held) {
        bn_text_addf(says, "%zu running", running);
        return FINE;
    }
    bn_text_addf(says, "none; %zu run%s marked running", running, running == 1 ? " is" : "s are");
    if (running) bn_text_add(says, ": run the sweep again, it adopts or resumes them");
    return running ? WORTH_A_LOOK : FINE;
}

/* A curve is the same either way, only read more slowly. */
static verdict packing(const patient *at, bn_text *says)
{
    bn_error err = {0};
    int64_t runs = 0;
    verdict found;
    if (!looked_at(at, &found, says)) return found;
    if (bn_store_unpacked(at->store, &runs, &err) != BN_OK) {
        bn_text_add(says, err.text);
        return WRONG;
    }
    if (runs == 0) {
        bn_text_add(says, "every run that has ended is read in one go");
    } else {
        bn_text_addf(says, "%lld ended %s of an older schema; 'bnexp doctor --migrate' packs %s",
                     (long long)runs, runs == 1 ? "run is" : "runs are", runs == 1 ? "it" : "them");
    }
    return FINE;
}

static verdict folders(const patient *at, bn_text *says)
{
    char path[BN_PATH_MAX];
    size_t begun = 0, missing = 0;
    bn_error err = {0};
    verdict found;
    if (!looked_at(at, &found, says)) return found;
    for (size_t i = 0; i < at->count; i++) {
        if (at->runs[i].attempt == 0) continue;
        begun++;
        if (bn_path_join(path, at->home, at->runs[i].dir, &err) != BN_OK) return WRONG;
        missing += !bn_file_exists(path);
    }
    bn_text_addf(says, "%zu of %zu runs that began have theirs", begun - missing, begun);
    return missing ? WORTH_A_LOOK : FINE;
}

static verdict machine(const patient *at, bn_text *says)
{
    (void)at;
    struct utsname name;
    if (uname(&name) != 0) return WORTH_A_LOOK;
    bn_text_addf(says, "%s %s, %s, %d cores for this process", name.sysname, name.release,
                 name.machine, bn_cores());
    return FINE;
}

/* No card at all is no fault: the processors train too. */
static verdict cuda(const patient *at, bn_text *says)
{
    bn_doctor_cards_say(&at->cards, says);
    return at->cards.trouble ? WORTH_A_LOOK : FINE;
}

static void print_cards(const bn_doctor_cards *cards)
{
    bn_text says = {0};
    for (int i = 0; i < cards->count; i++) {
        bn_text_clear(&says);
        bn_doctor_card_say(&cards->cards[i], &says);
        (void)printf("%-6s card %-7d %s\n", VERDICTS[cards->cards[i].usable ? FINE : WORTH_A_LOOK],
                     i, says.data ? says.data : "");
    }
    bn_text_release(&says);
}

static const struct {
    const char *name;
    verdict (*look)(const patient *at, bn_text *says);
} QUESTIONS[] = {
    {"machine", machine},   {"home", home_folder},    {"free space", free_space},
    {"database", database}, {"integrity", integrity}, {"packing", packing},
    {"manager", manager},   {"run folders", folders}, {"cuda", cuda},
};

static bn_status examine(const patient *at, bool as_json, verdict *worst, bn_error *err)
{
    bn_text out = {0}, says = {0};
    bn_json json = bn_print_begin(&out);
    bn_json_key(&json, "checks");
    bn_json_array(&json);
    *worst = FINE;
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof QUESTIONS[0]; i++) {
        bn_text_clear(&says);
        verdict found = QUESTIONS[i].look(at, &says);
        if (found > *worst) *worst = found;
        const char *words = says.data ? says.data : "";
        bn_json_object(&json);
        bn_json_key(&json, "name");
        bn_json_string(&json, QUESTIONS[i].name);
        bn_json_key(&json, "verdict");
        bn_json_string(&json, VERDICTS[found]);
        bn_json_key(&json, "says");
        bn_json_string(&json, words);
        bn_json_end_object(&json);
        if (!as_json) (void)printf("%-6s %-12s %s\n", VERDICTS[found], QUESTIONS[i].name, words);
    }
    bn_json_end_array(&json);
    bn_json_key(&json, "cuda");
    bn_doctor_cards_json(&at->cards, &json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    if (!as_json) print_cards(&at->cards);
    bn_status status = says.failed ? bn_fail(err, BN_ENOMEM, "doctor: out of memory") : BN_OK;
    if (status == BN_OK && as_json) status = bn_print_text(&out, err);
    bn_text_release(&out);
    bn_text_release(&says);
    return status;
}

static int visit(const char *home, const char *backup, bool migrate, bool json)
{
    patient at = {.home = bn_command_home(home)};
    bn_error err = {0};
    verdict worst = FINE;
    bn_store_mode mode = migrate ? BN_STORE_WRITE : BN_STORE_READ;
    bn_status status = BN_OK;
    if (bn_store_open(&at.store, at.home, mode, &at.open) == BN_OK) {
        (void)!bn_run_list(at.store, 0, &at.runs, &at.count, &at.open);
    }
    if (backup && at.store) status = bn_store_backup(at.store, backup, &err);
    if (backup && !at.store) status = bn_fail(&err, at.open.status, "%s", at.open.text);
    bool more = migrate && at.store;
    while (status == BN_OK && more) status = bn_store_pack(at.store, &more, &err);
    bn_doctor_cards_find(&at.cards);
    if (status == BN_OK) status = examine(&at, json, &worst, &err);
    free(at.runs);
    bn_store_close(at.store);
    if (status != BN_OK) return bn_command_fail(&err);
    return worst == WRONG ? BN_EXIT_ERROR : BN_EXIT_OK;
}

int bn_cmd_doctor(int argc, char **argv)
{
    const char *home = NULL, *backup = NULL;
    bool json = false, migrate = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &json, NULL, "JSON instead of lines"},
        {"--migrate", 0, BN_OPTION_FLAG, &migrate, NULL,
         "bring an older home up to date first (a copy is kept)"},
        {"--backup", 0, BN_OPTION_TEXT, &backup, "FILE", "first copy the database to a new file"},
    };
    const bn_options options = {
        .usage = "bnexp doctor [options]",
        .about = "Asks whether all is well with the home. Exit 1 when something is wrong.",
        .table = table,
        .count = sizeof table / sizeof table[0],
    };
    bn_option_list none;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &none, &help, &err);
    if (status != BN_OK) return bn_command_fail(&err);
    return help ? BN_EXIT_OK : visit(home, backup, migrate, json);
}
