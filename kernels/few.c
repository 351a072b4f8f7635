/* few.c - rows times packed weights for at most 16 classes, for forward.c and scan.c: lanes are rows.
 *
 * 16 rows are transposed in registers, then each feature is one vector of 16 rows and each weight one broadcast.
 * Meanwhile the next 16 rows are prefetched in the order of their addresses: 16 streams some KiB apart defeat the
 * hardware's own prefetcher. */
#include "few.h"

/* Cache lines of the next rows to ask for at each step of 64 bytes a row. */
typedef struct ahead {
    const char *p;
    int64_t lines;
} ahead;

V16_FN void prefetch(ahead *a)
{
    for (int64_t i = 0; i < a->lines; i++) v16_prefetch(a->p + 64 * i);
    a->p += 64 * a->lines;
}

/* What follows rows i .. i+15, unless gaps between the rows make that a waste.  A line of each page of the block after it
 * is asked for at once: walking the page table takes longer than reading. */
static ahead ahead_of(const sluice_view *x, int64_t i)
{
    size_t bytes = (size_t)x->cols * row_value_bytes(x->type), steps = bytes / 64;
    ahead a = { view_row(x, i) + 16 * x->stride, 0 };
    if (steps && x->stride <= 2 * bytes) a.lines = (int64_t)((x->stride / 4 + steps - 1) / steps);
    for (size_t q = 0; a.lines && q < 16 * x->stride; q += 4096) v16_prefetch(a.p + 16 * x->stride + q);
    return a;
}

/* sums[j] += buf [n][16 rows] * weight j of w [n][16 classes], for a constant count of classes. */
V16_FN void add(const float *buf, const float *w, int64_t n, int count, v16 *sums)
{
    v16 a[16];
    TILE_UNROLL
    for (int j = 0; j < count; j++) a[j] = sums[j];
    for (int64_t k = 0; k < n; k++) {
        v16 xk = v16_load(buf + 16 * k);
        TILE_UNROLL
        for (int j = 0; j < count; j++) a[j] = v16_fma(xk, v16_set1(w[16 * k + j]), a[j]);
    }
    TILE_UNROLL
    for (int j = 0; j < count; j++) sums[j] = a[j];
}

enum {
#if defined TIER_AVX512
    GROUP = 8
#elif defined TIER_AVX2
    GROUP = 6
#else
    GROUP = 2
#endif
};

/* `left` classes, at most GROUP.  A group may reach past 16 classes, into sums and weights that nobody reads. */
static void add_group(const float *buf, const float *w, int64_t n, int64_t left, v16 *sums)
{
    if (left > 4) add(buf, w, n, GROUP, sums);
    else if (left > 2) add(buf, w, n, GROUP < 4 ? GROUP : 4, sums);
    else add(buf, w, n, 2, sums);
}

/* ---- any block --------------------------------------------------------------------------------------- */

/* Features k .. k+n-1 of 16 rows into buf [n][16 rows]; rows past the last repeat it, their lanes are dropped. */
V16_FN void gather_as(const sluice_view *x, sluice_type type, int64_t i, int64_t rows, int64_t k, int64_t n,
                      float buf[256])
{
    v16 v[16];
    for (int64_t r = 0; r < 16; r++) {
        const char *row = view_row(x, i + cpu_min(r, rows - 1));
        v[r] = n == 16 ? row_load(row, type, k) : row_load_n(row, type, k, n);
    }
    v16_transpose(v);
    for (int r = 0; r < 16; r++) v16_store(buf + 16 * r, v[r]);
}

static void gather(const sluice_view *x, int64_t i, int64_t rows, int64_t k, int64_t n, float buf[256])
{
    switch (x->type) {
    case SLUICE_F16: gather_as(x, SLUICE_F16, i, rows, k, n, buf); break;
    case SLUICE_BF16: gather_as(x, SLUICE_BF16, i, rows, k, n, buf); break;
    case SLUICE_I8: gather_as(x, SLUICE_I8, i, rows, k, n, buf); break;
    case SLUICE_U8: gather_as(x, SLUICE_U8, i, rows, k, n, buf); break;
    default: gather_as(x, SLUICE_F32, i, rows, k, n, buf); break;
    }
}

