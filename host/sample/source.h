/* source.h - what scores come from: a head on features, or the logits or probabilities of any model. */
#ifndef SOURCE_H
#define SOURCE_H

#include "head.h"
#include "strategies.h"

typedef enum source_kind { SOURCE_FEATURES, SOURCE_HEAD, SOURCE_LOGITS, SOURCE_PROBS } source_kind;

/* Zeroed is released.  FEATURES: no scores, only which rows are bad. */
typedef struct source {
    source_kind kind;
    const sluice_head *head;
    const sluice_pool *pool; /* whose rows are read: features, logits or probabilities */
    int classes;             /* 0: FEATURES */
    float *wide;             /* rows as f32 where the type needs it, grown */
    int64_t wide_floats;
} source;

/* Fails with E_USAGE (two of head, logits, probs) or E_SHAPE (width of the head, rows of logits or probs). */
sluice_status source_init(sluice *s, source *src, const sluice_pool *pool, const sluice_head *head,
                          const sluice_pool *logits, const sluice_pool *probs);
void source_release(source *src);

/* The columns asked for (those not NULL) of rows x of src->pool; 7fc00000 in every column of a row without finite
 * logits. bad [x.rows] gets 1 where the row's own values hold a NaN or an infinity.  logits [x.rows, classes] or NULL.
 * Row-local: the same bits whatever rows come along. */
sluice_status source_scan(sluice *s, source *src, sluice_view x, const sluice_scores *out, float *logits, uint8_t *bad);

/* rows [m] ascending of pool in the type they are stored in, piece by piece: visit(user, at, x), x.rows of them from
 * rows[at]. */
typedef sluice_status rows_visit(sluice *s, void *user, int64_t at, sluice_view x);
sluice_status rows_read(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, rows_visit *visit,
                        void *user, double *out_bytes);

float **scores_column(sluice_scores *scores, column j); /* where scores keeps its j-th column */
float *scores_get(const sluice_scores *scores, column j);

#endif
