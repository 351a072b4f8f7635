/* pool_scan.h - the one read of a pool: blocks of rows come in, columns of scores go to whoever wants them. */
#ifndef POOL_SCAN_H
#define POOL_SCAN_H

#include "source.h"

enum { QUARANTINE_LISTED = 1000 };

/* Rows that scored NaN. */
typedef struct quarantine {
    int64_t count;
    int64_t row[QUARANTINE_LISTED]; /* the first of them, ascending */
} quarantine;

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
    sluice_status (*take)(sluice *s, void *user, const scan_block *b);
    void *user;
    const char *task; /* for progress */
    /* out */
    quarantine bad;
    double bytes, seconds;
} pool_scan;

/* Fails with E_DATA as soon as more than max_bad of all rows scored NaN; the message names the first. */
sluice_status pool_scan_run(sluice *s, pool_scan *scan);
void quarantine_add(quarantine *q, int64_t row);
sluice_status quarantine_check(sluice *s, const quarantine *q, const sluice_pool *pool, double max_bad);

#endif
