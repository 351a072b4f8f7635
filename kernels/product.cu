/* product.cu - the gradient of a product's weights on a GPU: out [c, d] = sum over rows of g^T x.  Twin: product.c.
 *
 * A block owns a tile of out and streams all rows past it, CHUNK at a time, STAGES - 1 chunks ahead of the sums.  A sum
 * is one chain over all rows, so nothing but c x d gives parallel work and a chain takes a FMA's latency a row:
 *
 *   wide     64 x 64, 4 x 4 sums a thread, where c x d gives every multiprocessor a tile: 512 bytes a row for 4096 FMAs
 *   middle   32 x 32, 4 x 2 sums a thread: 256 bytes for 1024, where c x d gives most of them one
 *   narrow   16 classes x 8 columns, 2 x 1 sums a thread: as many blocks as possible and short steps, for few classes
 *
 * The sums of g's columns are the same chain against a column of ones: one more tile of columns. */
#include "chains.h"
#include "cuda.h"
#include "libraries.h"

namespace {

template <int M_, int N_, int TM_, int TN_, int CHUNK_, int STAGES_> struct tiling {
    enum {
        M = M_, /* columns of g */
        N = N_, /* columns of x */
        TM = TM_,
        TN = TN_,
        CHUNK = CHUNK_, /* rows */
        STAGES = STAGES_,
        PITCH = M + N,
        THREADS = M / TM * (N / TN)
    };
};
typedef tiling<64, 64, 4, 4, 32, 3> wide;
typedef tiling<32, 32, 4, 2, 32, 3> middle;
typedef tiling<16, 8, 2, 1, 64, 4> narrow;

__device__ const float one[4] = { 1, 0, 0, 0 };

/* A thread's part in bringing rows of WIDTH columns into shared memory: 16 bytes of every STEP-th row of a chunk.  Its
 * addresses are sums, never products: their arithmetic would take as long as the FMAs. */
template <class T, int WIDTH> struct panel {
    enum { STEP = T::THREADS / (WIDTH / 4), FETCHES = T::CHUNK / STEP };
    const char *at; /* this thread's part of its first row of the next chunk */
    size_t stride;
    int64_t left;     /* rows from there on */
    int bytes, place; /* 0 to 16 of them lie in the view; where they go in a chunk */

    /* Columns from .. from+WIDTH-1 of v, to column `to` of the chunk. */
    __device__ __forceinline__ panel(const sluice_view &v, int64_t from, int to)
    {
        int i = (int)threadIdx.x / (WIDTH / 4), j = (int)threadIdx.x % (WIDTH / 4) * 4;
        int64_t columns = v.cols - from - j;
        at = (const char *)(view_row<const float>(v, i) + from + j), stride = v.stride, left = v.rows - i;
        bytes = columns >= 4 ? 16 : columns > 0 ? (int)columns * 4 : 0, place = i * T::PITCH + to + j;
    }
    /* The next chunk; zeros outside the view. */
    __device__ __forceinline__ void fetch(float *chunk)
    {
#pragma unroll
        for (int i = 0; i < FETCHES; i++)
            gpu::copy16_part_async(chunk + place + i * STEP * T::PITCH, at + i * STEP * stride,
                                   i * STEP < left ? bytes : 0);
        at += T::CHUNK * stride, left -= T::CHUNK;
    }
};

/* grid (ceil(d / N) + 1 with bias, ceil(c / M)), block THREADS, static shared memory 48 KiB (wide), 24 KiB (others).
 * g [n, c], x [n, d], out [c, d], bias [c]. */
/* sass: kernel=product<tiling<64 registers<=80 shared<=49152 local=0 ffma>=75% ldg128 */
/* sass: kernel=product<tiling<32 registers<=80 shared<=24576 local=0 ffma>=60% ldg128 */
/* sass: kernel=product<tiling<16 registers<=96 shared<=24576 local=0 ldg128 */
template <class T>
__global__ void __launch_bounds__(T::THREADS)
    product(sluice_view g, sluice_view rows, sluice_view out, float *bias, int accumulate)
{
    __shared__ __align__(16) float shared[T::STAGES][T::CHUNK * T::PITCH];
    int64_t gj = (int64_t)blockIdx.y * T::M, xj = (int64_t)blockIdx.x * T::N, n = g.rows;
    bool ones = bias && blockIdx.x == gridDim.x - 1; /* all rows of x are those four, out is the column of bias */
    sluice_view x = { ones ? (void *)one : rows.data, n, ones ? 1 : rows.cols, ones ? 0 : rows.stride, rows.type, 0 };
    sluice_view to = { ones ? bias : out.data, g.cols, x.cols, ones ? sizeof(float) : out.stride, out.type, 0 };
    if (ones) xj = 0;
    int tm = (int)threadIdx.x / (T::N / T::TN) * T::TM, tn = (int)threadIdx.x % (T::N / T::TN) * T::TN;
    chains<T::TM, T::TN> sums;
    for (int i = 0; i < T::TM; i++)
        for (int j = 0; j < T::TN; j++) {
            bool inside = gj + tm + i < to.rows && xj + tn + j < to.cols;
            sums.sum[i][j] = accumulate && inside ? view_row<float>(to, gj + tm + i)[xj + tn + j] : 0.0f;
        }

    panel<T, T::M> gs(g, gj, 0);
    panel<T, T::N> xs(x, xj, T::M);
    int64_t chunks = (n + T::CHUNK - 1) / T::CHUNK;
    for (int s = 0; s < T::STAGES - 1; s++) {
        if (s < chunks) gs.fetch(shared[s]), xs.fetch(shared[s]);
        gpu::copies_commit(); /* also where there is no such chunk: the count of groups is the count of chunks */
    }
    int stage = 0;
    auto arrive = [&](int64_t t) {
        gpu::copies_wait<T::STAGES - 2>();
        __syncthreads(); /* every thread's part of chunk t is in shared[stage]; chunk t - 1 is read, its place free */
        int ahead = stage ? stage - 1 : T::STAGES - 1;
        if (t + T::STAGES - 1 < chunks) gs.fetch(shared[ahead]), xs.fetch(shared[ahead]);
        gpu::copies_commit();
    };
    int64_t whole = n / T::CHUNK;
    for (int64_t t = 0; t < whole; t++) {
        arrive(t);
        sums.template add<T::CHUNK>(shared[stage] + tm, T::PITCH, shared[stage] + T::M + tn, T::PITCH);
        stage = stage + 1 < T::STAGES ? stage + 1 : 0;
    }
    if (whole < chunks) { /* all threads of the block */
        arrive(whole);
        sums.add(shared[stage] + tm, T::PITCH, shared[stage] + T::M + tn, T::PITCH, (int)(n - whole * T::CHUNK));
    }

    for (int i = 0; i < T::TM; i++)
        for (int j = 0; j < T::TN; j++)
            if (gj + tm + i < to.rows && xj + tn + j < to.cols)
                view_row<float>(to, gj + tm + i)[xj + tn + j] = sums.sum[i][j];
}

enum { MULTIPROCESSORS = 128 }; /* about: 108 on an A100, 132 on an H100, 148 on a B200.  No bit depends on it */

template <class T> int64_t tiles(int64_t c, int64_t d) { return ((c + T::M - 1) / T::M) * ((d + T::N - 1) / T::N); }

template <class T>
void launch(op_run &r, const sluice_view &g, const sluice_view &x, const sluice_view &out, float *bias, int accumulate)
{
    dim3 grid((unsigned)((x.cols + T::N - 1) / T::N + (bias ? 1 : 0)), (unsigned)((g.cols + T::M - 1) / T::M));
    r.launch(product<T>, grid, T::THREADS, 0, g, x, out, bias, accumulate);
}

} // namespace

sluice_status cuda_op_product(sluice_exec *x, const sluice_op_product_args *a)
{
    op_run r(x, "product");
    sluice_view g = r.in(a->g), rows = r.in(a->x), out = a->accumulate ? r.inout(a->out) : r.out(a->out);
    float *bias = a->accumulate ? r.inout(a->bias, g.cols) : r.out(a->bias, g.cols);
    int64_t wides = tiles<wide>(g.cols, rows.cols), middles = tiles<middle>(g.cols, rows.cols);
    if (library_product(r, g, rows, a->accumulate, out)) rows.cols = 0; /* what is left are the sums of g's columns */
    if (wides >= MULTIPROCESSORS) launch<wide>(r, g, rows, out, bias, a->accumulate);
    else if (g.cols > narrow::M && middles >= MULTIPROCESSORS / 2) launch<middle>(r, g, rows, out, bias, a->accumulate);
    else launch<narrow>(r, g, rows, out, bias, a->accumulate);
    return r.end();
}
