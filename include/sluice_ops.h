/* sluice_ops.h - every op on plain arrays, for tests, benches and bindings.  Versioned with the ABI, not stable.
 * Argument structs and what each op computes: sluice_backend.h. */
#ifndef SLUICE_OPS_H
#define SLUICE_OPS_H

#include "sluice_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sluice_op_<name>(s, args): checks the arguments (E_SHAPE, E_TYPE; outputs then untouched), then runs the op on the
 * context's backend.  E_UNSUPPORTED if the backend has none. */
#define OP(name, line) SLUICE_API sluice_status sluice_op_##name(sluice *s, const sluice_op_##name##_args *a);
#include "sluice_ops.def"
#undef OP

/* A view of n x d contiguous elements. */
static inline sluice_view sluice_rows(const void *data, sluice_type type, int64_t n, int64_t d)
{
    static const uint8_t bytes[] = { 4, 2, 2, 8, 1, 1 };
    sluice_view v = { (void *)(uintptr_t)data, n, d, (size_t)d * bytes[type], type, NULL };
    return v;
}

#ifdef __cplusplus
}
#endif
#endif
