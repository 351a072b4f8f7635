/* evaluate.c - how good a head is on labelled rows: accuracy, calibration, per class.
 *
 *   accuracy   share of rows whose largest logit (lowest index among equals) is the label; Wilson interval at 95%
 *   NLL        mean of -log p(label) over the rows whose class the head knows, probabilities at its temperature
 *   ECE        sum over 15 equal bins of confidence of share * |accuracy - confidence|; empty bins are skipped
 *   macro F1   mean over classes that occur as label or as prediction
 *
 * A row of a class that the head does not know, or without finite logits, counts as wrong.  Negative targets stand for
 * unknown classes, -1 and -2 for two different ones: each has F1 = 0 in the mean. */
#include "learn.h"
#include "dmath.h"
#include "exact.h"

#include <stdlib.h>
#include <string.h>

enum { ECE_BINS = 15, CONFUSION_CLASSES = 4096 }; /* beyond that many a confusion matrix is too large to keep */
enum { PIECE_FLOATS = 4 << 20 };                  /* rows gathered at a time: 16 MiB */

typedef struct ece_bin {
    int64_t n, correct;
    double confidence;
} ece_bin;

typedef struct tally {
    sluice_eval_result *r;
    int64_t judged; /* rows with an NLL */
    double nll;
    ece_bin bin[ECE_BINS];
    uint8_t *unknown; /* [unknown_room] seen unknown classes */
    int64_t unknown_room;
} tally;

static sluice_status tally_begin(sluice *s, int c, sluice_eval_result *r, int64_t unknown_room, tally *y)
{
    sluice_status st = SLUICE_OK;
    memset(r, 0, sizeof *r);
    *y = (tally){ .r = r, .unknown_room = unknown_room };
    r->classes = c;
    TRY_NEW(r->per_class, NEW(s, c, sluice_class_result));
    if (c <= CONFUSION_CLASSES) TRY_NEW(r->confusion, NEW(s, (int64_t)c * c, int64_t));
    TRY_NEW(y->unknown, NEW(s, unknown_room, uint8_t));
out:
    return st;
}

/* Confidence and log sum of a row's softmax at a temperature; best -1 if a logit is not finite. */
typedef struct row_facts {
    int best;
    double confidence, log_sum, top;
} row_facts;

static row_facts look_at(const float *z, int c, double temperature)
{
    row_facts f = { 0, 0, 0, 0 };
    for (int j = 0; j < c; j++) {
        if (!ex_finite(z[j])) return (row_facts){ .best = -1 };
        if (z[j] > z[f.best]) f.best = j;
    }
    f.top = (double)z[f.best] / temperature;
    double sum = 0;
    for (int j = 0; j < c; j++) sum += dm_exp((double)z[j] / temperature - f.top);
    f.confidence = 1 / sum;
    f.log_sum = dm_log(sum);
    return f;
}

static void tally_calibration(tally *y, const row_facts *f, bool right)
{
    int b = (int)(f->confidence * ECE_BINS);
    ece_bin *bin = &y->bin[b < ECE_BINS ? b : ECE_BINS - 1];
    bin->n++, bin->correct += right, bin->confidence += f->confidence;
}

static void tally_row(tally *y, const float *z, int32_t target, double temperature)
{
    sluice_eval_result *r = y->r;
    row_facts f = look_at(z, r->classes, temperature);
    bool known = target >= 0, right = known && f.best == target;
    r->n++, r->correct += right;
    if (known) r->per_class[target].n++, r->per_class[target].correct += right;
    else y->unknown[-1 - (int64_t)target] = 1;
    if (f.best < 0) return;
    r->per_class[f.best].predicted++;
    tally_calibration(y, &f, right);
    if (!known) return;
    if (r->confusion) r->confusion[(int64_t)target * r->classes + f.best]++;
    y->nll += f.log_sum - ((double)z[target] / temperature - f.top);
    y->judged++;
}

/* Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. */
static void wilson(sluice_eval_result *r)
{
    const double z = 1.959963984540054;
    double n = (double)r->n, p = r->accuracy, wide = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / wide, half = z / wide * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    r->accuracy_low = r->correct == 0 ? 0 : middle - half;
    r->accuracy_high = r->correct == r->n ? 1 : middle + half;
}

