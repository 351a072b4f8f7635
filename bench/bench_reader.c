/* bench_reader.c - how fast rows come out of the reader, on every path, beside the machine's own rates in the same run.
 *
 *     bench_reader [--mib N] [--width D] [--threads T] [--rounds R] [--block-rows N] [--mem-mib N] [--folder DIR]
 *                  [--only cold|cached] [--scan C]
 *
 * A file of N MiB f32 rows is made in DIR and removed at the end.  All threads add up every byte of every block (64-bit
 * words, wrapping), the least a scan can do; the sum is compared with the known one in every timed run.  --scan C: instead
 * every block goes through the op scan with a linear head of C classes and all scores, whose bits are added up.
 *
 *   memory    the same words from memory, one plain loop over all: the limit of memory and page-cache paths
 *   pread     8 MiB preads in a loop, nothing computed: what `dd` would reach; from a cold file the limit of the cold paths
 *
 *   gather    one row of eight, drawn at random, by pool_gather; its GB/s are of the rows asked for
 *
 * Cold: the file's pages are dropped (posix_fadvise) before each round.  The last of them is the reader itself, so that the
 * cached rounds that follow find the page cache as it leaves it. */
#include "bench.h"
#include "pool.h"
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS_MAX = 64, SCORES = 7 };

static struct {
    int64_t mib, width, block_rows, mem_mib, classes;
    int threads, rounds;
    const char *folder, *only;
} o = { .mib = 1024, .width = 512, .rounds = 5, .folder = "." };

typedef struct setup {
    sluice *s;
    uint64_t *words; /* the rows, in memory */
    size_t bytes;
    int fd;
    sluice_pool memory, file;
    shard memory_shard, file_shard;
    uint64_t sum;
    int64_t *rows, row_count; /* what is gathered */
    float *gathered;
    float *packed, *scores; /* --scan: the head, and [SCORES, rows of a block] */
} setup;

