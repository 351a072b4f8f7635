/* lanes.h - 16 floats at a time in every CPU tier.  A kernel is written once over v16 and compiled once per tier:
 *
 *   avx512   -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c     one register
 *   avx2     -mavx2 -mfma -mf16c                                         two registers
 *   scalar   no flags                                                    four SSE2 registers, or plain C
 *
 * Finite results have the same bits in every tier (tests/unit_lanes.c); of a NaN only that it is one.
 * Every function is `static`, so that no object of one tier can lend code to another at link time.
 *
 *   v16_load v16_store v16_load_n v16_store_n v16_set1 v16_zero      memory (unaligned) and constants
 *   v16_add v16_sub v16_mul v16_div v16_fma v16_sqrt                 arithmetic
 *   v16_gt_select v16_le_bits                                         comparisons
 *   v16_exp v16_log1p                                                exact.h, lane by lane
 *   v16_load_f16 v16_load_bf16 v16_load_i8 v16_load_u8 and ..._n     exact widening
 *   v16_transpose v16_prefetch
 *
 * ..._n touches the first n lanes alone (0 <= n <= 16): never a byte past them; the others get `fill`. */
#ifndef SLUICE_LANES_H
#define SLUICE_LANES_H

#include "exact.h"

#if defined __AVX512F__ || (defined __AVX2__ && defined __FMA__ && defined __F16C__)
#include <immintrin.h>
#elif defined __SSE2__
#include <emmintrin.h>
#endif

#define V16_FN static inline __attribute__((always_inline, unused))

/* Before a loop of constant count, at most 16, over an array that must stay in registers. */
#if defined __clang__
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE_UNROLL _Pragma("GCC unroll 16")
#endif

/* TILE_ROWS: rows of a register tile with one v16 of classes each, so that sums, weights and a broadcast
 * fit the 32, 16 or 16 vector registers. */
#if defined __AVX512F__

#define TIER_NAME "avx512"
#define TIER_AVX512 1
enum { TILE_ROWS = 14 };
typedef __m512 v16;

#elif defined __AVX2__ && defined __FMA__ && defined __F16C__

#define TIER_NAME "avx2"
#define TIER_AVX2 1
enum { TILE_ROWS = 6 };
typedef struct v16 {
    __m256 lo, hi;
} v16;

#else

#define TIER_NAME "scalar"
#define TIER_SCALAR 1
enum { TILE_ROWS = 4 };
#ifdef __SSE2__
typedef struct v16 {
    __m128 q[4];
} v16;
#else
typedef struct v16 {
    float q[16];
} v16;
#endif

#endif

/* clang-format off */
/* ---- memory and arithmetic ---------------------------------------------------------------------------- */

#if defined TIER_AVX512

V16_FN v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
V16_FN void v16_store(float *p, v16 v) { _mm512_storeu_ps(p, v); }
V16_FN v16 v16_set1(float x) { return _mm512_set1_ps(x); }
V16_FN v16 v16_zero(void) { return _mm512_setzero_ps(); }
V16_FN v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
V16_FN v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
V16_FN v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
V16_FN v16 v16_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
V16_FN v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
V16_FN v16 v16_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
V16_FN v16 v16_gt_select(v16 x, v16 y, v16 a, v16 b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), b, a);
}

V16_FN unsigned v16_le_bits(v16 x, v16 y) { return _mm512_cmp_ps_mask(x, y, _CMP_LE_OQ); } /* bit i: x[i] <= y[i] */

V16_FN __mmask16 v16_first(int64_t n) { return (__mmask16)((1u << n) - 1u); }
V16_FN v16 v16_load_n(const float *p, int64_t n, float fill)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), v16_first(n), p);
}
V16_FN void v16_store_n(float *p, v16 v, int64_t n) { _mm512_mask_storeu_ps(p, v16_first(n), v); }

#elif defined TIER_AVX2

