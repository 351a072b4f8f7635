/* cpu.h - what every CPU kernel includes: the names of a tier's ops, the parallel loop, scratch per thread.
 *
 * kernels/<op>.c is compiled once per tier with -DTIER=scalar, avx2 or avx512 and defines
 *
 *     sluice_status TIER_FN(op_<op>)(sluice_exec *x, const sluice_op_<op>_args *a)
 *
 * Everything else in it is static or named by TIER_FN: an object of one tier must never lend code to another at link
 * time.  cpu.c builds the tables. */
#ifndef CPU_H
#define CPU_H

#include "sluice_backend.h"

#define TIER_PASTE_(name, tier) name##_##tier
#define TIER_PASTE(name, tier) TIER_PASTE_(name, tier)
#define TIER_FN(name) TIER_PASTE(name, TIER)

#ifdef TIER
#define OP(name, line) sluice_status TIER_FN(op_##name)(sluice_exec * x, const sluice_op_##name##_args *a);
#include "sluice_ops.def"
#undef OP
#endif

/* Items [first, last) of a loop; thread < x->threads picks the scratch. */
typedef void cpu_work(void *arg, int64_t first, int64_t last, int thread);

/* Calls f for pieces of `grain` items (the last may be shorter) on up to x->threads threads, each with MXCSR 0x1F80.
 * Which thread gets a piece is not determined, so a piece's result may depend on its items alone. */
void cpu_parallel(sluice_exec *x, int64_t items, int64_t grain, cpu_work *f, void *arg);

/* Bytes rounded up to whole cache lines, so that the threads' parts of a scratch block never share one. */
static inline size_t cpu_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static inline int64_t cpu_min(int64_t a, int64_t b) { return a < b ? a : b; }

/* Rows per piece: `most` (a multiple of `unit`), or fewer where that would leave threads without work. */
static inline int64_t cpu_grain(const sluice_exec *x, int64_t rows, int64_t unit, int64_t most)
{
    int64_t share = (rows / (x->threads > 0 ? x->threads : 1) + unit) / unit * unit;
    return cpu_min(share, most);
}

#endif
