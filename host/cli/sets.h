/* sets.h - the data sets of one JSON file, for simulate. */
#ifndef SETS_H
#define SETS_H

#include "cli.h"

typedef struct data_set {
    const char *name; /* of its folder; NULL: the one of the command line */
    cli_list pool;
    const char *labels, *test, *test_labels;
    int64_t start, start_per_class, batch, rounds; /* -1: as the command line says */
} data_set;

typedef struct set_list { /* zeroed = empty */
    data_set *set;
    const char **names; /* [count], as in set */
    int count;
    void *json;   /* holds names */
    char **texts; /* [text_count] paths */
    int text_count;
} set_list;

/* Paths count from the file's folder.  E_DATA: an entry lacks a key or has one too many. */
sluice_status sets_read(cli *c, const char *path, set_list *out);
void sets_release(set_list *l);
/* Makes --out, which must not hold a simulation of one data set. */
sluice_status sets_folder(cli *c, const char *out, bool force);

#endif
