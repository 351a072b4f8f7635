/* power.c - beta log s + G, G standard Gumbel: the first k are a sample without replacement with chances ~ s^beta.
 * Kirsch et al., "Stochastic batch acquisition", TMLR 2023; the Gumbel trick of Vieira 2014.  s <= 0 has no chance:
 * -inf, never NaN (a NaN that sorts last in one tool sorts first in another), so such rows come last, by hash. */
#include "strategies.h"
#include "philox.h"

static float power_key(float score, float beta, uint64_t bits)
{
    if (score != score) return ex_nan();
    if (!(score > 0)) return -ex_inf();
    return beta * ex_log(score) + ex_gumbel(bits);
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
        for (int64_t i = 0; i < b->rows; i++) {
            uint32_t word[4];
            ex_random4(b->seed, purpose, block_id(b, i), 0, word);
            out[i] = power_key(out[i], beta, (uint64_t)word[1] << 32 | word[0]);
        }
        fp_leave(fp);
    }
}
