/* top.c - the order itself as a rule: again and again the first open candidate of the filter's order.  For strategies that
 * are a score alone, where picks stay apart.  A pick's score is the filter's. */
#include "batch.h"
#include "exact.h"

#include <stdlib.h>

typedef struct ranked {
    sluice_entry entry;
    int64_t candidate;
} ranked;

static int by_order(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    return entry_before(&a->entry, &b->entry) ? -1 : entry_before(&b->entry, &a->entry);
}

sluice_status rule_top(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    ranked *order = NULL;
    TRY_NEW(order, RAW(s, b->n, ranked));
    for (int64_t i = 0; i < b->n; i++) order[i] = (ranked){ b->entry[i], i };
    qsort(order, (size_t)b->n, sizeof *order, by_order);
    for (int64_t from = 0; !batch_full(b);) {
        while (from < b->n && !b->open[order[from].candidate]) from++; /* for good; others wait for their turn */
        int64_t at = from;
        while (at < b->n && b->open[order[at].candidate] != 1) at++;
        if (at == b->n) break;
        batch_take(b, order[at].candidate, ex_order_score(order[at].entry.key));
    }
out:
    mem_free(order);
    return st;
}
