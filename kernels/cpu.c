/* cpu.c - the CPU backend: one op table per tier, which tier this machine can run, how many threads it grants, the
 * parallel loop, the floating-point environment. */
#include "core.h"
#include "cpu.h"

#include <omp.h>    /* omp_get_thread_num */
#include <sched.h>  /* sched_getaffinity */
#include <stdio.h>  /* fopen, snprintf: the cgroup's files */
#include <stdlib.h> /* getenv, strtol */
#include <string.h> /* strcmp, strrchr */

#if defined __x86_64__ || defined __i386__
#include <cpuid.h>     /* __get_cpuid_count */
#include <xmmintrin.h> /* _mm_getcsr */
#define HAVE_MXCSR 1
#endif

/* ---- tables ------------------------------------------------------------------------------------------ */

/* clang-format off */

#define DECLARE(name, tier) \
    sluice_status TIER_PASTE(op_##name, tier)(sluice_exec * x, const sluice_op_##name##_args *a);

#ifdef SLUICE_TIER_avx512
#define OP(name, line) DECLARE(name, avx512)
#include "sluice_ops.def"
#undef OP
static const sluice_backend table_avx512 = { .name = "cpu/avx512", .devices = 1, .op = {
#define OP(name, line) .name = op_##name##_avx512,
#include "sluice_ops.def"
#undef OP
} };
#endif

#ifdef SLUICE_TIER_avx2
#define OP(name, line) DECLARE(name, avx2)
#include "sluice_ops.def"
#undef OP
static const sluice_backend table_avx2 = { .name = "cpu/avx2", .devices = 1, .op = {
#define OP(name, line) .name = op_##name##_avx2,
#include "sluice_ops.def"
#undef OP
} };
#endif

#define OP(name, line) DECLARE(name, scalar)
#include "sluice_ops.def"
#undef OP
static const sluice_backend table_scalar = { .name = "cpu/scalar", .devices = 1, .op = {
#define OP(name, line) .name = op_##name##_scalar,
#include "sluice_ops.def"
#undef OP
} };
/* clang-format on */

/* ---- tiers ------------------------------------------------------------------------------------------- */

#ifdef HAVE_MXCSR

typedef struct features {
    bool avx2, avx512;
} features;

/* Which register files the system saves on a task switch: without that a CPU's instructions must not be used. */
static uint32_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static features detect(void)
{
    enum { FMA = 1 << 12, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29, YMM = 0x06, ZMM = 0xe6 };
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    features f = { false, false };
    uint32_t a, b, c, d, need = FMA | OSXSAVE | AVX | F16C;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & need) != need) return f;
    uint32_t saved = saved_registers();
    if ((saved & YMM) != YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
    f.avx2 = b >> 5 & 1;
    f.avx512 = f.avx2 && (b & avx512) == avx512 && (saved & ZMM) == ZMM;
    return f;
}

static bool can_avx2(void) { return detect().avx2; }
static bool can_avx512(void) { return detect().avx512; }

#endif

static bool can_scalar(void) { return true; }

/* Best first, scalar last. */
static const struct tier {
    const char *name;
    const sluice_backend *table;
    bool (*can_run)(void);
} tiers[] = {
#ifdef SLUICE_TIER_avx512
    { "avx512", &table_avx512, can_avx512 },
#endif
#ifdef SLUICE_TIER_avx2
    { "avx2", &table_avx2, can_avx2 },
#endif
    { "scalar", &table_scalar, can_scalar },
};
enum { TIER_COUNT = sizeof tiers / sizeof *tiers };

const char *cpu_tier_names(void)
{
    static _Thread_local char names[64];
    size_t used = 0;
    names[0] = 0;
    for (int i = 0; i < TIER_COUNT; i++)
        if (tiers[i].can_run())
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "", tiers[i].name);
    return names;
}

static const sluice_backend *refuse(const char *tier, const char *reason, const char **out_why)
{
    static _Thread_local char why[256];
    snprintf(why, sizeof why, "cpu tier '%.32s' %s; this machine runs: %s", tier, reason, cpu_tier_names());
    if (out_why) *out_why = why;
    return NULL;
}

const sluice_backend *cpu_backend(const char *tier, const char **out_why)
{
    if (!tier) tier = getenv("SLUICE_CPU");
    bool any = !tier || !*tier;
    for (int i = 0; i < TIER_COUNT; i++) {
        if (any ? !tiers[i].can_run() : strcmp(tier, tiers[i].name) != 0) continue;
        return tiers[i].can_run() ? tiers[i].table : refuse(tier, "cannot run here", out_why);
    }
    return refuse(tier, "is not known", out_why);
}

/* ---- threads ----------------------------------------------------------------------------------------- */

static int smaller(int a, int64_t b) { return b > 0 && b < a ? (int)b : a; }

/* A leading positive number ("4", "4,2"), else 0. */
static int64_t env_count(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static int64_t affinity_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

/* CPUs that one cpu.max ("QUOTA PERIOD" or "max PERIOD") grants, rounded up; 0: no limit. */
static int64_t quota_count(const char *folder)
{
    char path[4200];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    int got = fscanf(f, "%lld %lld", &quota, &period);
    fclose(f);
    return got == 2 && quota > 0 && period > 0 ? (quota + period - 1) / period : 0;
}

/* The folder of this process's control group (version 2). */
static bool cgroup_folder(char *folder, size_t size)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f) return false;
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(folder, size, "/sys/fs/cgroup%s", line + 3);
        found = true;
    }
    fclose(f);
    return found;
}

/* A limit may stand at any level, so the smallest up to the root counts. */
static int cgroup_limit(int count)
{
    const size_t root = sizeof "/sys/fs/cgroup" - 1;
    char folder[4128];
    if (!cgroup_folder(folder, sizeof folder)) return count;
    while (strlen(folder) >= root) {
        count = smaller(count, quota_count(folder));
        *strrchr(folder, '/') = 0;
    }
    return count;
}

int cpu_threads(void)
{
    int count = smaller(4096, affinity_count());
    if (count == 4096) count = smaller(count, omp_get_num_procs());
    count = cgroup_limit(count);
    count = smaller(count, env_count("SLURM_CPUS_PER_TASK"));
    return smaller(count, env_count("OMP_NUM_THREADS"));
}

/* ---- floating-point environment ---------------------------------------------------------------------- */

/* Round to nearest, all exceptions masked, subnormals kept: a library linked with -ffast-math may have switched them
 * off, and on one thread only. */
fp_state fp_enter(void)
{
    fp_state f = { 0 };
#ifdef HAVE_MXCSR
    f.mxcsr = _mm_getcsr();
    _mm_setcsr(0x1F80);
#endif
    return f;
}

void fp_leave(fp_state f)
{
#ifdef HAVE_MXCSR
    _mm_setcsr(f.mxcsr);
#else
    (void)f;
#endif
}

/* ---- the parallel loop ------------------------------------------------------------------------------- */

void cpu_parallel(sluice_exec *x, int64_t items, int64_t grain, cpu_work *f, void *arg)
{
    int64_t pieces = items / grain + (items % grain != 0);
    int threads = (int)cpu_min(x->threads > 0 ? x->threads : 1, pieces);
    if (pieces <= 0) return;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        fp_state fp = fp_enter();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < pieces; i++) f(arg, i * grain, cpu_min(items, i * grain + grain), omp_get_thread_num());
        fp_leave(fp);
    }
}
