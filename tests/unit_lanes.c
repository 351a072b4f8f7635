/* unit_lanes.c - the operations of kernels/lanes.h: by definition, lane by lane, and bit for bit in every tier
 * that this machine runs.  Definitions are written with IEEE operators and libm here, never with lanes.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#endif
#include "harness.h"
#include "lanes_tier.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const lanes_tier *lane_tiers[3];
static int lane_tier_count;

static void find_tiers(void)
{
    lane_tiers[lane_tier_count++] = &lanes_scalar;
#ifdef LANES_avx512
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) lane_tiers[lane_tier_count++] = &lanes_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        lane_tiers[lane_tier_count++] = &lanes_avx512;
#endif
}

static uint64_t state;

static uint32_t next_random(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Equal bits, or NaN both. */
static int same(float x, float y) { return !memcmp(&x, &y, sizeof x) || (isnan(x) && isnan(y)); }

/* ---- definitions ------------------------------------------------------------------------------------ */

static float f16_of(uint32_t h)
{
    int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
    float v = e == 31 ? (m ? NAN : INFINITY) : (float)(e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
    return h & 0x8000u ? -v : v;
}

static void define(const lanes_input *in, float out[LANES_COUNT][16])
{
    for (int i = 0; i < 16; i++) {
        float a = in->a[i], b = in->b[i], c = in->c[i];
        out[LANES_load][i] = a;
        out[LANES_set1][i] = in->a[3];
        out[LANES_zero][i] = 0;
        out[LANES_add][i] = a + b;
        out[LANES_sub][i] = a - b;
        out[LANES_mul][i] = a * b;
        out[LANES_div][i] = a / b;
        out[LANES_fma][i] = fmaf(a, b, c);
        out[LANES_sqrt][i] = sqrtf(a);
        out[LANES_gt_select][i] = a > b ? c : a;
        out[LANES_load_f16][i] = f16_of(in->half[i]);
        out[LANES_load_bf16][i] = float_of((uint32_t)in->half[i] << 16);
        out[LANES_load_i8][i] = (float)(int8_t)in->byte[i];
        out[LANES_load_u8][i] = (float)in->byte[i];
        for (int j = 0; j < 16; j++) out[LANES_transpose + i][j] = in->square[j][i];
    }
}

/* ---- cases ------------------------------------------------------------------------------------------ */

static float any_float(int kind)
{
    static const float special[] = { 0,           -0.0f, 1,         -1,         INFINITY,
                                     -INFINITY,   NAN,   0x1p-149f, -0x1p-126f, 0x1.fffffep+127f,
                                     0.5f,        3,     -87.4f,    88.7f,      1e-30f,
                                     -0.99999994f };
    uint32_t r = next_random();
    if (kind == 0) return float_of(r);
    if (kind == 1) return special[r % 16];
    return (float)(int32_t)r * 0x1p-27f; /* the size of logits */
}

static void fill(lanes_input *in, int kind)
{
    for (int i = 0; i < 16; i++) {
        in->a[i] = any_float(kind), in->b[i] = any_float(kind), in->c[i] = any_float(kind);
        if (i % 3 == 1) in->c[i] = -(in->a[i] * in->b[i]); /* fma cancels */
        if (i % 5 == 1) in->b[i] = in->a[i];
        in->half[i] = (uint16_t)next_random(), in->byte[i] = (uint8_t)next_random();
        for (int j = 0; j < 16; j++) in->square[i][j] = any_float(kind);
    }
}

static const char *name_of(int op)
{
#define X(name) #name,
    static const char *const names[] = { LANES_OPS(X) };
#undef X
    return op < LANES_transpose ? names[op] : "transpose";
}

/* What the scalar tier gives for exp and log1p joins the definitions of the other operations. */
static void one_vector(const lanes_input *in)
{
    static float want[LANES_COUNT][16], got[LANES_COUNT][16];
    for (int t = 0; t < lane_tier_count; t++) {
        lane_tiers[t]->all(in, got);
        if (t == 0) {
            memcpy(want, got, sizeof want);
            define(in, want);
        }
        for (int op = 0; op < LANES_COUNT; op++)
            for (int i = 0; i < 16; i++)
                CHECK(same(got[op][i], want[op][i]), "%s %s lane %d: %a, not %a; a=%a b=%a c=%a", lane_tiers[t]->name,
                      name_of(op), i, (double)got[op][i], (double)want[op][i], (double)in->a[i], (double)in->b[i],
                      (double)in->c[i]);
    }
}

static void operations(int kind, const char *what)
{
    if (!case_is("operations on %s", what)) return;
    lanes_input in;
    state = 88172645463325252u + (uint64_t)kind;
    for (int round = 0; round < 3000; round++) {
        fill(&in, kind);
        one_vector(&in);
    }
}

/* f16 and bf16 have 65,536 values each, i8 and u8 256: all of them. */
static void every_narrow_value(void)
{
    if (!case_is("every f16, bf16, i8 and u8")) return;
    lanes_input in;
    state = 7;
    fill(&in, 1);
    for (uint32_t h = 0; h < 65536; h += 16) {
        for (uint32_t i = 0; i < 16; i++) in.half[i] = (uint16_t)(h + i), in.byte[i] = (uint8_t)(h + i);
        one_vector(&in);
    }
}

/* ---- tails, with a page after them that no one may touch ------------------------------------------------ */

static void tails(const lanes_tier *tier, unsigned char *end)
{
    lanes_input in;
    float out[5][16], v[16];
    for (int64_t n = 0; n <= 16; n++) {
        if (!case_is("tails of %d lanes on %s", (int)n, tier->name)) continue;
        state = 99 + (uint64_t)n;
        fill(&in, 2);
        for (int i = -128; i < 0; i++) end[i] = (unsigned char)next_random();
        tier->load_tails(end, n, out);
        for (int64_t i = 0; i < 16; i++) {
            float f = -2.5f, h = f, bh = f, s = f, u = f;
            if (i < n) {
                uint16_t half;
                memcpy(&f, end - 4 * (n - i), sizeof f);
                memcpy(&half, end - 2 * (n - i), sizeof half);
                h = f16_of(half), bh = float_of((uint32_t)half << 16);
                s = (float)(int8_t)end[i - n], u = (float)end[i - n];
            }
            CHECK(same(out[0][i], f) && same(out[1][i], h) && same(out[2][i], bh) && out[3][i] == s && out[4][i] == u,
                  "lane %d: %a %a %a %a %a", (int)i, (double)out[0][i], (double)out[1][i], (double)out[2][i],
                  (double)out[3][i], (double)out[4][i]);
        }
        memset(end - 128, 0x5a, 128);
        tier->store_tail(end, n, in.a);
        memcpy(v, end - 4 * n, (size_t)n * 4);
        CHECK(!memcmp(v, in.a, (size_t)n * 4), "the first lanes are stored");
        for (int64_t i = -128; i < -4 * n; i++) CHECK(end[i] == 0x5a, "wrote before the tail");
    }
}

static void tails_of_all_tiers(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && !mprotect(p + page, page, PROT_NONE), "no guarded page");
    if (p == MAP_FAILED) return;
    for (int t = 0; t < lane_tier_count; t++) tails(lane_tiers[t], p + page);
    munmap(p, 2 * page);
}

static void names(void)
{
    if (!case_is("names and tile heights")) return;
    static const char *const want[] = { "scalar", "avx2", "avx512" };
    static const int rows[] = { 4, 6, 14 };
    for (int t = 0; t < lane_tier_count; t++)
        CHECK(!strcmp(lane_tiers[t]->name, want[t]) && lane_tiers[t]->tile_rows == rows[t], "%s %d",
              lane_tiers[t]->name, lane_tiers[t]->tile_rows);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    find_tiers();
    names();
    operations(0, "random bits");
    operations(1, "special values");
    operations(2, "values like logits");
    every_narrow_value();
    tails_of_all_tiers();
    return test_end();
}
