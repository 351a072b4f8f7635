/* uncertainty.h - the single-pass scores of one row of logits, for C17, C++17 and CUDA.
 * ex_reduce() is the definition; the kernels compute the same ex_stat in the same order, then call the scores.
 *
 *   y = z / temperature            y1 >= y2 the two largest, best the lowest index that holds y1
 *   d_j = y_j - y1                 for every class j but best
 *   s = sum exp(d_j), t = sum exp(d_j) d_j     16 partials, class j into partial j % 16, ascending
 *
 * Above EX_BLOCK_CLASSES classes each block of that many has 16 partials of its own, which are added, blocks
 * ascending, to 16 totals.  One chain of 1,366 equal terms (c = 21,843) drifts by 2e-5, blocks by 1e-6.
 *
 * No score is formed as 1 - p: p rounds to 1 long before its complement vanishes, so that the naive forms
 * return 0 for most of a confident pool.  Larger means label first.  NaN in, 7fc00000 out. */
#ifndef SLUICE_UNCERTAINTY_H
#define SLUICE_UNCERTAINTY_H

#include "exact.h"

enum { EX_BLOCK_CLASSES = 1024 };

typedef struct ex_stat {
    float z1, z2; /* largest and second largest y (equal on a tie); z2 = -inf if c = 1 */
    float s, t;
    int32_t best; /* lowest index of the largest logit; -1 in a row that is not finite */
} ex_stat;

/* A divided logit: + 0.0f turns -0 into +0, so that which of two zeros is the maximum cannot matter. */
EX_FN float ex_logit(float z, float temperature) { return z / temperature + 0.0f; }

/* y - y1, cut where exp is 0 anyway: the difference of two finite logits may be -inf, and 0 * inf is NaN. */
EX_FN float ex_gap(float y, float y1)
{
    float d = y - y1;
    return d > -128.0f ? d : -128.0f;
}

/* The stat of a row with a logit that is, or after division becomes, NaN or infinite. */
EX_FN ex_stat ex_bad_stat(void)
{
    ex_stat st;
    st.z1 = st.z2 = st.s = st.t = ex_nan();
    st.best = -1;
    return st;
}

/* The 16 partials of classes [from, to), from a multiple of 16, added to the totals s and t. */
EX_FN void ex_sum_block(const float *z, int64_t from, int64_t to, float temperature, ex_stat st, float s[16],
                        float t[16])
{
    float ps[16], pt[16];
    for (int p = 0; p < 16; p++) ps[p] = pt[p] = 0.0f;
    for (int64_t j = from; j < to; j++) {
        if (j == st.best) continue;
        float d = ex_gap(ex_logit(z[j], temperature), st.z1), e = ex_exp(d);
        ps[j % 16] += e;
        pt[j % 16] = ex_fma(e, d, pt[j % 16]);
    }
    for (int p = 0; p < 16; p++) s[p] += ps[p], t[p] += pt[p];
}

/* z [c], c >= 1, temperature > 0. */
EX_FN ex_stat ex_reduce(const float *z, int64_t c, float temperature)
{
    ex_stat st;
    float s[16], t[16];
    st.z1 = st.z2 = -ex_inf();
    st.best = 0;
    for (int64_t j = 0; j < c; j++) {
        float y = ex_logit(z[j], temperature);
        if (!ex_finite(y)) return ex_bad_stat();
        if (y > st.z1) st.z2 = st.z1, st.z1 = y, st.best = (int32_t)j;
        else if (y > st.z2) st.z2 = y;
    }
    for (int p = 0; p < 16; p++) s[p] = t[p] = 0.0f;
    for (int64_t j = 0; j < c; j += EX_BLOCK_CLASSES)
        ex_sum_block(z, j, c - j < EX_BLOCK_CLASSES ? c : j + EX_BLOCK_CLASSES, temperature, st, s, t);
    st.s = ex_fold16(s);
    st.t = ex_fold16(t);
    return st;
}

EX_FN float ex_or_nan(float x) { return x == x ? x : ex_nan(); }

/* p1, the probability of the prediction: 1 / (1 + S). */
EX_FN float ex_confidence(ex_stat st) { return ex_or_nan(1.0f / (1.0f + st.s)); }

/* 1 - p1 = S / (1 + S), in [0, 1 - 1/c]. */
EX_FN float ex_least_confidence(ex_stat st) { return ex_or_nan(st.s / (1.0f + st.s)); }

/* p2 / p1 = exp(z2 - z1), in [0, 1]. */
EX_FN float ex_ratio(ex_stat st) { return ex_or_nan(ex_exp(st.z2 - st.z1)); }

/* 1 - (p1 - p2) = (S + exp(z2 - z1)) / (1 + S), in [0, 1]. */
EX_FN float ex_margin(ex_stat st) { return ex_or_nan((st.s + ex_exp(st.z2 - st.z1)) / (1.0f + st.s)); }

/* Entropy in units of log c, in [0, 1]: (log(1 + S) - T / (1 + S)) / log c.  log_c = ex_log((float)c). */
EX_FN float ex_entropy(ex_stat st, float log_c)
{
    float h = ex_log1p(st.s) - st.t / (1.0f + st.s);
    h = h < 0.0f ? 0.0f : h;
    h = h > log_c ? log_c : h;
    return ex_or_nan(log_c > 0.0f ? h / log_c : h); /* c = 1: 0, by the clamp */
}

/* Energy -t log sum exp(z / t) (Liu et al., NeurIPS 2020) at the temperature the stat was reduced with. */
EX_FN float ex_energy(ex_stat st, float temperature) { return ex_or_nan(-temperature * (st.z1 + ex_log1p(st.s))); }

#endif
