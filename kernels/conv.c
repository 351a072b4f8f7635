/* conv.c - convolution of NHWC images and its two gradients on the CPU.  Contract in sluice_backend.h.
 *
 *   frame         an image inside its padding of zeros, widened to f32; windows are read from it in place:
 *                 `kernel` runs of kernel * cin floats, one frame row apart.  No matrix of windows is ever built
 *   windows       a convolution of a frame, register tile by register tile (regtile.h)
 *   op_conv       windows of the padded image
 *   op_conv_input windows of the gradient, spread out by the stride, with the weights turned by 180 degrees
 *   op_conv_weight  tiles of weights x output channels, k = pixel
 *
 * Images are shared among the threads; the gradient of the weights among blocks of BLOCK_IMAGES images. */
#include "cpu.h"
#include "regtile.h"

enum {
    BLOCK_IMAGES = 8, /* images whose weight gradient is one chain of fma; the blocks' sums are added in order */
    WAVE_BLOCKS = 16  /* blocks whose sums are held at a time */
};

/* ---- frames ---- */

typedef struct frame {
    int64_t h, w, c; /* with padding */
    int64_t top;     /* rows above and columns left of the image */
    int64_t step;    /* distance of the image's pixels in it: 1, or the stride of a spread gradient */
} frame;

static size_t element_bytes(sluice_type t)
{
    if (t == SLUICE_F32) return 4;
    return t == SLUICE_F16 || t == SLUICE_BF16 ? 2 : 1;
}

static size_t frame_floats(const frame *f) { return (size_t)(f->h * f->w * f->c); }

static void widen(const void *from, sluice_type type, float *to, int64_t n)
{
    int64_t j = 0;
    switch (type) {
    case SLUICE_F32: memcpy(to, from, (size_t)n * sizeof *to); break;
    case SLUICE_F16:
        for (; j + 16 <= n; j += 16) v16_store(to + j, v16_load_f16((const uint16_t *)from + j));
        for (; j < n; j++) to[j] = ex_f16_to_f32(((const uint16_t *)from)[j]);
        break;
    case SLUICE_BF16:
        for (; j < n; j++) to[j] = ex_bf16_to_f32(((const uint16_t *)from)[j]);
        break;
    case SLUICE_I8:
        for (; j < n; j++) to[j] = (float)((const int8_t *)from)[j];
        break;
    default:
        for (; j < n; j++) to[j] = (float)((const uint8_t *)from)[j];
    }
}

/* The pixels of image [h, w, c] into buf; what lies between and around them must be 0 already and stays so. */
static void frame_fill(const frame *f, const char *image, sluice_type type, size_t type_bytes, int64_t h, int64_t w,
                       float *buf)
{
    for (int64_t y = 0; y < h; y++) {
        const char *row = image + (size_t)(y * w * f->c) * type_bytes;
        float *to = buf + ((y * f->step + f->top) * f->w + f->top) * f->c;
        if (f->step == 1) {
            widen(row, type, to, w * f->c);
            continue;
        }
        for (int64_t x = 0; x < w; x++)
            widen(row + (size_t)(x * f->c) * type_bytes, type, to + x * f->step * f->c, f->c);
    }
}

/* ---- windows ---- */

typedef struct windows {
    frame f;
    int64_t kernel, stride;
    int64_t out_h, out_w, out_c;
    int64_t in_h, in_w;  /* of an image, without padding */
    const float *packed; /* [out_c/16][kernel*kernel*c][16] */
    const float *bias;   /* [out_c up to a multiple of 16] */
    int relu, scaled;    /* scaled: sums start from 0, then fma(scale, sum, bias) */
    sluice_view from, to;
    float *frames; /* [threads][frame_floats], zeroed */
} windows;

V16_FN void window_tile(const windows *p, int rows, int vectors, const float *img, int64_t co, float scale, float *out)
{
    int64_t run = p->kernel * p->f.c, depth = run * p->kernel;
    const float *w = p->packed + co * depth;
    tile t;
    tile_begin(&t, rows, vectors, p->scaled ? NULL : p->bias + co);
    for (int64_t ky = 0; ky < p->kernel; ky++)
        tile_add(&t, rows, vectors, img + ky * p->f.w * p->f.c, p->stride * p->f.c, 1, w + ky * run * 16, 16,
                 depth * 16, run);
    if (p->scaled) tile_scale(&t, rows, vectors, scale, p->bias + co);
    tile_store(&t, rows, vectors, p->relu, out + co, p->out_c, p->out_c - co);
}