/* Adds features k .. d-1 of rows i .. i+rows-1: the gathered features are passed once per group of classes. */
static void sum_any(const sluice_view *x, const float *w, int64_t c, int64_t i, int64_t rows, int64_t k, v16 sums[16])
{
    v16 a[16 + GROUP];
    _Alignas(64) float buf[256];
    ahead next = ahead_of(x, i);
    for (int j = 0; j < 16; j++) a[j] = sums[j];
    for (int j = 16; j < 16 + GROUP; j++) a[j] = v16_zero();
    for (; k < x->cols; k += 16) {
        int64_t n = cpu_min(16, x->cols - k);
        gather(x, i, rows, k, n, buf);
        if ((size_t)k * row_value_bytes(x->type) % 64 == 0) prefetch(&next);
        for (int64_t j = 0; j < c; j += GROUP) add_group(buf, w + 16 * k + j, n, c - j, a + j);
    }
    for (int j = 0; j < 16; j++) sums[j] = a[j];
}

/* ---- 16 whole rows, registers for 16 sums --------------------------------------------------------------- */

#ifdef TIER_AVX512

typedef void sum_rows(const char *p, size_t stride, int64_t steps, const float *w, ahead *next, v16 sums[16]);

/* A step is 64 bytes of each row.  Narrow types are transposed as words of 2 or 4 features, a half or a quarter of the
 * shuffles, and widened afterwards. */
V16_FN int64_t step_features(sluice_type type) { return 64 / (int64_t)row_value_bytes(type); }

/* The features of a word in ascending order. */
V16_FN void widen(sluice_type type, __m512i word, v16 *out)
{
    const __m512i halves = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24,
                                            22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i split;
    switch (type) {
    case SLUICE_F16:
        split = _mm512_permutexvar_epi16(halves, word);
        out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(split));
        out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(split, 1));
        break;
    case SLUICE_BF16:
        out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(word, 16));
        out[1] = _mm512_castsi512_ps(_mm512_and_si512(word, _mm512_set1_epi32((int32_t)0xffff0000u)));
        break;
    case SLUICE_I8:
        out[0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(word, 24), 24));
        out[1] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(word, 16), 24));
        out[2] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(word, 8), 24));
        out[3] = _mm512_cvtepi32_ps(_mm512_srai_epi32(word, 24));
        break;
    case SLUICE_U8:
        out[0] = _mm512_cvtepi32_ps(_mm512_and_si512(word, _mm512_set1_epi32(255)));
        out[1] = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(word, 8), _mm512_set1_epi32(255)));
        out[2] = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(word, 16), _mm512_set1_epi32(255)));
        out[3] = _mm512_cvtepi32_ps(_mm512_srli_epi32(word, 24));
        break;
    default: out[0] = _mm512_castsi512_ps(word); break;
    }
}

/* Four rows' 32 bytes, and those of the four rows after them, as 4 x 4 blocks: out[i] is words i and 4+i of rows 0 .. 3,
 * then of rows 4 .. 7. */
V16_FN void load_blocks(const char *p, size_t stride, v16 out[4])
{
    TILE_UNROLL
    for (int r = 0; r < 4; r++) {
        const float *low = (const float *)(const void *)(p + (size_t)r * stride);
        const float *high = (const float *)(const void *)(p + (size_t)(r + 4) * stride);
        out[r] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high), 1);
    }
    v16_transpose_blocks(out);
}

/* 32 bytes of 16 rows, transposed: v[i] is their word i. */
V16_FN void load_words(const char *p, size_t stride, v16 v[8])
{
    v16 a[4], b[4];
    load_blocks(p, stride, a);
    load_blocks(p + 8 * stride, stride, b);
    TILE_UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f32x4(a[i], b[i], 0x88);
        v[4 + i] = _mm512_shuffle_f32x4(a[i], b[i], 0xdd);
    }
}

