/* pack.cu - weights into the packed layout [ceil(c/16)][d][16] on a GPU, a thread per packed float.  Twin: pack.c. */
#include "cuda.h"

enum { THREADS = 256 };

/* grid ceil(16 d ceil(c/16) / THREADS), block THREADS.  w [c, d], or [d, c] if transpose; class lanes above c zero. */
__global__ static void pack(sluice_view w, int transpose, int64_t c, int64_t d, float *out)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, k = t / 16 % d, j = t / 16 / d * 16 + t % 16;
    if (t >= (c + 15) / 16 * 16 * d) return;
    out[t] = j >= c ? 0.0f : transpose ? view_row<const float>(w, k)[j] : view_row<const float>(w, j)[k];
}

sluice_status cuda_op_pack(sluice_exec *x, const sluice_op_pack_args *a)
{
    op_run r(x, "pack");
    sluice_view w = r.in(a->w);
    int64_t c = a->transpose ? w.cols : w.rows, d = a->transpose ? w.rows : w.cols;
    int64_t floats = (int64_t)sluice_packed_floats(c, d);
    float *out = r.out(a->out, floats);
    r.launch(pack, blocks(floats, THREADS), THREADS, 0, w, a->transpose, c, d, out);
    return r.end();
}
