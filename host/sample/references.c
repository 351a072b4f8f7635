/* references.c - see references.h. */
#include "references.h"

#include "backends.h"
#include "exact.h"

#include <stdlib.h>
#include <string.h>

void row_set_release(row_set *r)
{
    mem_free(r->entry), mem_free(r->target), mem_free(r->x);
    *r = (row_set){ 0 };
}

void references_release(references *r)
{
    for (int where = 0; where < SPACES; where++) {
        row_set_release(&r->labelled[where]), row_set_release(&r->sample[where]);
        r->has_labelled[where] = r->has_sample[where] = false;
    }
}

/* ---- order ---- */

static int by_hash(const void *x, const void *y)
{
    const sluice_entry *a = x, *b = y;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

void entries_sort_by_hash(sluice_entry *e, int64_t n) { qsort(e, (size_t)n, sizeof *e, by_hash); }

sluice_entry references_entry(const references *r, int64_t row)
{
    uint64_t id = r->pool->ids ? r->pool->ids[row] : (uint64_t)row;
    return (sluice_entry){ .row = row, .id = id, .hash = ex_hash64(r->seed, id) };
}

/* ---- which rows ---- */

/* tag carries a row's place in the labels through the sort. */
static sluice_status take_labels(sluice *s, const references *r, row_set *set)
{
    sluice_status st = SLUICE_OK;
    const sluice_labels *l = r->labels;
    set->n = l->count;
    TRY_NEW(set->entry, RAW(s, set->n, sluice_entry));
    TRY_NEW(set->target, RAW(s, set->n, int32_t));
    for (int64_t i = 0; i < set->n; i++) {
        set->entry[i] = references_entry(r, l->row[i]);
        set->entry[i].tag = (uint32_t)i;
    }
    entries_sort_by_hash(set->entry, set->n);
    for (int64_t i = 0; i < set->n; i++) set->target[i] = l->target[set->entry[i].tag];
out:
    return st;
}

static sluice_status take_training_rows(sluice *s, const references *r, row_set *set)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = r->head;
    int64_t *row = NULL;
    if (!h || h->pool_fingerprint != r->pool->fingerprint) return SLUICE_OK;
    TRY_NEW(row, RAW(s, h->train_count, int64_t));
    TRY_NEW(set->entry, RAW(s, h->train_count, sluice_entry));
    TRY(pool_find_ids(s, r->pool, h->train_ids, h->train_count, row));
    for (int64_t i = 0; i < h->train_count; i++)
        if (row[i] >= 0) set->entry[set->n++] = references_entry(r, row[i]);
    entries_sort_by_hash(set->entry, set->n);
out:
    mem_free(row);
    return st;
}

/* The SAMPLE_ROWS rows of lowest hash: the top op over equal scores. */
sluice_status references_draw(sluice *s, const references *r, row_set *set)
{
    enum { PIECE = 1 << 16 };
    sluice_status st = SLUICE_OK;
    const sluice_pool *pool = r->pool;
    float *zero = NULL;
    place was = place_go_cpu(s);
    sluice_top_state top = { .k = SAMPLE_ROWS, .capacity = 2 * SAMPLE_ROWS + 64, .seed = r->seed };
    TRY_NEW(zero, NEW(s, PIECE, float));
    TRY_NEW(top.entries, RAW(s, top.capacity, sluice_entry));
    for (int64_t first = 0; first < pool->rows; first += PIECE) {
        int64_t n = pool->rows - first < PIECE ? pool->rows - first : PIECE;
        TRY(sluice_op_top(s, &(sluice_op_top_args){ .count = 1,
                                                    .score = (const float *[]){ zero },
                                                    .ids = pool->ids ? pool->ids + first : NULL,
                                                    .n = n,
                                                    .first_row = first,
                                                    .skip = r->out->bits,
                                                    .state = &top }));
    }
    TRY(sluice_op_top(s, &(sluice_op_top_args){ .count = 1, .state = &top, .finish = 1 }));
    set->n = top.count;
    set->entry = top.entries, top.entries = NULL;
out:
    place_back(s, was);
    mem_free(zero), mem_free(top.entries);
    return st;
}

/* ---- their vectors ---- */

static int64_t references_width(const references *r, space where)
{
    return where == SPACE_HEAD ? head_feature_width(r->head) : r->pool->width;
}

/* In place, and so on the CPU: rows of the host would cross to a device and back. */
static sluice_status convert_rows(sluice *s, sluice_op_convert_args a)
{
    place was = place_go_cpu(s);
    sluice_status st = sluice_op_convert(s, &a);
    place_back(s, was);
    return st;
}

