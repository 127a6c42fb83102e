#include "reporters/stats/special.h"

#include <float.h>
#include <math.h>

double bn_gauss_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/* Where an increasing function reaches p, p at most 1/2 and reached below 0. Bisection to a
 * double's end: slower than a rational approximation, and nothing to get wrong. */
static double reach(double (*cdf)(double x, double df), double df, double p)
{
    double low = -1, high = 0;
    while (cdf(low, df) > p && low > -1e300) low *= 2;
    for (int i = 0; i < 300 && high - low > 1e-15 * fabs(low); i++) {
        double middle = 0.5 * (low + high);
        if (cdf(middle, df) < p) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 0.5 * (low + high);
}

/* Both distributions are symmetric: the upper half is the lower one's mirror. */
static double quantile(double (*cdf)(double x, double df), double df, double p)
{
    if (p == 0) return -(double)INFINITY;
    if (p == 1) return (double)INFINITY;
    if (!(p > 0 && p < 1)) return (double)NAN;
    return p <= 0.5 ? reach(cdf, df, p) : -reach(cdf, df, 1 - p);
}

static double normal_cdf(double x, double df)
{
    (void)df;
    return bn_gauss_cdf(x);
}

double bn_gauss_quantile(double p)
{
    return quantile(normal_cdf, 0, p);
}

/* ln of the gamma function for x >= 1/2 (Lanczos, g = 7, n = 9; relative error below 1e-14). Not
 * lgamma(), which writes a global. */
static double log_gamma(double x)
{
    static const double c[] = {0.99999999999980993,  676.5203681218851,     -1259.1392167224028,
                               771.32342877765313,   -176.61502916214059,   12.507343278686905,
                               -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7};
    const double half_log_two_pi = 0.91893853320467274178;
    double sum = c[0], t = x + 6.5;
    for (int i = 1; i < 9; i++) sum += c[i] / (x - 1 + i);
    return half_log_two_pi + (x - 0.5) * log(t) - t + log(sum);
}

/* The continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    if (fabs(d) < tiny) d = tiny;
    d = 1 / d;
    double h = d;
    for (int m = 1; m < 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double steps[2] = {even, odd};
        double change = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + steps[i] * d;
            c = 1 + steps[i] / c;
            if (fabs(d) < tiny) d = tiny;
            if (fabs(c) < tiny) c = tiny;
            d = 1 / d;
            change = c * d;
            h *= change;
        }
        if (fabs(change - 1) < DBL_EPSILON) break;
    }
    return h;
}

/* Regularized incomplete beta function I_x(a, b). */
static double beta_share(double x, double a, double b)
{
    if (!(x > 0)) return 0;
    if (!(x < 1)) return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double bn_student_cdf(double t, double df)
{
    if (isinf(t)) return t > 0 ? 1 : 0;
    double tail = 0.5 * beta_share(df / (df + t * t), 0.5 * df, 0.5);
    return t > 0 ? 1 - tail : tail;
}

double bn_student_quantile(double p, double df)
{
    return quantile(bn_student_cdf, df, p);
}

double bn_fisher_tail(double f, double df1, double df2)
{
    if (isnan(f) || !(df1 > 0) || !(df2 > 0)) return (double)NAN;
    if (!(f > 0)) return 1;
    if (isinf(f)) return 0;
    return beta_share(df2 / (df2 + df1 * f), 0.5 * df2, 0.5 * df1);
}
