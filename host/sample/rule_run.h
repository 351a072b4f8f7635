/* rule_run.h - from the candidates of a strategy with a rule to its picks. */
#ifndef RULE_RUN_H
#define RULE_RUN_H

#include "batch.h"
#include "references.h"

typedef struct rule_inputs {
    references *refs;
    source *src;             /* scores of candidates that the rule wants */
    const pick_rules *rules; /* k, seed, group, balance */
    int64_t labelled;        /* rows so far */
    double apart;            /* dedupe, 0: off */
    const sluice_entry
        *taken;          /* [taken_count] rows picked already, by other strategies: their groups have them, and ... */
    int64_t taken_count; /* ... picks stay apart from them */
} rule_inputs;

/* Picks of the finished candidates c, at most rules->k, in the order of the rule (rule_top where the strategy has none),
 * key = order key of the rule's score.  out may be c's own entries.  Fails with E_USAGE (labels or a head are missing) or E_MEMORY. */
sluice_status rule_run(sluice *s, const rule_inputs *in, const strategy *st, const candidates *c, sluice_entry *out,
                       int64_t *out_count);

#endif
