#include "engine/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static double seconds(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double bn_clock_wall_s(void)
{
    return seconds(CLOCK_REALTIME);
}

double bn_clock_mono_s(void)
{
    return seconds(CLOCK_MONOTONIC);
}

const char *bn_clock_text(char out[BN_CLOCK_TEXT_MAX], double wall_s)
{
    out[0] = '\0';
    if (!(wall_s >= 0.0 && wall_s < 2.5e11)) return out; /* to the year 9892; NaN fails too */
    time_t whole = (time_t)wall_s;
    int milli = (int)((wall_s - floor(wall_s)) * 1000.0);
    struct tm utc;
    if (gmtime_r(&whole, &utc) == NULL) return out;
    char date[24];
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, BN_CLOCK_TEXT_MAX, "%s.%03dZ", date, milli);
    return out;
}
