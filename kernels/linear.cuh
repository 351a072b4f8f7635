/* linear.cuh - rows times packed weights plus bias, the scores of the result, or both: what forward.cu and scan.cu
 * share.  At most 16 classes: few.cu.  More: tile.cu. */
#ifndef LINEAR_CUH
#define LINEAR_CUH

#include "reduce.cuh"

struct linear {
    sluice_view x;
    const float *packed, *bias; /* [ceil(c/16)][d][16], of either side; [c] or NULL */
    int64_t c;
    int relu;
    sluice_view out; /* logits; data NULL: not wanted */
    bool scored;
    scorer scores;
};

void few_classes(op_run &r, const linear &p); /* packed of either side */
void tile_classes(op_run &r, const linear &p);

inline void linear_run(op_run &r, linear p)
{
    if (p.x.rows == 0) return; /* the weights may be missing */
    if (p.c <= 16) return few_classes(r, p);
    p.packed = r.in(p.packed, (int64_t)sluice_packed_floats(p.c, p.x.cols));
    tile_classes(r, p);
}

/* The finished value of a sum: -0 becomes +0, every NaN the same NaN. */
__device__ __forceinline__ float linear_stored(float sum, int relu)
{
    float y = ex_or_nan(sum + 0.0f);
    return !relu || y > 0.0f || y != y ? y : 0.0f;
}

#endif