V16_FN v16 v16_pair(__m256 lo, __m256 hi)
{
    v16 v;
    v.lo = lo, v.hi = hi;
    return v;
}
V16_FN v16 v16_load(const float *p) { return v16_pair(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
V16_FN void v16_store(float *p, v16 v) { _mm256_storeu_ps(p, v.lo), _mm256_storeu_ps(p + 8, v.hi); }
V16_FN v16 v16_set1(float x) { return v16_pair(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
V16_FN v16 v16_zero(void) { return v16_pair(_mm256_setzero_ps(), _mm256_setzero_ps()); }
V16_FN v16 v16_add(v16 a, v16 b) { return v16_pair(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)); }
V16_FN v16 v16_sub(v16 a, v16 b) { return v16_pair(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)); }
V16_FN v16 v16_mul(v16 a, v16 b) { return v16_pair(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)); }
V16_FN v16 v16_div(v16 a, v16 b) { return v16_pair(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)); }
V16_FN v16 v16_fma(v16 a, v16 b, v16 c)
{
    return v16_pair(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
V16_FN v16 v16_sqrt(v16 a) { return v16_pair(_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)); }
V16_FN unsigned v16_le_bits(v16 x, v16 y)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(x.lo, y.lo, _CMP_LE_OQ)) |
           (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(x.hi, y.hi, _CMP_LE_OQ)) << 8;
}
V16_FN v16 v16_gt_select(v16 x, v16 y, v16 a, v16 b)
{
    return v16_pair(_mm256_blendv_ps(b.lo, a.lo, _mm256_cmp_ps(x.lo, y.lo, _CMP_GT_OQ)),
                    _mm256_blendv_ps(b.hi, a.hi, _mm256_cmp_ps(x.hi, y.hi, _CMP_GT_OQ)));
}

#elif defined __SSE2__

#define V16_EACH(r, expr) do { for (int i_ = 0; i_ < 4; i_++) (r).q[i_] = (expr); } while (0)

V16_FN v16 v16_load(const float *p) { v16 r; V16_EACH(r, _mm_loadu_ps(p + 4 * i_)); return r; }
V16_FN void v16_store(float *p, v16 v) { for (int i = 0; i < 4; i++) _mm_storeu_ps(p + 4 * i, v.q[i]); }
V16_FN v16 v16_set1(float x) { v16 r; V16_EACH(r, _mm_set1_ps(x)); return r; }
V16_FN v16 v16_zero(void) { v16 r; V16_EACH(r, _mm_setzero_ps()); return r; }
V16_FN v16 v16_add(v16 a, v16 b) { v16 r; V16_EACH(r, _mm_add_ps(a.q[i_], b.q[i_])); return r; }
V16_FN v16 v16_sub(v16 a, v16 b) { v16 r; V16_EACH(r, _mm_sub_ps(a.q[i_], b.q[i_])); return r; }
V16_FN v16 v16_mul(v16 a, v16 b) { v16 r; V16_EACH(r, _mm_mul_ps(a.q[i_], b.q[i_])); return r; }
V16_FN v16 v16_div(v16 a, v16 b) { v16 r; V16_EACH(r, _mm_div_ps(a.q[i_], b.q[i_])); return r; }
V16_FN v16 v16_sqrt(v16 a) { v16 r; V16_EACH(r, _mm_sqrt_ps(a.q[i_])); return r; }

/* ex_fma_soft, two lanes: a*b + c in double, rounded to odd. */
V16_FN __m128d v16_fma_odd(__m128d a, __m128d b, __m128d c)
{
    __m128d zero = _mm_setzero_pd();
    __m128d p = _mm_mul_pd(a, b), s = _mm_add_pd(p, c), t = _mm_sub_pd(s, p);
    __m128d e = _mm_add_pd(_mm_sub_pd(p, _mm_sub_pd(s, t)), _mm_sub_pd(c, t));
    __m128d inexact = _mm_or_pd(_mm_cmplt_pd(e, zero), _mm_cmpgt_pd(e, zero));     /* false where e is NaN */
    __m128i us = _mm_castpd_si128(s), one = _mm_set1_epi64x(1);
    __m128i even = _mm_andnot_si128(us, one);
    __m128i shrink = _mm_srli_epi64(_mm_xor_si128(us, _mm_castpd_si128(e)), 63);
    __m128i step = _mm_sub_epi64(one, _mm_add_epi64(shrink, shrink));              /* +1 or -1 */
    __m128i mask = _mm_and_si128(_mm_sub_epi64(_mm_setzero_si128(), even), _mm_castpd_si128(inexact));
    return _mm_castsi128_pd(_mm_add_epi64(us, _mm_and_si128(step, mask)));
}
V16_FN __m128 v16_fma_soft(__m128 a, __m128 b, __m128 c)
{
    __m128d lo = v16_fma_odd(_mm_cvtps_pd(a), _mm_cvtps_pd(b), _mm_cvtps_pd(c));
    __m128d hi = v16_fma_odd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b)),
                             _mm_cvtps_pd(_mm_movehl_ps(c, c)));
    return _mm_movelh_ps(_mm_cvtpd_ps(lo), _mm_cvtpd_ps(hi));
}
V16_FN v16 v16_fma(v16 a, v16 b, v16 c) { v16 r; V16_EACH(r, v16_fma_soft(a.q[i_], b.q[i_], c.q[i_])); return r; }
V16_FN __m128 v16_blend(__m128 mask, __m128 a, __m128 b)
{
    return _mm_or_ps(_mm_and_ps(mask, a), _mm_andnot_ps(mask, b));
}
V16_FN unsigned v16_le_bits(v16 x, v16 y)
{
    unsigned bits = 0;
    for (int i = 0; i < 4; i++) bits |= (unsigned)_mm_movemask_ps(_mm_cmple_ps(x.q[i], y.q[i])) << 4 * i;
    return bits;
}
V16_FN v16 v16_gt_select(v16 x, v16 y, v16 a, v16 b)
{
    v16 r;
    V16_EACH(r, v16_blend(_mm_cmpgt_ps(x.q[i_], y.q[i_]), a.q[i_], b.q[i_]));
    return r;
}
#undef V16_EACH

