/* loss.cu - weighted softmax cross-entropy and its gradient on a GPU.  Twin: loss.c, which has the formulas.
 *
 * Sixteen lanes share a row, one for each partial sum of uncertainty.h: lane p takes the classes p, p + 16, ... in
 * order, and the fold by halves is four shuffles.  The losses of rows are added by a second kernel, one thread for each
 * block of 4,096 rows because that sum has an order; a third adds the blocks.
 *
 * Traffic a row: 4 c bytes read from memory, twice more from cache, 4 c written where the gradient is wanted; 9 bytes
 * between the kernels. */
#include "cuda.h"
#include "uncertainty.h"

enum { THREADS = 256, LANES = 16, BLOCK_ROWS = 4096 };

struct arguments {
    sluice_view logits, grad; /* [n, c]; grad.data NULL: not wanted */
    const int32_t *target;    /* [n] */
    const float *weight;      /* [c] or NULL */
    float grad_scale;
};

/* Largest z of the row and its lowest class, -1 if a logit is not finite; the same in all 16 lanes. */
static __device__ __forceinline__ int32_t row_best(const float *z, int64_t c, int lane, float *most)
{
    int32_t best = lane < c ? lane : 0;
    int bad = 0;
    float largest = z[best];
    for (int64_t j = lane; j < c; j += LANES) {
        float v = z[j];
        bad |= !ex_finite(v);
        if (v > largest) largest = v, best = (int32_t)j;
    }
#pragma unroll
    for (int d = LANES / 2; d > 0; d /= 2) {
        float other = __shfl_xor_sync(~0u, largest, d);
        int32_t at = __shfl_xor_sync(~0u, best, d);
        bad |= __shfl_xor_sync(~0u, bad, d);
        if (other > largest || (other == largest && at < best)) largest = other, best = at;
    }
    *most = largest;
    return bad ? -1 : best;
}

static __device__ __forceinline__ float class_exp(float z, float z1) { return ex_exp(ex_gap(ex_logit(z, 1.0f), z1)); }

/* S; the same in all 16 lanes. */
static __device__ __forceinline__ float row_sum(const float *z, int64_t c, int lane, int32_t best, float z1)
{
    float total = 0.0f;
    for (int64_t from = 0; from < c; from += EX_BLOCK_CLASSES) {
        int64_t to = c - from < EX_BLOCK_CLASSES ? c : from + EX_BLOCK_CLASSES;
        float s = 0.0f;
        for (int64_t j = from + lane; j < to; j += LANES)
            if (j != best) s += class_exp(z[j], z1);
        total += s;
    }
#pragma unroll
    for (int d = LANES / 2; d > 0; d /= 2) total += __shfl_xor_sync(~0u, total, d); /* a + b is b + a: as ex_fold16 */
    return total;
}

/* This lane's classes; grad may be logits itself: a lane reads and writes its own classes alone. */
static __device__ __forceinline__ void row_gradient(const float *z, float *g, int64_t c, int lane, int32_t target,
                                                    int32_t best, float z1, float s, float scale)
{
    float sum = 1.0f + s;
    for (int64_t j = lane; j < c; j += LANES) {
        float p = j == best ? 1.0f / sum : class_exp(z[j], z1) / sum;
        float q = j != target ? p : j == best ? -(s / sum) : p - 1.0f;
        g[j] = best < 0 ? ex_nan() : scale * q + 0.0f;
    }
}

/* grid ceil(n / (THREADS / LANES)), block THREADS, no shared memory.  out: loss [n] of each row, hit [n] 1 where its
 * argmax is the target. */
/* sass: kernel=loss_rows registers<=40 local=0 */
__global__ static void loss_rows(arguments a, double *loss, uint8_t *hit)
{
    int64_t row = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES, c = a.logits.cols;
    int lane = (int)threadIdx.x % LANES;
    bool past = row >= a.logits.rows; /* such lanes go along, on the last row, for the shuffles' sake */
    int64_t i = past ? a.logits.rows - 1 : row;
    const float *z = view_row<const float>(a.logits, i);
    int32_t target = a.target[i];
    float most, weight = a.weight ? a.weight[target] : 1.0f;
    int32_t best = row_best(z, c, lane, &most);
    float z1 = ex_logit(most, 1.0f), s = row_sum(z, c, lane, best, z1);
    if (past) return;             /* after the last shuffle */
    if (lane == target % LANES) { /* the lane that will overwrite z[target] if grad is logits */
        double l = (double)weight * ((double)most - (double)z[target] + (double)ex_log1p(s));
        loss[i] = best < 0 ? (double)ex_nan() : l;
        hit[i] = best == target;
    }
    if (a.grad.data) row_gradient(z, view_row<float>(a.grad, i), c, lane, target, best, z1, s, weight * a.grad_scale);
}

/* grid ceil(n / BLOCK_ROWS), block THREADS, 2 KiB of shared memory.  sum, hits (or NULL): one per block of rows. */
__global__ static void loss_blocks(const double *loss, const uint8_t *hit, int64_t n, double *sum, int64_t *hits)
{
    __shared__ double some[THREADS];
    int64_t from = (int64_t)blockIdx.x * BLOCK_ROWS, to = n - from < BLOCK_ROWS ? n : from + BLOCK_ROWS, count = 0;
    double all = 0.0;
    for (int64_t i = from; i < to; i += THREADS) {
        int64_t mine = i + threadIdx.x, here = to - i < THREADS ? to - i : (int64_t)THREADS;
        if (mine < to) some[threadIdx.x] = loss[mine];
        count += __syncthreads_count(mine < to && hit[mine]); /* also: some[] is full */
        for (int64_t k = 0; k < here && threadIdx.x == 0; k++) all += some[k];
        __syncthreads(); /* thread 0 has read some[] */
    }
    if (threadIdx.x) return;
    sum[blockIdx.x] = all;
    if (hits) hits[blockIdx.x] = count;
}

/* One thread.  out_sum, out_correct of the blocks' sums in order. */
__global__ static void loss_total(const double *sum, const int64_t *hits, int64_t blocks, double *out_sum,
                                  int64_t *out_correct)
{
    double all = 0.0;
    int64_t correct = 0;
    for (int64_t b = 0; b < blocks; b++) all += sum[b], correct += hits[b];
    *out_sum = all;
    if (out_correct) *out_correct = correct;
}

sluice_status cuda_op_loss(sluice_exec *x, const sluice_op_loss_args *a)
{
    op_run r(x, "loss");
    int64_t n = a->logits.rows, parts = (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
    arguments p = { r.in(a->logits), r.out(a->grad), r.in(a->target, n), r.in(a->weight, a->logits.cols),
                    a->grad_scale };
    double *out_sum = r.out(a->out_sum, 1), *loss = r.scratch<double>(n);
    int64_t *out_correct = r.out(a->out_correct, 1);
    uint8_t *hit = r.scratch<uint8_t>(n);
    double *sum = parts == 1 ? out_sum : r.scratch<double>(parts); /* a single block's sums are the outcome */
    int64_t *hits = parts == 1 ? out_correct : r.scratch<int64_t>(parts);
    r.launch(loss_rows, blocks(n, THREADS / LANES), THREADS, 0, p, loss, hit);
    r.launch(loss_blocks, blocks(n, BLOCK_ROWS), THREADS, 0, loss, hit, n, sum, hits);
    if (parts != 1) r.launch(loss_total, 1, 1, 0, sum, hits, parts, out_sum, out_correct);
    return r.end();
}
