/* report.h - a simulation for people: an HTML page that needs no network, and a LaTeX table. */
#ifndef REPORT_H
#define REPORT_H

#include "compare.h"

typedef struct report {
    const curve *curve;
    int classes;
    char *const *class_names; /* [classes] */
    const int64_t *balance;   /* [points][classes] labels of each class at each point of the curve, or NULL */
    const double *recall;     /* [points][classes] of the test rows, or NULL */
    const char *title, *command;
} report;

/* All by mem_free().  HTML: curves with bands, the table, comparisons, classes, seconds; every text from outside is escaped. */
char *report_html(sluice *s, const report *r);
/* The comparisons and areas as JSON. */
char *report_json(sluice *s, const report *r);
/* strategy,seed,round,class,labels,recall of every point; recall empty where the test set has no row of the class. */
sluice_status report_classes(sluice *s, const report *r, const char *path);
/* A tabular of mean +- standard deviation; bold: within one standard error of the best of its row. */
char *report_tex(sluice *s, const curve *c);

#endif
