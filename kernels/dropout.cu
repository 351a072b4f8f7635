/* dropout.cu - zero entries by counter-based masks and rescale on a GPU, a thread per draw of four words, which are
 * four neighbouring entries.  Twin: dropout.c.
 *
 * Traffic an entry: 4 bytes read, 4 written, against about 25 integer operations of Philox. */
#include "cuda.h"
#include "four.h"
#include "philox.h"

enum { THREADS = 256 };

/* grid ceil(n ceil(d / 4) / THREADS), block THREADS, no shared memory.  x [n, d], in place; id of row 0. */
/* sass: kernel=dropout registers<=32 local=0 ldg128 */
__global__ static void dropout(sluice_view x, float rate, float scale, uint64_t seed, uint64_t id)
{
    int64_t draws = (x.cols + 3) / 4, t = (int64_t)blockIdx.x * THREADS + threadIdx.x, i = t / draws, q = t % draws;
    if (i >= x.rows) return; /* no barrier follows */
    float *p = view_row<float>(x, i) + 4 * q;
    int64_t left = x.cols - 4 * q;
    uint32_t word[4];
    ex_random4(seed, EX_DROPOUT, id + (uint64_t)i, (uint32_t)q, word);
    four v = load_four(p, left);
#pragma unroll
    for (int e = 0; e < 4; e++) v.v[e] = (float)(int32_t)(word[e] >> 8) * 0x1p-24f >= rate ? v.v[e] * scale : 0.0f;
    store_four(p, v, left);
}

sluice_status cuda_op_dropout(sluice_exec *x, const sluice_op_dropout_args *a)
{
    op_run r(x, "dropout");
    sluice_view v = r.inout(a->x);
    r.launch(dropout, blocks(v.rows * ((v.cols + 3) / 4), THREADS), THREADS, 0, v, a->rate, 1.0f / (1.0f - a->rate),
             a->seed, (a->step << 32) + (uint64_t)a->first);
    return r.end();
}
