/* downsample.cu - pooling of NHWC images and its gradient on a GPU: downsample and upsample.  Twin: downsample.c.
 *
 * A block takes a row of windows of one image: threadIdx.x runs along the channels, four a thread, threadIdx.y along
 * the windows, so that neighbours read neighbouring bytes and no index is divided in a loop.  A thread takes the pixels
 * of its window in the order (y, x).
 *
 * Traffic a channel of a window of p pixels: down 4 p + 4 bytes, up 4 + 4 p, for MAX 4 + 8 p. */
#include "cuda.h"
#include "four.h"
#include "uncertainty.h" /* ex_or_nan */

/* What both ops pool: out_h x out_w windows of size_y x size_x pixels of an image [h, w, c]. */
struct windows {
    sluice_pooling kind;
    int64_t h, w, c;
    int64_t out_h, out_w;
    int64_t size_y, size_x;
};

static windows windows_of(sluice_pooling kind, int64_t h, int64_t w, int64_t c, int64_t size)
{
    if (kind == SLUICE_POOL_GLOBAL) return { kind, h, w, c, 1, 1, h, w };
    return { kind, h, w, c, h / size, w / size, size, size };
}

/* Up to 256 threads: powers of two that cover the channels, then the windows of a row. */
static dim3 threads_of(const windows &q, int64_t wide)
{
    unsigned x = 1, y = 1;
    while (x < 256 && 4 * (int64_t)x < q.c) x *= 2;
    while (x * y < 256 && (int64_t)y < wide) y *= 2;
    return dim3(x, y);
}

/* Value a of pixel (y, x) of an image, channel k. */
static __device__ __forceinline__ int64_t place(const windows &q, int64_t y, int64_t x, int64_t k)
{
    return (y * q.w + x) * q.c + k;
}

/* ---- downsample ---- */

/* Four channels of the window that begins at x; `left` channels there are. */
static __device__ __forceinline__ four pool(const windows &q, const float *x, int64_t left)
{
    four r = load_four(x, left);
    float pixels = (float)(q.size_y * q.size_x);
    for (int64_t y = 0; y < q.size_y; y++)
        for (int64_t i = y == 0; i < q.size_x; i++) {
            four v = load_four(x + place(q, y, i, 0), left);
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (q.kind != SLUICE_POOL_MAX) r.v[e] = r.v[e] + v.v[e];
                else r.v[e] = v.v[e] > r.v[e] ? v.v[e] : r.v[e];
        }
#pragma unroll
    for (int e = 0; e < 4; e++)
        if (q.kind != SLUICE_POOL_MAX) r.v[e] = ex_or_nan(r.v[e] / pixels);
    return r;
}

/* grid n out_h, block threads_of().  x [n, h w c], out [n, out_h out_w c]. */
/* sass: kernel=downsample registers<=40 local=0 ldg128 */
__global__ static void downsample(windows q, sluice_view x, sluice_view out)
{
    int64_t i = blockIdx.x / q.out_h, oy = blockIdx.x % q.out_h;
    const float *image = view_row<const float>(x, i);
    float *to = view_row<float>(out, i) + oy * q.out_w * q.c;
    for (int64_t ox = threadIdx.y; ox < q.out_w; ox += blockDim.y)
        for (int64_t k = 4 * threadIdx.x; k < q.c; k += 4 * blockDim.x)
            store_four(to + ox * q.c + k, pool(q, image + place(q, oy * q.size_y, ox * q.size_x, k), q.c - k), q.c - k);
}

sluice_status cuda_op_downsample(sluice_exec *x, const sluice_op_downsample_args *a)
{
    op_run r(x, "downsample");
    windows q = windows_of(a->kind, a->h, a->w, a->c, a->size);
    sluice_view from = r.in(a->x), to = r.out(a->out);
    r.launch(downsample, blocks(from.rows * q.out_h, 1), threads_of(q, q.out_w), 0, q, from, to);
    return r.end();
}

