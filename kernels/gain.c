/* gain.c - what each row would add to how well some rows are covered, on the CPU.  Contract: sluice_backend.h.
 *
 * Lanes are 16 covered rows, packed; BLOCK candidates pass over each such group while it is in cache, ROWS at a time in
 * registers. */
#include "rows.h"

enum { ROWS = 4, BLOCK = 64 };

/* Squared distances of rows i .. i+n-1, n <= ROWS, to the 16 rows of a group. */
V16_FN void distances(const sluice_view *v, int64_t i, int64_t n, const float *group, float out[ROWS][16])
{
    const float *x[ROWS];
    v16 sum[ROWS];
    for (int64_t r = 0; r < ROWS; r++)
        x[r] = (const float *)(const void *)view_row(v, i + cpu_min(r, n - 1)), sum[r] = v16_zero();
    for (int64_t k = 0; k < v->cols; k++) {
        v16 y = v16_load(group + k * 16);
        for (int r = 0; r < ROWS; r++) {
            v16 e = v16_sub(v16_set1(x[r][k]), y);
            sum[r] = v16_fma(e, e, sum[r]);
        }
    }
    for (int r = 0; r < ROWS; r++) v16_store(out[r], sum[r]);
}

/* k(x, y) of squared distances c, in place. */
static void kernel_of(const sluice_op_gain_args *a, float c[16])
{
    if (a->kernel == SLUICE_HAT)
        for (int l = 0; l < 16; l++) c[l] = c[l] < a->scale ? 1.0f : 0.0f;
    else
        for (int l = 0; l < 16; l++) c[l] = ex_exp(-(c[l] / a->scale));
}

/* What kernel values k [n], n <= 16, add to rows j on. */
static int64_t added(const sluice_op_gain_args *a, int64_t j, int64_t n, const float k[16])
{
    int64_t sum = 0;
    for (int64_t l = 0; l < n; l++) {
        float more = k[l] - a->kept[j + l];
        double weight = a->weight ? (double)a->weight[j + l] : 1.0;
        sum += ex_round64(more > 0 ? weight * (double)more * 0x1p40 : 0.0);
    }
    return sum;
}

static void gain_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_gain_args *a = arg;
    (void)thread;
    for (int64_t block = first; block < last; block += BLOCK)
        for (int64_t j = 0; j < a->y.rows; j += 16)
            for (int64_t i = block; i < cpu_min(block + BLOCK, last); i += ROWS) {
                float k[ROWS][16];
                int64_t n = cpu_min(ROWS, cpu_min(block + BLOCK, last) - i);
                distances(&a->x, i, n, a->packed + j * a->y.cols, k);
                for (int64_t r = 0; r < n; r++) {
                    kernel_of(a, k[r]);
                    a->gain[i + r] += added(a, j, cpu_min(16, a->y.rows - j), k[r]);
                }
            }
}

sluice_status TIER_FN(op_gain)(sluice_exec *x, const sluice_op_gain_args *a)
{
    cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, ROWS, BLOCK), gain_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
