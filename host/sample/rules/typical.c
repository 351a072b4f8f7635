/* typical.c - TypiClust: one typical row of each region that has few labels.  Hacohen, Dekel & Weinshall, "Active learning
 * on a budget: opposite strategies suit high and low budgets", ICML 2022.
 *
 * k-means makes min(m + k, 500) clusters of labelled rows and candidates.  Clusters of more than 5 rows take turns, those
 * with fewer labelled rows first, then the larger, then the lower number; each gives its most typical open row,
 *
 *     argmax 1 / (mean distance to its min(20, n/2) nearest of the n unpicked candidates of the cluster + 1e-5)
 *
 * the lower index among equals.  Distances are not squared.  Of more than 4,096 unpicked candidates the first 4,096 are
 * looked at, so that no cluster costs their square.  Where the large clusters have no open row left among these, all
 * clusters give their first open rows in the same order.  A pick's score is its typicality, then 0. */
#include "batch.h"
#include "device.h"
#include "exact.h"
#include "kmeans.h"

#include <stdlib.h>
#include <string.h>

enum { CLUSTERS = 500, SMALL = 5, NEIGHBOURS = 20, LOOKED_AT = 4096 };
static const double softening = 1e-5;

typedef struct cluster {
    int32_t number;
    int64_t labelled, size; /* size: with the labelled rows */
} cluster;

typedef struct work {
    batch *b;
    float *all; /* labelled rows, then candidates */
    sluice_entry *entry;
    kmeans q; /* of these */
    cluster *order;
    int64_t *start;  /* [cells + 1] where each cluster's candidates stand in ... */
    int64_t *member; /* ... [n], ascending */
    uint8_t *picked; /* [n] */
    /* of one cluster's first unpicked candidates */
    int64_t n, *row; /* [LOOKED_AT] */
    float *x;        /* [LOOKED_AT, d] */
    float *nearest;  /* [LOOKED_AT, NEIGHBOURS + 1] squared distances, its own first */
    int32_t *index;
} work;

static void work_release(work *w)
{
    mem_free(w->all), mem_free(w->entry), kmeans_release(&w->q), mem_free(w->order), mem_free(w->start);
    mem_free(w->member), mem_free(w->picked), mem_free(w->row), mem_free(w->x), mem_free(w->nearest);
    mem_free(w->index);
}

static sluice_status work_init(sluice *s, work *w)
{
    sluice_status st = SLUICE_OK;
    const batch *b = w->b;
    size_t row = (size_t)(b->d ? b->d : 1) * sizeof(float);
    int64_t rows = b->m + b->n, cells = b->m + b->k < CLUSTERS ? b->m + b->k : CLUSTERS;
    TRY_NEW(w->all, mem_raw(s, rows, row));
    TRY_NEW(w->entry, RAW(s, rows, sluice_entry));
    TRY_NEW(w->order, NEW(s, cells, cluster));
    TRY_NEW(w->start, NEW(s, cells + 1, int64_t));
    TRY_NEW(w->member, RAW(s, b->n, int64_t));
    TRY_NEW(w->picked, NEW(s, b->n, uint8_t));
    TRY_NEW(w->row, RAW(s, LOOKED_AT, int64_t));
    TRY_NEW(w->x, mem_raw(s, LOOKED_AT, row));
    TRY_NEW(w->nearest, RAW(s, LOOKED_AT * (NEIGHBOURS + 1), float));
    TRY_NEW(w->index, RAW(s, LOOKED_AT * (NEIGHBOURS + 1), int32_t));
    if (b->m) memcpy(w->all, b->labelled, (size_t)b->m * (size_t)b->d * sizeof(float));
    memcpy(w->all + b->m * b->d, b->x, (size_t)b->n * (size_t)b->d * sizeof(float));
    if (b->m) memcpy(w->entry, b->labelled_entry, (size_t)b->m * sizeof *w->entry);
    memcpy(w->entry + b->m, b->entry, (size_t)b->n * sizeof *w->entry);
    w->q = (kmeans){
        .x = w->all, .n = rows, .d = b->d, .entry = w->entry, .cells = cells, .seed = b->seed, .labelled = b->round
    };
out:
    return st;
}

