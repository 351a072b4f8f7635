/* reader_map.c - a range of a file used where it lies, in the page cache.
 *
 * Pages are mapped by the first touch, so the work is spread over whoever computes.  A page that cannot be had (the file
 * was cut, the disk fails) raises SIGBUS, in whatever thread touched it.  While maps exist a handler answers those faults,
 * and no others, with pages of zeros and leaves a mark; read_map_close() sees it and the block's results are dropped. */
#include "reader_io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { GUARDS = 256, PROBE_STEP = 2 << 20 };

/* A mapped range.  Taken by used; the handler looks at begin and end alone. */
static struct guard {
    atomic_int used, hit;
    atomic_uintptr_t begin, end;
} guards[GUARDS];

static struct {
    pthread_mutex_t lock;
    int users;
    struct sigaction before; /* what SIGBUS did when the first user came */
} handler = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uintptr_t page_mask(void) { return (uintptr_t)sysconf(_SC_PAGESIZE) - 1; }

/* Signal context. */
static bool answer(uintptr_t at)
{
    for (int i = 0; i < GUARDS; i++) {
        struct guard *g = &guards[i];
        uintptr_t begin = atomic_load(&g->begin), end = atomic_load(&g->end);
        if (!begin || at < begin || at >= end) continue;
        int saved = errno;
        uintptr_t page = at & ~page_mask();
        void *p = mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = saved;
        atomic_store(&g->hit, 1);
        return p != MAP_FAILED;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    if (answer((uintptr_t)info->si_addr)) return;
    if (handler.before.sa_flags & SA_SIGINFO) {
        handler.before.sa_sigaction(sig, info, context);
    } else if (handler.before.sa_handler != SIG_DFL && handler.before.sa_handler != SIG_IGN) {
        handler.before.sa_handler(sig);
    } else {
        signal(sig, SIG_DFL);
        raise(sig); /* held back until this returns */
    }
}

void read_map_begin(void)
{
    pthread_mutex_lock(&handler.lock);
    if (handler.users++ == 0) {
        struct sigaction ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, &handler.before);
    }
    pthread_mutex_unlock(&handler.lock);
}

void read_map_end(void)
{
    pthread_mutex_lock(&handler.lock);
    struct sigaction now;
    if (--handler.users == 0 && !sigaction(SIGBUS, NULL, &now) && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_sigbus)
        sigaction(SIGBUS, &handler.before, NULL);
    pthread_mutex_unlock(&handler.lock);
}

bool read_map_resident(int fd, uint64_t offset, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PROBE_STEP) {
        char c;
        struct iovec one = { &c, 1 };
        if (preadv2(fd, &one, 1, (off_t)(offset + at), RWF_NOWAIT) != 1) return false;
    }
    return bytes > 0;
}

static struct guard *take_guard(void)
{
    for (int i = 0; i < GUARDS; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&guards[i].used, &none, 1)) return &guards[i];
    }
    return NULL;
}

bool read_map_open(int fd, uint64_t offset, size_t bytes, read_map *out)
{
    size_t before = (size_t)(offset & page_mask());
    struct guard *g = bytes ? take_guard() : NULL;
    if (!g) return false;
    void *p = mmap(NULL, before + bytes, PROT_READ, MAP_SHARED, fd, (off_t)(offset - before));
    if (p == MAP_FAILED) {
        atomic_store(&g->used, 0);
        return false;
    }
    size_t whole = (before + bytes + page_mask()) & ~page_mask();
    atomic_store(&g->hit, 0);
    atomic_store(&g->end, (uintptr_t)p + whole);
    atomic_store(&g->begin, (uintptr_t)p);
    *out = (read_map){ .base = p, .bytes = whole, .data = (uint8_t *)p + before, .guard = g };
    return true;
}

bool read_map_close(read_map *m)
{
    struct guard *g = m->guard;
    bool whole = !atomic_load(&g->hit);
    atomic_store(&g->begin, 0);
    munmap(m->base, m->bytes);
    atomic_store(&g->used, 0);
    *m = (read_map){ 0 };
    return whole;
}
