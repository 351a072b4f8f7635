/* comm.c - see comm.h.  Open to all: the exchange; on it, what moves bytes; the dealing, which is messages between two. */
#include "comm.h"
#include "backends.h"
#include "comm_plugin.h"
#include "exact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plugin_file[] = "libsluice_mpi.so";

enum { TAG_ASK = 1, TAG_ANSWER, TAG_BYTES };
enum { ASK_NEXT, ASK_LEAVE, ASK_STOP }; /* what a rank says to the root that deals */
enum { NOTHING_LEFT = -1 };

/* What every rank shows the others at the start of a call. */
typedef enum call { CALL_AGREE, CALL_BROADCAST, CALL_SHARE, CALL_GATHER, CALL_SUM } call;
typedef struct header {
    int32_t status, call;
    uint64_t bytes;
} header;

struct comm {
    comm_table t;
    header *all;          /* [size] of the last exchange */
    sluice_status failed; /* once any rank has, what every call returns */
};

int comm_rank(const sluice *s) { return s->comm ? s->comm->t.rank : 0; }
int comm_size(const sluice *s) { return s->comm ? s->comm->t.size : 1; }
int sluice_rank(const sluice *s) { return comm_rank(s); }
int sluice_ranks(const sluice *s) { return comm_size(s); }

comm *comm_leave(sluice *s)
{
    comm *c = s->comm;
    s->comm = NULL;
    return c;
}

void comm_rejoin(sluice *s, comm *c) { s->comm = c; }

/* ---- opening ---- */

static sluice_comm_open_fn *find_entry(char *why, size_t why_bytes)
{
    sluice_comm_open_fn *open = NULL;
    *(void **)&open = plugin_entry(plugin_file, "sluice_comm_open", why, why_bytes);
    return open;
}

bool comm_describe(char *text, size_t bytes)
{
    sluice_comm_open_fn *open = find_entry(text, bytes);
    return open && open(comm_abi(), NULL, text, bytes) == 0;
}

static sluice_status alone(sluice *s, const launch *l, const char *why)
{
    sluice_status st =
        sluice_fail(s, SLUICE_E_USAGE, "%s started %d tasks, which cannot work together: %s", l->by, l->size, why);
    return sluice_hint(s, st,
                       "`sluice devices` shows the MPI plug-in; without it each task can do a part, --ranks off "
                       "--shard $SLURM_PROCID/$SLURM_NTASKS, for `sluice merge`");
}

sluice_status comm_open(sluice *s)
{
    sluice_status st = SLUICE_OK;
    char why[512];
    launch l = launch_find();
    comm *c = NULL;
    if (l.size <= 1) return SLUICE_OK;
    if (!l.pmi) return alone(s, &l, "srun gave them no way to find each other: it needs --mpi=pmix, or pmi2 for MPICH");
    sluice_comm_open_fn *open = find_entry(why, sizeof why);
    if (!open) return alone(s, &l, why);
    TRY_NEW(c, NEW(s, 1, comm));
    if (open(comm_abi(), &c->t, why, sizeof why) != 0) {
        st = alone(s, &l, why);
        goto out;
    }
    s->comm = c, c = NULL;
    TRY_NEW(s->comm->all, NEW(s, s->comm->t.size, header));
    if (s->comm->t.size != l.size) {
        snprintf(why, sizeof why, "%s connected %d of them", s->comm->t.library, s->comm->t.size);
        st = alone(s, &l, why);
    }
out:
    mem_free(c);
    return st;
}

void comm_close(sluice *s)
{
    if (!s->comm) return;
    s->comm->t.close();
    mem_free(s->comm->all);
    mem_free(s->comm);
    s->comm = NULL;
}

/* ---- the exchange ---- */

static sluice_status broken(sluice *s, int code)
{
    char text[256];
    s->comm->t.text(code, text, sizeof text);
    s->comm->failed = SLUICE_E_IO;
    return sluice_fail(s, SLUICE_E_IO, "rank %d cannot reach the other ranks: %s", s->comm->t.rank, text);
}

#define MPI(s, call)                                                                                                   \
    do {                                                                                                               \
        int code_ = (call);                                                                                            \
        if (code_) return broken(s, code_);                                                                            \
    } while (0)

/* Whether all failed alike: then the message is no single rank's. */
static bool all_alike(const comm *c)
{
    for (int i = 1; i < c->t.size; i++)
        if (c->all[i].status != c->all[0].status) return false;
    return true;
}

