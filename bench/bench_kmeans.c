/* bench_kmeans.c - k-means with 1,000 cells of 1,000,000 rows, 128 wide.
 *
 *     iteration   one of Lloyd's over all rows: nearest centroid of each, sums of each cell, new centroids
 *     whole       k-means++ on KMEANS_SAMPLE rows a cell, then the 25 iterations on these and one assignment of all rows
 *
 * The limit is that of the products with the centroids alone.  Cells of sampled rows are checked against all distances. */
#include "bench.h"
#include "exact.h"
#include "kmeans.h"

enum { CELLS = 1000, D = 128 };

typedef struct job {
    sluice *s;
    kmeans q;
    float *x, *packed;
    int64_t *sum, *mass;
} job;

static void iteration(void *arg)
{
    job *j = arg;
    kmeans *q = &j->q;
    sluice_view x = sluice_rows(j->x, SLUICE_F32, q->n, D), y = sluice_rows(q->centroid, SLUICE_F32, CELLS, D);
    BENCH_OK(j->s, sluice_op_pack(j->s, &(sluice_op_pack_args){ .w = y, .out = j->packed }));
    BENCH_OK(j->s,
             sluice_op_nearest(
                 j->s, &(sluice_op_nearest_args){
                           .x = x, .y = y, .packed = j->packed, .k = 1, .distance = q->distance, .index = q->cell }));
    memset(j->sum, 0, sizeof *j->sum * CELLS * D), memset(j->mass, 0, sizeof *j->mass * CELLS);
    BENCH_OK(j->s,
             sluice_op_accumulate(j->s, &(sluice_op_accumulate_args){
                                            .x = x, .cell = q->cell, .cells = CELLS, .sum = j->sum, .mass = j->mass }));
    for (int64_t i = 0; i < CELLS * D; i++)
        if (j->mass[i / D]) q->centroid[i] = (float)((double)j->sum[i] / (double)j->mass[i / D]);
}

static void whole(void *arg)
{
    job *j = arg;
    kmeans_release(&j->q);
    BENCH_OK(j->s, kmeans_run(j->s, &j->q));
}

static void check(const job *j)
{
    const kmeans *q = &j->q;
    for (int64_t i = 0; i < q->n; i += q->n / 37 + 1) {
        float least = ex_inf();
        int32_t cell = -1;
        for (int32_t c = 0; c < CELLS; c++) {
            float sum = 0;
            for (int64_t k = 0; k < D; k++) {
                float e = j->x[i * D + k] - q->centroid[c * D + k];
                sum = ex_fma(e, e, sum);
            }
            if (sum < least) least = sum, cell = c;
        }
        bench_check(q->cell[i] == cell && q->distance[i] == least, "a row is in another cell");
    }
}

static void one(job *j, const bench_options *o, const char *name, bench_case *f, double products)
{
    double n = (double)j->q.n, seen = n < KMEANS_SAMPLE * CELLS ? n : KMEANS_SAMPLE * CELLS;
    if (o->only && !strstr(name, o->only)) return;
    bench_result r = { .name = name,
                       .rows = n,
                       .bytes = n * D * sizeof(float),
                       .flops = 2.0 * D * CELLS * (n + (products - 1) * seen),
                       .runs = o->runs };
    bench_run(&r, j->s, j->x, f, j);
    bench_line(&r);
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(argc, argv, "k-means with 1,000 cells; cases iteration whole");
    job j = { .s = bench_open(&o), .q = { .n = o.rows ? o.rows : 1000000, .d = D, .cells = CELLS } };
    int64_t n = j.q.n;
    j.x = bench_memory((size_t)(n * D) * sizeof *j.x), bench_fill(j.x, n * D, 1);
    sluice_view v = sluice_rows(j.x, SLUICE_F32, n, D);
    BENCH_OK(j.s, sluice_op_convert(j.s, &(sluice_op_convert_args){ .x = v, .out = v, .normalise = 1 }));
    sluice_entry *entry = bench_memory((size_t)n * sizeof *entry);
    for (int64_t i = 0; i < n; i++) entry[i] = (sluice_entry){ .row = i, .id = (uint64_t)i };
    j.q.x = j.x, j.q.entry = entry;
    j.packed = bench_memory(sluice_packed_floats(CELLS, D) * sizeof *j.packed);
    j.sum = bench_memory(sizeof *j.sum * CELLS * D), j.mass = bench_memory(sizeof *j.mass * CELLS);
    bench_head(j.s);
    j.q.centroid = bench_memory(sizeof(float) * CELLS * D);
    memcpy(j.q.centroid, j.x, sizeof(float) * CELLS * D);
    j.q.cell = bench_memory((size_t)n * sizeof(int32_t)), j.q.distance = bench_memory((size_t)n * sizeof(float));
    one(&j, &o, "iteration", iteration, 1);
    free(j.q.centroid), free(j.q.cell), free(j.q.distance);
    j.q.centroid = j.q.distance = NULL, j.q.cell = NULL;
    o.runs = o.runs < 2 ? o.runs : 2;
    one(&j, &o, "whole", whole, KMEANS_ITERATIONS + 1);
    if (j.q.cell) check(&j);
    kmeans_release(&j.q);
    free(j.x), free(j.packed), free(j.sum), free(j.mass), free(entry);
    sluice_close(j.s);
    return 0;
}
