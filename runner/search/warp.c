#include "runner/search/warp.h"

#include <math.h>

static const double POWER_MIN = -1, POWER_STEP = 0.1;
enum { POWERS = 41 };

/* Yeo and Johnson's transform of z; *slope: its derivative (1 + |z|)^(+-(power - 1)). */
static double bend(double z, double power, double *slope)
{
    double exponent = z >= 0 ? power : 2 - power, side = z >= 0 ? 1 : -1;
    double log_reach = log1p(fabs(z));
    *slope = exp((exponent - 1) * log_reach);
    if (fabs(exponent) < 1e-9) return side * log_reach;
    return side * expm1(exponent * log_reach) / exponent;
}

/* Mean and deviation; 1 where the spread is no more than rounding. */
static void describe(double sum, double squares, double count, double *mean, double *deviation)
{
    *mean = sum / count;
    double variance = squares / count - *mean * *mean;
    *deviation = variance > 1e-12 * squares / count ? sqrt(variance) : 1;
}

/* Sets the power and returns the log likelihood of the values under it, less a constant. */
static double try_power(bn_warp *warp, double power, const double *values, size_t count)
{
    double sum = 0, squares = 0, logs = 0;
    warp->power = power;
    for (size_t i = 0; i < count; i++) {
        double slope, bent = bend((values[i] - warp->mean) / warp->deviation, power, &slope);
        sum += bent;
        squares += bent * bent;
        logs += log(slope);
    }
    describe(sum, squares, (double)count, &warp->bent_mean, &warp->bent_deviation);
    return logs - (double)count * log(warp->bent_deviation);
}

void bn_warp_fit(bn_warp *warp, const double *values, size_t count)
{
    double sum = 0, squares = 0, best = -INFINITY, kept = 1;
    *warp = (bn_warp){.deviation = 1, .power = 1, .bent_deviation = 1};
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) sum += values[i];
    /* Around the mean, so that large values with a small spread keep it. */
    for (size_t i = 0; i < count; i++) {
        double apart = values[i] - sum / (double)count;
        squares += apart * apart;
    }
    warp->mean = sum / (double)count;
    double deviation = sqrt(squares / (double)count);
    if (!(deviation > 1e-12 * fabs(warp->mean))) return;
    warp->deviation = deviation;
    for (int i = 0; i < POWERS; i++) {
        double power = POWER_MIN + i * POWER_STEP;
        double likelihood = try_power(warp, power, values, count);
        if (!(likelihood > best)) continue;
        best = likelihood;
        kept = power;
    }
    (void)try_power(warp, kept, values, count);
}

double bn_warp_at(const bn_warp *warp, double value, double *slope)
{
    double bent = bend((value - warp->mean) / warp->deviation, warp->power, slope);
    *slope /= warp->deviation * warp->bent_deviation;
    return (bent - warp->bent_mean) / warp->bent_deviation;
}
