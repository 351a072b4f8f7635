/* convert.cu - rows of one type into another, standardised or L2-normalised on the way, on a GPU.  Twin: convert.c.
 *
 * A block takes 32 rows, eight neighbouring lanes one of them, eight values a lane at a time.  Where lengths are
 * needed, the rows first pass through shared memory in tiles of 64 columns, and the first warp follows 32 chains side
 * by side: a sum of squares is ascending.  Then the lanes read their rows again and write what becomes of them.
 *
 * Traffic a row: its bytes read once and written once.  With lengths or i8 scales it is read twice, the second time
 * from the second-level cache as long as 32 rows of every block under way fit there. */
#include "cuda.h"
#include "four.h"
#include "uncertainty.h" /* ex_or_nan */

enum { THREADS = 256, ROWS = 32, LANES = THREADS / ROWS, EACH = 8, TILE = LANES * EACH, PITCH = TILE + 1 };

struct conversion {
    sluice_view x, out;
    const float *mean; /* [d] or NULL */
    float divisor;     /* 0: none */
    int normalise;
    float *out_scale; /* of i8 rows */
};

/* ---- eight values ---- */

struct f16_bits {
    uint16_t h;
};
struct bf16_bits {
    uint16_t h;
};
static __device__ __forceinline__ float widen(float v) { return v; }
static __device__ __forceinline__ float widen(double v) { return (float)v; }
static __device__ __forceinline__ float widen(f16_bits v) { return ex_f16_to_f32(v.h); }
static __device__ __forceinline__ float widen(bf16_bits v) { return ex_bf16_to_f32(v.h); }
static __device__ __forceinline__ float widen(int8_t v) { return (float)v; }
static __device__ __forceinline__ float widen(uint8_t v) { return (float)v; }

/* Moved 16 bytes at a time, or all 8. */
template <class T> struct alignas(sizeof(T) == 1 ? 8 : 16) eight {
    T v[EACH];
};

/* Values k .. k+7 of a row, standardised; 0 past its end. */
template <class T>
static __device__ __forceinline__ void read_eight(const conversion &c, int64_t i, int64_t k, float v[EACH])
{
    const T *p = view_row<const T>(c.x, i) + k;
    int64_t left = c.x.cols - k;
    eight<T> from = {};
    if (left >= EACH) from = *(const eight<T> *)p; /* rows begin at multiples of 16 bytes */
    else
        for (int e = 0; e < EACH; e++)
            if (e < left) from.v[e] = p[e];
    for (int e = 0; e < EACH; e++) v[e] = widen(from.v[e]);
    if (c.x.scale)
        for (int e = 0; e < EACH; e++) v[e] = c.x.scale[i] * v[e];
    if (c.mean) {
        four a = load_four(c.mean + k, left), b = load_four(c.mean + k + 4, left - 4);
        for (int e = 0; e < EACH; e++) v[e] = v[e] - (e < 4 ? a.v[e % 4] : b.v[e % 4]);
    }
    if (c.divisor != 0.0f)
        for (int e = 0; e < EACH; e++) v[e] = v[e] / c.divisor;
    for (int e = 0; e < EACH; e++) v[e] = e < left ? ex_or_nan(v[e]) : 0.0f;
}

template <class T> static __device__ __forceinline__ void store_eight(T *p, const eight<T> &v, int64_t left)
{
    if (left >= EACH && (size_t)p % alignof(eight<T>) == 0) *(eight<T> *)p = v;
    else
        for (int e = 0; e < EACH; e++)
            if (e < left) p[e] = v.v[e];
}

static __device__ __forceinline__ int8_t to_i8(float v, float scale)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float q = scale > 0.0f ? v / scale : 0.0f;
    q = q > 127.0f ? 127.0f : q; /* a subnormal scale is coarse */
    q = q < -127.0f ? -127.0f : q;
    return (int8_t)((q + shift) - shift);
}

static __device__ __forceinline__ void write_eight(const conversion &c, int64_t i, int64_t k, const float v[EACH],
                                                   float scale)
{
    int64_t left = c.out.cols - k;
    if (c.out.type == SLUICE_F32) {
        eight<float> to;
        for (int e = 0; e < EACH; e++) to.v[e] = v[e];
        store_eight(view_row<float>(c.out, i) + k, to, left);
    } else if (c.out.type == SLUICE_I8) {
        eight<int8_t> to;
        for (int e = 0; e < EACH; e++) to.v[e] = to_i8(v[e], scale);
        store_eight(view_row<int8_t>(c.out, i) + k, to, left);
    } else {
        eight<uint16_t> to;
        for (int e = 0; e < EACH; e++) to.v[e] = c.out.type == SLUICE_F16 ? ex_f32_to_f16(v[e]) : ex_f32_to_bf16(v[e]);
        store_eight(view_row<uint16_t>(c.out, i) + k, to, left);
    }
}

