/* dmath.h - exp and log in double where a bit is decided on the host: line searches, temperatures, folds.
 *
 * libm's last bits differ between versions; these are fixed sequences of IEEE additions, multiplications and divisions,
 * the same everywhere under -ffp-contract=off.  Relative error below 1e-15 (tests/unit_calibrate.c). */
#ifndef DMATH_H
#define DMATH_H

#include <math.h> /* INFINITY, NAN */
#include <stdint.h>
#include <string.h>

#define DM_LN2_HI 0x1.62e42feep-1 /* 32 bits: times an exponent it is exact */
#define DM_LN2_LO 0x1.a39ef35793c76p-33

static inline uint64_t dm_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double dm_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* e^x; 0 below -708, +inf above 709, NaN for NaN.  x = n ln 2 + r, then the Taylor series to r^13. */
static inline double dm_exp(double x)
{
    static const double inverse[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0
    };
    const double shift = 0x1.8p52; /* adding it rounds to an integer */
    if (!(x >= -708)) return x == x ? 0 : x;
    if (x > 709) return INFINITY;
    double t = x * 0x1.71547652b82fep+0 + shift, n = t - shift;
    double r = (x - n * DM_LN2_HI) - n * DM_LN2_LO, p = inverse[0];
    for (int i = 1; i < 14; i++) p = p * r + inverse[i];
    return p * dm_double((dm_bits(t) + 1023) << 52); /* the low bits of t hold n */
}

/* ln x; -inf at 0, NaN below.  x = m 2^e, m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m-1)/(m+1)). */
static inline double dm_log(double x)
{
    if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
    if (x == INFINITY) return x;
    double e = 0;
    if (x < 0x1p-1022) x *= 0x1p54, e = -54;
    uint64_t u = dm_bits(x);
    e += (double)((int64_t)(u >> 52) - 1023);
    double m = dm_double((u & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m > 0x1.6a09e667f3bcdp+0) m *= 0.5, e += 1;
    double q = (m - 1) / (m + 1), z = q * q, p = 0;
    for (int k = 23; k >= 3; k -= 2) p = (p + 1.0 / k) * z;
    return e * DM_LN2_HI + (2 * q + (2 * q * p + e * DM_LN2_LO));
}

#endif
