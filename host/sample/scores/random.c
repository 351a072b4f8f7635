/* random.c - the score whose order is the order of hash64(seed, id): a sample without replacement, known from ids
 * alone. */
#include "strategies.h"
#include "exact.h"

void fill_random(const strategy *st, const block_facts *b, float *out)
{
    (void)st;
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int64_t i = 0; i < b->rows; i++) {
        /* 24 bits of the hash are a float exactly; ties fall to the whole hash, so the two orders agree. */
        float score = 1.0f - (float)(ex_hash64(b->seed, block_id(b, i)) >> 40) * 0x1p-24f;
        out[i] = b->bad && b->bad[i] == ROW_BAD ? ex_nan() : score;
    }
}
