/* bench.c - see bench.h. */
#include "bench.h"
#include "top_state.h"

#include <dlfcn.h>
#include <math.h>
#include <omp.h>
#include <sys/mman.h> /* madvise */

#if defined __x86_64__
#include <immintrin.h>
#endif

/* ---- options ----------------------------------------------------------------------------------------- */

static void usage(const char *program, const char *what)
{
    fprintf(stderr, "usage: %s [--rows N] [--threads N] [--runs N] [--devices D] [CASE]\n%s\n", program, what);
    exit(2);
}

bench_options bench_begin(int argc, char **argv, const char *what)
{
    bench_options o = { .runs = 7, .devices = "cpu" };
    for (int i = 1; i < argc; i++) {
        int64_t value = 0;
        bool number = i + 1 < argc && parse_i64(argv[i + 1], &value) && value > 0;
        if (!strcmp(argv[i], "--rows") && number) o.rows = value, i++;
        else if (!strcmp(argv[i], "--threads") && number) o.threads = (int)value, i++;
        else if (!strcmp(argv[i], "--runs") && number) o.runs = (int)(value < 64 ? value : 64), i++;
        else if (!strcmp(argv[i], "--devices") && i + 1 < argc) o.devices = argv[++i];
        else if (argv[i][0] != '-' && !o.only) o.only = argv[i];
        else usage(argv[0], what);
    }
    return o;
}

/* ---- a GPU ------------------------------------------------------------------------------------------- */

static const gpu_limits *limits;

int bench_gpu(const sluice *s) { return s->backend->alloc != NULL; }
const gpu_limits *bench_gpu_limits(void) { return limits; }

static void open_limits(int device)
{
    void *library = dlopen("libgpu_limits.so", RTLD_NOW | RTLD_LOCAL); /* beside the bench, by its run path */
    const char *why = library ? NULL : dlerror();
    if (library) limits = dlsym(library, "gpu_limits_table");
    if (limits && (why = limits->open(device))) limits = NULL;
    if (!limits) printf("# the device's limits are not measured: %s\n", why);
}

void *bench_on_device(sluice *s, const void *p, size_t bytes)
{
    void *device = NULL;
    if (!bench_gpu(s)) return (void *)(uintptr_t)p;
    BENCH_OK(s, s->backend->alloc(&s->exec, bytes, &device));
    BENCH_OK(s, s->backend->copy(&s->exec, device, p, bytes));
    return device;
}

void bench_from_device(sluice *s, void *to, const void *from, size_t bytes)
{
    if (bench_gpu(s)) BENCH_OK(s, s->backend->copy(&s->exec, to, from, bytes));
}

void bench_wait(sluice *s)
{
    if (bench_gpu(s)) BENCH_OK(s, s->backend->wait(&s->exec));
}

void bench_release(sluice *s, void *device)
{
    if (bench_gpu(s)) s->backend->release(&s->exec, device);
}

enum { TOP_ROWS = 1 << 18 }; /* that a top on a device has room for */

static size_t entries_bytes(const bench_top *t) { return (size_t)t->host.capacity * sizeof *t->entries; }

void bench_top_new(sluice *s, bench_top *t, int64_t k)
{
    t->host = (sluice_top_state){ .k = k, .capacity = 2 * k + (bench_gpu(s) ? TOP_ROWS : 64) };
    t->host.entries = bench_memory(entries_bytes(t));
    t->entries = bench_on_device(s, t->host.entries, entries_bytes(t));
    t->state = bench_on_device(s, &t->host, sizeof t->host);
}

void bench_top_begin(sluice *s, bench_top *t)
{
    sluice_top_state fresh = {
        .k = t->host.k, .capacity = t->host.capacity, .seed = t->host.seed, .entries = t->entries
    };
    if (bench_gpu(s)) BENCH_OK(s, s->backend->copy(&s->exec, t->state, &fresh, sizeof fresh));
    else t->host = fresh;
}

void bench_top_add(sluice *s, bench_top *t, const float *score, int64_t n, int64_t first_row, int finish)
{
    int64_t piece = bench_gpu(s) ? TOP_ROWS : n;
    for (int64_t i = 0; i < n; i += piece) {
        int64_t rows = n - i < piece ? n - i : piece;
        sluice_op_top_args a = { .count = 1,
                                 .score = (const float *[]){ score + i },
                                 .n = rows,
                                 .first_row = first_row + i,
                                 .state = t->state,
                                 .finish = finish && i + rows == n };
        BENCH_OK(s, sluice_op_top(s, &a));
    }
}

