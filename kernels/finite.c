/* finite.c - which rows hold a NaN or an infinity, by their exponent bits.  Contract: sluice_backend.h. */
#include "rows.h"

#include <string.h> /* memcpy: rows may start at any byte */

/* 1 if a value of the row has all bits of `exponent` set. */
#define ROW_IS_BAD(name, word)                                                                                         \
    static int name(const char *p, int64_t d, word exponent)                                                           \
    {                                                                                                                  \
        word any = 0;                                                                                                  \
        for (int64_t k = 0; k < d; k++) {                                                                              \
            word v;                                                                                                    \
            memcpy(&v, p + (size_t)k * sizeof v, sizeof v);                                                            \
            any |= (word)((v & exponent) == exponent);                                                                 \
        }                                                                                                              \
        return any != 0;                                                                                               \
    }
ROW_IS_BAD(bad16, uint16_t)
ROW_IS_BAD(bad32, uint32_t)
ROW_IS_BAD(bad64, uint64_t)

static int row_is_bad(const sluice_view *x, int64_t i)
{
    const char *p = view_row(x, i);
    switch (x->type) {
    case SLUICE_F32: return bad32(p, x->cols, 0x7f800000u);
    case SLUICE_F16: return bad16(p, x->cols, 0x7c00u);
    case SLUICE_BF16: return bad16(p, x->cols, 0x7f80u);
    case SLUICE_F64: return bad64(p, x->cols, 0x7ff0000000000000u);
    default: return x->scale && !ex_finite(x->scale[i]);
    }
}

static void finite_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_finite_args *a = arg;
    (void)thread;
    for (int64_t i = first; i < last; i++) a->bad[i] = (uint8_t)row_is_bad(&a->x, i);
}

sluice_status TIER_FN(op_finite)(sluice_exec *x, const sluice_op_finite_args *a)
{
    cpu_parallel(x, a->x.rows, 1024, finite_rows, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
