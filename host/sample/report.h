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

/* mem_free() both.  HTML: curves with bands, the table, comparisons, classes, seconds; every text from outside is escaped. */
char *report_html(sluice *s, const report *r);
/* A tabular of mean +- standard deviation; bold: within one standard error of the best of its row. */
char *report_tex(sluice *s, const curve *c);

#endif