static double macro_f1(const tally *y)
{
    double sum = 0;
    int64_t classes = 0;
    for (int j = 0; j < y->r->classes; j++) {
        const sluice_class_result *k = &y->r->per_class[j];
        if (k->n + k->predicted == 0) continue;
        sum += 2 * (double)k->correct / (double)(k->n + k->predicted);
        classes++;
    }
    for (int64_t u = 0; u < y->unknown_room; u++) classes += y->unknown[u];
    return classes ? sum / (double)classes : 0;
}

static void tally_end(tally *y)
{
    sluice_eval_result *r = y->r;
    double n = (double)r->n;
    r->accuracy = r->n ? (double)r->correct / n : 0;
    r->accuracy_high = 1;
    if (r->n) wilson(r);
    r->nll = y->judged ? y->nll / (double)y->judged : 0;
    for (int b = 0; b < ECE_BINS; b++) {
        double gap = (double)y->bin[b].correct - y->bin[b].confidence;
        r->ece += (gap < 0 ? -gap : gap) / (n > 0 ? n : 1);
    }
    r->macro_f1 = macro_f1(y);
}

void sluice_eval_result_release(sluice_eval_result *r)
{
    if (!r) return;
    mem_free(r->per_class), mem_free(r->confusion);
    r->per_class = NULL, r->confusion = NULL;
}

sluice_status evaluate_logits(sluice *s, const float *logits, const int32_t *target, int64_t n, int c,
                              float temperature, sluice_eval_result *out_r)
{
    sluice_status st = SLUICE_OK;
    sluice_eval_result r = { 0 };
    tally y = { 0 };
    int64_t unknown = 0;
    for (int64_t i = 0; i < n; i++) {
        if (target[i] >= c) FAIL(E_DATA, "row %lld has class %d of %d", (long long)i, target[i], c);
        if (-(int64_t)target[i] > unknown) unknown = -(int64_t)target[i];
    }
    TRY(tally_begin(s, c, &r, unknown, &y));
    for (int64_t i = 0; i < n; i++) tally_row(&y, logits + i * c, target[i], (double)temperature);
    tally_end(&y);
    *out_r = r, r = (sluice_eval_result){ 0 };
out:
    sluice_eval_result_release(&r);
    mem_free(y.unknown);
    return st;
}

/* ---- rows of a pool, in pieces ---- */

static int64_t piece_rows(const sluice_pool *pool, int64_t m)
{
    int64_t rows = PIECE_FLOATS / (pool->width > 0 ? pool->width : 1);
    rows = rows > 1 ? rows : 1;
    return rows < m ? rows : m;
}

sluice_status head_logits_of(sluice *s, const sluice_head *h, const sluice_pool *pool, const int64_t *rows, int64_t m,
                             float *out)
{
    sluice_status st = SLUICE_OK;
    int64_t piece = piece_rows(pool, m);
    float *x = NULL;
    TRY_NEW(x, mem_raw(s, piece, sizeof(float) * (size_t)pool->width));
    for (int64_t i = 0; i < m; i += piece) {
        int64_t n = m - i < piece ? m - i : piece;
        TRY(pool_gather(s, pool, rows + i, n, x));
        TRY(head_logits(s, h, sluice_rows(x, SLUICE_F32, n, pool->width), out + i * h->classes));
    }
out:
    mem_free(x);
    return st;
}

/* ---- a head on a labelled pool ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static sluice_status sorted_copy(sluice *s, const uint64_t *v, int64_t n, uint64_t **out)
{
    if (!v) n = 0;
    *out = RAW(s, n, uint64_t);
    if (!*out) return SLUICE_E_MEMORY;
    if (n > 0) memcpy(*out, v, (size_t)n * sizeof *v);
    qsort(*out, (size_t)n, sizeof *v, by_value);
    return SLUICE_OK;
}

static bool holds(const uint64_t *sorted, int64_t n, uint64_t v)
{
    return bsearch(&v, sorted, (size_t)n, sizeof v, by_value) != NULL;
}

typedef struct named {
    const char *name;
    int32_t index;
} named;

static int by_name(const void *a, const void *b) { return strcmp(((const named *)a)->name, ((const named *)b)->name); }

/* map[label class] = class of the head with that name, or -1 - label class. */
static sluice_status map_classes(sluice *s, const sluice_head *h, const sluice_labels *l, int32_t **out_map)
{
    sluice_status st = SLUICE_OK;
    named *of_head = NULL;
    int32_t *map;
    int unknown = 0;
    TRY_NEW(of_head, NEW(s, h->classes, named));
    TRY_NEW(map, RAW(s, l->classes, int32_t));
    for (int j = 0; j < h->classes; j++) of_head[j] = (named){ h->names[j], j };
    qsort(of_head, (size_t)h->classes, sizeof *of_head, by_name);
    for (int j = 0; j < l->classes; j++) {
        const named *hit = bsearch(&(named){ l->names[j], 0 }, of_head, (size_t)h->classes, sizeof *of_head, by_name);
        map[j] = hit ? hit->index : -1 - j;
        unknown += !hit;
    }
    if (unknown)
        log_line(s, SLUICE_WARNING, "%d of %d classes of the labels are unknown to the head: their rows count as wrong",
                 unknown, l->classes);
    *out_map = map;
out:
    mem_free(of_head);
    return st;
}

