/* spec_read.h - what the readers of a sweep file's parts share. Only for runner/spec*.c. */
#ifndef BN_RUNNER_SPEC_READ_H
#define BN_RUNNER_SPEC_READ_H

#include "runner/spec.h"
#include "runner/toml.h"

typedef struct bn_spec_reader {
    bn_spec *spec;
    const bn_toml_node *root;
    bn_config *scratch;    /* values are tried here */
    int config_lines[256]; /* by knob: where [config] sets it; 0: it does not */
    int param_lines[BN_SPACE_PARAMS_MAX];
    int zip;          /* number of the [[zip]] at hand */
    int command_line; /* where the command stands */
    bn_error *err;
} bn_spec_reader;

/* "file:line: ..."; line 0: it was no line of the file (--set). */
bn_status bn_spec_fail(const bn_spec_reader *reader, int line, const char *fmt, ...)
    BN_PRINTF(3, 4);

/* The failure in err, with "file:line: " before it. */
bn_status bn_spec_fail_at(const bn_spec_reader *reader, int line);

typedef enum bn_spec_key_kind {
    BN_KEY_TEXT,
    BN_KEY_CHOICE, /* a text field that holds one of `choices` */
    BN_KEY_INT,    /* int field */
    BN_KEY_INT64,
    BN_KEY_REAL,
    BN_KEY_BOOL,
    BN_KEY_SECONDS, /* double field: a number of seconds, or "90s" "10m" "6h" "2d" */
    BN_KEY_PART,    /* read by a function of its own */
} bn_spec_key_kind;

/* A key of the sweep file and where its value goes. */
typedef struct bn_spec_key {
    const char *name; /* "run_cap", "resources.jobs" */
    bn_spec_key_kind kind;
    size_t offset, size_bytes; /* in bn_spec */
    double min, max;
    const char *choices; /* CHOICE: "minimize|maximize" */
} bn_spec_key;

const bn_spec_key *bn_spec_key_table(size_t *count);

/* Every key of a table named `section` ("" for the file itself) that the key table has; others are
 * errors with the nearest valid name. */
BN_MUST_CHECK bn_status bn_spec_read_keys(bn_spec_reader *reader, const bn_toml_node *table,
                                          const char *section);

/* The dotted key that a name was probably meant to be ("resource.jobs"), or NULL. */
const char *bn_spec_like_key(const char *name);

/* One key from its text, as --set gives it. BN_ENOENT: there is no such key (err is untouched). */
BN_MUST_CHECK bn_status bn_spec_set_key(bn_spec_reader *reader, const char *name, const char *text);

/* Fails unless every key of the table is among names (NULL ends). */
BN_MUST_CHECK bn_status bn_spec_known_keys(const bn_spec_reader *reader, const bn_toml_node *table,
                                           const char *where, const char *const *names);

/* "the text \"x\"", "12", "a table": what was found where something else was expected. */
const char *bn_spec_describe(const bn_toml_node *node, char out[80]);

/* A plain value (number, text, true or false). what names it in the message. */
BN_MUST_CHECK bn_status bn_spec_read_setting(const bn_spec_reader *reader, const bn_toml_node *node,
                                             const char *what, bn_setting *out);

/* Fails unless the knob of that name exists and takes the value (external programs: always fine).
 */
BN_MUST_CHECK bn_status bn_spec_check_value(const bn_spec_reader *reader, const char *name,
                                            const bn_setting *value, int line);

/* Calls leaf for every value below a table, with its dotted name and in the order of the file: a.b
 * = 1, "a.b" = 1 and [a] b = 1 are the same. */
typedef bn_status (*bn_spec_leaf)(bn_spec_reader *reader, const char *name,
                                  const bn_toml_node *node, int line);
BN_MUST_CHECK bn_status bn_spec_each_leaf(bn_spec_reader *reader, const bn_toml_node *table,
                                          bn_spec_leaf leaf);

/* The same for parameters, which are tables: what holds nothing but tables is no parameter, and
 * wandb's word `parameters` between them no part of a name. */
BN_MUST_CHECK bn_status bn_spec_each_parameter(bn_spec_reader *reader, const bn_toml_node *table,
                                               bn_spec_leaf leaf);

/* A section of the file that must be a table; *out NULL when it is absent. */
BN_MUST_CHECK bn_status bn_spec_section(const bn_spec_reader *reader, const char *name,
                                        const bn_toml_node **out);

/* A formula, compiled; its names must be parameters before number `limit` or, for the built-in
 * engine, knobs (BN_SPEC_ANY_NAME: they are not looked at). what names it in messages. The caller
 * frees *out. */
enum { BN_SPEC_ANY_NAME = -1 };
BN_MUST_CHECK bn_status bn_spec_read_formula(const bn_spec_reader *reader, const bn_toml_node *node,
                                             const char *what, int limit, bn_expr **out);

/* The parts, in the order in which they are read. */
BN_MUST_CHECK bn_status bn_spec_read_command(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_config(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_parameters(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_zips(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_derived(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_constraints(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_baseline(bn_spec_reader *reader);
BN_MUST_CHECK bn_status bn_spec_read_enqueue(bn_spec_reader *reader); /* after bn_spec_override */
BN_MUST_CHECK bn_status bn_spec_check_command(const bn_spec_reader *reader); /* its macros */
BN_MUST_CHECK bn_status bn_spec_override(bn_spec_reader *reader, const char *assignment);

/* Adds an empty parameter; its name must be new. */
BN_MUST_CHECK bn_status bn_spec_add_parameter(bn_spec_reader *reader, const char *name, int line,
                                              bn_parameter **out);

/* Reads `values` of a parameter: an array of at least one value that its knob takes. */
BN_MUST_CHECK bn_status bn_spec_read_values(const bn_spec_reader *reader, bn_parameter *p,
                                            const bn_toml_node *list);

/* Adds a parameter with this one value. */
BN_MUST_CHECK bn_status bn_spec_add_constant(bn_spec_reader *reader, const char *name,
                                             const bn_setting *value, int line);

/* Fills spec->hash. */
BN_MUST_CHECK bn_status bn_spec_hash(bn_spec *spec, bn_error *err);

/* Files of a knob made absolute; "" and names that are no files stay. BN_ENOENT. */
BN_MUST_CHECK bn_status bn_spec_resolve_paths(const bn_spec *spec, bn_config *config,
                                              bn_error *err);

#endif
