/* similarity.c - how near a row's direction is to the nearest of the rows that were named (--like): the largest cosine.
 *
 *     cos(x, y) = 1 - |x/|x| - y/|y||^2 / 2
 *
 * A row of zeros has no direction: its cosine is 0, and among the named rows it is left out.  Named rows are not picked. */
#include "scorer.h"
#include "exact.h"

typedef struct named {
    landmarks rows, zero;
} named;

/* Rows that are not all zeros move to the front; how many. */
static int64_t drop_zeros(row_set *set)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < set->n; i++) {
        bool zero = true;
        for (int64_t k = 0; k < set->d; k++) zero &= set->x[i * set->d + k] == 0;
        for (int64_t k = 0; k < set->d && !zero; k++) set->x[kept * set->d + k] = set->x[i * set->d + k];
        kept += !zero;
    }
    return kept;
}

static sluice_status gather(sluice *s, const scorer *q, const scorer_inputs *in, row_set *set)
{
    sluice_status st = SLUICE_OK;
    if (in->like_count == 0) FAIL(E_USAGE, "'%s' needs rows to be like: name them with --like", q->name);
    set->n = in->like_count;
    TRY_NEW(set->entry, RAW(s, set->n, sluice_entry));
    for (int64_t i = 0; i < set->n; i++) {
        if (in->like[i] < 0 || in->like[i] >= in->refs->pool->rows)
            FAIL(E_USAGE, "'%s': row %lld is not one of the pool's %lld", q->name, (long long)in->like[i],
                 (long long)in->refs->pool->rows);
        set->entry[i] = references_entry(in->refs, in->like[i]);
    }
    entries_sort_by_hash(set->entry, set->n);
    TRY(references_gather(s, in->refs, SPACE_UNIT, set));
    TRY(row_set_drop_bad(s, set));
    set->n = drop_zeros(set);
    if (set->n == 0) FAIL(E_DATA, "'%s': all rows to be like are zeros or hold a NaN or an infinity", q->name);
out:
    return st;
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    row_set set = { 0 };
    float *zero = NULL;
    named *n;
    TRY(gather(s, q, in, &set));
    TRY_NEW(n, NEW(s, 1, named));
    q->state = n;
    TRY_NEW(zero, NEW(s, set.d, float));
    TRY(landmarks_init(s, &n->rows, set.x, set.n, set.d));
    TRY(landmarks_init(s, &n->zero, zero, 1, set.d));
    q->facts[0] = q->facts[1] = q->scratch = 1;
out:
    row_set_release(&set);
    mem_free(zero);
    return st;
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    const named *n = q->state;
    int32_t *index = (int32_t *)(void *)p->scratch;
    sluice_status st = landmarks_nearest(s, q, 0, &n->rows, p->unit, p->x.rows, 1, p->facts[0], index);
    return st ? st : landmarks_nearest(s, q, 1, &n->zero, p->unit, p->x.rows, 1, p->facts[1], index);
}

static void end(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    (void)q;
    for (int64_t i = first; i < last; i++) out[i] = r->facts[1][i] > 0 ? 1 - r->facts[0][i] / 2 : 0;
}

static void release(scorer *q)
{
    named *n = q->state;
    landmarks_release(&n->rows), landmarks_release(&n->zero);
}

const scorer_kind scorer_similarity = { WANTS_UNIT | WANTS_LIKE, true, fit, begin, end, release };
