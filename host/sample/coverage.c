/* coverage.c - see coverage.h. */
#include "coverage.h"

#include "device.h"
#include "exact.h"

#include <string.h>

enum { LEADERS = 8 }; /* measured again at a time */

typedef struct work {
    batch *b;
    sluice_op_gain_args op; /* all but x and gain */
    float *packed, *kept, *distance;
    int64_t *gain;     /* [n] */
    int64_t *measured; /* [n] after so many picks */
    float *x;          /* [LEADERS, d] */
} work;

static void work_release(work *w)
{
    mem_free(w->kept), mem_free(w->distance), mem_free(w->gain), mem_free(w->measured);
    mem_free(w->x);
}

/* How well a row at squared distance c is covered, as the op has it. */
static float kernel_of(const work *w, float c)
{
    return w->op.kernel == SLUICE_HAT ? (c < w->op.scale ? 1.0f : 0.0f) : ex_exp(-(c / w->op.scale));
}

static void keep(work *w)
{
    for (int64_t j = 0; j < w->op.y.rows; j++) {
        float k = kernel_of(w, w->distance[j]);
        w->kept[j] = k > w->kept[j] ? k : w->kept[j];
    }
}

static sluice_status work_init(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    const batch *b = w->b;
    int64_t p = covered_rows(b);
    size_t row = (size_t)(b->d ? b->d : 1) * sizeof(float);
    w->op.y = sluice_rows(b->sample, SLUICE_F32, p, b->d);
    TRY_NEW(w->packed, dev_new(s, (p + 15) / 16 * 16, row));
    TRY_NEW(w->kept, NEW(s, p, float));
    TRY_NEW(w->distance, RAW(s, p, float));
    TRY_NEW(w->gain, NEW(s, b->n, int64_t));
    TRY_NEW(w->measured, NEW(s, b->n, int64_t));
    TRY_NEW(w->x, mem_raw(s, LEADERS, row));
    w->op.packed = w->packed, w->op.kept = w->kept;
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = w->op.y, .out = w->packed }));
    TRY(nearest_distances(s, b->sample, p, b->labelled, b->m, b->d, w->distance));
    keep(w);
out:
    return st;
}

static sluice_status measure(sluice *s, const work *w, const float *x, int64_t n, int64_t *gain)
{
    sluice_op_gain_args op = w->op;
    op.x = sluice_rows(x, SLUICE_F32, n, w->b->d), op.gain = gain;
    memset(gain, 0, (size_t)n * sizeof *gain);
    return sluice_op_gain(s, &op);
}

static bool leads(const work *w, int64_t i, int64_t j)
{
    return w->gain[i] > w->gain[j] || (w->gain[i] == w->gain[j] && i < j);
}

/* The open candidates of largest gain, as last measured, in order; how many. */
static int64_t leaders(const work *w, int64_t out[LEADERS])
{
    int64_t n = 0;
    for (int64_t i = 0; i < w->b->n; i++) {
        if (w->b->open[i] != 1 || (n == LEADERS && !leads(w, i, out[n - 1]))) continue;
        int64_t at = n < LEADERS ? n++ : n - 1;
        for (; at > 0 && leads(w, i, out[at - 1]); at--) out[at] = out[at - 1];
        out[at] = i;
    }
    return n;
}

static sluice_status measure_again(sluice *s, work *w, const int64_t *list, int64_t n)
{
    int64_t gain[LEADERS], d = w->b->d;
    for (int64_t j = 0; j < n; j++) memcpy(w->x + j * d, w->b->x + list[j] * d, (size_t)d * sizeof *w->x);
    sluice_status st = measure(s, w, w->x, n, gain);
    for (int64_t j = 0; j < n && !st; j++) w->gain[list[j]] = gain[j], w->measured[list[j]] = w->b->picked;
    return st;
}

/* The open candidate that gains most now, -1: none gains. */
static sluice_status find_best(sluice *s, work *w, int64_t *out_best)
{
    int64_t list[LEADERS];
    for (;;) {
        int64_t n = leaders(w, list);
        *out_best = n && w->gain[list[0]] > 0 ? list[0] : -1;
        if (*out_best < 0 || w->measured[list[0]] == w->b->picked) return SLUICE_OK;
        sluice_status st = measure_again(s, w, list, n);
        if (st) return st;
    }
}

sluice_status cover_greedily(sluice *s, batch *b, sluice_kernel kernel, float scale, const float *weight)
{
    sluice_status st = SLUICE_OK;
    work w = { .b = b, .op = { .kernel = kernel, .scale = scale, .weight = weight } };
    TRY(work_init(s, &w));
    TRY(measure(s, &w, b->x, b->n, w.gain));
    for (int64_t i; !batch_full(b);) {
        TRY(find_best(s, &w, &i));
        if (i < 0) break;
        batch_take(b, i, (float)((double)w.gain[i] * 0x1p-40));
        TRY(row_distances(s, b->sample, w.op.y.rows, b->x + i * b->d, b->d, w.distance));
        keep(&w);
    }
out:
    dev_free(s, w.packed), work_release(&w);
    return st;
}
