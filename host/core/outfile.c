/* outfile.c - a file that appears only when whole: PATH.tmp.<pid>, synced, renamed over PATH, folder synced.
 *
 * An existing regular file is replaced by force only.  Without force the new bytes must equal the old ones, which then
 * stay: the same inputs give the same bytes, so running a finished job again is no error.  Pipes and devices have no
 * temporary, they are written as they are. */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 18 };

struct outfile {
    char *path, *temporary; /* temporary NULL: a pipe or device, written directly */
    bool kept;              /* the temporary is the caller's and stays after a failure */
    bool compare;           /* path exists and must turn out the same */
    bool replaces;          /* path exists */
    int fd;
    size_t used;
    char buffer[BUFFER];
};

static sluice_status cannot_write(sluice *s, const char *path)
{
    return sluice_fail_errno(s, errno == EIO ? SLUICE_E_IO : SLUICE_E_WRITE, "cannot write '%s'", path);
}

static void folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    int n = slash ? (int)(slash - path) : 0;
    snprintf(out, size, "%.*s", n ? n : 1, slash ? (n ? path : "/") : ".");
}

sluice_status outfile_open(sluice *s, const char *path, bool force, outfile **out_f)
{
    sluice_status st = SLUICE_OK;
    struct stat facts;
    outfile *f = NULL;
    bool exists = stat(path, &facts) == 0, regular = !exists || S_ISREG(facts.st_mode);
    if (exists && S_ISDIR(facts.st_mode)) {
        errno = EISDIR;
        return cannot_write(s, path);
    }
    TRY_NEW(f, mem_new(s, 1, sizeof *f));
    f->fd = -1;
    f->compare = exists && regular && !force;
    f->replaces = exists;
    TRY_NEW(f->path, mem_text(s, path));
    if (regular) {
        TRY_NEW(f->temporary, mem_format(s, "%s.tmp.%ld", path, (long)getpid()));
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    } else {
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    if (f->fd < 0) {
        st = cannot_write(s, path);
        goto out;
    }
    *out_f = f, f = NULL;
out:
    outfile_abort(f);
    return st;
}

/* Before hours of work, not after. */
static sluice_status check_can_move(sluice *s, const outfile *f)
{
    struct stat from, to;
    char folder[4096];
    folder_of(f->path, folder, sizeof folder);
    if (fstat(f->fd, &from) || stat(folder, &to)) return cannot_write(s, f->path);
    if (from.st_dev == to.st_dev) return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_USAGE, "'%s' is on another file system than '%s' and could not be moved there",
                       f->temporary, f->path);
}

/* Bytes that are missing would be zeros where scores should be. */
static sluice_status keep_bytes(sluice *s, outfile *f, int64_t keep)
{
    struct stat facts;
    if (fstat(f->fd, &facts)) return cannot_write(s, f->temporary);
    if (facts.st_size < keep)
        return sluice_fail(s, SLUICE_E_DATA, "'%s' has %lld bytes, %lld were written", f->temporary,
                           (long long)facts.st_size, (long long)keep);
    if (ftruncate(f->fd, keep) || lseek(f->fd, keep, SEEK_SET) < 0) return cannot_write(s, f->temporary);
    return SLUICE_OK;
}

sluice_status outfile_reopen(sluice *s, const char *path, const char *temporary, int64_t keep, outfile **out_f)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    TRY_NEW(f, mem_new(s, 1, sizeof *f));
    f->fd = -1;
    TRY_NEW(f->path, mem_text(s, path));
    TRY_NEW(f->temporary, mem_text(s, temporary));
    f->kept = true;
    f->fd = open(temporary, O_RDWR | (keep ? 0 : O_CREAT) | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno == ENOENT && keep)
        FAIL(E_DATA, "'%s' is gone, %lld bytes were written", temporary, (long long)keep);
    if (f->fd < 0) TRY(cannot_write(s, temporary));
    TRY(check_can_move(s, f));
    TRY(keep_bytes(s, f, keep));
    *out_f = f, f = NULL;
out:
    outfile_leave(f);
    return st;
}

