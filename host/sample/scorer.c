/* scorer.c - see scorer.h. */
#include "scorer.h"
#include "backends.h"
#include "device.h"
#include "exact.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 4 << 20,         /* of unit rows and scratch: they stay in cache between the ops */
    DEVICE_PIECE_BYTES = 64 << 20, /* fills a device many times over */
    END_ROWS = 256,                /* that a thread takes at a time */
    ROOM_UNIT = 100,
    ROOM_SCRATCH /* other slots than head.c's */
};

sluice_status scorer_fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    static atomic_uint_fast64_t serials;
    q->serial = ((uint64_t)1 << 63) + atomic_fetch_add(&serials, 1); /* heads count from 1 */
    sluice_status st = q->kind->fit(s, q, in);
    if (!st) return SLUICE_OK;
    scorer_release(q);
    return st;
}

void scorer_release(scorer *q)
{
    if (q->state) q->kind->release(q);
    mem_free(q->state);
    q->state = NULL;
}

sluice_status scorer_set_fit(sluice *s, scorer_set *set, strategy *st, int count, const scorer_inputs *in)
{
    sluice_status status = SLUICE_OK;
    scorer_set_release(set);
    set->list = NEW(s, count, scorer);
    if (!set->list) return SLUICE_E_MEMORY;
    for (int i = 0; i < count && !status; i++) {
        const strategy_kind *kind = strategy_scores_by(&st[i]);
        if (!kind->scorer) continue;
        scorer *q = &set->list[set->count];
        *q = (scorer){ .kind = kind->scorer, .name = st[i].text };
        strategy_score_values(&st[i], q->value);
        st[i].scorer = set->count++;
        status = scorer_fit(s, q, in);
    }
    return status;
}

void scorer_set_release(scorer_set *set)
{
    for (int i = 0; i < set->count; i++) scorer_release(&set->list[i]);
    mem_free(set->list);
    *set = (scorer_set){ 0 };
}

sluice_status scorer_check_source(sluice *s, const strategy *st, const source *src)
{
    const strategy_kind *kind = strategy_scores_by(st);
    if (!kind->scorer || !kind->scorer->features || src->kind == SOURCE_HEAD || src->kind == SOURCE_FEATURES)
        return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_USAGE, "'%s' reads features: it goes with a head, not with logits or probs",
                       st->text);
}

sluice_status scorer_check_committee(sluice *s, const strategy *st, int count, const source *src)
{
    bool asked = src->committee_count == 0;
    for (int i = 0; i < count; i++) {
        const scorer_kind *kind = strategy_scores_by(&st[i])->scorer;
        asked |= kind && kind->wants & WANTS_PASSES;
    }
    if (asked) return SLUICE_OK;
    return sluice_hint(s,
                       sluice_fail(s, SLUICE_E_USAGE, "%d heads are given, and no strategy asks a committee",
                                   src->committee_count + 1),
                       "bald, variation-ratio, flips and dropquery do");
}

/* ---- begin ---- */

static void *room(sluice *s, int slot, int64_t rows, int64_t floats)
{
    size_t bytes;
    if (!on_device(s)) return mem_raw(s, rows, (size_t)floats * sizeof(float));
    if (!mul_overflows((size_t)rows, (size_t)floats * sizeof(float), &bytes)) return dev_room(s, slot, bytes);
    sluice_fail(s, SLUICE_E_MEMORY, "%lld x %lld floats do not fit on the device", (long long)rows, (long long)floats);
    return NULL;
}

static int64_t piece_rows(const sluice *s, int64_t floats, int64_t rows)
{
    int64_t bytes = on_device(s) ? DEVICE_PIECE_BYTES : (int64_t)PIECE_BYTES * (s->threads > 0 ? s->threads : 1);
    int64_t fit = bytes / ((int64_t)sizeof(float) * (floats + 1));
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

sluice_status scorer_begin(sluice *s, const scorer *q, sluice_view x, float *const *facts)
{
    sluice_status st = SLUICE_OK;
    int64_t d = q->kind->wants & WANTS_UNIT ? x.cols : 0, rows = piece_rows(s, d + q->scratch, x.rows);
    float *unit = NULL, *scratch = NULL;
    if (x.rows == 0 || !q->kind->begin) return SLUICE_OK;
    if (d) TRY_NEW(unit, room(s, ROOM_UNIT, rows, d));
    if (q->scratch) TRY_NEW(scratch, room(s, ROOM_SCRATCH, rows, q->scratch));
    for (int64_t i = 0; i < x.rows; i += rows) {
        sluice_view now = sluice_rows_of(x, i, x.rows - i < rows ? x.rows - i : rows);
        sluice_view to = sluice_rows(unit, SLUICE_F32, now.rows, d);
        if (d) TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = now, .out = to, .normalise = 1 }));
        scorer_piece p = { .x = now, .unit = unit, .scratch = scratch };
        for (int j = 0; j < SCORER_FACTS; j++) p.facts[j] = facts[j] ? facts[j] + i * q->facts[j] : NULL;
        TRY(q->kind->begin(s, q, &p));
    }
