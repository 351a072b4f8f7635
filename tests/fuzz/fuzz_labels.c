/* fuzz_labels.c - labels and groups of a pool with five ids; the first byte chooses whether class names are given. */
#include "fuzz.h"

static sluice_pool *five(sluice *s)
{
    static sluice_pool *p; /* lives as long as the process */
    static float rows[5];
    static const uint64_t ids[5] = { 0, 7, 2, 30, 4 };
    if (!p) MUST(sluice_pool_from_rows(s, rows, SLUICE_F32, 5, 1, 4, ids, &p) == SLUICE_OK);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    sluice_pool *p = five(s);
    sluice_labels *l = NULL;
    int32_t *group = NULL;
    int64_t *rows = NULL, n = 0;
    if (!size) return 0;
    const char *path = fuzz_file("l.csv", data + 1, size - 1);
    const char *classes = data[0] & 1 ? fuzz_file("classes.txt", "cat\ndog\n1\n", 10) : NULL;
    sluice_status st = sluice_labels_load(s, p, path, classes, &l);
    if (st) must_explain(s, st);
    for (int64_t i = 0; l && i < l->count; i++) {
        MUST(l->row[i] >= 0 && l->row[i] < 5 && (!i || l->row[i - 1] < l->row[i]));
        MUST(l->target[i] >= 0 && l->target[i] < l->classes && l->names[l->target[i]][0]);
    }
    sluice_labels_free(l);
    st = groups_load(s, p, path, &group);
    if (st) must_explain(s, st);
    for (int i = 0; group && i < 5; i++) MUST(group[i] >= -1 && group[i] < 5);
    mem_free(group);
    st = rows_load(s, p, path, &rows, &n);
    if (st) must_explain(s, st);
    for (int64_t i = 0; rows && i < n; i++) MUST(rows[i] >= 0 && rows[i] < 5 && (!i || rows[i - 1] < rows[i]));
    mem_free(rows);
    return 0;
}
