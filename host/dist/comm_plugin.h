/* comm_plugin.h - what the plug-in libsluice_mpi.so gives: the processes that were started together, and how bytes go
 * between them.  comm_mpi.c is the plug-in, comm.c uses it.
 *
 * Every process calls exchange, broadcast and sum in the same order; send, receive and probe are between two.  A call
 * returns 0 or a code that text() explains.  Calls come from one thread. */
#ifndef COMM_PLUGIN_H
#define COMM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

typedef struct comm_table {
    uint64_t abi;
    char library[128];                                       /* "Open MPI v4.1.4" */
    int rank, size;                                          /* of all processes */
    int (*exchange)(const void *mine, void *all, int bytes); /* bytes of every rank, in the order of ranks, to all */
    int (*broadcast)(void *data, size_t bytes, int from);
    int (*sum)(int64_t *values, size_t count); /* element by element over all ranks, in place, to all */
    int (*send)(int to, int tag, const void *data, size_t bytes);
    int (*receive)(int from, int tag, void *data, size_t bytes);
    int (*probe)(int tag, int wait, int *out_from); /* the sender of a message that waits to be received, or -1 */
    void (*text)(int code, char *text, size_t bytes);
    void (*close)(void); /* the last call, of every process */
} comm_table;

static inline uint64_t comm_abi(void) { return 1 << 16 | sizeof(comm_table); }

/* The plug-in's one entry, `sluice_comm_open`: 0 and *out, or -1 and the reason in why.  out NULL: nothing is joined, and
 * why gets the name of the MPI library. */
typedef int sluice_comm_open_fn(uint64_t abi, comm_table *out, char *why, size_t why_bytes);

#endif
