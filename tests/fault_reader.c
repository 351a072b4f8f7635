/* fault_reader.c - reads that fail, for a while or for good, come short or are interrupted; files that change under the
 * reader. */
#include "pools.h"
#include "reader.h"
#include "reader_io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const paths[] = { "uring", "pread", "direct", "map", "" };
enum { PATHS = sizeof paths / sizeof *paths, BUFFERED = 3 }; /* the first of them read into buffers */
static const int64_t two_shards[] = { 5000, 3000 };
enum { WIDTH = 256 }; /* 1 KiB a row: 8000 rows */

typedef struct outcome {
    sluice_status st;
    int64_t good, wrong;
} outcome; /* rows delivered, of them with other bytes */

static const volatile uint8_t *held; /* the bytes of the block that is held when change() is called */

/* Reads all; at row change_at (of the pool) change(m) is called while that block is held, before its bytes are used. */
static outcome read_until(sluice *s, made_pool *m, int64_t max_rows, void (*change)(made_pool *), int64_t change_at)
{
    outcome o = { 0 };
    reader *r = NULL;
    o.st = reader_open(s, pool_of(m), &(reader_plan){ .max_rows = max_rows, .mem_bytes = 4 << 20 }, &r);
    for (bool end = false; !o.st && !end;) {
        block b;
        o.st = reader_next(s, r, &b, &end);
        if (o.st || end) break;
        held = b.view.data;
        if (change && b.first_row <= change_at && change_at < b.first_row + b.rows) change(m);
        for (int64_t i = 0; i < b.rows; i++)
            o.wrong += memcmp((const uint8_t *)b.view.data + (size_t)i * b.view.stride,
                              m->rows + (size_t)(b.first_row + i) * m->row_bytes, m->row_bytes) != 0;
        o.good += b.rows;
        reader_done(r, &b);
    }
    reader_close(r);
    return o;
}

/* ---- what reads return ---- */

static atomic_int calls;
static atomic_int fault_errno;

/* Every third read is interrupted, every other comes short. */
static int64_t stutter(int fd, uint64_t offset, size_t bytes, int64_t got)
{
    (void)fd, (void)offset, (void)bytes;
    int n = atomic_fetch_add(&calls, 1);
    if (got <= 0) return got;
    if (n % 3 == 0) return n % 2 ? -EINTR : -EAGAIN;
    return n % 2 && got > 1000 ? got - 777 : got;
}

/* No byte from 1,000,000 on can be read. */
static uint64_t bad_from = 1000000;
static int64_t bad_disk(int fd, uint64_t offset, size_t bytes, int64_t got)
{
    (void)fd;
    if (offset + bytes <= bad_from) return got;
    if (offset < bad_from) return (int64_t)(bad_from - offset);
    return -atomic_load(&fault_errno);
}

/* The first so many reads of bytes from 1,000,000 on fail, as those of a file server that starts anew. */
static atomic_int failures;
static int64_t hiccup(int fd, uint64_t offset, size_t bytes, int64_t got)
{
    (void)fd, (void)bytes;
    if (offset < bad_from || atomic_fetch_sub(&failures, 1) <= 0) return got;
    return -atomic_load(&fault_errno);
}

static int64_t never(int fd, uint64_t offset, size_t bytes, int64_t got)
{
    (void)fd, (void)offset, (void)bytes, (void)got;
    return -EAGAIN;
}

/* What is logged while a read is tried again. */
static struct {
    int lines;
    char last[512];
} heard;

static void hear(void *user, sluice_level level, const char *line)
{
    (void)user;
    if (level != SLUICE_WARNING) return;
    heard.lines++;
    snprintf(heard.last, sizeof heard.last, "%s", line);
}

