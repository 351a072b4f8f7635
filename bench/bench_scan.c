/* bench_scan.c - the main job from memory: all scores of every row and the top 1000 by margin.
 *
 *     few    1,000,000 x 512, 10 classes, f32 f16 bf16 i8      many    200,000 x 1280, 1000 classes, f32
 *
 * --rows replaces the number of rows.  Scores of sampled rows are checked against the definition bit for bit, the top
 * against all scores. */
#include "bench.h"

#include "uncertainty.h"

#include <math.h>

enum { COLUMNS = 7, BLOCK = 1 << 16, K = 1000 };

typedef struct job {
    sluice *s;
    sluice_view x;
    float *w, *packed, *bias, *column[COLUMNS];
    int64_t c;
    sluice_top_state top;
} job;

static sluice_scores columns_at(const job *j, int64_t i)
{
    return (sluice_scores){ j->column[0] + i, j->column[1] + i, j->column[2] + i, j->column[3] + i,
                            j->column[4] + i, j->column[5] + i, j->column[6] + i };
}

static void scan(void *arg)
{
    job *j = arg;
    j->top.count = j->top.full = 0;
    for (int64_t i = 0; i < j->x.rows; i += BLOCK) {
        int64_t n = j->x.rows - i < BLOCK ? j->x.rows - i : BLOCK;
        sluice_op_scan_args a = {
            .x = j->x, .packed = j->packed, .bias = j->bias, .c = j->c, .temperature = 1, .out = columns_at(j, i)
        };
        a.x.data = (char *)j->x.data + (size_t)i * j->x.stride, a.x.rows = n;
        if (a.x.scale) a.x.scale += i;
        BENCH_OK(j->s, sluice_op_scan(j->s, &a));
        sluice_op_top_args t = { j->column[1] + i, NULL, n, i, NULL, &j->top, i + n >= j->x.rows };
        BENCH_OK(j->s, sluice_op_top(j->s, &t));
    }
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
    float *z = malloc((size_t)j->c * sizeof *z);
    int integer = j->x.type == SLUICE_I8;
    for (int64_t c = 0; c < j->c; c++) {
        float acc = integer ? 0 : j->bias[c];
        for (int64_t k = 0; k < j->x.cols; k++) acc = fmaf(value(&j->x, i, k), j->w[c * j->x.cols + k], acc);
        z[c] = (integer ? fmaf(j->x.scale[i], acc, j->bias[c]) : acc) + 0.0f;
    }
    ex_stat st = ex_reduce(z, j->c, 1);
    float want[COLUMNS] = {
        ex_least_confidence(st), ex_margin(st),     ex_ratio(st),  ex_entropy(st, ex_log((float)j->c)),
        ex_energy(st, 1),        ex_confidence(st), (float)st.best
    };
    for (int k = 0; k < COLUMNS; k++)
        bench_check(memcmp(&want[k], &j->column[k][i], 4) == 0, "a score differs from its definition");
    free(z);
}

static void check_top(const job *j)
{
    int64_t above = 0, k = j->x.rows < K ? j->x.rows : K;
    bench_check(j->top.count == k, "the top is not full");
    uint32_t worst = j->top.entries[k - 1].key;
    for (int64_t i = 0; i < j->x.rows; i++) above += ex_order_key(j->column[1][i]) > worst;
    bench_check(above < k, "the top misses a row");
    for (int64_t i = 0; i < k; i++)
        bench_check(ex_order_key(j->column[1][j->top.entries[i].row]) == j->top.entries[i].key,
                    "the top holds another score");
}

/* ---- cases ------------------------------------------------------------------------------------------- */

/* The same unit-size values in every type; i8 rows with a factor of 1/64. */
static void fill_rows(job *j)
{
    int64_t n = j->x.rows, d = j->x.cols;
    float *row_scale = bench_memory((size_t)n * sizeof *row_scale);
    if (j->x.type == SLUICE_F32) bench_fill(j->x.data, n * d, 1);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        float row[4096];
        uint16_t *half = (uint16_t *)j->x.data + i * d;
        int8_t *byte = (int8_t *)j->x.data + i * d;
        row_scale[i] = 0x1p-6f;
        if (j->x.type == SLUICE_F32) continue;
        for (int64_t k = 0; k < d; k++) row[k] = (float)((int)(ex_mix64((uint64_t)(i * d + k)) % 251) - 125) * 0x1p-6f;
        for (int64_t k = 0; k < d; k++)
            if (j->x.type == SLUICE_I8) byte[k] = (int8_t)(row[k] * 64);
            else half[k] = j->x.type == SLUICE_F16 ? ex_f32_to_f16(row[k]) : ex_f32_to_bf16(row[k]);
    }
    if (j->x.type == SLUICE_I8) j->x.scale = row_scale;
    else free(row_scale);
}

static void one(sluice *s, const bench_options *o, const char *name, sluice_type type, int64_t n, int64_t d, int64_t c)
{
    if (o->only && !strstr(name, o->only)) return;
    n = o->rows ? o->rows : n;
    size_t bytes = (size_t)(n * d) * sluice_type_bytes(type);
    job j = { .s = s, .c = c, .x = sluice_rows(bench_memory(bytes), type, n, d) };
    fill_rows(&j);
    j.w = bench_memory((size_t)(c * d) * 4), j.bias = bench_memory((size_t)c * 4),
    j.packed = bench_memory(sluice_packed_floats(c, d) * 4);
    bench_fill(j.w, c * d, 2), bench_fill(j.bias, c, 3);
    for (int64_t i = 0; i < c * d; i++) j.w[i] *= 0.05f;
    sluice_op_pack_args p = { sluice_rows(j.w, SLUICE_F32, c, d), 0, j.packed };
    BENCH_OK(s, sluice_op_pack(s, &p));
    for (int k = 0; k < COLUMNS; k++) j.column[k] = bench_memory((size_t)n * 4);
    j.top = (sluice_top_state){ .k = K,
                                .capacity = 2 * K + 64,
                                .entries = bench_memory((2 * K + 64) * sizeof(sluice_entry)) };

    bench_result r = { .name = name,
                       .rows = (double)n,
                       .bytes = (double)bytes,
                       .flops = 2.0 * (double)n * (double)d * (double)c,
                       .runs = o->runs };
    bench_run(&r, s, j.x.data, scan, &j);
    for (int64_t i = 0; i < n; i += n / 61 + 1) check_row(&j, i);
    check_row(&j, n - 1);
    check_top(&j);
    bench_line(&r);

    for (int k = 0; k < COLUMNS; k++) free(j.column[k]);
    free(j.x.data), free((void *)(uintptr_t)j.x.scale), free(j.w), free(j.bias), free(j.packed), free(j.top.entries);
}

int main(int argc, char **argv)
{
    bench_options o =
        bench_begin(argc, argv, "scan: all scores and the top 1000; cases few-f32 few-f16 few-bf16 few-i8 many-f32");
    sluice *s = bench_open(&o);
    bench_head(s);
    one(s, &o, "few-f32", SLUICE_F32, 1000000, 512, 10);
    one(s, &o, "few-f16", SLUICE_F16, 1000000, 512, 10);
    one(s, &o, "few-bf16", SLUICE_BF16, 1000000, 512, 10);
    one(s, &o, "few-i8", SLUICE_I8, 1000000, 512, 10);
    one(s, &o, "many-f32", SLUICE_F32, 200000, 1280, 1000);
    sluice_close(s);
    return 0;
}
