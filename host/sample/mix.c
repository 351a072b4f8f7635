/* mix.c - one batch from several strategies in fixed shares: a random part keeps the batch honest, an entropy part
 * finds what the margin part does not see.
 *
 * Why the first k candidates of each part are enough: the parts before have taken at most k - 1 rows, and with groups,
 * contracting a matroid by what is taken only shrinks the greedy basis, so what a part still takes was in its own
 * first k. */
#include "picks.h"

#include <stdio.h>
#include <string.h>

static sluice_status parse_part(sluice *s, const char *text, size_t length, mix_part *out)
{
    char weight[32] = "";
    size_t at = length;
    while (at && text[at - 1] != ':') at--;
    if (at && length - at < sizeof weight) snprintf(weight, sizeof weight, "%.*s", (int)(length - at), text + at);
    if (!at || !parse_f64(weight, &out->weight) || out->weight < 0)
        return sluice_hint(
            s, sluice_fail(s, SLUICE_E_USAGE, "the part '%.*s' of the mix has no weight", (int)length, text),
            "write NAME:WEIGHT, for example margin:70,random:30");
    return strategy_parse(s, text, at - 1, &out->strategy);
}

/* k rows by largest remainder. */
static void set_quotas(mix_part *parts, int count, double total, int64_t k)
{
    int64_t left = k;
    for (int i = 0; i < count; i++) {
        parts[i].quota = (int64_t)((double)k * parts[i].weight / total);
        left -= parts[i].quota;
    }
    for (; left > 0; left--) {
        int best = 0;
        double most = -1;
        for (int i = 0; i < count; i++) {
            double rest = (double)k * parts[i].weight / total - (double)parts[i].quota;
            if (rest > most) most = rest, best = i;
        }
        parts[best].quota++;
    }
}

sluice_status mix_parse(sluice *s, const char *text, int64_t k, mix_part **out_parts, int *out_count)
{
    sluice_status st = SLUICE_OK;
    mix_part *parts = NULL;
    double total = 0;
    int count = 0, commas = 0;
    for (const char *p = text; *p; p++) commas += *p == ',';
    TRY_NEW(parts, NEW(s, commas + 1, mix_part));
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        TRY(parse_part(s, p, n, &parts[count]));
        for (int i = 0; i < count; i++)
            if (strcmp(parts[i].strategy.text, parts[count].strategy.text) == 0)
                FAIL(E_USAGE, "strategy '%s' is in the mix twice", parts[i].strategy.text);
        total += parts[count++].weight;
        p += n;
        if (!*p) break;
    }
    if (!(total > 0)) FAIL(E_USAGE, "the weights of the mix '%s' sum to nothing", text);
    set_quotas(parts, count, total, k);
    *out_parts = parts, parts = NULL;
    *out_count = count;
out:
    mem_free(parts);
    return st;
}

typedef struct taking {
    const pick_rules *rules;
    int64_t *group; /* rows taken of each group */
    uint64_t *seen; /* open addressing: row + 1 of those taken */
    uint64_t mask;
    sluice_entry *out;
    int *which;
    int64_t count;
} taking;

/* False where row was taken before. */
static bool mark(taking *t, int64_t row)
{
    uint64_t at = (uint64_t)row * 0x9e3779b97f4a7c15u;
    for (at = (at >> 32) & t->mask; t->seen[at]; at = (at + 1) & t->mask)
        if (t->seen[at] == (uint64_t)row + 1) return false;
    t->seen[at] = (uint64_t)row + 1;
    return true;
}

static bool has_room(const taking *t, int64_t row)
{
    int32_t g = t->rules->group ? t->rules->group[row] : -1;
    return g < 0 || t->group[g] < t->rules->per_group;
}

static void take(taking *t, const candidates *from, int part, int64_t quota)
{
    for (int64_t i = 0; i < from->top.count && quota > 0 && t->count < t->rules->k; i++) {
        const sluice_entry *e = &from->top.entries[i];
        if (!has_room(t, e->row) || !mark(t, e->row)) continue;
        if (t->rules->group && t->rules->group[e->row] >= 0) t->group[t->rules->group[e->row]]++;
        t->out[t->count] = *e;
        t->which[t->count++] = part;
        quota--;
    }
}

sluice_status mix_take(sluice *s, const mix_part *parts, int count, const candidates *from, const pick_rules *rules,
                       sluice_entry *out, int *which, int64_t *out_count)
{
    sluice_status st = SLUICE_OK;
    taking t = { .rules = rules, .out = out, .which = which, .mask = 64 };
    while (t.mask < 2 * (uint64_t)rules->k) t.mask *= 2;
    TRY_NEW(t.seen, NEW(s, (int64_t)t.mask, uint64_t));
    t.mask--;
    TRY_NEW(t.group, NEW(s, rules->group ? rules->group_count : 0, int64_t));
    for (int i = 0; i < count; i++) take(&t, &from[i], i, parts[i].quota);
    take(&t, &from[0], 0, rules->k - t.count);
    *out_count = t.count;
out:
    mem_free(t.seen);
    mem_free(t.group);
    return st;
}