static void retried(sluice *s, made_pool *m, const char *path, int error)
{
    if (!case_is("errno %d passes, path=%s", error, path)) return;
    heard.lines = 0;
    atomic_store(&fault_errno, error), atomic_store(&failures, 3);
    read_fault = hiccup;
    outcome o = read_until(s, m, 700, NULL, 0);
    read_fault = NULL;
    CHECK(o.st == SLUICE_OK && o.good == 8000 && o.wrong == 0, "%s: %lld rows, %lld wrong", sluice_error(s),
          (long long)o.good, (long long)o.wrong);
    CHECK(atomic_load(&failures) <= 0, "%d failures were not met", atomic_load(&failures));
    if (strcmp(path, "direct") == 0) return; /* its second attempt, through the page cache, needs no pause */
    CHECK(heard.lines >= 1 && strstr(heard.last, m->sh[0].path) && strstr(heard.last, strerror(error)) &&
              strstr(heard.last, "read again"),
          "%d lines, '%s'", heard.lines, heard.last);
}

static void refused(sluice *s, made_pool *m, const char *path)
{
    if (!case_is("an errno that does not pass, path=%s", path)) return;
    heard.lines = 0;
    atomic_store(&fault_errno, ENXIO);
    read_fault = bad_disk;
    outcome o = read_until(s, m, 500, NULL, 0);
    read_fault = NULL;
    CHECK(o.st == SLUICE_E_IO && heard.lines == 0, "status %d, %d lines, '%s'", o.st, heard.lines, heard.last);
}

static void results(sluice *s)
{
    s->opt.log = hear;
    for (int p = 0; p < BUFFERED; p++) {
        setenv("SLUICE_READER", paths[p], 1);
        made_pool m = make_pool(FBIN, SLUICE_F32, WIDTH, two_shards, 2, 1);
        if (case_is("short and interrupted reads, path=%s", paths[p])) {
            atomic_store(&calls, 0);
            read_fault = stutter;
            outcome o = read_until(s, &m, 700, NULL, 0);
            read_fault = NULL;
            CHECK(o.st == SLUICE_OK && o.good == 8000 && o.wrong == 0, "%s: %lld rows, %lld wrong", sluice_error(s),
                  (long long)o.good, (long long)o.wrong);
            CHECK(atomic_load(&calls) > 30, "the fault was asked %d times", atomic_load(&calls));
        }
        if (case_is("EIO, path=%s", paths[p])) {
            atomic_store(&fault_errno, EIO);
            read_fault = bad_disk;
            outcome o = read_until(s, &m, 500, NULL, 0);
            read_fault = NULL;
            CHECK(o.st == SLUICE_E_IO && o.good == 500 && o.wrong == 0, "status %d after %lld rows", o.st,
                  (long long)o.good);
            CHECK(strstr(sluice_error(s), m.sh[0].path) && strstr(sluice_error(s), "byte 1000000"), "%s",
                  sluice_error(s));
        }
        retried(s, &m, paths[p], EIO);
        retried(s, &m, paths[p], ESTALE);
        refused(s, &m, paths[p]);
        if (case_is("EAGAIN without end, path=%s", paths[p])) {
            read_fault = never;
            outcome o = read_until(s, &m, 500, NULL, 0);
            read_fault = NULL;
            CHECK(o.st == SLUICE_E_IO && o.good == 0, "status %d after %lld rows", o.st, (long long)o.good);
        }
        if (case_is("gather, short reads then EIO, path=%s", paths[p])) {
            static const int64_t rows[] = { 7999, 3, 0, 5000, 3, 970, 971 };
            float out[7 * WIDTH];
            read_fault = stutter;
            CHECK_OK(s, pool_gather(s, pool_of(&m), rows, 7, out));
            read_fault = bad_disk;
            CHECK_OK(s, pool_gather(s, pool_of(&m), rows + 1, 4, out)); /* the good part of both files */
            CHECK_SAME(out + 3 * WIDTH, m.rows + 3 * m.row_bytes, m.row_bytes, "row 3");
            CHECK(pool_gather(s, pool_of(&m), rows, 7, out) == SLUICE_E_IO, "%s", sluice_error(s));
            read_fault = NULL;
        }
        free_pool(&m);
    }
    unsetenv("SLUICE_READER");
    s->opt.log = NULL;
}