#else

#define V16_EACH(r, expr) do { for (int i_ = 0; i_ < 16; i_++) (r).q[i_] = (expr); } while (0)

V16_FN v16 v16_load(const float *p) { v16 r; memcpy(r.q, p, sizeof r.q); return r; }
V16_FN void v16_store(float *p, v16 v) { memcpy(p, v.q, sizeof v.q); }
V16_FN v16 v16_set1(float x) { v16 r; V16_EACH(r, x); return r; }
V16_FN v16 v16_zero(void) { return v16_set1(0.0f); }
V16_FN v16 v16_add(v16 a, v16 b) { v16 r; V16_EACH(r, a.q[i_] + b.q[i_]); return r; }
V16_FN v16 v16_sub(v16 a, v16 b) { v16 r; V16_EACH(r, a.q[i_] - b.q[i_]); return r; }
V16_FN v16 v16_mul(v16 a, v16 b) { v16 r; V16_EACH(r, a.q[i_] * b.q[i_]); return r; }
V16_FN v16 v16_div(v16 a, v16 b) { v16 r; V16_EACH(r, a.q[i_] / b.q[i_]); return r; }
V16_FN v16 v16_sqrt(v16 a) { v16 r; V16_EACH(r, ex_sqrt(a.q[i_])); return r; }
V16_FN v16 v16_fma(v16 a, v16 b, v16 c) { v16 r; V16_EACH(r, ex_fma(a.q[i_], b.q[i_], c.q[i_])); return r; }
V16_FN unsigned v16_le_bits(v16 x, v16 y)
{
    unsigned bits = 0;
    for (int i = 0; i < 16; i++) bits |= (unsigned)(x.q[i] <= y.q[i]) << i;
    return bits;
}
V16_FN v16 v16_gt_select(v16 x, v16 y, v16 a, v16 b)
{
    v16 r;
    V16_EACH(r, x.q[i_] > y.q[i_] ? a.q[i_] : b.q[i_]);
    return r;
}
#undef V16_EACH

#endif

#ifndef TIER_AVX512

V16_FN v16 v16_load_n(const float *p, int64_t n, float fill)
{
    float x[16];
    v16_store(x, v16_set1(fill));
    memcpy(x, p, (size_t)n * sizeof *x);
    return v16_load(x);
}
V16_FN void v16_store_n(float *p, v16 v, int64_t n)
{
    float x[16];
    v16_store(x, v);
    memcpy(p, x, (size_t)n * sizeof *x);
}

#endif

/* exact.h's functions on 16 lanes.  The loops vectorise, so there is one formula for all tiers. */
V16_FN v16 v16_exp(v16 v)
{
    float x[16];
    v16_store(x, v);
    for (int i = 0; i < 16; i++) x[i] = ex_exp(x[i]);
    return v16_load(x);
}
V16_FN v16 v16_log1p(v16 v)
{
    float x[16];
    v16_store(x, v);
    for (int i = 0; i < 16; i++) x[i] = ex_log1p(x[i]);
    return v16_load(x);
}

/* clang-format on */

/* ---- widening, exact ---------------------------------------------------------------------------------- */

#if defined TIER_AVX512

V16_FN v16 v16_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
V16_FN v16 v16_load_bf16(const uint16_t *p)
{
    __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
V16_FN v16 v16_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
V16_FN v16 v16_load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

#elif defined TIER_AVX2

V16_FN v16 v16_load_f16(const uint16_t *p)
{
    return v16_pair(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                    _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8))));
}
V16_FN __m256 v16_half_bf16(const uint16_t *p)
{
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
V16_FN v16 v16_load_bf16(const uint16_t *p) { return v16_pair(v16_half_bf16(p), v16_half_bf16(p + 8)); }
V16_FN v16 v16_load_i8(const int8_t *p)
{
    __m128i b = _mm_loadu_si128((const __m128i *)p);
    return v16_pair(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)),
                    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(b, 8))));
}
V16_FN v16 v16_load_u8(const uint8_t *p)
{
    __m128i b = _mm_loadu_si128((const __m128i *)p);
    return v16_pair(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b)),
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))));
}

