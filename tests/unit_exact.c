/* unit_exact.c - kernels/exact.h, philox.h and uncertainty.h against double libm and the formulas themselves.
 * SLUICE_TEST_FULL=1 visits every float; the default visits one in 997 and the neighbours of every edge. */
#include "exact.h"
#include "harness.h"
#include "philox.h"
#include "uncertainty.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t stride(void)
{
    const char *full = getenv("SLUICE_TEST_FULL");
    return full && full[0] == '1' ? 1 : 997;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* ---- functions ------------------------------------------------------------------------------------- */

/* Distance of got from want in units of the last float32 place of want; huge if one is NaN or infinite alone. */
static double ulps(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : 1e9;
    if (isinf(want)) return got == (float)want ? 0 : 1e9;
    if (isinf(got)) return isinf((float)want) && (got > 0) == (want > 0) ? 0 : 1e9;
    int e;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

/* The contract: a result that would be subnormal is 0. */
static double exp_error(float x)
{
    double want = exp((double)x);
    if (want < 0x1p-126) return ex_exp(x) == 0.0f ? 0 : 1e9;
    return ulps(ex_exp(x), want);
}
static double log_error(float x) { return ulps(ex_log(x), log((double)x)); }
static double log1p_error(float x) { return ulps(ex_log1p(x), log1p((double)x)); }
static double sqrt_error(float x) { return ex_sqrt(x) == (float)sqrt((double)x) || x < 0 || x != x ? 0 : 1e9; }

static void within(const char *name, double (*error)(float), double limit)
{
    if (!case_is("%s of every float", name)) return;
    static const float edges[] = { 0.0f,           1.0f,           2.0f,     0.5f,     0.75f,     1.5f,
                                   FLT_MIN,        FLT_MAX,        INFINITY, NAN,      88.72283f, 87.33654f,
                                   0x1.5d589ep+6f, 0x1.62e42ep+6f, 103.97f,  0x1p-24f, 0x1p-149f, 0x1p+24f };
    double worst = 0;
    float at = 0;
    for (uint64_t u = 0; u <= UINT32_MAX; u += stride()) {
        double e = error(ex_float((uint32_t)u));
        if (e > worst) worst = e, at = ex_float((uint32_t)u);
    }
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        for (uint32_t near = 0; near <= 8; near++)
            for (uint32_t sign = 0; sign < 2; sign++) {
                float x = ex_float((ex_bits(edges[i]) + near - 4u) ^ (sign << 31));
                double e = error(x);
                if (e > worst) worst = e, at = x;
            }
    CHECK(worst <= limit, "%s is %.3f ulp off at %a, allowed %.2f", name, worst, (double)at, limit);
}

static void exp_never_decreases(void)
{
    if (!case_is("exp never decreases")) return;
    int64_t wrong = 0;
    float at = 0;
    for (uint64_t u = 0; u < 0x42c00000u; u += stride()) { /* 0 .. 96 and 0 .. -96 */
        float x = ex_float((uint32_t)u), up = ex_float((uint32_t)u + 1);
        if (ex_exp(up) < ex_exp(x) || ex_exp(-up) > ex_exp(-x)) wrong++, at = x;
    }
    CHECK(wrong == 0, "%lld pairs of neighbours, one at %a", (long long)wrong, (double)at);
}

static void special_values(void)
{
    if (!case_is("special values")) return;
    CHECK(ex_exp(0.0f) == 1.0f && ex_exp(-INFINITY) == 0.0f && ex_exp(INFINITY) == INFINITY, "exp of 0 and infinities");
    CHECK(isnan(ex_exp(NAN)) && isnan(ex_log(NAN)) && isnan(ex_log1p(NAN)) && isnan(ex_sqrt(NAN)), "NaN stays NaN");
    CHECK(ex_log(0.0f) == -INFINITY && ex_log(-0.0f) == -INFINITY && isnan(ex_log(-1.0f)), "log at and below 0");
    CHECK(isnan(ex_log(-0x1p-149f)) && isnan(ex_log(-INFINITY)) && isnan(ex_log1p(-INFINITY)), "log below 0");
    CHECK(ex_log1p(-1.0f) == -INFINITY && isnan(ex_log1p(-1.5f)), "log1p at and below -1");
    CHECK(ex_bits(ex_log1p(-0.0f)) == 0x80000000u && ex_bits(ex_log1p(0.0f)) == 0, "log1p keeps zeros");
    CHECK(ex_log1p(0x1p-149f) == 0x1p-149f && ex_log1p(-0x1p-149f) == -0x1p-149f, "log1p of tiny x is x");
    CHECK(ex_sqrt(0x1p-148f) == (float)sqrt(0x1p-148) && isnan(ex_sqrt(-1.0f)), "sqrt");
    CHECK(ex_finite(FLT_MAX) && ex_finite(0x1p-149f) && ex_finite(-0.0f), "finite");
    CHECK(!ex_finite(INFINITY) && !ex_finite(-INFINITY) && !ex_finite(NAN), "not finite");
    CHECK(ex_bits(ex_nan()) == 0x7fc00000u, "NaN is %08x", ex_bits(ex_nan()));
}

/* Any change of a constant or of an operation's order shows here, where the error bounds allow both: picks made
 * with one version must be repeated by the next.  A change is an entry in CHANGELOG, and a new number. */
static void pinned_bits(void)
{
    if (!case_is("bits of the functions are those of the first release")) return;
    uint64_t sum[3] = { 0, 0, 0 };
    for (uint64_t u = 0; u <= UINT32_MAX; u += 4093) {
        float x = ex_float((uint32_t)u), r[3] = { ex_exp(x), ex_log(x), ex_log1p(x) };
        for (int k = 0; k < 3; k++) sum[k] = (sum[k] ^ (isnan(r[k]) ? 0 : ex_bits(r[k]))) * 0x100000001b3u;
    }
    static const uint64_t want[3] = { 0xe80c3f35ade9f3b7u, 0xa4a2b2432af96c5bu, 0x7a6eb5671411bc39u };
    for (int k = 0; k < 3; k++)
        CHECK(sum[k] == want[k], "%s: 0x%llx", k == 0 ? "exp" : k == 1 ? "log" : "log1p", (unsigned long long)sum[k]);
}

/* ---- fma ------------------------------------------------------------------------------------------- */

/* libm's fmaf is right (it is slow, which is why the kernels do without): the cases are random bits, cancel,
 * differ in exponent by a little, end among the subnormals, or lie a few places of a double off a midpoint:
 * c + 2^-24 (1 + m 2^-23) (1 - m 2^-23) = c + 2^-24 - m^2 2^-70. */
static void fma_against_libm(void)
{
    if (!case_is("fma against libm")) return;
    uint64_t state = 88172645463325252u;
    int64_t wrong = 0, n = stride() == 1 ? 100000000 : 10000000;
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next_random(&state), s = next_random(&state);
        uint32_t ua = (uint32_t)r, ub = (uint32_t)(r >> 32), uc = (uint32_t)s;
        int shift = (int)((s >> 32) % 60) - 30;
        float a = ex_float(ua), b = ex_float(ub), c = ex_float(uc);
        if (i % 5 == 1) c = ex_float(ex_bits(-(float)((double)a * b)) + (uint32_t)(s >> 61) - 4u);
        if (i % 5 == 2) c = (float)((double)a * b * ldexp(1, shift));
        if (i % 5 == 3) {
            a = ex_float((ua & 0x807fffffu) | ((uint32_t)(20 + (s >> 32) % 70) << 23));
            b = ex_float((ub & 0x807fffffu) | ((uint32_t)((s >> 40) % 70) << 23));
            c = ex_float(uc & 0x81ffffffu);
        }
        if (i % 5 == 4) {
            float m = (float)(ua % 4096) * 0x1p-23f, sign = s >> 63 ? -1.0f : 1.0f;
            a = 1 + m, b = (1 - m) * 0x1p-24f * sign, c = 1 + (float)(uc & 0x7fffffu) * 0x1p-23f;
        }
        float want = fmaf(a, b, c), soft = ex_fma_soft(a, b, c), used = ex_fma(a, b, c);
        uint32_t bits = ex_bits(want);
        if (isnan(want) ? !isnan(soft) || !isnan(used) : ex_bits(soft) != bits || ex_bits(used) != bits) wrong++;
    }
    CHECK(wrong == 0, "%lld of %lld differ", (long long)wrong, (long long)n);
}

/* ---- half floats ----------------------------------------------------------------------------------- */

static double f16_value(uint32_t h)
{
    int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000u ? -v : v;
}
static double bf16_value(uint32_t h)
{
    int e = (int)(h >> 7 & 255), m = (int)(h & 127);
    double v = e == 255 ? (m ? NAN : INFINITY) : e ? ldexp(128 + m, e - 134) : ldexp(m, -133);
    return h & 0x8000u ? -v : v;
}

static void widening(void)
{
    if (!case_is("all f16 and bf16 values widen exactly and come back")) return;
    int wrong = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        float a = ex_f16_to_f32((uint16_t)h), b = ex_bf16_to_f32((uint16_t)h);
        double va = f16_value(h), vb = bf16_value(h);
        if (isnan(va) ? !isnan(a) || (ex_f32_to_f16(a) & 0x7c00u) != 0x7c00u || !(ex_f32_to_f16(a) & 0x3ffu)
                      : a != va || !signbit(a) != !signbit(va) || ex_f32_to_f16(a) != h)
            wrong++;
        if (isnan(vb) ? !isnan(b) || !isnan(ex_bf16_to_f32(ex_f32_to_bf16(b)))
                      : b != vb || !signbit(b) != !signbit(vb) || ex_f32_to_bf16(b) != h)
            wrong++;
    }
    CHECK(wrong == 0, "%d of 131072", wrong);
}

