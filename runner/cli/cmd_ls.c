/* cmd_ls.c - bnexp ls [sweeps|runs|metrics]: what the home holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/nearest.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/listing.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/table.h"
#include "runner/search/expr.h"
#include "store/label.h"

typedef struct ls_flags {
    const char *home, *sweep, *sort, *columns, *where;
    bn_option_list states, tags;
    int64_t limit;
    bool json;
} ls_flags;

typedef struct ls_context {
    const ls_flags *flags;
    bn_store *store;
    bn_sweep sweep; /* id 0: all */
    bn_listing *listing;
    bn_text out;
} ls_context;

static bool state_is_wanted(void *self, const bn_listing *listing, size_t row)
{
    const ls_flags *flags = self;
    const char *state = bn_run_state_name(bn_listing_run(listing, row)->state);
    for (size_t i = 0; i < flags->states.count; i++) {
        if (strcmp(flags->states.items[i], state) == 0) return true;
    }
    return flags->states.count == 0;
}

typedef struct tagged {
    const bn_tag *tags; /* by run */
    size_t count;
    const bn_option_list *wanted;
} tagged;

/* All the tags that were asked for. */
static bool has_tags(void *self, const bn_listing *listing, size_t row)
{
    const tagged *all = self;
    int64_t run = bn_listing_run(listing, row)->id;
    size_t found = 0;
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = 0; all->tags[i].run == run && k < all->wanted->count; k++) {
            found += strcmp(all->tags[i].tag, all->wanted->items[k]) == 0;
        }
    }
    return found >= all->wanted->count;
}

static bn_status select_tagged(ls_context *ls, bn_error *err)
{
    bn_tag *tags = NULL;
    tagged all = {.wanted = &ls->flags->tags};
    if (all.wanted->count == 0) return BN_OK;
    bn_status status = bn_tag_list(ls->store, 0, &tags, &all.count, err);
    all.tags = tags;
    if (status == BN_OK) bn_listing_filter(ls->listing, has_tags, &all);
    free(tags);
    return status;
}

typedef struct condition {
    bn_expr *expr;
    const bn_listing *listing;
    size_t columns[BN_EXPR_NAMES_MAX]; /* of the expression's names */
    size_t row;
} condition;

static bool lookup(const void *self, const char *name, bn_setting *out)
{
    const condition *at = self;
    size_t i = 0;
    while (strcmp(bn_expr_name(at->expr, i), name) != 0) i++;
    bn_listing_cell cell = bn_listing_cell_at(at->listing, at->columns[i], at->row);
    switch (cell.kind) {
    case BN_LISTING_NONE:
        return false;
    case BN_LISTING_NUMBER:
        *out = bn_setting_of_number(BN_SETTING_REAL, cell.number);
        return true;
    case BN_LISTING_WORDS:
        break;
    }
    *out = bn_setting_of_text(cell.words);
    if (strcmp(cell.words, "true") == 0) *out = bn_setting_of_bool(true);
    if (strcmp(cell.words, "false") == 0) *out = bn_setting_of_bool(false);
    return true;
}

static bool is_true(void *self, const bn_listing *listing, size_t row)
{
    condition *at = self;
    at->listing = listing;
    at->row = row;
    return bn_expr_true(at->expr, lookup, at);
}

static bn_status select_where(ls_context *ls, bn_error *err)
{
    condition at = {0};
    if (!ls->flags->where) return BN_OK;
    if (bn_expr_compile(&at.expr, ls->flags->where, err) != BN_OK) {
        return bn_fail_in(err, "--where");
    }
    bn_status status = BN_OK;
    for (size_t i = 0; status == BN_OK && i < bn_expr_name_count(at.expr); i++) {
        status = bn_listing_column(ls->listing, bn_expr_name(at.expr, i), &at.columns[i], err);
    }
    if (status == BN_OK) bn_listing_filter(ls->listing, is_true, &at);
    bn_expr_free(at.expr);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "--where");
}

static bn_status select_rows(ls_context *ls, bn_error *err)
{
    ls_flags flags = *ls->flags;
    for (size_t i = 0; i < flags.states.count; i++) {
        bn_run_state state;
        if (bn_run_state_parse(flags.states.items[i], &state, err) != BN_OK) return err->status;
    }
    bn_listing_filter(ls->listing, state_is_wanted, &flags);
    bn_status status = select_tagged(ls, err);
    if (status == BN_OK) status = select_where(ls, err);
    if (status == BN_OK && flags.sort) status = bn_listing_sort(ls->listing, flags.sort, err);
    if (status == BN_OK && flags.limit >= 0) bn_listing_limit(ls->listing, (size_t)flags.limit);
    return status;
}