typedef struct evaluation {
    const sluice_pool *pool;
    const sluice_head *h;
    const sluice_labels *l;
    int32_t *map;
    uint64_t *hashes, *ids; /* of the head's training rows, sorted */
    float *x, *logits;      /* of a piece */
    tally y;
} evaluation;

/* A row was trained on if its bytes were, or its id in the same pool. */
static bool trained_on(const evaluation *e, int64_t row, const float *x)
{
    uint64_t hash = hash_bytes(x, (size_t)e->pool->width * sizeof(float), 0);
    if (e->h->train_row_hash && holds(e->hashes, e->h->train_count, hash)) return true;
    return e->h->train_ids && e->h->pool_fingerprint == e->pool->fingerprint &&
           holds(e->ids, e->h->train_count, sluice_pool_id64(e->pool, row));
}

static sluice_status evaluate_piece(sluice *s, evaluation *e, int64_t first, int64_t n)
{
    sluice_status st = SLUICE_OK;
    const int64_t *rows = e->l->row + first;
    int64_t d = e->pool->width;
    TRY(pool_gather(s, e->pool, rows, n, e->x));
    TRY(head_logits(s, e->h, sluice_rows(e->x, SLUICE_F32, n, d), e->logits));
    for (int64_t i = 0; i < n; i++) {
        tally_row(&e->y, e->logits + i * e->h->classes, e->map[e->l->target[first + i]], (double)e->h->temperature);
        e->y.r->train_overlap += trained_on(e, rows[i], e->x + i * d);
    }
out:
    return st;
}

static sluice_status evaluate_pool(sluice *s, evaluation *e, sluice_eval_result *out_r)
{
    sluice_status st = SLUICE_OK;
    sluice_eval_result r = { 0 };
    const sluice_labels *l = e->l;
    int64_t piece = piece_rows(e->pool, l->count), c = e->h->classes;
    progress g;
    if (l->fingerprint != e->pool->fingerprint) FAIL(E_DATA, "cannot evaluate: the labels belong to another pool");
    if (e->pool->width != e->h->in_width)
        FAIL(E_SHAPE, "the head takes rows of %lld values, the pool has %lld", (long long)e->h->in_width,
             (long long)e->pool->width);
    TRY(map_classes(s, e->h, l, &e->map));
    TRY(sorted_copy(s, e->h->train_row_hash, e->h->train_count, &e->hashes));
    TRY(sorted_copy(s, e->h->train_ids, e->h->train_count, &e->ids));
    TRY_NEW(e->x, mem_raw(s, piece, sizeof(float) * (size_t)e->pool->width));
    TRY_NEW(e->logits, mem_raw(s, piece, sizeof(float) * (size_t)c));
    TRY(tally_begin(s, (int)c, &r, l->classes, &e->y));
    progress_begin(&g, "eval", "rows", l->count);
    for (int64_t i = 0; i < l->count; i += piece) {
        int64_t n = l->count - i < piece ? l->count - i : piece;
        TRY(evaluate_piece(s, e, i, n));
        TRY(progress_step(s, &g, i + n, (double)(i + n) * (double)e->pool->width * sizeof(float)));
    }
    progress_end(s, &g);
    tally_end(&e->y);
    *out_r = r, r = (sluice_eval_result){ 0 };
out:
    sluice_eval_result_release(&r);
    mem_free(e->y.unknown), mem_free(e->map), mem_free(e->hashes), mem_free(e->ids);
    mem_free(e->x), mem_free(e->logits);
    return st;
}

sluice_status sluice_eval(sluice *s, const sluice_pool *pool, const sluice_head *head, const sluice_labels *labels,
                          sluice_eval_result *out_result)
{
    fp_state fp = fp_enter();
    s->error[0] = 0;
    sluice_status st = evaluate_pool(s, &(evaluation){ .pool = pool, .h = head, .l = labels }, out_result);
    fp_leave(fp);
    return st;
}
