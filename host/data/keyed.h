/* keyed.h - a csv of id,VALUE matched to the rows of a pool: what labels and groups are read from. */
#ifndef KEYED_H
#define KEYED_H

#include "formats.h"
#include "pool.h"

typedef struct keyed_entry {
    int64_t row, line;
    const char *text; /* of the value, in csv's memory */
} keyed_entry;

typedef struct keyed {
    csv csv;
    keyed_entry *entry; /* [count] row ascending, each row once */
    int64_t count;
} keyed;

/* Fails with E_FORMAT (no column id or `value`), E_DATA (an unknown id, an id twice: lines are named). */
sluice_status keyed_load(sluice *s, const sluice_pool *pool, const char *path, const char *value, keyed *out);
void keyed_release(keyed *k);

#endif