/* The message of rank `from` becomes everybody's. */
static sluice_status take_failure(sluice *s, int from)
{
    comm *c = s->comm;
    char text[sizeof s->error];
    c->failed = (sluice_status)c->all[from].status;
    snprintf(text, sizeof text, "%s", *s->error ? s->error : sluice_status_text(c->failed));
    MPI(s, c->t.broadcast(text, sizeof text, from));
    text[sizeof text - 1] = 0;
    if (all_alike(c)) memcpy(s->error, text, sizeof text);
    else snprintf(s->error, sizeof s->error, "rank %d: %.*s", from, (int)(sizeof s->error - 32), text);
    return c->failed;
}

/* What the others show is then in comm->all. */
static sluice_status exchange(sluice *s, header mine)
{
    comm *c = s->comm;
    if (c->failed) return c->failed;
    MPI(s, c->t.exchange(&mine, c->all, sizeof mine));
    for (int i = 0; i < c->t.size; i++)
        if (c->all[i].status) return take_failure(s, i);
    for (int i = 0; i < c->t.size; i++)
        if (c->all[i].call != mine.call) {
            c->failed = SLUICE_E_INTERNAL;
            return sluice_fail(s, SLUICE_E_INTERNAL, "rank %d is in another call than rank %d", i, c->t.rank);
        }
    return SLUICE_OK;
}

sluice_status comm_agree(sluice *s, sluice_status st)
{
    return s->comm ? exchange(s, (header){ .status = (int32_t)st, .call = CALL_AGREE }) : st;
}

/* ---- bytes ---- */

sluice_status comm_broadcast(sluice *s, void *data, size_t bytes, int from)
{
    if (!s->comm) return SLUICE_OK;
    sluice_status st = exchange(s, (header){ .call = CALL_BROADCAST, .bytes = bytes });
    if (st) return st;
    MPI(s, s->comm->t.broadcast(data, bytes, from));
    return SLUICE_OK;
}

sluice_status comm_broadcast_block(sluice *s, void **data, size_t *bytes)
{
    if (!s->comm) return SLUICE_OK;
    sluice_status st = exchange(s, (header){ .call = CALL_BROADCAST, .bytes = comm_root(s) ? *bytes : 0 });
    if (st) return st;
    size_t all = s->comm->all[0].bytes;
    void *block = comm_root(s) ? *data : mem_raw(s, (int64_t)all, 1);
    TRY(comm_agree(s, block || comm_root(s) ? SLUICE_OK : SLUICE_E_MEMORY));
    MPI(s, s->comm->t.broadcast(block, all, 0));
    *data = block, *bytes = all;
    return SLUICE_OK;
out:
    if (!comm_root(s)) mem_free(block);
    return st;
}

static sluice_status lay_out(sluice *s, size_t *at, size_t *out_all)
{
    size_t all = 0;
    for (int i = 0; i < s->comm->t.size; i++) {
        at[i] = all;
        if (__builtin_add_overflow(all, s->comm->all[i].bytes, &all) || all > INT64_MAX)
            return sluice_fail(s, SLUICE_E_MEMORY,
                               "the data of all ranks together exceed what one process can address");
    }
    at[s->comm->t.size] = *out_all = all;
    return SLUICE_OK;
}

/* One rank's bytes into their place, at all ranks or at the root alone. */
static sluice_status move_part(sluice *s, int from, const void *mine, size_t bytes, char *place, bool to_all)
{
    comm *c = s->comm;
    if (bytes == 0) return SLUICE_OK;
    if (from == c->t.rank && place) memcpy(place, mine, bytes);
    if (to_all) MPI(s, c->t.broadcast(place, bytes, from));
    else if (from == c->t.rank && from != 0) MPI(s, c->t.send(0, TAG_BYTES, mine, bytes));
    else if (c->t.rank == 0 && from != 0) MPI(s, c->t.receive(from, TAG_BYTES, place, bytes));
    return SLUICE_OK;
}

static sluice_status collect(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at, bool to_all)
{
    sluice_status st = SLUICE_OK;
    comm *c = s->comm;
    size_t *start = NULL, all = 0;
    char *block = NULL;
    TRY(exchange(s, (header){ .call = to_all ? CALL_SHARE : CALL_GATHER, .bytes = bytes }));
    start = RAW(s, c->t.size + 1, size_t);
    st = start ? lay_out(s, start, &all) : SLUICE_E_MEMORY;
    if (!st && (to_all || comm_root(s)) && !(block = mem_raw(s, (int64_t)all, 1))) st = SLUICE_E_MEMORY;
    TRY(comm_agree(s, st));
    for (int i = 0; i < c->t.size; i++)
        TRY(move_part(s, i, mine, start[i + 1] - start[i], block ? block + start[i] : NULL, to_all));
    if (at) memcpy(at, start, (size_t)(c->t.size + 1) * sizeof *at);
    *out_all = block, block = NULL;
out:
    mem_free(start);
    mem_free(block);
    return st;
}

