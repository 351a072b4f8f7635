/* dropout.c - zero entries by counter-based masks and rescale, on the CPU.  Contract in sluice_backend.h.
 *
 * Entry j of row i is kept iff the top 24 bits of word j % 4 of draw j / 4, as a fraction of 1, reach the rate.  The words
 * are those of ex_random4(); many draws run side by side here, because one after the other they took a fifth of the
 * training of a small net. */
#include "cpu.h"
#include "philox.h"

enum { DRAWS = 32 }; /* more than 16, else gcc unrolls the loops before it looks for vectors */

/* ex_philox() for the counters (id, draw + i). */
static void philox_draws(const uint32_t key[2], uint64_t id, uint32_t draw, uint32_t out[DRAWS][4])
{
    uint32_t c0[DRAWS], c1[DRAWS], c2[DRAWS], c3[DRAWS], k0 = key[0], k1 = key[1];
    for (int i = 0; i < DRAWS; i++)
        c0[i] = (uint32_t)id, c1[i] = (uint32_t)(id >> 32), c2[i] = draw + (uint32_t)i, c3[i] = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < DRAWS; i++) {
            uint64_t p = (uint64_t)0xd2511f53u * c0[i], q = (uint64_t)0xcd9e8d57u * c2[i];
            c0[i] = (uint32_t)(q >> 32) ^ c1[i] ^ k0, c1[i] = (uint32_t)q;
            c2[i] = (uint32_t)(p >> 32) ^ c3[i] ^ k1, c3[i] = (uint32_t)p;
        }
        k0 += 0x9e3779b9u, k1 += 0xbb67ae85u;
    }
    for (int i = 0; i < DRAWS; i++) out[i][0] = c0[i], out[i][1] = c1[i], out[i][2] = c2[i], out[i][3] = c3[i];
}

static void dropout_row(const sluice_op_dropout_args *a, int64_t i, float scale)
{
    float *x = (float *)((char *)a->x.data + (size_t)i * a->x.stride);
    uint64_t id = (a->step << 32) + (uint64_t)(a->first + i), k = a->seed ^ ex_mix64(EX_DROPOUT);
    const uint32_t key[2] = { (uint32_t)k, (uint32_t)(k >> 32) };
    for (int64_t j = 0; j < a->x.cols; j += 4 * DRAWS) {
        uint32_t word[DRAWS][4];
        const uint32_t *w = word[0];
        int64_t n = cpu_min(4 * DRAWS, a->x.cols - j);
        philox_draws(key, id, (uint32_t)(j / 4), word);
        for (int64_t e = 0; e < n; e++)
            x[j + e] = ex_pick((float)(int32_t)(w[e] >> 8) * 0x1p-24f >= a->rate, x[j + e] * scale, 0.0f);
    }
}

static void dropout_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_dropout_args *a = arg;
    float scale = 1.0f / (1.0f - a->rate);
    (void)thread;
    for (int64_t i = first; i < last; i++) dropout_row(a, i, scale);
}

sluice_status TIER_FN(op_dropout)(sluice_exec *x, const sluice_op_dropout_args *a)
{
    cpu_parallel(x, a->x.rows, 8, dropout_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