/* Between neighbours of the narrow type: below the middle the lower, above it the upper, on it the even one. */
static int narrows(uint32_t h, double (*value)(uint32_t), uint16_t (*narrow)(float), double past_last)
{
    double lo = value(h), hi = value(h + 1), middle;
    if (isinf(hi)) hi = past_last;
    middle = (lo + hi) / 2; /* exact in double, and in float32 for all but past_last */
    float m = (float)middle, below = nextafterf(m, 0), above = nextafterf(m, INFINITY);
    uint32_t even = h & 1 ? h + 1 : h;
    return narrow(m) == even && narrow(below) == h && narrow(above) == h + 1 && narrow(-m) == (even | 0x8000u) &&
           narrow(-below) == (h | 0x8000u) && narrow(-above) == ((h + 1) | 0x8000u);
}

static void narrowing(void)
{
    if (!case_is("rounding to f16 and bf16 at every midpoint")) return;
    int wrong = 0;
    for (uint32_t h = 0; h < 0x7c00u; h++) wrong += !narrows(h, f16_value, ex_f32_to_f16, 65536.0);
    for (uint32_t h = 0; h < 0x7f80u; h++) wrong += !narrows(h, bf16_value, ex_f32_to_bf16, 0x1p128);
    CHECK(wrong == 0, "%d midpoints", wrong);
    CHECK(ex_f32_to_bf16(1e-40f) == 1 && ex_f32_to_f16(1e-40f) == 0, "subnormals round, they are not flushed");
    CHECK(ex_f32_to_f16(INFINITY) == 0x7c00 && ex_f32_to_f16(-1e9f) == 0xfc00, "overflow is infinite");
}

