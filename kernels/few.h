/* few.h - rows times packed weights for at most 16 classes: lanes are rows.  See few.c. */
#ifndef FEW_H
#define FEW_H

#include "rows.h"

enum { FEW_GRAIN = 1024 }; /* rows a thread takes at once */

/* Logits z[j], j < c, of rows i .. i+n-1, 0 < n <= 16, finished but for relu; z[c..15] are zero. */
void TIER_FN(few_logits)(const sluice_view *x, const float *packed, const float *bias, int64_t c, int64_t i, int64_t n,
                         v16 z[16]);

/* z (transposed on the way) into rows of c floats. */
V16_FN void few_write(v16 z[16], int64_t c, int64_t n, char *out, size_t stride)
{
    v16_transpose(z);
    for (int64_t r = 0; r < n; r++) v16_store_n((float *)(void *)(out + (size_t)r * stride), z[r], c);
}

#endif
