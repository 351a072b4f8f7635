/* conv.cu - convolution of NHWC images and its two gradients on a GPU.  Twin: conv.c.
 *
 *   windows       a product whose one operand is gathered: rows are windows of the images, columns output channels,
 *                 k = (ky, kx, channel).  No matrix of windows is ever built
 *   op_conv       windows of the image inside its padding
 *   op_conv_input windows of the gradient, spread out by the stride, with the weights turned by 180 degrees
 *   op_conv_weight  rows are output channels, columns weights, k = pixel; a block of the grid for each tile of them and
 *                 each BLOCK_IMAGES images, then a fold
 *
 * A block has a tile of 64 x (16, 32 or 64) sums, a thread 4 x (1, 2 or 4) of them.  What lies in the padding is a zero
 * that is multiplied like any other value.  Inputs that are not f32 are widened to scratch first: they are the images
 * themselves, small beside what the first layer makes of them. */
#include "chains.h"
#include "cuda.h"
#include "libraries.h"

namespace {

enum {
    THREADS = 256,
    SIDE = 16,    /* THREADS = SIDE x SIDE, a thread's sums lie side by side */
    ROWS = 64,    /* of a tile of windows */
    CHUNK = 16,   /* values of k that are in shared memory at a time, twice */
    WEIGHTS = 64, /* of a tile of op_conv_weight */
    BLOCK_IMAGES = 8,
    WAVE_BLOCKS = 64 /* blocks of images whose sums are held at a time, fewer where they are large */
};
const int64_t WAVE_FLOATS = 16 << 20;

/* ---- windows ------------------------------------------------------------------------------------------- */

struct windows {
    const float *from; /* [rows] images [in_h, in_w, c], from_pitch floats apart */
    int64_t rows, from_pitch;
    int in_h, in_w, c;
    int spread;              /* distance of the image's pixels: 1, or the stride of a spread gradient */
    int kernel, stride, top; /* top: rows above and columns left of the image */
    int out_h, out_w, out_c;
    const float *packed; /* [out_c/16][kernel * kernel * c][16] */
    const float *bias, *scale;
    int relu, scaled; /* scaled: sums start from 0, then fma(scale, sum, bias) */
    float *to;
    int64_t to_pitch;
};

/* Where a row of the product comes from and goes to. */
struct position {
    int64_t image;
    int pixel;

