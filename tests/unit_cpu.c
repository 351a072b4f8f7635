/* unit_cpu.c - forcing a tier, counting threads, the parallel loop, the floating-point environment. */
#include "cpu.h"
#include "harness.h"

#include <xmmintrin.h>

static void tiers(void)
{
    if (!case_is("forcing a tier")) return;
    const char *why = NULL;
    CHECK(!cpu_backend("avx9", &why) && why && strstr(why, "'avx9'") && strstr(why, "scalar"), "%s",
          why ? why : "no reason");
    const sluice_backend *scalar = cpu_backend("scalar", &why);
    CHECK(scalar && !strcmp(scalar->name, "cpu/scalar"), "the scalar tier runs everywhere");
    setenv("SLUICE_CPU", "scalar", 1);
    CHECK(cpu_backend(NULL, &why) == scalar, "SLUICE_CPU=scalar");
    setenv("SLUICE_CPU", "avx", 1);
    CHECK(!cpu_backend(NULL, &why), "a prefix of a name is no name");
    sluice *s = NULL;
    CHECK(sluice_open(NULL, &s) == SLUICE_E_USAGE && strstr(sluice_error(s), "'avx'"), "%s", sluice_error(s));
    sluice_close(s);
    setenv("SLUICE_CPU", "", 1);
    const sluice_backend *best = cpu_backend(NULL, &why);
    unsetenv("SLUICE_CPU");
    CHECK(best && best == cpu_backend(NULL, &why), "an empty SLUICE_CPU means the best");
    CHECK(best && !strncmp(best->name + 4, cpu_tier_names(), strlen(best->name + 4)),
          "the best tier is listed first: %s", cpu_tier_names());
}

static void table_is_full(void)
{
    if (!case_is("every tier has every op")) return;
    for (int t = 0; t < tier_count(); t++) {
        const sluice_backend *b = cpu_backend(tier_name(t), NULL);
#define OP(name, line) CHECK(b && b->op.name, "%s has no " #name, tier_name(t));
#include "sluice_ops.def"
#undef OP
    }
}

static int threads_with(const char *slurm, const char *omp)
{
    if (slurm) setenv("SLURM_CPUS_PER_TASK", slurm, 1);
    if (omp) setenv("OMP_NUM_THREADS", omp, 1);
    int count = cpu_threads();
    unsetenv("SLURM_CPUS_PER_TASK"), unsetenv("OMP_NUM_THREADS");
    return count;
}

static void threads(void)
{
    if (!case_is("threads: the smallest limit counts")) return;
    int free = threads_with(NULL, NULL);
    CHECK(free >= 1, "%d", free);
    CHECK_NEAR(threads_with("1", NULL), 1, 0, "SLURM_CPUS_PER_TASK=1");
    CHECK_NEAR(threads_with(NULL, "1,2"), 1, 0, "OMP_NUM_THREADS=1,2");
    CHECK_NEAR(threads_with("0", "-3"), free, 0, "numbers that are no limit");
    CHECK_NEAR(threads_with("many", ""), free, 0, "texts that are no limit");
    CHECK_NEAR(threads_with("100000", "99999999999999999999"), free, 0, "limits above what there is");
}

typedef struct visits {
    int count[1000], thread[1000];
    unsigned mxcsr[1000];
} visits;

static void visit(void *arg, int64_t first, int64_t last, int thread)
{
    visits *v = arg;
    for (int64_t i = first; i < last; i++) v->count[i]++, v->thread[i] = thread, v->mxcsr[i] = _mm_getcsr() & ~0x3fu;
}

static void loop(void)
{
    if (!case_is("the parallel loop visits every item once")) return;
    static const int64_t sizes[] = { 0, 1, 2, 7, 64, 1000 }, grains[] = { 1, 3, 64, 5000 };
    for (int i = 0; i < 6; i++)
        for (int g = 0; g < 4; g++)
            for (int t = 0; t <= 3; t++) {
                static visits v;
                memset(&v, 0, sizeof v);
                sluice_exec x = { .threads = t };
                unsigned before = _mm_getcsr();
                _mm_setcsr(0x9FC0); /* flush to zero, subnormals are zero */
                cpu_parallel(&x, sizes[i], grains[g], visit, &v);
                CHECK((_mm_getcsr() & ~0x3fu) == 0x9FC0, "MXCSR is %x afterwards", _mm_getcsr());
                _mm_setcsr(before);
                for (int64_t k = 0; k < 1000; k++) {
                    CHECK_NEAR(v.count[k], k < sizes[i], 0, "item %lld of %lld", (long long)k, (long long)sizes[i]);
                    CHECK(v.thread[k] >= 0 && v.thread[k] < (t > 1 ? t : 1), "thread %d of %d", v.thread[k], t);
                    CHECK(!v.count[k] || v.mxcsr[k] == 0x1F80, "MXCSR inside is %x", v.mxcsr[k]);
                }
            }
}

int main(int argc, char **argv)
{
    unsetenv("SLUICE_CPU"), unsetenv("OMP_NUM_THREADS"), unsetenv("SLURM_CPUS_PER_TASK");
    test_begin(argc, argv);
    tiers();
    table_is_full();
    threads();
    loop();
    return test_end();
}