/* ---- files that change ---- */

static void cut(made_pool *m)
{
    if (truncate(m->sh[0].path, 700 * 1024)) perror("truncate");
}

static void touch(made_pool *m)
{
    FILE *f = fopen(m->sh[0].path, "r+b");
    struct timespec t[2] = { { 1, 0 }, { 1, 0 } }; /* a time of its own, whatever the clock's grain */
    fputc(7, f), fclose(f);
    if (utimensat(AT_FDCWD, m->sh[0].path, t, 0)) perror("utimensat");
}

static void replace(made_pool *m)
{
    const char *other = test_path("other");
    write_file(other, m->rows, (size_t)m->sh[0].file_bytes);
    if (rename(other, m->sh[0].path)) perror("rename");
}

static void discard(made_pool *m) { remove(m->sh[0].path); }

static const struct {
    const char *name;
    void (*change)(made_pool *);
} ways[] = { { "cut", cut }, { "written", touch }, { "replaced", replace }, { "removed", discard } };

static void changes(sluice *s)
{
    for (int p = 0; p < PATHS; p++)
        for (int w = 0; w < 4; w++)
            for (int early = 0; early < 2; early++) {
                if (!case_is("file %s %s, path=%s", ways[w].name, early ? "before reading" : "while reading", paths[p]))
                    continue;
                setenv("SLUICE_READER", paths[p], 1);
                made_pool m = make_pool(NPY, SLUICE_F32, WIDTH, two_shards, 2, 2);
                if (early) ways[w].change(&m);
                /* The last block of the first shard is held when it happens: nothing of that file is read any more. */
                outcome o = read_until(s, &m, 500, early ? NULL : ways[w].change, 4900);
                sluice_status want = early && ways[w].change == discard ? SLUICE_E_MISSING : SLUICE_E_DATA;
                bool buffered = p < BUFFERED;
                if (!early && buffered) want = SLUICE_OK; /* it was read whole, before the change */
                CHECK(o.st == want, "status %d: %s", o.st, sluice_error(s));
                if (want) CHECK(strstr(sluice_error(s), m.sh[0].path), "%s", sluice_error(s));
                if (want == SLUICE_E_DATA)
                    CHECK(strstr(sluice_error(s), "changed while being read"), "%s", sluice_error(s));
                if (want == SLUICE_OK) CHECK(o.good == 8000 && o.wrong == 0, "%lld wrong", (long long)o.wrong);
                free_pool(&m);
            }
    unsetenv("SLUICE_READER");
}

static sluice_status change_between(sluice *s, void *user, int64_t at, sluice_view x)
{
    (void)s, (void)x;
    made_pool *m = ((void **)user)[0];
    void (*change)(made_pool *) = *(void (**)(made_pool *))((void **)user)[1];
    if (at == 0) change(m);
    return SLUICE_OK;
}

/* Chosen rows of a file that changes after the first of them were shown. */
static void chosen_rows_change(sluice *s)
{
    static int64_t row[8000];
    for (int64_t i = 0; i < 8000; i++) row[i] = i;
    for (int w = 0; w < 4; w++) {
        if (!case_is("rows_read, file %s", ways[w].name)) continue;
        made_pool m = make_pool(NPY, SLUICE_F32, WIDTH, two_shards, 2, 2);
        void (*change)(made_pool *) = ways[w].change;
        void *user[] = { &m, &change };
        CHECK(rows_read(s, pool_of(&m), row, 8000, change_between, user, NULL) == SLUICE_E_DATA, "%s", sluice_error(s));
        CHECK(strstr(sluice_error(s), m.sh[0].path) && strstr(sluice_error(s), "changed while being read"), "%s",
              sluice_error(s));
        free_pool(&m);
    }
}

