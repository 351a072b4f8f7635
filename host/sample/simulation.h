/* simulation.h - what the parts of a simulation share: simulate.c (inputs, files), rounds.c (what is measured), resume.c
 * (what a killed run leaves to the next one). */
#ifndef SIMULATION_H
#define SIMULATION_H

#include "comm.h"
#include "curve.h"
#include "held_pool.h"
#include "picks.h"

/* The files of a.out, beside run.json and picks/. */
typedef enum output { OUT_CURVE, OUT_CLASSES, OUT_TABLE, OUT_TEX, OUT_SUMMARY, OUT_REPORT, OUTPUTS } output;

typedef struct simulation {
    sluice_simulate_args a;
    held_pool pool, test;
    strategy *strategies;
    int strategy_count;
    const char **names;  /* [strategy_count] */
    int32_t *row_class;  /* [rows], -1: no label, never picked */
    int64_t *unlabelled; /* rows without a label, ascending */
    int64_t unlabelled_count;
    curve curve;
    int64_t *balance; /* [points of the curve][classes] labels of each class */
    double *recall;   /* [points of the curve][classes] of the test rows; NaN: the test set has none */
    bool *known;      /* [rows] labelled so far in this run */
    int64_t known_count;
    sluice_options heard; /* the caller's callbacks, while inner calls are kept quiet */
    comm *ranks;          /* the other ranks, whom inner calls do not concern; NULL: none */
    deal deal;            /* the root's, open while work is given out */
    sluice *s;            /* for a callback */
    progress progress;
    int64_t steps;
    int64_t quarantined;
    char *folder_picks, *folder_rounds, *path[OUTPUTS], *path_run;
    char digest[17];
    json_t *inputs;
    bool made_folder; /* a.out was not there before */
    bool cold;        /* nothing is labelled at the start: the first batch is round 0 */
    int64_t finished; /* rounds that a later start need not compute again */
} simulation;

/* rounds.c: all rounds of all strategies of a seed, or of one of them (-1: all); its start set alone; and the head on all
 * labels. */
sluice_status rounds_of_seed(sluice *s, simulation *e, int run, int only);
sluice_status round_of_start(sluice *s, simulation *e, int run);
sluice_status round_of_all_labels(sluice *s, simulation *e);
void learn_row(simulation *e, int64_t row);

/* shared_rounds.c: all of that by all ranks; what they finish is kept as if a run had been killed. */
sluice_status rounds_of_ranks(sluice *s, simulation *e);
/* While an inner call is at work: answers the ranks that ask for more. */
void rounds_answer(void *user, const sluice_progress *p);

/* resume.c: a finished round is a file of its own until the whole simulation is.  A round is known by its point's
 * strategy, seed and number. */
sluice_status resume_begin(sluice *s, simulation *e,
                           bool go_on); /* go_on: the folder holds rounds of the same inputs */
void resume_end(simulation *e);         /* the rounds' files go */
/* batch: what the round labelled, or NULL. */
sluice_status round_keep(sluice *s, simulation *e, const curve_point *p, const pick_list *batch);
bool round_is_kept(sluice *s, const simulation *e, const curve_point *p);
/* Found: the point, its classes and the rows it labelled are as round_keep() was given them. */
sluice_status round_restore(sluice *s, simulation *e, curve_point *p, bool *out_found);
void folder_clear(const char *folder, const char *part); /* removes files whose names hold part */

#endif
