/* cmd_completion.c - bnexp completion SHELL, and bnexp man: both are made from the command table
 * and from what each command's --help says, so they cannot lag behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/nearest.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"

/* Flags are asked of `bnexp COMMAND --help` at the moment they are needed: that takes 1 ms. */
static const char BASH[] =
    "# bnexp completion for bash: eval \"$(bnexp completion bash)\"\n"
    "_bnexp() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
    "        COMPREPLY=($(compgen -W \"$(bnexp completion words)\" -- \"$word\"))\n"
    "    elif [[ $word == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$(bnexp \"$command\" --help 2>/dev/null |\n"
    "            grep -oE -- '^ .{0,6}--[a-z-]+' | grep -oE -- '--[a-z-]+')\" -- \"$word\"))\n"
    "    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == --sweep ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$(bnexp ls sweeps 2>/dev/null |\n"
    "            tail -n +2 | cut -d' ' -f1)\" -- \"$word\"))\n"
    "    elif [[ $command =~ ^(show|logs|diff|tag|note|rm)$ ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$(bnexp ls --columns name 2>/dev/null | tail -n +2)\" \\\n"
    "            -- \"$word\"))\n"
    "    else\n"
    "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _bnexp bnexp\n";
static const char ZSH[] =
    "#compdef bnexp\n"
    "# bnexp completion for zsh: eval \"$(bnexp completion zsh)\"\n"
    "_bnexp() {\n"
    "    local command=$words[2]\n"
    "    if (( CURRENT == 2 )); then\n"
    "        compadd -- $(bnexp completion words)\n"
    "    elif [[ $words[CURRENT] == -* ]]; then\n"
    "        compadd -- $(bnexp $command --help 2>/dev/null |\n"
    "            grep -oE -- '^ .{0,6}--[a-z-]+' | grep -oE -- '--[a-z-]+')\n"
    "    elif [[ $words[CURRENT-1] == --sweep ]]; then\n"
    "        compadd -- $(bnexp ls sweeps 2>/dev/null | tail -n +2 | cut -d' ' -f1)\n"
    "    elif [[ $command == (show|logs|diff|tag|note|rm) ]]; then\n"
    "        compadd -- $(bnexp ls --columns name 2>/dev/null | tail -n +2)\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "compdef _bnexp bnexp\n";
static const char FISH[] =
    "# bnexp completion for fish: bnexp completion fish | source\n"
    "function __bnexp_flags\n"
    "    set -l words (commandline -opc)\n"
    "    test (count $words) -ge 2; or return\n"
    "    bnexp $words[2] --help 2>/dev/null | string match -rg '^ .{0,6}(--[a-z-]+)'\n"
    "end\n"
    "complete -c bnexp -n __fish_use_subcommand -f -a '(bnexp completion words)'\n"
    "complete -c bnexp -n 'not __fish_use_subcommand' -a '(__bnexp_flags)'\n"
    "complete -c bnexp -n '__fish_seen_subcommand_from show logs diff tag note rm' -f \\\n"
    "    -a '(bnexp ls --columns name 2>/dev/null | tail -n +2)'\n"
    "complete -c bnexp -n '__fish_prev_arg_in --sweep' -f \\\n"
    "    -a '(bnexp ls sweeps 2>/dev/null | tail -n +2 | string split -f1 \" \")'\n";

static void print_words(void)
{
    size_t count = 0;
    const bn_command *commands = bn_command_table(&count);
    for (size_t i = 0; i < count; i++) (void)printf("%s\n", commands[i].name);
}

static bn_status print_script(const char *shell, bn_error *err)
{
    static const char *const names[] = {"bash", "zsh", "fish", "words"};
    static const char *const scripts[] = {BASH, ZSH, FISH, NULL};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(names[i], shell) != 0) continue;
        if (scripts[i]) (void)fputs(scripts[i], stdout);
        if (!scripts[i]) print_words();
        return BN_OK;
    }
    const char *near = bn_nearest(shell, names, 3, sizeof names[0]);
    return bn_fail(err, BN_EINVAL, "completion is for bash, zsh or fish, not '%.40s'%s%s%s", shell,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int bn_cmd_completion(int argc, char **argv)
{
    const bn_options options = {
        .usage = "bnexp completion bash|zsh|fish",
        .about = "Prints a completion script: eval \"$(bnexp completion bash)\"",
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_error err = {0};
    bool help = false;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) status = print_script(arguments.items[0], &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

/* Text that roff takes as it stands: no line begins a request, '-' is a minus, '\' is itself. */
static void print_roff(FILE *from)
{
    int before = '\n';
    for (int c = fgetc(from); c != EOF; before = c, c = fgetc(from)) {
        if (before == '\n' && (c == '.' || c == '\'')) (void)fputs("\\&", stdout);
        if (c == '\\') {
            (void)fputs("\\e", stdout);
        } else if (c == '-') {
            (void)fputs("\\-", stdout);
        } else {
            (void)fputc(c, stdout);
        }
    }
}

/* What the command prints for --help, caught in a file. */
static bn_status print_help_of(const bn_command *command, bn_error *err)
{
    char name[32], flag[] = "--help";
    char *argv[] = {name, flag, NULL};
    (void)snprintf(name, sizeof name, "%s", command->name);
    if (fflush(stdout) != 0) return bn_fail_errno(err, "write to stdout");
    FILE *caught = tmpfile();
    int real = caught ? dup(STDOUT_FILENO) : -1;
    if (real < 0 || dup2(fileno(caught), STDOUT_FILENO) < 0) {
        (void)bn_fail_errno(err, "catch the help of %s", command->name);
        if (real >= 0) (void)close(real);
        if (caught) (void)fclose(caught);
        return err->status;
    }
    (void)command->run(2, argv);
    (void)fflush(stdout);
    bool restored = dup2(real, STDOUT_FILENO) >= 0;
    (void)close(real);
    rewind(caught);
    if (restored) print_roff(caught);
    (void)fclose(caught);
    return restored ? BN_OK : bn_fail_errno(err, "restore stdout");
}

int bn_cmd_man(int argc, char **argv)
{
    const bn_options options = {
        .usage = "bnexp man",
        .about = "Prints the manual page: bnexp man | man -l -",
    };
    bn_option_list none;
    bn_error err = {0};
    bool help = false;
    size_t count = 0;
    const bn_command *commands = bn_command_table(&count);
    bn_status status = bn_options_parse(&options, argc, argv, &none, &help, &err);
    if (status != BN_OK) return bn_command_fail(&err);
    if (help) return BN_EXIT_OK;
    (void)printf(".TH BNEXP 1 \"\" \"bnexp %s\"\n.SH NAME\nbnexp \\- what 1.58\\-bit transformers "
                 "cost and save, next to FP16 twins\n.SH SYNOPSIS\n.B bnexp\n.I COMMAND\n"
                 "[arguments]\n.SH COMMANDS\n",
                 BN_VERSION);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (strcmp(commands[i].name, "help") == 0 || strcmp(commands[i].name, "version") == 0) {
            continue;
        }
        (void)printf(".SS %s\n%s\n.nf\n", commands[i].name, commands[i].help);
        status = print_help_of(&commands[i], &err);
        (void)printf(".fi\n");
    }
    (void)printf(".SH ENVIRONMENT\n.TP\nBNEXP_HOME\nthe home, when \\-\\-home is not given; else "
                 "./runs\n.SH EXIT STATUS\n0 done; 1 the machine failed; 2 wrong input; 3 not "
                 "found; 4 ambiguous; 5 the state forbids it; 6 done, but some runs failed\n");
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