void bench_top_fetch(sluice *s, bench_top *t)
{
    sluice_entry *entries = t->host.entries;
    if (!bench_gpu(s)) return;
    bench_from_device(s, &t->host, t->state, sizeof t->host);
    t->host.entries = entries;
    bench_from_device(s, entries, t->entries, (size_t)t->host.count * sizeof *entries);
    top_sort(entries, t->host.count);
}

void bench_top_release(sluice *s, bench_top *t)
{
    bench_release(s, t->entries), bench_release(s, t->state);
    free(t->host.entries);
}

sluice *bench_open(const bench_options *o)
{
    sluice *s;
    sluice_options so = { .size = sizeof so, .threads = o->threads, .devices = o->devices };
    if (sluice_open(&so, &s)) fprintf(stderr, "%s\n", sluice_error(s)), exit(1);
    if (bench_gpu(s)) open_limits(s->exec.device);
    return s;
}

void bench_check(int ok, const char *what)
{
    if (!ok) fprintf(stderr, "wrong result: %s\n", what), exit(1);
}

/* ---- data -------------------------------------------------------------------------------------------- */

void *bench_memory(size_t bytes)
{
    const size_t unit = (size_t)2 << 20;
    void *p = aligned_alloc(unit, (bytes + unit) / unit * unit);
    if (!p) fprintf(stderr, "no memory for %zu bytes\n", bytes), exit(1);
    madvise(p, (bytes + unit) / unit * unit, MADV_HUGEPAGE); /* as the library's own buffers */
    return p;
}

void bench_fill(float *p, int64_t n, uint64_t seed)
{
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = seed + (uint64_t)i * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        p[i] = (float)((int32_t)(z >> 32)) * 0x1p-30f;
    }
}

/* ---- the machine's rates ----------------------------------------------------------------------------- */

static volatile float sink;

enum { CHUNK = 1 << 20 }; /* bytes a thread reads at once */

#if defined __x86_64__
__attribute__((target("avx2"))) static uint64_t read_chunk(const char *p, size_t bytes)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= bytes; i += 128) {
        a = _mm256_or_si256(a, _mm256_loadu_si256((const __m256i *)(const void *)(p + i)));
        b = _mm256_or_si256(b, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 32)));
        c = _mm256_or_si256(c, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 64)));
        d = _mm256_or_si256(d, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 96)));
    }
    a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    return (uint64_t)_mm256_extract_epi64(a, 0) ^ (uint64_t)_mm256_extract_epi64(a, 2);
}
#endif

static uint64_t read_plain(const char *p, size_t bytes)
{
    uint64_t a = 0, v;
    for (size_t i = 0; i + sizeof v <= bytes; i += sizeof v) memcpy(&v, p + i, sizeof v), a |= v;
    return a;
}

double bench_read_rate(const sluice *s, const void *p, size_t bytes)
{
    if (bench_gpu(s)) return limits ? limits->copy_rate() : INFINITY;
    uint64_t all = 0;
    int wide = strcmp(s->backend->name, "cpu/scalar") != 0;
    double began = clock_seconds();
#pragma omp parallel for num_threads(s->threads) schedule(dynamic) reduction(^ : all)
    for (size_t i = 0; i < bytes / CHUNK; i++) {
        const char *q = (const char *)p + i * CHUNK;
#if defined __x86_64__
        all ^= wide ? read_chunk(q, CHUNK) : read_plain(q, CHUNK);
#else
        all ^= wide ? 0 : read_plain(q, CHUNK);
#endif
    }
    double seconds = clock_seconds() - began;
    sink = (float)all;
    return (double)(bytes / CHUNK * CHUNK) / seconds;
}

/* 14 chains, more than latency times units of any CPU; returns operations done. */
enum { CHAINS = 14, ROUNDS = 1 << 21 };

#if defined __x86_64__
__attribute__((target("avx512f"))) static double fma_avx512(void)
{
    __m512 a[CHAINS], b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.001f), sum = _mm512_setzero_ps();
#pragma GCC unroll 14
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int q = 0; q < ROUNDS; q++) {
#pragma GCC unroll 14
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], b, c);
    }
#pragma GCC unroll 14
    for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, a[i]);
    sink = _mm512_cvtss_f32(sum);
    return 2.0 * 16 * CHAINS * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double fma_avx2(void)
{
    __m256 a[CHAINS], b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f), sum = _mm256_setzero_ps();
#pragma GCC unroll 14
    for (int i = 0; i < CHAINS; i++) a[i] = _mm256_set1_ps((float)i);
    for (int q = 0; q < ROUNDS; q++) {
#pragma GCC unroll 14
        for (int i = 0; i < CHAINS; i++) a[i] = _mm256_fmadd_ps(a[i], b, c);
    }
