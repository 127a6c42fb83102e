/* site_number.h - numbers by the million: short, exact and quick. */
#ifndef BN_REPORTERS_SITE_NUMBER_H
#define BN_REPORTERS_SITE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/text.h"

/* Whether every finite one of the numbers is a float: then nine digits say it, and the reader gets
 * the number back by rounding to float. */
bool bn_site_numbers_are_floats(const double *numbers, size_t count);

/* Adds a double so that it reads back as the same double, or (narrow) as the same float. Whole
 * numbers and short decimals are found without printf: ten times as quick as trying precisions. */
void bn_site_number(bn_text *out, double number, bool narrow);

void bn_site_integer(bn_text *out, int64_t number);

/* Adds a column of integers: {"from":F,"by":B,"count":N} when they are evenly spaced, otherwise
 * {"from":F,"deltas":[...]}. */
void bn_site_integers(bn_text *out, const int64_t *numbers, size_t count);

#endif
