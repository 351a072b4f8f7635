/* pseudo.c - self-training (Scudder, IEEE Trans. Inf. Theory 1965; Lee, ICML workshop 2013): a head labels the rows of a
 * pool that it is sure of, and a more regularised one is fitted to the labels and to them.
 *
 *     confident   confidence at the head's temperature >= threshold; a labelled row of the same pool never is
 *     kept        all of them, or of too many those of lowest hash64(seed, id); how many is a function of the width of rows
 *                 and the number of classes alone
 *     refit       C / 100, from the head's own weights; a row counts as much as a label
 *
 * What the head believes says nothing about how well it believes: temperature, held-out logits and the record of rows
 * trained on stay those of the labels. */
#include "learn.h"
#include "top_state.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROWS = 1 << 18,
    MOST_FLOATS = 1 << 26,
    PIECE_FLOATS = 4 << 20
}; /* of rows and their logits; read at a time */
static const double THRESHOLD = 0.8, TIGHTER = 100;

typedef struct self_training {
    sluice *s;
    const train_set *t;
    const sluice_train_args *a;
    sluice_head *h;
    uint64_t *labelled;    /* bit row % 64 of word row / 64 of the pool */
    sluice_top_state sure; /* tag: the class */
    double threshold;
    int64_t confident; /* before too many were left out */
    float *x;          /* [m + sure, width] */
    int32_t *target;
} self_training;

sluice_status self_train_check(sluice *s, const train_set *t, const sluice_train_args *a)
{
    const sluice_pool *pool = a->pseudo;
    if (!pool) return SLUICE_OK;
    if (a->layers && strcmp(a->layers, "linear") != 0)
        return sluice_fail(s, SLUICE_E_USAGE, "self-training needs a linear head, not '%s'", a->layers);
    if (!(a->pseudo_threshold >= 0 && a->pseudo_threshold <= 1))
        return sluice_fail(s, SLUICE_E_USAGE, "the confidence threshold of self-training is between 0 and 1, not %g",
                           a->pseudo_threshold);
    if (pool->rows && pool->width != t->width)
        return sluice_fail(s, SLUICE_E_SHAPE, "the pool to label has rows of width %lld, the labelled rows have %lld",
                           (long long)pool->width, (long long)t->width);
    return SLUICE_OK;
}

/* ---- which rows ---- */

static bool is_labelled(const self_training *z, int64_t row) { return z->labelled[row / 64] >> (row % 64) & 1; }

static sluice_status mark_labelled(self_training *z)
{
    sluice_status st = SLUICE_OK;
    sluice *s = z->s;
    const sluice_pool *pool = z->a->pseudo;
    int64_t *row = NULL;
    TRY_NEW(z->labelled, NEW(s, pool->rows / 64 + 1, uint64_t));
    if (pool->fingerprint != z->t->fingerprint) goto out;
    TRY_NEW(row, RAW(s, z->t->m, int64_t));
    TRY(pool_find_ids(s, pool, z->t->ids, z->t->m, row));
    for (int64_t i = 0; i < z->t->m; i++)
        if (row[i] >= 0) z->labelled[row[i] / 64] |= (uint64_t)1 << (row[i] % 64);
out:
    mem_free(row);
    return st;
}

static sluice_status room_for_sure(self_training *z)
{
    sluice_status st = SLUICE_OK;
    sluice *s = z->s;
    int64_t most = MOST_FLOATS / (z->t->width + z->h->classes), rows = z->a->pseudo->rows;
    most = most < 1 ? 1 : most < MOST_ROWS ? most : MOST_ROWS;
    z->sure.k = most < rows ? most : rows;
    z->sure.capacity = 2 * z->sure.k + 64;
    z->sure.seed = z->a->seed;
    TRY_NEW(z->sure.entries, RAW(s, z->sure.capacity, sluice_entry));
out:
    return st;
}

/* Rows from first on.  Those that are sure have equal keys, which leaves their order to the hash. */
static void take_piece(self_training *z, int64_t first, int64_t n, const float *confidence, const float *prediction)
{
    for (int64_t row = first; row < first + n; row++) {
        if (!((double)confidence[row - first] >= z->threshold) || is_labelled(z, row)) continue; /* NaN: not sure */
        sluice_entry e = top_entry(z->sure.seed, sluice_pool_id64(z->a->pseudo, row), row, ex_order_key(0));
        e.tag = (uint32_t)prediction[row - first];
        z->confident++;
        top_add(&z->sure, e);
    }
}

