/* downsample.c - pooling of NHWC images and its gradient on the CPU: downsample and upsample.  Contract in
 * sluice_backend.h.
 *
 * Lanes are channels; the pixels of a window are taken in the order (y, x).  MAX keeps the first of equal values; a NaN
 * survives only as the first pixel of its window.  A mean that is no number is stored as 7fc00000. */
#include "rows.h"

/* What both ops pool: windows [count] of size x size pixels of an image [h, w, c]. */
typedef struct shape {
    sluice_pooling kind;
    int64_t w, c;
    int64_t out_h, out_w;
    int64_t size_y, size_x;
} shape;

static shape shape_of(sluice_pooling kind, int64_t h, int64_t w, int64_t c, int64_t size)
{
    if (kind == SLUICE_POOL_GLOBAL) return (shape){ kind, w, c, 1, 1, h, w };
    return (shape){ kind, w, c, h / size, w / size, size, size };
}

/* Up to 16 channels; whole vectors without the detour through a copy. */
V16_FN v16 load_lanes(const float *p, int64_t n) { return n >= 16 ? v16_load(p) : v16_load_n(p, n, 0.0f); }
V16_FN void store_lanes(float *p, v16 v, int64_t n)
{
    if (n >= 16) v16_store(p, v);
    else v16_store_n(p, v, n);
}

/* Where the window of output pixel (oy, ox) begins, in floats. */
static int64_t window(const shape *q, int64_t oy, int64_t ox)
{
    return (oy * q->size_y * q->w + ox * q->size_x) * q->c;
}

/* ---- downsample ---- */

typedef struct down {
    const sluice_op_downsample_args *a;
    shape q;
} down;

V16_FN v16 pool(const shape *q, const float *x, int64_t n)
{
    v16 r = load_lanes(x, n);
    for (int64_t y = 0; y < q->size_y; y++)
        for (int64_t i = y == 0; i < q->size_x; i++) {
            v16 v = load_lanes(x + (y * q->w + i) * q->c, n);
            r = q->kind == SLUICE_POOL_MAX ? v16_gt_select(v, r, v, r) : v16_add(r, v);
        }
    return q->kind == SLUICE_POOL_MAX ? r : v16_or_nan(v16_div(r, v16_set1((float)(q->size_y * q->size_x))));
}

static void down_images(void *arg, int64_t first, int64_t last, int thread)
{
    const down *p = arg;
    const shape *q = &p->q;
    (void)thread;
    for (int64_t i = first; i < last; i++) {
        const float *x = (const float *)((const char *)p->a->x.data + (size_t)i * p->a->x.stride);
        float *out = (float *)((char *)p->a->out.data + (size_t)i * p->a->out.stride);
        for (int64_t oy = 0; oy < q->out_h; oy++)
            for (int64_t ox = 0; ox < q->out_w; ox++)
                for (int64_t k = 0; k < q->c; k += 16)
                    store_lanes(out + (oy * q->out_w + ox) * q->c + k, pool(q, x + window(q, oy, ox) + k, q->c - k),
                                q->c - k);
    }
}

sluice_status TIER_FN(op_downsample)(sluice_exec *x, const sluice_op_downsample_args *a)
{
    down p = { a, shape_of(a->kind, a->h, a->w, a->c, a->size) };
    cpu_parallel(x, a->x.rows, 4, down_images, &p);
    return SLUICE_OK;
}

/* ---- upsample ---- */

typedef struct up {
    const sluice_op_upsample_args *a;
    shape q;
} up;

/* g of up to 16 channels to the first largest pixel of each; the others get 0. */
V16_FN void spread_max(const shape *q, const float *x, v16 g, float *out, int64_t n)
{
    v16 best = load_lanes(x, n), at = v16_zero();
    for (int64_t y = 0; y < q->size_y; y++)
        for (int64_t i = y == 0; i < q->size_x; i++) {
            v16 v = load_lanes(x + (y * q->w + i) * q->c, n);
            at = v16_gt_select(v, best, v16_set1((float)(y * q->size_x + i)), at);
            best = v16_gt_select(v, best, v, best);
        }
    for (int64_t y = 0; y < q->size_y; y++)
        for (int64_t i = 0; i < q->size_x; i++) {
            float here = (float)(y * q->size_x + i);
            v16 upto = v16_gt_select(v16_set1(here + 0.5f), at, g, v16_zero()); /* at <= here ... */
            store_lanes(out + (y * q->w + i) * q->c, v16_gt_select(at, v16_set1(here - 0.5f), upto, v16_zero()), n);
        }
}

V16_FN void spread_evenly(const shape *q, v16 g, float *out, int64_t n)
{
    g = v16_or_nan(v16_div(g, v16_set1((float)(q->size_y * q->size_x))));
    for (int64_t y = 0; y < q->size_y; y++)
        for (int64_t i = 0; i < q->size_x; i++) store_lanes(out + (y * q->w + i) * q->c, g, n);
}

static void up_images(void *arg, int64_t first, int64_t last, int thread)
{
    const up *p = arg;
    const sluice_op_upsample_args *a = p->a;
    const shape *q = &p->q;
    int whole = q->out_h * q->size_y == a->h && q->out_w * q->size_x == a->w;
    (void)thread;
    for (int64_t i = first; i < last; i++) {
        const float *x = (const float *)((const char *)a->x.data + (size_t)i * a->x.stride);
        const float *g = (const float *)((const char *)a->g.data + (size_t)i * a->g.stride);
        float *out = (float *)((char *)a->out.data + (size_t)i * a->out.stride);
        if (!whole) memset(out, 0, (size_t)(a->h * a->w * a->c) * sizeof *out); /* the rest no window covers */
        for (int64_t oy = 0; oy < q->out_h; oy++)
            for (int64_t ox = 0; ox < q->out_w; ox++)
                for (int64_t k = 0; k < q->c; k += 16) {
                    v16 v = load_lanes(g + (oy * q->out_w + ox) * q->c + k, q->c - k);
                    int64_t at = window(q, oy, ox) + k;
                    if (q->kind == SLUICE_POOL_MAX) spread_max(q, x + at, v, out + at, q->c - k);
                    else spread_evenly(q, v, out + at, q->c - k);
                }
    }
}

sluice_status TIER_FN(op_upsample)(sluice_exec *x, const sluice_op_upsample_args *a)
{
    up p = { a, shape_of(a->kind, a->h, a->w, a->c, a->size) };
    cpu_parallel(x, a->out.rows, 4, up_images, &p);
    return SLUICE_OK;
}
