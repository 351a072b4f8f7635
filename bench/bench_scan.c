/* bench_scan.c - the main job from memory: all scores of every row and the top 1000 by margin.
 *
 *     few    1,000,000 x 512, 10 classes, f32 f16 bf16 i8      many    200,000 x 1280, 1000 classes, f32
 *
 * --rows replaces the number of rows.  Scores of sampled rows are checked against the definition bit for bit, the top
 * against all scores.
 *
 * On a GPU the pool and the scores lie in its memory, the whole pool is one block, and the scan is timed without the top
 * too; fast-... cases allow tensor cores, and are checked to FAST_ERROR. */
#include "bench.h"

#include "uncertainty.h"

#include <math.h>

enum { COLUMNS = 7, BLOCK = 1 << 16, K = 1000 };
static const float FAST_ERROR = 0.02f;

/* What the ops read and write: host memory, or its copy on the device. */
typedef struct side {
    sluice_view x;
    float *packed, *bias, *column[COLUMNS];
} side;

typedef struct job {
    sluice *s;
    side host, device; /* the same on a CPU */
    float *w;
    int64_t c;
    int without_top;
    bench_top top;
} job;

static sluice_scores columns_at(const side *d, int64_t i)
{
    return (sluice_scores){ d->column[0] + i, d->column[1] + i, d->column[2] + i, d->column[3] + i,
                            d->column[4] + i, d->column[5] + i, d->column[6] + i };
}

static void scan(void *arg)
{
    job *j = arg;
    const side *d = &j->device;
    int64_t block = bench_gpu(j->s) ? d->x.rows : BLOCK;
    bench_top_begin(j->s, &j->top);
    for (int64_t i = 0; i < d->x.rows; i += block) {
        int64_t n = d->x.rows - i < block ? d->x.rows - i : block;
        sluice_op_scan_args a = { .x = sluice_rows_of(d->x, i, n),
                                  .packed = d->packed,
                                  .bias = d->bias,
                                  .c = j->c,
                                  .temperature = 1,
                                  .out = columns_at(d, i) };
        BENCH_OK(j->s, sluice_op_scan(j->s, &a));
        if (j->without_top) continue;
        bench_top_add(j->s, &j->top, d->column[1] + i, n, i, i + n >= d->x.rows);
    }
    bench_wait(j->s);
}

/* ---- checks ------------------------------------------------------------------------------------------ */

static float value(const sluice_view *x, int64_t i, int64_t k)
{
    const char *row = (const char *)x->data + (size_t)i * x->stride;
    uint16_t h = 0;
    float f;
    if (x->type == SLUICE_I8) return (float)((const int8_t *)row)[k];
    if (x->type == SLUICE_F32) {
        memcpy(&f, row + 4 * k, 4);
        return f;
    }
    memcpy(&h, row + 2 * k, 2);
    return x->type == SLUICE_F16 ? ex_f16_to_f32(h) : ex_bf16_to_f32(h);
}

static void check_row(const job *j, int64_t i)
{
    const side *h = &j->host;
    float *z = malloc((size_t)j->c * sizeof *z);
    int integer = h->x.type == SLUICE_I8;
    for (int64_t c = 0; c < j->c; c++) {
        float acc = integer ? 0 : h->bias[c];
        for (int64_t k = 0; k < h->x.cols; k++) acc = fmaf(value(&h->x, i, k), j->w[c * h->x.cols + k], acc);
        z[c] = (integer ? fmaf(h->x.scale[i], acc, h->bias[c]) : acc) + 0.0f;
    }
    ex_stat st = ex_reduce(z, j->c, 1);
    float want[COLUMNS] = {
        ex_least_confidence(st), ex_margin(st),     ex_ratio(st),  ex_entropy(st, ex_log((float)j->c)),
        ex_energy(st, 1),        ex_confidence(st), (float)st.best
    };
    for (int k = 0; k < COLUMNS; k++)
        if (j->s->exec.math == SLUICE_MATH_EXACT)
            bench_check(memcmp(&want[k], &h->column[k][i], 4) == 0, "a score differs from its definition");
        else
            bench_check(k == COLUMNS - 1 || fabsf(want[k] - h->column[k][i]) <= FAST_ERROR,
                        "a score is far from its definition");
    free(z);
}

