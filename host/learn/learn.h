/* learn.h - fitting heads and judging them. */
#ifndef LEARN_H
#define LEARN_H

#include "head.h"
#include "linear_loss.h"

/* x [m, d] f32 rows already gathered (for simulate, which gathers once), target [m], ids [m]. */
typedef struct train_set {
    const float *x;
    const int32_t *target;
    const uint64_t *ids;
    int64_t m;
    int64_t shape[3], width;
    int classes;
    char *const *names;
    uint64_t fingerprint;
} train_set;

/* train.c: drops classes without labels, lets one of the other two fit, records the rows. */
sluice_status train_head(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_head);
/* The same, and where a->pseudo is given in *out_self what self-training makes of it; NULL: in its place. */
sluice_status train_heads(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_self,
                          sluice_head **out_head);
/* sluice_train() with both. */
sluice_status train_both(sluice *s, const sluice_pool *pool, const sluice_train_args *a, sluice_head **out_self,
                         sluice_head **out_head);
sluice_status train_linear(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_head);
/* "balanced": m / (classes * rows of the class), of rows order [m] of target, NULL: the first m.  *out [classes], NULL without
 * a rule. */
sluice_status weigh_classes(sluice *s, const char *rule, const int32_t *target, const int64_t *order, int64_t m,
                            int classes, float **out);
/* blocks: of a batch on devices (team.h), 0: by its work. */
sluice_status train_layers(sluice *s, const train_set *t, const sluice_train_args *a, int blocks,
                           sluice_head **out_head);

/* pseudo.c: h becomes the head that is fitted to t and to what h says of a->pseudo; E_USAGE, E_SHAPE where that cannot be. */
sluice_status self_train(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head *h);
sluice_status self_train_check(sluice *s, const train_set *t, const sluice_train_args *a);

/* L-BFGS on sum_i weight * CE + |W|^2/(2C), intercept free; w [c, d], b [c] start values in, solution out. */
typedef struct linear_fit {
    const seated_rows *rows; /* of them first .. first + m - 1 */
    int64_t first, m;
    double l2;          /* C */
    int max_iterations; /* 0: 500 */
    double tolerance;   /* on the largest gradient entry relative to m, 0: 1e-6 */
    float *w, *b;
    int iterations;   /* out */
    double objective; /* out */
} linear_fit;
sluice_status lbfgs_fit(sluice *s, linear_fit *f);
/* Fits h's weights, from where they are, to rows x [m, width] that are standardised, with C fit->l2; the rest of h stays. */
sluice_status linear_refit(sluice *s, sluice_head *h, float *x, int32_t *target, int64_t m, const char *class_weights,
                           linear_fit *fit);

/* Fold (0 .. folds-1) of each id by hash64(seed, id). */
void fold_assign(uint64_t seed, const uint64_t *ids, int64_t m, int folds, int32_t *fold);
/* T > 0 that minimises NLL of logits / T; 1 with fewer than 50 rows or a class with fewer than 5. */
float calibrate_temperature(const float *logits, const int32_t *target, int64_t m, int c);
/* Sum of -log softmax(logits / temperature)[target]; fp64, fixed blocks. */
double nll_sum(const float *logits, const int32_t *target, int64_t m, int c, float temperature);

/* Fills r from logits [n, c] / temperature and targets [n]; what each figure means: evaluate.c.  Targets below 0 stand
 * for classes that c does not count, each number for another one. */
sluice_status evaluate_logits(sluice *s, const float *logits, const int32_t *target, int64_t n, int c,
                              float temperature, sluice_eval_result *out_r);
/* Logits of some rows of a pool [m, c]. */
sluice_status head_logits_of(sluice *s, const sluice_head *h, const sluice_pool *pool, const int64_t *rows, int64_t m,
                             float *out);

#endif
