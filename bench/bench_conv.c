/* bench_conv.c - convolution, its gradients and the product of dense gradients, as the training of a CNN on 28 x 28 images
 * and of L-BFGS on 1280 features runs them.  Flops: two per multiply-add of the definition, the padding's included. */
#include "bench.h"

typedef struct conv_job {
    sluice *s;
    sluice_conv_shape q;
    int64_t n;
    float *x, *y, *w, *packed, *dw, *bias;
} conv_job;

static void forward(void *arg)
{
    conv_job *j = arg;
    const sluice_conv_shape *q = &j->q;
    BENCH_OK(j->s,
             sluice_op_conv(j->s, &(sluice_op_conv_args){
                                      .shape = *q,
                                      .x = sluice_rows(j->x, SLUICE_F32, j->n, q->h * q->w * q->cin),
                                      .packed = j->packed,
                                      .bias = j->bias,
                                      .relu = 1,
                                      .out = sluice_rows(j->y, SLUICE_F32, j->n, q->out_h * q->out_w * q->cout) }));
}

static void input_gradient(void *arg)
{
    conv_job *j = arg;
    const sluice_conv_shape *q = &j->q;
    BENCH_OK(j->s,
             sluice_op_conv_input(j->s, &(sluice_op_conv_input_args){
                                            .shape = *q,
                                            .g = sluice_rows(j->y, SLUICE_F32, j->n, q->out_h * q->out_w * q->cout),
                                            .w = j->w,
                                            .out = sluice_rows(j->x, SLUICE_F32, j->n, q->h * q->w * q->cin) }));
}

static void weight_gradient(void *arg)
{
    conv_job *j = arg;
    const sluice_conv_shape *q = &j->q;
    BENCH_OK(j->s,
             sluice_op_conv_weight(j->s, &(sluice_op_conv_weight_args){
                                             .shape = *q,
                                             .g = sluice_rows(j->y, SLUICE_F32, j->n, q->out_h * q->out_w * q->cout),
                                             .x = sluice_rows(j->x, SLUICE_F32, j->n, q->h * q->w * q->cin),
                                             .out = j->dw,
                                             .bias = j->bias }));
}

/* One output pixel of the forward pass, by its definition. */
static void check_pixel(const conv_job *j)
{
    const sluice_conv_shape *q = &j->q;
    double sum = (double)j->bias[0];
    for (int64_t k = 0; k < q->kernel * q->kernel * q->cin; k++) {
        int64_t y = k / q->cin / q->kernel - q->pad, x = k / q->cin % q->kernel - q->pad;
        if (y >= 0 && x >= 0) sum += (double)j->w[k] * (double)j->x[(y * q->w + x) * q->cin + k % q->cin];
    }
    double want = sum > 0 ? sum : 0, error = (double)j->y[0] - want;
    bench_check(error * error <= 1e-6 * (1 + want * want), "the first pixel of conv is wrong");
}

static void conv_cases(sluice *s, const bench_options *o, sluice_conv_shape q, const char *label)
{
    static const struct {
        const char *name;
        bench_case *run;
    } cases[] = { { "conv", forward }, { "conv_input", input_gradient }, { "conv_weight", weight_gradient } };
    int64_t n = o->rows ? o->rows : 256, in = q.h * q.w * q.cin, out = q.out_h * q.out_w * q.cout;
    int64_t depth = q.kernel * q.kernel * q.cin;
    conv_job j = { .s = s, .q = q, .n = n };
    j.x = bench_memory((size_t)(n * (in + out)) * 4), j.y = j.x + n * in; /* together: what the read rate reads */
    j.w = bench_memory((size_t)(q.cout * depth) * 4), j.dw = bench_memory((size_t)(q.cout * depth) * 4);
    j.packed = bench_memory(sluice_packed_floats(q.cout, depth) * 4), j.bias = bench_memory((size_t)q.cout * 4);
    bench_fill(j.x, n * in, 1), bench_fill(j.w, q.cout * depth, 2), bench_fill(j.bias, q.cout, 3);
    BENCH_OK(s, sluice_op_pack(
                    s, &(sluice_op_pack_args){ .w = sluice_rows(j.w, SLUICE_F32, q.cout, depth), .out = j.packed }));
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s %s", cases[i].name, label);
        if (o->only && !strstr(name, o->only)) continue;
        if (q.cin == 1 && i == 1) continue; /* a first layer passes no gradient on */
        bench_result r = { .name = name, .rows = (double)n, .runs = o->runs };
        r.bytes = (double)(n * (in + out)) * 4;
        r.flops = 2.0 * (double)(n * q.out_h * q.out_w) * (double)(q.cout * depth);
        bench_run(&r, s, j.x, cases[i].run, &j);
        if (i == 0) check_pixel(&j);
        bench_line(&r);
    }
    free(j.x), free(j.w), free(j.dw), free(j.packed), free(j.bias);
}

typedef struct product_job {
    sluice *s;
    sluice_op_product_args a;
} product_job;

static void product(void *arg)
{
    product_job *j = arg;
    BENCH_OK(j->s, sluice_op_product(j->s, &j->a));
}

static void product_case(sluice *s, const bench_options *o, int64_t n, int64_t c, int64_t d)
{
    char name[64];
    if (o->rows) n = o->rows;
    snprintf(name, sizeof name, "product c=%d d=%d", (int)c, (int)d);
    if (o->only && !strstr(name, o->only)) return;
    float *x = bench_memory((size_t)(n * (c + d)) * 4), *g = x + n * d;
    float *out = bench_memory((size_t)(c * d) * 4);
    product_job j = { s,
                      { .g = sluice_rows(g, SLUICE_F32, n, c),
                        .x = sluice_rows(x, SLUICE_F32, n, d),
                        .out = sluice_rows(out, SLUICE_F32, c, d) } };
    bench_fill(g, n * c, 1), bench_fill(x, n * d, 2);
    bench_result r = { .name = name, .rows = (double)n, .runs = o->runs };
    r.bytes = (double)(n * (c + d)) * 4, r.flops = 2.0 * (double)n * (double)(c * d);
    bench_run(&r, s, x, product, &j);
    double want = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double term = (double)g[i * c] * (double)x[i * d];
        want += term, size += term < 0 ? -term : term;
    }
    double error = (double)out[0] - want;
    bench_check(error * error <= 1e-9 * size * size, "the first entry of product is wrong");
    bench_line(&r);
    free(x), free(out);
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(argc, argv, "convolution and the gradients of training");
    sluice *s = bench_open(&o);
    bench_head(s);
    conv_cases(s, &o, (sluice_conv_shape){ 28, 28, 1, 16, 3, 1, 1, 28, 28 }, "3x3 28x28 1 to 16");
    conv_cases(s, &o, (sluice_conv_shape){ 28, 28, 1, 16, 5, 2, 2, 14, 14 }, "5x5/2 28x28 1 to 16");
    conv_cases(s, &o, (sluice_conv_shape){ 14, 14, 32, 64, 3, 1, 1, 14, 14 }, "3x3 14x14 32 to 64");
    conv_cases(s, &o, (sluice_conv_shape){ 7, 7, 64, 128, 3, 1, 1, 7, 7 }, "3x3 7x7 64 to 128");
    product_case(s, &o, 20000, 10, 1280);
    product_case(s, &o, 20000, 100, 1280);
    product_case(s, &o, 64, 128, 3136);
    sluice_close(s);
    return 0;
}