static sluice_status flush(sluice *s, outfile *f)
{
    for (size_t at = 0; at < f->used;) {
        ssize_t n = write(f->fd, f->buffer + at, f->used - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return cannot_write(s, f->path);
        at += (size_t)n;
    }
    f->used = 0;
    return SLUICE_OK;
}

sluice_status outfile_write(sluice *s, outfile *f, const void *data, size_t bytes)
{
    for (const char *p = data; bytes;) {
        size_t n = BUFFER - f->used < bytes ? BUFFER - f->used : bytes;
        memcpy(f->buffer + f->used, p, n);
        f->used += n, p += n, bytes -= n;
        sluice_status st = f->used == BUFFER ? flush(s, f) : SLUICE_OK;
        if (st) return st;
    }
    return SLUICE_OK;
}

sluice_status outfile_printf(sluice *s, outfile *f, const char *format, ...)
{
    char stack[1024], *text = stack;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(stack, sizeof stack, format, ap);
    va_end(ap);
    if (n < 0) return sluice_fail(s, SLUICE_E_INTERNAL, "cannot format a line of '%s'", f->path);
    if ((size_t)n >= sizeof stack) {
        text = mem_grow(s, NULL, (int64_t)n + 1, 1);
        if (!text) return SLUICE_E_MEMORY;
        va_start(ap, format);
        vsnprintf(text, (size_t)n + 1, format, ap);
        va_end(ap);
    }
    sluice_status st = outfile_write(s, f, text, (size_t)n);
    if (text != stack) mem_free(text);
    return st;
}

sluice_status outfile_sync(sluice *s, outfile *f)
{
    sluice_status st = flush(s, f);
    return !st && fsync(f->fd) && errno != EINVAL && errno != EROFS ? cannot_write(s, f->path) : st;
}

/* The rename is durable only when the folder is synced too; file systems that cannot do it say EINVAL. */
static int sync_folder(const char *path)
{
    char folder[4096];
    folder_of(path, folder, sizeof folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EIO;
    int bad = fsync(fd) && errno == EIO;
    close(fd);
    return bad;
}

/* The whole written file against the one that exists, by halves of the buffer. */
static sluice_status check_same(sluice *s, outfile *f)
{
    enum { HALF = BUFFER / 2 };
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    bool same = fd >= 0;
    for (off_t at = 0; same; at += HALF) {
        ssize_t a = pread(f->fd, f->buffer, HALF, at), b = pread(fd, f->buffer + HALF, HALF, at);
        same = a >= 0 && a == b && memcmp(f->buffer, f->buffer + HALF, (size_t)a) == 0;
        if (a < HALF) break;
    }
    if (fd >= 0) close(fd);
    if (same) return SLUICE_OK;
    return sluice_hint(s,
                       sluice_fail(s, SLUICE_E_WRITE, "cannot write '%s': it exists and holds something else", f->path),
                       "--force overwrites it");
}

/* After a crash a file whose folder was not synced might not be there, so it is not there now.  Where there was one
 * before, the new one, which is whole, is still better than none. */
static void take_back(const outfile *f)
{
    if (f->kept) rename(f->path, f->temporary);
    else if (!f->replaces) unlink(f->path);
}

sluice_status outfile_commit(sluice *s, outfile *f)
{
    sluice_status st = flush(s, f);
    if (!st && f->compare) {
        st = check_same(s, f);
        outfile_abort(f);
        return st;
    }
    if (!st) st = outfile_sync(s, f);
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) && !st) st = cannot_write(s, f->path);
    if (!st && f->temporary && rename(f->temporary, f->path)) st = cannot_write(s, f->path);
    if (!st && f->temporary && sync_folder(f->path)) {
        st = cannot_write(s, f->path);
        take_back(f);
    }
    if (f->kept) outfile_leave(f);
    else outfile_abort(f);
    return st;
}

void outfile_abort(outfile *f)
{
    if (f && f->temporary) unlink(f->temporary);
    outfile_leave(f);
}

sluice_status outfile_end(sluice *s, outfile *f, sluice_status st)
{
    if (!st) return outfile_commit(s, f);
    outfile_abort(f);
    return st;
}

sluice_status file_write(sluice *s, const char *path, const void *data, size_t bytes)
{
    outfile *f = NULL;
    sluice_status st = outfile_open(s, path, true, &f);
    if (st) return st;
    assert(f);
    return outfile_end(s, f, outfile_write(s, f, data, bytes));
}

void outfile_leave(outfile *f)
{
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    mem_free(f->temporary);
    mem_free(f->path);
    mem_free(f);
}

sluice_status file_make_folder(sluice *s, const char *path)
{
    if (mkdir(path, 0777) == 0) return SLUICE_OK;
    struct stat facts;
    if (errno == EEXIST && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) return SLUICE_OK;
    return sluice_fail_errno(s, SLUICE_E_WRITE, "cannot make folder '%s'", path);
}
