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
} rule_inputs;

/* c: the finished candidates; becomes the picks in the order of the rule, key = order key of the rule's score.
 * Fails with E_USAGE (labels or a head are missing) or E_MEMORY. */
sluice_status rule_run(sluice *s, const rule_inputs *in, const strategy *st, candidates *c);

#endif
