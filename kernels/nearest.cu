/* nearest.cu - the k nearest reference rows on a GPU: all canonical distances of a piece of rows, a thread owning 4 x 4 of
 * them, then a block selects among the m of one row.  Twin: nearest.c, whose filter only saves work. */
#include "cuda.h"
#include "exact.h"

namespace {

enum {
    TILE = 64, /* rows and references of a block */
    EACH = 4,  /* of a thread */
    SIDE = TILE / EACH,
    DEPTH = 16, /* features at a time */
    PITCH = TILE + 4,
    THREADS = SIDE * SIDE,
    DIGITS = 256
};
const size_t piece_bytes = (size_t)64 << 20; /* distances at a time */

/* Features k .. k+DEPTH-1 of TILE rows from `first` on, [DEPTH][PITCH]; zeros past the last row and feature. */
__device__ void load_tile(const sluice_view &v, int64_t first, int64_t k, float *to)
{
    for (int t = (int)threadIdx.x; t < TILE * DEPTH; t += THREADS) {
        int64_t i = first + t / DEPTH, f = k + t % DEPTH;
        to[t % DEPTH * PITCH + t / DEPTH] = i < v.rows && f < v.cols ? view_row<const float>(v, i)[f] : 0.0f;
    }
}

/* grid (tiles of references, tiles of rows), block THREADS.  x [n, d], y [m, d] -> out [n, m].  Features past the last are
 * equal zeros: they add 0 to a sum of squares. */
__global__ void __launch_bounds__(THREADS) distances(sluice_view x, sluice_view y, float *out)
{
    __shared__ float xs[DEPTH * PITCH], ys[DEPTH * PITCH];
    int64_t row = (int64_t)blockIdx.y * TILE, ref = (int64_t)blockIdx.x * TILE;
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;
    float sum[EACH][EACH] = {};
    for (int64_t k = 0; k < x.cols; k += DEPTH) {
        load_tile(x, row, k, xs), load_tile(y, ref, k, ys);
        __syncthreads(); /* the tile is whole */
        for (int f = 0; f < DEPTH; f++) {
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) {
                    float e = xs[f * PITCH + ty + i * SIDE] - ys[f * PITCH + tx + j * SIDE];
                    sum[i][j] = ex_fma(e, e, sum[i][j]);
                }
        }
        __syncthreads(); /* nobody reads it any more */
    }
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++) {
            int64_t r = row + ty + i * SIDE, c = ref + tx + j * SIDE;
            if (r < x.rows && c < y.rows) out[r * y.rows + c] = sum[i][j] == sum[i][j] ? sum[i][j] : ex_inf();
        }
}

/* Ascending in (distance, index), all keys of a row different.  Distances are never negative, so their bits order them. */
__device__ uint64_t key_of(const float *distance, int64_t j)
{
    return (uint64_t)ex_bits(distance[j]) << 32 | (uint64_t)j;
}

/* grid rows, block DIGITS.  The k-th smallest key, a digit of 8 bits at a time from the top; then its k keys, each to the
 * place that the number of smaller ones names. */
__global__ void __launch_bounds__(DIGITS)
    select(const float *all, int64_t m, int64_t k, uint64_t *kept, float *distance, int32_t *index)
{
    __shared__ unsigned count[DIGITS];
    __shared__ uint64_t prefix;
    __shared__ int64_t left;
    __shared__ unsigned taken;
    const float *row = all + (int64_t)blockIdx.x * m;
    uint64_t *mine = kept + (int64_t)blockIdx.x * k;
    int t = (int)threadIdx.x;
    if (t == 0) prefix = 0, left = k, taken = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        count[t] = 0;
        __syncthreads(); /* counts are 0, the prefix is set */
        uint64_t high = prefix;
        for (int64_t j = t; j < m; j += DIGITS) {
            uint64_t key = key_of(row, j);
            if (shift == 56 || key >> (shift + 8) == high) atomicAdd(&count[key >> shift & 255], 1u);
        }
        __syncthreads(); /* all are counted, everybody has read the prefix */
        if (t == 0) {
            int digit = 0;
            while (left > (int64_t)count[digit]) left -= count[digit++];
            prefix = high << 8 | (uint64_t)digit;
        }
        __syncthreads(); /* the prefix has grown by a digit, and nobody reads the counts any more */
    }
    for (int64_t j = t; j < m; j += DIGITS) {
        uint64_t key = key_of(row, j);
        if (key <= prefix) mine[atomicAdd(&taken, 1u)] = key;
    }
    __syncthreads(); /* all k are there, in any order */
    for (int64_t a = t; a < k; a += DIGITS) {
        int64_t smaller = 0;
        for (int64_t b = 0; b < k; b++) smaller += mine[b] < mine[a];
        distance[(int64_t)blockIdx.x * k + smaller] = ex_float((uint32_t)(mine[a] >> 32));
        index[(int64_t)blockIdx.x * k + smaller] = (int32_t)(uint32_t)mine[a];
    }
}

} // namespace

sluice_status cuda_op_nearest(sluice_exec *x, const sluice_op_nearest_args *a)
{
    op_run r(x, "nearest");
    int64_t n = a->x.rows, m = a->y.rows, k = a->k, most = (int64_t)(piece_bytes / sizeof(float)) / m / TILE * TILE;
    int64_t piece = most > (int64_t)TILE ? (most < n ? most : n) : (int64_t)TILE;
    sluice_view xs = r.in(a->x), ys = r.in(a->y);
    float *distance = r.out(a->distance, n * k), *all = r.scratch<float>(piece * m);
    int32_t *index = r.out(a->index, n * k);
    uint64_t *kept = r.scratch<uint64_t>(piece * k);
    for (int64_t i = 0; i < n && r.ok(); i += piece) {
        sluice_view part = sluice_rows_of(xs, i, n - i < piece ? n - i : piece);
        dim3 grid(blocks(m, TILE).x, blocks(part.rows, TILE).x);
        r.launch(distances, grid, THREADS, 0, part, ys, all);
        r.launch(select, dim3((unsigned)part.rows), DIGITS, 0, all, m, k, kept, distance + i * k, index + i * k);
    }
    return r.end();
}
