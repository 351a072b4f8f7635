/* adaptive.c - representative sampling: rows that look like the pool and unlike what is labelled, the centre of the
 * labelled rows moving with each pick.  Munro, Human-in-the-Loop Machine Learning, 2021.
 *
 *     again and again argmax cos(x, mean of the sample) - cos(x, mean of labelled rows and picks), in [-2, 2]
 *
 * the lower index among equals.  The cosine with a mean of no rows, or of rows that cancel, is 0, and so is that of a row
 * of zeros: where all scores are equal, candidates follow in the order of their hashes.  Means are integer sums of
 * L2-normalised rows.  A pick's score is what was largest. */
#include "batch.h"
#include "device.h"
#include "exact.h"

#include <math.h> /* sqrt of doubles: correctly rounded */
#include <string.h>

enum { PIECE = 1 << 22 }; /* rows whose integer sums cannot overflow */

typedef struct work {
    batch *b;
    __int128 *sum;    /* [d] of labelled rows and picks, in 2^-40 */
    int64_t *piece;   /* [d] */
    int32_t *cell;    /* all 0 */
    float *direction; /* [d] of a mean, length 1 or 0 */
    float *packed;
    float *like, *unlike, *value; /* [n] cosines, and their difference */
} work;

static void work_release(work *w)
{
    mem_free(w->sum), mem_free(w->piece), mem_free(w->cell), mem_free(w->direction);
    mem_free(w->like), mem_free(w->unlike), mem_free(w->value);
}

static sluice_status work_init(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    const batch *b = w->b;
    int64_t rows = b->m > b->r ? b->m : b->r, width = b->d ? b->d : 1;
    TRY_NEW(w->sum, NEW(s, width, __int128));
    TRY_NEW(w->piece, RAW(s, width, int64_t));
    TRY_NEW(w->cell, NEW(s, rows < PIECE ? rows + 1 : PIECE, int32_t));
    TRY_NEW(w->direction, RAW(s, width, float));
    TRY_NEW(w->packed, dev_new(s, 16, (size_t)width * sizeof *w->packed));
    TRY_NEW(w->like, RAW(s, b->n, float));
    TRY_NEW(w->unlike, RAW(s, b->n, float));
    TRY_NEW(w->value, RAW(s, b->n, float));
out:
    return st;
}

/* Adds rows x [n, d] to the sum. */
static sluice_status add_rows(sluice *s, work *w, const float *x, int64_t n)
{
    sluice_status st = SLUICE_OK;
    int64_t d = w->b->d, mass = 0;
    for (int64_t first = 0; first < n; first += PIECE) {
        int64_t rows = n - first < PIECE ? n - first : PIECE;
        memset(w->piece, 0, (size_t)d * sizeof *w->piece);
        TRY(sluice_op_accumulate(s, &(sluice_op_accumulate_args){ .x = sluice_rows(x + first * d, SLUICE_F32, rows, d),
                                                                  .cell = w->cell,
                                                                  .cells = 1,
                                                                  .sum = w->piece,
                                                                  .mass = &mass }));
        for (int64_t k = 0; k < d; k++) w->sum[k] += w->piece[k];
    }
out:
    return st;
}

/* Cosines of the candidates, rows of length 1 or 0, with the sum. */
static sluice_status cosines(sluice *s, work *w, float *out)
{
    sluice_status st = SLUICE_OK;
    const batch *b = w->b;
    double square = 0;
    for (int64_t k = 0; k < b->d; k++) square += (double)w->sum[k] * (double)w->sum[k];
    for (int64_t k = 0; k < b->d; k++) w->direction[k] = square > 0 ? (float)((double)w->sum[k] / sqrt(square)) : 0.0f;
    sluice_view row = sluice_rows(w->direction, SLUICE_F32, 1, b->d);
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = row, .out = w->packed }));
    TRY(sluice_op_forward(s, &(sluice_op_forward_args){ .x = sluice_rows(b->x, SLUICE_F32, b->n, b->d),
                                                        .packed = w->packed,
                                                        .c = 1,
                                                        .out = sluice_rows(out, SLUICE_F32, b->n, 1) }));
out:
    return st;
}

static sluice_status evaluate(sluice *s, work *w)
{
    sluice_status st = cosines(s, w, w->unlike);
    for (int64_t i = 0; i < w->b->n; i++) w->value[i] = w->like[i] - w->unlike[i];
    return st;
}

sluice_status rule_adaptive(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    work w = { .b = b };
    if (b->k == 0) return SLUICE_OK;
    TRY(work_init(s, &w));
    TRY(add_rows(s, &w, b->sample, b->r));
    TRY(cosines(s, &w, w.like));
    memset(w.sum, 0, (size_t)b->d * sizeof *w.sum);
    TRY(add_rows(s, &w, b->labelled, b->m));
    TRY(evaluate(s, &w));
    for (int64_t i; !batch_full(b) && (i = batch_best(b, w.value)) >= 0;) {
        batch_take(b, i, w.value[i]);
        TRY(add_rows(s, &w, b->x + i * b->d, 1));
        TRY(evaluate(s, &w));
    }
out:
    dev_free(s, w.packed), work_release(&w);
    return st;
}