/* Cut in the middle: blocks behind the cut are on their way, or still to come. */
static void cut_midway(sluice *s)
{
    for (int p = 0; p < PATHS; p++) {
        if (!case_is("file cut midway, path=%s", paths[p])) continue;
        setenv("SLUICE_READER", paths[p], 1);
        made_pool m = make_pool(FVECS, SLUICE_F32, WIDTH, two_shards, 2, 3);
        outcome o = read_until(s, &m, 100, cut, 650);
        CHECK(o.st == SLUICE_E_DATA && o.good < 5000, "status %d after %lld rows: %s", o.st, (long long)o.good,
              sluice_error(s));
        CHECK(strstr(sluice_error(s), "716800 bytes and had 5140000"), "%s", sluice_error(s));
        free_pool(&m);
    }
    unsetenv("SLUICE_READER");
}

/* ---- the handler of SIGBUS ---- */

/* A page is missing when it is used, and afterwards the file looks as before: the disk failed for a moment. */
static void lose_a_page(made_pool *m)
{
    const shard *sh = &m->sh[0];
    struct timespec t[2] = { { 1, 0 }, { sh->mtime_ns / 1000000000, sh->mtime_ns % 1000000000 } };
    if (truncate(sh->path, 0)) perror("truncate");
    CHECK(held[500 * 1024] == 0, "a page that is gone");
    if (truncate(sh->path, sh->file_bytes) || utimensat(AT_FDCWD, sh->path, t, 0)) perror(sh->path);
}

static void lost_page(sluice *s)
{
    if (!case_is("a mapped page is lost")) return;
    setenv("SLUICE_READER", "map", 1);
    made_pool m = make_pool(NPY, SLUICE_F32, WIDTH, two_shards, 2, 5);
    outcome o = read_until(s, &m, 1000, lose_a_page, 2500);
    CHECK(o.st == SLUICE_E_IO && o.good == 3000, "status %d after %lld rows", o.st, (long long)o.good);
    CHECK(strstr(sluice_error(s), m.sh[0].path), "%s", sluice_error(s));
    unsetenv("SLUICE_READER");
    free_pool(&m);
}

static atomic_int seen;
static char *foreign_page;
static void on_bus(int sig)
{
    (void)sig;
    atomic_fetch_add(&seen, 1);
    mmap(foreign_page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void foreign_fault(made_pool *m)
{
    (void)m;
    const char *path = test_path("empty");
    write_file(path, "", 0);
    FILE *f = fopen(path, "rb");
    foreign_page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
    fclose(f);
    CHECK(*(volatile char *)foreign_page == 0, "a fault of the program's own map");
    munmap(foreign_page, 4096);
}

static void signals(sluice *s)
{
    if (!case_is("the program's own handler of SIGBUS stays in force")) return;
    struct sigaction own = { .sa_handler = on_bus }, old, now;
    sigaction(SIGBUS, &own, &old);
    setenv("SLUICE_READER", "map", 1);
    made_pool m = make_pool(NPY, SLUICE_F32, WIDTH, two_shards, 2, 4);
    outcome o = read_until(s, &m, 1000, foreign_fault, 3000);
    CHECK(o.st == SLUICE_OK && o.wrong == 0, "%s", sluice_error(s));
    CHECK(atomic_load(&seen) == 1, "the program's handler ran %d times", atomic_load(&seen));
    o = read_until(s, &m, 1000, cut, 900);
    CHECK(o.st == SLUICE_E_DATA && atomic_load(&seen) == 1, "status %d, %d", o.st, atomic_load(&seen));
    sigaction(SIGBUS, NULL, &now);
    CHECK(now.sa_handler == on_bus, "the handler was not put back");
    sigaction(SIGBUS, &old, NULL);
    unsetenv("SLUICE_READER");
    free_pool(&m);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    read_pause_ns = 1000;
    results(s);
    changes(s);
    chosen_rows_change(s);
    cut_midway(s);
    lost_page(s);
    signals(s);
    sluice_close(s);
    return test_end();
}