/* ---- order and hash -------------------------------------------------------------------------------- */

static void order_keys(void)
{
    if (!case_is("order keys")) return;
    int64_t wrong = 0;
    for (uint64_t u = 0; u < 0x7f800000u; u += stride()) { /* each x, its successor and their negatives */
        float x = ex_float((uint32_t)u), up = ex_float((uint32_t)u + 1);
        uint32_t k = ex_order_key(x), kn = ex_order_key(-x);
        if (!(ex_order_key(up) > k) || !(ex_order_key(-up) < kn) || (u ? kn >= k : kn != k)) wrong++;
        if (ex_order_score(k) != x || ex_order_score(kn) != -x || ex_order_key(ex_order_score(k)) != k) wrong++;
    }
    CHECK(wrong == 0, "%lld floats", (long long)wrong);
    CHECK(ex_order_key(NAN) == 0 && ex_order_key(-NAN) == 0 && ex_order_key(-INFINITY) > 0, "NaN is last");
    CHECK(ex_bits(ex_order_score(0)) == 0x7fc00000u, "key 0 is NaN");
}

static uint64_t unshift(uint64_t y, int s) /* inverse of x ^ (x >> s) */
{
    uint64_t x = y;
    for (int i = s; i < 64; i += s) x = y ^ (x >> s);
    return x;
}
static uint64_t inverse_of(uint64_t odd) /* modulo 2^64, by Newton */
{
    uint64_t x = odd;
    for (int i = 0; i < 6; i++) x *= 2 - odd * x;
    return x;
}
static uint64_t unmix(uint64_t y)
{
    y = unshift(y, 31) * inverse_of(0x94d049bb133111ebu);
    y = unshift(y, 27) * inverse_of(0xbf58476d1ce4e5b9u);
    return unshift(y, 30);
}

