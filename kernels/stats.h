/* stats.h - ex_reduce() and the scores of uncertainty.h for 16 rows at once: lanes are rows, so that every sum keeps
 * the canonical order by itself and nothing is folded across lanes.  Twin of uncertainty.h, bit for bit. */
#ifndef STATS_H
#define STATS_H

#include "rows.h"
#include "uncertainty.h"

/* ex_stat of 16 rows; NaN in the lanes of rows that are not finite. */
typedef struct stats {
    v16 z1, z2, s, t, best;
} stats;

/* The two largest so far; trap is 0 until a logit is not finite, then NaN. */
typedef struct two {
    v16 z1, z2, best, trap;
} two;

V16_FN two two_begin(void)
{
    v16 low = v16_set1(-ex_inf()), zero = v16_zero();
    two m = { low, low, zero, zero };
    return m;
}

/* Takes classes j .. j+n-1, y[i] the logits of class j + i. */
V16_FN void two_add(two *m, const v16 *y, int64_t j, int n)
{
    for (int i = 0; i < n; i++) {
        v16 second = v16_gt_select(y[i], m->z2, y[i], m->z2);
        m->z2 = v16_gt_select(y[i], m->z1, m->z1, second);
        m->best = v16_gt_select(y[i], m->z1, v16_set1((float)(j + i)), m->best);
        m->z1 = v16_gt_select(y[i], m->z1, y[i], m->z1);
        m->trap = v16_add(m->trap, v16_sub(y[i], y[i]));
    }
}

/* Partial sums, class j in partial j % 16. */
typedef struct partials {
    v16 s[16], t[16];
} partials;

V16_FN void partials_clear(partials *p)
{
    for (int i = 0; i < 16; i++) p->s[i] = p->t[i] = v16_zero();
}

/* Adds classes j .. j+n-1, j a multiple of 16.  At the best class e becomes 0, which adds nothing to either sum. */
V16_FN void partials_add(partials *p, const two *m, const v16 *y, int64_t j, int n)
{
    v16 low = v16_set1(-128.0f), zero = v16_zero();
    for (int i = 0; i < n; i++) {
        v16 d = v16_sub(y[i], m->z1);
        d = v16_gt_select(d, low, d, low);
        v16 e = v16_exp(d), below = v16_set1((float)(j + i) - 0.5f), above = v16_set1((float)(j + i) + 0.5f);
        e = v16_gt_select(m->best, below, v16_gt_select(above, m->best, zero, e), e);
        p->s[i] = v16_add(p->s[i], e);
        p->t[i] = v16_fma(e, d, p->t[i]);
    }
}

V16_FN void partials_join(partials *all, const partials *block)
{
    for (int i = 0; i < 16; i++) {
        all->s[i] = v16_add(all->s[i], block->s[i]);
        all->t[i] = v16_add(all->t[i], block->t[i]);
    }
}

V16_FN v16 v16_fold(const v16 p[16])
{
    v16 a[8];
    for (int i = 0; i < 8; i++) a[i] = v16_add(p[i], p[i + 8]);
    for (int i = 0; i < 4; i++) a[i] = v16_add(a[i], a[i + 4]);
    return v16_add(v16_add(a[0], a[2]), v16_add(a[1], a[3]));
}

V16_FN v16 trapped(const two *m, v16 x) { return v16_gt_select(v16_set1(1.0f), m->trap, x, v16_set1(ex_nan())); }

V16_FN stats stats_of(const two *m, const partials *p)
{
    stats st = { trapped(m, m->z1), trapped(m, m->z2), trapped(m, v16_fold(p->s)), trapped(m, v16_fold(p->t)),
                 trapped(m, m->best) };
    return st;
}

/* ex_logit of n classes; dividing by 1 changes nothing and is left out. */
V16_FN void stats_divide(v16 *y, int n, float temperature)
{
    if (temperature != 1.0f)
        for (int i = 0; i < n; i++) y[i] = v16_div(y[i], v16_set1(temperature));
    for (int i = 0; i < n; i++) y[i] = v16_add(y[i], v16_zero());
}

/* At most 16 classes, z[j] the logits of class j. */
V16_FN stats stats_few(const v16 z[16], int c, float temperature)
{
    v16 y[16];
    partials p;
    two m = two_begin();
    for (int j = 0; j < c; j++) y[j] = z[j];
    stats_divide(y, c, temperature);
    two_add(&m, y, 0, c);
    partials_clear(&p);
    partials_add(&p, &m, y, 0, c);
    return stats_of(&m, &p);
}

