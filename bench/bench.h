/* bench.h - what every bench shares: options, the machine's own rates measured in the same run, median and p95.
 *
 * A bench measures the rates, then its case, in turn, several times: on a machine that others use too, both slow down
 * together, and their ratio still tells how far the code is from what the machine could do.  A result is checked in the
 * run that was timed. */
#ifndef BENCH_H
#define BENCH_H

#include "core.h"
#include "gpu_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_options {
    int64_t rows; /* 0: the bench's own sizes */
    int threads;  /* 0: as allowed */
    int runs;
    const char *devices; /* as for sluice_open; NULL: the CPU */
    const char *only;    /* cases whose name contains it; NULL: all */
} bench_options;

/* --rows N --threads N --runs N --devices D [CASE]; anything else prints the usage and exits with 2. */
bench_options bench_begin(int argc, char **argv, const char *what);
sluice *bench_open(const bench_options *o); /* exits with a message on failure */
void bench_check(int ok, const char *what); /* exits with 1 when a result is wrong */
#define BENCH_OK(s, call)                                                                                              \
    do {                                                                                                               \
        if ((call) != SLUICE_OK) fprintf(stderr, "%s\n", sluice_error(s)), exit(1);                                    \
    } while (0)

/* Bytes per second of reading p in order, and floating-point operations per second of independent fused multiply-adds
 * on the registers of the context's tier; both on its number of threads.  On a GPU bytes per second of a copy within the
 * device, both ways counted, and the operations per second of its multiply-adds. */
double bench_read_rate(const sluice *s, const void *p, size_t bytes);
double bench_fma_rate(const sluice *s);

/* The times of a case and, per run, the limit max(bytes / read rate, flops / (fma rate * share)). */
typedef struct bench_result {
    const char *name;
    double rows, bytes, flops;
    double share; /* of FMA among a GPU kernel's instructions, as tests/sass.py finds it; 0: 1 */
    int runs;
    double seconds[64], limit[64], read_rate[64], fma_rate[64];
} bench_result;

typedef void bench_case(void *arg);
/* One warm-up, then `runs` times: both rates (data: what the case reads), then the case. */
void bench_run(bench_result *r, const sluice *s, const void *data, bench_case *f, void *arg);
double bench_quantile(const double *v, int n, double q);
void bench_head(const sluice *s); /* machine, tier, threads; the header line of the table */
void bench_line(const bench_result *r);

/* ---- devices: on a CPU the first returns p and the others do nothing ---- */
int bench_gpu(const sluice *s);                                /* 1: ops run on a GPU */
const gpu_limits *bench_gpu_limits(void);                      /* NULL: not measured */
void *bench_on_device(sluice *s, const void *p, size_t bytes); /* a copy of p there */
void bench_from_device(sluice *s, void *to, const void *from, size_t bytes);
void bench_wait(sluice *s);
void bench_release(sluice *s, void *device);

/* A running top where ops compute; what it kept comes to host.entries, in order, with bench_top_fetch(). */
typedef struct bench_top {
    sluice_top_state host, *state;
    sluice_entry *entries; /* state's */
} bench_top;
void bench_top_new(sluice *s, bench_top *t, int64_t k);
void bench_top_begin(sluice *s, bench_top *t); /* anew */
void bench_top_add(sluice *s, bench_top *t, const float *score, int64_t n, int64_t first_row, int finish);
void bench_top_fetch(sluice *s, bench_top *t);
void bench_top_release(sluice *s, bench_top *t);

/* Memory for benches: 2 MiB aligned, exits when there is none; released with free(). */
void *bench_memory(size_t bytes);
/* Floats of about unit size, the same for every thread count. */
void bench_fill(float *p, int64_t n, uint64_t seed);

#endif
