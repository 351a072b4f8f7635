/* exact.h - the one source of elementary functions, for C17, C++17 and CUDA.
 * Contract in docs/numerics.md; tests/unit_exact.c visits every float of each range.
 *
 * Each function is a fixed sequence of IEEE float32 add, mul, div, fma and of integer operations, so its
 * bits are the same in every tier, on every CPU and GPU.  That holds only with -ffp-contract=off (nvcc:
 * --fmad=false -prec-div=true -prec-sqrt=true -ftz=false) and with subnormals switched on (MXCSR 0x1F80).
 * A maximum is written x > y ? x : y, never fmin or fmax, which disagree between ISAs on NaN and zeros.
 *
 *   bits and fma    ex_bits ex_float ex_nan ex_inf ex_finite ex_pick ex_fma
 *   functions       ex_exp ex_log ex_log1p ex_sqrt
 *   order, hash     ex_order_key ex_order_score ex_mix64 ex_hash64
 *   sums            ex_fold16 ex_round64
 *   half floats     ex_f16_to_f32 ex_f32_to_f16 ex_bf16_to_f32 ex_f32_to_bf16
 */
#ifndef SLUICE_EXACT_H
#define SLUICE_EXACT_H

#include <float.h>  /* FLT_EVAL_METHOD */
#include <stdint.h> /* uint32_t, uint64_t */
#include <string.h> /* memcpy */

#if defined __FAST_MATH__
#error "exact.h: -ffast-math changes results; compile without it"
#endif
#if defined FLT_EVAL_METHOD && FLT_EVAL_METHOD == 2
#error "exact.h: x87 arithmetic keeps extra bits; compile with -msse2 -mfpmath=sse"
#endif

#ifdef __CUDACC__
#define EX_FN static __host__ __device__ __forceinline__
#else
#define EX_FN static inline
#endif

#if defined __CUDA_ARCH__
#define EX_DEVICE 1
#elif defined __FMA__ || defined __ARM_FEATURE_FMA
#define EX_FMA_HARDWARE 1
#endif

#if !defined EX_DEVICE && defined __SSE2__
#include <emmintrin.h> /* _mm_sqrt_ss: sqrtf would call libm to set errno */
#elif !defined EX_DEVICE
#include <math.h> /* sqrtf, correctly rounded by IEEE 754 */
#endif

/* ---- bits and fma ---------------------------------------------------------------------------------- */

EX_FN uint32_t ex_bits(float x)
{
#ifdef EX_DEVICE
    return __float_as_uint(x);
#else
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
#endif
}

EX_FN float ex_float(uint32_t u)
{
#ifdef EX_DEVICE
    return __uint_as_float(u);
#else
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
#endif
}

/* The NaN that every quarantined row gets. */
EX_FN float ex_nan(void) { return ex_float(0x7fc00000u); }
EX_FN float ex_inf(void) { return ex_float(0x7f800000u); }

/* Tested on the exponent bits, so that no compiler option and no MXCSR setting can change the answer. */
EX_FN int ex_finite(float x) { return (ex_bits(x) & 0x7f800000u) != 0x7f800000u; }

/* yes ? a : b by masks: compilers turn a chain of conditionals into branches, and the loop is scalar then. */
EX_FN uint32_t ex_pick_bits(int yes, uint32_t a, uint32_t b) { return b ^ ((a ^ b) & (0u - (uint32_t)yes)); }
EX_FN float ex_pick(int yes, float a, float b) { return ex_float(ex_pick_bits(yes, ex_bits(a), ex_bits(b))); }

/* a*b + c rounded once, without FMA hardware.  a*b is exact in double; the sum is rounded to odd (Boldo and
 * Melquiond, "Emulation of FMA and correctly rounded sums", 2008), after which rounding to float is right
 * because 53 >= 2 * 24 + 2.  An infinite or NaN sum, whose error term is NaN, stays as it is. */
EX_FN float ex_fma_soft(float a, float b, float c)
{
    double p = (double)a * (double)b, q = (double)c;
    double s = p + q, t = s - p;
    double e = (p - (s - t)) + (q - t);
    uint64_t us, ue;
    memcpy(&us, &s, sizeof us);
    memcpy(&ue, &e, sizeof ue);
    uint64_t size = ue << 1; /* integers only: SSE2 has no select */
    uint64_t inexact = (size | (0u - size)) >> 63;
    uint64_t special = (((us >> 52) & 0x7ffu) + 1u) >> 11;
    uint64_t odd = inexact & ~special & ~us & 1u; /* 1 if s is inexact, finite and even: one place ... */
    uint64_t step = 1u - 2u * ((us ^ ue) >> 63);  /* ... towards e: +1, or -1 if the signs differ */
    us += step & (0u - odd);
    memcpy(&s, &us, sizeof s);
    return (float)s;
}

