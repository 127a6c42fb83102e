/* spec_macro.h - the macros that a word of [run] command may hold: one table of their names.
 *
 * A sweep file is refused for a macro that is none before anything starts; sweep_command.h puts
 * values in their places when a run does.
 */
#ifndef BN_RUNNER_SPEC_MACRO_H
#define BN_RUNNER_SPEC_MACRO_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"

enum { BN_MACRO_MAX = 128 };

/* The macro that begins at text, "${name}", without its braces; the bytes it takes, 0: none begins
 * there. */
size_t bn_macro_at(const char *text, char name[BN_MACRO_MAX]);

/* Fails unless the name is a macro that may stand where it does: alone in its word (whole), or
 * inside of one. BN_EINVAL: with the nearest name, or that it must be a word of its own. */
BN_MUST_CHECK bn_status bn_macro_check(const char *name, bool whole, bn_error *err);

/* NAME of "param:NAME", or NULL. */
const char *bn_macro_parameter(const char *name);

#endif
