/* sources.h - what a list of paths means: the files of a pool in append order, with what is promised about each. */
#ifndef SOURCES_H
#define SOURCES_H

#include "core.h"

typedef struct source {
    char *path;
    bool found;    /* by a folder or a glob: 1-d arrays are skipped there */
    char *scale;   /* pool.json: path of the row scales, or NULL */
    bool promised; /* pool.json: the next four are checked against the file */
    int64_t rows, width;
    sluice_type type;
    uint64_t hash;
    bool has_hash;
    char *ids; /* pool.json: ids of this and the following sources, ids_span in all, or NULL */
    int ids_span;
} source;

typedef struct source_list {
    source *at;
    int count, room;
} source_list;

/* Files, folders, globs, lists and pool.json in order; nothing is opened but lists.  E_MISSING, E_FORMAT. */
sluice_status sources_add(sluice *s, const char *path, source_list *list);
void sources_release(source_list *list);
/* "a2" before "a10"; equal names by bytes. */
int natural_order(const char *a, const char *b);
/* path with its array ending replaced: "x.npy", ".ids.txt" -> "x.ids.txt". */
char *beside(sluice *s, const char *path, const char *ending);

#endif