/* a*b + c rounded once.  Never libm's fmaf, which takes 50 ns where there is no FMA instruction. */
EX_FN float ex_fma(float a, float b, float c)
{
#if defined EX_DEVICE
    return __fmaf_rn(a, b, c);
#elif defined EX_FMA_HARDWARE
    return __builtin_fmaf(a, b, c);
#else
    return ex_fma_soft(a, b, c);
#endif
}

/* ---- functions ------------------------------------------------------------------------------------- */

/* e^x to 1.02 ulp, non-decreasing.  0 where the result would be subnormal (x < -87.33654), +inf above
 * 88.72283, NaN for NaN.  x = n ln 2 + r, |r| <= ln(2)/2; e^r = 1 + r + r^2 q(r), q by minimax, relative
 * error 2^-28.  Straight-line code: a loop over it vectorises. */
EX_FN float ex_exp(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float t = ex_fma(x, 0x1.715476p+0f, shift);
    float n = t - shift;
    float r = ex_fma(n, -0x1.62e400p-1f, x); /* ln 2 = 0x1.62e4p-1 + 0x1.7f7d1cp-20 */
    r = ex_fma(n, -0x1.7f7d1cp-20f, r);
    float q = 0x1.6a4508p-10f;
    q = ex_fma(q, r, 0x1.1239aap-7f);
    q = ex_fma(q, r, 0x1.5558b8p-5f);
    q = ex_fma(q, r, 0x1.555492p-3f);
    q = ex_fma(q, r, 0x1.fffffcp-2f);
    float p = ex_fma(q, r * r, r) + 1.0f;
    float y = ex_float(ex_bits(p) + (ex_bits(t) << 23)); /* times 2^n; the low bits of t hold n */
    y = ex_pick(x < -0x1.5d589ep+6f, 0.0f, y);
    y = ex_pick(x > 0x1.62e42ep+6f, ex_inf(), y);
    return ex_pick(x == x, y, x);
}

/* e ln 2 + ln(1 + f) for f in [-0.25, 0.5], e an integer; f tiny and e = 0 give f itself. */
EX_FN float ex_log_tail(float f, float e)
{
    float p = -0x1.71e324p-5f;
    p = ex_fma(p, f, 0x1.acf4a6p-4f);
    p = ex_fma(p, f, -0x1.0d98f0p-3f);
    p = ex_fma(p, f, 0x1.28807ap-3f);
    p = ex_fma(p, f, -0x1.54ed96p-3f);
    p = ex_fma(p, f, 0x1.99699ep-3f);
    p = ex_fma(p, f, -0x1.00004ap-2f);
    p = ex_fma(p, f, 0x1.5555a4p-2f);
    p = ex_fma(p, f, -0.5f);
    p = ex_fma(p, f * f, f);
    return ex_fma(e, 0x1.62e430p-1f, p);
}

/* ln x to 1 ulp, subnormals included; -inf at 0 (either sign), NaN below 0, +inf at +inf. */
EX_FN float ex_log(float x)
{
    int small = x < FLT_MIN;
    float v = ex_pick(small, x * 8388608.0f, x);           /* 2^23 makes subnormals normal */
    uint32_t e = (ex_bits(v) - 0x3f400000u) & 0xff800000u; /* v = m 2^e, m in [0.75, 1.5) */
    float f = ex_float(ex_bits(v) - e) - 1.0f;
    float n = (float)(int32_t)e * 0x1p-23f; /* exact: the low 23 bits of e are 0 */
    float y = ex_log_tail(f, n - ex_pick(small, 23.0f, 0.0f));
    y = ex_pick(x > FLT_MAX, x, y);
    y = ex_pick(x == 0.0f, -ex_inf(), y);
    return ex_pick(x >= 0.0f, y, ex_nan());
}

/* ln(1 + x) to 1.3 ulp over (-1, inf); x itself where tiny (-0 too), -inf at -1, NaN below.  With
 * 1 + x = m 2^e, f = m - 1 = x 2^-e + (2^-e - 1) is rounded once, and only where e != 0 makes the
 * result large against f. */
EX_FN float ex_log1p(float x)
{
    float u = x + 1.0f;
    uint32_t e = (ex_bits(u) - 0x3f400000u) & 0xff800000u;
    float scale = ex_float(0x40800000u - e); /* 4 * 2^-e, normal for every e up to 128 */
    float xs = ex_float(ex_bits(x) - e);     /* x 2^-e; x is normal wherever e != 0 */
    float f = xs + ex_fma(0.25f, scale, -1.0f);
    float n = (float)(int32_t)e * 0x1p-23f;
    float y = ex_log_tail(f, n);
    y = ex_pick((x > FLT_MAX) | (x == 0.0f), x, y);
    y = ex_pick(x == -1.0f, -ex_inf(), y);
    return ex_pick(x >= -1.0f, y, ex_nan());
}

