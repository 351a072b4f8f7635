/* top.c - the first k rows in the total order (score descending, hash ascending, id ascending), running over blocks.
 * Contract: sluice_backend.h.
 *
 * Rows are filtered by the worst of the k best so far; who passes is appended.  A full buffer is cut back to its k
 * best by quickselect, which gives the next threshold.  The outcome is the k first of all rows seen, whatever the
 * blocks were. */
#include "cpu.h"
#include "exact.h"

enum { FILTER = 64, SMALL = 16 };

/* Whether a comes before b.  The row decides between equal ids, so that the order is total whatever the caller gave. */
static int before(const sluice_entry *a, const sluice_entry *b)
{
    if (a->key != b->key) return a->key > b->key;
    if (a->hash != b->hash) return a->hash < b->hash;
    if (a->id != b->id) return a->id < b->id;
    return a->row < b->row;
}

static void swap(sluice_entry *a, sluice_entry *b)
{
    sluice_entry t = *a;
    *a = *b, *b = t;
}

/* Parts e [n] so that everything before the returned place precedes it and everything after follows it.  The pivot is
 * the middle of three places drawn from n: no order of the input makes it slow twice. */
static int64_t part(sluice_entry *e, int64_t n)
{
    uint64_t r = ex_mix64((uint64_t)n);
    int64_t a = (int64_t)(r % (uint64_t)n), b = (int64_t)((r >> 20) % (uint64_t)n),
            c = (int64_t)((r >> 40) % (uint64_t)n);
    if (before(&e[b], &e[a])) {
        int64_t t = a;
        a = b, b = t;
    }
    if (before(&e[c], &e[b])) b = before(&e[c], &e[a]) ? a : c;
    swap(&e[b], &e[n - 1]);
    int64_t at = 0;
    for (int64_t i = 0; i < n - 1; i++)
        if (before(&e[i], &e[n - 1])) swap(&e[i], &e[at++]);
    swap(&e[at], &e[n - 1]);
    return at;
}

static void sort_few(sluice_entry *e, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = i; j > 0 && before(&e[j], &e[j - 1]); j--) swap(&e[j], &e[j - 1]);
}

static void sort(sluice_entry *e, int64_t n)
{
    while (n > SMALL) {
        int64_t at = part(e, n), right = n - at - 1;
        if (at < right) { /* recursion into the smaller side: depth log2 n */
            sort(e, at);
            e += at + 1, n = right;
        } else {
            sort(e + at + 1, right);
            n = at;
        }
    }
    sort_few(e, n);
}

/* The k first of e [n] to its front, the last of them at k - 1. */
static void select_first(sluice_entry *e, int64_t n, int64_t k)
{
    while (n > 1) {
        int64_t at = part(e, n);
        if (at == k - 1) return;
        if (at >= k) n = at;
        else e += at + 1, n -= at + 1, k -= at + 1;
    }
}

static void cut(sluice_top_state *t)
{
    if (t->count < t->k) return;
    select_first(t->entries, t->count, t->k);
    t->count = t->k;
    t->worst = t->entries[t->k - 1];
    t->full = 1;
}

static int skipped(const uint64_t *skip, int64_t row) { return skip && (skip[row / 64] >> (row % 64) & 1); }

static void offer(const sluice_op_top_args *a, int64_t i, uint32_t key)
{
    sluice_top_state *t = a->state;
    int64_t row = a->first_row + i;
    if (skipped(a->skip, row)) return;
    sluice_entry e = { .id = a->ids ? a->ids[i] : (uint64_t)row, .row = row, .key = key };
    e.hash = ex_hash64(t->seed, e.id);
    if (t->full && !before(&e, &t->worst)) return;
    t->entries[t->count++] = e;
    if (t->count == t->capacity) cut(t);
}

/* Whether one of n scores is at least low; false for NaN.  Vectorises. */
static int any_from(const float *score, int64_t n, float low)
{
    int any = 0;
    for (int64_t i = 0; i < n; i++) any |= score[i] >= low;
    return any;
}

static void offer_all(const sluice_op_top_args *a, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        uint32_t key = ex_order_key(a->score[i]);
        if (key && (!a->state->full || key >= a->state->worst.key)) offer(a, i, key);
    }
}

sluice_status TIER_FN(op_top)(sluice_exec *x, const sluice_op_top_args *a)
{
    sluice_top_state *t = a->state;
    (void)x;
    for (int64_t i = 0; i < a->n; i += FILTER) {
        int64_t last = cpu_min(a->n, i + FILTER);
        float low = t->full ? ex_order_score(t->worst.key) : -ex_inf();
        if (any_from(a->score + i, last - i, low)) offer_all(a, i, last);
    }
    if (!a->finish) return SLUICE_OK;
    cut(t);
    sort(t->entries, t->count);
    return SLUICE_OK;
}
