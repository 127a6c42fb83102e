#include "runner/search/quantile.h"

#include <math.h>

static const double SQRT_HALF = 0.70710678118654752440;
static const double SQRT_TWO_PI = 2.50662827463100050242;

/* Acklam's rational approximation (relative error 1.2e-9) for the lower half. */
static double quantile_start(double u)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                               -2.759285104469687e+02, 1.383577518672690e+02,
                               -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                               -1.556989798598866e+02, 6.680131188771972e+01,
                               -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                               -2.400758277161838e+00, -2.549732539343734e+00,
                               4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00};
    if (u < 0.02425) {
        double q = sqrt(-2.0 * log(u));
        return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
               ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1.0);
    }
    double q = u - 0.5, r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
           (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1.0);
}

/* u in (0, 0.5]. */
static double lower_quantile(double u)
{
    double x = quantile_start(u);
    if (x < -37) return x; /* exp below would overflow; nine digits are plenty out there */
    /* One step of Halley's method takes nine digits to sixteen. */
    double error = 0.5 * erfc(-x * SQRT_HALF) - u;
    double step = error * SQRT_TWO_PI * exp(0.5 * x * x);
    return x - step / (1.0 + 0.5 * x * step);
}

double bn_normal_quantile(double u)
{
    if (u <= 0) return -INFINITY;
    if (u >= 1) return INFINITY;
    if (u > 0.5) return -lower_quantile(1.0 - u);
    return lower_quantile(u);
}

double bn_erfcx(double x)
{
    if (x < 20) return exp(x * x) * erfc(x);
    /* Asymptotic series; at 20 its fifth term is below 1e-15. */
    double r = 1.0 / (2.0 * x * x);
    double series = 1.0 - r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r)));
    return series / (x * 1.77245385090551602730);
}

double bn_normal_log_cdf(double x)
{
    if (x > -5) return log(0.5 * erfc(-x * SQRT_HALF));
    return -0.5 * x * x + log(0.5 * bn_erfcx(-x * SQRT_HALF));
}

/* Continued fraction of the incomplete beta function (Lentz), for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change = 1.0;
        for (int half = 0; half < 2; half++) {
            double term = half ? odd : even;
            d = 1.0 + term * d;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = 1.0 + term / c;
            if (fabs(c) < tiny) c = tiny;
            change = c * d;
            h *= change;
        }
        if (fabs(change - 1.0) < 1e-15) break;
    }
    return h;
}

/* log |Gamma|: lgamma() of C keeps the sign in a global, which threads would share. Lanczos, g = 7;
 * x > 0. */
static double log_gamma(double x)
{
    static const double k[] = {0.99999999999980993,  676.5203681218851,     -1259.1392167224028,
                               771.32342877765313,   -176.61502916214059,   12.507343278686905,
                               -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7};
    /* Gamma(x) = Gamma(x + 1) / x: the approximation is good from 1/2 on. */
    double z = x < 0.5 ? x + 1.0 : x;
    double sum = k[0], t = z - 1.0 + 7.5;
    for (int i = 1; i < 9; i++) sum += k[i] / (z - 1.0 + i);
    double result = log(SQRT_TWO_PI) + (z - 0.5) * log(t) - t + log(sum);
    return x < 0.5 ? result - log(x) : result;
}

double bn_beta_cdf(double x, double a, double b)
{
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    double front = exp(a * log(x) + b * log1p(-x) + log_gamma(a + b) - log_gamma(a) - log_gamma(b));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1.0 - front * beta_fraction(1.0 - x, b, a) / b;
}

double bn_beta_quantile(double u, double a, double b)
{
    double low = 0, high = 1;
    for (int i = 0; i < 200 && low < high; i++) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) break;
        if (bn_beta_cdf(middle, a, b) < u) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 0.5 * (low + high);
}
