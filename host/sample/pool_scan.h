/* pool_scan.h - the one read of a pool: blocks of rows come in, columns of scores go to whoever wants them, or
 * the first rows by each score are kept. */
#ifndef POOL_SCAN_H
#define POOL_SCAN_H

#include "scan_state.h"
#include "source.h"

enum { BLOCK_ROWS = 1 << 16 }; /* of a block at most */
enum { LANES_EACH = 2 };       /* of a device: one copies while the other computes */

/* Of the memory for a scan, what its reader may take. */
static inline size_t reader_share(const sluice *s) { return s->mem_bytes / 8 * 7; }

/* A block after scoring; valid during the call that gets it. */
typedef struct scan_block {
    block_facts facts;
    float *const *score; /* [strategies][rows] */
    const float *logits; /* [rows, classes] or NULL */
} scan_block;

typedef struct pool_scan {
    /* in */
    const sluice_pool *pool; /* its ids order the rows */
    source *src;             /* its rows are read */
    const strategy *strategies;
    int count;
    unsigned columns; /* READS() beyond what the strategies read */
    bool logits;
    uint64_t seed;
    int64_t labelled;
    double max_bad; /* share of rows; 1: any number */
    span range;     /* rows to scan; {0}: all */
    /* Whoever wants the columns, or NULL. */
    sluice_status (*take)(sluice *s, void *user, const scan_block *b);
    /* Called every keep_s seconds, and before the scan ends with E_CANCELLED: state is then of the rows that take saw.  NULL: never. */
    sluice_status (*keep)(sluice *s, void *user);
    double keep_s;
    void *user;
    const uint64_t *skip; /* rows that no top takes, as op top has it */
    const char *task;     /* for progress */
    /* NULL, or where the caller tells of several scans, begun and ended there; before: rows done in earlier ones. */
    progress *progress;
    int64_t before;
    /* in and out: rows that are done are not read again; the scan adds its rows to the tops, if there are any */
    scan_state *state;
    /* out */
    double bytes, seconds; /* of this call */
    double bytes_back;     /* from devices to the host */
} pool_scan;

/* Fails with E_DATA as soon as more than max_bad of all rows scored NaN; the message names the first. */
sluice_status pool_scan_run(sluice *s, pool_scan *scan);
sluice_status quarantine_check(sluice *s, const quarantine *q, const sluice_pool *pool, double max_bad);
/* Scores that order nothing, once all rows are seen. */
void warn_of_constants(sluice *s, const scan_state *v, const strategy *strategies);

#endif
