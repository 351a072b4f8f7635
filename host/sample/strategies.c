/* strategies.c - the table made from strategies.def, and the reading of "NAME:key=value". */
#include "batch.h"
#include "scorer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const strategy_kind kinds[] = {
#define STRATEGY(name, reads, fill, parameters, what, paper, cost)                                                     \
    { { name, parameters, (reads) != 0, what, paper, cost }, reads, fill, { .run = NULL }, NULL },
#define FITTED(name, scorer, reads, parameters, what, paper, cost)                                                     \
    { { name, parameters, (reads) != 0, what, paper, cost }, reads, fill_fitted, { .run = NULL }, &(scorer) },
#define BATCH(name, reads, fill, times, least, weight, rule, space, needs, parameters, what, paper, cost)              \
    { { name, parameters, (reads) || (weight) || ((needs)&NEEDS_LOGITS), what, paper, cost },                          \
      reads,                                                                                                           \
      fill,                                                                                                            \
      { times, least, weight, rule, space, needs },                                                                    \
      NULL },
#define FITTED_BATCH(name, scorer, reads, times, least, weight, rule, space, needs, parameters, what, paper, cost)     \
    { { name, parameters, (reads) || (weight) || ((needs)&NEEDS_LOGITS), what, paper, cost },                          \
      reads,                                                                                                           \
      fill_fitted,                                                                                                     \
      { times, least, weight, rule, space, needs },                                                                    \
      &(scorer) },
#include "strategies.def"
#undef STRATEGY
#undef FITTED
#undef BATCH
#undef FITTED_BATCH
};
enum { KINDS = sizeof kinds / sizeof *kinds, POWER = KINDS - 1 };
static const char power_prefix[] = "power-";

const sluice_strategy *sluice_strategy_at(int i) { return i < 0 || i >= KINDS ? NULL : &kinds[i].shown; }

const char *sluice_strategy_needs(int i)
{
    if (i < 0 || i >= KINDS) return NULL;
    const strategy_kind *k = &kinds[i];
    unsigned wants = k->scorer ? k->scorer->wants : 0;
    if (i == POWER) return "as SCORE";
    if (wants & WANTS_LIKE) return "--like";
    if (wants & WANTS_TARGETS) return "labels";
    if (wants & WANTS_HELD_OUT) return "held-out";
    if (wants & WANTS_LABELLED) return k->shown.needs_head ? "head, rows" : "rows";
    if (k->rule.needs & NEEDS_CLASSES) return "classes";
    return k->shown.needs_head ? "head" : "-";
}

/* Not inlined: gcc 12 then believes that some of the names cannot be equal, and warns. */
static __attribute__((noinline)) const strategy_kind *find_kind(const char *name)
{
    for (int i = 0; i < POWER; i++)
        if (strcmp(kinds[i].shown.name, name) == 0) return &kinds[i];
    return NULL;
}

static sluice_status unknown_strategy(sluice *s, const char *name)
{
    char names[1024];
    size_t used = 0;
    for (int i = 0; i < KINDS && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", kinds[i].shown.name);
    return sluice_hint(s, sluice_fail(s, SLUICE_E_USAGE, "there is no strategy '%s'", name), "strategies: %s", names);
}

/* Parameters that are words: of=predicted, of=all. */
static bool parse_word(const char *text, double *out_value)
{
    static const char *const words[] = { "predicted", "all" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], text) == 0) return *out_value = (double)i, true;
    return false;
}

/* The k-th "key=value" of a kind's parameters: its key's length, *out_value its default; 0 behind the last. */
static size_t parameter(const strategy_kind *kind, int k, const char **out_key, double *out_value)
{
    const char *p = kind->shown.parameters;
    for (; k > 0 && *p; k--) {
        p += strcspn(p, ":");
        p += *p == ':';
    }
    size_t key = strcspn(p, "=:");
    char value[32];
    snprintf(value, sizeof value, "%.*s", (int)(p[key] ? strcspn(p + key + 1, ":") : 0), p[key] ? p + key + 1 : "");
    *out_key = p;
    return key && (parse_f64(value, out_value) || parse_word(value, out_value)) ? key : 0;
}

static sluice_status set_parameter(sluice *s, strategy *st, const char *name, const char *setting)
{
    size_t length = strcspn(setting, "=");
    const char *key;
    double value;
    for (int k = 0; k < STRATEGY_PARAMETERS; k++) {
        size_t n = parameter(st->kind, k, &key, &value);
        if (!n) break;
        if (n != length || strncmp(key, setting, n) != 0) continue;
        bool word = !parse_f64((char[]){ key[n + 1], 0 }, &value);
        const char *text = setting + n + (setting[n] == '=');
        if (word ? !parse_word(text, &value) : !parse_f64(text, &value) || value < 0)
            return sluice_fail(s, SLUICE_E_USAGE, "strategy '%s' takes %.*s=%s, not '%s'", name, (int)n, key,
                               word ? "predicted or all" : "NUMBER, zero or more", setting);
        st->value[k] = value;
        return SLUICE_OK;
    }
    return sluice_hint(s, sluice_fail(s, SLUICE_E_USAGE, "strategy '%s' has no parameter '%s'", name, setting),
                       "its parameters: %s", *st->kind->shown.parameters ? st->kind->shown.parameters : "none");
}