#else

V16_FN v16 v16_load_f16(const uint16_t *p)
{
    uint16_t h[16];
    float x[16];
    memcpy(h, p, sizeof h); /* p may be odd */
    for (int i = 0; i < 16; i++) x[i] = ex_f16_to_f32(h[i]);
    return v16_load(x);
}
V16_FN v16 v16_load_bf16(const uint16_t *p)
{
    uint16_t h[16];
    float x[16];
    memcpy(h, p, sizeof h); /* p may be odd */
    for (int i = 0; i < 16; i++) x[i] = ex_bf16_to_f32(h[i]);
    return v16_load(x);
}
V16_FN v16 v16_load_i8(const int8_t *p)
{
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = (float)p[i];
    return v16_load(x);
}
V16_FN v16 v16_load_u8(const uint8_t *p)
{
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = (float)p[i];
    return v16_load(x);
}

#endif

/* A tail of narrow values goes through a full-width copy; the lanes past n are then overwritten. */
V16_FN v16 v16_keep_n(v16 v, int64_t n, float fill)
{
    float x[16];
    v16_store(x, v);
    return v16_load_n(x, n, fill);
}
V16_FN v16 v16_load_f16_n(const uint16_t *p, int64_t n, float fill)
{
    uint16_t x[16] = { 0 };
    memcpy(x, p, (size_t)n * sizeof *x);
    return v16_keep_n(v16_load_f16(x), n, fill);
}
V16_FN v16 v16_load_bf16_n(const uint16_t *p, int64_t n, float fill)
{
    uint16_t x[16] = { 0 };
    memcpy(x, p, (size_t)n * sizeof *x);
    return v16_keep_n(v16_load_bf16(x), n, fill);
}
V16_FN v16 v16_load_i8_n(const int8_t *p, int64_t n, float fill)
{
    int8_t x[16] = { 0 };
    memcpy(x, p, (size_t)n);
    return v16_keep_n(v16_load_i8(x), n, fill);
}
V16_FN v16 v16_load_u8_n(const uint8_t *p, int64_t n, float fill)
{
    uint8_t x[16] = { 0 };
    memcpy(x, p, (size_t)n);
    return v16_keep_n(v16_load_u8(x), n, fill);
}

/* ---- transpose and prefetch --------------------------------------------------------------------------- */

/* r[i] lane j <-> r[j] lane i. */
#if defined TIER_AVX512

V16_FN v16 v16_lo64(v16 a, v16 b)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
V16_FN v16 v16_hi64(v16 a, v16 b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
/* The 4 x 4 blocks of 4 rows, inside the 128-bit lanes ... */
V16_FN void v16_transpose_blocks(v16 r[4])
{
    v16 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
    v16 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    r[0] = v16_lo64(a, c), r[1] = v16_hi64(a, c), r[2] = v16_lo64(b, d), r[3] = v16_hi64(b, d);
}
/* ... then the lanes of all 16. */
V16_FN void v16_transpose_lanes(v16 r[16])
{
    TILE_UNROLL
    for (int i = 0; i < 4; i++) {
        v16 a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
        v16 c = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88), d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88), r[8 + i] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[4 + i] = _mm512_shuffle_f32x4(b, d, 0x88), r[12 + i] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
V16_FN void v16_transpose(v16 r[16])
{
    for (int i = 0; i < 16; i += 4) v16_transpose_blocks(r + i);
    v16_transpose_lanes(r);
}

#elif defined TIER_AVX2

V16_FN void v16_transpose8(__m256 r[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44), u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
        r[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
    }
}
V16_FN void v16_transpose(v16 r[16])
{
    __m256 a[8], b[8], c[8], d[8]; /* the quarters (a b) over (c d) become (a c) over (b d) */
    for (int i = 0; i < 8; i++) a[i] = r[i].lo, b[i] = r[i].hi, c[i] = r[8 + i].lo, d[i] = r[8 + i].hi;
    v16_transpose8(a), v16_transpose8(b), v16_transpose8(c), v16_transpose8(d);
    for (int i = 0; i < 8; i++) r[i] = v16_pair(a[i], c[i]), r[8 + i] = v16_pair(b[i], d[i]);
}

#else

V16_FN void v16_transpose(v16 r[16])
{
    float x[16][16], y[16][16];
    for (int i = 0; i < 16; i++) v16_store(x[i], r[i]);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) y[j][i] = x[i][j];
    for (int i = 0; i < 16; i++) r[i] = v16_load(y[i]);
}

#endif

/* Asks for the line at p in the second-level cache.  A hint: any address is allowed. */
V16_FN void v16_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }

#endif
