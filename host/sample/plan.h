/* plan.h - what a call would take, told before anything is written. */
#ifndef PLAN_H
#define PLAN_H

#include "source.h"

typedef struct plan_facts {
    const sluice_pool *pool;
    const source *src;
    int64_t scanned;  /* rows of the scan: all, a part's, or none */
    int64_t gathered; /* rows read by themselves: candidates, references, picks */
    double memory;    /* bytes beside the scan's buffers and the pool's ids */
    double written;   /* bytes of the outputs, which are temporary files until they are whole */
    const char *out;  /* NULL: standard output */
} plan_facts;

/* Reads and scores a little of the pool to know the rates.  Fails with E_MEMORY or E_WRITE, and the bytes, where there is
 * less memory or room on the disk than the plan needs. */
sluice_status plan_make(sluice *s, const plan_facts *f, sluice_plan *out);
double plan_ids_bytes(const sluice_pool *pool);

#endif
