/* forward.cu - rows times weights plus bias, optional relu, on a GPU.  Twin: forward.c.  The sums: few.cu, tile.cu. */
#include "libraries.h"
#include "linear.cuh"

sluice_status cuda_op_forward(sluice_exec *x, const sluice_op_forward_args *a)
{
    op_run r(x, "forward");
    linear p = {};
    p.x = r.in(a->x), p.out = r.out(a->out);
    p.packed = a->packed, p.bias = r.in(a->bias, a->c);
    p.c = a->c, p.relu = a->relu;
    if (x->math == SLUICE_MATH_LIBRARY) {
        p.packed = r.in(p.packed, (int64_t)sluice_packed_floats(p.c, p.x.cols));
        if (library_forward(r, p.x, p.packed, p.bias, p.c, p.relu, p.out)) return r.end();
    }
    linear_run(r, p);
    return r.end();
}
