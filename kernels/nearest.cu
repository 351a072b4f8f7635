/* nearest.cu - the k nearest reference rows on a GPU: all canonical distances of a piece of rows (distances.cuh),
 * then a block selects among the m of one row.  For k = 1, which is k-means and k-center, distances are never
 * written: the smallest is kept where it is made.  Twin: nearest.c, whose filter only saves work. */
#include "distances.cuh"

namespace {

using distances::EACH;
using distances::SIDE;
using distances::THREADS;
using distances::TILE;
enum {
    DIGITS = 256,
    FEW = 1024,         /* references: their keys fit shared memory, and each finds its rank by counting */
    MOST_TILES = 65535, /* a grid's limit but for x */
    MOST_SHARES = 64    /* of the references, for k = 1: blocks enough where rows are few */
};
const size_t piece_bytes = (size_t)64 << 20; /* distances at a time */

/* The thread's distances; one that is NaN counts as infinity. */
__device__ __forceinline__ void measure(const sluice_view &x, const sluice_view &y, int64_t row, int64_t ref,
                                        float sum[EACH][EACH])
{
    distances::measure(x, y, row, ref, sum);
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) sum[i][j] = sum[i][j] == sum[i][j] ? sum[i][j] : ex_inf();
}

/* grid (tiles of references, tiles of rows), block THREADS, 16 KiB.  x [n, d], y [m, d] -> out [n, m]. */
/* sass: kernel=all_distances registers<=64 fp32>=85% local=0 ldg128 */
__global__ void __launch_bounds__(THREADS, 4) all_distances(sluice_view x, sluice_view y, float *out)
{
    int64_t row = (int64_t)blockIdx.y * TILE, ref = (int64_t)blockIdx.x * TILE;
    float sum[EACH][EACH];
    measure(x, y, row, ref, sum);
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            int64_t r = distances::row_of(row, i), c = distances::other_of(ref, j);
            if (r < x.rows && c < y.rows) out[r * y.rows + c] = sum[i][j];
        }
}

/* Ascending in (distance, index), all keys of a row different.  Distances are never negative, so their bits order them. */
__device__ __forceinline__ uint64_t key_of(float distance, int64_t j)
{
    return (uint64_t)ex_bits(distance) << 32 | (uint64_t)j;
}

/* grid (tiles of rows, shares of the references), block THREADS.  best [n], all bits set before, gets the smallest key: a
 * minimum of integers is the same in any order.  16 KiB. */
/* sass: kernel=nearest_one registers<=80 fp32>=85% local=0 ldg128 */
__global__ void __launch_bounds__(THREADS, 3)
    nearest_one(sluice_view x, sluice_view y, int64_t share, unsigned long long *best)
{
    int64_t row = (int64_t)blockIdx.x * TILE, first = (int64_t)blockIdx.y * share;
    int64_t end = y.rows - first < share ? y.rows : first + share;
    unsigned long long least[EACH];
    for (int i = 0; i < EACH; i++) least[i] = ~0ull;
    for (int64_t ref = first; ref < end; ref += TILE) {
        float sum[EACH][EACH];
        measure(x, y, row, ref, sum);
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < EACH; j++) {
                int64_t c = distances::other_of(ref, j);
                uint64_t key = key_of(sum[i][j], c);
                if (c < end && key < least[i]) least[i] = key;
            }
    }
    for (int i = 0; i < EACH; i++) {
        for (int h = SIDE / 2; h; h /= 2) { /* the SIDE threads of a row lie side by side in a warp */
            unsigned long long other = __shfl_xor_sync(~0u, least[i], h);
            least[i] = other < least[i] ? other : least[i];
        }
        int64_t r = distances::row_of(row, i);
        if (threadIdx.x % SIDE == 0 && r < x.rows) atomicMin(&best[r], least[i]);
    }
}

