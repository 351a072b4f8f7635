/* kmeans.c - see kmeans.h. */
#include "kmeans.h"

#include "device.h"
#include "draw.h"
#include "philox.h"

#include <string.h>

enum { PIECE = 1 << 22 }; /* rows whose integer sums cannot overflow */

typedef struct work {
    kmeans *q;
    int64_t seen; /* rows that make the centroids */
    float *packed;
    int64_t *sum, *mass;
    int32_t *before;
} work;

static void work_release(work *w) { mem_free(w->sum), mem_free(w->mass), mem_free(w->before); }

void kmeans_release(kmeans *q)
{
    mem_free(q->centroid), mem_free(q->cell), mem_free(q->distance), mem_free(q->size);
    q->centroid = q->distance = NULL, q->cell = NULL, q->size = NULL;
}

/* ---- start ---- */

/* A row with chance ~ weight D^2 that was not drawn before: where no row has a chance left, the next by index. */
static int64_t draw_centroid(const sluice *s, const work *w, const uint8_t *open, int64_t turn)
{
    const kmeans *q = w->q;
    return draw_row(s, &(draw){ .n = w->seen,
                                .open = open,
                                .entry = q->entry,
                                .weight = q->weight,
                                .square = turn ? q->distance : NULL,
                                .seed = q->seed,
                                .purpose = EX_CLUSTER ^ (uint32_t)(q->labelled & 0x7ffffff),
                                .turn = (uint32_t)turn });
}

static sluice_status start(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    kmeans *q = w->q;
    uint8_t *open;
    TRY_NEW(open, RAW(s, w->seen, uint8_t));
    memset(open, 1, (size_t)w->seen);
    for (int64_t i = 0; i < w->seen; i++) q->distance[i] = ex_inf();
    for (int64_t turn = 0; turn < q->cells; turn++) {
        TRY(cancel_check(s, "clustering"));
        int64_t i = draw_centroid(s, w, open, turn);
        open[i] = 0;
        memcpy(q->centroid + turn * q->d, q->x + i * q->d, (size_t)q->d * sizeof *q->x);
        TRY(sluice_op_relax(s, &(sluice_op_relax_args){ .x = sluice_rows(q->x, SLUICE_F32, w->seen, q->d),
                                                        .y = q->x + i * q->d,
                                                        .distance = q->distance }));
    }
out:
    mem_free(open);
    return st;
}

/* ---- iterations ---- */

/* Cells and distances of the first n rows. */
static sluice_status assign(sluice *s, work *w, int64_t n)
{
    sluice_status st = SLUICE_OK;
    kmeans *q = w->q;
    sluice_view centroids = sluice_rows(q->centroid, SLUICE_F32, q->cells, q->d);
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = centroids, .out = w->packed }));
    TRY(sluice_op_nearest(s, &(sluice_op_nearest_args){ .x = sluice_rows(q->x, SLUICE_F32, n, q->d),
                                                        .y = centroids,
                                                        .packed = w->packed,
                                                        .k = 1,
                                                        .distance = q->distance,
                                                        .index = q->cell }));
    memset(q->size, 0, (size_t)q->cells * sizeof *q->size);
    for (int64_t i = 0; i < n; i++) q->size[q->cell[i]]++;
out:
    return st;
}

/* A cell without rows takes the row that is farthest from its own centroid, the lower index among equals. */
static void fill_empty(work *w)
{
    kmeans *q = w->q;
    for (int64_t c = 0; c < q->cells; c++) {
        int64_t farthest = -1;
        if (q->size[c]) continue;
        for (int64_t i = 0; i < w->seen; i++)
            if (q->size[q->cell[i]] > 1 && (farthest < 0 || q->distance[i] > q->distance[farthest])) farthest = i;
        if (farthest < 0) return;
        q->size[q->cell[farthest]]--, q->size[c]++;
        q->cell[farthest] = (int32_t)c, q->distance[farthest] = 0;
    }
}

/* The mean of a cell; one without mass (all its weights are 0) keeps its centroid. */
static sluice_status move(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    kmeans *q = w->q;
    __int128 *total;
    TRY_NEW(total, NEW(s, q->cells * (q->d + 1), __int128));
    for (int64_t first = 0; first < w->seen; first += PIECE) {
        int64_t n = w->seen - first < PIECE ? w->seen - first : PIECE;
        memset(w->sum, 0, (size_t)(q->cells * q->d) * sizeof *w->sum);
        memset(w->mass, 0, (size_t)q->cells * sizeof *w->mass);
        TRY(sluice_op_accumulate(
            s, &(sluice_op_accumulate_args){ .x = sluice_rows(q->x + first * q->d, SLUICE_F32, n, q->d),
                                             .cell = q->cell + first,
                                             .weight = q->weight ? q->weight + first : NULL,
                                             .cells = q->cells,
                                             .sum = w->sum,
                                             .mass = w->mass }));
        for (int64_t i = 0; i < q->cells * q->d; i++) total[i] += w->sum[i];
        for (int64_t c = 0; c < q->cells; c++) total[q->cells * q->d + c] += w->mass[c];
    }
    for (int64_t c = 0; c < q->cells; c++) {
        double mass = (double)total[q->cells * q->d + c];
        for (int64_t k = 0; k < q->d && mass > 0; k++)
            q->centroid[c * q->d + k] = (float)((double)total[c * q->d + k] / mass);
    }
out:
    mem_free(total);
    return st;
}

static sluice_status iterate(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    kmeans *q = w->q;
    bool moved = true;
    for (int i = 0; i < KMEANS_ITERATIONS && moved; i++) {
        TRY(cancel_check(s, "clustering"));
        TRY(assign(s, w, w->seen));
        fill_empty(w);
        moved = i == 0 || memcmp(w->before, q->cell, (size_t)w->seen * sizeof *q->cell) != 0;
        memcpy(w->before, q->cell, (size_t)w->seen * sizeof *q->cell);
        if (moved) TRY(move(s, w));
    }
out:
    return st;
}

sluice_status kmeans_run(sluice *s, kmeans *q)
{
    sluice_status st = SLUICE_OK;
    work w = { .q = q, .seen = q->n };
    if (q->cells < q->n / KMEANS_SAMPLE) w.seen = KMEANS_SAMPLE * q->cells;
    size_t row = (size_t)(q->d ? q->d : 1) * sizeof(float);
    TRY_NEW(q->centroid, mem_raw(s, q->cells, row));
    TRY_NEW(q->cell, RAW(s, q->n, int32_t));
    TRY_NEW(q->distance, RAW(s, q->n, float));
    TRY_NEW(q->size, NEW(s, q->cells, int64_t));
    TRY_NEW(w.packed, dev_new(s, (q->cells + 15) / 16 * 16, row));
    TRY_NEW(w.sum, mem_raw(s, q->cells, 2 * row));
    TRY_NEW(w.mass, RAW(s, q->cells, int64_t));
    TRY_NEW(w.before, RAW(s, w.seen, int32_t));
    TRY(start(s, &w));
    TRY(iterate(s, &w));
    TRY(assign(s, &w, q->n));
out:
    dev_free(s, w.packed), work_release(&w);
    if (st) kmeans_release(q);
    return st;
}
