/* bench_select.c - sluice_select() end to end: all scores, top 1000 of each, the pool in memory, in the page cache, on disk.
 *
 *     bench_select [--rows N] [--threads N] [--runs N] [CASE]
 *
 * One head (10 classes, width 512), the same rows in every case, and the same picks, which is checked.  The cases take
 * turns, so that what else the machine does meets all of them.  `of memory` is the case's speed over that of the pool in
 * memory; `of disk` is the bytes it read a second over those of a plain read of the dropped file in 4 MiB pieces. */
#include "bench.h"
#include "head.h"

#include <fcntl.h>
#include <unistd.h>

enum { WIDTH = 512, CLASSES = 10, MOST_RUNS = 64 };
static const char strategies[] = "least-confidence,margin,ratio,entropy,energy";
static const char file_path[] = "bench_select.tmp.npy", head_path[] = "bench_select.tmp.head.npy";

typedef struct work {
    sluice *s;
    sluice_head *head;
    sluice_pool *memory, *file;
    sluice_picks *picks; /* of the pool in memory: what every case must give */
} work;

/* ---- the pool, once in memory and once as a file ---- */

static void write_npy(const char *path, int64_t rows, int64_t cols, const float *data)
{
    char header[128];
    FILE *f = fopen(path, "wb");
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int used =
        snprintf(header + 10, sizeof header - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                 (long long)rows, (long long)cols);
    memset(header + 10 + used, ' ', sizeof header - 10 - (size_t)used);
    header[127] = '\n';
    bench_check(f && fwrite(header, 1, sizeof header, f) == sizeof header &&
                    fwrite(data, sizeof *data, (size_t)(rows * cols), f) == (size_t)(rows * cols) && fclose(f) == 0,
                "the pool's file was written");
}

static void sync_file(void)
{
    int fd = open(file_path, O_RDONLY);
    fsync(fd);
    close(fd);
}

static void drop_cache(void)
{
    int fd = open(file_path, O_RDONLY);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* Bytes per second of a plain read, after the cache was dropped. */
static double disk_rate(void)
{
    static char piece[4 << 20];
    int fd = open(file_path, O_RDONLY);
    double began = clock_seconds(), bytes = 0;
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) bytes += (double)n;
    close(fd);
    return bytes / (clock_seconds() - began);
}

static sluice_head *random_head(sluice *s)
{
    float w[CLASSES * WIDTH];
    sluice_head *head;
    bench_fill(w, CLASSES * WIDTH, 7);
    for (int i = 0; i < CLASSES * WIDTH; i++) w[i] /= 16;
    write_npy(head_path, CLASSES, WIDTH, w);
    BENCH_OK(s, head_import(s, head_path, NULL, NULL, NULL, 0, &head));
    unlink(head_path);
    return head;
}

static void set_up(work *w, const bench_options *o, float **out_rows, int64_t n)
{
    const char *paths[] = { file_path };
    float *rows = bench_memory((size_t)n * WIDTH * sizeof *rows);
    bench_fill(rows, n * WIDTH, 1);
    write_npy(file_path, n, WIDTH, rows);
    sync_file();
    w->s = bench_open(o);
    BENCH_OK(w->s, sluice_pool_from_rows(w->s, rows, SLUICE_F32, n, WIDTH, WIDTH * sizeof *rows, NULL, &w->memory));
    BENCH_OK(w->s, sluice_pool_open(
                       w->s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = paths, .path_count = 1 },
                       &w->file));
    w->head = random_head(w->s);
    *out_rows = rows;
}

/* ---- cases ---- */

static double timed_select(work *w, const sluice_pool *pool)
{
    sluice_select_args a = { .size = sizeof a, .head = w->head, .strategies = strategies, .k = 1000 };
    sluice_picks *p;
    double began = clock_seconds();
    BENCH_OK(w->s, sluice_select(w->s, pool, &a, &p));
    double seconds = clock_seconds() - began;
    if (!w->picks) {
        w->picks = p;
        return seconds;
    }
    for (int l = 0; l < sluice_picks_lists(p); l++)
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++)
            bench_check(sluice_picks_get(p, l)[i].row == sluice_picks_get(w->picks, l)[i].row,
                        "every case picks the same rows");
    sluice_picks_free(p);
    return seconds;
}

static double cached_case(work *w, const char *way)
{
    if (way) setenv("SLUICE_READER", way, 1);
    double seconds = timed_select(w, w->file);
    unsetenv("SLUICE_READER");
    return seconds;
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(argc, argv, "sluice_select() from memory, page cache and disk");
    int64_t n = o.rows ? o.rows : 1000000;
    int runs = o.runs < MOST_RUNS ? o.runs : MOST_RUNS;
    double memory[MOST_RUNS], cached[MOST_RUNS], copied[MOST_RUNS], cold[MOST_RUNS], disk[MOST_RUNS];
    work w = { 0 };
    float *rows;
    set_up(&w, &o, &rows, n);
    timed_select(&w, w.memory);
    timed_select(&w, w.file);
    for (int i = 0; i < runs; i++) {
        memory[i] = timed_select(&w, w.memory);
        cached[i] = cached_case(&w, NULL);
        copied[i] = cached_case(&w, "uring");
    }
    for (int i = 0; i < runs; i++) {
        drop_cache();
        disk[i] = disk_rate();
        drop_cache();
        cold[i] = timed_select(&w, w.file);
    }
    double bytes = (double)n * WIDTH * sizeof(float), base = bench_quantile(memory, runs, 0.5);
    printf("%lld x %d f32, %d classes, %s, top 1000 of each, %d threads, median of %d\n", (long long)n, WIDTH, CLASSES,
           strategies, w.s->threads, runs);
    printf("%-28s %9s %9s %9s %10s %8s\n", "case", "seconds", "Mrows/s", "GB/s", "of memory", "of disk");
    struct {
        const char *name;
        const double *seconds;
        bool on_disk;
    } cases[] = {
        { "pool in memory", memory, false },
        { "file in the page cache", cached, false },
        { "the same, copied by io_uring", copied, false },
        { "file on disk", cold, true },
    };
    for (int i = 0; i < 4; i++) {
        double t = bench_quantile(cases[i].seconds, runs, 0.5);
        printf("%-28s %9.3f %9.2f %9.2f %9.0f%%", cases[i].name, t, (double)n / t / 1e6, bytes / t / 1e9,
               100 * base / t);
        if (cases[i].on_disk) printf(" %7.0f%%", 100 * bytes / t / bench_quantile(disk, runs, 0.5));
        printf("\n");
    }
    unlink(file_path);
    sluice_picks_free(w.picks);
    sluice_head_free(w.head);
    sluice_pool_free(w.memory);
    sluice_pool_free(w.file);
    sluice_close(w.s);
    free(rows);
    return 0;
}
