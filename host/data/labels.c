/* labels.c - labels of some rows of a pool, from texts (csv) or integers over the whole pool (npy, idx).
 *
 * Classes of texts, in this order: the names of a classes file; all labels canonical integers: the index is the value;
 * else the distinct texts in byte order. */
#include "formats.h"
#include "keyed.h"
#include "pool.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 1 << 20 }; /* a label of 10^9 is a mistake, not 10^9 classes */

/* ---- class names ---- */

/* names[j] = "j" */
static sluice_status number_names(sluice *s, sluice_labels *l, int classes)
{
    sluice_status st = SLUICE_OK;
    TRY_NEW(l->names, NEW(s, classes, char *));
    l->classes = classes;
    for (int j = 0; j < classes; j++) TRY_NEW(l->names[j], mem_format(s, "%d", j));
out:
    return st;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static sluice_status file_names(sluice *s, sluice_labels *l, const char *path)
{
    sluice_status st = SLUICE_OK;
    line_list lines = { 0 };
    char **sorted = NULL;
    TRY(lines_load(s, path, &lines));
    if (lines.count < 1 || lines.count > MAX_CLASSES)
        FAIL(E_FORMAT, "'%s' names %lld classes, 1 to %d are possible", path, (long long)lines.count, MAX_CLASSES);
    TRY_NEW(l->names, NEW(s, lines.count, char *));
    TRY_NEW(sorted, NEW(s, lines.count, char *));
    l->classes = (int)lines.count;
    for (int j = 0; j < l->classes; j++) {
        TRY_NEW(l->names[j], mem_text(s, lines.text + lines.at[j]));
        sorted[j] = l->names[j];
    }
    qsort(sorted, (size_t)l->classes, sizeof *sorted, by_text);
    for (int j = 1; j < l->classes; j++)
        if (!strcmp(sorted[j - 1], sorted[j])) FAIL(E_DATA, "'%s' names the class '%s' twice", path, sorted[j]);
out:
    mem_free(sorted);
    lines_release(&lines);
    return st;
}

/* ---- targets from texts ---- */

typedef struct name_index {
    const char *text;
    int32_t index;
} name_index;

static int by_name_text(const void *a, const void *b)
{
    return strcmp(((const name_index *)a)->text, ((const name_index *)b)->text);
}

/* Index of each label among l->names; *out_missing: the first label that is none of them, or -1. */
static sluice_status match_names(sluice *s, sluice_labels *l, const keyed *k, int64_t *out_missing)
{
    name_index *index = NEW(s, l->classes, name_index);
    if (!index) return SLUICE_E_MEMORY;
    *out_missing = -1;
    for (int j = 0; j < l->classes; j++) index[j] = (name_index){ l->names[j], j };
    qsort(index, (size_t)l->classes, sizeof *index, by_name_text);
    for (int64_t i = 0; i < k->count && *out_missing < 0; i++) {
        name_index want = { k->entry[i].text, 0 };
        const name_index *at = bsearch(&want, index, (size_t)l->classes, sizeof *index, by_name_text);
        if (at) l->target[i] = at->index;
        else *out_missing = i;
    }
    mem_free(index);
    return SLUICE_OK;
}

/* Canonical integers as targets; *out_max is -1 when some label is none. */
static sluice_status integers(sluice *s, const keyed *k, int32_t *target, int64_t *out_max)
{
    int64_t max = -1, negative = -1;
    uint64_t v;
    *out_max = -1;
    for (int64_t i = 0; i < k->count; i++) {
        const char *text = k->entry[i].text;
        if (text[0] == '-' && parse_canonical(text + 1, &v)) {
            negative = i;
            continue;
        }
        if (!parse_canonical(text, &v)) return SLUICE_OK;
        if (v >= MAX_CLASSES)
            return sluice_fail(s, SLUICE_E_DATA, "line %lld: label %s is above the largest class, %d",
                               (long long)k->entry[i].line, text, MAX_CLASSES - 1);
        target[i] = (int32_t)v;
        if (max < (int64_t)v) max = (int64_t)v;
    }
    if (negative >= 0)
        return sluice_fail(s, SLUICE_E_DATA, "line %lld: label %s is negative: leave unlabelled rows out",
                           (long long)k->entry[negative].line, k->entry[negative].text);
    *out_max = max;
    return SLUICE_OK;
}

static sluice_status distinct_names(sluice *s, sluice_labels *l, const keyed *k)
{
    sluice_status st = SLUICE_OK;
    const char **sorted = NULL;
    int64_t n = 0;
    TRY_NEW(sorted, RAW(s, k->count, const char *));
    for (int64_t i = 0; i < k->count; i++) sorted[i] = k->entry[i].text;
    if (k->count) qsort(sorted, (size_t)k->count, sizeof *sorted, by_text);
    for (int64_t i = 0; i < k->count; i++)
        if (!i || strcmp(sorted[i - 1], sorted[i])) sorted[n++] = sorted[i];
    if (n > MAX_CLASSES)
        FAIL(E_DATA, "%lld different labels, at most %d classes are possible", (long long)n, MAX_CLASSES);
    TRY_NEW(l->names, NEW(s, n, char *));
    l->classes = (int)n;
    for (int64_t j = 0; j < n; j++) TRY_NEW(l->names[j], mem_text(s, sorted[j]));
out:
    mem_free(sorted);
    return st;
}

static sluice_status targets(sluice *s, sluice_labels *l, const keyed *k, const char *classes)
{
    sluice_status st = SLUICE_OK;
    int64_t missing = -1, max = -1;
    if (classes) {
        TRY(file_names(s, l, classes));
        TRY(match_names(s, l, k, &missing));
        if (missing < 0) return SLUICE_OK;
    }
    TRY(integers(s, k, l->target, &max));
    if (classes && max < 0)
        FAIL(E_DATA, "line %lld: label '%s' is no class of '%s'", (long long)k->entry[missing].line,
             k->entry[missing].text, classes);
    if (classes && max >= l->classes)
        FAIL(E_DATA, "label %lld is above the %d classes of '%s'", (long long)max, l->classes, classes);
    if (classes) return SLUICE_OK;
    if (max >= 0) return number_names(s, l, (int)max + 1);
    TRY(distinct_names(s, l, k));
    TRY(match_names(s, l, k, &missing));
out:
    return st;
}

static sluice_status from_csv(sluice *s, const sluice_pool *pool, const char *path, const char *classes,
                              sluice_labels *l)
{
    sluice_status st = SLUICE_OK;
    keyed k = { 0 };
    if ((st = keyed_load(s, pool, path, "label", &k)) != SLUICE_OK) return st; /* has named the file */
    for (int64_t i = 0; i < k.count; i++)
        if (!k.entry[i].text[0]) FAIL(E_DATA, "line %lld: the label is empty", (long long)k.entry[i].line);
    TRY_NEW(l->row, RAW(s, k.count, int64_t));
    TRY_NEW(l->target, RAW(s, k.count, int32_t));
    l->count = k.count;
    for (int64_t i = 0; i < k.count; i++) l->row[i] = k.entry[i].row;
    TRY(targets(s, l, &k, classes));
out:
    keyed_release(&k);
    return st ? sluice_note(s, st, "cannot read labels '%s'", path) : SLUICE_OK;
}

/* ---- targets from integers over the pool ---- */

static sluice_status from_values(sluice *s, const sluice_pool *pool, const int64_t *v, int64_t n, bool wide,
                                 sluice_labels *l)
{
    sluice_status st = SLUICE_OK;
    int64_t limit = l->names ? l->classes : MAX_CLASSES, max = -1, count = 0;
    if (n != pool->rows) FAIL(E_SHAPE, "%lld labels for %lld rows of the pool", (long long)n, (long long)pool->rows);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] == -1 && !wide) continue;
        if (v[i] < 0 || v[i] >= limit)
            FAIL(E_DATA, "row %lld has label %lld, labels lie in 0 to %lld and -1 is unlabelled", (long long)i,
                 (long long)v[i], (long long)limit - 1);
        if (max < v[i]) max = v[i];
        count++;
    }
    TRY_NEW(l->row, RAW(s, count, int64_t));
    TRY_NEW(l->target, RAW(s, count, int32_t));
    for (int64_t i = 0; i < n; i++)
        if (v[i] >= 0) l->row[l->count] = i, l->target[l->count++] = (int32_t)v[i];
    if (!l->names) TRY(number_names(s, l, (int)max + 1));