/* 16 rows of logits in memory; rows past the last repeat it. */
typedef struct logit_rows {
    const char *row[16];
    int64_t c;
    float temperature;
} logit_rows;

V16_FN logit_rows logit_rows_at(const char *first, size_t stride, int64_t n, int64_t c, float temperature)
{
    logit_rows l;
    for (int r = 0; r < 16; r++) l.row[r] = first + (size_t)(r < n ? r : n - 1) * stride;
    l.c = c, l.temperature = temperature;
    return l;
}

/* Divided logits of classes j .. j+15 into y; how many of them there are. */
V16_FN int logits_load(const logit_rows *l, int64_t j, v16 y[16])
{
    int n = (int)cpu_min(16, l->c - j);
    if (n == 16)
        for (int r = 0; r < 16; r++) y[r] = row_load(l->row[r], SLUICE_F32, j);
    else
        for (int r = 0; r < 16; r++) y[r] = row_load_n(l->row[r], SLUICE_F32, j, n);
    v16_transpose(y);
    stats_divide(y, n, l->temperature);
    return n;
}

static two logits_two(const logit_rows *l)
{
    two m = two_begin();
    for (int64_t j = 0; j < l->c; j += 16) {
        v16 y[16];
        int n = logits_load(l, j, y);
        two_add(&m, y, j, n);
    }
    return m;
}

static void logits_sum_block(const logit_rows *l, const two *m, int64_t from, int64_t to, partials *p)
{
    partials_clear(p);
    for (int64_t j = from; j < to; j += 16) {
        v16 y[16];
        int n = logits_load(l, j, y);
        partials_add(p, m, y, j, n);
    }
}

static inline stats stats_many(const logit_rows *l)
{
    partials all, block;
    two m = logits_two(l);
    partials_clear(&all);
    for (int64_t j = 0; j < l->c; j += EX_BLOCK_CLASSES) {
        logits_sum_block(l, &m, j, cpu_min(l->c, j + EX_BLOCK_CLASSES), &block);
        partials_join(&all, &block);
    }
    return stats_of(&m, &all);
}

/* ---- scores ------------------------------------------------------------------------------------------ */

typedef struct scorer {
    sluice_scores out;
    float temperature, log_c;
} scorer;

static inline scorer scorer_new(const sluice_scores *out, int64_t c, float temperature)
{
    scorer w = { *out, temperature, ex_log((float)c) };
    return w;
}

V16_FN void put(float *out, int64_t i, int64_t n, v16 x)
{
    if (n == 16) v16_store(out + i, v16_or_nan(x));
    else v16_store_n(out + i, v16_or_nan(x), n);
}

/* ex_entropy */
V16_FN v16 entropy(stats st, v16 sum, v16 log1p_s, float log_c)
{
    v16 zero = v16_zero(), most = v16_set1(log_c);
    v16 h = v16_sub(log1p_s, v16_div(st.t, sum));
    h = v16_gt_select(zero, h, zero, h);
    h = v16_gt_select(h, most, most, h);
    return log_c > 0.0f ? v16_div(h, most) : h;
}

/* The wanted scores of rows i .. i+n-1, n <= 16. */
V16_FN void scorer_write(const scorer *w, int64_t i, int64_t n, stats st)
{
    const sluice_scores *o = &w->out;
    v16 one = v16_set1(1.0f), sum = v16_add(one, st.s), gap = v16_zero(), log1p_s = v16_zero();
    if (o->margin || o->ratio) gap = v16_exp(v16_sub(st.z2, st.z1));
    if (o->entropy || o->energy) log1p_s = v16_log1p(st.s);
    if (o->least_confidence) put(o->least_confidence, i, n, v16_div(st.s, sum));
    if (o->margin) put(o->margin, i, n, v16_div(v16_add(st.s, gap), sum));
    if (o->ratio) put(o->ratio, i, n, gap);
    if (o->entropy) put(o->entropy, i, n, entropy(st, sum, log1p_s, w->log_c));
    if (o->energy) put(o->energy, i, n, v16_mul(v16_set1(-w->temperature), v16_add(st.z1, log1p_s)));
    if (o->confidence) put(o->confidence, i, n, v16_div(one, sum));
    if (o->prediction) put(o->prediction, i, n, st.best);
}

#endif