    __device__ __forceinline__ position(const windows &p, int64_t row)
    {
        image = row / (p.out_h * p.out_w), pixel = (int)(row - image * (p.out_h * p.out_w));
    }
    __device__ __forceinline__ void advance(const windows &p, int by)
    {
        for (pixel += by; pixel >= p.out_h * p.out_w; pixel -= p.out_h * p.out_w) image++;
    }
};

/* A window in its image. */
struct window {
    const float *at; /* the float under its first value, in the padding perhaps; of a spread gradient the image */
    int y, x;        /* its upper left corner: the pixel's row, the first float in it */
};

__device__ __forceinline__ window window_at(const windows &p, const position &o)
{
    int y = o.pixel / p.out_w * p.stride - p.top, x = (o.pixel % p.out_w * p.stride - p.top) * p.c;
    const float *at = p.from + o.image * p.from_pitch + (p.spread == 1 ? y * p.in_w * p.c + x : 0);
    return { at, o.image < p.rows ? y : INT32_MIN / 2, x }; /* beyond the last image: so far up that all is zero */
}

/* What a thread fetches of each window: value k = (run, j).  Runs are contiguous in the image: the window's rows; of a
 * spread gradient, whose pixels lie apart, its pixels. */
template <bool SPREAD> struct place {
    int run, j, length;

    __device__ __forceinline__ place(const windows &p, int k) : run(0), j(0), length(SPREAD ? p.c : p.kernel * p.c)
    {
        advance(k);
    }
    __device__ __forceinline__ void advance(int by)
    {
        for (j += by; j >= length; j -= length) run++;
    }
    __device__ __forceinline__ float value(const windows &p, const window &w) const
    {
        if (!SPREAD) {
            int y = w.y + run, x = w.x + j, width = p.in_w * p.c;
            bool inside = (unsigned)y < (unsigned)p.in_h && (unsigned)x < (unsigned)width;
            return inside ? w.at[run * width + j] : 0.0f;
        }
        int fy = w.y + run / p.kernel, fx = w.x / p.c + run % p.kernel, y = fy / p.spread, x = fx / p.spread;
        bool inside = fy >= 0 && y < p.in_h && y * p.spread == fy && fx >= 0 && x < p.in_w && x * p.spread == fx;
        return inside ? w.at[(y * p.in_w + x) * p.c + j] : 0.0f;
    }
};

/* A thread's part in bringing CHUNK values of k of N columns of the packed weights into shared memory. */
template <int N> struct weight_fetch {
    const float *at;
    int k, place; /* place -1: no part */
    bool inside;

    __device__ __forceinline__ weight_fetch(const windows &p, int depth, int column)
    {
        int i = (int)threadIdx.x / (N / 4), j = (int)threadIdx.x % (N / 4) * 4, n = column + j;
        k = i, place = i < CHUNK ? i * N + j : -1, inside = n < p.out_c;
        at = p.packed + (inside ? ((int64_t)(n / 16) * depth + i) * 16 + n % 16 : 0);
    }
    /* The next chunk; zeros outside. */
    __device__ __forceinline__ void fetch(int depth, float *to)
    {
        if (place >= 0) gpu::copy16_async(to + place, at, inside && k < depth);
        at += CHUNK * 16, k += CHUNK;
    }
};

__device__ __forceinline__ float finished(float sum, int relu)
{
    sum += 0.0f; /* -0 becomes 0 */
    return relu && !(sum > 0.0f) && sum == sum ? 0.0f : sum;
}

/* grid (ceil(windows / ROWS), ceil(out_c / N)), block THREADS, static shared memory 16.5 KiB at N = 64. */
/* sass: kernel=convolve<64,false> registers<=96 shared<=16896 local=0 ffma>=60% */
/* sass: kernel=convolve<32,false> registers<=80 shared<=12800 local=0 ffma>=44% */
template <int N, bool SPREAD> __global__ void __launch_bounds__(THREADS) convolve(windows p)
{
    enum { EACH = N / SIDE, FETCHES = ROWS * CHUNK / THREADS, STEP = THREADS / CHUNK };
    enum { PITCH = ROWS + 4 }; /* spreads the values of a window over the banks */
    __shared__ __align__(16) float a[2][CHUNK * PITCH], b[2][CHUNK * N];
    int thread = (int)threadIdx.x, depth = p.kernel * p.kernel * p.c;
    int64_t row = (int64_t)blockIdx.x * ROWS;
    int column = (int)blockIdx.y * N, tm = thread / SIDE * 4, tn = thread % SIDE * EACH;

    chains<4, EACH> sums;
    for (int j = 0; j < EACH; j++) {
        int n = column + tn + j;
        float start = p.bias && !p.scaled && n < p.out_c ? p.bias[n] : 0.0f;
        for (int i = 0; i < 4; i++) sums.sum[i][j] = start;
    }

    /* This thread fetches value `mine` of every chunk, of each STEP-th window: neighbours read neighbouring floats. */
    int mine = thread % CHUNK, first = thread / CHUNK;
    window from[FETCHES];
    float fetched[FETCHES];
    place<SPREAD> at(p, mine);
    weight_fetch<N> weights(p, depth, column);
    position of(p, row + first);
    for (int i = 0; i < FETCHES; i++) {
        from[i] = window_at(p, of);
        fetched[i] = mine < depth ? at.value(p, from[i]) : 0.0f;
        of.advance(p, STEP);
    }
    weights.fetch(depth, b[0]);
    gpu::copies_commit();

    int half = 0, k = 0;
    auto arrive = [&]() {
        for (int i = 0; i < FETCHES; i++)
            a[half][mine * PITCH + first + i * STEP] = fetched[i]; /* read last before the last barrier */
        gpu::copies_wait<0>();
        __syncthreads(); /* the chunk in a[half] and b[half] is complete, the one before is read by all */
        if (k + CHUNK < depth) weights.fetch(depth, b[half ^ 1]);
        gpu::copies_commit();
        at.advance(CHUNK);
        for (int i = 0; i < FETCHES; i++) fetched[i] = k + CHUNK + mine < depth ? at.value(p, from[i]) : 0.0f;
    };
    for (; k + CHUNK <= depth; k += CHUNK, half ^= 1) {
        arrive();
        sums.template add<CHUNK>(a[half] + tm, PITCH, b[half] + tn, N);
    }
    if (k < depth) { /* all threads of the block */
        arrive();
        sums.add(a[half] + tm, PITCH, b[half] + tn, N, depth - k);
    }

    position to(p, row + tm);
    for (int i = 0; i < 4; i++, to.advance(p, 1)) {
        if (to.image >= p.rows) return; /* so are all after it; no barrier follows */
        float *out = p.to + to.image * p.to_pitch + (int64_t)to.pixel * p.out_c;
        float scale = p.scale ? p.scale[to.image] : 1.0f;
        for (int j = 0; j < EACH; j++) {
            int n = column + tn + j;
            if (n >= p.out_c) break;
            float sum = sums.sum[i][j];
            if (p.scaled) sum = ex_fma(scale, sum, p.bias ? p.bias[n] : 0.0f);
            out[n] = finished(sum, p.relu);
        }
    }
}

template <int N> void convolve_all(op_run &r, const windows &p)
{
    dim3 grid = blocks(p.rows * p.out_h * p.out_w, ROWS);
    grid.y = (unsigned)((p.out_c + N - 1) / N);
    r.launch(p.spread == 1 ? convolve<N, false> : convolve<N, true>, grid, THREADS, 0, p);
}

void convolve_all(op_run &r, const windows &p)
{
    if (p.out_c > 32) convolve_all<64>(r, p);
    else if (p.out_c > 16) convolve_all<32>(r, p);
    else convolve_all<16>(r, p);
}

/* Offsets within an image, and pixels of a block of images, are of 32 bits here. */
void check_size(op_run &r, const sluice_conv_shape &q)
{
    if (q.h * q.w * q.cin > INT32_MAX || q.out_h * q.out_w * q.cout > INT32_MAX ||
        q.out_h * q.out_w > INT32_MAX / BLOCK_IMAGES)
        r.fail(SLUICE_E_UNSUPPORTED, "images of %lld x %lld x %lld to %lld x %lld x %lld are too large for a GPU",
               (long long)q.h, (long long)q.w, (long long)q.cin, (long long)q.out_h, (long long)q.out_w,
               (long long)q.cout);
}

/* ---- op_conv -------------------------------------------------------------------------------------------- */

__device__ __forceinline__ float widened(const void *row, sluice_type type, int64_t j)
{
    switch (type) {
    case SLUICE_F16: return ex_f16_to_f32(((const uint16_t *)row)[j]);
    case SLUICE_BF16: return ex_bf16_to_f32(((const uint16_t *)row)[j]);
    case SLUICE_I8: return (float)((const int8_t *)row)[j];
    case SLUICE_U8: return (float)((const uint8_t *)row)[j];
    default: return ((const float *)row)[j];
    }
}

/* grid ceil(n d / THREADS), block THREADS.  x [n, d] of any type, to [n, d] dense. */
__global__ void widen(sluice_view x, float *to)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, i = t / x.cols;
    if (i < x.rows) to[t] = widened(view_row<const void>(x, i), x.type, t % x.cols);
}

