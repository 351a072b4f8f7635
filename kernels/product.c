/* product.c - the gradient of a product's weights on the CPU: out [c, d] = sum over rows of g^T x.  Contract in
 * sluice_backend.h.
 *
 * Lanes are columns of x, tile rows are columns of g, k is the row.  A thread owns SPAN columns of x and takes the rows in
 * blocks that stay in its cache while every column of g passes over them; the sums wait in out between blocks.  Sums go
 * on from where they stood, so neither SPAN nor ROWS shows in the bits. */
#include "cpu.h"
#include "regtile.h"

enum {
    SPAN = 256, /* columns of x: 1 KiB of a row, long enough for the memory's own prefetch */
    ROWS = 64   /* rows of a block: 64 KiB of x */
};

typedef struct work {
    const sluice_op_product_args *a;
    int64_t lanes; /* d up to a multiple of 16 */
    float *sums;   /* [c][lanes] */
    float *tails;  /* [threads][ROWS][16]: the last columns of a block, zeros above d */
} work;

V16_FN void product_tile(int rows, int vectors, const float *g, int64_t gs, const float *x, int64_t xs, int64_t n,
                         float *sum, int64_t lanes)
{
    tile t;
    tile_load(&t, rows, vectors, sum, lanes);
    tile_add(&t, rows, vectors, g, 1, gs, x, xs, 16, n);
    tile_save(&t, rows, vectors, sum, lanes);
}

static void product_tile_1(int rows, const float *g, int64_t gs, const float *x, int64_t xs, int64_t n, float *sum,
                           int64_t lanes)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: product_tile(r, 1, g, gs, x, xs, n, sum, lanes); break;
        TILE_CASES(X)
#undef X
    }
}

static void product_tile_2(int rows, const float *g, int64_t gs, const float *x, int64_t xs, int64_t n, float *sum,
                           int64_t lanes)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: product_tile(r, 2, g, gs, x, xs, n, sum, lanes); break;
        TILE_CASES(X)
#undef X
    }
}

/* Rows [i, i + n) of columns [from, to), to - from <= SPAN; both multiples of 16 unless to is d. */
static void product_block(const work *p, int64_t i, int64_t n, int64_t from, int64_t to, float *tail)
{
    const sluice_view *gv = &p->a->g, *xv = &p->a->x;
    int64_t gs = (int64_t)(gv->stride / sizeof(float)), xs = (int64_t)(xv->stride / sizeof(float));
    const float *g = (const float *)gv->data + i * gs, *x = (const float *)xv->data + i * xs;
    int64_t c = gv->cols, tiles = (c + TILE_ROWS - 1) / TILE_ROWS, step = (c + tiles - 1) / tiles;
    int64_t whole = to / 16 * 16;
    if (whole < to)
        for (int64_t r = 0; r < n; r++) memcpy(tail + 16 * r, x + r * xs + whole, (size_t)(to - whole) * sizeof *tail);
    for (int64_t j = 0; j < c; j += step) {
        int rows = (int)cpu_min(step, c - j);
        float *sum = p->sums + j * p->lanes;
        int64_t k = from;
        for (; k + 32 <= whole; k += 32) product_tile_2(rows, g + j, gs, x + k, xs, n, sum + k, p->lanes);
        for (; k + 16 <= whole; k += 16) product_tile_1(rows, g + j, gs, x + k, xs, n, sum + k, p->lanes);
        if (whole < to) product_tile_1(rows, g + j, gs, tail, 16, n, sum + k, p->lanes);
    }
}

/* Asks for the span's part of the next block: a row's part is too short for the memory's own prefetch to
 * get going. */
static void prefetch_block(const sluice_view *x, int64_t i, int64_t from, int64_t to)
{
    int64_t end = cpu_min(x->rows, i + ROWS);
    for (; i < end; i++) {
        const float *row = (const float *)((const char *)x->data + (size_t)i * x->stride);
        for (int64_t k = from; k < to; k += 16) v16_prefetch(row + k);
    }
}

static void product_spans(void *arg, int64_t first, int64_t last, int thread)
{
    const work *p = arg;
    int64_t n = p->a->x.rows, d = p->a->x.cols;
    float *tail = p->tails + (size_t)thread * ROWS * 16;
    for (int64_t s = first; s < last; s++) {
        int64_t from = s * SPAN, to = cpu_min(d, from + SPAN);
        for (int64_t i = 0; i < n; i += ROWS) {
            prefetch_block(&p->a->x, i + ROWS, from, to);
            product_block(p, i, cpu_min(ROWS, n - i), from, to, tail);
        }
    }
}

/* The sums of g's columns, chains from 0 or from bias. */
static void product_bias(const sluice_op_product_args *a)
{
    for (int64_t j = 0; j < a->g.cols && !a->accumulate; j++) a->bias[j] = 0.0f;
    for (int64_t i = 0; i < a->g.rows; i++) {
        const float *g = (const float *)((const char *)a->g.data + (size_t)i * a->g.stride);
        for (int64_t j = 0; j < a->g.cols; j++) a->bias[j] += g[j];
    }
}

sluice_status TIER_FN(op_product)(sluice_exec *x, const sluice_op_product_args *a)
{
    int64_t c = a->g.cols, d = a->x.cols;
    work p = { .a = a, .lanes = (d + 15) / 16 * 16 };
    size_t sums = (size_t)(c * p.lanes), tails = (size_t)x->threads * ROWS * 16, bytes = (sums + tails) * sizeof(float);
    p.sums = x->scratch(x, bytes);
    if (!p.sums) return x->fail(x, SLUICE_E_MEMORY, "no memory for %zu bytes of sums", bytes);
    p.tails = p.sums + sums;
    memset(p.sums, 0, bytes);
    for (int64_t j = 0; j < c && a->accumulate; j++)
        memcpy(p.sums + j * p.lanes, (const char *)a->out.data + (size_t)j * a->out.stride, (size_t)d * sizeof(float));
    cpu_parallel(x, (d + SPAN - 1) / SPAN, 1, product_spans, &p);
    for (int64_t j = 0; j < c; j++)
        memcpy((char *)a->out.data + (size_t)j * a->out.stride, p.sums + j * p.lanes, (size_t)d * sizeof(float));
    if (a->bias) product_bias(a);
    return SLUICE_OK;
}
