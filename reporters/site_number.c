#include "reporters/site_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Powers of ten that a double holds exactly. */
static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { POWER_COUNT = sizeof POWERS / sizeof POWERS[0] };

bool bn_site_numbers_are_floats(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(numbers[i])) continue;
        if (fabs(numbers[i]) > 3e38 || (double)(float)numbers[i] != numbers[i]) return false;
    }
    return true;
}

void bn_site_integer(bn_text *out, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) digits[--at] = '-';
    bn_text_add_bytes(out, digits + at, sizeof digits - at);
}

/* whole / 10^decimals as a decimal: 31, 2 -> 0.31. */
static void add_decimal(bn_text *out, int64_t whole, int decimals, bool negative)
{
    char digits[48];
    size_t at = sizeof digits;
    int written = 0;
    while (whole || written <= decimals) {
        if (written == decimals && decimals > 0) digits[--at] = '.';
        digits[--at] = (char)('0' + whole % 10);
        whole /= 10;
        written++;
    }
    if (negative) digits[--at] = '-';
    bn_text_add_bytes(out, digits + at, sizeof digits - at);
}

/* Below this a decimal is mostly zeros, and an exponent says it shorter. */
static const double SHORT_MIN = 1e-5;

/* The fewest decimals that give the number back. The quotient of two exact doubles is correctly
 * rounded, so it is what a reader of that decimal gets. */
static bool add_short(bn_text *out, double number, bool narrow)
{
    double size = fabs(number);
    double limit = narrow ? 1e9 : 9e15;
    if (size < SHORT_MIN) return false;
    for (int decimals = 0; decimals < POWER_COUNT; decimals++) {
        double scaled = size * POWERS[decimals];
        if (scaled >= limit) return false;
        double whole = rint(scaled);
        double back = whole / POWERS[decimals];
        if (narrow ? (float)back == (float)size : back == size) {
            add_decimal(out, (int64_t)whole, decimals, number < 0);
            return true;
        }
    }
    return false;
}

void bn_site_number(bn_text *out, double number, bool narrow)
{
    if (!isfinite(number)) {
        bn_text_number(out, number, BN_NONFINITE_QUOTED);
        return;
    }
    if (number == 0) {
        bn_text_add_bytes(out, "0", 1);
        return;
    }
    if (add_short(out, number, narrow)) return;
    bn_text_addf(out, narrow ? "%.9g" : "%.17g", number);
}

/* Differences of hostile numbers wrap rather than overflow. */
static int64_t difference(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

void bn_site_integers(bn_text *out, const int64_t *numbers, size_t count)
{
    bn_text_add(out, "{\"from\":");
    bn_site_integer(out, count ? numbers[0] : 0);
    int64_t by = count > 1 ? difference(numbers[1], numbers[0]) : 1;
    bool even = true;
    for (size_t i = 1; i < count && even; i++) even = difference(numbers[i], numbers[i - 1]) == by;
    if (even) {
        bn_text_add(out, ",\"by\":");
        bn_site_integer(out, by);
        bn_text_add(out, ",\"count\":");
        bn_site_integer(out, (int64_t)count);
        bn_text_add(out, "}");
        return;
    }
    bn_text_add(out, ",\"deltas\":[");
    for (size_t i = 1; i < count; i++) {
        if (i > 1) bn_text_add_bytes(out, ",", 1);
        bn_site_integer(out, difference(numbers[i], numbers[i - 1]));
    }
    bn_text_add(out, "]}");
}