out:
    if (!on_device(s)) mem_free(unit), mem_free(scratch);
    return st;
}

void scorer_end(const sluice *s, const scorer *q, const scorer_rows *r, float *out)
{
#pragma omp parallel num_threads(s->threads)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < r->n; i += END_ROWS) {
            int64_t last = r->n - i < END_ROWS ? r->n : i + END_ROWS;
            q->kind->end(q, r, i, last, out);
            for (int64_t j = i; j < last; j++)
                if (r->bad[j] == ROW_BAD) out[j] = ex_nan();
        }
        fp_leave(fp);
    }
}

/* ---- for scores/ ---- */

sluice_status landmarks_init(sluice *s, landmarks *l, const float *y, int64_t n, int64_t d)
{
    sluice_status st = SLUICE_OK;
    *l = (landmarks){ .n = n, .d = d };
    TRY_NEW(l->y, mem_raw(s, n, (size_t)d * sizeof *l->y));
    if (n) memcpy(l->y, y, (size_t)n * (size_t)d * sizeof *l->y);
    TRY_NEW(l->packed, RAW(s, (int64_t)sluice_packed_floats(n, d), float));
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(l->y, SLUICE_F32, n, d), .out = l->packed }));
out:
    return st;
}

void landmarks_release(landmarks *l)
{
    mem_free(l->y), mem_free(l->packed);
    *l = (landmarks){ 0 };
}

sluice_status landmarks_nearest(sluice *s, const scorer *q, int part, const landmarks *l, const float *x, int64_t n,
                                int64_t k, float *distance, int32_t *index)
{
    sluice_status st = SLUICE_OK;
    float *y, *packed;
    TRY_NEW(y, dev_keep(s, q->serial, 2 * part, l->y, (size_t)(l->n * l->d) * sizeof *y));
    TRY_NEW(packed, dev_keep(s, q->serial, 2 * part + 1, l->packed, sluice_packed_floats(l->n, l->d) * sizeof *packed));
    st = sluice_op_nearest(s, &(sluice_op_nearest_args){ .x = sluice_rows(x, SLUICE_F32, n, l->d),
                                                         .y = sluice_rows(y, SLUICE_F32, l->n, l->d),
                                                         .packed = packed,
                                                         .k = k,
                                                         .distance = distance,
                                                         .index = index });
out:
    return st;
}

sluice_status scorer_labelled(sluice *s, const scorer *q, const scorer_inputs *in, space where, bool targets,
                              const row_set **out_set)
{
    sluice_status st = references_labelled(s, in->refs, where, out_set);
    if (st) return st;
    if ((*out_set)->n == 0)
        return sluice_hint(
            s, sluice_fail(s, SLUICE_E_USAGE, "'%s' measures rows by labelled ones: there are none", q->name),
            "give --labels, or a head trained on rows of this pool");
    if (targets && !(*out_set)->target)
        return sluice_fail(s, SLUICE_E_USAGE, "'%s' needs the classes of labelled rows: give --labels", q->name);
    return SLUICE_OK;
}

int scorer_classes(const scorer_inputs *in)
{
    if (in->src && in->src->classes) return in->src->classes;
    return in->refs->labels ? in->refs->labels->classes : 0;
}

double mid_rank(const float *sorted, int64_t n, float v)
{
    int64_t below = 0, upto = n;
    for (int64_t end = n; below < end;) { /* the first that is not below v */
        int64_t middle = below + (end - below) / 2;
        if (sorted[middle] < v) below = middle + 1;
        else end = middle;
    }
    for (int64_t from = below; from < upto;) { /* the first above v */
        int64_t middle = from + (upto - from) / 2;
        if (sorted[middle] <= v) from = middle + 1;
        else upto = middle;
    }
    return (double)(below + upto) / (double)(2 * n);
}

static int ascending(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

void sort_floats(float *v, int64_t n) { qsort(v, (size_t)n, sizeof *v, ascending); }
