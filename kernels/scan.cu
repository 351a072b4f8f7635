/* scan.cu - forward and score in one go on a GPU: logits stay in registers, in shared memory, or in half of the
 * second-level cache (few.cu, tile.cu).  Twin: scan.c. */
#include "linear.cuh"

/* Tensor cores: scan_fast.cu. */
sluice_status scan_fast(sluice_exec *x, const sluice_op_scan_args *a);

sluice_status cuda_op_scan(sluice_exec *x, const sluice_op_scan_args *a)
{
    if (x->math == SLUICE_MATH_FAST) return scan_fast(x, a);
    op_run r(x, "scan");
    linear p = {};
    p.x = r.in(a->x), p.out = r.out(a->logits);
    p.packed = a->packed, p.bias = r.in(a->bias, a->c);
    p.c = a->c;
    p.scored = true, p.scores = scorer_new(r, a->out, a->x.rows, a->c, a->temperature);
    linear_run(r, p);
    return r.end();
}