out:
    return st;
}

static sluice_status from_array(sluice *s, const sluice_pool *pool, const char *path, const char *classes,
                                sluice_labels *l)
{
    sluice_status st = SLUICE_OK;
    int64_t *v = NULL, n = 0;
    bool wide = false;
    if (classes) TRY(file_names(s, l, classes));
    TRY(ints_load(s, path, &v, &n, &wide));
    st = from_values(s, pool, v, n, wide, l);
    if (st) sluice_note(s, st, "cannot read labels '%s'", path);
out:
    mem_free(v);
    return st;
}

/* ---- public ---- */

sluice_status sluice_labels_load(sluice *s, const sluice_pool *pool, const char *path, const char *classes,
                                 sluice_labels **out_labels)
{
    sluice_status st = SLUICE_OK;
    sluice_labels *l = NULL;
    TRY_NEW(l, NEW(s, 1, sluice_labels));
    l->fingerprint = pool->fingerprint;
    TRY(path_ends(path, ".csv") ? from_csv(s, pool, path, classes, l) : from_array(s, pool, path, classes, l));
    *out_labels = l, l = NULL;
out:
    sluice_labels_free(l);
    return st;
}

sluice_status sluice_labels_from_array(sluice *s, const sluice_pool *pool, const int32_t *row_class, int classes,
                                       sluice_labels **out_labels)
{
    sluice_status st = SLUICE_OK;
    sluice_labels *l = NULL;
    int64_t n = pool->rows, *v = NULL;
    if (classes < 0 || classes > MAX_CLASSES) FAIL(E_USAGE, "%d classes, 0 to %d are possible", classes, MAX_CLASSES);
    TRY_NEW(l, NEW(s, 1, sluice_labels));
    l->fingerprint = pool->fingerprint;
    TRY(number_names(s, l, classes));
    TRY_NEW(v, RAW(s, n, int64_t));
    for (int64_t i = 0; i < n; i++) v[i] = row_class[i];
    TRY(from_values(s, pool, v, n, false, l));
    *out_labels = l, l = NULL;
out:
    mem_free(v);
    sluice_labels_free(l);
    return st;
}

void sluice_labels_free(sluice_labels *l)
{
    if (!l) return;
    for (int j = 0; l->names && j < l->classes; j++) mem_free(l->names[j]);
    mem_free(l->names), mem_free(l->row), mem_free(l->target);
    mem_free(l);
}

int64_t sluice_labels_count(const sluice_labels *labels) { return labels->count; }
int sluice_labels_classes(const sluice_labels *labels) { return labels->classes; }