/* The rows of x as f32; those of i8 and u8 without their scale. */
sluice_view widened_rows(op_run &r, const sluice_view &x)
{
    if (x.type == SLUICE_F32) return x;
    float *wide = r.scratch<float>(x.rows * x.cols);
    r.launch(widen, blocks(x.rows * x.cols, THREADS), THREADS, 0, x, wide);
    return { wide, x.rows, x.cols, (size_t)x.cols * sizeof(float), SLUICE_F32, nullptr };
}

} // namespace

sluice_status cuda_op_conv(sluice_exec *x, const sluice_op_conv_args *a)
{
    op_run r(x, "conv");
    const sluice_conv_shape *q = &a->shape;
    check_size(r, *q);
    sluice_view from = r.in(a->x), out = r.out(a->out);
    windows p = {};
    p.rows = from.rows, p.in_h = (int)q->h, p.in_w = (int)q->w, p.c = (int)q->cin, p.spread = 1;
    p.kernel = (int)q->kernel, p.stride = (int)q->stride, p.top = (int)q->pad;
    p.out_h = (int)q->out_h, p.out_w = (int)q->out_w, p.out_c = (int)q->cout;
    sluice_view wide = widened_rows(r, from);
    p.from = (const float *)wide.data, p.from_pitch = (int64_t)(wide.stride / sizeof(float));
    p.packed = r.in(a->packed, (int64_t)sluice_packed_floats(q->cout, q->kernel * q->kernel * q->cin));
    p.bias = r.in(a->bias, q->cout), p.scale = from.scale, p.relu = a->relu;
    p.scaled = from.type == SLUICE_I8 || from.type == SLUICE_U8;
    p.to = (float *)out.data, p.to_pitch = (int64_t)(out.stride / sizeof(float));
    if (p.scaled || !library_conv(r, *q, wide, p.packed, p.bias, p.relu, out)) convolve_all(r, p);
    return r.end();
}

