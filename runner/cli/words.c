#include "runner/cli/words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"

static const char *unknown(char out[BN_WORDS_MAX])
{
    (void)snprintf(out, BN_WORDS_MAX, "-");
    return out;
}

const char *bn_words_duration(char out[BN_WORDS_MAX], double seconds)
{
    if (!(fabs(seconds) < 1e12)) return unknown(out);
    if (seconds < 1) {
        (void)snprintf(out, BN_WORDS_MAX, "%.0f ms", seconds * 1e3);
        return out;
    }
    if (seconds < 60) {
        (void)snprintf(out, BN_WORDS_MAX, "%.1f s", seconds);
        return out;
    }
    long long whole = llround(seconds), minutes = whole / 60, hours = minutes / 60;
    if (hours < 1) {
        (void)snprintf(out, BN_WORDS_MAX, "%lldm %02llds", minutes, whole % 60);
    } else if (hours < 48) {
        (void)snprintf(out, BN_WORDS_MAX, "%lldh %02lldm", hours, minutes % 60);
    } else {
        (void)snprintf(out, BN_WORDS_MAX, "%lldd %02lldh", hours / 24, hours % 24);
    }
    return out;
}

/* Three digits and the largest unit that leaves a number of at least 1. */
static const char *scaled(char out[BN_WORDS_MAX], double number, double step,
                          const char *const *units, int count)
{
    int unit = 0;
    if (!isfinite(number)) return unknown(out);
    while (fabs(number) >= step * 0.9995 && unit + 1 < count) {
        number /= step;
        unit++;
    }
    double size = fabs(number);
    int digits = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    if (unit == 0 && number != floor(number)) digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    (void)snprintf(out, BN_WORDS_MAX, "%.*f%s", digits, number, units[unit]);
    return out;
}

const char *bn_words_bytes(char out[BN_WORDS_MAX], double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    return scaled(out, bytes, 1024, units, 5);
}

const char *bn_words_count(char out[BN_WORDS_MAX], double count)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    return scaled(out, count, 1000, units, 5);
}

const char *bn_words_number(char out[BN_WORDS_MAX], double number)
{
    if (isnan(number)) {
        (void)snprintf(out, BN_WORDS_MAX, "NaN");
    } else if (number == floor(number) && fabs(number) < 1e15) {
        (void)snprintf(out, BN_WORDS_MAX, "%.0f", number);
    } else {
        (void)snprintf(out, BN_WORDS_MAX, "%.6g", number);
    }
    return out;
}

const char *bn_words_time(char out[BN_WORDS_MAX], double wall_s)
{
    char text[BN_CLOCK_TEXT_MAX];
    if (!*bn_clock_text(text, wall_s)) return unknown(out);
    text[10] = ' '; /* 2026-11-22T18:17:10.742Z */
    (void)snprintf(out, BN_WORDS_MAX, "%.19s", text);
    return out;
}