static int by_need(const void *x, const void *y)
{
    const cluster *a = x, *b = y;
    if (a->labelled != b->labelled) return a->labelled < b->labelled ? -1 : 1;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static void list_members(work *w)
{
    int64_t cells = w->q.cells, m = w->b->m;
    const int32_t *cell = w->q.cell + m;
    for (int64_t i = 0; i < w->b->n; i++) w->start[cell[i] + 1]++;
    for (int64_t c = 0; c < cells; c++) {
        w->order[c] = (cluster){ .number = (int32_t)c, .size = w->q.size[c] };
        w->start[c + 1] += w->start[c];
    }
    for (int64_t i = w->b->n - 1; i >= 0; i--) w->member[--w->start[cell[i] + 1]] = i;
    /* start[c + 1] is now where c begins */
    memmove(w->start, w->start + 1, (size_t)cells * sizeof *w->start);
    w->start[cells] = w->b->n;
    for (int64_t i = 0; i < m; i++) w->order[w->q.cell[i]].labelled++;
    qsort(w->order, (size_t)cells, sizeof *w->order, by_need);
}

/* The first unpicked candidates of a cluster and their neighbours; whether one of them is open. */
static bool look_at(work *w, int32_t c)
{
    const batch *b = w->b;
    bool open = false;
    w->n = 0;
    for (int64_t j = w->start[c]; j < w->start[c + 1] && w->n < LOOKED_AT; j++) {
        int64_t i = w->member[j];
        if (w->picked[i]) continue;
        open |= b->open[i] == 1;
        memcpy(w->x + w->n * b->d, b->x + i * b->d, (size_t)b->d * sizeof *w->x);
        w->row[w->n++] = i;
    }
    return open;
}

static sluice_status find_neighbours(sluice *s, work *w, int64_t k)
{
    sluice_status st = dev_hold(s, w->x, w->n, w->b->d);
    if (!st) st = nearest_rows(s, w->x, w->n, w->x, w->n, w->b->d, k, w->nearest, w->index);
    dev_drop(s, w->x);
    return st;
}

/* Whichever row of distance 0 stands first, itself or its double, k - 1 others follow. */
static double mean_distance(const float *nearest, int64_t k)
{
    double sum = 0;
    for (int64_t j = 1; j < k; j++) sum += (double)ex_sqrt(nearest[j]);
    return k > 1 ? sum / (double)(k - 1) : 0;
}

/* The most typical open row of a cluster; *out_taken false: it has none. */
static sluice_status take_typical(sluice *s, work *w, int32_t c, bool *out_taken)
{
    batch *b = w->b;
    int64_t best = -1;
    double least = 0;
    *out_taken = look_at(w, c);
    if (!*out_taken) return SLUICE_OK;
    int64_t k = 1 + (w->n / 2 < NEIGHBOURS ? w->n / 2 : NEIGHBOURS);
    k = k < w->n ? k : w->n;
    sluice_status st = find_neighbours(s, w, k);
    if (st) return st;
    for (int64_t j = 0; j < w->n; j++) {
        double mean = mean_distance(w->nearest + j * k, k);
        if (b->open[w->row[j]] == 1 && (best < 0 || mean < least)) best = j, least = mean;
    }
    w->picked[w->row[best]] = 1;
    batch_take(b, w->row[best], (float)(1 / (least + softening)));
    return SLUICE_OK;
}

static int64_t first_open(const work *w, int32_t c)
{
    for (int64_t j = w->start[c]; j < w->start[c + 1]; j++)
        if (w->b->open[w->member[j]] == 1) return w->member[j];
    return -1;
}

static int64_t take_first(work *w)
{
    int64_t before = w->b->picked;
    for (int64_t c = 0; c < w->q.cells && !batch_full(w->b); c++) {
        int64_t i = first_open(w, w->order[c].number);
        if (i < 0) continue;
        w->picked[i] = 1;
        batch_take(w->b, i, 0);
    }
    return w->b->picked - before;
}

sluice_status rule_typical(sluice *s, batch *b)
{
    sluice_status st = SLUICE_OK;
    work w = { .b = b };
    bool taken, any = true;
    if (b->k == 0) return SLUICE_OK;
    TRY(work_init(s, &w));
    TRY(dev_hold(s, w.all, b->m + b->n, b->d));
    TRY(kmeans_run(s, &w.q));
    dev_drop(s, w.all);
    list_members(&w);
    while (any && !batch_full(b)) {
        any = false;
        for (int64_t c = 0; c < w.q.cells && !batch_full(b); c++) {
            if (w.order[c].size <= SMALL) continue;
            TRY(take_typical(s, &w, w.order[c].number, &taken));
            any |= taken;
        }
    }
    while (!batch_full(b) && take_first(&w) > 0) continue;
out:
    dev_drop(s, w.all);
    work_release(&w);
    return st;
}