typedef struct passage {
    const sluice_head *head;
    sluice_view x;
    float *out;
} passage;

static sluice_status pass_layers(sluice *s, void *user)
{
    const passage *p = user;
    return head_features(s, p->head, p->x, p->out);
}

/* x [n, width of the pool] into the space, in place where it keeps its width; else *x is another array. */
static sluice_status to_space(sluice *s, const references *r, space where, int64_t n, float **x)
{
    sluice_status st = SLUICE_OK;
    const sluice_head *h = r->head;
    float *inner = NULL;
    sluice_view v = sluice_rows(*x, SLUICE_F32, n, r->pool->width);
    if (where == SPACE_UNIT) return convert_rows(s, (sluice_op_convert_args){ .x = v, .out = v, .normalise = 1 });
    if (head_is_linear(h))
        return convert_rows(s, (sluice_op_convert_args){ .x = v, .out = v, .mean = h->mean, .divisor = h->scale });
    TRY_NEW(inner, mem_raw(s, n, (size_t)head_feature_width(h) * sizeof *inner));
    TRY(place_with_room(s, pass_layers, &(passage){ h, v, inner }));
    mem_free(*x);
    *x = inner, inner = NULL;
out:
    mem_free(inner);
    return st;
}

sluice_status references_gather(sluice *s, references *r, space where, row_set *set)
{
    sluice_status st = SLUICE_OK;
    int64_t *row = NULL, width = r->pool->width;
    float *x = NULL;
    size_t floats;
    if (where == SPACE_HEAD && !r->head) FAIL(E_USAGE, "a head is needed: rows are compared in its space");
    set->d = references_width(r, where);
    if (set->n == 0) return SLUICE_OK;
    if (mul_overflows((size_t)set->n, (size_t)width, &floats) || floats > INT64_MAX / sizeof(float))
        FAIL(E_MEMORY, "%lld rows of %lld features do not fit in memory", (long long)set->n, (long long)width);
    TRY_NEW(row, RAW(s, set->n, int64_t));
    TRY_NEW(x, RAW(s, (int64_t)floats, float));
    for (int64_t i = 0; i < set->n; i++) row[i] = set->entry[i].row;
    TRY(pool_gather(s, r->pool, row, set->n, x));
    r->bytes += (double)floats * sizeof(float);
    TRY(to_space(s, r, where, set->n, &x));
    set->x = x, x = NULL;
out:
    mem_free(row), mem_free(x);
    return st;
}

sluice_status row_set_drop_bad(sluice *s, row_set *set)
{
    if (set->n == 0) return SLUICE_OK;
    uint8_t *bad = RAW(s, set->n, uint8_t);
    if (!bad) return SLUICE_E_MEMORY;
    place was = place_go_cpu(s);
    sluice_status st = sluice_op_finite(
        s, &(sluice_op_finite_args){ .x = sluice_rows(set->x, SLUICE_F32, set->n, set->d), .bad = bad });
    place_back(s, was);
    int64_t kept = 0;
    for (int64_t i = 0; i < set->n && !st; i++) {
        if (bad[i]) continue;
        set->entry[kept] = set->entry[i];
        if (set->target) set->target[kept] = set->target[i];
        memmove(set->x + kept++ * set->d, set->x + i * set->d, (size_t)set->d * sizeof *set->x);
    }
    if (!st) set->n = kept;
    mem_free(bad);
    return st;
}

sluice_status references_labelled(sluice *s, references *r, space where, const row_set **out_set)
{
    sluice_status st = SLUICE_OK;
    row_set *set = &r->labelled[where];
    *out_set = set;
    if (r->has_labelled[where]) return SLUICE_OK;
    TRY(r->labels ? take_labels(s, r, set) : take_training_rows(s, r, set));
    TRY(references_gather(s, r, where, set));
    TRY(row_set_drop_bad(s, set));
    r->has_labelled[where] = true;
out:
    if (st) row_set_release(set);
    return st;
}

sluice_status references_sample(sluice *s, references *r, space where, const row_set **out_set)
{
    sluice_status st = SLUICE_OK;
    row_set *set = &r->sample[where];
    *out_set = set;
    if (r->has_sample[where]) return SLUICE_OK;
    TRY(references_draw(s, r, set));
    TRY(references_gather(s, r, where, set));
    TRY(row_set_drop_bad(s, set));
    r->has_sample[where] = true;
out:
    if (st) row_set_release(set);
    return st;
}