#pragma GCC unroll 14
    for (int i = 0; i < CHAINS; i++) sum = _mm256_add_ps(sum, a[i]);
    sink = _mm256_cvtss_f32(sum);
    return 2.0 * 8 * CHAINS * ROUNDS;
}
#endif

/* Without FMA hardware: a multiplication and an addition, in as many lanes as the compiler finds. */
static double fma_plain(void)
{
    float a[64];
    for (int i = 0; i < 64; i++) a[i] = (float)i;
    for (int q = 0; q < ROUNDS / 8; q++)
        for (int i = 0; i < 64; i++) a[i] = a[i] * 0.999f + 0.001f;
    for (int i = 0; i < 64; i++) sink = a[i];
    return 2.0 * 64 * (ROUNDS / 8);
}

static double fma_once(const char *backend)
{
#if defined __x86_64__
    if (!strcmp(backend, "cpu/avx512")) return fma_avx512();
    if (!strcmp(backend, "cpu/avx2")) return fma_avx2();
#endif
    (void)backend;
    return fma_plain();
}

double bench_fma_rate(const sluice *s)
{
    if (bench_gpu(s)) return limits ? limits->fma_rate() : INFINITY;
    double flops = 0, began = clock_seconds();
#pragma omp parallel num_threads(s->threads) reduction(+ : flops)
    flops += fma_once(s->backend->name);
    return flops / (clock_seconds() - began);
}

/* ---- runs and their table ---------------------------------------------------------------------------- */

void bench_run(bench_result *r, const sluice *s, const void *data, bench_case *f, void *arg)
{
    f(arg);
    for (int i = 0; i < r->runs; i++) {
        r->read_rate[i] = bench_read_rate(s, data, (size_t)r->bytes);
        r->fma_rate[i] = bench_fma_rate(s);
        double began = clock_seconds();
        f(arg);
        r->seconds[i] = clock_seconds() - began;
        r->limit[i] = fmax(r->bytes / r->read_rate[i], r->flops / (r->fma_rate[i] * (r->share > 0 ? r->share : 1)));
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_quantile(const double *v, int n, double q)
{
    double sorted[64];
    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[(int)(q * (n - 1) + 0.5)];
}

static void print_machine(void)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0 || !strchr(line, ':')) continue;
        printf("# %s", strchr(line, ':') + 2);
        break;
    }
    if (f) fclose(f);
}

void bench_head(const sluice *s)
{
    char text[512];
    print_machine();
    if (bench_gpu(s)) s->backend->describe(s->exec.device, text, sizeof text), printf("# %s\n", text);
    if (limits)
        printf("# copy within the device %.0f GB/s, read %.0f GB/s, upload %.1f GB/s, multiply-adds %.1f TFLOP/s\n",
               limits->copy_rate() / 1e9, limits->read_rate() / 1e9, limits->upload_rate() / 1e9,
               limits->fma_rate() / 1e12);
    printf("# sluice %s, %s, %d threads; limit = max(bytes / read rate, flops / fma rate%s), rates of the same run\n",
           sluice_version(), s->backend->name, s->threads, bench_gpu(s) ? " / share of FMA" : "");
    printf("%-28s %9s %9s %9s %9s %9s %9s %9s %9s %7s %7s\n", "case", "median s", "p95 s", "Mrows/s", "GB/s", "GFLOP/s",
           "read GB/s", "fma GF/s", "limit s", "ratio", "best");
}

/* ratio: median over the runs of time / limit, both of one run; best: the least time over the least limit. */
void bench_line(const bench_result *r)
{
    double ratio[64], t = bench_quantile(r->seconds, r->runs, 0.5);
    for (int i = 0; i < r->runs; i++) ratio[i] = r->seconds[i] / r->limit[i];
    printf("%-28s %9.4f %9.4f %9.3f %9.2f %9.2f %9.2f %9.2f %9.4f %7.2f %7.2f\n", r->name, t,
           bench_quantile(r->seconds, r->runs, 0.95), r->rows / t / 1e6, r->bytes / t / 1e9, r->flops / t / 1e9,
           bench_quantile(r->read_rate, r->runs, 0.5) / 1e9, bench_quantile(r->fma_rate, r->runs, 0.5) / 1e9,
           bench_quantile(r->limit, r->runs, 0.5), bench_quantile(ratio, r->runs, 0.5),
           bench_quantile(r->seconds, r->runs, 0) / bench_quantile(r->limit, r->runs, 0));
    fflush(stdout);
}