static sluice_status find_sure(self_training *z)
{
    sluice_status st = SLUICE_OK;
    sluice *s = z->s;
    const sluice_pool *pool = z->a->pseudo;
    int64_t piece = PIECE_FLOATS / (pool->width + 1) + 1, *row = NULL;
    float *x = NULL, *confidence = NULL, *prediction = NULL;
    progress g;
    TRY(mark_labelled(z));
    TRY(room_for_sure(z));
    TRY_NEW(row, RAW(s, piece, int64_t));
    TRY_NEW(confidence, RAW(s, piece, float));
    TRY_NEW(prediction, RAW(s, piece, float));
    TRY_NEW(x, mem_raw(s, piece, (size_t)pool->width * sizeof *x));
    progress_begin(&g, "self-train", "rows", pool->rows);
    for (int64_t first = 0; first < pool->rows; first += piece) {
        int64_t n = pool->rows - first < piece ? pool->rows - first : piece;
        for (int64_t i = 0; i < n; i++) row[i] = first + i;
        TRY(pool_gather(s, pool, row, n, x));
        TRY(head_scan(s, z->h, sluice_rows(x, SLUICE_F32, n, pool->width),
                      &(sluice_scores){ .confidence = confidence, .prediction = prediction }, NULL));
        take_piece(z, first, n, confidence, prediction);
        TRY(progress_step(s, &g, first + n, (double)(first + n) * (double)pool->width * sizeof *x));
    }
    progress_end(s, &g);
    top_finish(&z->sure);
out:
    mem_free(row), mem_free(confidence), mem_free(prediction), mem_free(x);
    return st;
}

/* ---- the rows to fit ---- */

static void standardise(const sluice_head *h, float *x)
{
    for (int64_t k = 0; k < h->in_width; k++) x[k] = (x[k] - h->mean[k]) / h->scale;
}

/* The labels, then the sure rows by their hash with what the head says of them. */
static sluice_status gather(self_training *z)
{
    sluice_status st = SLUICE_OK;
    sluice *s = z->s;
    const train_set *t = z->t;
    int64_t n = z->sure.count, d = t->width, *row = NULL;
    TRY_NEW(z->x, mem_raw(s, t->m + n, (size_t)d * sizeof *z->x));
    TRY_NEW(z->target, RAW(s, t->m + n, int32_t));
    TRY_NEW(row, RAW(s, n, int64_t));
    memcpy(z->x, t->x, (size_t)(t->m * d) * sizeof *z->x);
    memcpy(z->target, t->target, (size_t)t->m * sizeof *z->target);
    for (int64_t i = 0; i < n; i++) row[i] = z->sure.entries[i].row;
    TRY(pool_gather(s, z->a->pseudo, row, n, z->x + t->m * d));
    for (int64_t i = 0; i < n; i++) z->target[t->m + i] = (int32_t)z->sure.entries[i].tag;
    for (int64_t i = 0; i < t->m + n; i++) standardise(z->h, z->x + i * d);
out:
    mem_free(row);
    return st;
}

/* ---- the head ---- */

static sluice_status record(const self_training *z, const linear_fit *fit)
{
    sluice_status st = SLUICE_OK;
    sluice *s = z->s;
    char pool[17], *text = NULL;
    json_t *all = z->h->trained ? json_loads(z->h->trained, 0, NULL) : json_object();
    snprintf(pool, sizeof pool, "%016llx", (unsigned long long)z->a->pseudo->fingerprint);
    json_t *own = json_pack("{s:I, s:I, s:f, s:s, s:f, s:i, s:f}", "rows", (json_int_t)z->sure.count, "confident",
                            (json_int_t)z->confident, "threshold", z->threshold, "pool", pool, "C", fit->l2,
                            "iterations", fit->iterations, "objective", fit->objective);
    if (!json_object_set_new(all, "pseudo", own)) text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!text) FAIL(E_MEMORY, "out of memory");
    mem_free(z->h->trained);
    TRY_NEW(z->h->trained, mem_text(s, text));
out:
    json_decref(all);
    free(text);
    return st;
}

static sluice_status run(self_training *z)
{
    sluice_status st = SLUICE_OK;
    linear_fit fit = { .l2 = z->h->l2 / TIGHTER };
    if (z->a->pseudo->rows) TRY(find_sure(z));
    if (z->sure.count == 0) {
        log_line(z->s, SLUICE_WARNING,
                 "self-training: none of %lld rows reaches the confidence threshold; the head is not changed",
                 (long long)z->a->pseudo->rows);
    } else {
        TRY(gather(z));
        TRY(linear_refit(z->s, z->h, z->x, z->target, z->t->m + z->sure.count, z->a->class_weights, &fit));
        log_line(z->s, SLUICE_INFO, "self-training: %lld labels and %lld of %lld confident rows", (long long)z->t->m,
                 (long long)z->sure.count, (long long)z->confident);
    }
    TRY(record(z, &fit));
out:
    return st;
}

sluice_status self_train(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head *h)
{
    self_training z = { .s = s, .t = t, .a = a, .h = h };
    z.threshold = a->pseudo_threshold > 0 ? a->pseudo_threshold : THRESHOLD;
    sluice_status st = run(&z);
    mem_free(z.labelled), mem_free(z.sure.entries), mem_free(z.x), mem_free(z.target);
    return st;
}