/* ---- upsample ---- */

/* g of four channels to the first largest pixel of each; the others get 0. */
static __device__ __forceinline__ void spread_max(const windows &q, const float *x, const four &g, float *out,
                                                  int64_t left)
{
    four best = load_four(x, left);
    int at[4] = { 0, 0, 0, 0 };
    for (int64_t y = 0; y < q.size_y; y++)
        for (int64_t i = y == 0; i < q.size_x; i++) {
            four v = load_four(x + place(q, y, i, 0), left);
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (v.v[e] > best.v[e]) best.v[e] = v.v[e], at[e] = (int)(y * q.size_x + i);
        }
    for (int64_t y = 0; y < q.size_y; y++)
        for (int64_t i = 0; i < q.size_x; i++) {
            four v;
#pragma unroll
            for (int e = 0; e < 4; e++) v.v[e] = at[e] == (int)(y * q.size_x + i) ? g.v[e] : 0.0f;
            store_four(out + place(q, y, i, 0), v, left);
        }
}

/* The same v to size_y x size_x pixels. */
static __device__ __forceinline__ void spread_evenly(const windows &q, int64_t size_y, int64_t size_x, const four &v,
                                                     float *out, int64_t left)
{
    for (int64_t y = 0; y < size_y; y++)
        for (int64_t i = 0; i < size_x; i++) store_four(out + place(q, y, i, 0), v, left);
}

/* grid n ceil(h / size_y), block threads_of().  x, out [n, h w c] (x: MAX alone), g [n, out_h out_w c].  The rest of
 * the image that no window covers is windows too, cut short, which get 0: each pixel is written by one thread. */
/* sass: kernel=upsample registers<=56 local=0 ldg128 */
__global__ static void upsample(windows q, sluice_view x, sluice_view g, sluice_view out)
{
    const four zero = { { 0, 0, 0, 0 } };
    int64_t high = (q.h + q.size_y - 1) / q.size_y, wide = (q.w + q.size_x - 1) / q.size_x;
    int64_t i = blockIdx.x / high, oy = blockIdx.x % high;
    const float *from = view_row<const float>(g, i);
    for (int64_t ox = threadIdx.y; ox < wide; ox += blockDim.y)
        for (int64_t k = 4 * threadIdx.x; k < q.c; k += 4 * blockDim.x) {
            int64_t left = q.c - k, at = place(q, oy * q.size_y, ox * q.size_x, k);
            float *to = view_row<float>(out, i) + at;
            if (oy >= q.out_h || ox >= q.out_w) {
                int64_t below = q.h - oy * q.size_y, beside = q.w - ox * q.size_x;
                spread_evenly(q, below < q.size_y ? below : q.size_y, beside < q.size_x ? beside : q.size_x, zero, to,
                              left);
                continue;
            }
            four v = load_four(from + (oy * q.out_w + ox) * q.c + k, left);
            if (q.kind == SLUICE_POOL_MAX) {
                spread_max(q, view_row<const float>(x, i) + at, v, to, left);
                continue;
            }
#pragma unroll
            for (int e = 0; e < 4; e++) v.v[e] = ex_or_nan(v.v[e] / (float)(q.size_y * q.size_x));
            spread_evenly(q, q.size_y, q.size_x, v, to, left);
        }
}

sluice_status cuda_op_upsample(sluice_exec *x, const sluice_op_upsample_args *a)
{
    op_run r(x, "upsample");
    windows q = windows_of(a->kind, a->h, a->w, a->c, a->size);
    int64_t high = (q.h + q.size_y - 1) / q.size_y, wide = (q.w + q.size_x - 1) / q.size_x;
    sluice_view v = a->kind == SLUICE_POOL_MAX ? r.in(a->x) : sluice_view{}, g = r.in(a->g), out = r.out(a->out);
    r.launch(upsample, blocks(g.rows * high, 1), threads_of(q, wide), 0, q, v, g, out);
    return r.end();
}