/* ---- op_conv_input -------------------------------------------------------------------------------------- */

/* grid ceil(floats / THREADS), block THREADS.  w [cout, ky, kx, cin] into
 * packed [cin/16][k - 1 - ky, k - 1 - kx, cout][16], zeros above cin. */
__global__ void turn(const float *w, int taps, int cout, int cin, float *packed, int64_t floats)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, depth = (int64_t)taps * cout, k = t / 16 % depth;
    int64_t ci = t / 16 / depth * 16 + t % 16, tap = taps - 1 - k / cout;
    if (t < floats) packed[t] = ci < cin ? w[(k % cout * taps + tap) * cin + ci] : 0.0f;
}

sluice_status cuda_op_conv_input(sluice_exec *x, const sluice_op_conv_input_args *a)
{
    op_run r(x, "conv_input");
    const sluice_conv_shape *q = &a->shape;
    check_size(r, *q);
    int64_t taps = q->kernel * q->kernel, floats = (int64_t)sluice_packed_floats(q->cin, taps * q->cout);
    sluice_view from = r.in(a->g), out = r.out(a->out);
    const float *w = r.in(a->w, q->cout * taps * q->cin);
    if (library_conv_input(r, *q, from, w, out)) return r.end();
    float *turned = r.scratch<float>(floats);
    r.launch(turn, blocks(floats, THREADS), THREADS, 0, w, (int)taps, (int)q->cout, (int)q->cin, turned, floats);
    windows p = {};
    p.from = (const float *)from.data, p.from_pitch = (int64_t)(from.stride / sizeof(float)), p.rows = from.rows;
    p.in_h = (int)q->out_h, p.in_w = (int)q->out_w, p.c = (int)q->cout, p.spread = (int)q->stride;
    p.kernel = (int)q->kernel, p.stride = 1, p.top = (int)(q->kernel - 1 - q->pad);
    p.out_h = (int)q->h, p.out_w = (int)q->w, p.out_c = (int)q->cin, p.packed = turned;
    p.to = (float *)out.data, p.to_pitch = (int64_t)(out.stride / sizeof(float));
    convolve_all(r, p);
    return r.end();
}

/* ---- op_conv_weight ------------------------------------------------------------------------------------- */

