/* libraries.h - products and convolutions by cuBLAS and cuDNN where x->math is SLUICE_MATH_LIBRARY; NCCL.
 *
 * The plug-in links none of them: libraries.cu opens them at first use.  A library_... call returns false, having done
 * nothing, where the math is another, the library is missing or does not take the shapes: the caller's own kernels then
 * compute the same to within rounding.  true: done, or failed, which r.end() tells.
 *
 *     if (!library_product(r, g, x, a->accumulate, out)) ... our own ...
 *
 * All views and pointers are on the device. */
#ifndef LIBRARIES_H
#define LIBRARIES_H

#include "cuda.h"

bool library_forward(op_run &r, const sluice_view &x, const float *packed, const float *bias, int64_t c, int relu,
                     const sluice_view &out);
/* Without the sums of g's columns. */
bool library_product(op_run &r, const sluice_view &g, const sluice_view &x, int accumulate, const sluice_view &out);

/* Images must follow each other without gaps.  conv_weight is without the sums of g. */
bool library_conv(op_run &r, const sluice_conv_shape &q, const sluice_view &x, const float *packed, const float *bias,
                  int relu, const sluice_view &out);
bool library_conv_input(op_run &r, const sluice_conv_shape &q, const sluice_view &g, const float *w,
                        const sluice_view &out);
bool library_conv_weight(op_run &r, const sluice_conv_shape &q, const sluice_view &g, const sluice_view &x, float *out);

void libraries_close(cuda_lane *lane);             /* what the lane holds of them */
void libraries_describe(char *text, size_t bytes); /* "cuBLAS 13.1, cuDNN missing (...), ..." */

/* The table's: by NCCL, or through host memory where that is missing, or two execs share a device. */
sluice_status cuda_broadcast(sluice_exec *const *x, int count, void *const *p, size_t bytes);
sluice_status cuda_gather(sluice_exec *const *x, int count, const void *const *from, void *const *to, size_t bytes);

#endif
