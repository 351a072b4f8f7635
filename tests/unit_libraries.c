/* unit_libraries.c - a GPU's ops under SLUICE_MATH_LIBRARY, with cuBLAS and cuDNN and without: against definitions in
 * double, the same bits on each repeat; broadcast and gather among any number of devices. */
#include "backends.h"
#include "conv_cases.h"

/* Any order of k terms is within k 2^-24 of the sum of their magnitudes, to first order; twice that here. */
static double bound(int64_t k, double magnitudes) { return (double)(k + 4) * 0x1p-23 * magnitudes + 1e-30; }

static void switch_libraries(int on)
{
    if (on) unsetenv("SLUICE_NO_LIBRARIES");
    else setenv("SLUICE_NO_LIBRARIES", "1", 1);
}

static sluice *open_cuda(sluice_math math)
{
    sluice *s = tier_open(0, 1);
    s->exec.math = math;
    return s;
}

/* The emulator's libraries sum in double: bits that differ from the exact op's show who did the work. */
static int emulated(const sluice *s)
{
    char text[2048];
    s->backend->describe(0, text, sizeof text);
    return strncmp(text, "emulated", 8) == 0;
}

/* ---- ops -------------------------------------------------------------------------------------------- */

/* An op's inputs, its output by definition and how far from it another order of the same sums may lie. */
typedef struct problem {
    sluice_status (*run)(sluice *s, const struct problem *p, float *out);
    int64_t count; /* of the output */
    double *want, *tol;
    int whole;       /* the library computes all of it; else it refuses the shape */
    int64_t n, c, d; /* products */
    sluice_conv_shape q;
    float *a, *b, *packed, *bias, *start;
} problem;

static void problem_free(problem *p)
{
    free(p->want), free(p->tol), free(p->a), free(p->b), free(p->packed), free(p->bias), free(p->start);
}

static float *normals(int64_t count, uint64_t seed)
{
    float *p = calloc((size_t)count + 1, sizeof *p);
    fill_normal(p, count, seed);
    return p;
}

static void compare(sluice *s, const problem *p)
{
    size_t bytes = (size_t)p->count * sizeof(float);
    float *first = calloc((size_t)p->count + 1, sizeof *first), *out = calloc((size_t)p->count + 1, sizeof *out),
          *exact = calloc((size_t)p->count + 1, sizeof *exact);
    s->exec.math = SLUICE_MATH_EXACT;
    CHECK_OK(s, p->run(s, p, exact));
    s->exec.math = SLUICE_MATH_LIBRARY;
    CHECK_OK(s, p->run(s, p, first));
    for (int64_t i = 0; i < p->count; i++)
        CHECK_NEAR((double)first[i], p->want[i], p->tol[i], "entry %lld", (long long)i);
    CHECK_OK(s, p->run(s, p, out));
    CHECK_SAME(out, first, bytes, "the same bits on repeat");
    if (emulated(s)) CHECK((memcmp(exact, first, bytes) != 0) == p->whole, "the library computes it, or refuses");
    switch_libraries(0);
    CHECK_OK(s, p->run(s, p, out));
    CHECK_SAME(out, exact, bytes, "without libraries it is the exact op");
    switch_libraries(1);
    free(first), free(out), free(exact);
}

static sluice_status run_forward(sluice *s, const problem *p, float *out)
{
    return sluice_op_forward(s, &(sluice_op_forward_args){ .x = sluice_rows(p->a, SLUICE_F32, p->n, p->d),
                                                           .packed = p->packed,
                                                           .bias = p->bias,
                                                           .c = p->c,
                                                           .relu = 1,
                                                           .out = sluice_rows(out, SLUICE_F32, p->n, p->c) });
}

static void forward(int64_t n, int64_t c, int64_t d)
{
    if (!case_is("forward n=%d c=%d d=%d", (int)n, (int)c, (int)d)) return;
    sluice *s = open_cuda(SLUICE_MATH_EXACT);
    problem p = { .run = run_forward, .count = n * c, .whole = 1, .n = n, .c = c, .d = d };
    p.a = normals(n * d, 1), p.b = normals(c * d, 2), p.bias = normals(c, 3);
    p.packed = aligned_alloc(64, sluice_packed_floats(c, d) * sizeof(float));
    p.want = calloc((size_t)p.count, sizeof(double)), p.tol = calloc((size_t)p.count, sizeof(double));
    CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(p.b, SLUICE_F32, c, d), .out = p.packed }));
    for (int64_t o = 0; o < p.count; o++) {
        double sum = (double)p.bias[o % c], magnitudes = fabs(sum);
        for (int64_t k = 0; k < d; k++) {
            double term = (double)p.a[o / c * d + k] * (double)p.b[o % c * d + k];
            sum += term, magnitudes += fabs(term);
        }
        p.want[o] = sum > 0 ? sum : 0, p.tol[o] = bound(d, magnitudes);
    }
    compare(s, &p);
    problem_free(&p), sluice_close(s);
}

