/* reader_io.c - what both read engines share: pieces, errors, the file of a shard. */
#include "reader_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = READ_PAGE,
    PIECE_MIN = 256 << 10,
    RETRIES_MAX = 1000, /* EAGAIN without end would hang the run */
    TRIES_MAX = 6
};

int64_t (*read_fault)(int fd, uint64_t offset, size_t bytes, int64_t got);
int64_t read_pause_ns = 100000000; /* 0.1 s, 0.2 s ... 3.2 s: 6.3 s in all */

/* ---- errors that pass ---- */

bool read_again(int error, int *tries)
{
    if (error != EINTR && error != EIO && error != ESTALE && error != ETIMEDOUT) return false;
    if (*tries == TRIES_MAX) return false;
    int64_t ns = read_pause_ns << (*tries)++;
    struct timespec pause = { ns / 1000000000, ns % 1000000000 };
    nanosleep(&pause, NULL); /* a signal cuts it short */
    return true;
}

static bool piece_again(read_piece *p)
{
    bool *gave_up = &p->job->engine->gave_up;
    if (p->error == 0 || p->error == READ_ENDED) return false;
    if (!__atomic_load_n(gave_up, __ATOMIC_RELAXED) && read_again(p->error, &p->tries)) {
        p->passed = p->error;
        return true;
    }
    __atomic_store_n(gave_up, true, __ATOMIC_RELAXED);
    return false;
}

/* ---- pieces ---- */

/* Pieces meet at page boundaries of the file: two requests for one page wait for each other, which halved the rate of
 * a cold file.  They are small, so that those under way together still look like one sequential read to the kernel: then
 * its read-ahead builds large folios, else single pages.  Large folios came from the disk at 2.5 instead of 1 GB/s, and
 * were scanned in place later at 35 instead of 6 GB/s (Linux 6.18, ext4; pieces of 512 KiB and 1 MiB lost them). */
void read_job_cut(read_engine *e, read_job *j)
{
    j->engine = e;
    size_t piece = (j->bytes + PAGE) / READ_PIECES + PAGE;
    if (piece < PIECE_MIN) piece = PIECE_MIN;
    uint64_t end = j->offset + j->bytes;
    j->pieces = j->claimed = 0;
    j->next = NULL;
    for (uint64_t at = j->offset, stop; at < end; at = stop) {
        stop = (at + piece) & ~(uint64_t)(PAGE - 1);
        if (stop > end) stop = end;
        j->piece[j->pieces++] = (read_piece){ .job = j,
                                              .to = j->to + (at - j->offset),
                                              .offset = at,
                                              .bytes = (size_t)(stop - at),
                                              .direct = j->direct >= 0 };
    }
    j->left = j->pieces;
}

read_call read_piece_call(const read_piece *p)
{
    size_t bytes = p->bytes < READ_MAX ? p->bytes : READ_MAX;
    if (!p->direct) return (read_call){ p->job->fd, p->to, bytes, p->offset };
    size_t before = (size_t)(p->offset % PAGE);
    return (read_call){ p->job->direct, p->to - before, (before + bytes + PAGE - 1) / PAGE * PAGE, p->offset - before };
}

/* Whole pages were asked for: what of got belongs to the piece. */
static int64_t within(const read_piece *p, int64_t got)
{
    int64_t before = (int64_t)(p->offset % PAGE);
    if (got < before) return 0;
    return (size_t)(got - before) < p->bytes ? got - before : (int64_t)p->bytes;
}

bool read_piece_step(read_piece *p, int64_t got)
{
    bool direct = p->direct;
    p->direct = false; /* what it leaves behind is read in the ordinary way */
    if (direct && got > 0) got = within(p, got);
    if (read_fault) got = read_fault(p->job->fd, p->offset, p->bytes, got);
    if (got > 0) {
        p->to += got;
        p->offset += (uint64_t)got;
        p->bytes -= (size_t)got;
        return p->bytes == 0;
    }
    if (direct) return false;
    if ((got == -EINTR || got == -EAGAIN) && p->retries++ < RETRIES_MAX) {
        sched_yield();
        return false;
    }
    p->error = got ? (int)-got : READ_ENDED;
    return true;
}

void read_piece_pread(read_piece *p)
{
    do {
        int64_t got;
        p->error = 0;
        do {
            read_call c = read_piece_call(p);
            got = pread(c.fd, c.to, c.bytes, (off_t)c.offset);
            if (got < 0) got = -errno;
        } while (!read_piece_step(p, got));
    } while (piece_again(p));
}

int read_job_error(const read_job *j, uint64_t *out_offset)
{
    for (int i = 0; i < j->pieces; i++) {
        if (!j->piece[i].error) continue;
        *out_offset = j->piece[i].offset;
        return j->piece[i].error;
    }
    return 0;
}

sluice_status read_path_wanted(sluice *s, const char **out_want)
{
    static const char *const paths[] = { "uring", "pread", "map", "direct" };
    enum { PATHS = sizeof paths / sizeof *paths };
    const char *want = getenv("SLUICE_READER");
    *out_want = NULL;
    if (!want || !*want) return SLUICE_OK;
    for (int i = 0; i < PATHS; i++)
        if (!strcmp(want, paths[i])) *out_want = paths[i];
    return *out_want ? SLUICE_OK
                     : sluice_fail(s, SLUICE_E_USAGE, "SLUICE_READER is '%s', not uring, pread, map or direct", want);
}

