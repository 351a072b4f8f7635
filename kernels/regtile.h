/* regtile.h - the register tile under products of any strides on the CPU: conv, its gradients, product.
 *
 * A tile holds sums [rows <= TILE_ROWS][vectors <= 2] of v16 and adds, for k ascending, x(r, k) * w(k, lane):
 *
 *     x(r, k) at x + r * xr + k * xk          one float, broadcast
 *     w(k, .) at w + k * wk (+ wv)            16 or 32 lanes
 *
 *     conv             r = pixel,        lanes = outputs of the packed weights   xk = 1, wk = 16, wv = 16 d
 *     product          r = column of g,  lanes = columns of x, k = row           xr = 1
 *     conv_weight      r = weight,       lanes = output channels, k = pixel      xr = 1
 *
 * Every sum is one chain of fma, so the shape of the tile never shows in the bits.  rows and vectors must be constants
 * where tile_add() is inlined (TILE_CASES), else the sums do not stay in registers. */
#ifndef REGTILE_H
#define REGTILE_H

#include "lanes.h"

/* switch (rows) { TILE_CASES(X) } with X(r) a case that inlines for r rows. */
#if defined TIER_AVX512
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined TIER_AVX2
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define TILE_CASES(X) X(1) X(2) X(3) X(4)
#endif

typedef struct tile {
    v16 sum[TILE_ROWS][2];
} tile;

/* Every row starts from the lanes at bias, or from 0 where bias is NULL. */
V16_FN void tile_begin(tile *t, int rows, int vectors, const float *bias)
{
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) t->sum[r][v] = bias ? v16_load(bias + 16 * v) : v16_zero();
    }
}

/* Rows ld floats apart, whole vectors. */
V16_FN void tile_load(tile *t, int rows, int vectors, const float *from, int64_t ld)
{
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) t->sum[r][v] = v16_load(from + r * ld + 16 * v);
    }
}

V16_FN void tile_save(const tile *t, int rows, int vectors, float *to, int64_t ld)
{
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) v16_store(to + r * ld + 16 * v, t->sum[r][v]);
    }
}

V16_FN void tile_add(tile *t, int rows, int vectors, const float *x, int64_t xr, int64_t xk, const float *w, int64_t wk,
                     int64_t wv, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        v16 w0 = v16_load(w + k * wk), w1 = vectors > 1 ? v16_load(w + k * wk + wv) : w0;
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            v16 a = v16_set1(x[r * xr + k * xk]);
            t->sum[r][0] = v16_fma(a, w0, t->sum[r][0]);
            if (vectors > 1) t->sum[r][1] = v16_fma(a, w1, t->sum[r][1]);
        }
    }
}

/* Sums of whole numbers into those of their values: fma(scale, sum, bias). */
V16_FN void tile_scale(tile *t, int rows, int vectors, float scale, const float *bias)
{
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++)
            t->sum[r][v] = v16_fma(v16_set1(scale), t->sum[r][v], v16_load(bias + 16 * v));
    }
}

/* x + 0.0f turns -0 into 0; relu as docs/numerics.md has it: a NaN stays. */
V16_FN v16 tile_final(v16 s, int relu)
{
    s = v16_add(s, v16_zero());
    if (!relu) return s;
    return v16_gt_select(s, v16_zero(), s, v16_gt_select(v16_zero(), s, v16_zero(), s));
}

/* The first `lanes` of the vectors of each row, finished. */
V16_FN void tile_store(const tile *t, int rows, int vectors, int relu, float *out, int64_t ld, int64_t lanes)
{
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        TILE_UNROLL
        for (int v = 0; v < vectors; v++) {
            v16 s = tile_final(t->sum[r][v], relu);
            if (lanes >= 16 * (v + 1)) v16_store(out + r * ld + 16 * v, s);
            else if (lanes > 16 * v) v16_store_n(out + r * ld + 16 * v, s, lanes - 16 * v);
        }
    }
}

#endif
