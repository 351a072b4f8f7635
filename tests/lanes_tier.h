/* lanes_tier.h - what lanes_tier.c, compiled once per tier, offers to unit_lanes.c. */
#ifndef LANES_TIER_H
#define LANES_TIER_H

#include <stdint.h>

typedef struct lanes_input {
    float a[16], b[16], c[16], square[16][16];
    uint16_t half[16];
    uint8_t byte[16];
} lanes_input;

/* One vector of results for each operation that lanes.h offers, and 16 for the transpose. */
/* clang-format off */
#define LANES_OPS(X) \
    X(load) X(set1) X(zero) X(add) X(sub) X(mul) X(div) X(fma) X(sqrt) X(gt_select) X(exp) X(log1p) \
    X(load_f16) X(load_bf16) X(load_i8) X(load_u8)
/* clang-format on */

enum {
#define X(name) LANES_##name,
    LANES_OPS(X)
#undef X
        LANES_transpose,
    LANES_COUNT = LANES_transpose + 16
};

typedef struct lanes_tier {
    const char *name;
    int tile_rows;
    void (*all)(const lanes_input *in, float out[LANES_COUNT][16]);
    /* The five tail loads (f32 f16 bf16 i8 u8) of the n values that end at `end`, unused lanes -2.5. */
    void (*load_tails)(const void *end, int64_t n, float out[5][16]);
    /* Stores the first n lanes of v so that they end at `end`. */
    void (*store_tail)(void *end, int64_t n, const float v[16]);
} lanes_tier;

extern const lanes_tier lanes_scalar, lanes_avx2, lanes_avx512;

#endif
