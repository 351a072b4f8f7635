/* cells.c - k-means cells of the candidates, one pick each: kmeans, and margin-kmeans (Zhdanov, "Diverse mini-batch active
 * learning", 2019: weights pull the centroids to uncertain rows).  And Munro's cluster-based sampling (Human-in-the-Loop
 * Machine Learning, 2021): of each cell the row nearest to the centroid, the farthest, and one at random.
 *
 * Cells are visited by their numbers, the order of k-means++; where a cell has no open row the others go round again.  A
 * pick's score is minus its distance to the centroid. */
#include "batch.h"
#include "exact.h"
#include "kmeans.h"

typedef int64_t choose_fn(const batch *b, const kmeans *q, int32_t cell);

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

/* Open rows of a cell: the nearest, the farthest, the first by hash.  -1: none. */
static int64_t nearest_of(const batch *b, const kmeans *q, int32_t cell)
{
    int64_t best = -1;
    for (int64_t i = 0; i < b->n; i++)
        if (q->cell[i] == cell && b->open[i] == 1 && (best < 0 || q->distance[i] < q->distance[best])) best = i;
    return best;
}

static int64_t farthest_of(const batch *b, const kmeans *q, int32_t cell)
{
    int64_t best = -1;
    for (int64_t i = 0; i < b->n; i++)
        if (q->cell[i] == cell && b->open[i] == 1 && (best < 0 || q->distance[i] > q->distance[best])) best = i;
    return best;
}

static int64_t random_of(const batch *b, const kmeans *q, int32_t cell)
{
    for (int64_t i = 0; i < b->n; i++)
        if (q->cell[i] == cell && b->open[i] == 1) return i; /* candidates stand in the order of their hashes */
    return -1;
}

/* One row of each cell; how many were taken. */
static int64_t go_round(batch *b, const kmeans *q, choose_fn *choose)
{
    int64_t before = b->picked;
    for (int32_t c = 0; c < (int32_t)q->cells && !batch_full(b); c++) {
        int64_t i = choose(b, q, c);
        if (i >= 0) batch_take(b, i, -ex_sqrt(q->distance[i]));
    }
    return b->picked - before;
}

sluice_status rule_cells(sluice *s, batch *b)
{
    kmeans q;
    if (b->k == 0) return SLUICE_OK;
    sluice_status st = make_cells(s, b, b->k, &q);
    if (st) return st;
    while (!batch_full(b) && go_round(b, &q, nearest_of) > 0) continue;
    kmeans_release(&q);
    return SLUICE_OK;
}

sluice_status rule_trio(sluice *s, batch *b)
{
    static choose_fn *const choose[] = { nearest_of, farthest_of, random_of };
    kmeans q;
    if (b->k == 0) return SLUICE_OK;
    sluice_status st = make_cells(s, b, (b->k + 2) / 3, &q);
    if (st) return st;
    for (int64_t taken = 1; taken > 0 && !batch_full(b);) {
        taken = 0;
        for (int way = 0; way < 3; way++) taken += go_round(b, &q, choose[way]);
    }
    kmeans_release(&q);
    return SLUICE_OK;
}
