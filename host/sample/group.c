/* group.c - at most per_group picks of one video, camera or patient: neighbours in a group tell the same story. */
#include "candidates.h"

#include <string.h>

int64_t group_filter(const pick_rules *r, int64_t *taken, sluice_entry *e, int64_t n, int64_t k)
{
    int64_t kept = 0;
    memset(taken, 0, (size_t)r->group_count * sizeof *taken);
    for (int64_t i = 0; i < n && kept != k; i++) {
        int32_t g = r->group[e[i].row];
        if (g >= 0 && taken[g]++ >= r->per_group) continue;
        e[kept++] = e[i];
    }
    return kept;
}
