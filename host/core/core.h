/* core.h - what every file of host/ includes: the context, errors, memory, log and progress. */
#ifndef CORE_H
#define CORE_H

#include "sluice.h"
#include "sluice_backend.h"
#include "sluice_ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_DEVICES = 64 };

struct sluice {
    sluice_exec exec; /* how ops run: threads, scratch, fail; the first of the devices */
    const sluice_backend *backend;
    const sluice_backend *cpu; /* the same, or the CPU's beside a device's */
    sluice_backend plugin;     /* what backend points to when it is no CPU */
    int device[MAX_DEVICES], devices;
    sluice_math math;          /* of pool scans */
    struct resident *resident; /* a pool's blocks on the devices, or NULL: host/sample/resident.h */
    int threads;
    size_t mem_bytes;  /* budget of a scan's buffers */
    void *scratch;     /* exec.scratch's block, grown between ops */
    struct kept *kept; /* on devices, see device.c */
    struct comm *comm; /* the other processes of this job, or NULL: host/dist/comm.h */
    size_t scratch_bytes;
    sluice_options opt;
    sluice_usage usage;
    struct {
        int lanes; /* at work on it */
        double since;
    } at_work[MAX_DEVICES];
    volatile int cancelled;
    char error[2048];
};

/* ---- errors: one macro to forward, one to fail, one label ---- */

/* Records "text" (control characters masked) and returns st. */
sluice_status sluice_fail(sluice *s, sluice_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "text: " before the recorded message; returns st. */
sluice_status sluice_note(sluice *s, sluice_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Adds a line "hint: text". */
sluice_status sluice_hint(sluice *s, sluice_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((st = (call)) != SLUICE_OK) goto out;                                                                      \
    } while (0)
#define FAIL(code, ...)                                                                                                \
    do {                                                                                                               \
        st = sluice_fail(s, SLUICE_##code, __VA_ARGS__);                                                               \
        goto out;                                                                                                      \
    } while (0) /* FAIL(E_DATA, "...") */
#define FAIL_ERRNO(code, ...)                                                                                          \
    do {                                                                                                               \
        st = sluice_fail_errno(s, SLUICE_##code, __VA_ARGS__);                                                         \
        goto out;                                                                                                      \
    } while (0)
sluice_status sluice_fail_errno(sluice *s, sluice_status st, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* "text: strerror(errno)" */

/* ---- memory: products checked, 64-byte aligned, NULL and a recorded E_MEMORY on failure; release with mem_free ---- */
void *mem_new(sluice *s, int64_t count, size_t size); /* zeroed; count 0 gives a valid pointer */
void *mem_raw(sluice *s, int64_t count, size_t size); /* not zeroed */
void *mem_grow(sluice *s, void *p, int64_t count,
               size_t size);                 /* plain realloc semantics, not aligned: only for p from mem_grow */
char *mem_text(sluice *s, const char *text); /* strdup */
char *mem_format(sluice *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mem_free(void *p);
bool mul_overflows(size_t a, size_t b, size_t *out); /* true when a * b does not fit */
#define NEW(s, count, type) ((type *)mem_new(s, count, sizeof(type)))
#define RAW(s, count, type) ((type *)mem_raw(s, count, sizeof(type)))
#define TRY_NEW(p, call)                                                                                               \
    do {                                                                                                               \
        if (!((p) = (call))) {                                                                                         \
            st = SLUICE_E_MEMORY;                                                                                      \
            goto out;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- log and progress ---- */
void log_line(sluice *s, sluice_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
double clock_seconds(void); /* monotonic */
typedef struct progress {
    sluice_progress p;
    double began, told;
} progress;
void progress_begin(progress *g, const char *task, const char *unit, int64_t total);
/* Tells the caller at most ten times a second; fails with E_CANCELLED when sluice_cancel() was called. */
sluice_status progress_step(sluice *s, progress *g, int64_t done, double bytes);
void progress_end(sluice *s, progress *g);
/* The same for work that tells of no progress: "WHAT stopped before the end". */
sluice_status cancel_check(sluice *s, const char *what);

/* ---- backend ---- */
const sluice_backend *cpu_backend(const char *tier,
                                  const char **out_why); /* kernels/cpu.c; tier NULL: the best; NULL + why on failure */
int cpu_threads(void);                                   /* affinity, cgroup, SLURM_CPUS_PER_TASK, OMP_NUM_THREADS */
size_t
memory_available(void); /* bytes that can be had now: free, or held by the page cache; within the cgroup's limit */
const char *cpu_tier_names(void); /* tiers this machine can run, best first, "avx512 avx2 scalar" */

/* The entry of a plug-in in $SLUICE_PLUGIN_DIR or PREFIX/lib/sluice, a function; NULL and why. */
void *plugin_entry(const char *file, const char *entry, char *why, size_t why_bytes);

/* Public calls set the floating-point environment (MXCSR 0x1F80) and put it back. */
typedef struct fp_state {
    unsigned mxcsr;
} fp_state;
fp_state fp_enter(void);
void fp_leave(fp_state f);

/* ---- files ---- */
/* A file that appears only when whole: written to PATH.tmp.<pid>, synced, renamed, folder synced. */
typedef struct outfile outfile;
/* Fails with E_WRITE: a folder, folder missing, no permission.  An existing file is replaced by force; without it the
 * commit fails with E_WRITE unless the bytes are the same (then it stays and all is well).  Pipes and devices are
 * written as they are. */
sluice_status outfile_open(sluice *s, const char *path, bool force, outfile **out_f);
/* As outfile_open() with force, but written in a named temporary that a later call can go on with: its first keep bytes
 * stay, further ones go.  Both are on one file system. */
sluice_status outfile_reopen(sluice *s, const char *path, const char *temporary, int64_t keep, outfile **out_f);
sluice_status outfile_sync(sluice *s, outfile *f); /* what was written so far is safe */
void outfile_leave(outfile *f);                    /* as outfile_abort(), but the temporary stays */
sluice_status outfile_write(sluice *s, outfile *f, const void *data, size_t bytes);
sluice_status outfile_printf(sluice *s, outfile *f, const char *format, ...) __attribute__((format(printf, 3, 4)));
sluice_status outfile_commit(sluice *s, outfile *f); /* f is freed also on failure */
void outfile_abort(outfile *f);                      /* NULL allowed; removes the temporary */
sluice_status outfile_end(sluice *s, outfile *f,
                          sluice_status st); /* commit where st is OK, else abort; what comes of it */
sluice_status file_write(sluice *s, const char *path, const void *data, size_t bytes); /* a whole file, replaced */
sluice_status file_read(sluice *s, const char *path, int64_t limit, char **out_text,
                        int64_t *out_bytes); /* whole small file, zero-terminated */
sluice_status file_make_folder(sluice *s, const char *path);
const char *path_base(const char *path);              /* after the last '/' */
bool path_ends(const char *path, const char *ending); /* ".npy" */

/* text helpers */
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed); /* XXH3-64 */
bool parse_i64(const char *text, int64_t *out);                     /* whole text, decimal */
bool parse_f64(const char *text, double *out);                      /* locale independent, finite */

#endif
