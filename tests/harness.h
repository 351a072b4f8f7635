/* harness.h - checks that print both values, named cases, guarded buffers.
 *
 *     int main(int argc, char **argv) { test_begin(argc, argv); some_cases(); return test_end(); }
 *
 * An argument runs only the cases whose text contains it. */
#ifndef HARNESS_H
#define HARNESS_H

#include "core.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_begin(int argc, char **argv);
int test_end(void); /* prints "N passed, N failed"; the exit code */
int case_is(const char *format, ...) __attribute__((format(printf, 1, 2))); /* opens a case; 0: not selected */
void skip(const char *why); /* the rest of this program cannot run here */

void check_(int ok, const char *file, int line, const char *text, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void check_near_(double got, double want, double tol, const char *file, int line, const char *text, const char *format,
                 ...) __attribute__((format(printf, 7, 8)));
#define CHECK(ok, ...) check_(!!(ok), __FILE__, __LINE__, #ok, __VA_ARGS__)
/* |got - want| <= tol, or both NaN, or equal infinities. */
#define CHECK_NEAR(got, want, tol, ...) check_near_(got, want, tol, __FILE__, __LINE__, #got, __VA_ARGS__)
#define CHECK_OK(s, call)                                                                                              \
    do {                                                                                                               \
        sluice_status st_ = (call);                                                                                    \
        check_(st_ == SLUICE_OK, __FILE__, __LINE__, #call, "%s", sluice_error(s));                                    \
    } while (0)
#define CHECK_SAME(a, b, bytes, ...) check_(memcmp(a, b, bytes) == 0, __FILE__, __LINE__, #a " == " #b, __VA_ARGS__)

/* A buffer with guard bytes behind (and before) it, `off` bytes off 64-byte alignment. */
typedef struct guarded {
    void *p;
    size_t bytes;
    void *block;
} guarded;
guarded guarded_new(size_t bytes, size_t off);
int guarded_ok(const guarded *g); /* nothing written outside */
void guarded_free(guarded *g);

/* Seeded data (splitmix64), the same everywhere. */
typedef struct rng {
    uint64_t state;
} rng;
uint64_t rng_u64(rng *r);
double rng_uniform(rng *r); /* [0, 1) */
double rng_normal(rng *r);
void fill_normal(float *p, int64_t n, uint64_t seed);
void fill_eighths(float *p, int64_t n, uint64_t seed); /* multiples of 1/8 in [-4, 4]: ties, exact sums */

/* Every tier this machine can run; with SLUICE_TEST_CUDA set "cuda" (the plug-in of SLUICE_PLUGIN_DIR) beside "scalar":
 * for (int t = 0; t < tier_count(); t++) { sluice *s = tier_open(t, threads); ... sluice_close(s); } */
int tier_count(void);
const char *tier_name(int t);
sluice *tier_open(int t, int threads);

/* A fresh folder for the test's files, removed by test_end(). */
const char *test_folder(void);
const char *test_path(const char *name); /* folder/name; a ring of 16 buffers */
void write_file(const char *path, const void *data, size_t bytes);

#endif