static void hash(void)
{
    if (!case_is("hash64 is a bijection")) return;
    /* the first three outputs of splitmix64 from seed 1234567, as published with its reference code */
    CHECK(ex_mix64(1234567 + 1 * 0x9e3779b97f4a7c15u) == 6457827717110365317u, "splitmix64 output 1");
    CHECK(ex_mix64(1234567 + 2 * 0x9e3779b97f4a7c15u) == 3203168211198807973u, "splitmix64 output 2");
    CHECK(ex_mix64(1234567 + 3 * 0x9e3779b97f4a7c15u) == 9817491932198370423u, "splitmix64 output 3");
    CHECK(ex_hash64(1, 2) == 0x20b396011b7a08d6u, "hash64(1, 2) is 0x%llx", (unsigned long long)ex_hash64(1, 2));
    uint64_t state = 1, flips = 0;
    int wrong = 0, pairs = 100000;
    for (int i = 0; i < pairs; i++) {
        uint64_t seed = i % 8 ? next_random(&state) : (uint64_t)i, id = i % 3 ? next_random(&state) : (uint64_t)i;
        uint64_t s = ex_mix64(seed + 0x9e3779b97f4a7c15u), h = ex_hash64(seed, id);
        if ((unmix(unmix(h) - s) ^ s) != id) wrong++;
        for (uint64_t d = h ^ ex_hash64(seed, id ^ (1ull << i % 64)); d; d &= d - 1) flips++;
    }
    CHECK(wrong == 0, "%d ids are not recovered from their hash", wrong);
    CHECK_NEAR((double)flips / pairs, 32.0, 0.1, "bits changed by one flipped bit of the id");
}

/* ---- random ---------------------------------------------------------------------------------------- */