/* The output is out [c, d] and, behind it, bias [c]. */
static sluice_status run_product(sluice *s, const problem *p, float *out)
{
    if (p->start) memcpy(out, p->start, (size_t)p->count * sizeof *out);
    return sluice_op_product(s, &(sluice_op_product_args){ .g = sluice_rows(p->a, SLUICE_F32, p->n, p->c),
                                                           .x = sluice_rows(p->b, SLUICE_F32, p->n, p->d),
                                                           .accumulate = p->start != NULL,
                                                           .out = sluice_rows(out, SLUICE_F32, p->c, p->d),
                                                           .bias = out + p->c * p->d });
}

static void product(int64_t n, int64_t c, int64_t d, int accumulate)
{
    if (!case_is("product n=%d c=%d d=%d accumulate=%d", (int)n, (int)c, (int)d, accumulate)) return;
    sluice *s = open_cuda(SLUICE_MATH_EXACT);
    problem p = { .run = run_product, .count = c * (d + 1), .whole = 1, .n = n, .c = c, .d = d };
    p.a = normals(n * c, 1), p.b = normals(n * d, 2), p.start = accumulate ? normals(p.count, 3) : NULL;
    p.want = calloc((size_t)p.count, sizeof(double)), p.tol = calloc((size_t)p.count, sizeof(double));
    for (int64_t o = 0; o < p.count; o++) {
        double sum = accumulate ? (double)p.start[o] : 0, magnitudes = fabs(sum);
        int64_t j = o < c * d ? o / d : o - c * d;
        for (int64_t i = 0; i < n; i++) {
            double term = (double)p.a[i * c + j] * (o < c * d ? (double)p.b[i * d + o % d] : 1);
            sum += term, magnitudes += fabs(term);
        }
        p.want[o] = sum, p.tol[o] = bound(n, magnitudes);
    }
    compare(s, &p);
    problem_free(&p), sluice_close(s);
}

/* a: images, b: gradients or, of conv and conv_input, weights. */
static sluice_status run_conv(sluice *s, const problem *p, float *out)
{
    const sluice_conv_shape *q = &p->q;
    int64_t d = q->h * q->w * q->cin, wide = q->out_h * q->out_w * q->cout;
    return sluice_op_conv(s, &(sluice_op_conv_args){ .shape = *q,
                                                     .x = sluice_rows(p->a, SLUICE_F32, p->n, d),
                                                     .packed = p->packed,
                                                     .bias = p->bias,
                                                     .relu = 1,
                                                     .out = sluice_rows(out, SLUICE_F32, p->n, wide) });
}
static sluice_status run_conv_input(sluice *s, const problem *p, float *out)
{
    const sluice_conv_shape *q = &p->q;
    int64_t d = q->h * q->w * q->cin, wide = q->out_h * q->out_w * q->cout;
    return sluice_op_conv_input(s, &(sluice_op_conv_input_args){ .shape = *q,
                                                                 .g = sluice_rows(p->a, SLUICE_F32, p->n, wide),
                                                                 .w = p->b,
                                                                 .out = sluice_rows(out, SLUICE_F32, p->n, d) });
}
static sluice_status run_conv_weight(sluice *s, const problem *p, float *out)
{
    const sluice_conv_shape *q = &p->q;
    int64_t d = q->h * q->w * q->cin, wide = q->out_h * q->out_w * q->cout;
    return sluice_op_conv_weight(
        s, &(sluice_op_conv_weight_args){ .shape = *q,
                                          .g = sluice_rows(p->b, SLUICE_F32, p->n, wide),
                                          .x = sluice_rows(p->a, SLUICE_F32, p->n, d),
                                          .out = out,
                                          .bias = out + q->cout * q->kernel * q->kernel * q->cin });
}

enum role { CONV, CONV_INPUT, CONV_WEIGHT };

