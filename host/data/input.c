/* input.c - reading untrusted files: opened once, size fixed then, every read bounded by it. */
#include "formats.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

sluice_status input_open(sluice *s, const char *path, input *out)
{
    sluice_status st = SLUICE_OK;
    struct stat info;
    *out = (input){ .fd = -1 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* NONBLOCK: a pipe must not hang us */
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG)
            FAIL_ERRNO(E_MISSING, "cannot open");
        FAIL_ERRNO(E_IO, "cannot open");
    }
    if (fstat(fd, &info)) FAIL_ERRNO(E_IO, "cannot ask for the size");
    if (S_ISDIR(info.st_mode)) FAIL(E_MISSING, "it is a directory, a file is needed");
    if (!S_ISREG(info.st_mode)) FAIL(E_MISSING, "it is no regular file");
    out->bytes = info.st_size;
    out->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    out->fd = fd, fd = -1;
out:
    if (fd >= 0) close(fd);
    return st;
}

sluice_status input_read(sluice *s, const input *f, int64_t offset, void *out, size_t bytes)
{
    uint8_t *to = out;
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(f->fd, to + done, bytes - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return sluice_fail_errno(s, SLUICE_E_IO, "cannot read %zu bytes at %lld", bytes, (long long)offset);
        if (got == 0)
            return sluice_fail(s, SLUICE_E_FORMAT, "the file ends %zu bytes into a part of %zu bytes at %lld", done,
                               bytes, (long long)offset);
        done += (size_t)got;
    }
    return SLUICE_OK;
}

void input_close(input *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t load_u64(const uint8_t *p) { return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32; }
