/* failing_calls.c - preloaded into the program: its n-th call of a kind fails.  See fault.sh.
 *
 *     FAULT_CALL=KIND    write, fsync, rename, open, read, alloc, or json
 *     FAULT_AT=N         the N-th from 1 fails; 0: none, only count
 *     FAULT_ON=1         and all behind it
 *     FAULT_ERRNO=N      with that error
 *     FAULT_COUNT=FILE   how many there were, when the program ends
 *
 * Files are those opened by a relative path, so that the system's own are left alone.  alloc are allocations of the
 * program, json those of the JSON library, which cannot always tell them from bad text; the OpenMP library does not
 * survive its own.  Pauses take no time. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 1024, RANGES = 8 };

static struct {
    const char *call, *count;
    long at;
    bool on, ready;
    int error;
} fault;
static atomic_long calls;
static atomic_bool ours[FILES]; /* by descriptor */
static struct {
    uintptr_t begin, end;
    const char *kind;
} code[RANGES];
static int ranges;

static int note_code(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size, (void)user;
    const char *kind = !info->dlpi_name[0] ? "alloc" : strstr(info->dlpi_name, "jansson") ? "json" : NULL;
    if (!kind) return 0;
    for (int i = 0; i < info->dlpi_phnum && ranges < RANGES; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        code[ranges].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        code[ranges].end = code[ranges].begin + info->dlpi_phdr[i].p_memsz;
        code[ranges++].kind = kind;
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("FAULT_AT"), *error = getenv("FAULT_ERRNO");
    dl_iterate_phdr(note_code, NULL);
    fault.call = getenv("FAULT_CALL"), fault.count = getenv("FAULT_COUNT");
    fault.at = at ? atol(at) : 0, fault.error = error ? atoi(error) : EIO, fault.on = getenv("FAULT_ON") != NULL;
    fault.ready = fault.call != NULL;
}

__attribute__((destructor)) static void end(void)
{
    fault.ready = false;
    FILE *f = fault.count ? fopen(fault.count, "w") : NULL;
    if (!f) return;
    fprintf(f, "%ld\n", atomic_load(&calls));
    fclose(f);
}

static bool fails(const char *call)
{
    if (!fault.ready || strcmp(call, fault.call) != 0) return false;
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (!fault.at || n < fault.at || (n > fault.at && !fault.on)) return false;
    errno = fault.error;
    return true;
}

static bool is_ours(int fd) { return fd >= 0 && fd < FILES && atomic_load(&ours[fd]); }

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (!f) abort();
    return f;
}

#define NEXT(name, type)                                                                                               \
    static type *real;                                                                                                 \
    if (!real) real = (type *)next(name)

/* ---- files ---- */

typedef int open_function(const char *, int, ...);
static int open_by(open_function *real, const char *path, int flags, mode_t mode)
{
    bool own = path[0] != '/';
    if (own && fails("open")) return -1;
    int fd = real(path, flags, mode);
    if (fd >= 0 && fd < FILES) atomic_store(&ours[fd], own);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    NEXT("open", open_function);
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_by(real, path, flags, mode);
}


typedef FILE *fopen_function(const char *, const char *);
FILE *fopen(const char *path, const char *mode)
{
    NEXT("fopen", fopen_function);
    if (path[0] != '/' && fails("open")) return NULL;
    return real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

typedef ssize_t write_function(int, const void *, size_t);
ssize_t write(int fd, const void *data, size_t bytes)
{
    NEXT("write", write_function);
    return is_ours(fd) && fails("write") ? -1 : real(fd, data, bytes);
}

typedef ssize_t read_function(int, void *, size_t);
ssize_t read(int fd, void *data, size_t bytes)
{
    NEXT("read", read_function);
    return is_ours(fd) && fails("read") ? -1 : real(fd, data, bytes);
}

typedef ssize_t pread_function(int, void *, size_t, off_t);
ssize_t pread(int fd, void *data, size_t bytes, off_t at)
{
    NEXT("pread", pread_function);
    return is_ours(fd) && fails("read") ? -1 : real(fd, data, bytes, at);
}
ssize_t pread64(int fd, void *data, size_t bytes, off64_t at) { return pread(fd, data, bytes, at); }

typedef int fsync_function(int);
int fsync(int fd)
{
    NEXT("fsync", fsync_function);
    return is_ours(fd) && fails("fsync") ? -1 : real(fd);
}

typedef int rename_function(const char *, const char *);
int rename(const char *from, const char *to)
{
    NEXT("rename", rename_function);
    return fails("rename") ? -1 : real(from, to);
}

typedef int close_function(int);
int close(int fd)
{
    NEXT("close", close_function);
    if (fd >= 0 && fd < FILES) atomic_store(&ours[fd], false);
    return real(fd);
}

/* ---- memory: dlsym() allocates, so these go to the C library by its own names ---- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static bool alloc_fails(const void *caller)
{
    if (!fault.ready) return false;
    for (int i = 0; i < ranges; i++)
        if ((uintptr_t)caller >= code[i].begin && (uintptr_t)caller < code[i].end) {
            if (!fails(code[i].kind)) return false;
            errno = ENOMEM;
            return true;
        }
    return false;
}

void *malloc(size_t bytes) { return alloc_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes); }
void *calloc(size_t n, size_t size) { return alloc_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t bytes)
{
    return alloc_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, bytes);
}
void *aligned_alloc(size_t align, size_t bytes)
{
    return alloc_fails(__builtin_return_address(0)) ? NULL : __libc_memalign(align, bytes);
}

/* ---- time ---- */

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted, (void)left;
    return 0;
}
