/* reader_uring.c - the read engine on io_uring: all pieces of all started jobs are in the kernel at once. */
#include "reader_io.h"

#include <errno.h>

#ifndef SLUICE_HAVE_URING

read_engine *read_uring_open(void)
{
    errno = ENOSYS;
    return NULL;
}

#else

#include <assert.h>
#include <liburing.h>
#include <stdlib.h>

enum { ENTRIES = 256 }; /* what does not fit waits for its turn */

typedef struct uring {
    read_engine base;
    struct io_uring ring;
} uring;

static void queue(uring *u, read_piece *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) { /* full of requests not yet handed over */
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    if (!sqe) { /* the kernel takes none now: read it ourselves */
        read_piece_pread(p);
        p->job->left--;
        return;
    }
    read_call c = read_piece_call(p);
    io_uring_prep_read(sqe, c.fd, c.to, (unsigned)c.bytes, c.offset);
    io_uring_sqe_set_data(sqe, p);
    if (!p->direct) io_uring_sqe_set_flags(sqe, IOSQE_ASYNC); /* else the copying is done on the caller's thread */
}

static void start(read_engine *e, read_job *j)
{
    uring *u = (uring *)e;
    read_job_cut(e, j);
    for (int i = 0; i < j->pieces; i++) queue(u, &j->piece[i]);
    io_uring_submit(&u->ring); /* what it leaves behind goes with the next call */
}

static void take(uring *u, read_piece *p, int got)
{
    if (!read_piece_step(p, got)) {
        queue(u, p);
        return;
    }
    if (p->error && p->error != READ_ENDED) read_piece_pread(p); /* pread has the last word */
    p->job->left--;
}

static void wait_for(read_engine *e, read_job *j)
{
    uring *u = (uring *)e;
    while (j->left) {
        int got = io_uring_submit_and_wait(&u->ring, 1);
        assert(got >= 0 || got == -EINTR || got == -EAGAIN || got == -EBUSY);
        struct io_uring_cqe *cqe;
        while (!io_uring_peek_cqe(&u->ring, &cqe)) {
            read_piece *p = io_uring_cqe_get_data(cqe);
            int result = cqe->res;
            io_uring_cqe_seen(&u->ring, cqe);
            take(u, p, result);
        }
    }
}

static void close_engine(read_engine *e)
{
    uring *u = (uring *)e;
    io_uring_queue_exit(&u->ring);
    free(u);
}

static bool can_read(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool can = probe && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    return can;
}

read_engine *read_uring_open(void)
{
    uring *u = calloc(1, sizeof *u);
    if (!u) return NULL;
    u->base = (read_engine){ .name = "io_uring", .start = start, .wait = wait_for, .close = close_engine };
    int error = -io_uring_queue_init(ENTRIES, &u->ring, 0);
    if (!error && !can_read(&u->ring)) { /* Linux before 5.6 */
        io_uring_queue_exit(&u->ring);
        error = ENOSYS;
    }
    if (error) {
        free(u);
        errno = error;
        return NULL;
    }
    return &u->base;
}

#endif