static void window_tile_1(const windows *p, int rows, const float *img, int64_t co, float scale, float *out)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: window_tile(p, r, 1, img, co, scale, out); break;
        TILE_CASES(X)
#undef X
    }
}

static void window_tile_2(const windows *p, int rows, const float *img, int64_t co, float scale, float *out)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: window_tile(p, r, 2, img, co, scale, out); break;
        TILE_CASES(X)
#undef X
    }
}

/* Rows of a tile when n of them are shared out evenly. */
static int64_t tile_rows(int64_t n)
{
    int64_t tiles = (n + TILE_ROWS - 1) / TILE_ROWS;
    return (n + tiles - 1) / tiles;
}

static void windows_image(const windows *p, int64_t i, float *buf)
{
    size_t bytes = element_bytes(p->from.type);
    float *out = (float *)((char *)p->to.data + (size_t)i * p->to.stride);
    float scale = p->from.scale ? p->from.scale[i] : 1.0f;
    int64_t step = tile_rows(p->out_w);
    frame_fill(&p->f, (const char *)p->from.data + (size_t)i * p->from.stride, p->from.type, bytes, p->in_h, p->in_w,
               buf);
    for (int64_t co = 0; co < p->out_c; co += 32)
        for (int64_t y = 0; y < p->out_h; y++)
            for (int64_t x = 0; x < p->out_w; x += step) {
                int rows = (int)(p->out_w - x < step ? p->out_w - x : step);
                const float *img = buf + (y * p->f.w + x) * p->stride * p->f.c;
                float *to = out + (y * p->out_w + x) * p->out_c;
                if (p->out_c - co > 16) window_tile_2(p, rows, img, co, scale, to);
                else window_tile_1(p, rows, img, co, scale, to);
            }
}

static void windows_images(void *arg, int64_t first, int64_t last, int thread)
{
    const windows *p = arg;
    float *buf = p->frames + (size_t)thread * frame_floats(&p->f);
    for (int64_t i = first; i < last; i++) windows_image(p, i, buf);
}

sluice_status TIER_FN(op_conv)(sluice_exec *x, const sluice_op_conv_args *a)
{
    const sluice_conv_shape *q = &a->shape;
    frame f = { q->h + 2 * q->pad, q->w + 2 * q->pad, q->cin, q->pad, 1 };
    int64_t lanes = (q->cout + 15) / 16 * 16;
    int scaled = a->x.type == SLUICE_I8 || a->x.type == SLUICE_U8;
    size_t framed = (size_t)x->threads * frame_floats(&f);
    float *scratch = x->scratch(x, ((size_t)lanes + framed) * sizeof *scratch);
    if (!scratch)
        return x->fail(x, SLUICE_E_MEMORY, "no memory for %zu bytes of padded images", framed * sizeof *scratch);
    memset(scratch, 0, ((size_t)lanes + framed) * sizeof *scratch);
    if (a->bias) memcpy(scratch, a->bias, (size_t)q->cout * sizeof *scratch);
    windows p = { .f = f, .kernel = q->kernel, .stride = q->stride, .relu = a->relu, .scaled = scaled };
    p.out_h = q->out_h, p.out_w = q->out_w, p.out_c = q->cout, p.in_h = q->h, p.in_w = q->w;
    p.from = a->x, p.to = a->out, p.packed = a->packed, p.bias = scratch, p.frames = scratch + lanes;
    cpu_parallel(x, a->x.rows, 1, windows_images, &p);
    return SLUICE_OK;
}

/* ---- gradient of the input ---- */

/* w [cout, ky, kx, cin] into [cin/16][k - 1 - ky, k - 1 - kx, cout][16], zeros above cin. */
static void turn_weights(const sluice_conv_shape *q, const float *w, float *packed)
{
    int64_t taps = q->kernel * q->kernel, depth = taps * q->cout;
    memset(packed, 0, sluice_packed_floats(q->cin, depth) * sizeof *packed);
    for (int64_t co = 0; co < q->cout; co++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t ci = 0; ci < q->cin; ci++)
                packed[(ci / 16 * depth + (taps - 1 - tap) * q->cout + co) * 16 + ci % 16] =
                    w[(co * taps + tap) * q->cin + ci];
}

