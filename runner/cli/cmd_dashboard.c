/* cmd_dashboard.c - bnexp dashboard: the home as a page, written to a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/config.h"
#include "reporters/site.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"

static bn_site_knob *page_knobs(size_t *count)
{
    const bn_knob *table = bn_knob_table(count);
    bn_site_knob *knobs = calloc(*count, sizeof *knobs);
    for (size_t i = 0; knobs && i < *count; i++) {
        knobs[i] = (bn_site_knob){.name = table[i].name,
                                  .unit = table[i].unit,
                                  .help = table[i].help,
                                  .identity = table[i].identity};
    }
    return knobs;
}

static bn_status write_site(const char *home, const char *out, bn_error *err)
{
    size_t count = 0;
    bn_site_knob *knobs = page_knobs(&count);
    if (!knobs) return bn_fail(err, BN_ENOMEM, "no memory for the page");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    bn_site_job job = {.home = home,
                       .out = out,
                       .knobs = knobs,
                       .knob_count = count,
                       .threads = cores > 1 ? (int)cores : 1,
                       .now_s = bn_clock_wall_s()};
    bn_site_summary summary = {0};
    if (bn_site_write(&job, &summary, err) == BN_OK) {
        (void)printf("%zu runs of %zu sweeps in %zu files, %.1f MiB\nopen %s/index.html\n",
                     summary.runs, summary.sweeps, summary.files,
                     (double)summary.size_bytes / (1 << 20), out);
    }
    free(knobs);
    return err->status;
}

int bn_cmd_dashboard(int argc, char **argv)
{
    const char *home = NULL;
    const char *out = NULL;
    const bn_option table[] = {
        {"--out", 'o', BN_OPTION_TEXT, &out, "DIR", "write the page into this folder"},
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home to show (BNEXP_HOME, ./runs)"},
    };
    const bn_options options = {.usage = "bnexp dashboard --out DIR [--home DIR]",
                                .about = "Writes what the home holds as a page: a folder that "
                                         "opens in a browser from disk\nor from any web server.",
                                .table = table,
                                .count = sizeof table / sizeof table[0]};
    bn_option_list arguments;
    bool help = false;
    bn_error err = {0};
    if (bn_options_parse(&options, argc, argv, &arguments, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    if (!out) {
        (void)bn_fail(&err, BN_EINVAL, "say where the page goes: %s", options.usage);
        return bn_command_fail(&err);
    }
    if (write_site(bn_command_home(home), out, &err) != BN_OK) return bn_command_fail(&err);
    return BN_EXIT_OK;
}
