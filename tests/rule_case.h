/* rule_case.h - a batch rule on given rows under every tier, for the tests of host/sample/rules. */
#ifndef RULE_CASE_H
#define RULE_CASE_H

#include "batch.h"
#include "harness.h"

typedef void rule_check(const batch *b, const char *where);

/* A squared distance: the chain that the ops promise. */
static inline float apart(const float *a, const float *b, int64_t d)
{
    float sum = 0;
    for (int64_t k = 0; k < d; k++) sum = fmaf(a[k] - b[k], a[k] - b[k], sum);
    return sum;
}

/* Rows i0, i0 + 1, ... with ids of their own. */
static inline sluice_entry *numbered(int64_t n, uint64_t first_id)
{
    sluice_entry *e = calloc((size_t)n + 1, sizeof *e);
    for (int64_t i = 0; i < n; i++) e[i] = (sluice_entry){ .row = i, .id = first_id + (uint64_t)i };
    return e;
}

static inline int group_of(const batch *b, int64_t i)
{
    return b->limits && b->limits->group ? b->limits->group[b->entry[i].row] : -1;
}

/* Whether candidate i may be the j-th pick: not picked before, nor its group full. */
static inline bool may_pick(const batch *b, int64_t i, int64_t j)
{
    int64_t of_group = 0;
    for (int64_t q = 0; q < j; q++) {
        if (b->pick[q] == i) return false;
        of_group += group_of(b, i) >= 0 && group_of(b, b->pick[q]) == group_of(b, i);
    }
    return group_of(b, i) < 0 || of_group < b->limits->per_group;
}

/* Runs the rule on b (ids are filled in where they are NULL): `expected` picks, each allowed, and what check says. */
static inline void run_rule(batch_rule *rule, batch b, int64_t expected, rule_check *check)
{
    sluice_entry *own = numbered(b.n, 0), *known = numbered(b.m, 100000), *drawn = numbered(b.r, 200000);
    if (!b.entry) b.entry = own;
    b.labelled_entry = known, b.drawn = drawn;
    for (int t = 0; t < tier_count(); t++) {
        sluice *s = tier_open(t, 1 + t % 2);
        CHECK_OK(s, batch_begin(s, &b));
        CHECK_OK(s, rule(s, &b));
        CHECK(b.picked == expected, "%s: %d picks, wanted %d", tier_name(t), (int)b.picked, (int)expected);
        for (int64_t j = 0; j < b.picked; j++)
            CHECK(may_pick(&b, b.pick[j], j) && b.score[j] == b.score[j], "%s: pick %d is %d with score %g",
                  tier_name(t), (int)j, (int)b.pick[j], (double)b.score[j]);
        check(&b, tier_name(t));
        batch_release(&b), sluice_close(s);
    }
    free(own), free(known), free(drawn);
}

#endif
