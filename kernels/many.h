/* many.h - rows times packed weights for more than 16 classes: lanes are classes.
 *
 *   block   MANY_BLOCK rows of one thread; for each slice of MANY_DEPTH features they are widened to floats in scratch,
 *           with a pitch that keeps the rows of a tile out of each other's cache sets
 *   tile    TILE_ROWS rows x MANY_VECTORS v16 of classes in registers, one broadcast feature for all (regtile.h)
 *
 * Between slices the sums rest in the output, so each sum is one fma chain over ascending k: the canonical order. */
#ifndef MANY_H
#define MANY_H

#include "rows.h"
#include "regtile.h"

#include <string.h> /* memset */

enum {
#ifdef TIER_AVX512
    MANY_VECTORS = 2,
#else
    MANY_VECTORS = 1,
#endif
    MANY_DEPTH = 1280,
    MANY_PITCH = MANY_DEPTH + 16,
    MANY_BLOCK = 56 / TILE_ROWS * TILE_ROWS
};

/* Floats of one thread's scratch. */
enum { MANY_SCRATCH = MANY_BLOCK * MANY_PITCH };

typedef struct product {
    const sluice_view *x;
    const float *packed, *bias;
    int64_t c;
    int relu;
} product;

/* Adds depth features to all rows of a tile.  Not inlined: each of the two is one tight loop. */
static __attribute__((noinline, unused)) void many_add_one(tile *sums, const float *x, const float *w, int64_t depth)
{
    tile t = *sums;
    tile_add(&t, TILE_ROWS, 1, x, MANY_PITCH, 1, w, 16, 0, depth);
    *sums = t;
}

static __attribute__((noinline, unused)) void many_add_all(tile *sums, const float *x, const float *w, int64_t wv,
                                                           int64_t depth)
{
    tile t = *sums;
    tile_add(&t, TILE_ROWS, MANY_VECTORS, x, MANY_PITCH, 1, w, 16, wv, depth);
    *sums = t;
}

/* One tile of one slice: where it lies and what is left to do. */
typedef struct many_tile {
    int64_t row, rows;      /* first row of the pool and how many are real */
    int64_t group, vectors; /* groups of 16 classes */
    char *out;              /* of the first row and class */
    size_t out_stride;
} many_tile;

V16_FN int64_t many_lanes(const product *p, const many_tile *t, int v)
{
    return cpu_min(16, p->c - 16 * (t->group + v));
}

V16_FN v16 many_bias(const product *p, const many_tile *t, int v)
{
    return p->bias ? v16_load_n(p->bias + 16 * (t->group + v), many_lanes(p, t, v), 0.0f) : v16_zero();
}

V16_FN float *many_out(const many_tile *t, int64_t r, int v)
{
    return (float *)(void *)(t->out + (size_t)r * t->out_stride + 64 * (size_t)v);
}

static void many_begin(const product *p, const many_tile *t, tile *sums)
{
    for (int v = 0; v < t->vectors; v++) {
        v16 bias = row_is_integer(p->x->type) ? v16_zero() : many_bias(p, t, v);
        for (int r = 0; r < TILE_ROWS; r++) sums->sum[r][v] = bias;
    }
}

static void many_resume(const product *p, const many_tile *t, tile *sums)
{
    for (int v = 0; v < t->vectors; v++)
        for (int r = 0; r < t->rows; r++) sums->sum[r][v] = v16_load_n(many_out(t, r, v), many_lanes(p, t, v), 0.0f);
}

static void many_pause(const product *p, const many_tile *t, tile *sums)
{
    for (int v = 0; v < t->vectors; v++)
        for (int r = 0; r < t->rows; r++) v16_store_n(many_out(t, r, v), sums->sum[r][v], many_lanes(p, t, v));
}

static void many_end(const product *p, const many_tile *t, tile *sums)
{
    for (int v = 0; v < t->vectors; v++) {
        v16 bias = many_bias(p, t, v);
        for (int r = 0; r < t->rows; r++) {
            v16 z = sums->sum[r][v];
            if (row_is_integer(p->x->type))
                z = v16_fma(v16_set1(p->x->scale ? p->x->scale[t->row + r] : 1.0f), z, bias);
            z = v16_stored(z);
            v16_store_n(many_out(t, r, v), p->relu ? v16_relu(z) : z, many_lanes(p, t, v));
        }
    }
}

/* Features k .. k+depth-1 of one tile; x: its widened rows. */
static void many_slice(const product *p, const many_tile *t, const float *x, int64_t k, int64_t depth)
{
    tile sums = { 0 };
    int64_t d = p->x->cols;
    const float *w = p->packed + 16 * (t->group * d + k);
    if (k == 0) many_begin(p, t, &sums);
    else many_resume(p, t, &sums);
    if (t->vectors == MANY_VECTORS) many_add_all(&sums, x, w, d * 16, depth);
    else many_add_one(&sums, x, w, depth);
    if (k + depth == d) many_end(p, t, &sums);
    else many_pause(p, t, &sums);
}

/* The slice's features of rows first .. last-1 into scratch; a last tile that is not full gets rows of zeros. */
static void many_widen(const product *p, int64_t first, int64_t last, int64_t k, int64_t depth, float *scratch)
{
    int64_t n = last - first;
    for (int64_t r = 0; r < n; r++)
        row_widen(view_row(p->x, first + r), p->x->type, k, depth, scratch + r * MANY_PITCH);
    for (int64_t r = n; r % TILE_ROWS; r++) memset(scratch + r * MANY_PITCH, 0, (size_t)depth * sizeof *scratch);
}

/* Logits of rows first .. last-1 (at most MANY_BLOCK): row i at out + (i - first) * out_stride.
 * scratch: MANY_SCRATCH floats, aligned to 64 bytes. */
static void product_rows(const product *p, int64_t first, int64_t last, char *out, size_t out_stride, float *scratch)
{
    int64_t d = p->x->cols, groups = (p->c + 15) / 16, k = 0;
    do {
        int64_t depth = cpu_min(MANY_DEPTH, d - k);
        many_widen(p, first, last, k, depth, scratch);
        for (int64_t g = 0; g < groups; g += MANY_VECTORS)
            for (int64_t r = first; r < last; r += TILE_ROWS) {
                many_tile t = { r,
                                cpu_min(TILE_ROWS, last - r),
                                g,
                                cpu_min(MANY_VECTORS, groups - g),
                                out + (size_t)(r - first) * out_stride + 64 * (size_t)g,
                                out_stride };
                many_slice(p, &t, scratch + (r - first) * MANY_PITCH, k, depth);
            }
        k += depth;
    } while (k < d);
}

#endif