sluice_status read_engine_open(sluice *s, const char *want, read_engine **out_e)
{
    bool must = want && !strcmp(want, "uring");
    if (!want || strcmp(want, "pread")) {
        *out_e = read_uring_open();
        if (*out_e) return SLUICE_OK;
        if (must) return sluice_fail_errno(s, SLUICE_E_UNSUPPORTED, "cannot read through io_uring");
    }
    return read_threads_open(s, out_e);
}

/* ---- the file of a shard ---- */

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

bool shard_file_same(const shard_file *f)
{
    struct stat held, named;
    errno = 0; /* and stays so where the system answers, and the answer is another */
    return !fstat(f->fd, &held) && (int64_t)held.st_size == f->sh->file_bytes && mtime_ns(&held) == f->sh->mtime_ns &&
           !stat(f->sh->path, &named) && named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

sluice_status shard_file_check(sluice *s, const shard_file *f)
{
    const shard *sh = f->sh;
    struct stat held;
    int tries = 0;
    do
        if (shard_file_same(f)) return SLUICE_OK;
    while (read_again(errno, &tries));
    if (errno && errno != ENOENT) return sluice_fail_errno(s, SLUICE_E_IO, "cannot look at '%s'", sh->path);
    if (fstat(f->fd, &held)) return sluice_fail_errno(s, SLUICE_E_IO, "cannot read '%s'", sh->path);
    if ((int64_t)held.st_size != sh->file_bytes)
        return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: it has %lld bytes and had %lld", sh->path,
                           (long long)held.st_size, (long long)sh->file_bytes);
    if (mtime_ns(&held) != sh->mtime_ns)
        return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: its modification time is another",
                           sh->path);
    return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: it was replaced or removed", sh->path);
}

static int open_patiently(sluice *s, const char *path)
{
    int fd, tries = 0;
    while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        int error = errno;
        if (read_again(error, &tries)) {
            log_line(s, SLUICE_WARNING, "'%s': %s, opened again (%d of %d)", path, strerror(error), tries, TRIES_MAX);
            continue;
        }
        errno = error;
        break;
    }
    return fd;
}

sluice_status shard_file_open(sluice *s, const shard *sh, shard_file **out_f)
{
    sluice_status st = SLUICE_OK;
    shard_file *f;
    TRY_NEW(f, NEW(s, 1, shard_file));
    f->sh = sh;
    f->users = 1;
    f->direct = -1;
    f->fd = open_patiently(s, sh->path);
    if (f->fd < 0 && errno == ENOENT) FAIL_ERRNO(E_MISSING, "cannot read '%s'", sh->path);
    if (f->fd < 0) FAIL_ERRNO(E_IO, "cannot read '%s'", sh->path);
    TRY(shard_file_check(s, f));
    *out_f = f, f = NULL;
out:
    shard_file_drop(f);
    return st;
}

/* Whether pages are what O_DIRECT wants of this file; kernels before 6.1 do not tell, then the reads will show. */
static bool pages_will_do(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx x = { 0 };
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) || !(x.stx_mask & STATX_DIOALIGN)) return true;
    return x.stx_dio_offset_align && PAGE % x.stx_dio_offset_align == 0 && PAGE % x.stx_dio_mem_align == 0;
#else
    return fd >= 0;
#endif
}

void shard_file_go_direct(shard_file *f)
{
    struct stat held, other;
    if (f->direct >= 0) return;
    f->direct = open(f->sh->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (f->direct < 0) return;
    if (!fstat(f->fd, &held) && !fstat(f->direct, &other) && held.st_ino == other.st_ino &&
        held.st_dev == other.st_dev && pages_will_do(f->direct))
        return;
    close(f->direct);
    f->direct = -1;
}

void shard_file_drop(shard_file *f)
{
    if (!f || --f->users) return;
    if (f->fd >= 0) close(f->fd);
    if (f->direct >= 0) close(f->direct);
    mem_free(f);
}

/* The engines' threads do not log: what they went through is told afterwards. */
static void tell_retries(sluice *s, const shard_file *f, const read_job *j)
{
    for (int i = 0; i < j->pieces; i++) {
        const read_piece *p = &j->piece[i];
        if (p->tries)
            log_line(s, SLUICE_WARNING, "'%s' at byte %llu: %s, read again (%d of %d)", f->sh->path,
                     (unsigned long long)p->offset, strerror(p->passed), p->tries, TRIES_MAX);
    }
}

sluice_status shard_file_result(sluice *s, const shard_file *f, const read_job *j)
{
    uint64_t at;
    int error = read_job_error(j, &at);
    tell_retries(s, f, j);
    if (!error) return SLUICE_OK;
    sluice_status st = shard_file_check(s, f); /* a file that was cut says so, whatever the read said */
    if (st) return st;
    if (error == READ_ENDED)
        return sluice_fail(s, SLUICE_E_IO, "cannot read '%s': it ends at byte %llu", f->sh->path,
                           (unsigned long long)at);
    errno = error;
    return sluice_fail_errno(s, SLUICE_E_IO, "cannot read '%s' at byte %llu", f->sh->path, (unsigned long long)at);
}