/* The metric that ranks the runs shown, if they agree on one. */
static bn_status shared_metric(ls_context *ls, bn_sweep *out, bn_error *err)
{
    bn_sweep *sweeps = NULL;
    size_t count = 0;
    *out = ls->sweep;
    if (ls->sweep.id) return BN_OK;
    bn_status status = bn_sweep_list(ls->store, &sweeps, &count, err);
    bool agree = count > 0;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sweeps[i].metric, sweeps[0].metric) != 0) agree = false;
    }
    if (agree) *out = sweeps[0];
    free(sweeps);
    return status;
}

static bn_status default_columns(ls_context *ls, bn_text *out, bn_error *err)
{
    bn_sweep metric;
    size_t column = 0;
    bn_error none = {0};
    bn_status status = shared_metric(ls, &metric, err);
    bool recorded = status == BN_OK && metric.metric[0] &&
                    bn_listing_column(ls->listing, metric.metric, &column, &none) == BN_OK;
    bn_text_add(out, ls->sweep.id ? "id,name,state" : "id,name,sweep,state");
    if (recorded) {
        bn_text_addf(out, ",%s:step,%s,%s:%s", metric.metric, metric.metric, metric.metric,
                     metric.maximize ? "max" : "min");
    }
    bn_text_add(out, ",duration");
    for (size_t row = 0; row < bn_listing_count(ls->listing); row++) {
        if (!bn_listing_run(ls->listing, row)->reason[0]) continue;
        bn_text_add(out, ",reason");
        break;
    }
    return status;
}

static bn_status find_columns(ls_context *ls, char *names, size_t *columns, size_t *count,
                              bn_table *table, bn_error *err)
{
    *count = 0;
    for (char *name = names, *next = NULL; name; name = next) {
        next = strchr(name, ',');
        if (next) *next++ = '\0';
        if (*count == BN_TABLE_COLUMNS_MAX) return bn_fail(err, BN_EINVAL, "too many columns");
        if (bn_listing_column(ls->listing, name, &columns[*count], err) != BN_OK) {
            return err->status;
        }
        /* Of our own choice there is one step, and no need to say of what. */
        const char *colon = ls->flags->columns ? NULL : strrchr(name, ':');
        bool step = colon && strcmp(colon, ":step") == 0;
        bn_table_column(table, step ? "step" : name,
                        bn_listing_numeric(ls->listing, columns[*count]));
        (*count)++;
    }
    return BN_OK;
}

static bn_status print_table(ls_context *ls, bn_error *err)
{
    size_t columns[BN_TABLE_COLUMNS_MAX], count = 0;
    char words[BN_WORDS_MAX];
    bn_table table = {0};
    bn_text names = {0};
    bn_status status = BN_OK;
    if (ls->flags->columns) {
        bn_text_add(&names, ls->flags->columns);
    } else {
        status = default_columns(ls, &names, err);
    }
    if (names.failed) status = bn_fail(err, BN_ENOMEM, "columns: out of memory");
    if (status == BN_OK) status = find_columns(ls, names.data, columns, &count, &table, err);
    for (size_t row = 0; status == BN_OK && row < bn_listing_count(ls->listing); row++) {
        for (size_t i = 0; i < count; i++) {
            bn_table_cell(&table, bn_listing_words(ls->listing, columns[i], row, words));
        }
    }
    if (status == BN_OK) status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    bn_text_release(&names);
    return status;
}

static const bn_sweep *sweep_of(const bn_sweep *sweeps, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (sweeps[i].id == id) return &sweeps[i];
    }
    return NULL;
}

static int compare_latest(const void *key, const void *item)
{
    int64_t run = *(const int64_t *)key, other = ((const bn_latest *)item)->run;
    return (run > other) - (run < other);
}

/* The stretch of `all` (by run) that belongs to a run. */
static const bn_latest *latest_of(const bn_latest *all, size_t count, int64_t run, size_t *own)
{
    *own = 0;
    const bn_latest *found = count ? bsearch(&run, all, count, sizeof *all, compare_latest) : NULL;
    if (!found) return NULL;
    while (found > all && found[-1].run == run) found--;
    while (found + *own < all + count && found[*own].run == run) (*own)++;
    return found;
}

static bn_status add_run(ls_context *ls, bn_json *json, size_t row, bn_print_run *what,
                         bn_error *err)
{
    char *config = NULL;
    if (bn_run_config(ls->store, what->run->id, &config, err) != BN_OK) return err->status;
    what->config = config;
    what->duration_s = bn_listing_duration_s(ls->listing, row);
    bn_json_object(json);
    bn_print_run_members(json, what);
    bn_json_end_object(json);
    free(config);
    return BN_OK;
}