/* grid ceil(n / THREADS), block THREADS. */
__global__ void split(const unsigned long long *best, int64_t n, float *distance, int32_t *index)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    distance[i] = ex_float((uint32_t)(best[i] >> 32));
    index[i] = (int32_t)(uint32_t)best[i];
}

/* grid rows, block DIGITS, m <= FEW. */
__global__ void __launch_bounds__(DIGITS)
    select_few(const float *all, int64_t m, int64_t k, float *distance, int32_t *index)
{
    __shared__ uint64_t keys[FEW];
    const float *row = all + (int64_t)blockIdx.x * m;
    for (int64_t j = threadIdx.x; j < m; j += DIGITS) keys[j] = key_of(row[j], j);
    __syncthreads(); /* all keys are there, and stay */
    for (int64_t j = threadIdx.x; j < m; j += DIGITS) {
        uint64_t key = keys[j];
        int64_t smaller = 0;
        for (int64_t i = 0; i < m; i++) smaller += keys[i] < key;
        if (smaller >= k) continue;
        distance[(int64_t)blockIdx.x * k + smaller] = row[j];
        index[(int64_t)blockIdx.x * k + smaller] = (int32_t)j;
    }
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
            uint64_t key = key_of(row[j], j);
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
        uint64_t key = key_of(row[j], j);
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

/* One neighbour of each row. */
void find_one(op_run &r, const sluice_view &x, const sluice_view &y, float *distance, int32_t *index)
{
    int64_t tiles = (y.rows + TILE - 1) / TILE, share = (tiles + MOST_SHARES - 1) / MOST_SHARES * TILE;
    unsigned long long *best = r.scratch<unsigned long long>(x.rows);
    dim3 grid(blocks(x.rows, TILE).x, blocks(y.rows, share).x);
    if (!r.ok() || !x.rows) return;
    r.check(cudaMemsetAsync(best, 0xFF, (size_t)x.rows * sizeof *best, r.stream()));
    r.launch(nearest_one, grid, THREADS, 0, x, y, share, best);
    r.launch(split, blocks(x.rows, THREADS), THREADS, 0, best, x.rows, distance, index);
}

/* k neighbours, a piece of rows at a time, so that their distances to all references find room. */
void find_some(op_run &r, const sluice_view &x, const sluice_view &y, int64_t k, float *distance, int32_t *index)
{
    int64_t n = x.rows, m = y.rows, most = (int64_t)(piece_bytes / sizeof(float)) / m / TILE * TILE;
    if (most > MOST_TILES * (int64_t)TILE) most = MOST_TILES * (int64_t)TILE;
    int64_t piece = most > (int64_t)TILE ? (most < n ? most : n) : (int64_t)TILE;
    float *all = r.scratch<float>(piece * m);
    uint64_t *kept = r.scratch<uint64_t>(m > FEW ? piece * k : 0);
    for (int64_t i = 0; i < n && r.ok(); i += piece) {
        sluice_view part = sluice_rows_of(x, i, n - i < piece ? n - i : piece);
        dim3 grid(blocks(m, TILE).x, blocks(part.rows, TILE).x);
        r.launch(all_distances, grid, THREADS, 0, part, y, all);
        dim3 rows((unsigned)part.rows);
        if (m <= FEW) r.launch(select_few, rows, DIGITS, 0, all, m, k, distance + i * k, index + i * k);
        else r.launch(select, rows, DIGITS, 0, all, m, k, kept, distance + i * k, index + i * k);
    }
}

} // namespace

sluice_status cuda_op_nearest(sluice_exec *x, const sluice_op_nearest_args *a)
{
    op_run r(x, "nearest");
    sluice_view xs = r.in(a->x), ys = r.in(a->y);
    float *distance = r.out(a->distance, a->x.rows * a->k);
    int32_t *index = r.out(a->index, a->x.rows * a->k);
    if (a->k == 1) find_one(r, xs, ys, distance, index);
    else find_some(r, xs, ys, a->k, distance, index);
    return r.end();
}
