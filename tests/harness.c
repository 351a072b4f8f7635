/* harness.c - see harness.h. */
#include "harness.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *only;
    char text[256];
    int cases, failed, case_failed;
    char folder[64];
    const char *skipped;
} t;

static void close_case(void)
{
    if (t.case_failed) t.failed++;
    t.case_failed = 0;
}

void test_begin(int argc, char **argv)
{
    t.only = argc > 1 ? argv[1] : NULL;
    snprintf(t.text, sizeof t.text, "(no case)");
}

static void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path)) remove_folder(path);
    }
    if (d) closedir(d);
    rmdir(folder);
}

int test_end(void)
{
    close_case();
    if (t.folder[0]) remove_folder(t.folder);
    if (t.skipped) printf("skipped: %s\n", t.skipped);
    if (!t.cases && !t.skipped) printf("no case was run\n");
    printf("%d passed, %d failed\n", t.cases - t.failed, t.failed);
    return t.failed || (!t.cases && !t.skipped);
}

int case_is(const char *format, ...)
{
    close_case();
    va_list ap;
    va_start(ap, format);
    vsnprintf(t.text, sizeof t.text, format, ap);
    va_end(ap);
    if (t.only && !strstr(t.text, t.only)) return 0;
    t.cases++;
    return 1;
}

void skip(const char *why) { t.skipped = why; }

static void fail_line(const char *file, int line, const char *what)
{
    if (++t.case_failed <= 10) fprintf(stderr, "%s:%d: FAIL in '%s': %s\n", file, line, t.text, what);
}

void check_(int ok, const char *file, int line, const char *text, const char *format, ...)
{
    if (ok) return;
    char why[512], what[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    snprintf(what, sizeof what, "%s (%s)", text, why);
    fail_line(file, line, what);
}

void check_near_(double got, double want, double tol, const char *file, int line, const char *text, const char *format,
                 ...)
{
    if (got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= tol) return;
    char why[512], what[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    snprintf(what, sizeof what, "%s is %.9g, wanted %.9g within %g (%s)", text, got, want, tol, why);
    fail_line(file, line, what);
}

enum { GUARD = 256, GUARD_BYTE = 0xA5 };

guarded guarded_new(size_t bytes, size_t off)
{
    guarded g = { .bytes = bytes };
    size_t all = (GUARD + off + bytes + GUARD + 63) / 64 * 64;
    g.block = aligned_alloc(64, all);
    memset(g.block, GUARD_BYTE, all);
    g.p = (char *)g.block + GUARD + off;
    return g;
}

int guarded_ok(const guarded *g)
{
    const unsigned char *before = (const unsigned char *)g->p - GUARD, *after = (const unsigned char *)g->p + g->bytes;
    for (int i = 0; i < GUARD; i++)
        if (before[i] != GUARD_BYTE || after[i] != GUARD_BYTE) return 0;
    return 1;
}

void guarded_free(guarded *g)
{
    free(g->block);
    g->block = g->p = NULL;
}

uint64_t rng_u64(rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double rng_uniform(rng *r) { return (double)(rng_u64(r) >> 11) * 0x1p-53; }

double rng_normal(rng *r)
{
    double u = 1 - rng_uniform(r), v = rng_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

void fill_normal(float *p, int64_t n, uint64_t seed)
{
    rng r = { seed };
    for (int64_t i = 0; i < n; i++) p[i] = (float)rng_normal(&r);
}

void fill_eighths(float *p, int64_t n, uint64_t seed)
{
    rng r = { seed };
    for (int64_t i = 0; i < n; i++) p[i] = (float)((int)(rng_u64(&r) % 65) - 32) / 8;
}

static char tier_list[8][16];
static int tier_known;

int tier_count(void)
{
    if (tier_known) return tier_known;
    char names[128];
    snprintf(names, sizeof names, "%s", getenv("SLUICE_TEST_CUDA") ? "cuda scalar" : cpu_tier_names());
    for (char *save = NULL, *p = strtok_r(names, " ", &save); p && tier_known < 8; p = strtok_r(NULL, " ", &save))
        snprintf(tier_list[tier_known++], sizeof tier_list[0], "%s", p);
    return tier_known;
}

const char *tier_name(int i) { return tier_list[i]; }

sluice *tier_open(int i, int threads)
{
    sluice *s = NULL;
    tier_count();
    int cuda = strcmp(tier_list[i], "cuda") == 0;
    if (!cuda) setenv("SLUICE_CPU", tier_list[i], 1);
    sluice_options o = { .size = sizeof o, .threads = threads, .devices = cuda ? "cuda:0" : "cpu" };
    if (sluice_open(&o, &s)) {
        fprintf(stderr, "cannot open tier %s: %s\n", tier_list[i], sluice_error(s));
        exit(1);
    }
    unsetenv("SLUICE_CPU");
    return s;
}

const char *test_folder(void)
{
    if (!t.folder[0]) {
        snprintf(t.folder, sizeof t.folder, "sluice-test-XXXXXX");
        if (!mkdtemp(t.folder)) {
            perror("mkdtemp");
            exit(1);
        }
    }
    return t.folder;
}

const char *test_path(const char *name)
{
    static char ring[16][512];
    static int at;
    char *p = ring[at++ % 16];
    snprintf(p, sizeof ring[0], "%s/%s", test_folder(), name);
    return p;
}

void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) {
        perror(path);
        exit(1);
    }
}
