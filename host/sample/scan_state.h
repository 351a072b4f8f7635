/* scan_state.h - what a scan knows after some set of rows: the running top of every strategy, the rows that could not be
 * scored, whether a score varies at all, which rows are done.
 *
 * A checkpoint, the partial result of `--shard i/n` and what ranks tell each other are all this, as bytes.  Any two
 * states of the same scan whose rows do not meet can be merged, in any order and grouping, with the same bytes at the
 * end: tops and counts are functions of the set of rows seen. */
#ifndef SCAN_STATE_H
#define SCAN_STATE_H

#include "candidates.h"
#include "checkpoint.h"
#include "pool.h"
#include "spans.h"

enum { QUARANTINE_LISTED = 1000 };

/* Rows that scored NaN. */
typedef struct quarantine {
    int64_t count;
    int64_t row[QUARANTINE_LISTED]; /* the first of them, ascending */
} quarantine;

/* Whether a column is worth the name: a constant one orders nothing. */
typedef struct seen {
    float first;
    int64_t rows; /* with a score; 0 once it varies */
    bool varies;
} seen;

/* Zeroed is released. */
typedef struct scan_state {
    int64_t rows; /* of the pool */
    spans done;
    quarantine bad;
    int64_t bytes; /* read for it */
    int count;
    seen *seen;       /* [count] of each strategy */
    candidates *tops; /* [count], borrowed; NULL: scores are written, not compared */
} scan_state;

sluice_status scan_state_init(sluice *s, scan_state *v, int64_t rows, int count, candidates *tops);
void scan_state_release(scan_state *v);

void quarantine_add(quarantine *q, int64_t row);
void seen_add(seen *v, const float *score, int64_t n);

/* The state as bytes, the same whatever order its rows came in; mem_free(*out_bytes).  v goes on as before. */
sluice_status scan_state_pack(sluice *s, scan_state *v, void **out_bytes, size_t *out_size);
/* What these bytes know becomes known to v, which was started for the same scan of the same pool.  The bytes are not
 * trusted: E_FORMAT where they break off or contradict themselves or the pool, E_DATA where v knows some of their
 * rows already; v is then good for nothing but release.  skip [rows]: rows that may not be picked. */
sluice_status scan_state_merge(sluice *s, scan_state *v, const sluice_pool *pool, const uint64_t *skip,
                               const void *bytes, size_t size);

/* What v knows goes to the checkpoint c; and what an earlier call kept there becomes known to v, fresh: is removed.  Where c is
 * zeroed nothing is kept, so that nothing comes back. */
sluice_status scan_state_keep(sluice *s, scan_state *v, const checkpoint *c);
sluice_status scan_state_go_on(sluice *s, scan_state *v, const checkpoint *c, bool fresh, const sluice_pool *pool,
                               const uint64_t *skip);

#endif