sluice_status strategy_parse(sluice *s, const char *text, size_t length, strategy *out)
{
    strategy st = { 0 };
    char name[sizeof st.text];
    const char *key;
    while (length && *text == ' ') text++, length--;
    while (length && text[length - 1] == ' ') length--;
    if (length == 0) return sluice_fail(s, SLUICE_E_USAGE, "a strategy is missing");
    if (length >= sizeof st.text)
        return sluice_fail(s, SLUICE_E_USAGE, "the strategy '%.40s...' is longer than %zu characters", text,
                           sizeof st.text - 1);
    memcpy(st.text, text, length);
    memcpy(name, st.text, sizeof name);
    char *settings = strchr(name, ':');
    if (settings) *settings++ = 0;

    size_t prefix = sizeof power_prefix - 1;
    if (strncmp(name, power_prefix, prefix) == 0) {
        st.kind = &kinds[POWER];
        st.of = find_kind(name + prefix);
        if (!st.of || st.of->rule.run) return unknown_strategy(s, name);
    } else {
        st.kind = find_kind(name);
        if (!st.kind) return unknown_strategy(s, name);
    }
    for (int k = 0; k < STRATEGY_PARAMETERS; k++) parameter(st.kind, k, &key, &st.value[k]);
    while (settings) {
        char *next = strchr(settings, ':');
        if (next) *next++ = 0;
        sluice_status bad = set_parameter(s, &st, name, settings);
        if (bad) return bad;
        settings = next;
    }
    *out = st;
    return SLUICE_OK;
}

sluice_status strategies_parse(sluice *s, const char *text, strategy **out_list, int *out_count)
{
    sluice_status st = SLUICE_OK;
    strategy *list = NULL;
    int count = 0, commas = 0;
    for (const char *p = text; *p; p++) commas += *p == ',';
    TRY_NEW(list, NEW(s, commas + 1, strategy));
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        TRY(strategy_parse(s, p, n, &list[count]));
        for (int i = 0; i < count; i++)
            if (strcmp(list[i].text, list[count].text) == 0)
                FAIL(E_USAGE, "strategy '%s' is asked for twice", list[i].text);
        count++;
        p += n;
        if (!*p) break;
    }
    *out_list = list, list = NULL;
    *out_count = count;
out:
    mem_free(list);
    return st;
}

const strategy_kind *strategy_scores_by(const strategy *st) { return st->of ? st->of : st->kind; }
unsigned strategy_reads(const strategy *st) { return strategy_scores_by(st)->reads; }
bool strategy_needs_head(const strategy *st) { return strategy_scores_by(st)->shown.needs_head; }

void strategy_score_values(const strategy *st, double *out)
{
    const char *key;
    memcpy(out, st->value, sizeof st->value);
    for (int k = 0; st->of && k < STRATEGY_PARAMETERS; k++)
        if (!parameter(st->of, k, &key, &out[k])) out[k] = 0;
}

/* Few labels say little about where the head is unsure, and a typical row of every region says more; with some labels a
 * class the head's doubts win (docs/strategies.md has the figures). */
void strategy_resolve(strategy *st, int64_t labelled, int classes, bool has_scores)
{
    const char *key;
    if (st->kind->rule.run != rule_auto) return;
    bool few = !has_scores || classes == 0 || (double)labelled < st->value[0] * (double)classes;
    st->kind = find_kind(few ? "typiclust" : "margin-kmeans");
    for (int k = 0; k < STRATEGY_PARAMETERS; k++) st->value[k] = 0, parameter(st->kind, k, &key, &st->value[k]);
}

/* In the table, so that "auto" has a line there; strategy_resolve() has replaced it before anything runs. */
sluice_status rule_auto(sluice *s, batch *b)
{
    (void)b;
    return sluice_fail(s, SLUICE_E_INTERNAL, "the strategy 'auto' was not resolved");
}

double strategy_times(const strategy *st, int64_t k, bool apart)
{
    if (st->kind->rule.run) return st->kind->rule.times;
    return apart && k ? 10 + 1000 / (double)k : 1;
}

int64_t strategy_candidates(const strategy *st, int64_t k, int64_t left, bool apart)
{
    const strategy_rule *r = &st->kind->rule;
    if (k == 0 || (!r->run && !apart)) return k;
    double wanted = ceil(strategy_times(st, k, apart) * (double)k);
    if (wanted < (double)r->least) wanted = (double)r->least;
    return wanted < (double)left ? (int64_t)wanted : left;
}

static column column_read(unsigned reads)
{
    int j = 0;
    while (!(reads >> j & 1)) j++;
    return (column)j;
}

bool strategy_is_column(const strategy *st, column *out)
{
    if (st->kind->fill != fill_column) return false;
    *out = column_read(st->kind->reads);
    return true;
}

void fill_column(const strategy *st, const block_facts *b, float *out)
{
    const float *from = b->column[column_read(strategy_scores_by(st)->reads)];
    memcpy(out, from, (size_t)b->rows * sizeof *out);
}

void fill_fitted(const strategy *st, const block_facts *b, float *out)
{
    memcpy(out, b->fitted[st->scorer], (size_t)b->rows * sizeof *out);
}
