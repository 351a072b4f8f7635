/* loss.c - weighted softmax cross-entropy and its gradient on the CPU.  Contract in sluice_backend.h.
 *
 * z1, S and the argmax of a row are those of uncertainty.h, in its order: 16 partials, blocks of EX_BLOCK_CLASSES.
 *
 *   loss      w (z1 - z_t + log1p(S)) in double       w = weight of the target's class
 *   gradient  (w scale) (p_j - [j = t]),  p_j = exp(z_j - z1) / (1 + S);  where the target is the argmax, p_t - 1 is
 *             -S / (1 + S), which keeps its digits as p_t goes to 1
 *
 * A row with a logit that is not finite has a NaN loss, a NaN gradient and counts as wrong. */
#include "cpu.h"
#include "lanes.h"
#include "uncertainty.h"

enum { BLOCK_ROWS = 4096 };

/* Largest of z [c] and its lowest index; -1 if any is not finite. */
static int64_t row_best(const float *z, int64_t c)
{
    int64_t best = 0;
    uint32_t bad = 0;
    for (int64_t j = 0; j < c; j++) {
        bad |= (uint32_t)((ex_bits(z[j]) & 0x7f800000u) == 0x7f800000u);
        if (z[j] > z[best]) best = j;
    }
    return bad ? -1 : best;
}

/* S; exp(z - z1) into e [c] where e is wanted. */
static float row_sum(const float *z, int64_t c, int64_t best, float *e)
{
    float z1 = ex_logit(z[best], 1.0f), total[16] = { 0 };
    for (int64_t from = 0; from < c; from += EX_BLOCK_CLASSES) {
        int64_t to = cpu_min(c, from + EX_BLOCK_CLASSES);
        v16 s = v16_zero();
        for (int64_t j = from; j < to; j += 16) {
            float d[16];
            int64_t n = cpu_min(16, to - j);
            for (int64_t i = 0; i < 16; i++) d[i] = i < n ? ex_gap(ex_logit(z[j + i], 1.0f), z1) : -128.0f; /* exp: 0 */
            v16 x = v16_exp(v16_load(d));
            v16_store(d, x);
            if (e) memcpy(e + j, d, (size_t)n * sizeof *e);
            if (best >= j && best < j + 16) {
                d[best - j] = 0.0f;
                x = v16_load(d);
            }
            s = v16_add(s, x);
        }
        v16_store(total, v16_add(v16_load(total), s));
    }
    return ex_fold16(total);
}

typedef struct block_sum {
    double loss;
    int64_t correct;
} block_sum;

typedef struct work {
    const sluice_op_loss_args *a;
    block_sum *sums; /* one per block of rows */
} work;

static void row_loss(const sluice_op_loss_args *a, int64_t i, block_sum *b)
{
    int64_t c = a->logits.cols, t = a->target[i];
    const float *z = (const float *)((const char *)a->logits.data + (size_t)i * a->logits.stride);
    float *g = a->grad.data ? (float *)((char *)a->grad.data + (size_t)i * a->grad.stride) : NULL;
    float weight = a->weight ? a->weight[t] : 1.0f;
    int64_t best = row_best(z, c);
    if (best < 0) {
        for (int64_t j = 0; g && j < c; j++) g[j] = ex_nan();
        b->loss += (double)ex_nan();
        return;
    }
    float target = z[t], z1 = z[best]; /* before g, which may be logits itself, is written */
    float s = row_sum(z, c, best, g);
    b->loss += (double)weight * ((double)z1 - (double)target + (double)ex_log1p(s));
    b->correct += best == t;
    if (!g) return;
    float scale = weight * a->grad_scale, sum = 1.0f + s;
    for (int64_t j = 0; j < c; j++) {
        float p = j == best ? 1.0f / sum : g[j] / sum;
        float q = j != t ? p : j == best ? -(s / sum) : p - 1.0f;
        g[j] = scale * q + 0.0f;
    }
}

static void loss_blocks(void *arg, int64_t first, int64_t last, int thread)
{
    const work *p = arg;
    (void)thread;
    for (int64_t b = first; b < last; b++) {
        block_sum sum = { 0, 0 };
        int64_t end = cpu_min(p->a->logits.rows, (b + 1) * BLOCK_ROWS);
        for (int64_t i = b * BLOCK_ROWS; i < end; i++) row_loss(p->a, i, &sum);
        p->sums[b] = sum;
    }
}

sluice_status TIER_FN(op_loss)(sluice_exec *x, const sluice_op_loss_args *a)
{
    int64_t blocks = (a->logits.rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    work p = { a, x->scratch(x, (size_t)(blocks + 1) * sizeof(block_sum)) };
    if (!p.sums) return x->fail(x, SLUICE_E_MEMORY, "no memory for %lld sums of losses", (long long)blocks);
    cpu_parallel(x, blocks, 1, loss_blocks, &p);
    block_sum all = { 0, 0 };
    for (int64_t b = 0; b < blocks; b++) all.loss += p.sums[b].loss, all.correct += p.sums[b].correct;
    if (a->out_sum) *a->out_sum = all.loss;
    if (a->out_correct) *a->out_correct = all.correct;
    return SLUICE_OK;
}