static void die(const char *what)
{
    fprintf(stderr, "bench_reader: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t add_up(const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint64_t sum = 0;
#pragma omp parallel for num_threads(o.threads) reduction(+ : sum) schedule(static)
    for (int t = 0; t < o.threads; t++) {
        size_t words = bytes / 8, from = words * (size_t)t / (size_t)o.threads,
               to = words * ((size_t)t + 1) / (size_t)o.threads;
        uint64_t a[8] = { 0 }, x[8];
        for (; from + 8 <= to; from += 8) {
            memcpy(x, p + from * 8, 64);
            for (int k = 0; k < 8; k++) a[k] += x[k];
        }
        for (; from < to; from++) {
            memcpy(x, p + from * 8, 8);
            a[0] += x[0];
        }
        for (int k = 0; k < 8; k++) sum += a[k];
    }
    return sum;
}

static uint64_t scan(setup *u, sluice_view x)
{
    float *p[SCORES];
    uint64_t sum = 0;
    for (int k = 0; k < SCORES; k++) p[k] = u->scores + (size_t)k * (size_t)x.rows;
    sluice_op_scan_args a = { .x = x,
                              .packed = u->packed,
                              .c = o.classes,
                              .temperature = 1,
                              .out = { p[0], p[1], p[2], p[3], p[4], p[5], p[6] } };
    BENCH_OK(u->s, sluice_op_scan(u->s, &a));
    for (int64_t i = 0; i < SCORES * x.rows; i++) {
        uint32_t bits;
        memcpy(&bits, u->scores + i, 4);
        sum += bits;
    }
    return sum;
}

static uint64_t work(setup *u, sluice_view x)
{
    return o.classes ? scan(u, x) : add_up(x.data, (size_t)x.rows * x.stride);
}

/* ---- what is timed; each returns the sum, or 0 where nothing is computed ---- */

static uint64_t plain_memory(setup *u) { return work(u, sluice_rows(u->words, SLUICE_F32, u->memory.rows, o.width)); }

static uint64_t plain_pread(setup *u)
{
    enum { STEP = 8 << 20 };
    static uint8_t *buffer;
    if (!buffer) buffer = aligned_alloc(2 << 20, STEP);
    for (size_t at = 128; at < 128 + u->bytes;) {
        ssize_t got = pread(u->fd, buffer, STEP, (off_t)at);
        if (got <= 0) die("pread");
        at += (size_t)got;
    }
    return 0;
}

static uint64_t through_reader(setup *u, const sluice_pool *pool, const char *path, double *stall)
{
    reader *r = NULL;
    uint64_t sum = 0;
    setenv("SLUICE_READER", path, 1);
    BENCH_OK(u->s, reader_open(u->s, pool,
                               &(reader_plan){ .max_rows = o.block_rows, .mem_bytes = (size_t)o.mem_mib << 20 }, &r));
    for (bool end = false;;) {
        block b;
        BENCH_OK(u->s, reader_next(u->s, r, &b, &end));
        if (end) break;
        sum += work(u, b.view);
        reader_done(r, &b);
    }
    *stall += reader_stall_seconds(r);
    reader_close(r);
    return sum;
}

/* f32 to f32 is a copy, so bytes are compared. */
static uint64_t gather(setup *u)
{
    size_t row = (size_t)o.width * 4;
    BENCH_OK(u->s, pool_gather(u->s, &u->file, u->rows, u->row_count, u->gathered));
    for (int64_t i = 0; i < u->row_count; i += 101)
        if (memcmp(u->gathered + i * o.width, (uint8_t *)u->words + (size_t)u->rows[i] * row, row)) return 1;
    return 0;
}

typedef struct way {
    const char *name, *path;
    bool cold;
} way;

static uint64_t run(setup *u, const way *w, double *stall)
{
    if (!strcmp(w->name, "memory")) return plain_memory(u);
    if (!strcmp(w->name, "pread")) return plain_pread(u);
    if (!strcmp(w->name, "gather")) return gather(u);
    return through_reader(u, w->path ? &u->file : &u->memory, w->path ? w->path : "", stall);
}

/* ---- making the file ---- */

static void facts(setup *u)
{
    struct stat st;
    if (fstat(u->fd, &st)) die("fstat");
    u->file_shard.file_bytes = st.st_size;
    u->file_shard.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void make(setup *u, char *path)
{
    int64_t rows = (o.mib << 20) / (o.width * 4);
    u->bytes = (size_t)(rows * o.width) * 4;
    u->words = bench_memory(u->bytes);
    bench_fill((float *)u->words, rows * o.width, 1);
    u->fd = mkstemp(path);
    if (u->fd < 0 || pwrite(u->fd, u->words, 128, 0) != 128) die(path);
    for (size_t at = 0; at < u->bytes;) {
        size_t step = u->bytes - at < 8 << 20 ? u->bytes - at : 8 << 20;
        ssize_t put = pwrite(u->fd, (uint8_t *)u->words + at, step, (off_t)(128 + at));
        if (put <= 0) die(path);
        at += (size_t)put;
    }
    if (fsync(u->fd)) die(path);
    u->memory_shard = (shard){ .rows = rows, .stride = (size_t)o.width * 4, .memory = (uint8_t *)u->words };
    u->file_shard = (shard){ .rows = rows, .stride = (size_t)o.width * 4, .offset = 128, .path = path, .name = path };
    facts(u);
    u->memory = (sluice_pool){ .shards = &u->memory_shard, .shard_count = 1, .rows = rows, .width = o.width };
    u->file = u->memory;
    u->file.shards = &u->file_shard;
    if (o.classes) {
        float *w = bench_memory((size_t)(o.classes * o.width) * sizeof *w);
        bench_fill(w, o.classes * o.width, 2);
        u->packed = bench_memory(sluice_packed_floats(o.classes, o.width) * sizeof *u->packed);
        u->scores = bench_memory((size_t)(SCORES * rows) * sizeof *u->scores);
        BENCH_OK(u->s, sluice_op_pack(u->s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, o.classes, o.width),
                                                                    .out = u->packed }));
        free(w);
    }
    u->sum = plain_memory(u);
    u->row_count = rows / 8;
    u->rows = malloc((size_t)u->row_count * sizeof *u->rows);
    u->gathered = malloc((size_t)(u->row_count * o.width) * sizeof(float));
    if (!u->rows || !u->gathered) die("memory");
    for (int64_t i = 0; i < u->row_count; i++)
        u->rows[i] = (int64_t)((uint64_t)i * 0x9e3779b97f4a7c15u % (uint64_t)rows);
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        int64_t v = strtoll(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--mib")) o.mib = v;
        else if (!strcmp(argv[i], "--width")) o.width = v;
        else if (!strcmp(argv[i], "--threads")) o.threads = (int)v;
        else if (!strcmp(argv[i], "--rounds")) o.rounds = (int)v;
        else if (!strcmp(argv[i], "--block-rows")) o.block_rows = v;
        else if (!strcmp(argv[i], "--mem-mib")) o.mem_mib = v;
        else if (!strcmp(argv[i], "--folder")) o.folder = argv[i + 1];
        else if (!strcmp(argv[i], "--scan")) o.classes = v;
        else if (!strcmp(argv[i], "--only")) o.only = argv[i + 1];
        else fprintf(stderr, "bench_reader: unknown option %s\n", argv[i]), exit(2);
    }
    if (o.rounds < 1) o.rounds = 1;
    if (o.rounds > ROUNDS_MAX) o.rounds = ROUNDS_MAX;
    if (o.threads < 1) o.threads = cpu_threads();
}