/* Correctly rounded; NaN below 0. */
EX_FN float ex_sqrt(float x)
{
#if defined EX_DEVICE
    return __fsqrt_rn(x);
#elif defined __SSE2__
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#else
    return sqrtf(x);
#endif
}

/* ---- order and hash -------------------------------------------------------------------------------- */

/* Larger score, larger key; -0 and +0 share one key; every NaN has key 0, below -inf.  By integers alone. */
EX_FN uint32_t ex_order_key(float score)
{
    uint32_t b = ex_bits(score);
    if ((b & 0x7fffffffu) > 0x7f800000u) return 0;
    b = b == 0x80000000u ? 0u : b;
    return b ^ ((b >> 31) ? 0xffffffffu : 0x80000000u);
}

/* The score of a key: ex_order_key(ex_order_score(k)) == k for every k that a score has. */
EX_FN float ex_order_score(uint32_t key)
{
    return key ? ex_float(key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu)) : ex_nan();
}

/* The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014; constants by Stafford): a bijection. */
EX_FN uint64_t ex_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Orders rows of equal score, a permutation of the ids drawn by the seed: a bijection in id, so that two
 * ids never tie. */
EX_FN uint64_t ex_hash64(uint64_t seed, uint64_t id)
{
    uint64_t s = ex_mix64(seed + 0x9e3779b97f4a7c15u);
    return ex_mix64(ex_mix64(id ^ s) + s);
}

/* ---- sums ------------------------------------------------------------------------------------------ */

/* The canonical fold of 16 partial sums: by halves 8, 4, 2, 1. */
EX_FN float ex_fold16(const float p[16])
{
    float a[8];
    for (int i = 0; i < 8; i++) a[i] = p[i] + p[i + 8];
    for (int i = 0; i < 4; i++) a[i] = a[i] + a[i + 4];
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* rint(v) for |v| <= 2^51: adding 1.5 * 2^52 leaves the integer in the low bits.  Vectorises. */
EX_FN int64_t ex_round64(double v)
{
    const double shift = 6755399441055744.0;
    double t = v + shift;
    int64_t bits, zero;
    memcpy(&bits, &t, sizeof bits);
    memcpy(&zero, &shift, sizeof zero);
    return bits - zero;
}

/* ---- half floats ----------------------------------------------------------------------------------- */

EX_FN float ex_f16_to_f32(uint16_t h)
{
    uint32_t m = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t normal = m + 0x38000000u;                                          /* exponent bias 15 -> 127 */
    uint32_t special = (m + 0x70000000u) | ((uint32_t)(m > 0x0f800000u) << 22); /* inf, quiet NaN */
    uint32_t tiny = ex_bits(ex_float(m + 0x38800000u) - 0x1p-14f);              /* exact: renormalises */
    uint32_t r = ex_pick_bits(m < 0x00800000u, tiny, normal);
    r = ex_pick_bits(m >= 0x0f800000u, special, r);
    return ex_float(r | sign);
}

/* Round to nearest even; beyond 65519.996 infinity, subnormals kept, NaN quiet with the top payload bits. */
EX_FN uint16_t ex_f32_to_f16(float x)
{
    uint32_t b = ex_bits(x), sign = b & 0x80000000u;
    b ^= sign;
    uint32_t special = ex_pick_bits(b > 0x7f800000u, 0x7e00u | ((b >> 13) & 0x3ffu), 0x7c00u);
    uint32_t tiny = ex_bits(ex_float(b) + 0.5f) - 0x3f000000u; /* 0.5 has an ulp of 2^-24, f16's smallest */
    uint32_t normal = (b - 0x38000000u + 0xfffu + ((b >> 13) & 1u)) >> 13;
    uint32_t r = ex_pick_bits(b < 0x38800000u, tiny, normal);
    r = ex_pick_bits(b >= 0x47800000u, special, r);
    return (uint16_t)(r | (sign >> 16));
}

EX_FN float ex_bf16_to_f32(uint16_t h) { return ex_float((uint32_t)h << 16); }

/* Round to nearest even, subnormals kept (vcvtneps2bf16 flushes them), NaN quiet with the top payload bits. */
EX_FN uint16_t ex_f32_to_bf16(float x)
{
    uint32_t b = ex_bits(x);
    uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
    return (uint16_t)ex_pick_bits((b & 0x7fffffffu) > 0x7f800000u, (b >> 16) | 0x40u, rounded);
}

#endif
