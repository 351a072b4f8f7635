/* fuzz_state.c - parts and checkpoints: the file around a state, and the state in it.  What is accepted tells of rows of the
 * pool alone, and packed again it merges into the same bytes. */
#include "fuzz.h"
#include "identity.h"
#include "pack.h"
#include "scan_state.h"

enum { ROWS = 600, CLASSES = 3, TOPS = 2, K = 20 };

static sluice_pool *pool_of(sluice *s)
{
    static sluice_pool *pool;
    static float x[ROWS];
    if (!pool) MUST(sluice_pool_from_rows(s, x, SLUICE_F32, ROWS, 1, sizeof *x, NULL, &pool) == SLUICE_OK);
    return pool;
}

static void start(sluice *s, candidates tops[TOPS], scan_state *v)
{
    pick_rules plain = { .k = K, .seed = 1 }, balanced = { .k = K, .seed = 1, .classes = CLASSES };
    MUST(candidates_init(s, &tops[0], &plain) == SLUICE_OK && candidates_init(s, &tops[1], &balanced) == SLUICE_OK);
    MUST(scan_state_init(s, v, ROWS, TOPS, tops) == SLUICE_OK);
}

static void end(candidates tops[TOPS], scan_state *v)
{
    for (int t = 0; t < TOPS; t++) candidates_release(&tops[t]);
    scan_state_release(v);
}

static void must_be_rows(const scan_state *v)
{
    int64_t listed = v->bad.count < QUARANTINE_LISTED ? v->bad.count : QUARANTINE_LISTED;
    MUST(spans_rows(&v->done) <= ROWS && v->bad.count <= ROWS);
    for (int64_t i = 0; i < listed; i++) MUST(spans_hold(&v->done, v->bad.row[i]));
    for (int t = 0; t < TOPS; t++)
        for (int64_t i = 0; i < v->tops[t].top.count; i++) MUST(spans_hold(&v->done, v->tops[t].top.entries[i].row));
}

/* Packed, merged into nothing and packed again: the same. */
static void must_come_back(sluice *s, scan_state *v)
{
    void *first, *second;
    size_t n, m;
    candidates tops[TOPS];
    scan_state again;
    start(s, tops, &again);
    MUST(scan_state_pack(s, v, &first, &n) == SLUICE_OK);
    MUST(scan_state_merge(s, &again, pool_of(s), NULL, first, n) == SLUICE_OK);
    MUST(scan_state_pack(s, &again, &second, &m) == SLUICE_OK && n == m && memcmp(first, second, n) == 0);
    mem_free(first), mem_free(second);
    end(tops, &again);
}

static void try_state(sluice *s, const uint8_t *data, size_t size)
{
    candidates tops[TOPS];
    scan_state v;
    start(s, tops, &v);
    sluice_status st = scan_state_merge(s, &v, pool_of(s), NULL, data, size);
    if (st) must_explain(s, st);
    else must_be_rows(&v), must_come_back(s, &v);
    end(tops, &v);
}

/* With the checksum that its bytes have, so that what is behind it is reached. */
static void mend(uint8_t *data, size_t size)
{
    packer p = { .data = data, .size = size, .used = size - 8 };
    put_i64(&p, (int64_t)hash_bytes(data, size - 8, 0));
}

static void try_file(sluice *s, const uint8_t *data, size_t size)
{
    sealed f = { 0 };
    sluice_status st = sealed_read(s, fuzz_file("f.s", data, size), &f);
    if (st) {
        must_explain(s, st);
        MUST(!f.identity && !f.file);
        return;
    }
    json_t *mine = json_pack("{s:s}", "task", "select");
    st = identity_check(s, "f.s", f.identity, mine);
    if (st) must_explain(s, st);
    try_state(s, f.body, f.bytes);
    json_decref(mine);
    sealed_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    try_state(s, data, size);
    try_file(s, data, size);
    if (size < 8) return 0;
    uint8_t *copy = malloc(size);
    MUST(copy);
    memcpy(copy, data, size);
    mend(copy, size);
    try_file(s, copy, size);
    free(copy);
    return 0;
}
