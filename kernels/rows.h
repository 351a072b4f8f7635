/* rows.h - reading feature rows of any type, 16 values at a time, widened exactly to float.  Rows may start at any
 * byte. */
#ifndef ROWS_H
#define ROWS_H

#include "cpu.h"
#include "lanes.h"

V16_FN size_t row_value_bytes(sluice_type type)
{
    if (type == SLUICE_I8 || type == SLUICE_U8) return 1;
    return type == SLUICE_F32 ? 4 : 2;
}

V16_FN int row_is_integer(sluice_type type) { return type == SLUICE_I8 || type == SLUICE_U8; }

V16_FN const char *view_row(const sluice_view *v, int64_t i) { return (const char *)v->data + (size_t)i * v->stride; }

/* Values k .. k+15 of the row at p.  With a constant type the switch folds away. */
V16_FN v16 row_load(const char *p, sluice_type type, int64_t k)
{
    const void *q = p + (size_t)k * row_value_bytes(type);
    switch (type) {
    case SLUICE_F16: return v16_load_f16(q);
    case SLUICE_BF16: return v16_load_bf16(q);
    case SLUICE_I8: return v16_load_i8(q);
    case SLUICE_U8: return v16_load_u8(q);
    default: return v16_load(q);
    }
}

/* Values k .. k+n-1, the other lanes zero: a padded product adds x * 0 to no sum that is stored. */
V16_FN v16 row_load_n(const char *p, sluice_type type, int64_t k, int64_t n)
{
    const void *q = p + (size_t)k * row_value_bytes(type);
    switch (type) {
    case SLUICE_F16: return v16_load_f16_n(q, n, 0.0f);
    case SLUICE_BF16: return v16_load_bf16_n(q, n, 0.0f);
    case SLUICE_I8: return v16_load_i8_n(q, n, 0.0f);
    case SLUICE_U8: return v16_load_u8_n(q, n, 0.0f);
    default: return v16_load_n(q, n, 0.0f);
    }
}

V16_FN void row_widen_as(const char *p, sluice_type type, int64_t k, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) v16_store(out + i, row_load(p, type, k + i));
    if (i < n) v16_store_n(out + i, row_load_n(p, type, k + i, n - i), n - i);
}

/* Values k .. k+n-1 of the row at p into out [n]. */
static inline void row_widen(const char *p, sluice_type type, int64_t k, int64_t n, float *out)
{
    switch (type) {
    case SLUICE_F16: row_widen_as(p, SLUICE_F16, k, n, out); break;
    case SLUICE_BF16: row_widen_as(p, SLUICE_BF16, k, n, out); break;
    case SLUICE_I8: row_widen_as(p, SLUICE_I8, k, n, out); break;
    case SLUICE_U8: row_widen_as(p, SLUICE_U8, k, n, out); break;
    default: row_widen_as(p, SLUICE_F32, k, n, out); break;
    }
}

/* x == x ? x : 7fc00000. */
V16_FN v16 v16_or_nan(v16 x)
{
    v16 nan = v16_set1(ex_nan());
    return v16_gt_select(x, v16_set1(-ex_inf()), x, v16_gt_select(v16_zero(), x, x, nan));
}

/* What is stored for a finished sum: -0 becomes +0, every NaN the same NaN. */
V16_FN v16 v16_stored(v16 sum) { return v16_or_nan(v16_add(sum, v16_zero())); }

/* x > 0 ? x : (x == x ? 0 : x), of a stored value. */
V16_FN v16 v16_relu(v16 x)
{
    v16 zero = v16_zero();
    return v16_gt_select(x, zero, x, v16_gt_select(v16_set1(1.0f), x, zero, x));
}

#endif
