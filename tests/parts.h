/* parts.h - the gradient that an optimizer's step takes, which comes in parts. */
#ifndef PARTS_H
#define PARTS_H

#include <stdint.h>

/* ((part[0] + part[apart]) + part[2 apart]) + ..., each sum a float. */
static inline double ref_sum(const float *part, int64_t more, int64_t apart)
{
    float sum = part[0];
    for (int64_t p = 1; p <= more; p++) sum += part[p * apart];
    return (double)sum;
}

#endif
