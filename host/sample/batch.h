/* batch.h - what a batch rule works on: candidates in memory, labelled rows, the reference sample; and what it picked.
 *
 * A strategy with a rule is filter x weight x rule x space (strategies.def): the filter makes the candidates, the space
 * their vectors, the rule picks among them.  A rule is host code over ops, so it runs on every backend; its picks are a
 * function of the batch alone.
 *
 * Candidates, labelled rows and sample stand in the order of their hash64(seed, id), then id: among equals the lower index
 * wins, and a prefix of the sample is a smaller sample. */
#ifndef BATCH_H
#define BATCH_H

#include "candidates.h"

typedef struct batch {
    /* what is asked for */
    int64_t k; /* picks, at most n */
    uint64_t seed;
    int64_t round;       /* rows labelled so far, XORed into the purpose of random numbers: a new round draws anew */
    const double *value; /* the strategy's parameters, in the order of its line */
    int classes;         /* of head, labels or the parameter classes; 0: not known */
    const pick_rules *limits; /* group, per_group and classes (balance) */
    double apart;             /* dedupe: no pick nearer than that to another or to a labelled row; 0: off */

    /* candidates; x, labelled, sample and unit are held (device.h): ops take all or a part of them where they compute */
    int64_t n, d;
    const float *x;            /* [n, d] in the rule's space */
    const sluice_entry *entry; /* [n]; key: order key of the filter's score */
    const float *weight;       /* [n] or NULL: every weight is 1 */
    const float *logits;       /* [n, classes] or NULL */
    const float *prediction;   /* [n], where limits balance */
    const float *unit;         /* [n, width] features divided by their length, where picks stay apart */
    int64_t width;

    /* labelled rows, in the same space */
    int64_t m;
    const float *labelled;              /* [m, d] */
    const sluice_entry *labelled_entry; /* [m] */
    const int32_t *target;              /* [m] or NULL */

    /* reference sample, in the same space */
    int64_t r;
    const float *sample;        /* [r, d] */
    const sluice_entry *drawn;  /* [r] */
    const float *sample_weight; /* [r] or NULL */

    /* made by batch_begin() */
    uint8_t *open;  /* [n] 1: may be picked now, 2: when the turn of its class comes again, 0: not any more */
    int64_t *taken; /* [groups] picks of each */
    int64_t *turns; /* [classes] picks of each */
    int64_t turn;   /* how many a class may have for now */
    float *near;    /* [n] scratch of batch_close_near() */
    sluice *s;
    sluice_status failed; /* of a batch_take(); whoever ran the rule looks at it */

    /* out */
    int64_t picked;
    int64_t *pick; /* [k] candidates in the order picked */
    float *score;  /* [k] what each was worth to the rule when it was picked */
} batch;

typedef sluice_status batch_rule(sluice *s, batch *b);

/* rules/: one file each */
batch_rule rule_top, rule_spread, rule_cells, rule_trio, rule_typical, rule_round_robin;
batch_rule rule_badge, rule_herd, rule_cover, rule_gist, rule_adaptive;
batch_rule rule_auto; /* strategies.c */

sluice_status batch_begin(sluice *s, batch *b);
void batch_release(batch *b); /* what batch_begin() made */

/* The open candidate of the largest value, the lower index among equals; a NaN never.  -1: none. */
int64_t batch_best(const batch *b, const float *value);
/* Picks candidate i, which must be open.  Its group may be full then, its class wait for the others, and the candidates
 * near it are closed where picks stay apart. */
void batch_take(batch *b, int64_t i, float score);
/* Closes the candidates nearer than `apart` to one of rows [m, width], those on it included. */
void batch_close_near(batch *b, const float *rows, int64_t m);
/* A row that was picked elsewhere counts for its group. */
void batch_count(batch *b, const sluice_entry *picked);
static inline bool batch_full(const batch *b) { return b->picked == b->k || b->failed; }

/* The k nearest of rows y [m, d] to each of x [n, d]: squared distances ascending and indices, both [n, k]. */
sluice_status nearest_rows(sluice *s, const float *x, int64_t n, const float *y, int64_t m, int64_t d, int64_t k,
                           float *out_distance, int32_t *out_index);
/* Squared distances of rows x [n, d] to the nearest of y [m, d], infinity where m is 0. */
sluice_status nearest_distances(sluice *s, const float *x, int64_t n, const float *y, int64_t m, int64_t d,
                                float *out_distance);
/* Squared distances of rows x [n, d] to the row y. */
sluice_status row_distances(sluice *s, const float *x, int64_t n, const float *y, int64_t d, float *out_distance);

#endif
