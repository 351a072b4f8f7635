/* step.h - what both twins of adam compute once a step. */
#ifndef STEP_H
#define STEP_H

#include <stdint.h>

/* b^n by squaring: multiplications alone, so that no libm decides a bit. */
static inline double step_power(double b, int64_t n)
{
    double p = 1.0;
    for (; n > 0; n /= 2, b *= b)
        if (n % 2) p *= b;
    return p;
}

/* 1 - beta^step: what a running average has seen of its weight. */
static inline float step_gain(float beta, int64_t step) { return (float)(1.0 - step_power((double)beta, step)); }

#endif
