/* cells.c - k-means cells of the candidates, one pick each: kmeans, and margin-kmeans (Zhdanov, "Diverse mini-batch active
 * learning", 2019: weights pull the centroids to uncertain rows).  And Munro's cluster-based sampling (Human-in-the-Loop
 * Machine Learning, 2021): of each cell the row nearest to the centroid, the farthest, and one at random.
 *
 * Cells are visited by their numbers, the order of k-means++; where a cell has no open row the others go round again.  A
 * pick's score is minus its distance to the centroid. */
#include "batch.h"
#include "exact.h"
#include "kmeans.h"

/* Whether row i comes before row j of its cell; j is an earlier candidate. */
typedef bool before_fn(const kmeans *q, int64_t i, int64_t j);

static bool nearer(const kmeans *q, int64_t i, int64_t j) { return q->distance[i] < q->distance[j]; }
static bool farther(const kmeans *q, int64_t i, int64_t j) { return q->distance[i] > q->distance[j]; }
/* Candidates stand in the order of their hashes: the first is a random one. */
static bool never(const kmeans *q, int64_t i, int64_t j) { return (void)q, (void)i, (void)j, false; }

static sluice_status make_cells(sluice *s, const batch *b, int64_t cells, kmeans *q)
{
    *q = (kmeans){ .x = b->x,
                   .n = b->n,
                   .d = b->d,
                   .entry = b->entry,
                   .weight = b->weight,
                   .cells = cells,
                   .seed = b->seed,
                   .labelled = b->round };
    return kmeans_run(s, q);
}

/* The first open row of every cell (-1: none) into first [cells], or of one cell alone. */
static void find_first(const batch *b, const kmeans *q, before_fn *before, int32_t only, int64_t *first)
{
    for (int64_t c = 0; c < q->cells; c++)
        if (only < 0 || c == only) first[c] = -1;
    for (int64_t i = 0; i < b->n; i++) {
        int32_t c = q->cell[i];
        if (b->open[i] != 1 || (only >= 0 && c != only)) continue;
        if (first[c] < 0 || before(q, i, first[c])) first[c] = i;
    }
}

/* One row of each cell; *out_taken is how many.  A pick may have closed the first row of a later cell (its group is full,
 * its class has to wait): then that cell is looked at again. */
static sluice_status go_round(sluice *s, batch *b, const kmeans *q, before_fn *before, int64_t *out_taken)
{
    sluice_status st = SLUICE_OK;
    int64_t *first, had = b->picked;
    TRY_NEW(first, RAW(s, q->cells, int64_t));
    find_first(b, q, before, -1, first);
    for (int32_t c = 0; c < (int32_t)q->cells && !batch_full(b); c++) {
        if (first[c] >= 0 && b->open[first[c]] != 1) find_first(b, q, before, c, first);
        if (first[c] >= 0) batch_take(b, first[c], -ex_sqrt(q->distance[first[c]]));
    }
    *out_taken = b->picked - had;
out:
    mem_free(first);
    return st;
}

/* Round after round by the ways in turn, until the batch is full or no row is open. */
static sluice_status share_out(sluice *s, batch *b, int64_t cells, before_fn *const *ways, int count)
{
    kmeans q;
    if (b->k == 0) return SLUICE_OK;
    sluice_status st = make_cells(s, b, cells, &q);
    if (st) return st;
    for (int64_t taken = 1; taken > 0 && !batch_full(b) && !st;) {
        taken = 0;
        for (int way = 0; way < count && !st; way++) {
            int64_t more;
            st = go_round(s, b, &q, ways[way], &more);
            if (!st) taken += more;
        }
    }
    kmeans_release(&q);
    return st;
}

sluice_status rule_cells(sluice *s, batch *b) { return share_out(s, b, b->k, (before_fn *const[]){ nearer }, 1); }

sluice_status rule_trio(sluice *s, batch *b)
{
    return share_out(s, b, (b->k + 2) / 3, (before_fn *const[]){ nearer, farther, never }, 3);
}
