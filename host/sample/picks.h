/* picks.h - the result of a selection and what its manifest says. */
#ifndef PICKS_H
#define PICKS_H

#include "candidates.h"
#include "checkpoint.h"
#include "manifest.h"
#include "pool_scan.h"

typedef struct pick_list {
    strategy strategy; /* mix: only text */
    sluice_pick *picks;
    int64_t count;
} pick_list;

struct sluice_picks {
    const sluice_pool *pool; /* borrowed: ids and shard names */
    char **classes;          /* [class_count] names, NULL without a head's names */
    int class_count;
    bool scored; /* prediction and confidence are known */
    bool mix;
    pick_list *list;
    int count;
    strategy *parts; /* what sluice_pick.strategy points into */
    sluice_picks_info info;
    quarantine bad;
    char inputs_hash[17];
    json_t *inputs; /* for the manifest */
    json_t *run;
    checkpoint kept;   /* of the scan; goes when the picks are written */
    double bytes_back; /* from devices to the host, of the scan */
};

/* One list as csv at path ("-": stdout), without a manifest; hash (may be NULL) gets XXH3-64 of the bytes. */
sluice_status picks_write_csv(sluice *s, const sluice_picks *p, int list, const char *path, uint64_t *hash);

/* Whether picks may be written to path, as sluice_picks_write() would; *out_done: they are there already. */
sluice_status picks_check(sluice *s, const sluice_picks *p, const char *path, bool force, bool *out_done);

/* mix.c */
typedef struct mix_part {
    strategy strategy;
    double weight;
    int64_t quota;
} mix_part;
/* "margin:70,random:20,power-margin:beta=2:10"; quotas by largest remainder, the earlier part among equals. */
sluice_status mix_parse(sluice *s, const char *text, int64_t k, mix_part **out_parts, int *out_count);
/* Parts take rows in order, none twice and no group beyond per_group; what a part lacks the first part fills.
 * from [count] are finished candidates of k rows each; out [k]; which [k] = the part of each. */
sluice_status mix_take(sluice *s, const mix_part *parts, int count, const candidates *from, const pick_rules *rules,
                       sluice_entry *out, int *which, int64_t *out_count);

#endif