sluice_status TIER_FN(op_conv_input)(sluice_exec *x, const sluice_op_conv_input_args *a)
{
    const sluice_conv_shape *q = &a->shape;
    frame f = { q->h + q->kernel - 1, q->w + q->kernel - 1, q->cout, q->kernel - 1 - q->pad, q->stride };
    int64_t lanes = (q->cin + 15) / 16 * 16;
    size_t weights = sluice_packed_floats(q->cin, q->kernel * q->kernel * q->cout),
           framed = (size_t)x->threads * frame_floats(&f);
    float *scratch = x->scratch(x, (weights + (size_t)lanes + framed) * sizeof *scratch);
    if (!scratch)
        return x->fail(x, SLUICE_E_MEMORY, "no memory for %zu bytes of padded gradients", framed * sizeof *scratch);
    turn_weights(q, a->w, scratch);
    memset(scratch + weights, 0, ((size_t)lanes + framed) * sizeof *scratch);
    windows p = { .f = f, .kernel = q->kernel, .stride = 1, .out_h = q->h, .out_w = q->w, .out_c = q->cin };
    p.in_h = q->out_h, p.in_w = q->out_w, p.from = a->g, p.to = a->out;
    p.packed = scratch, p.bias = scratch + weights, p.frames = scratch + weights + lanes;
    cpu_parallel(x, a->g.rows, 1, windows_images, &p);
    return SLUICE_OK;
}

/* ---- gradient of the weights ---- */

typedef struct gradient {
    const sluice_op_conv_weight_args *a;
    frame f;
    int64_t depth, lanes; /* kernel*kernel*cin; cout up to a multiple of 16 */
    int64_t first;        /* first block of the wave */
    float *sums;          /* [WAVE_BLOCKS][depth + 1][lanes], the last row is the bias */
    float *frames;        /* [threads][frame_floats], zeroed */
    float *gs;            /* [threads][pixels][lanes], zeroed, where cout is no multiple of 16 */
} gradient;

V16_FN void weight_tile(const gradient *p, int rows, int vectors, const float *img, const float *g, float *sum)
{
    const sluice_conv_shape *q = &p->a->shape;
    tile t;
    tile_load(&t, rows, vectors, sum, p->lanes);
    for (int64_t y = 0; y < q->out_h; y++)
        tile_add(&t, rows, vectors, img + y * q->stride * p->f.w * p->f.c, 1, q->stride * p->f.c,
                 g + y * q->out_w * p->lanes, p->lanes, 16, q->out_w);
    tile_save(&t, rows, vectors, sum, p->lanes);
}

static void weight_tile_1(const gradient *p, int rows, const float *img, const float *g, float *sum)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: weight_tile(p, r, 1, img, g, sum); break;
        TILE_CASES(X)
#undef X
    }
}

static void weight_tile_2(const gradient *p, int rows, const float *img, const float *g, float *sum)
{
    switch (rows) {
#define X(r)                                                                                                           \
    case r: weight_tile(p, r, 2, img, g, sum); break;
        TILE_CASES(X)
#undef X
    }
}

/* Adds one image to sum [depth + 1][lanes]. */
static void weight_image(const gradient *p, const float *img, const float *g, float *sum)
{
    const sluice_conv_shape *q = &p->a->shape;
    int64_t run = q->kernel * q->cin, step = tile_rows(run);
    for (int64_t co = 0; co < p->lanes; co += 32)
        for (int64_t ky = 0; ky < q->kernel; ky++)
            for (int64_t k = 0; k < run; k += step) {
                int rows = (int)(run - k < step ? run - k : step);
                const float *at = img + ky * p->f.w * p->f.c + k;
                float *to = sum + (ky * run + k) * p->lanes + co;
                if (p->lanes - co > 16) weight_tile_2(p, rows, at, g + co, to);
                else weight_tile_1(p, rows, at, g + co, to);
            }
    for (int64_t co = 0; co < p->lanes; co += 16) {
        v16 b = v16_load(sum + p->depth * p->lanes + co);
        for (int64_t i = 0; i < q->out_h * q->out_w; i++) b = v16_add(b, v16_load(g + i * p->lanes + co));
        v16_store(sum + p->depth * p->lanes + co, b);
    }
}

