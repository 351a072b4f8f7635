/* top_state.h - the running top of op top: its total order, for GPUs too, and how the CPU cuts a full buffer back to its k
 * best. */
#ifndef TOP_STATE_H
#define TOP_STATE_H

#include "exact.h"
#include "sluice_backend.h"

enum { TOP_FEW = 16 }; /* entries that are sorted by insertion */

EX_FN sluice_entry top_entry(uint64_t seed, uint64_t id, int64_t row, uint32_t key)
{
    sluice_entry e;
    e.hash = ex_hash64(seed, id), e.id = id, e.row = row, e.key = key, e.tag = 0;
    return e;
}

/* Whether a comes before b.  The row decides between equal ids, so that the order is total whatever the caller gave. */
EX_FN int top_before(const sluice_entry *a, const sluice_entry *b)
{
    if (a->key != b->key) return a->key > b->key;
    if (a->hash != b->hash) return a->hash < b->hash;
    if (a->id != b->id) return a->id < b->id;
    return a->row < b->row;
}

static inline void top_swap(sluice_entry *a, sluice_entry *b)
{
    sluice_entry t = *a;
    *a = *b, *b = t;
}

/* Parts e [n] so that everything before the returned place precedes it and everything after follows it.  The pivot is
 * the middle of three places drawn from n: no order of the input makes it slow twice. */
static inline int64_t top_part(sluice_entry *e, int64_t n)
{
    uint64_t r = ex_mix64((uint64_t)n);
    int64_t a = (int64_t)(r % (uint64_t)n), b = (int64_t)((r >> 20) % (uint64_t)n),
            c = (int64_t)((r >> 40) % (uint64_t)n);
    if (top_before(&e[b], &e[a])) {
        int64_t t = a;
        a = b, b = t;
    }
    if (top_before(&e[c], &e[b])) b = top_before(&e[c], &e[a]) ? a : c;
    top_swap(&e[b], &e[n - 1]);
    int64_t at = 0;
    for (int64_t i = 0; i < n - 1; i++)
        if (top_before(&e[i], &e[n - 1])) top_swap(&e[i], &e[at++]);
    top_swap(&e[at], &e[n - 1]);
    return at;
}

static inline void top_sort_few(sluice_entry *e, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = i; j > 0 && top_before(&e[j], &e[j - 1]); j--) top_swap(&e[j], &e[j - 1]);
}

static inline void top_sort(sluice_entry *e, int64_t n)
{
    while (n > TOP_FEW) {
        int64_t at = top_part(e, n), right = n - at - 1;
        if (at < right) { /* recursion into the smaller side: depth log2 n */
            top_sort(e, at);
            e += at + 1, n = right;
        } else {
            top_sort(e + at + 1, right);
            n = at;
        }
    }
    top_sort_few(e, n);
}

/* The k first of e [n] to its front, the last of them at k - 1. */
static inline void top_select(sluice_entry *e, int64_t n, int64_t k)
{
    while (n > 1) {
        int64_t at = top_part(e, n);
        if (at == k - 1) return;
        if (at >= k) n = at;
        else e += at + 1, n -= at + 1, k -= at + 1;
    }
}

/* Back to the k best, whose last is the next threshold; nothing where there are fewer. */
static inline void top_cut(sluice_top_state *t)
{
    if (t->count < t->k) return;
    top_select(t->entries, t->count, t->k);
    t->count = t->k;
    t->worst = t->entries[t->k - 1];
    t->full = 1;
}

static inline void top_add(sluice_top_state *t, sluice_entry e)
{
    if (t->full && !top_before(&e, &t->worst)) return;
    t->entries[t->count++] = e;
    if (t->count == t->capacity) top_cut(t);
}

static inline void top_finish(sluice_top_state *t)
{
    top_cut(t);
    top_sort(t->entries, t->count);
}

#endif
