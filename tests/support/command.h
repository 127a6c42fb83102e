/* command.h - runs the built bnexp and keeps what it says. BNEXP is its path, from CMake. */
#ifndef BN_TESTS_COMMAND_H
#define BN_TESTS_COMMAND_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

typedef struct said {
    int code;        /* exit code, -1: ended by a signal */
    char *out, *err; /* NUL-terminated; said_release frees them */
} said;

static inline void said_release(said *what)
{
    free(what->out);
    free(what->err);
    *what = (said){0};
}

static inline char *command_read_all(FILE *file)
{
    long size = 0;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    char *data = calloc((size_t)size + 1, 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    (void)fclose(file);
    return data;
}

/* argv[0] is filled in; the list ends with NULL. */
static inline said command_run(const char **argv)
{
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    argv[0] = BNEXP;
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(fileno(out), STDOUT_FILENO);
        (void)dup2(fileno(err), STDERR_FILENO);
        char *words[32] = {0};
        for (int i = 0; i < 31 && argv[i]; i++) words[i] = strdup(argv[i]);
        (void)execv(BNEXP, words);
        _exit(127);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    said what = {.code = WIFEXITED(how) ? WEXITSTATUS(how) : -1};
    what.out = command_read_all(out);
    what.err = command_read_all(err);
    return what;
}

#define COMMAND(...) command_run((const char *[]){NULL, __VA_ARGS__, NULL})

#endif
