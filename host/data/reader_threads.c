/* reader_threads.c - the read engine for kernels that forbid io_uring: a few threads that pread. */
#include "reader_io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Enough requests at once for a disk or a network file system; the threads sleep in the kernel. */
enum { THREADS = 4 };

typedef struct threads {
    read_engine base;
    pthread_mutex_t lock; /* of all below, and of claimed, left and next in every job */
    pthread_cond_t work, done;
    read_job *first, *last; /* jobs with unclaimed pieces, in the order they were started */
    bool stop;
    int count;
    pthread_t thread[THREADS];
} threads;

static read_piece *claim(threads *t)
{
    read_job *j = t->first;
    read_piece *p = &j->piece[j->claimed++];
    if (j->claimed == j->pieces) t->first = j->next;
    return p;
}

static void *run(void *arg)
{
    threads *t = arg;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->stop && !t->first) pthread_cond_wait(&t->work, &t->lock);
        if (t->stop) break;
        read_piece *p = claim(t);
        pthread_mutex_unlock(&t->lock);
        read_piece_pread(p);
        pthread_mutex_lock(&t->lock);
        if (--p->job->left == 0) pthread_cond_broadcast(&t->done);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void start(read_engine *e, read_job *j)
{
    threads *t = (threads *)e;
    read_job_cut(e, j);
    if (!j->pieces) return;
    pthread_mutex_lock(&t->lock);
    if (t->first) t->last->next = j;
    else t->first = j;
    t->last = j;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
}

static void wait_for(read_engine *e, read_job *j)
{
    threads *t = (threads *)e;
    pthread_mutex_lock(&t->lock);
    while (j->left) pthread_cond_wait(&t->done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void close_engine(read_engine *e)
{
    threads *t = (threads *)e;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < t->count; i++) pthread_join(t->thread[i], NULL);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

/* Signals are the program's: its handlers shall not run here. */
static int spawn(threads *t)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    while (t->count < THREADS && !(error = pthread_create(&t->thread[t->count], NULL, run, t))) t->count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return t->count ? 0 : error;
}

sluice_status read_threads_open(sluice *s, read_engine **out_e)
{
    threads *t = NEW(s, 1, threads);
    if (!t) return SLUICE_E_MEMORY;
    t->base = (read_engine){ .name = "pread", .start = start, .wait = wait_for, .close = close_engine };
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->done, NULL);
    int error = spawn(t);
    if (error) {
        close_engine(&t->base);
        errno = error;
        return sluice_fail_errno(s, SLUICE_E_MEMORY, "cannot start a thread that reads ahead");
    }
    *out_e = &t->base;
    return SLUICE_OK;
}