static void check_top(job *j)
{
    bench_top_fetch(j->s, &j->top);
    const sluice_top_state *top = &j->top.host;
    const float *margin = j->host.column[1];
    int64_t above = 0, n = j->host.x.rows, k = n < K ? n : K;
    bench_check(top->count == k, "the top is not full");
    uint32_t worst = top->entries[k - 1].key;
    for (int64_t i = 0; i < n; i++) above += ex_order_key(margin[i]) > worst;
    bench_check(above < k, "the top misses a row");
    for (int64_t i = 0; i < k; i++)
        bench_check(ex_order_key(margin[top->entries[i].row]) == top->entries[i].key, "the top holds another score");
}

/* ---- cases ------------------------------------------------------------------------------------------- */

/* The same unit-size values in every type; i8 rows with a factor of 1/64. */
static void fill_rows(sluice_view *x)
{
    int64_t n = x->rows, d = x->cols;
    float *row_scale = bench_memory((size_t)n * sizeof *row_scale);
    if (x->type == SLUICE_F32) bench_fill(x->data, n * d, 1);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        float row[4096];
        uint16_t *half = (uint16_t *)x->data + i * d;
        int8_t *byte = (int8_t *)x->data + i * d;
        row_scale[i] = 0x1p-6f;
        if (x->type == SLUICE_F32) continue;
        for (int64_t k = 0; k < d; k++) row[k] = (float)((int)(ex_mix64((uint64_t)(i * d + k)) % 251) - 125) * 0x1p-6f;
        for (int64_t k = 0; k < d; k++)
            if (x->type == SLUICE_I8) byte[k] = (int8_t)(row[k] * 64);
            else half[k] = x->type == SLUICE_F16 ? ex_f32_to_f16(row[k]) : ex_f32_to_bf16(row[k]);
    }
    if (x->type == SLUICE_I8) x->scale = row_scale;
    else free(row_scale);
}

static void make_job(job *j, sluice_type type, int64_t n, int64_t d)
{
    side *h = &j->host;
    int64_t c = j->c;
    h->x = sluice_rows(bench_memory((size_t)(n * d) * sluice_type_bytes(type)), type, n, d);
    fill_rows(&h->x);
    j->w = bench_memory((size_t)(c * d) * 4), h->bias = bench_memory((size_t)c * 4),
    h->packed = bench_memory(sluice_packed_floats(c, d) * 4);
    bench_fill(j->w, c * d, 2), bench_fill(h->bias, c, 3);
    for (int64_t i = 0; i < c * d; i++) j->w[i] *= 0.05f;
    sluice_op_pack_args p = { sluice_rows(j->w, SLUICE_F32, c, d), 0, h->packed };
    BENCH_OK(j->s, sluice_op_pack(j->s, &p));
    for (int k = 0; k < COLUMNS; k++) h->column[k] = bench_memory((size_t)n * 4);
    bench_top_new(j->s, &j->top, K);

    j->device = *h;
    j->device.x.data = bench_on_device(j->s, h->x.data, (size_t)n * h->x.stride);
    if (h->x.scale) j->device.x.scale = bench_on_device(j->s, h->x.scale, (size_t)n * 4);
    j->device.packed = bench_on_device(j->s, h->packed, sluice_packed_floats(c, d) * 4);
    j->device.bias = bench_on_device(j->s, h->bias, (size_t)c * 4);
    for (int k = 0; k < COLUMNS; k++) j->device.column[k] = bench_on_device(j->s, h->column[k], (size_t)n * 4);
}

static void free_job(job *j)
{
    side *h = &j->host, *d = &j->device;
    for (int k = 0; k < COLUMNS; k++) bench_release(j->s, d->column[k]), free(h->column[k]);
    bench_release(j->s, d->x.data), bench_release(j->s, (void *)(uintptr_t)d->x.scale);
    bench_release(j->s, d->packed), bench_release(j->s, d->bias);
    free(h->x.data), free((void *)(uintptr_t)h->x.scale), free(j->w), free(h->bias), free(h->packed);
    bench_top_release(j->s, &j->top);
}

