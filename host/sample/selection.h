/* selection.h - a selection under way: what select.c does in its steps and parts.c reads and writes. */
#ifndef SELECTION_H
#define SELECTION_H

#include "exclusions.h"
#include "lane.h"
#include "picks.h"
#include "rule_run.h"
#include "scorer.h"

typedef struct selection {
    const sluice_pool *pool;
    sluice_select_args a;
    source src;
    lane lane;            /* that scores the picked rows again */
    strategy *strategies; /* of the lists, or of the parts of the mix */
    int count;
    mix_part *parts; /* mix, else NULL */
    pick_rules rules;
    candidates *candidates; /* [count] */
    scan_state state;       /* candidates are its tops */
    exclusions out;
    references refs;
    scorer_set scorers;
    int64_t labelled;
    /* rows picked by any list, ascending, and what is known of them */
    int64_t *row;
    float *prediction, *confidence;
    uint8_t *bad;
    int64_t picked;
    sluice_picks *p;
    /* merge: the files that the scan's state comes from, instead of a scan */
    const char *const *part_files;
    int part_files_count;
} selection;

/* *out_picks: of the selection e->pool, e->a (e->part_files). */
sluice_status selection_run(sluice *s, selection *e, sluice_picks **out_picks);
bool selection_scans(const selection *e);               /* else it is drawn from hashes, or empty */
sluice_status selection_start(sluice *s, selection *e); /* e->state knows nothing */
sluice_status selection_keep(sluice *s, void *e);       /* a scan's keep: the checkpoint */
/* shared_scan.c: the same for several ranks; the root's state then knows all rows of scan->range. */
sluice_status selection_scan_shared(sluice *s, selection *e, pool_scan *scan);

/* ---- parts.c: the partial results of --shard i/n ---- */

/* Of the run, and with_part of the part of it that e->a asks for; NULL on failure of memory. */
json_t *selection_identity(const selection *e, bool with_part);
/* Whether e->a.out may be written, as picks_check(). */
sluice_status part_check(sluice *s, const selection *e, bool *out_done);
sluice_status part_write(sluice *s, selection *e);
/* All parts into e->state, each once.  Fails with E_MISSING (a part), E_DATA (one twice, or of another run), E_FORMAT. */
sluice_status parts_join(sluice *s, selection *e);

#endif