static void philox(void)
{
    if (!case_is("Philox known answers")) return;
    static const struct {
        uint32_t ctr[4], key[2], want[4];
    } kat[] = {
        /* Random123, kat_vectors, philox4x32 10 */
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    uint32_t out[4], again[4];
    for (int i = 0; i < 3; i++) {
        ex_philox(kat[i].ctr, kat[i].key, out);
        for (int j = 0; j < 4; j++) CHECK(out[j] == kat[i].want[j], "vector %d word %d is %08x", i, j, out[j]);
    }
    ex_random4(0x299f31d0a4093822u ^ ex_mix64(7), 7, 0x85a308d3243f6a88u, 0x13198a2e, again);
    uint32_t ctr[4] = { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0 }, key[2] = { 0xa4093822, 0x299f31d0 };
    ex_philox(ctr, key, out);
    CHECK(!memcmp(again, out, sizeof out), "key and counter are laid out as documented");
    ex_random4(1, EX_GUMBEL, 5, 0, out);
    ex_random4(1, EX_SHUFFLE, 5, 0, again);
    CHECK(out[0] != again[0] && out[1] != again[1], "purposes differ");
}

static void uniform(void)
{
    if (!case_is("uniform01 and gumbel")) return;
    uint64_t state = 42;
    int wrong = 0, n = 200000;
    double sum = 0, square = 0;
    for (int i = 0; i < n; i++) {
        uint64_t bits = next_random(&state), tiny = bits >> (i % 65 < 64 ? i % 65 : 63);
        if (!tiny) tiny = 1;
        float u = ex_uniform01(tiny);
        double exact = (double)(tiny >> 32) * 0x1p-32 + (double)(tiny & UINT32_MAX) * 0x1p-64;
        if (!(u > 0 && u < 1 && u <= exact * (1 + 0x1p-50) && u >= exact * (1 - 0x1p-23))) wrong++;
        float g = ex_gumbel(tiny);
        if (!(fabs(g + log(-log1p(-(double)u))) <= 1e-6 * fmax(1, fabs(g)))) wrong++;
        double drawn = ex_gumbel(bits);
        sum += drawn, square += drawn * drawn;
    }
    CHECK(wrong == 0, "%d of %d draws", wrong, n);
    CHECK(ex_uniform01(0) == 0x1p-64f && ex_uniform01(1) == 0x1p-64f, "smallest uniform");
    CHECK(ex_uniform01(UINT64_MAX) == 1 - 0x1p-24f && ex_uniform01(1ull << 63) == 0.5f, "largest uniform and middle");
    CHECK_NEAR(sum / n, 0.57721566, 0.012, "mean is Euler's constant");
    CHECK_NEAR(square / n - sum / n * (sum / n), 1.6449341, 0.04, "variance is pi^2 / 6");
}

/* ---- sums and scores ------------------------------------------------------------------------------- */

static void fold(void)
{
    if (!case_is("fold by halves")) return;
    float p[16] = { 1e8f, 1, -1e8f, 3, 5, 0.1f, 7, 1e7f, 2, 0.3f, 1, -3, 1e-3f, 4, 9, -1e7f }, q[16];
    memcpy(q, p, sizeof q);
    for (int h = 8; h > 0; h /= 2)
        for (int i = 0; i < h; i++) q[i] += q[i + h];
    CHECK(ex_bits(ex_fold16(p)) == ex_bits(q[0]), "%a, by halves %a", (double)ex_fold16(p), (double)q[0]);
}

typedef struct scores {
    double confidence, least, margin, ratio, entropy, energy;
    int64_t best;
} scores;

/* By the definitions, in double, from the logits after the division (which the contract rounds to float32). */
static scores reference(const float *z, int64_t c, float temperature)
{
    double first = -INFINITY, second = -INFINITY, sum = 0, moment = 0;
    scores r;
    r.best = 0;
    for (int64_t j = 0; j < c; j++) {
        double y = z[j] / temperature;
        if (y > first) second = first, first = y, r.best = j;
        else if (y > second) second = y;
    }
    for (int64_t j = 0; j < c; j++) {
        double d = (double)(z[j] / temperature) - first;
        sum += j == r.best ? 0 : exp(d);
        moment += d < -700 ? 0 : exp(d) * d;
    }
    double p2 = c > 1 ? exp(second - first) : 0;
    r.confidence = 1 / (1 + sum);
    r.least = sum / (1 + sum);
    r.margin = (sum + p2) / (1 + sum);
    r.ratio = p2;
    r.entropy = c > 1 ? (log1p(sum) - moment / (1 + sum)) / log((double)c) : 0;
    r.energy = -temperature * (first + log1p(sum));
    return r;
}

static void compare(const float *z, int64_t c, float temperature, const char *kind)
{
    const double tol = 2e-6;
    ex_stat st = ex_reduce(z, c, temperature);
    scores want = reference(z, c, temperature);
    float log_c = ex_log((float)c);
    CHECK(st.best == want.best, "%s: best is %d, not %lld", kind, st.best, (long long)want.best);
    CHECK_NEAR(ex_confidence(st), want.confidence, tol, "%s: confidence", kind);
    CHECK_NEAR(ex_least_confidence(st), want.least, tol, "%s: least confidence", kind);
    CHECK_NEAR(ex_margin(st), want.margin, tol, "%s: margin", kind);
    CHECK_NEAR(ex_ratio(st), want.ratio, tol, "%s: ratio", kind);
    CHECK_NEAR(ex_entropy(st, log_c), want.entropy, tol, "%s: entropy", kind);
    CHECK(ex_entropy(st, log_c) >= 0 && ex_entropy(st, log_c) <= 1, "%s: entropy in [0, 1]", kind);
    CHECK(ex_margin(st) >= 0 && ex_margin(st) <= 1, "%s: margin in [0, 1]", kind);
    if (fabs(want.energy) <= FLT_MAX)
        CHECK_NEAR(ex_energy(st, temperature), want.energy, tol * fmax(1, fabs(want.energy)), "%s: energy", kind);
}

static void adversarial(int64_t c, float temperature)
{
    if (!case_is("scores c=%lld temperature=%g", (long long)c, (double)temperature)) return;
    float *z = malloc((size_t)c * sizeof *z);
    CHECK(z != NULL, "no memory for %lld logits", (long long)c);
    if (!z) return;
    static const float levels[] = { 0.0f, 1.0f, -1e-40f, 1e-40f, 88.0f, -1e4f, 1e30f, -1e30f, 3e38f };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        for (int64_t j = 0; j < c; j++) z[j] = levels[i];
        compare(z, c, temperature, "equal");
        z[c / 2] = -z[c / 2];
        compare(z, c, temperature, "one of the other sign");
        for (int64_t j = 0; j < c; j++) z[j] = 0;
        z[c - 1] = levels[i];
        compare(z, c, temperature, "one-hot");
        z[0] = levels[i];
        compare(z, c, temperature, "two-hot");
    }
    for (float gap = 0.01f; gap < 120; gap *= 1.07f) {
        for (int64_t j = 0; j < c; j++) z[j] = 0;
        z[c / 3] = gap;
        compare(z, c, temperature, "a gap above equals");
        for (int64_t j = 0; j < c; j++) z[j] = j % 2 ? gap : -gap;
        compare(z, c, temperature, "two levels");
    }
    static const float widths[] = { 1e-41f, 1e-3f, 1, 10, 100, 1e30f };
    uint64_t state = (uint64_t)c;
    for (size_t i = 0; i < 30; i++) {
        for (int64_t j = 0; j < c; j++)
            z[j] = widths[i % 6] * (float)((double)(int64_t)next_random(&state) * 0x1p-63 * 2);
        compare(z, c, temperature, "random");
    }
    free(z);
}