static void check(job *j)
{
    int64_t n = j->host.x.rows;
    for (int k = 0; k < COLUMNS; k++) bench_from_device(j->s, j->host.column[k], j->device.column[k], (size_t)n * 4);
    for (int64_t i = 0; i < n; i += n / 61 + 1) check_row(j, i);
    check_row(j, n - 1);
    if (!j->without_top) check_top(j);
}

/* The product alone by cuBLAS, which scores nothing: what the aims of the many-class kernels are told against. */
static void compare_product(const job *j, const bench_result *r)
{
    bool fast = j->s->exec.math == SLUICE_MATH_FAST;
    int kind = j->host.x.type == SLUICE_F16 ? GPU_PRODUCT_F16 : fast ? GPU_PRODUCT_TF32 : GPU_PRODUCT_F32;
    double theirs = bench_gpu_limits()->product(j->host.x.rows, j->host.x.cols, j->c, kind);
    double ours = bench_quantile(r->seconds, r->runs, 0.5);
    if (theirs > 0) printf("    cuBLAS, the product alone: %.4f s; this takes %.2f of that\n", theirs, ours / theirs);
    else printf("    cuBLAS is not here\n");
}

static void measure(job *j, const bench_options *o, const char *name, double share)
{
    sluice_view *x = &j->host.x;
    bench_result r = { .name = name,
                       .rows = (double)x->rows,
                       .bytes = (double)x->rows * (double)x->stride,
                       .flops = 2.0 * (double)x->rows * (double)x->cols * (double)j->c,
                       .share = share,
                       .runs = o->runs };
    bench_run(&r, j->s, x->data, scan, j);
    check(j);
    bench_line(&r);
    if (bench_gpu(j->s) && bench_gpu_limits() && j->c > 64) compare_product(j, &r);
}

/* share: of FMA in the GPU kernel's loop; INFINITY: not bound by them. */
static void one(sluice *s, const bench_options *o, const char *name, sluice_type type, int64_t n, int64_t d, int64_t c,
                double share)
{
    char scan_name[64];
    if (o->only && !strstr(name, o->only)) return;
    job j = { .s = s, .c = c };
    make_job(&j, type, o->rows ? o->rows : n, d);
    share = bench_gpu(s) ? share : 0;
    measure(&j, o, name, share);
    if (bench_gpu(s)) {
        snprintf(scan_name, sizeof scan_name, "%s, no top", name);
        j.without_top = 1;
        measure(&j, o, scan_name, share);
    }
    free_job(&j);
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(
        argc, argv, "scan: all scores and the top 1000; cases few-f32 few-f16 few-bf16 few-i8 many-f32 fast-...");
    sluice *s = bench_open(&o);
    bench_head(s);
    one(s, &o, "few-f32", SLUICE_F32, 1000000, 512, 10, 0.71);
    one(s, &o, "few-f16", SLUICE_F16, 1000000, 512, 10, 0.73);
    one(s, &o, "few-bf16", SLUICE_BF16, 1000000, 512, 10, 0.73);
    one(s, &o, "few-i8", SLUICE_I8, 1000000, 512, 10, 0.67);
    one(s, &o, "many-f32", SLUICE_F32, 200000, 1280, 1000, 1);
    if (bench_gpu(s)) {
        s->exec.math = SLUICE_MATH_FAST;
        one(s, &o, "fast-few-f16", SLUICE_F16, 1000000, 512, 10, INFINITY);
        one(s, &o, "fast-few-i8", SLUICE_I8, 1000000, 512, 10, INFINITY);
        one(s, &o, "fast-many-f32", SLUICE_F32, 200000, 1280, 1000, INFINITY);
        one(s, &o, "fast-many-f16", SLUICE_F16, 200000, 1280, 1000, INFINITY);
    }
    sluice_close(s);
    return 0;
}
