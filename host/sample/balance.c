/* balance.c - spreads picks evenly over predicted classes by turns: no class gets a second row before each had a
 * first. */
#include "candidates.h"

#include <string.h>

/* A stable counting sort by turn; a row's turn is its place among the rows of its class. */
int64_t balance_order(const pick_rules *r, int64_t *turn, sluice_entry *e, int64_t n, int64_t k, sluice_entry *order,
                      int64_t *start)
{
    size_t classes = (size_t)r->classes * sizeof *turn;
    memset(start, 0, (size_t)(n + 1) * sizeof *start);
    memset(turn, 0, classes);
    for (int64_t i = 0; i < n; i++) start[++turn[e[i].tag - 1]]++; /* start[t]: rows of turn t = 1, 2, ... */
    for (int64_t t = 1; t <= n; t++) start[t] += start[t - 1];     /* where turn t + 1 starts */
    memset(turn, 0, classes);
    for (int64_t i = 0; i < n; i++) order[start[turn[e[i].tag - 1]++]++] = e[i];
    if (n > k) n = k;
    memcpy(e, order, (size_t)n * sizeof *e);
    memset(turn, 0, classes);
    for (int64_t i = 0; i < n; i++) turn[e[i].tag - 1]++;
    return n;
}
