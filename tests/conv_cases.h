/* conv_cases.h - the shapes that the tests of conv and its gradients visit, and what a window is: which input pixel
 * output pixel (oy, ox) meets at tap (ky, kx). */
#ifndef CONV_CASES_H
#define CONV_CASES_H

#include "harness.h"
#include "ref.h"

static const struct conv_case {
    int64_t n, h, w, cin, cout, kernel, stride, pad;
} conv_cases[] = {
    { 1, 1, 1, 1, 1, 1, 1, 0 },    { 1, 1, 1, 2, 3, 3, 1, 1 },   { 3, 5, 4, 1, 16, 3, 1, 1 },
    { 2, 7, 9, 3, 17, 3, 1, 1 },   { 2, 8, 8, 4, 32, 3, 2, 1 },  { 2, 9, 7, 2, 33, 5, 1, 2 },
    { 2, 11, 10, 3, 5, 5, 2, 2 },  { 2, 6, 31, 5, 48, 1, 1, 0 }, { 3, 6, 6, 2, 7, 1, 2, 0 },
    { 2, 5, 6, 3, 18, 3, 1, 0 },   { 1, 10, 10, 2, 9, 3, 3, 2 }, { 9, 4, 4, 16, 16, 3, 1, 1 },
    { 17, 3, 15, 2, 31, 3, 1, 1 }, { 2, 28, 28, 1, 8, 5, 4, 2 }, { 133, 2, 2, 1, 3, 3, 1, 1 },
    { 0, 4, 4, 2, 3, 3, 1, 1 },
};
enum { CONV_CASES = sizeof conv_cases / sizeof *conv_cases };

static inline sluice_conv_shape conv_shape(const struct conv_case *k)
{
    return (sluice_conv_shape){ k->h,
                                k->w,
                                k->cin,
                                k->cout,
                                k->kernel,
                                k->stride,
                                k->pad,
                                (k->h + 2 * k->pad - k->kernel) / k->stride + 1,
                                (k->w + 2 * k->pad - k->kernel) / k->stride + 1 };
}

/* Pixel of the image under a tap, or -1 in the padding. */
static inline int64_t conv_pixel(const sluice_conv_shape *q, int64_t oy, int64_t ox, int64_t ky, int64_t kx)
{
    int64_t y = oy * q->stride + ky - q->pad, x = ox * q->stride + kx - q->pad;
    return y < 0 || y >= q->h || x < 0 || x >= q->w ? -1 : y * q->w + x;
}

#endif
