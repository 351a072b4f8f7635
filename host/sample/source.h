/* source.h - what scores come from: a head on features, or the logits or probabilities of any model. */
#ifndef SOURCE_H
#define SOURCE_H

#include "backends.h"
#include "head.h"
#include "strategies.h"

typedef enum source_kind { SOURCE_FEATURES, SOURCE_HEAD, SOURCE_LOGITS, SOURCE_PROBS } source_kind;

/* Zeroed is released.  FEATURES: no scores, only which rows are bad. */
typedef struct source {
    source_kind kind;
    const sluice_head *head;
    const sluice_head *const *committee; /* [committee_count] further heads, borrowed: passes of some scores */
    int committee_count;
    const sluice_pool *pool;      /* whose rows are read: features, logits or probabilities */
    int classes;                  /* 0: FEATURES */
    const struct scorer *scorers; /* [scorer_count] whose ops run along, borrowed */
    int scorer_count;
    /* of the block under way, where ops compute */
    float *wide; /* rows as f32 where the type needs it, grown */
    int64_t wide_floats;
    sluice_view x; /* the rows as ops took them */
} source;

/* Fails with E_USAGE (two of head, logits, probs) or E_SHAPE (width of the head, rows of logits or probs). */
sluice_status source_init(sluice *s, source *src, const sluice_pool *pool, const sluice_head *head,
                          const sluice_pool *logits, const sluice_pool *probs);
/* Heads beside the source's own.  E_USAGE: it has none, or too many; E_SHAPE: they do not agree in classes and width. */
sluice_status source_committee(sluice *s, source *src, const sluice_head *const *heads, int count);
void source_release(sluice *s, source *src);
/* Where its rows are scored: here, or where there is no product, on the CPU, which is nearer to them than any device. */
place source_place(const sluice *s, const source *src);

/* What is wanted of a block; all of it the host's, but for the scores of a head, which may be the device's. */
typedef struct source_out {
    sluice_scores scores; /* those not NULL; 7fc00000 in every column of a row without finite logits */
    float *logits;        /* [rows, classes] or NULL */
    float *const *facts;  /* [SCORER_FACTS * scorers] of each scorer (scorer.h), or NULL: no ops of theirs */
    int64_t facts_from;   /* the row of facts that the first row's go to */
    uint8_t *bad;         /* [rows] 0, ROW_BAD, or where scores are wanted ROW_UNSCORED */
} source_out;

/* Rows x of src->pool.  Row-local: the same bits whatever rows come along.  In two halves: on a deferred exec its wait()
 * comes between them, and x stays as it is until the end. */
sluice_status source_begin(sluice *s, source *src, sluice_view x, const source_out *out);
sluice_status source_end(sluice *s, source *src, const source_out *out);
source_out source_out_from(const source *src, source_out out, int64_t row);

float **scores_column(sluice_scores *scores, column j); /* where scores keeps its j-th column */
float *scores_get(const sluice_scores *scores, column j);

#endif