/* Adds every product of the convolution to the entry of the output that it belongs to. */
static void add_products(problem *p, enum role role)
{
    const sluice_conv_shape *q = &p->q;
    int64_t d = q->h * q->w * q->cin, depth = q->kernel * q->kernel * q->cin, wide = q->out_h * q->out_w * q->cout;
    for (int64_t o = 0; o < p->n * wide; o++)
        for (int64_t k = 0; k < depth; k++) {
            int64_t pixel = o % wide / q->cout, co = o % q->cout, tap = k / q->cin;
            int64_t at = conv_pixel(q, pixel / q->out_w, pixel % q->out_w, tap / q->kernel, tap % q->kernel);
            int64_t i = o / wide * d + at * q->cin + k % q->cin, w = co * depth + k;
            if (at < 0) continue;
            int64_t to = role == CONV ? o : role == CONV_INPUT ? i : w;
            double term = role == CONV         ? (double)p->a[i] * (double)p->b[w]
                          : role == CONV_INPUT ? (double)p->a[o] * (double)p->b[w]
                                               : (double)p->a[i] * (double)p->b[o];
            p->want[to] += term, p->tol[to] += fabs(term);
        }
}

static void convolution(const struct conv_case *k, enum role role)
{
    static const char *const names[] = { "conv", "conv_input", "conv_weight" };
    if (!case_is("%s n=%d h=%d w=%d cin=%d cout=%d kernel=%d stride=%d pad=%d", names[role], (int)k->n, (int)k->h,
                 (int)k->w, (int)k->cin, (int)k->cout, (int)k->kernel, (int)k->stride, (int)k->pad))
        return;
    sluice *s = open_cuda(SLUICE_MATH_EXACT);
    sluice_conv_shape q = conv_shape(k);
    int64_t depth = q.kernel * q.kernel * q.cin, x = k->n * q.h * q.w * q.cin, y = k->n * q.out_h * q.out_w * q.cout;
    problem p = { .n = k->n, .q = q };
    p.run = role == CONV ? run_conv : role == CONV_INPUT ? run_conv_input : run_conv_weight;
    p.count = role == CONV ? y : role == CONV_INPUT ? x : q.cout * (depth + 1);
    p.a = normals(role == CONV_INPUT ? y : x, 1), p.b = normals(role == CONV_WEIGHT ? y : q.cout * depth, 2);
    p.bias = normals(q.cout, 3), p.packed = aligned_alloc(64, sluice_packed_floats(q.cout, depth) * sizeof(float));
    p.want = calloc((size_t)p.count, sizeof(double)), p.tol = calloc((size_t)p.count, sizeof(double));
    /* The emulator's refuses strides beyond the kernel; rows that are padded in device memory are never handed over. */
    p.whole = q.stride <= q.kernel && x / k->n % 4 == 0 && y / k->n % 4 == 0;
    if (role == CONV)
        CHECK_OK(s, sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(p.b, SLUICE_F32, q.cout, depth),
                                                              .out = p.packed }));
    add_products(&p, role);
    for (int64_t i = 0; role == CONV_WEIGHT && i < y; i++)
        p.want[q.cout * depth + i % q.cout] += (double)p.b[i],
            p.tol[q.cout * depth + i % q.cout] += fabs((double)p.b[i]);
    int64_t terms = role == CONV ? depth : role == CONV_INPUT ? depth / q.cin * q.cout : y / q.cout;
    for (int64_t i = 0; i < p.count; i++) {
        if (role == CONV) p.want[i] += (double)p.bias[i % q.cout], p.tol[i] += fabs((double)p.bias[i % q.cout]);
        if (role == CONV && p.want[i] < 0) p.want[i] = 0;
        p.tol[i] = bound(terms, p.tol[i]);
    }
    compare(s, &p);
    problem_free(&p), sluice_close(s);
}

/* ---- between devices -------------------------------------------------------------------------------- */

enum { MOST = 9 };

static unsigned char pattern(int device, size_t i) { return (unsigned char)((size_t)device * 37 + i * 11 + i / 251); }

/* Fills p[i] on every exec, deferred, so that the collective has to wait for it by itself. */
static void fill(sluice *s, sluice_exec *x, int count, void **p, size_t bytes)
{
    unsigned char *host = malloc(bytes);
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; j < bytes; j++) host[j] = pattern(i, j);
        CHECK_OK(s, s->backend->alloc(&x[i], bytes, &p[i]));
        CHECK_OK(s, s->backend->copy(&x[i], p[i], host, bytes));
    }
    free(host);
}

