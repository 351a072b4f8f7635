/* relax.c - distances to the nearest of some rows, after one or more rows.  Contract: sluice_backend.h.
 *
 * Lanes are 16 rows, transposed 16 features at a time.  One row to measure to: bound by reading x, whose next rows are
 * prefetched in the order of their addresses, as in few.c.  Several: the 16 rows wait transposed in scratch, in cache, while
 * SEVERAL of y at a time pass over them. */
#include "rows.h"

enum {
    GRAIN = 256,
    SEVERAL = 4,
    ALONE = 1 << 17 /* differences that one thread takes faster than two agree */
};

/* Asks for 64 of the bytes that follow 16 rows at p, for each 64 of a row. */
V16_FN void prefetch_next(const char *p, size_t stride, int64_t k)
{
    const char *next = p + 16 * stride + 16 * (size_t)k * sizeof(float);
    for (int i = 0; i < 16; i++) v16_prefetch(next + 64 * i);
}

/* Distances of n <= 16 rows from i on. */
V16_FN v16 distances(const sluice_op_relax_args *a, int64_t i, int64_t n)
{
    int64_t d = a->x.cols;
    v16 sum = v16_zero();
    for (int64_t k = 0; k < d; k += 16) {
        int64_t depth = cpu_min(16, d - k);
        v16 x[16];
        for (int64_t r = 0; r < 16; r++) {
            const char *row = view_row(&a->x, i + cpu_min(r, n - 1));
            x[r] = depth == 16 ? row_load(row, SLUICE_F32, k) : row_load_n(row, SLUICE_F32, k, depth);
        }
        v16_transpose(x);
        prefetch_next(view_row(&a->x, i), a->x.stride, k);
        for (int64_t f = 0; f < depth; f++) {
            v16 e = v16_sub(x[f], v16_set1(a->y[k + f]));
            sum = v16_fma(e, e, sum);
        }
    }
    return sum;
}

static void relax_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_relax_args *a = arg;
    (void)thread;
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i);
        float c[16];
        v16_store(c, distances(a, i, n));
        for (int64_t r = 0; r < n; r++) {
            if (!(c[r] < a->distance[i + r])) continue; /* a NaN never is */
            a->distance[i + r] = c[r];
            if (a->nearest) a->nearest[i + r] = a->index;
        }
    }
}

/* ---- several rows to measure to ---- */

typedef struct job {
    const sluice_op_relax_args *a;
    char *scratch; /* per thread: 16 rows, transposed */
    size_t scratch_bytes;
} job;

static void lay_out(const sluice_view *v, int64_t i, int64_t n, float *tile)
{
    for (int64_t k = 0; k < v->cols; k += 16) {
        int64_t depth = cpu_min(16, v->cols - k);
        v16 x[16];
        for (int64_t r = 0; r < 16; r++) x[r] = row_load_n(view_row(v, i + cpu_min(r, n - 1)), SLUICE_F32, k, depth);
        v16_transpose(x);
        for (int64_t f = 0; f < depth; f++) v16_store(tile + 16 * (k + f), x[f]);
    }
}

/* Distances of a tile's rows to n <= SEVERAL rows of y. */
V16_FN void distances_to(const float *tile, const float *y, int64_t n, int64_t d, v16 out[SEVERAL])
{
    const float *row[SEVERAL];
    v16 sum[SEVERAL];
    for (int64_t q = 0; q < SEVERAL; q++) row[q] = y + cpu_min(q, n - 1) * d, sum[q] = v16_zero();
    for (int64_t k = 0; k < d; k++) {
        v16 x = v16_load(tile + 16 * k);
        for (int q = 0; q < SEVERAL; q++) {
            v16 e = v16_sub(x, v16_set1(row[q][k]));
            sum[q] = v16_fma(e, e, sum[q]);
        }
    }
    for (int q = 0; q < SEVERAL; q++) out[q] = sum[q];
}

/* Row j of y, at distances c of rows i .. i+n-1. */
V16_FN void lower(const sluice_op_relax_args *a, int64_t i, int64_t n, int64_t j, v16 distance)
{
    float c[16];
    unsigned bits = v16_le_bits(distance, v16_load_n(a->distance + i, n, -ex_inf()));
    if (!bits) return; /* a NaN never is */
    v16_store(c, distance);
    for (; bits; bits &= bits - 1) {
        int64_t r = __builtin_ctz(bits);
        if ((a->from && j < a->from[i + r]) || !(c[r] < a->distance[i + r])) continue;
        a->distance[i + r] = c[r];
        if (a->nearest) a->nearest[i + r] = a->index + (int32_t)j;
    }
}

static int64_t first_of(const sluice_op_relax_args *a, int64_t i, int64_t n)
{
    int64_t first = a->from ? a->count : 0;
    for (int64_t r = 0; r < n && a->from; r++) first = cpu_min(first, a->from[i + r]);
    return first;
}

static void relax_several(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    const sluice_op_relax_args *a = w->a;
    float *tile = (float *)(void *)(w->scratch + (size_t)thread * w->scratch_bytes);
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i);
        lay_out(&a->x, i, n, tile);
        for (int64_t j = first_of(a, i, n); j < a->count; j += SEVERAL) {
            v16 c[SEVERAL];
            int64_t rows = cpu_min(SEVERAL, a->count - j);
            distances_to(tile, a->y + j * a->x.cols, rows, a->x.cols, c);
            for (int64_t q = 0; q < rows; q++) lower(a, i, n, j + q, c[q]);
        }
    }
}

static int64_t grain_of(const sluice_exec *x, const sluice_op_relax_args *a)
{
    double differences = (double)a->x.rows * (double)a->x.cols * (double)(a->count > 1 ? a->count : 1);
    return differences < ALONE ? a->x.rows + 1 : cpu_grain(x, a->x.rows, 16, GRAIN);
}

sluice_status TIER_FN(op_relax)(sluice_exec *x, const sluice_op_relax_args *a)
{
    sluice_op_relax_args some = *a;
    job w = { .a = &some, .scratch_bytes = cpu_lines((size_t)a->x.cols * 16 * sizeof(float)) };
    if (a->count <= 1 && !a->from) {
        cpu_parallel(x, a->x.rows, grain_of(x, a), relax_rows, (void *)(uintptr_t)a);
        return SLUICE_OK;
    }
    some.count = a->count > 1 ? a->count : 1;
    w.scratch = x->scratch(x, (size_t)x->threads * w.scratch_bytes);
    if (!w.scratch) return SLUICE_E_MEMORY;
    cpu_parallel(x, a->x.rows, grain_of(x, a), relax_several, &w);
    return SLUICE_OK;
}
