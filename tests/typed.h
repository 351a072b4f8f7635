/* typed.h - rows of any element type for tests, with their values in double beside them, at any offset and stride. */
#ifndef TYPED_H
#define TYPED_H

#include "harness.h"

typedef struct typed {
    guarded bytes;
    sluice_view view;
    double *value; /* [n, d], scale applied */
    double *raw;   /* [n, d], scale not applied */
    float *scale;  /* [n] or NULL */
} typed;

/* The value of a half float by the definition of its fields. */
static inline double half_value(uint16_t h, int exponent_bits)
{
    int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = h >> fraction_bits & ((1 << exponent_bits) - 1), fraction = h & ((1 << fraction_bits) - 1);
    double sign = h & 0x8000 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
    if (!exponent) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static inline double typed_get(const void *p, sluice_type type)
{
    uint16_t h;
    float f;
    double v;
    switch (type) {
    case SLUICE_F32: memcpy(&f, p, 4); return (double)f;
    case SLUICE_F64: memcpy(&v, p, 8); return v;
    case SLUICE_F16: memcpy(&h, p, 2); return half_value(h, 5);
    case SLUICE_BF16: memcpy(&h, p, 2); return half_value(h, 8);
    case SLUICE_I8: return *(const int8_t *)p;
    default: return *(const uint8_t *)p;
    }
}

/* A random value of about unit size; half floats and floats also get subnormals and zeros of both signs. */
static inline void typed_put(void *p, sluice_type type, rng *r)
{
    double x = rng_normal(r);
    float f = (float)x;
    uint16_t h = (uint16_t)(rng_u64(r) & 0x83ff); /* sign and fraction */
    uint32_t tiny = (uint32_t)(rng_u64(r) & 0x80000fff);
    int special = rng_u64(r) % 16 == 0;
    switch (type) {
    case SLUICE_F32: memcpy(p, special ? (void *)&tiny : (void *)&f, 4); break;
    case SLUICE_F64: memcpy(p, &x, 8); break;
    case SLUICE_F16:
        h |= special ? 0 : (uint16_t)((10 + rng_u64(r) % 6) << 10);
        memcpy(p, &h, 2);
        break;
    case SLUICE_BF16:
        h = (h & 0x807f) | (special ? 0 : (uint16_t)((122 + rng_u64(r) % 6) << 7));
        memcpy(p, &h, 2);
        break;
    case SLUICE_I8: *(int8_t *)p = (int8_t)(rng_u64(r) % 255 - 127); break;
    default: *(uint8_t *)p = (uint8_t)rng_u64(r); break;
    }
}

static inline void *typed_at(const typed *t, int64_t i, int64_t k)
{
    return (char *)t->view.data + (size_t)i * t->view.stride + (size_t)k * sluice_type_bytes(t->view.type);
}

/* Takes the values from the bytes, after a test has changed some. */
static inline void typed_read(typed *t)
{
    for (int64_t i = 0; i < t->view.rows; i++)
        for (int64_t k = 0; k < t->view.cols; k++) {
            double v = typed_get(typed_at(t, i, k), t->view.type);
            t->raw[i * t->view.cols + k] = v;
            t->value[i * t->view.cols + k] = t->scale ? (double)t->scale[i] * v : v;
        }
}

/* n rows of d values, `gap` bytes between rows, the first `off` bytes off 64-byte alignment; scaled: i8 and u8 rows get
 * factors of their own. */
static inline typed typed_new(int64_t n, int64_t d, sluice_type type, size_t gap, size_t off, int scaled, uint64_t seed)
{
    typed t = { 0 };
    rng r = { seed };
    size_t stride = (size_t)d * sluice_type_bytes(type) + gap;
    t.bytes = guarded_new(n ? (size_t)n * stride - gap : 0, off);
    t.view = (sluice_view){ t.bytes.p, n, d, stride, type, NULL };
    t.value = calloc((size_t)(n * d + 1), sizeof *t.value);
    t.raw = calloc((size_t)(n * d + 1), sizeof *t.raw);
    if (scaled && (type == SLUICE_I8 || type == SLUICE_U8)) {
        t.view.scale = t.scale = calloc((size_t)n + 1, sizeof *t.scale);
        for (int64_t i = 0; i < n; i++) t.scale[i] = (float)(0.001 + 0.01 * rng_uniform(&r));
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < d; k++) typed_put(typed_at(&t, i, k), type, &r);
    typed_read(&t);
    return t;
}

static inline void typed_free(typed *t)
{
    guarded_free(&t->bytes);
    free(t->value), free(t->raw), free(t->scale);
}

/* A bad value (NaN, or an infinity) of a floating type. */
static inline void typed_spoil(typed *t, int64_t i, int64_t k, double bad)
{
    float f = (float)bad;
    double v = bad;
    uint16_t f16 = isnan(bad) ? 0x7e01
                   : bad > 0  ? 0x7c00
                              : 0xfc00,
             bf16 = isnan(bad) ? 0x7fc1
                    : bad > 0  ? 0x7f80
                               : 0xff80;
    switch (t->view.type) {
    case SLUICE_F32: memcpy(typed_at(t, i, k), &f, 4); break;
    case SLUICE_F64: memcpy(typed_at(t, i, k), &v, 8); break;
    case SLUICE_F16: memcpy(typed_at(t, i, k), &f16, 2); break;
    case SLUICE_BF16: memcpy(typed_at(t, i, k), &bf16, 2); break;
    default:
        if (t->scale) t->scale[i] = f;
        break;
    }
    typed_read(t);
}

/* Weights [c, d] and bias [c]. */
typedef struct weights {
    float *w, *bias, *packed;
    int64_t c, d;
} weights;

/* The layout by its definition. */
static inline weights weights_new(int64_t c, int64_t d, uint64_t seed)
{
    weights m = { .c = c, .d = d };
    size_t floats = sluice_packed_floats(c, d);
    m.w = calloc((size_t)(c * d) + 1, sizeof *m.w), m.bias = calloc((size_t)c, sizeof *m.bias);
    m.packed = aligned_alloc(64, (floats * 4 + 64 + 63) / 64 * 64);
    fill_normal(m.w, c * d, seed), fill_normal(m.bias, c, seed + 1);
    for (size_t i = 0; i < floats; i++) m.packed[i] = 0;
    for (int64_t j = 0; j < c; j++)
        for (int64_t k = 0; k < d; k++) m.packed[(j / 16 * d + k) * 16 + j % 16] = m.w[j * d + k];
    return m;
}

static inline void weights_free(weights *m) { free(m->w), free(m->bias), free(m->packed); }

#endif
