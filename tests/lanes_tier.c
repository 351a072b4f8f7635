/* lanes_tier.c - every operation of kernels/lanes.h, compiled once per tier with that tier's flags.
 * unit_lanes.c compares what the tiers return. */
#include "lanes_tier.h"
#include "lanes.h"

static void all(const lanes_input *in, float out[LANES_COUNT][16])
{
    v16 a = v16_load(in->a), b = v16_load(in->b), c = v16_load(in->c), r[16];
    v16_store(out[LANES_load], a);
    v16_store(out[LANES_set1], v16_set1(in->a[3]));
    v16_store(out[LANES_zero], v16_zero());
    v16_store(out[LANES_add], v16_add(a, b));
    v16_store(out[LANES_sub], v16_sub(a, b));
    v16_store(out[LANES_mul], v16_mul(a, b));
    v16_store(out[LANES_div], v16_div(a, b));
    v16_store(out[LANES_fma], v16_fma(a, b, c));
    v16_store(out[LANES_sqrt], v16_sqrt(a));
    v16_store(out[LANES_gt_select], v16_gt_select(a, b, c, a));
    v16_store(out[LANES_exp], v16_exp(a));
    v16_store(out[LANES_log1p], v16_log1p(a));
    v16_store(out[LANES_load_f16], v16_load_f16(in->half));
    v16_store(out[LANES_load_bf16], v16_load_bf16(in->half));
    v16_store(out[LANES_load_i8], v16_load_i8((const int8_t *)in->byte));
    v16_store(out[LANES_load_u8], v16_load_u8(in->byte));
    for (int i = 0; i < 16; i++) r[i] = v16_load(in->square[i]);
    v16_transpose(r);
    for (int i = 0; i < 16; i++) v16_store(out[LANES_transpose + i], r[i]);
    v16_prefetch(in);
}

static void load_tails(const void *end, int64_t n, float out[5][16])
{
    const char *e = end;
    v16_store(out[0], v16_load_n((const float *)(const void *)(e - n * 4), n, -2.5f));
    v16_store(out[1], v16_load_f16_n((const uint16_t *)(const void *)(e - n * 2), n, -2.5f));
    v16_store(out[2], v16_load_bf16_n((const uint16_t *)(const void *)(e - n * 2), n, -2.5f));
    v16_store(out[3], v16_load_i8_n((const int8_t *)(e - n), n, -2.5f));
    v16_store(out[4], v16_load_u8_n((const uint8_t *)(e - n), n, -2.5f));
}

static void store_tail(void *end, int64_t n, const float v[16]) { v16_store_n((float *)end - n, v16_load(v), n); }

#if defined TIER_AVX512
#define LANES_TABLE lanes_avx512
#elif defined TIER_AVX2
#define LANES_TABLE lanes_avx2
#else
#define LANES_TABLE lanes_scalar
#endif

const lanes_tier LANES_TABLE = { TIER_NAME, TILE_ROWS, all, load_tails, store_tail };
