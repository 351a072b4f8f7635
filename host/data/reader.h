/* reader.h - blocks of rows of a pool, read ahead while the caller computes. */
#ifndef READER_H
#define READER_H

#include "pool.h"

typedef struct block {
    int64_t first_row, rows; /* of the pool; a block never crosses a shard */
    sluice_view view;        /* [rows, width] with the shard's type, stride and scales */
    void *owner;             /* the reader's */
} block;

typedef struct reader reader;
typedef struct reader_plan {
    int64_t first_row, rows; /* rows 0: to the end */
    size_t mem_bytes;        /* of all buffers together, 0: the context's */
    int64_t max_rows;        /* of a block, 0: what memory allows */
    size_t block_bytes;      /* of a block, 0: as measured best; a row is always allowed */
    int held;                /* blocks that the caller will hold at once, 0: one */
    bool pinned;             /* blocks go on to a device of s->backend */
} reader_plan;

/* Blocks come in row order.  Resident parts of a file are mapped, others read through io_uring or pread into a ring
 * of buffers; of a pool that is larger than memory, past the page cache (O_DIRECT) where the file system has that.  A file
 * that shrinks or changes while being read is E_DATA; a read that fails is tried again with pauses, and is then E_IO.
 * pinned: all parts of a file go through the ring, which is registered with the device if that can be had: from it a
 * device copies by itself, from a mapping only by way of the driver's own buffers, while the caller waits. */
sluice_status reader_open(sluice *s, const sluice_pool *pool, const reader_plan *plan, reader **out_r);
int64_t reader_block_rows(const reader *r); /* the most rows a block will have */
int reader_slots(const reader *r);          /* the most blocks that can be held */
/* At the end *out_end is true, *out_b untouched, and no file changed while it was read: a scan that stops
 * earlier does not know.  Fails with E_CANCELLED, E_DATA, E_IO, E_MISSING; then only reader_close is left to do.
 * Blocks may be held while others are asked for, as long as one buffer is free. */
sluice_status reader_next(sluice *s, reader *r, block *out_b, bool *out_end);
void reader_done(reader *r, block *b);        /* gives the buffer back */
size_t reader_memory(const reader *r);        /* bytes of all buffers */
double reader_bytes(const reader *r);         /* read so far */
double reader_stall_seconds(const reader *r); /* the caller waited for data */
void reader_close(reader *r);                 /* at any time; NULL allowed */
const char *reader_backend(void);             /* "io_uring" or "pread" */

#endif
