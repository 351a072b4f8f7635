/* curve.h - what a simulation measured: rows of curve.csv and the table people read. */
#ifndef CURVE_H
#define CURVE_H

#include "core.h"

typedef struct curve_point {
    const char *strategy; /* borrowed; "full": all labels */
    uint64_t seed;
    int round; /* 0: the start set */
    int64_t labels;
    double accuracy, nll, macro_f1;
    double self_trained; /* accuracy of the head that self-training makes of it */
    int classes_seen;
    double seconds;  /* all of the round */
    double stage[3]; /* of them: choosing the batch, training, judging */
} curve_point;

/* strategies x seeds x (rounds + 1) points in that order, then the full one. */
typedef struct curve {
    const char *const *strategies;
    int strategy_count, seeds, rounds;
    int64_t test_rows;
    bool self_trained;   /* points have that accuracy */
    curve_point *points; /* labels 0: not measured yet */
} curve;

curve_point *curve_at(const curve *c, int strategy, int seed, int round);
curve_point *curve_full(const curve *c);
int curve_random(const curve *c); /* the strategy "random"; -1: it is not among them */

/* Accuracy over the seeds. */
typedef struct moments {
    double mean, deviation, error; /* the last: of the mean; both 0 with one seed */
} moments;
moments curve_accuracy(const curve *c, int strategy, int round);

/* "%.*f" with a point: the program around us may have set a locale with a comma. */
typedef struct decimal {
    char text[32];
} decimal;
decimal curve_decimal(int digits, double value);

/* The same curve of self-trained heads; mem_free() its points. */
sluice_status curve_after_self_training(sluice *s, const curve *c, curve *out);

/* strategy,seed,round,labels,accuracy,nll,macro_f1,classes_seen,seconds[,self_trained]; points that are measured. */
sluice_status curve_write(sluice *s, const curve *c, const char *path);
/* Markdown.  Of every strategy and label count the mean accuracy +- its standard deviation over seeds, and behind
 * another strategy than random the labels at which random's mean curve, joined by lines, first reaches that accuracy.  Behind it the same of self-trained heads.
 * mem_free(). */
char *curve_table(sluice *s, const curve *c);
/* Labels at which a curve of n points first reaches accuracy: "812", ">900" beyond its end, "<300" before its start. */
void curve_needs(const int64_t *labels, const double *accuracy, int n, double wanted, char out[32]);

#endif
