/* finite.cu - which rows hold a NaN or an infinity, by their exponent bits, on a GPU.  Eight lanes share a row:
 * together they read one 128-byte line of it at a time.  Twin: finite.c.
 *
 * Traffic a row: its bytes once and one byte written; a scale alone where the values are integers. */
#include "cuda.h"
#include "exact.h"

enum { THREADS = 256, LANES = 8 };

/* Whether one of the values in 16 bytes has all bits of `exponent` set. */
template <class T> static __device__ __forceinline__ bool any_bad(uint4 bytes, T exponent)
{
    T v[16 / sizeof(T)];
    bool bad = false;
    memcpy(v, &bytes, sizeof v);
#pragma unroll
    for (size_t e = 0; e < sizeof v / sizeof *v; e++) bad |= (v[e] & exponent) == exponent;
    return bad;
}

/* grid ceil(n / (THREADS / LANES)), block THREADS, no shared memory.  x [n, d] of values as wide as T; bad [n]. */
/* sass: kernel=finite_rows registers<=40 local=0 ldg128 */
template <class T> __global__ static void finite_rows(sluice_view x, T exponent, uint8_t *bad)
{
    const int64_t per = 16 / sizeof(T);
    int64_t i = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES, whole = x.cols / per;
    int lane = (int)threadIdx.x % LANES, mine = 0;
    if (i < x.rows) { /* lanes past the last row go on to the shuffles */
        const T *row = view_row<const T>(x, i);
        for (int64_t q = lane; q < whole; q += LANES) mine |= any_bad(((const uint4 *)row)[q], exponent);
        for (int64_t k = whole * per + lane; k < x.cols; k += LANES) mine |= (row[k] & exponent) == exponent;
    }
#pragma unroll
    for (int d = LANES / 2; d > 0; d /= 2) mine |= __shfl_xor_sync(~0u, mine, d);
    if (i < x.rows && lane == 0) bad[i] = (uint8_t)mine;
}

/* grid ceil(n / THREADS), block THREADS.  scale, bad [n]. */
__global__ static void finite_scales(const float *scale, int64_t n, uint8_t *bad)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) bad[i] = scale && !ex_finite(scale[i]);
}

sluice_status cuda_op_finite(sluice_exec *x, const sluice_op_finite_args *a)
{
    op_run r(x, "finite");
    int64_t n = a->x.rows;
    dim3 grid = blocks(n, THREADS / LANES);
    uint8_t *bad = r.out(a->bad, n);
    if (a->x.type == SLUICE_I8 || a->x.type == SLUICE_U8) {
        const float *scale = r.in(a->x.scale, n);
        r.launch(finite_scales, blocks(n, THREADS), THREADS, 0, scale, n, bad);
        return r.end();
    }
    sluice_view v = r.in(a->x);
    switch (a->x.type) {
    case SLUICE_F16: r.launch(finite_rows<uint16_t>, grid, THREADS, 0, v, 0x7c00, bad); break;
    case SLUICE_BF16: r.launch(finite_rows<uint16_t>, grid, THREADS, 0, v, 0x7f80, bad); break;
    case SLUICE_F64: r.launch(finite_rows<uint64_t>, grid, THREADS, 0, v, 0x7ff0000000000000u, bad); break;
    default: r.launch(finite_rows<uint32_t>, grid, THREADS, 0, v, 0x7f800000u, bad); break;
    }
    return r.end();
}
