/* folds.c - which fold a labelled row belongs to: a function of seed and id alone, so that a row keeps its fold from
 * round to round and on every machine. */
#include "learn.h"
#include "exact.h"

/* The hash also orders the picks of `random`, by its high bits; the remainder by a small number is free of that. */
void fold_assign(uint64_t seed, const uint64_t *ids, int64_t m, int folds, int32_t *fold)
{
    for (int64_t i = 0; i < m; i++) fold[i] = (int32_t)(ex_hash64(seed, ids[i]) % (uint64_t)folds);
}
