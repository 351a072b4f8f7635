/* exclusions.c - see exclusions.h.  A pick that is labelled already is the commonest waste of an annotator's time, so
 * what the head knows about its training rows counts even when nobody says it. */
#include "exclusions.h"
#include "exact.h"

#include <string.h>

bool exclusions_add(exclusions *x, int64_t row)
{
    uint64_t bit = (uint64_t)1 << (row % 64), *word = &x->bits[row / 64];
    if (*word & bit) return false;
    *word |= bit;
    x->count++;
    return true;
}

/* An open-addressing set of ids; slot -1: empty. */
typedef struct id_set {
    int64_t *slot;
    const uint64_t *ids;
    uint64_t mask;
} id_set;

static bool id_find(const id_set *set, uint64_t id, uint64_t *out_at)
{
    uint64_t at = ex_mix64(id) & set->mask;
    for (; set->slot[at] >= 0; at = (at + 1) & set->mask)
        if (set->ids[set->slot[at]] == id) return true;
    *out_at = at;
    return false;
}

sluice_status exclusions_add_trained(sluice *s, exclusions *x, const sluice_pool *pool, const sluice_head *head)
{
    if (!head || !head->train_count || head->pool_fingerprint != pool->fingerprint) return SLUICE_OK;
    if (!pool->ids) {
        for (int64_t i = 0; i < head->train_count; i++)
            if (head->train_ids[i] < (uint64_t)pool->rows) x->trained += exclusions_add(x, (int64_t)head->train_ids[i]);
        return SLUICE_OK;
    }
    id_set set = { .ids = head->train_ids, .mask = 64 };
    uint64_t at = 0;
    while (set.mask < 2 * (uint64_t)head->train_count) set.mask *= 2;
    set.slot = RAW(s, (int64_t)set.mask, int64_t);
    if (!set.slot) return SLUICE_E_MEMORY;
    memset(set.slot, 0xff, (size_t)set.mask * sizeof *set.slot);
    set.mask--;
    for (int64_t i = 0; i < head->train_count; i++)
        if (!id_find(&set, head->train_ids[i], &at)) set.slot[at] = i;
    for (int64_t row = 0; row < pool->rows; row++)
        if (id_find(&set, pool->ids[row], &at)) x->trained += exclusions_add(x, row);
    mem_free(set.slot);
    return SLUICE_OK;
}

sluice_status exclusions_init(sluice *s, exclusions *x, const sluice_pool *pool, const sluice_labels *labels,
                              const int64_t *rows, int64_t count, const sluice_head *head)
{
    sluice_status st = SLUICE_OK;
    *x = (exclusions){ .words = pool->rows / 64 + 1 };
    TRY_NEW(x->bits, NEW(s, x->words, uint64_t));
    if (labels && labels->fingerprint != pool->fingerprint)
        FAIL(E_DATA, "the labels belong to another pool (fingerprint %016llx, this one has %016llx)",
             (unsigned long long)labels->fingerprint, (unsigned long long)pool->fingerprint);
    for (int64_t i = 0; labels && i < labels->count; i++) exclusions_add(x, labels->row[i]);
    for (int64_t i = 0; i < count; i++) {
        if (rows[i] < 0 || rows[i] >= pool->rows)
            FAIL(E_USAGE, "row %lld cannot be excluded: the pool has rows 0 to %lld", (long long)rows[i],
                 (long long)pool->rows - 1);
        exclusions_add(x, rows[i]);
    }
    TRY(exclusions_add_trained(s, x, pool, head));
out:
    if (st) exclusions_release(x);
    return st;
}

void exclusions_release(exclusions *x)
{
    mem_free(x->bits);
    *x = (exclusions){ 0 };
}
