/* bench_nearest.c - the 10 nearest of 5,000 references to each of 200,000 rows, 512 wide: the pool against the labelled
 * rows.  The limit is that of the products alone.  Sampled rows are checked against all canonical distances. */
#include "bench.h"

#include <math.h>

enum { M = 5000, D = 512, K = 10 };

typedef struct job {
    sluice *s;
    int64_t n;
    float *x, *y, *packed, *distance;
    int32_t *index;
} job;

static void nearest(void *arg)
{
    job *j = arg;
    BENCH_OK(j->s, sluice_op_nearest(j->s, &(sluice_op_nearest_args){ .x = sluice_rows(j->x, SLUICE_F32, j->n, D),
                                                                      .y = sluice_rows(j->y, SLUICE_F32, M, D),
                                                                      .packed = j->packed,
                                                                      .k = K,
                                                                      .distance = j->distance,
                                                                      .index = j->index }));
}

static void check_row(const job *j, int64_t i)
{
    const float *got = j->distance + i * K;
    int64_t nearer = 0;
    for (int64_t r = 0; r < M; r++) {
        float sum = 0;
        for (int64_t k = 0; k < D; k++) {
            float e = j->x[i * D + k] - j->y[r * D + k];
            sum = fmaf(e, e, sum);
        }
        nearer += sum < got[K - 1];
        for (int q = 0; q < K; q++) bench_check(j->index[i * K + q] != r || got[q] == sum, "a distance is wrong");
    }
    bench_check(nearer == K - 1, "a row's neighbours are not the nearest");
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(argc, argv, "the 10 nearest of 5,000 references, 512 wide; case nearest");
    job j = { .s = bench_open(&o), .n = o.rows ? o.rows : 200000 };
    j.x = bench_memory((size_t)(j.n * D) * 4), j.y = bench_memory((size_t)M * D * 4);
    j.packed = bench_memory(sluice_packed_floats(M, D) * 4);
    j.distance = bench_memory((size_t)(j.n * K) * 4), j.index = bench_memory((size_t)(j.n * K) * 4);
    bench_fill(j.x, j.n * D, 1), bench_fill(j.y, (int64_t)M * D, 2);
    sluice_op_pack_args p = { sluice_rows(j.y, SLUICE_F32, M, D), 0, j.packed };
    BENCH_OK(j.s, sluice_op_pack(j.s, &p));
    bench_result r = { .name = "nearest",
                       .rows = (double)j.n,
                       .bytes = (double)j.n * D * 4,
                       .flops = 2.0 * (double)j.n * D * M,
                       .runs = o.runs };
    bench_head(j.s);
    bench_run(&r, j.s, j.x, nearest, &j);
    for (int64_t i = 0; i < j.n; i += j.n / 37 + 1) check_row(&j, i);
    bench_line(&r);
    free(j.x), free(j.y), free(j.packed), free(j.distance), free(j.index);
    sluice_close(j.s);
    return 0;
}