int main(int argc, char **argv)
{
    static const way ways[] = {
        { "memory", NULL, false },
        { "reader, memory", NULL, false },
        { "reader, page cache", "", false },
        { "reader, map", "map", false },
        { "reader, uring", "uring", false },
        { "reader, threads", "pread", false },
        { "gather", "", false },
        { "pread", "", false },
        { "pread", "", true },
        { "gather", "", true },
        { "reader, threads", "pread", true },
        { "reader, uring", "uring", true },
        { "reader, direct", "direct", true },
        { "reader, disk", "", true },
    };
    enum { WAYS = sizeof ways / sizeof *ways, PLAIN_COLD = WAYS - 6 };
    static double seconds[WAYS][ROUNDS_MAX];
    double stall[WAYS] = { 0 };
    setup u = { 0 };
    char path[512];
    read_options(argc, argv);
    snprintf(path, sizeof path, "%s/bench-reader-XXXXXX", o.folder);
    if (sluice_open(&(sluice_options){ .size = sizeof(sluice_options), .threads = o.threads }, &u.s))
        die(sluice_error(u.s));
    make(&u, path);
    bool uring = !strcmp(reader_backend(), "io_uring");
    bool wrong = false;
    for (int i = 0; i < o.rounds; i++)
        for (int w = 0; w < WAYS; w++) {
            if (o.only && ways[w].cold == !strcmp(o.only, "cached")) continue;
            if (!uring && ways[w].path && !strcmp(ways[w].path, "uring")) continue;
            if (ways[w].cold) posix_fadvise(u.fd, 0, 0, POSIX_FADV_DONTNEED);
            double began = clock_seconds();
            uint64_t sum = run(&u, &ways[w], &stall[w]);
            seconds[w][i] = clock_seconds() - began;
            wrong = wrong || (sum && sum != u.sum);
        }
    unlink(path);
    printf("%.0f MiB, rows of %lld f32, %d threads, %d rounds\n", (double)u.bytes / (1 << 20), (long long)o.width,
           o.threads, o.rounds);
    printf("%-22s %-6s %10s %10s %10s %10s %8s\n", "path", "file", "median s", "best s", "GB/s", "of limit", "stall s");
    for (int w = 0; w < WAYS; w++) {
        double s = bench_quantile(seconds[w], o.rounds, 0.5), best = bench_quantile(seconds[w], o.rounds, 0);
        double limit = bench_quantile(seconds[ways[w].cold ? PLAIN_COLD : 0], o.rounds, 0.5);
        double bytes = (double)u.bytes / (strcmp(ways[w].name, "gather") ? 1 : 8);
        if (s > 0)
            printf("%-22s %-6s %10.4f %10.4f %10.2f %9.0f%% %8.4f\n", ways[w].name,
                   !ways[w].path  ? "-"
                   : ways[w].cold ? "cold"
                                  : "cached",
                   s, best, bytes / s * 1e-9, 100 * limit / s * bytes / (double)u.bytes, stall[w] / o.rounds);
    }
    if (wrong) fprintf(stderr, "bench_reader: a path gave another sum\n");
    sluice_close(u.s);
    return wrong;
}