/* ---- what a row is divided by ---- */

static __device__ __forceinline__ float normalised(float v, float squares)
{
    return squares == 0.0f ? 0.0f : ex_or_nan(v / ex_sqrt(squares));
}

/* The step of an i8 row.  Division by a length keeps the order of magnitudes, so the largest stays the largest. */
static __device__ __forceinline__ float row_step(const conversion &c, uint32_t most, float squares)
{
    float largest = most < 0x7f800000u ? ex_float(most) : ex_nan();
    if (c.normalise) largest = normalised(largest, squares);
    return ex_or_nan(largest / 127.0f);
}

/* Sum of squares and largest magnitude, as bits, of row t / LANES for thread t.  All threads come here, also those of
 * rows past the last, which read nothing. */
template <class T>
static __device__ __forceinline__ void measure(const conversion &c, int64_t i, uint32_t *out_most, float *out_squares)
{
    __shared__ float tile[2][ROWS][PITCH], squares[ROWS]; /* the pitch puts the rows of a column into 32 banks */
    int row = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    uint32_t most = 0;
    float sum = 0.0f;
    for (int64_t k = 0, turn = 0; k < c.x.cols; k += TILE, turn ^= 1) {
        float v[EACH] = { 0, 0, 0, 0, 0, 0, 0, 0 };
        if (i < c.x.rows && k + lane * EACH < c.x.cols) read_eight<T>(c, i, k + lane * EACH, v);
        for (int e = 0; e < EACH; e++) {
            uint32_t size = ex_bits(v[e]) & 0x7fffffffu;
            most = size > most ? size : most;
            tile[turn][row][lane * EACH + e] = v[e];
        }
        __syncthreads(); /* the tile is full; the first warp is done with the one before, which is filled next */
        if (threadIdx.x < ROWS)
            for (int e = 0; e < TILE; e++) sum = ex_fma(tile[turn][threadIdx.x][e], tile[turn][threadIdx.x][e], sum);
    }
    if (threadIdx.x < ROWS) squares[threadIdx.x] = sum;
    for (int d = LANES / 2; d > 0; d /= 2) {
        uint32_t other = __shfl_xor_sync(~0u, most, d);
        most = other > most ? other : most;
    }
    __syncthreads(); /* squares[] is full, and with rows converted in place: all were read */
    *out_most = most, *out_squares = squares[row];
}

/* grid ceil(n / ROWS), block THREADS, 17 KiB of shared memory: five blocks a multiprocessor.
 * x [n, d] of T, out [n, d], out_scale [n]. */
/* sass: kernel=convert_rows registers<=48 shared<=17408 local=0 ldg128 */
template <class T> __global__ static void convert_rows(conversion c)
{
    int64_t i = (int64_t)blockIdx.x * ROWS + threadIdx.x / LANES;
    int lane = (int)threadIdx.x % LANES;
    uint32_t most = 0;
    float squares = 0.0f, step = 0.0f;
    if (c.normalise || c.out.type == SLUICE_I8) measure<T>(c, i, &most, &squares); /* the same for the whole block */
    if (i >= c.x.rows) return;                                                     /* no barrier follows */
    if (c.out.type == SLUICE_I8) {
        step = row_step(c, most, squares);
        if (lane == 0) c.out_scale[i] = step;
    }
    for (int64_t k = lane * EACH; k < c.x.cols; k += TILE) {
        float v[EACH];
        read_eight<T>(c, i, k, v);
        if (c.normalise)
            for (int e = 0; e < EACH; e++) v[e] = normalised(v[e], squares);
        write_eight(c, i, k, v, step);
    }
}

sluice_status cuda_op_convert(sluice_exec *x, const sluice_op_convert_args *a)
{
    static void (*const kernels[])(
        conversion) = { convert_rows<float>,  convert_rows<f16_bits>, convert_rows<bf16_bits>,
                        convert_rows<double>, convert_rows<int8_t>,   convert_rows<uint8_t> }; /* by sluice_type */
    op_run r(x, "convert");
    sluice_view from = a->x;
    if (from.type != SLUICE_I8 && from.type != SLUICE_U8) from.scale = nullptr;
    conversion c = { r.in(from), r.out(a->out), r.in(a->mean, a->x.cols),
                     a->divisor, a->normalise,  a->out.type == SLUICE_I8 ? r.out(a->out_scale, a->x.rows) : nullptr };
    r.launch(kernels[from.type], blocks(a->x.rows, ROWS), THREADS, 0, c);
    return r.end();
}