static void weight_block(const gradient *p, int64_t block, int thread)
{
    const sluice_conv_shape *q = &p->a->shape;
    const sluice_view *xs = &p->a->x, *gs = &p->a->g;
    int64_t pixels = q->out_h * q->out_w, i = (p->first + block) * BLOCK_IMAGES;
    int64_t end = i + BLOCK_IMAGES < xs->rows ? i + BLOCK_IMAGES : xs->rows;
    size_t size = (size_t)((p->depth + 1) * p->lanes);
    float *img = p->frames + (size_t)thread * frame_floats(&p->f), *sum = p->sums + (size_t)block * size;
    memset(sum, 0, size * sizeof *sum);
    for (; i < end; i++) {
        const float *g = (const float *)((const char *)gs->data + (size_t)i * gs->stride);
        frame_fill(&p->f, (const char *)xs->data + (size_t)i * xs->stride, SLUICE_F32, sizeof(float), q->h, q->w, img);
        if (q->cout != p->lanes) {
            float *wide = p->gs + (size_t)thread * (size_t)(pixels * p->lanes);
            for (int64_t j = 0; j < pixels; j++)
                memcpy(wide + j * p->lanes, g + j * q->cout, (size_t)q->cout * sizeof *wide);
            g = wide;
        }
        weight_image(p, img, g, sum);
    }
}

static void weight_blocks(void *arg, int64_t first, int64_t last, int thread)
{
    for (int64_t b = first; b < last; b++) weight_block(arg, b, thread);
}

static void weight_fold(const gradient *p, float *total, int64_t blocks)
{
    size_t size = (size_t)((p->depth + 1) * p->lanes);
    for (int64_t b = 0; b < blocks; b++) {
        const float *sum = p->sums + (size_t)b * size;
        for (size_t j = 0; j < size; j += 16) v16_store(total + j, v16_add(v16_load(total + j), v16_load(sum + j)));
    }
}

sluice_status TIER_FN(op_conv_weight)(sluice_exec *x, const sluice_op_conv_weight_args *a)
{
    const sluice_conv_shape *q = &a->shape;
    gradient p = { .a = a,
                   .f = { q->h + 2 * q->pad, q->w + 2 * q->pad, q->cin, q->pad, 1 },
                   .depth = q->kernel * q->kernel * q->cin,
                   .lanes = (q->cout + 15) / 16 * 16 };
    int64_t blocks = (a->x.rows + BLOCK_IMAGES - 1) / BLOCK_IMAGES, wave = blocks < WAVE_BLOCKS ? blocks : WAVE_BLOCKS;
    size_t size = (size_t)((p.depth + 1) * p.lanes), threads = (size_t)x->threads;
    size_t framed = threads * frame_floats(&p.f),
           wide = q->cout == p.lanes ? 0 : threads * (size_t)(q->out_h * q->out_w * p.lanes);
    size_t total = size * (size_t)(wave + 1) + framed + wide;
    float *scratch = x->scratch(x, total * sizeof *scratch);
    if (!scratch)
        return x->fail(x, SLUICE_E_MEMORY, "no memory for %zu bytes of weight gradients", total * sizeof *scratch);
    p.sums = scratch + size;
    p.gs = p.sums + size * (size_t)wave; /* before the frames, whose size is no multiple of 16 floats */
    p.frames = p.gs + wide;
    memset(scratch, 0, size * sizeof *scratch);
    memset(p.gs, 0, (wide + framed) * sizeof *scratch);
    for (; p.first < blocks; p.first += wave) {
        int64_t now = blocks - p.first < wave ? blocks - p.first : wave;
        cpu_parallel(x, now, 1, weight_blocks, &p);
        weight_fold(&p, scratch, now);
    }
    for (int64_t co = 0; co < q->cout; co++) {
        for (int64_t k = 0; k < p.depth; k++) a->out[co * p.depth + k] = scratch[k * p.lanes + co];
        if (a->bias) a->bias[co] = scratch[p.depth * p.lanes + co];
    }
    return SLUICE_OK;
}