namespace {

struct weight_sums {
    const float *g, *x; /* [rows] images, pitches in floats */
    int64_t g_pitch, x_pitch, rows;
    int64_t first; /* block of images of the launch's first */
    int h, w, cin, cout, kernel, stride, pad, out_h, out_w;
    int depth, columns; /* kernel * kernel * cin, and perhaps one more for the bias: the value 1 */
    float *sums;        /* [blocks][cout][columns] */
};

/* A thread's way over the output pixels of a block of images, and over what meets a weight and a channel there.  Its
 * addresses are sums, never products: their arithmetic would take as long as the FMAs. */
struct pixel {
    const float *g, *x; /* the image's gradients, from the channel on; the row of the image that meets the weight */
    int o, i;           /* of g and of x: the float; that of x is in the padding unless below limit */
    unsigned limit;
    int ox, oy, y; /* the output pixel; the row of x */

    __device__ __forceinline__ void advance(const weight_sums &p, int by)
    {
        ox += by, o += by * p.cout, i += by * p.stride * p.cin;
        while (ox >= p.out_w) next_row(p); /* the same way for all threads of a warp */
    }
    __device__ __forceinline__ void next_row(const weight_sums &p)
    {
        int width = p.w * p.cin;
        ox -= p.out_w, i -= p.out_w * p.stride * p.cin;
        oy++, y += p.stride, x += (int64_t)p.stride * width;
        if (oy == p.out_h) { /* the next image */
            x += p.x_pitch - (int64_t)oy * p.stride * width, y -= oy * p.stride;
            g += p.g_pitch, o -= oy * p.out_w * p.cout, oy = 0;
        }
        limit = (unsigned)y < (unsigned)p.h ? (unsigned)width : 0;
    }
};

/* grid (ceil(columns / WEIGHTS), ceil(cout / M), blocks of images), block THREADS, static shared memory 16 KiB at
 * M = 64.  A third of the loop's code is the way to the next row of pixels, taken once a row. */
/* sass: kernel=weight<64> registers<=80 shared<=16384 local=0 ffma>=42% */
template <int M> __global__ void __launch_bounds__(THREADS) weight(weight_sums p)
{
    enum { EACH = M / SIDE, FETCHES = WEIGHTS * CHUNK / THREADS, STEP = THREADS / WEIGHTS };
    __shared__ __align__(16) float a[2][CHUNK * M], b[2][CHUNK * WEIGHTS];
    int thread = (int)threadIdx.x, mine = thread % WEIGHTS, first = thread / WEIGHTS;
    int channel = (int)blockIdx.y * M, column = (int)blockIdx.x * WEIGHTS;
    int tm = thread / SIDE * EACH, tn = thread % SIDE * 4;
    int64_t image = (p.first + blockIdx.z) * BLOCK_IMAGES;
    int64_t images = p.rows - image < BLOCK_IMAGES ? p.rows - image : (int64_t)BLOCK_IMAGES;
    int depth = (int)images * p.out_h * p.out_w, left = depth - first;
    chains<EACH, 4> sums = {};

    /* This thread fetches column `mine` of the tile, and of the gradient if that has as many, at each STEP-th pixel. */
    int width = p.w * p.cin, n = column + mine, run = p.kernel * p.cin, y = n / run - p.pad;
    bool of_g = mine < M && channel + mine < p.cout, of_x = n < p.depth;
    float outside = n == p.depth ? 1.0f : 0.0f; /* of the bias */
    pixel at = {};
    at.g = p.g + image * p.g_pitch + channel + mine, at.x = p.x + image * p.x_pitch + (int64_t)y * width;
    at.i = n % run - p.pad * p.cin, at.y = y, at.limit = (unsigned)y < (unsigned)p.h ? (unsigned)width : 0;
    at.advance(p, first);
    float gs[FETCHES], xs[FETCHES];
    auto fetch = [&]() {
        for (int f = 0; f < FETCHES; f++) {
            bool more = f * STEP < left;
            gs[f] = more && of_g ? at.g[at.o] : 0.0f;
            xs[f] = more && of_x && (unsigned)at.i < at.limit ? at.x[at.i] : outside;
            at.advance(p, STEP);
        }
        left -= CHUNK;
    };
    fetch();

    int half = 0;
    auto arrive = [&]() {
        for (int f = 0; f < FETCHES; f++) {
            if (mine < M) a[half][(first + f * STEP) * M + mine] = gs[f]; /* read last before the last barrier */
            b[half][(first + f * STEP) * WEIGHTS + mine] = xs[f];
        }
        __syncthreads(); /* the chunk in a[half] and b[half] is complete, the one before is read by all */
        fetch();
    };
    int k = 0;
    for (; k + CHUNK <= depth; k += CHUNK, half ^= 1) {
        arrive();
        sums.template add<CHUNK>(a[half] + tm, M, b[half] + tn, WEIGHTS);
    }
    if (k < depth) { /* all threads of the block */
        arrive();
        sums.add(a[half] + tm, M, b[half] + tn, WEIGHTS, depth - k);
    }

    float *to = p.sums + (int64_t)blockIdx.z * p.cout * p.columns;
    for (int m = 0; m < EACH; m++)
        for (int c = 0; c < 4; c++)
            if (channel + tm + m < p.cout && column + tn + c < p.columns)
                to[(int64_t)(channel + tm + m) * p.columns + column + tn + c] = sums.sum[m][c];
}

/* grid ceil(cout columns / THREADS), block THREADS.  out [cout, depth], bias [cout] (+)= the blocks' sums in order. */
__global__ void fold(const float *sums, int count, int64_t cout, int64_t columns, int64_t depth, int first, float *out,
                     float *bias)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, co = t / columns, n = t % columns;
    if (co >= cout) return;
    float *to = n < depth ? out + co * depth + n : bias + co, total = first ? 0.0f : *to;
    for (int b = 0; b < count; b++) total += sums[b * cout * columns + t];
    *to = total;
}

} // namespace

