/* few.h - rows times packed weights for at most 16 classes: lanes are rows.
 *
 * 16 rows x 16 features are transposed in registers, then each feature is one vector of 16 rows and each weight one
 * broadcast.  Meanwhile the next 16 rows are prefetched in the order of their addresses: 16 streams some KiB apart defeat
 * the hardware's own prefetcher. */
#ifndef FEW_H
#define FEW_H

#include "rows.h"

enum {
    FEW_GRAIN = 1024,      /* rows a thread takes at once */
#if defined TIER_AVX512
    FEW_GROUP = 16         /* classes summed in registers */
#elif defined TIER_AVX2
    FEW_GROUP = 6
#else
    FEW_GROUP = 2
#endif
};

typedef struct few_rows {
    const char *row[16];       /* rows past the last repeat it, their lanes are dropped */
    const char *ahead;         /* what is prefetched */
    int64_t lines;             /* cache lines of it per step of 16 features */
} few_rows;

/* sums[j] += features of buf [n][16 rows] times weights w [n][16 classes], for `count` classes. */
V16_FN void few_add(const float *buf, const float *w, int64_t n, int count, v16 *sums)
{
    v16 a[FEW_GROUP];
    #pragma GCC unroll 16
    for (int j = 0; j < count; j++) a[j] = sums[j];
    for (int64_t k = 0; k < n; k++) {
        v16 xk = v16_load(buf + 16 * k);
        #pragma GCC unroll 16
        for (int j = 0; j < count; j++) a[j] = v16_fma(xk, v16_set1(w[16 * k + j]), a[j]);
    }
    #pragma GCC unroll 16
    for (int j = 0; j < count; j++) sums[j] = a[j];
}

/* All c classes, in groups of nearly equal size. */
V16_FN void few_add_all(const float *buf, const float *w, int64_t n, int c, v16 *sums)
{
    int parts = (c + FEW_GROUP - 1) / FEW_GROUP, count = (c + parts - 1) / parts;
    #pragma GCC unroll 16
    for (int j = 0; j < c; j += count) few_add(buf, w + j, n, c - j < count ? c - j : count, sums + j);
}

V16_FN void few_prefetch(few_rows *f)
{
    for (int64_t i = 0; i < f->lines; i++) v16_prefetch(f->ahead + 64 * i);
    f->ahead += 64 * f->lines;
}

V16_FN void few_store(const v16 v[16], float *buf)
{
    #pragma GCC unroll 16
    for (int i = 0; i < 16; i++) v16_store(buf + 16 * i, v[i]);
}

/* sums[j] += rows * weights over d features ascending; type and c are constants. */
V16_FN void few_sum_as(few_rows *f, int64_t d, const float *w, sluice_type type, int c, v16 sums[16])
{
    _Alignas(64) float buf[256];
    v16 v[16], a[16];
    int64_t k = 0;
    #pragma GCC unroll 16
    for (int j = 0; j < c; j++) a[j] = sums[j];
    for (; k + 16 <= d; k += 16) {
        #pragma GCC unroll 16
        for (int r = 0; r < 16; r++) v[r] = row_load(f->row[r], type, k);
        v16_transpose(v);
        few_store(v, buf);
        few_prefetch(f);
        few_add_all(buf, w + 16 * k, 16, c, a);
    }
    if (k < d) {
        for (int r = 0; r < 16; r++) v[r] = row_load_n(f->row[r], type, k, d - k);
        v16_transpose(v);
        few_store(v, buf);
        few_add_all(buf, w + 16 * k, d - k, c, a);
    }
    #pragma GCC unroll 16
    for (int j = 0; j < c; j++) sums[j] = a[j];
}

/* One function per type and even number of classes; the classes that pads it have zero weights. */
#define FEW_FUNCTION(type, c)                                                                                            \
    static __attribute__((noinline)) void few_sum_##type##_##c(few_rows *f, int64_t d, const float *w, v16 sums[16])     \
    {                                                                                                                    \
        few_sum_as(f, d, w, SLUICE_##type, c, sums);                                                                     \
    }
#define FEW_TYPE(type)                                                                                                   \
    FEW_FUNCTION(type, 2) FEW_FUNCTION(type, 4) FEW_FUNCTION(type, 6) FEW_FUNCTION(type, 8)                              \
    FEW_FUNCTION(type, 10) FEW_FUNCTION(type, 12) FEW_FUNCTION(type, 14) FEW_FUNCTION(type, 16)
#define FEW_NAMES(type)                                                                                                  \
    [SLUICE_##type] = { few_sum_##type##_2, few_sum_##type##_4, few_sum_##type##_6, few_sum_##type##_8,                  \
                        few_sum_##type##_10, few_sum_##type##_12, few_sum_##type##_14, few_sum_##type##_16 }
FEW_TYPE(F32)
FEW_TYPE(F16)
FEW_TYPE(BF16)
FEW_TYPE(I8)
FEW_TYPE(U8)
static void (*const few_sum[SLUICE_U8 + 1][8])(few_rows *f, int64_t d, const float *w, v16 sums[16]) = {
    FEW_NAMES(F32), FEW_NAMES(F16), FEW_NAMES(BF16), FEW_NAMES(I8), FEW_NAMES(U8)
};

/* Rows i .. i+n-1 and what to prefetch beside them: the following 16, unless gaps between rows make that a waste. */
V16_FN few_rows few_rows_at(const sluice_view *x, int64_t i, int64_t n)
{
    few_rows f;
    size_t bytes = (size_t)x->cols * row_value_bytes(x->type);
    for (int r = 0; r < 16; r++) f.row[r] = view_row(x, i + (r < n ? r : n - 1));
    f.ahead = f.row[0] + 16 * x->stride;
    f.lines = x->stride <= 2 * bytes && x->cols >= 16 ? (int64_t)((x->stride / 4 + (size_t)x->cols / 16 - 1) / ((size_t)x->cols / 16)) : 0;
    return f;
}

V16_FN v16 few_scale(const sluice_view *x, int64_t i, int64_t n)
{
    return x->scale ? v16_load_n(x->scale + i, n, 1.0f) : v16_set1(1.0f);
}

/* Logits z[j] of rows i .. i+n-1, n <= 16; z[c..15] are zero. */
static void few_logits(const sluice_view *x, const float *packed, const float *bias, int64_t c, int64_t i, int64_t n, v16 z[16])
{
    int integer = row_is_integer(x->type);
    few_rows f = few_rows_at(x, i, n);
    for (int j = 0; j < 16; j++) z[j] = v16_set1(j < c && bias && !integer ? bias[j] : 0.0f);
    few_sum[x->type][(c - 1) / 2](&f, x->cols, packed, z);
    v16 scale = few_scale(x, i, n);
    for (int j = 0; j < c; j++) {
        if (integer) z[j] = v16_fma(scale, z[j], v16_set1(bias ? bias[j] : 0.0f));
        z[j] = v16_stored(z[j]);
    }
    for (int64_t j = c; j < 16; j++) z[j] = v16_zero();
}

/* z (transposed on the way) into rows of c floats. */
V16_FN void few_write(v16 z[16], int64_t c, int64_t n, char *out, size_t stride)
{
    v16_transpose(z);
    for (int64_t r = 0; r < n; r++) v16_store_n((float *)(void *)(out + (size_t)r * stride), z[r], c);
}

#endif
