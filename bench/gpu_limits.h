/* gpu_limits.h - what a GPU does at best, measured beside a bench: libgpu_limits.so, built by nvcc, opened by bench.c at
 * run time. */
#ifndef GPU_LIMITS_H
#define GPU_LIMITS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GPU_PRODUCT_F32, GPU_PRODUCT_TF32, GPU_PRODUCT_F16, GPU_PRODUCT_BF16 };

typedef struct gpu_limits {
    const char *(*open)(int device); /* NULL, or why nothing can be measured */
    double (*copy_rate)(void);       /* bytes per second, read and written, of a copy within the device */
    double (*read_rate)(void);       /* bytes per second of a kernel that only reads */
    double (*upload_rate)(void);     /* bytes per second from pinned host memory to the device */
    double (*fma_rate)(void);        /* operations per second, two each, of independent f32 fma in registers */
    double (*product)(int64_t n, int64_t d, int64_t c,
                      int kind); /* seconds of cuBLAS for [n, d] x [d, c]; 0: no cuBLAS */
} gpu_limits;

extern const gpu_limits gpu_limits_table;

#ifdef __cplusplus
}
#endif
#endif
