/* merge.c - sluice_merge(): the selection that the parts belong to, made once more from their settings, with what they
 * know in place of its scan. */
#include "selection.h"

#include <stdlib.h>
#include <string.h>

/* "a,b,c" of the names of a JSON array. */
static char *join_names(sluice *s, const json_t *names)
{
    size_t i, bytes = 1;
    const json_t *name;
    json_array_foreach((json_t *)(uintptr_t)names, i, name) bytes += json_string_length(name) + 1;
    char *text = mem_new(s, (int64_t)bytes, 1), *at = text;
    if (!text) return NULL;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
    {
        size_t n = json_string_length(name);
        if (i) *at++ = ',';
        if (n) memcpy(at, json_string_value(name), n);
        at += n;
    }
    return text;
}

/* The settings in a part's identity; *out_names holds what a->strategies or a->mix points to. */
static sluice_status read_settings(sluice *s, const char *path, const json_t *in, sluice_select_args *a,
                                   char **out_names)
{
    const char *seed = json_string_value(json_object_get(in, "seed")), *mix, *bad = NULL;
    const json_t *k = json_object_get(in, "k");
    char *end = NULL;
    if (!json_is_integer(k)) bad = "k";
    if (!seed || !*seed) bad = "seed";
    if (bad) return sluice_fail(s, SLUICE_E_FORMAT, "'%s' does not say its %s", path, bad);
    a->k = json_integer_value(k);
    a->seed = strtoull(seed, &end, 10);
    a->per_group = json_integer_value(json_object_get(in, "per_group"));
    a->balance = json_is_true(json_object_get(in, "balance"));
    a->dedupe = json_number_value(json_object_get(in, "dedupe"));
    a->max_bad = json_number_value(json_object_get(in, "max_bad"));
    mix = json_string_value(json_object_get(in, "mix"));
    *out_names = mix ? mem_text(s, mix) : join_names(s, json_object_get(in, "strategies"));
    if (mix) a->mix = *out_names;
    else a->strategies = *out_names;
    return *out_names ? SLUICE_OK : SLUICE_E_MEMORY;
}

static sluice_status merge(sluice *s, selection *e, sluice_picks **out_picks)
{
    sluice_status st = SLUICE_OK;
    char *names = NULL;
    sealed first = { 0 };
    if (e->part_files_count < 1 || !e->part_files) FAIL(E_USAGE, "no partial results are given");
    TRY(sealed_read(s, e->part_files[0], &first));
    TRY(read_settings(s, e->part_files[0], json_object_get(first.identity, "inputs"), &e->a, &names));
    TRY(selection_run(s, e, out_picks));
out:
    sealed_release(&first);
    mem_free(names);
    return st;
}

sluice_status sluice_merge(sluice *s, const sluice_pool *pool, const char *const *parts, int part_count,
                           const sluice_select_args *a, sluice_picks **out_picks)
{
    selection e = { .pool = pool, .part_files = parts, .part_files_count = part_count };
    memcpy(&e.a, a, a->size < sizeof e.a ? a->size : sizeof e.a);
    e.a.shard = e.a.shards = 0, e.a.checkpoint = NULL, e.a.strategies = e.a.mix = NULL;
    s->error[0] = 0;
    sluice_status st = merge(s, &e, out_picks);
    return st ? sluice_note(s, st, "cannot merge") : SLUICE_OK;
}

sluice_status sluice_part_note(sluice *s, const char *path, char **out_note)
{
    sealed f = { 0 };
    s->error[0] = 0;
    sluice_status st = sealed_read(s, path, &f);
    if (st) return st;
    const char *note = json_string_value(json_object_get(f.identity, "note"));
    *out_note = mem_text(s, note ? note : "");
    sealed_release(&f);
    return *out_note ? SLUICE_OK : SLUICE_E_MEMORY;
}