static bn_status print_json(ls_context *ls, bn_error *err)
{
    bn_sweep *sweeps = NULL;
    bn_latest *all = NULL;
    size_t sweep_count = 0, count = 0;
    bn_json json = bn_print_begin(&ls->out);
    bn_status status = bn_sweep_list(ls->store, &sweeps, &sweep_count, err);
    if (status == BN_OK) {
        status = bn_history_latest_all(ls->store, ls->sweep.id, &all, &count, err);
    }
    bn_json_key(&json, "runs");
    bn_json_array(&json);
    for (size_t row = 0; status == BN_OK && row < bn_listing_count(ls->listing); row++) {
        bn_print_run what = {.run = bn_listing_run(ls->listing, row)};
        what.sweep = sweep_of(sweeps, sweep_count, what.run->sweep);
        what.latest = latest_of(all, count, what.run->id, &what.count);
        status = add_run(ls, &json, row, &what, err);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&ls->out, "\n");
    free(sweeps);
    free(all);
    return status == BN_OK ? bn_print_text(&ls->out, err) : status;
}

static bn_status ls_runs(ls_context *ls, bn_error *err)
{
    bn_status status =
        bn_listing_open(&ls->listing, ls->store, ls->sweep.id, bn_clock_wall_s(), err);
    if (status == BN_OK) status = select_rows(ls, err);
    if (status == BN_OK) status = ls->flags->json ? print_json(ls, err) : print_table(ls, err);
    bn_listing_close(ls->listing);
    return status;
}

static bn_status ls_metrics(ls_context *ls, bn_error *err)
{
    bn_metric_use *keys = NULL;
    size_t count = 0;
    bn_table table = {0};
    bn_status status = bn_history_keys(ls->store, ls->sweep.id, &keys, &count, err);
    bn_json json = bn_print_begin(&ls->out);
    bn_json_key(&json, "metrics");
    bn_json_array(&json);
    bn_table_column(&table, "metric", false);
    bn_table_column(&table, "runs", true);
    bn_table_column(&table, "numbers", true);
    for (size_t i = 0; i < count; i++) {
        bn_json_object(&json);
        bn_json_key(&json, "name");
        bn_json_string(&json, keys[i].key);
        bn_json_key(&json, "runs");
        bn_json_int(&json, keys[i].runs);
        bn_json_key(&json, "numbers");
        bn_json_int(&json, keys[i].numbers);
        bn_json_end_object(&json);
        bn_table_cell(&table, keys[i].key);
        bn_table_cellf(&table, "%lld", (long long)keys[i].runs);
        bn_table_cellf(&table, "%lld", (long long)keys[i].numbers);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&ls->out, "\n");
    if (status == BN_OK && ls->flags->json) status = bn_print_text(&ls->out, err);
    if (status == BN_OK && !ls->flags->json) status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    free(keys);
    return status;
}

enum { STATE_COUNT = BN_RUN_SKIPPED + 1 };

static void add_sweep(bn_json *json, bn_table *table, const bn_sweep *sweep, const int *states)
{
    char words[BN_WORDS_MAX];
    int all = 0, done = 0;
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, sweep->name);
    bn_json_key(json, "hash");
    bn_json_string(json, sweep->hash);
    bn_json_key(json, "method");
    bn_json_string(json, sweep->method);
    bn_json_key(json, "metric");
    bn_json_string(json, sweep->metric[0] ? sweep->metric : NULL);
    bn_json_key(json, "goal");
    bn_json_string(json, sweep->maximize ? "maximize" : "minimize");
    bn_json_key(json, "state");
    bn_json_string(json, bn_sweep_state_name(sweep->state));
    bn_json_key(json, "planned");
    bn_json_int(json, sweep->planned);
    bn_json_key(json, "runs");
    bn_json_object(json);
    for (int i = 0; i < STATE_COUNT; i++) {
        all += states[i];
        done += bn_run_state_final((bn_run_state)i) ? states[i] : 0;
        if (states[i] == 0) continue;
        bn_json_key(json, bn_run_state_name((bn_run_state)i));
        bn_json_int(json, states[i]);
    }
    bn_json_end_object(json);
    bn_print_time(json, "created", sweep->created_s);
    bn_json_end_object(json);
    int64_t planned = sweep->planned > all ? sweep->planned : all;
    bn_table_cell(table, sweep->name);
    bn_table_cell(table, sweep->method);
    bn_table_cell(table, sweep->metric[0] ? sweep->metric : "-");
    bn_table_cell(table, bn_sweep_state_name(sweep->state));
    bn_table_cellf(table, "%d/%lld", done, (long long)planned);
    bn_table_cellf(table, "%d", states[BN_RUN_RUNNING]);
    bn_table_cellf(table, "%d", states[BN_RUN_FAILED] + states[BN_RUN_CRASHED]);
    bn_table_cell(table, bn_words_time(words, sweep->created_s));
}