static void check_parts(sluice *s, sluice_exec *x, void *p, const int *parts, int count, size_t bytes, const char *what)
{
    unsigned char *host = malloc(bytes * (size_t)count);
    size_t wrong = 0;
    CHECK_OK(s, s->backend->copy(x, host, p, bytes * (size_t)count));
    CHECK_OK(s, s->backend->wait(x));
    for (int k = 0; k < count; k++)
        for (size_t j = 0; j < bytes; j++) wrong += host[(size_t)k * bytes + j] != pattern(parts[k], j);
    CHECK(wrong == 0, "%s: %zu of %zu bytes differ on cuda:%d", what, wrong, bytes * (size_t)count, x->device);
    free(host);
}

static void between(sluice *s, int count, size_t bytes, int libraries)
{
    if (!case_is("%d execs on %d devices, %zu bytes, libraries=%d", count, s->devices, bytes, libraries)) return;
    static const int zero[1] = { 0 }, all[MOST] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
    sluice_exec x[MOST], *px[MOST];
    void *from[MOST] = { NULL }, *to[MOST] = { NULL };
    const void *cfrom[MOST];
    switch_libraries(libraries);
    for (int i = 0; i < count; i++) {
        CHECK_OK(s, exec_new(s, i, &x[i]));
        x[i].deferred = 1, px[i] = &x[i];
    }
    fill(s, x, count, from, bytes);
    for (int i = 0; i < count; i++) {
        CHECK_OK(s, s->backend->alloc(&x[i], bytes * (size_t)count, &to[i]));
        cfrom[i] = from[i];
    }
    CHECK_OK(s, s->backend->gather(px, count, cfrom, to, bytes));
    CHECK_OK(s, s->backend->broadcast(px, count, from, bytes));
    for (int i = 0; i < count; i++) {
        check_parts(s, &x[i], to[i], all, count, bytes, "gathered");
        check_parts(s, &x[i], from[i], zero, 1, bytes, "broadcast");
    }
    for (int i = 0; i < count; i++) {
        s->backend->release(&x[i], from[i]), s->backend->release(&x[i], to[i]);
        exec_free(s, &x[i]);
    }
    switch_libraries(1);
}

static void devices(void)
{
    sluice *s = NULL;
    sluice_options o = { .size = sizeof o, .devices = "all" };
    CHECK_OK(s, sluice_open(&o, &s));
    for (int libraries = 0; libraries < 2; libraries++) {
        between(s, 1, 1000, libraries);
        between(s, s->devices, 4099, libraries);
        between(s, s->devices, 1 << 16, libraries);
        between(s, s->devices < MOST ? s->devices + 1 : MOST, 77, libraries); /* two execs on a device */
    }
    sluice_close(s);
}

static void description(void)
{
    if (!case_is("the description names each library, or why it is missing")) return;
    sluice *s = open_cuda(SLUICE_MATH_EXACT);
    char text[2048];
    s->backend->describe(0, text, sizeof text);
    CHECK(strstr(text, "cuBLAS ") && strstr(text, "cuDNN ") && strstr(text, "NCCL "), "%s", text);
    switch_libraries(0);
    s->backend->describe(0, text, sizeof text);
    CHECK(strstr(text, "cuBLAS missing (switched off") && strstr(text, "NCCL missing (switched off"), "%s", text);
    switch_libraries(1);
    sluice_close(s);
}

int main(int argc, char **argv)
{
    static const struct conv_case whole[] = {
        { 3, 6, 6, 4, 8, 3, 1, 1 },   { 2, 8, 8, 3, 20, 3, 2, 1 }, { 2, 9, 8, 2, 4, 5, 1, 2 },
        { 9, 4, 4, 16, 16, 3, 1, 0 }, { 3, 6, 6, 2, 8, 1, 2, 0 },  { 2, 4, 6, 5, 4, 1, 1, 0 },
    };
    test_begin(argc, argv);
    if (!getenv("SLUICE_TEST_CUDA")) {
        skip("the CUDA plug-in is not asked for by SLUICE_TEST_CUDA");
        return test_end();
    }
    forward(37, 19, 45), forward(64, 10, 128), forward(2, 33, 7);
    product(83, 11, 45, 0), product(200, 5, 16, 1), product(3, 2, 65, 0);
    for (enum role r = CONV; r <= CONV_WEIGHT; r++) {
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) convolution(&whole[i], r);
        for (int i = 1; i < 4; i++) convolution(&conv_cases[i], r);
    }
    description();
    devices();
    return test_end();
}
