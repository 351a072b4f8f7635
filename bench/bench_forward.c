/* bench_forward.c - rows times packed weights, exact, by the number of columns.
 *
 *     10       500,000 x 512, a linear head      256    200,000 x 512, a hidden layer with relu
 *     1000      50,000 x 1280, many classes
 *
 * Bytes are the rows read and the products written; on a GPU both lie in its memory.  Sampled rows are checked against
 * the chain of fma bit for bit. */
#include "bench.h"

#include "exact.h"

#include <math.h>

typedef struct job {
    sluice *s;
    float *x, *w, *packed, *bias, *out;         /* [n, d] [c, d] and its packed form [c] [n, c] */
    float *x_at, *packed_at, *bias_at, *out_at; /* where the op finds them */
    int64_t n, d, c;
    int relu;
} job;

static void forward(void *arg)
{
    job *j = arg;
    BENCH_OK(j->s, sluice_op_forward(
                       j->s, &(sluice_op_forward_args){ .x = sluice_rows(j->x_at, SLUICE_F32, j->n, j->d),
                                                        .packed = j->packed_at,
                                                        .bias = j->bias_at,
                                                        .c = j->c,
                                                        .relu = j->relu,
                                                        .out = sluice_rows(j->out_at, SLUICE_F32, j->n, j->c) }));
    bench_wait(j->s);
}

static void check_row(const job *j, int64_t i)
{
    for (int64_t c = 0; c < j->c; c++) {
        float acc = j->bias[c];
        for (int64_t k = 0; k < j->d; k++) acc = fmaf(j->x[i * j->d + k], j->w[c * j->d + k], acc);
        acc = j->relu && acc < 0 ? 0 : acc + 0.0f;
        bench_check(memcmp(&acc, &j->out[i * j->c + c], sizeof acc) == 0, "a product differs from its definition");
    }
}

static void check(const job *j)
{
    bench_from_device(j->s, j->out, j->out_at, (size_t)(j->n * j->c) * 4);
    for (int64_t i = 0; i < j->n; i += j->n / 61 + 1) check_row(j, i);
    check_row(j, j->n - 1);
}

static float *filled(int64_t n, uint64_t seed)
{
    float *p = bench_memory((size_t)n * sizeof *p);
    bench_fill(p, n, seed);
    return p;
}

/* share: of FMA in the GPU kernel's loop, as in bench_scan.c. */
static void one(sluice *s, const bench_options *o, const char *name, int64_t n, int64_t d, int64_t c, int relu,
                double share)
{
    if (o->only && !strstr(name, o->only)) return;
    job j = { .s = s, .n = o->rows ? o->rows : n, .d = d, .c = c, .relu = relu };
    size_t packed = sluice_packed_floats(c, d) * 4;
    j.x = filled(j.n * (d + c), 1); /* the read rate is measured over as many bytes as the case moves */
    j.w = filled(c * d, 2), j.bias = filled(c, 3), j.out = filled(j.n * c, 4);
    j.packed = bench_memory(packed);
    sluice_op_pack_args p = { sluice_rows(j.w, SLUICE_F32, c, d), 0, j.packed };
    BENCH_OK(s, sluice_op_pack(s, &p));
    j.x_at = bench_on_device(s, j.x, (size_t)(j.n * d) * 4),
    j.out_at = bench_on_device(s, j.out, (size_t)(j.n * c) * 4);
    j.packed_at = bench_on_device(s, j.packed, packed), j.bias_at = bench_on_device(s, j.bias, (size_t)c * 4);
    bench_result r = { .name = name,
                       .rows = (double)j.n,
                       .bytes = (double)j.n * (double)(d + c) * 4,
                       .flops = 2.0 * (double)j.n * (double)d * (double)c,
                       .share = bench_gpu(s) ? share : 0,
                       .runs = o->runs };
    bench_run(&r, s, j.x, forward, &j);
    check(&j);
    bench_line(&r);
    bench_release(s, j.x_at), bench_release(s, j.out_at), bench_release(s, j.packed_at), bench_release(s, j.bias_at);
    free(j.x), free(j.w), free(j.packed), free(j.bias), free(j.out);
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(argc, argv, "forward: rows times weights; cases linear-10 hidden-256 many-1000");
    sluice *s = bench_open(&o);
    bench_head(s);
    one(s, &o, "linear-10", 500000, 512, 10, 0, 0.70);
    one(s, &o, "hidden-256", 200000, 512, 256, 1, 1);
    one(s, &o, "many-1000", 50000, 1280, 1000, 0, 1);
    sluice_close(s);
    return 0;
}