static bn_status ls_sweeps(ls_context *ls, bn_error *err)
{
    static const char *const headings[] = {"sweep", "method",  "metric", "state",
                                           "done",  "running", "failed", "created"};
    bn_sweep *sweeps = NULL;
    bn_run *runs = NULL;
    size_t count = 0, run_count = 0;
    bn_table table = {0};
    bn_status status = bn_sweep_list(ls->store, &sweeps, &count, err);
    if (status == BN_OK) status = bn_run_list(ls->store, 0, &runs, &run_count, err);
    bn_json json = bn_print_begin(&ls->out);
    bn_json_key(&json, "sweeps");
    bn_json_array(&json);
    for (size_t i = 0; i < 8; i++) bn_table_column(&table, headings[i], i >= 4 && i < 7);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        int states[STATE_COUNT] = {0};
        for (size_t k = 0; k < run_count; k++) {
            if (runs[k].sweep == sweeps[i].id) states[runs[k].state]++;
        }
        add_sweep(&json, &table, &sweeps[i], states);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&ls->out, "\n");
    if (status == BN_OK && ls->flags->json) status = bn_print_text(&ls->out, err);
    if (status == BN_OK && !ls->flags->json) status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    free(sweeps);
    free(runs);
    return status;
}

static const struct {
    const char *name;
    bn_status (*list)(ls_context *ls, bn_error *err);
} KINDS[] = {{"runs", ls_runs}, {"sweeps", ls_sweeps}, {"metrics", ls_metrics}};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

static bn_status find_kind(const bn_option_list *arguments, size_t *kind, bn_error *err)
{
    *kind = 0;
    if (arguments->count == 0) return BN_OK;
    const char *word = arguments->items[0];
    for (; *kind < KIND_COUNT; (*kind)++) {
        if (strcmp(KINDS[*kind].name, word) == 0) return BN_OK;
    }
    const char *near = bn_nearest(word, &KINDS[0].name, KIND_COUNT, sizeof KINDS[0]);
    return bn_fail(err, BN_EINVAL, "ls lists runs, sweeps or metrics, not '%.40s'%s%s%s", word,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bn_status list(const ls_flags *flags, const bn_option_list *arguments, bn_error *err)
{
    size_t kind = 0;
    ls_context ls = {.flags = flags};
    if (find_kind(arguments, &kind, err) != BN_OK) return err->status;
    bn_status status = bn_store_open(&ls.store, bn_command_home(flags->home), BN_STORE_READ, err);
    if (status == BN_OK && flags->sweep) {
        status = bn_sweep_find(ls.store, flags->sweep, &ls.sweep, err);
    }
    if (status == BN_OK) status = KINDS[kind].list(&ls, err);
    bn_text_release(&ls.out);
    bn_store_close(ls.store);
    return status;
}

int bn_cmd_ls(int argc, char **argv)
{
    ls_flags flags = {.limit = -1}; /* all */
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &flags.json, NULL, "JSON instead of a table"},
        {"--sweep", 0, BN_OPTION_TEXT, &flags.sweep, "NAME", "only of this sweep"},
        {"--state", 's', BN_OPTION_LIST, &flags.states, "STATE", "only runs in it; repeatable"},
        {"--tag", 0, BN_OPTION_LIST, &flags.tags, "TAG", "only runs that bear it; repeatable"},
        {"--where", 'w', BN_OPTION_TEXT, &flags.where, "CONDITION",
         "e.g. 'quant.variant == \"ternary\" and optim.lr > 1e-3'"},
        {"--sort", 0, BN_OPTION_TEXT, &flags.sort, "KEY", "by a column; -KEY: largest first"},
        {"--limit", 0, BN_OPTION_INT, &flags.limit, "N", "at most N runs"},
        {"--columns", 'c', BN_OPTION_TEXT, &flags.columns, "A,B,...",
         "fields, knobs, metrics (val/loss:min, :max, :step)"},
    };
    const bn_option_range ranges[] = {{&flags.limit, 0, INFINITY, false}};
    const bn_options options = {
        .usage = "bnexp ls [runs|sweeps|metrics] [options]",
        .about =
            "Lists what the home holds. A column is a field (id, name, sweep, number, state,\n"
            "reason, attempt, variant, host, device, exit_code, created, started, ended, tags,\n"
            "duration, records), a knob (optim.lr) or a metric (val/loss, val/loss:min).\n"
            "Conditions know them all; a name with '/' or ':' stands in backquotes.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_error err = {0};
    bool help = false;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) status = list(&flags, &arguments, &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
