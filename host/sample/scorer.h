/* scorer.h - scores of a row alone that need more than a column of the scan: something is fitted before it.
 *
 *     fit      held-out logits, labelled rows or the reference sample become what rows are compared with: on the host, in
 *              double, every sum in a fixed order                                                      once
 *     begin    ops make facts of a block's rows: distances, products, logits of passes                 where ops compute
 *     end      facts, columns and logits become the score                                              on the host
 *
 * A score is a function of its row and of what was fitted: how the pool was cut decides nothing.  A row whose features hold
 * a NaN or an infinity scores NaN.  One file each in scores/. */
#ifndef SCORER_H
#define SCORER_H

#include "references.h"

/* What a kind reads. */
enum {
    WANTS_UNIT = 1,     /* begin: the features divided by their length */
    WANTS_LOGITS = 2,   /* end: the logits */
    WANTS_PASSES = 4,   /* fit: a committee's heads, where one is given */
    WANTS_LABELLED = 8, /* fit: labelled rows */
    WANTS_TARGETS = 16, /* fit: with their classes */
    WANTS_LIKE = 32,    /* fit: the rows named by like */
    WANTS_HELD_OUT = 64 /* fit: the head's held-out logits */
};

enum { SCORER_FACTS = 2, MOST_PASSES = 100 };

typedef struct scorer_inputs {
    references *refs; /* pool, head, labels, seed */
    source *src;      /* whose rows are scored */
    const int64_t *like;
    int64_t like_count;
    int64_t labelled; /* rows labelled so far: a new round draws anew */
} scorer_inputs;

typedef struct scorer {
    const scorer_kind *kind;
    const char *name;                  /* as asked for */
    double value[STRATEGY_PARAMETERS]; /* in the order of its line */
    /* made by fit */
    int64_t facts[SCORER_FACTS]; /* floats of a row that begin puts into each of its arrays */
    int64_t scratch;             /* floats of a row that begin needs meanwhile */
    void *state;
    uint64_t serial; /* what devices keep copies of the state by */
} scorer;

/* Rows whose ops are to be queued. */
typedef struct scorer_piece {
    sluice_view x;              /* as a source takes them */
    const float *unit;          /* [rows, d], where wanted */
    float *scratch;             /* [rows, scratch] where ops compute */
    float *facts[SCORER_FACTS]; /* [rows, facts] each, of the host */
} scorer_piece;

/* Rows after their ops; all of it the host's. */
typedef struct scorer_rows {
    int64_t n;
    float *facts[SCORER_FACTS]; /* [n, facts] each; end may overwrite them */
    const float *logits;        /* [n, classes], where wanted */
    int classes;
    const float *column[COLUMN_COUNT];
    const uint8_t *bad; /* [n] ROW_BAD: scores NaN */
} scorer_rows;

struct scorer_kind {
    unsigned wants;
    bool features; /* ops read the pool's features: logits of another program will not do */
    sluice_status (*fit)(sluice *s, scorer *q, const scorer_inputs *in);
    sluice_status (*begin)(sluice *s, const scorer *q, const scorer_piece *p); /* NULL: no ops */
    void (*end)(const scorer *q, const scorer_rows *r, int64_t first, int64_t last,
                float *out);    /* out[first .. last) */
    void (*release)(scorer *q); /* also after a fit that failed; state NULL: nothing to do */
};

/* Fails with E_USAGE (what is missing), E_DATA or E_MEMORY; q is released then. */
sluice_status scorer_fit(sluice *s, scorer *q, const scorer_inputs *in);
void scorer_release(scorer *q); /* zeroed is released */
/* Rows x into facts [x.rows, facts] each; on a deferred exec its wait() comes before the end. */
sluice_status scorer_begin(sluice *s, const scorer *q, sluice_view x, float *const *facts);
void scorer_end(const sluice *s, const scorer *q, const scorer_rows *r, float *out);

/* Scorers of the strategies that have one; st->scorer is set.  Zeroed is released. */
typedef struct scorer_set {
    scorer *list;
    int count;
} scorer_set;
sluice_status scorer_set_fit(sluice *s, scorer_set *set, strategy *st, int count, const scorer_inputs *in);
void scorer_set_release(scorer_set *set);
/* E_USAGE where a strategy's scorer reads features and the source is outputs of another program. */
sluice_status scorer_check_source(sluice *s, const strategy *st, const source *src);
/* E_USAGE where heads make a committee that no strategy asks. */
sluice_status scorer_check_committee(sluice *s, const strategy *st, int count, const source *src);

/* ---- for scores/ ---- */

/* Rows that others are compared with, and packed as weights. */
typedef struct landmarks {
    int64_t n, d;
    float *y, *packed;
} landmarks;
sluice_status landmarks_init(sluice *s, landmarks *l, const float *y, int64_t n, int64_t d); /* copies */
void landmarks_release(landmarks *l);
/* Squared distances ascending of rows x [n, d] to the k nearest: distance [n, k], index [n, k] scratch. */
sluice_status landmarks_nearest(sluice *s, const scorer *q, int part, const landmarks *l, const float *x, int64_t n,
                                int64_t k, float *distance, int32_t *index);
/* Labelled rows; E_USAGE without any, or without classes where they are wanted. */
sluice_status scorer_labelled(sluice *s, const scorer *q, const scorer_inputs *in, space where, bool targets,
                              const row_set **out_set);
int scorer_classes(const scorer_inputs *in); /* of the source or the labels; 0: not known */
/* Share of sorted [n] below v, equal ones counted half. */
double mid_rank(const float *sorted, int64_t n, float v);
void sort_floats(float *v, int64_t n); /* no NaN */

extern const scorer_kind scorer_knn, scorer_rank, scorer_outlier, scorer_mahalanobis, scorer_relative, scorer_vim,
    scorer_similarity, scorer_bald, scorer_variation_ratio, scorer_flips;

#endif