static sluice_status copy_mine(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at)
{
    void *copy = bytes <= INT64_MAX ? mem_raw(s, (int64_t)bytes, 1) : NULL;
    if (!copy) return SLUICE_E_MEMORY;
    if (bytes) memcpy(copy, mine, bytes);
    if (at) at[0] = 0, at[1] = bytes;
    *out_all = copy;
    return SLUICE_OK;
}

sluice_status comm_share(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at)
{
    return s->comm ? collect(s, mine, bytes, out_all, at, true) : copy_mine(s, mine, bytes, out_all, at);
}

sluice_status comm_gather(sluice *s, const void *mine, size_t bytes, void **out_all, size_t *at)
{
    return s->comm ? collect(s, mine, bytes, out_all, at, false) : copy_mine(s, mine, bytes, out_all, at);
}

sluice_status comm_sum(sluice *s, int64_t *values, int64_t count)
{
    if (!s->comm) return SLUICE_OK;
    sluice_status st = exchange(s, (header){ .call = CALL_SUM, .bytes = (uint64_t)count });
    if (st) return st;
    MPI(s, s->comm->t.sum(values, (size_t)count));
    return SLUICE_OK;
}

/* ---- dealing ---- */

void deal_begin(sluice *s, deal *d, int64_t count, bool ahead)
{
    *d = (deal){ .count = count, .ahead = ahead, .left = comm_size(s) - 1, .open = true };
}

static sluice_status answer(sluice *s, deal *d, int to)
{
    comm *c = s->comm;
    int32_t asked;
    MPI(s, c->t.receive(to, TAG_ASK, &asked, sizeof asked));
    if (asked == ASK_NEXT) {
        int64_t item = d->next < d->count ? d->next++ : NOTHING_LEFT;
        MPI(s, c->t.send(to, TAG_ANSWER, &item, sizeof item));
        return SLUICE_OK;
    }
    if (asked == ASK_STOP) d->next = d->count;
    d->left--;
    return SLUICE_OK;
}

sluice_status deal_poll(sluice *s, deal *d)
{
    if (!s->comm || !comm_root(s)) return SLUICE_OK;
    for (int from = -1;;) {
        MPI(s, s->comm->t.probe(TAG_ASK, 0, &from));
        if (from < 0) return SLUICE_OK;
        sluice_status st = answer(s, d, from);
        if (st) return st;
    }
}

/* Until every rank has been told that nothing is left. */
static sluice_status answer_all(sluice *s, deal *d)
{
    while (d->left > 0) {
        int from;
        MPI(s, s->comm->t.probe(TAG_ASK, 1, &from));
        sluice_status st = answer(s, d, from);
        if (st) return st;
    }
    return SLUICE_OK;
}

static sluice_status tell(sluice *s, int32_t what)
{
    MPI(s, s->comm->t.send(0, TAG_ASK, &what, sizeof what));
    return SLUICE_OK;
}

static sluice_status hear(sluice *s, deal *d, int64_t *out_item)
{
    d->asked = false;
    MPI(s, s->comm->t.receive(0, TAG_ANSWER, out_item, sizeof *out_item));
    return SLUICE_OK;
}

sluice_status deal_next(sluice *s, deal *d, int64_t *out_item)
{
    sluice_status st = SLUICE_OK;
    *out_item = NOTHING_LEFT;
    if (comm_root(s)) {
        TRY(deal_poll(s, d));
        if (d->next < d->count) *out_item = d->next++;
        return SLUICE_OK;
    }
    if (d->empty) return SLUICE_OK;
    if (!d->asked) TRY(tell(s, ASK_NEXT));
    TRY(hear(s, d, out_item));
    d->empty = *out_item == NOTHING_LEFT;
    if (d->empty || !d->ahead) return SLUICE_OK;
    TRY(tell(s, ASK_NEXT));
    d->asked = true;
out:
    return st;
}

sluice_status deal_end(sluice *s, deal *d, sluice_status was)
{
    sluice_status st = SLUICE_OK;
    int64_t unused;
    if (!s->comm || !d->open || s->comm->failed) return was;
    d->open = false;
    if (comm_root(s)) {
        if (was) d->next = d->count;
        st = answer_all(s, d);
    } else {
        if (d->asked) st = hear(s, d, &unused);
        if (!st) st = tell(s, was ? ASK_STOP : ASK_LEAVE);
    }
    return was ? was : st;
}
