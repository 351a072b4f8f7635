/* picks.c - the result object. */
#include "picks.h"

void sluice_picks_free(sluice_picks *p)
{
    if (!p) return;
    for (int i = 0; p->list && i < p->count; i++) mem_free(p->list[i].picks);
    for (int j = 0; p->classes && j < p->class_count; j++) mem_free(p->classes[j]);
    mem_free(p->list);
    mem_free(p->classes);
    mem_free(p->parts);
    json_decref(p->inputs);
    json_decref(p->run);
    checkpoint_release(&p->kept);
    mem_free(p);
}

static const pick_list *list_at(const sluice_picks *p, int list)
{
    return p && list >= 0 && list < p->count ? &p->list[list] : NULL;
}

int sluice_picks_lists(const sluice_picks *p) { return p ? p->count : 0; }
const char *sluice_picks_strategy(const sluice_picks *p, int list)
{
    return list_at(p, list) ? list_at(p, list)->strategy.text : "";
}
int64_t sluice_picks_count(const sluice_picks *p, int list) { return list_at(p, list) ? list_at(p, list)->count : 0; }
const sluice_pick *sluice_picks_get(const sluice_picks *p, int list)
{
    return list_at(p, list) ? list_at(p, list)->picks : NULL;
}
void sluice_picks_get_info(const sluice_picks *p, sluice_picks_info *out_info) { *out_info = p->info; }
void sluice_free(void *p) { mem_free(p); }

sluice_status sluice_rows_load(sluice *s, const sluice_pool *pool, const char *path, int64_t **out_rows,
                               int64_t *out_count)
{
    return rows_load(s, pool, path, out_rows, out_count);
}

sluice_status sluice_groups_load(sluice *s, const sluice_pool *pool, const char *path, int32_t **out_group)
{
    return groups_load(s, pool, path, out_group);
}
