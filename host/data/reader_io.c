/* reader_io.c - what both read engines share: pieces, errors, the file of a shard. */
#include "reader_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    PIECE_MIN = 256 << 10,
    RETRIES_MAX = 1000 /* EAGAIN without end would hang the run */
};

int64_t (*read_fault)(int fd, uint64_t offset, size_t bytes, int64_t got);

/* Pieces meet at page boundaries of the file: two requests for one page wait for each other, which halved the rate of
 * a cold file.  They are small, so that those under way together still look like one sequential read to the kernel: then
 * its read-ahead builds large folios, else single pages.  Large folios came from the disk at 2.5 instead of 1 GB/s, and
 * were scanned in place later at 35 instead of 6 GB/s (Linux 6.18, ext4; pieces of 512 KiB and 1 MiB lost them). */
void read_job_cut(read_job *j)
{
    size_t piece = (j->bytes + PAGE) / READ_PIECES + PAGE;
    if (piece < PIECE_MIN) piece = PIECE_MIN;
    uint64_t end = j->offset + j->bytes;
    j->pieces = j->claimed = 0;
    j->next = NULL;
    for (uint64_t at = j->offset, stop; at < end; at = stop) {
        stop = (at + piece) & ~(uint64_t)(PAGE - 1);
        if (stop > end) stop = end;
        j->piece[j->pieces++] =
            (read_piece){ .job = j, .to = j->to + (at - j->offset), .offset = at, .bytes = (size_t)(stop - at) };
    }
    j->left = j->pieces;
}

bool read_piece_step(read_piece *p, int64_t got)
{
    if (read_fault) got = read_fault(p->job->fd, p->offset, p->bytes, got);
    if (got > 0) {
        p->to += got;
        p->offset += (uint64_t)got;
        p->bytes -= (size_t)got;
        return p->bytes == 0;
    }
    if ((got == -EINTR || got == -EAGAIN) && p->retries++ < RETRIES_MAX) {
        sched_yield();
        return false;
    }
    p->error = got ? (int)-got : READ_ENDED;
    return true;
}

void read_piece_pread(read_piece *p)
{
    int64_t got;
    p->error = 0;
    do {
        got = pread(p->job->fd, p->to, p->bytes < READ_MAX ? p->bytes : READ_MAX, (off_t)p->offset);
        if (got < 0) got = -errno;
    } while (!read_piece_step(p, got));
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
    static const char *const paths[] = { "uring", "pread", "map" };
    const char *want = getenv("SLUICE_READER");
    *out_want = NULL;
    if (!want || !*want) return SLUICE_OK;
    for (int i = 0; i < 3; i++)
        if (!strcmp(want, paths[i])) *out_want = paths[i];
    return *out_want ? SLUICE_OK
                     : sluice_fail(s, SLUICE_E_USAGE, "SLUICE_READER is '%s', not uring, pread or map", want);
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
    return !fstat(f->fd, &held) && (int64_t)held.st_size == f->sh->file_bytes && mtime_ns(&held) == f->sh->mtime_ns &&
           !stat(f->sh->path, &named) && named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

sluice_status shard_file_check(sluice *s, const shard_file *f)
{
    if (shard_file_same(f)) return SLUICE_OK;
    const shard *sh = f->sh;
    struct stat held;
    if (fstat(f->fd, &held)) return sluice_fail_errno(s, SLUICE_E_IO, "cannot read '%s'", sh->path);
    if ((int64_t)held.st_size != sh->file_bytes)
        return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: it has %lld bytes and had %lld", sh->path,
                           (long long)held.st_size, (long long)sh->file_bytes);
    if (mtime_ns(&held) != sh->mtime_ns)
        return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: its modification time is another",
                           sh->path);
    return sluice_fail(s, SLUICE_E_DATA, "'%s' changed while being read: it was replaced or removed", sh->path);
}

sluice_status shard_file_open(sluice *s, const shard *sh, shard_file **out_f)
{
    sluice_status st = SLUICE_OK;
    shard_file *f;
    TRY_NEW(f, NEW(s, 1, shard_file));
    f->sh = sh;
    f->users = 1;
    f->fd = open(sh->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 && errno == ENOENT) FAIL_ERRNO(E_MISSING, "cannot read '%s'", sh->path);
    if (f->fd < 0) FAIL_ERRNO(E_IO, "cannot read '%s'", sh->path);
    TRY(shard_file_check(s, f));
    *out_f = f, f = NULL;
out:
    shard_file_drop(f);
    return st;
}

void shard_file_drop(shard_file *f)
{
    if (!f || --f->users) return;
    if (f->fd >= 0) close(f->fd);
    mem_free(f);
}

sluice_status shard_file_result(sluice *s, const shard_file *f, const read_job *j)
{
    uint64_t at;
    int error = read_job_error(j, &at);
    if (!error) return SLUICE_OK;
    sluice_status st = shard_file_check(s, f); /* a file that was cut says so, whatever the read said */
    if (st) return st;
    if (error == READ_ENDED)
        return sluice_fail(s, SLUICE_E_IO, "cannot read '%s': it ends at byte %llu", f->sh->path,
                           (unsigned long long)at);
    errno = error;
    return sluice_fail_errno(s, SLUICE_E_IO, "cannot read '%s' at byte %llu", f->sh->path, (unsigned long long)at);
}
