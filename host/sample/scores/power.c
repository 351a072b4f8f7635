/* power.c - beta log s + G, G standard Gumbel: the first k are a sample without replacement with chances ~ s^beta.
 * Kirsch et al., "Stochastic batch acquisition", TMLR 2023; the Gumbel trick of Vieira 2014.  s <= 0 has no chance:
 * -inf, never NaN (a NaN that sorts last in one tool sorts first in another), so such rows come last, by hash. */
#include "strategies.h"
#include "philox.h"

enum { PIECE = 256 };

/* G = -log(-log1p(-u)) as in ex_gumbel(), and the key: straight-line code, so that the compiler takes rows in vectors. */
static void make_keys(const float *u, float beta, int64_t n, float *key)
{
    for (int64_t i = 0; i < n; i++) {
        float score = key[i], log_score = ex_log(score), gumbel = -ex_log(-ex_log1p(-u[i]));
        float sum = beta * log_score + gumbel;
        sum = ex_pick(score > 0, sum, -ex_inf());
        key[i] = ex_pick(score == score, sum, ex_nan());
    }
}

static void fill_piece(const block_facts *b, uint32_t purpose, float beta, int64_t first, int64_t n, float *key)
{
    float u[PIECE];
    for (int64_t i = 0; i < n; i++) {
        uint32_t word[4];
        ex_random4(b->seed, purpose, block_id(b, first + i), 0, word);
        u[i] = ex_uniform01((uint64_t)word[1] << 32 | word[0]);
    }
    make_keys(u, beta, n, key);
}

void fill_power(const strategy *st, const block_facts *b, float *out)
{
    strategy inner = *st;
    inner.kind = st->of;
    inner.of = NULL;
    st->of->fill(&inner, b, out);
    float beta = (float)st->value[0];
    uint32_t purpose = EX_GUMBEL ^ (uint32_t)(b->labelled & 0x7ffffff);
#pragma omp parallel num_threads(b->threads)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t first = 0; first < b->rows; first += PIECE)
            fill_piece(b, purpose, beta, first, b->rows - first < PIECE ? b->rows - first : PIECE, out + first);
        fp_leave(fp);
    }
}
