/* gate.cu - gradient through relu on a GPU, a thread per element.  Twin: gate.c. */
#include "cuda.h"

enum { THREADS = 256 };

/* grid ceil(n c / THREADS), block THREADS.  y, g [n, c]. */
/* sass: kernel=gate registers<=32 local=0 */
__global__ static void gate(sluice_view y, sluice_view g)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, i = t / g.cols, j = t % g.cols;
    if (i >= g.rows) return;
    float *p = view_row<float>(g, i) + j, o = view_row<const float>(y, i)[j];
    *p = o > 0.0f ? *p : o == o ? 0.0f : o;
}

sluice_status cuda_op_gate(sluice_exec *x, const sluice_op_gate_args *a)
{
    op_run r(x, "gate");
    sluice_view y = r.in(a->y), g = r.inout(a->g);
    r.launch(gate, blocks(g.rows * g.cols, THREADS), THREADS, 0, y, g);
    return r.end();
}