V16_FN void add_words(sluice_type type, const v16 v[8], const float *w, int c, v16 *a)
{
    enum { MOST = 4 };
    int each = (int)(4 / row_value_bytes(type)); /* features of a word */
    TILE_UNROLL
    for (int i = 0; i < 8; i++) {
        v16 x[MOST];
        widen(type, _mm512_castps_si512(v[i]), x);
        TILE_UNROLL
        for (int b = 0; b < each; b++) {
            TILE_UNROLL
            for (int j = 0; j < c; j++) a[j] = v16_fma(x[b], v16_set1(w[16 * (each * i + b) + j]), a[j]);
        }
    }
}

/* Words are loaded one turn before they are added, else the products wait for the shuffles at each turn. */
V16_FN void sum_as(const char *p, size_t stride, int64_t steps, const float *w, ahead *next, sluice_type type, int c,
                   v16 sums[16])
{
    v16 v[2][8], a[16];
    TILE_UNROLL
    for (int j = 0; j < c; j++) a[j] = sums[j];
    load_words(p, stride, v[0]);
    for (int64_t step = 0; step < steps; step++) {
        load_words(p + 32, stride, v[1]);
        prefetch(next);
        add_words(type, v[0], w, c, a);
        w += 8 * step_features(type);
        p += step + 1 < steps ? 64 : 0;
        load_words(p, stride, v[0]);
        add_words(type, v[1], w, c, a);
        w += 8 * step_features(type);
    }
    TILE_UNROLL
    for (int j = 0; j < c; j++) sums[j] = a[j];
}

/* One function per type and even number of classes; a class that pads it has zero weights. */
/* clang-format off */
#define FUNCTION(type, c)                                                                                  \
    static void sum_##type##_##c(const char *p, size_t stride, int64_t steps, const float *w, ahead *next, \
                                 v16 sums[16])                                                             \
    {                                                                                                      \
        sum_as(p, stride, steps, w, next, SLUICE_##type, c, sums);                                         \
    }
#define TYPE(type)                                                          \
    FUNCTION(type, 2) FUNCTION(type, 4) FUNCTION(type, 6) FUNCTION(type, 8) \
    FUNCTION(type, 10) FUNCTION(type, 12) FUNCTION(type, 14) FUNCTION(type, 16)
#define NAMES(type)                                                                     \
    [SLUICE_##type] = { sum_##type##_2, sum_##type##_4, sum_##type##_6, sum_##type##_8, \
                        sum_##type##_10, sum_##type##_12, sum_##type##_14, sum_##type##_16 }
/* clang-format on */
TYPE(F32)
TYPE(F16)
TYPE(BF16)
TYPE(I8)
TYPE(U8)
static sum_rows *const sums_of[SLUICE_U8 + 1][8] = { NAMES(F32), NAMES(F16), NAMES(BF16), NAMES(I8), NAMES(U8) };

static void sum(const sluice_view *x, const float *w, int64_t c, int64_t i, int64_t rows, v16 sums[16])
{
    int64_t features = step_features(x->type), whole = rows == 16 ? x->cols / features : 0;
    ahead next = ahead_of(x, i);
    if (whole) sums_of[x->type][(c - 1) / 2](view_row(x, i), x->stride, whole, w, &next, sums);
    if (features * whole < x->cols) sum_any(x, w, c, i, rows, features * whole, sums);
}

#else

static void sum(const sluice_view *x, const float *w, int64_t c, int64_t i, int64_t rows, v16 sums[16])
{
    sum_any(x, w, c, i, rows, 0, sums);
}

#endif

void TIER_FN(few_logits)(const sluice_view *x, const float *packed, const float *bias, int64_t c, int64_t i, int64_t n,
                         v16 z[16])
{
    int integer = row_is_integer(x->type);
    for (int j = 0; j < 16; j++) z[j] = v16_set1(j < c && bias && !integer ? bias[j] : 0.0f);
    sum(x, packed, c, i, n, z);
    v16 scale = x->scale ? v16_load_n(x->scale + i, n, 1.0f) : v16_set1(1.0f);
    for (int64_t j = 0; j < c; j++) {
        if (integer) z[j] = v16_fma(scale, z[j], v16_set1(bias ? bias[j] : 0.0f));
        z[j] = v16_stored(z[j]);
    }
    for (int64_t j = c; j < 16; j++) z[j] = v16_zero();
}
