/* comm.h - ranks: processes that mpirun or srun started and that do one job together.
 *
 * All ranks make the same calls in the same order.  Each call begins with an exchange of one small record of every rank,
 * which also says whether that rank has failed.  So a rank that fails, wherever that is, goes up to its next comm_agree(),
 * meets the others there in whatever call they are, and all of them go on with its status and its message: nobody waits
 * for a rank that will not come.  After that no call communicates any more; every one returns that status.
 *
 * A context without other ranks (comm NULL) is rank 0 of 1: every call does then what it says for one rank. */
#ifndef COMM_H
#define COMM_H

#include "core.h"

typedef struct comm comm;

/* What environment variables say of who started this process. */
typedef struct launch {
    const char *by; /* "mpirun", "srun"; NULL: nobody */
    int rank, size;
    bool pmi; /* there is somebody whom MPI can ask for the other processes */
} launch;
launch launch_find(void);

/* Joins the processes started together with this one into s->comm, which stays NULL where there is one.  Fails with E_USAGE where
 * there are several and nothing that connects them. */
sluice_status comm_open(sluice *s);
void comm_close(sluice *s); /* of every rank */
/* Whether the plug-in can be loaded, for people: its library, or why it cannot. */
bool comm_describe(char *text, size_t bytes);

int comm_rank(const sluice *s); /* 0 .. size - 1 */
int comm_size(const sluice *s);
static inline bool comm_root(const sluice *s) { return comm_rank(s) == 0; }

/* From here on s is alone, until comm_rejoin(): what is called in between is no business of the other ranks. */
comm *comm_leave(sluice *s);
void comm_rejoin(sluice *s, comm *c);

/* The one place where ranks may have different statuses: all return that of the lowest rank that failed, and s->error
 * holds its message.  A barrier, too. */
sluice_status comm_agree(sluice *s, sluice_status st);
/* bytes of rank `from` to all. */
sluice_status comm_broadcast(sluice *s, void *data, size_t bytes, int from);
/* The same where only the root knows how many: the others get a block of their own, for mem_free(). */
sluice_status comm_broadcast_block(sluice *s, void **data, size_t *bytes);
/* Every rank's bytes one after another, in the order of ranks: to all (share), or to the root (gather; the others get
 * NULL).  *out_all is for mem_free(); at [size + 1] is where each one's bytes start, or NULL. */
sluice_status comm_share(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at);
sluice_status comm_gather(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at);
sluice_status comm_sum(sluice *s, int64_t *values, int64_t count); /* over all ranks, in place */

/* Items 0 .. count-1 given out one at a time to whichever rank asks; the root answers when it is asked (deal_poll, at
 * least at each of its own items).  ahead: a rank asks for its next item when it begins one, so that it need not wait for
 * a root that is at work; where items are few and long, that would take them from others.  Between begin and end no other call of this header.  Every rank calls deal_end, also
 * after a failure, which ends the dealing for all; and all have agreed just before that they begin. */
typedef struct deal {
    int64_t count, next;
    int left;   /* root: ranks that are not at the end */
    bool asked; /* others: an answer is under way */
    bool ahead, open, empty;
} deal;
void deal_begin(sluice *s, deal *d, int64_t count, bool ahead);
sluice_status deal_next(sluice *s, deal *d, int64_t *out_item); /* -1: none is left */
sluice_status deal_poll(sluice *s, deal *d);
sluice_status deal_end(sluice *s, deal *d, sluice_status st); /* returns st, or what went wrong here */

#endif