static void bad_rows(void)
{
    if (!case_is("rows that are not finite, and c = 1")) return;
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < 3; i++)
        for (int at = 0; at < 3; at++) {
            float z[3] = { 1, 2, 3 };
            z[at] = bad[i];
            ex_stat st = ex_reduce(z, 3, 1);
            float all[] = { st.z1,        ex_confidence(st),         ex_least_confidence(st), ex_margin(st),
                            ex_ratio(st), ex_entropy(st, ex_log(3)), ex_energy(st, 1) };
            for (size_t k = 0; k < sizeof all / sizeof *all; k++)
                CHECK(ex_bits(all[k]) == 0x7fc00000u, "value %zu is %08x", k, ex_bits(all[k]));
            CHECK(st.best == -1, "best is %d", st.best);
        }
    float overflow[2] = { 3e38f, 0 }, zeros[2] = { -0.0f, 0.0f }, one[1] = { 5 };
    CHECK(isnan(ex_reduce(overflow, 2, 0.5f).z1), "a logit that the temperature makes infinite is bad");
    CHECK(ex_bits(ex_reduce(zeros, 2, 1).z1) == 0 && ex_reduce(zeros, 2, 1).best == 0, "-0 equals +0");
    ex_stat st = ex_reduce(one, 1, 1);
    CHECK(ex_least_confidence(st) == 0 && ex_margin(st) == 0 && ex_ratio(st) == 0, "c = 1: 0");
    CHECK(ex_entropy(st, ex_log(1)) == 0 && ex_confidence(st) == 1 && ex_energy(st, 1) == -5, "c = 1: 0, 1, -z");
}

/* From a gap of 17 on 1 - p1 is 0 in float32; these scores keep falling until exp underflows at 87. */
static void confident_tail(int64_t c)
{
    if (!case_is("confident tail c=%lld", (long long)c)) return;
    float *z = calloc((size_t)c, sizeof *z), last[4] = { 2, 2, 2, 2 }, log_c = ex_log((float)c);
    CHECK(z != NULL, "no memory for %lld logits", (long long)c);
    if (!z) return;
    for (float gap = 0; gap < 87; gap += 0.0625f) {
        z[c - 1] = gap;
        ex_stat st = ex_reduce(z, c, 1);
        float now[4] = { ex_least_confidence(st), ex_margin(st), ex_ratio(st), ex_entropy(st, log_c) };
        for (int k = 0; k < 4; k++)
            CHECK(now[k] > 0 && (now[k] < last[k] || gap < 1), "score %d at gap %g: %g after %g", k, (double)gap,
                  (double)now[k], (double)last[k]);
        memcpy(last, now, sizeof last);
    }
    free(z);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    within("exp", exp_error, 1.02);
    within("log", log_error, 1.0);
    within("log1p", log1p_error, 1.5);
    within("sqrt", sqrt_error, 0);
    exp_never_decreases();
    special_values();
    pinned_bits();
    fma_against_libm();
    widening();
    narrowing();
    order_keys();
    hash();
    philox();
    uniform();
    fold();
    static const int64_t classes[] = { 1, 2, 3, 15, 16, 17, 1000, 21843 };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        adversarial(classes[i], 1.0f);
        adversarial(classes[i], 1.7f);
    }
    bad_rows();
    confident_tail(2);
    confident_tail(10);
    confident_tail(1000);
    return test_end();
}
