/* few.c - rows times packed weights for at most 16 classes, for forward.c and scan.c: lanes are rows.
 *
 * 16 rows x 16 features are transposed in registers, then each feature is one vector of 16 rows and each weight one
 * broadcast.  Meanwhile the next 16 rows are prefetched in the order of their addresses: 16 streams some KiB apart defeat
 * the hardware's own prefetcher. */
#include "few.h"

typedef struct few_rows {
    const char *row[16];       /* rows past the last repeat it, their lanes are dropped */
    const char *ahead;         /* what is prefetched */
    int64_t lines;             /* cache lines of it per step of 16 features */
} few_rows;

typedef void few_sum(few_rows *f, int64_t d, const float *w, v16 sums[16]);

V16_FN void prefetch(few_rows *f)
{
    for (int64_t i = 0; i < f->lines; i++) v16_prefetch(f->ahead + 64 * i);
    f->ahead += 64 * f->lines;
}

/* Features k .. k+n-1 of 16 rows into buf [n][16 rows]. */
V16_FN void gather(const few_rows *f, sluice_type type, int64_t k, int64_t n, float buf[256])
{
    v16 v[16];
    if (n == 16)
        #pragma GCC unroll 16
        for (int r = 0; r < 16; r++) v[r] = row_load(f->row[r], type, k);
    else
        for (int r = 0; r < 16; r++) v[r] = row_load_n(f->row[r], type, k, n);
    v16_transpose(v);
    #pragma GCC unroll 16
    for (int i = 0; i < 16; i++) v16_store(buf + 16 * i, v[i]);
}

/* sums[j] += buf [n][16 rows] * weight j of w [n][16 classes], for a constant count of classes that fits the registers. */
V16_FN void add(const float *buf, const float *w, int64_t n, int count, v16 *sums)
{
    v16 a[16];
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

#ifdef TIER_AVX512

/* All sums stay in registers over the whole row, so there is one function per type and even number of classes; a class
 * that pads it has zero weights. */
V16_FN void sum_as(few_rows *f, int64_t d, const float *w, sluice_type type, int c, v16 sums[16])
{
    _Alignas(64) float buf[256];
    v16 a[16];
    #pragma GCC unroll 16
    for (int j = 0; j < c; j++) a[j] = sums[j];
    int64_t k = 0;
    for (; k + 16 <= d; k += 16) {
        gather(f, type, k, 16, buf);
        prefetch(f);
        add(buf, w + 16 * k, 16, c, a);
    }
    if (k < d) {
        gather(f, type, k, d - k, buf);
        add(buf, w + 16 * k, d - k, c, a);
    }
    #pragma GCC unroll 16
    for (int j = 0; j < c; j++) sums[j] = a[j];
}

#define FUNCTION(type, c) \
    static void sum_##type##_##c(few_rows *f, int64_t d, const float *w, v16 sums[16]) { sum_as(f, d, w, SLUICE_##type, c, sums); }
#define TYPE(type) \
    FUNCTION(type, 2) FUNCTION(type, 4) FUNCTION(type, 6) FUNCTION(type, 8) \
    FUNCTION(type, 10) FUNCTION(type, 12) FUNCTION(type, 14) FUNCTION(type, 16)
#define NAMES(type)                                                           \
    [SLUICE_##type] = { sum_##type##_2, sum_##type##_4, sum_##type##_6, sum_##type##_8, sum_##type##_10, sum_##type##_12, \
                        sum_##type##_14, sum_##type##_16 }
TYPE(F32)
TYPE(F16)
TYPE(BF16)
TYPE(I8)
TYPE(U8)
static few_sum *const few_sums[SLUICE_U8 + 1][8] = { NAMES(F32), NAMES(F16), NAMES(BF16), NAMES(I8), NAMES(U8) };

static void few_sum_rows(few_rows *f, sluice_type type, int64_t d, const float *w, int64_t c, v16 sums[16])
{
    few_sums[type][(c - 1) / 2](f, d, w, sums);
}

#else

/* Too few registers for 16 sums: the gathered features are passed once per group of classes. */
static void add_group(const float *buf, const float *w, int64_t n, int64_t left, v16 *sums)
{
#ifdef TIER_AVX2
    if (left > 4) add(buf, w, n, 6, sums);
    else if (left > 2) add(buf, w, n, 4, sums);
    else
#endif
    add(buf, w, n, 2, sums);
    (void)left;
}

static void few_sum_rows(few_rows *f, sluice_type type, int64_t d, const float *w, int64_t c, v16 sums[16])
{
    enum {
#ifdef TIER_AVX2
        GROUP = 6
#else
        GROUP = 2
#endif
    };
    v16 a[18];                                            /* a last group may reach past 16 */
    _Alignas(64) float buf[256];
    for (int j = 0; j < 16; j++) a[j] = sums[j];
    for (int64_t k = 0; k < d; k += 16) {
        int64_t n = cpu_min(16, d - k);
        switch (type) {
        case SLUICE_F16: gather(f, SLUICE_F16, k, n, buf); break;
        case SLUICE_BF16: gather(f, SLUICE_BF16, k, n, buf); break;
        case SLUICE_I8: gather(f, SLUICE_I8, k, n, buf); break;
        case SLUICE_U8: gather(f, SLUICE_U8, k, n, buf); break;
        default: gather(f, SLUICE_F32, k, n, buf); break;
        }
        prefetch(f);
        for (int64_t j = 0; j < c; j += GROUP) add_group(buf, w + 16 * k + j, n, c - j, a + j);
    }
    for (int j = 0; j < 16; j++) sums[j] = a[j];
}

#endif

/* Rows i .. i+n-1 and what to prefetch beside them: the following 16, unless gaps between rows make that a waste. */
static few_rows rows_at(const sluice_view *x, int64_t i, int64_t n)
{
    few_rows f;
    size_t bytes = (size_t)x->cols * row_value_bytes(x->type), steps = (size_t)x->cols / 16;
    for (int r = 0; r < 16; r++) f.row[r] = view_row(x, i + (r < n ? r : n - 1));
    f.ahead = f.row[0] + 16 * x->stride;
    f.lines = steps && x->stride <= 2 * bytes ? (int64_t)((x->stride / 4 + steps - 1) / steps) : 0;
    return f;
}

void TIER_FN(few_logits)(const sluice_view *x, const float *packed, const float *bias, int64_t c, int64_t i, int64_t n, v16 z[16])
{
    int integer = row_is_integer(x->type);
    few_rows f = rows_at(x, i, n);
    for (int j = 0; j < 16; j++) z[j] = v16_set1(j < c && bias && !integer ? bias[j] : 0.0f);
    few_sum_rows(&f, x->type, x->cols, packed, c, z);
    v16 scale = x->scale ? v16_load_n(x->scale + i, n, 1.0f) : v16_set1(1.0f);
    for (int64_t j = 0; j < c; j++) {
        if (integer) z[j] = v16_fma(scale, z[j], v16_set1(bias ? bias[j] : 0.0f));
        z[j] = v16_stored(z[j]);
    }
    for (int64_t j = c; j < 16; j++) z[j] = v16_zero();
}