sluice_status cuda_op_conv_weight(sluice_exec *x, const sluice_op_conv_weight_args *a)
{
    op_run r(x, "conv_weight");
    const sluice_conv_shape *q = &a->shape;
    check_size(r, *q);
    sluice_view g = r.in(a->g), rows = r.in(a->x);
    int64_t depth = q->kernel * q->kernel * q->cin;
    float *out = r.out(a->out, q->cout * depth), *bias = r.out(a->bias, q->cout);
    if (library_conv_weight(r, *q, g, rows, out)) depth = 0; /* what is left are the sums of g */
    int64_t columns = depth + (bias ? 1 : 0), size = q->cout * columns;
    if (!columns) return r.end();
    int64_t images = (rows.rows + BLOCK_IMAGES - 1) / BLOCK_IMAGES, wave = WAVE_FLOATS / size;
    wave = wave < 1 ? 1 : wave > WAVE_BLOCKS ? (int64_t)WAVE_BLOCKS : wave;
    weight_sums p = {};
    p.g = (const float *)g.data, p.g_pitch = (int64_t)(g.stride / sizeof(float));
    p.x = (const float *)rows.data, p.x_pitch = (int64_t)(rows.stride / sizeof(float)), p.rows = rows.rows;
    p.h = (int)q->h, p.w = (int)q->w, p.cin = (int)q->cin, p.cout = (int)q->cout, p.kernel = (int)q->kernel;
    p.stride = (int)q->stride, p.pad = (int)q->pad, p.out_h = (int)q->out_h, p.out_w = (int)q->out_w;
    p.depth = (int)depth, p.columns = (int)columns, p.sums = r.scratch<float>((images < wave ? images : wave) * size);
    do { /* once more than never: no images give zeros */
        int64_t count = images - p.first < wave ? images - p.first : wave;
        bool large = q->cout > 32;
        dim3 grid((unsigned)((columns + WEIGHTS - 1) / WEIGHTS),
                  (unsigned)((q->cout + (large ? 63 : 31)) / (large ? 64 : 32)), (unsigned)count);
        r.launch(large ? weight<64> : weight<32>, grid, THREADS, 0, p);
        r.launch(fold, blocks(size, THREADS), THREADS, 0, p.sums, (int)count, q->cout, columns, depth, p.first == 0,
                 out, bias);
        p.first += wave;
    } while (p.first < images);
    return r.end();
}
