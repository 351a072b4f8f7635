/* bench_top.c - the first k of 10,000,000 scores in the total order, in one call (on a GPU 100,000,000, which lie in its
 * memory, in calls like a scan's, and the k are not sorted there); no rows are skipped, ids are row numbers.
 *
 *     k = 1,000 and 1,000,000      random scores, five values (nearly all ties), ascending
 *
 * The limit is one reading of the scores.  The result is checked against all of them. */
#include "bench.h"

#include "exact.h"

typedef enum data { RANDOM, FEW, ASCENDING } data;

typedef struct job {
    sluice *s;
    float *score; /* [n] */
    const float *device;
    int64_t n;
    bench_top top;
} job;

static void fill(float *p, int64_t n, data kind)
{
    bench_fill(p, n, 7);
    for (int64_t i = 0; i < n && kind == FEW; i++) p[i] = (float)(ex_mix64((uint64_t)i) % 5);
    for (int64_t i = 0; i < n && kind == ASCENDING; i++) p[i] = (float)i * 0x1p-20f;
}

static void top(void *arg)
{
    job *j = arg;
    bench_top_begin(j->s, &j->top);
    bench_top_add(j->s, &j->top, j->device, j->n, 0, 1);
    bench_wait(j->s);
}

static int comes_before(const sluice_entry *a, const sluice_entry *b)
{
    if (a->key != b->key) return a->key > b->key;
    return a->hash != b->hash ? a->hash < b->hash : a->id < b->id;
}

/* The entries ascend in the order, are rows of the pool, and no other row comes before the last of them. */
static void check(const job *j)
{
    const sluice_top_state *top = &j->top.host;
    const sluice_entry *e = top->entries;
    int64_t k = j->n < top->k ? j->n : top->k, before = 0;
    bench_check(top->count == k, "the top is not full");
    for (int64_t i = 0; i < k; i++) {
        bench_check(e[i].key == ex_order_key(j->score[e[i].row]), "the top holds another score");
        bench_check(i == 0 || comes_before(&e[i - 1], &e[i]), "the top is out of order");
    }
    for (int64_t i = 0; i < j->n; i++) {
        sluice_entry row = { .id = (uint64_t)i, .row = i, .key = ex_order_key(j->score[i]) };
        if (row.key < e[k - 1].key) continue;
        row.hash = ex_hash64(top->seed, row.id);
        before += comes_before(&row, &e[k - 1]);
    }
    bench_check(before == k - 1, "the top misses a row");
}

static void one(sluice *s, const bench_options *o, const char *name, data kind, int64_t k)
{
    if (o->only && !strstr(name, o->only)) return;
    job j = { .s = s, .n = o->rows ? o->rows : bench_gpu(s) ? 100000000 : 10000000 };
    size_t bytes = (size_t)j.n * sizeof *j.score;
    j.score = bench_memory(bytes);
    fill(j.score, j.n, kind);
    j.device = bench_on_device(s, j.score, bytes);
    bench_top_new(s, &j.top, k);
    bench_result r = { .name = name, .rows = (double)j.n, .bytes = (double)bytes, .runs = o->runs };
    bench_run(&r, s, j.score, top, &j);
    bench_top_fetch(s, &j.top);
    check(&j);
    bench_line(&r);
    bench_release(s, (void *)(uintptr_t)j.device);
    bench_top_release(s, &j.top);
    free(j.score);
}

int main(int argc, char **argv)
{
    bench_options o = bench_begin(
        argc, argv,
        "top: the first k of all scores; cases random-1k few-1k ascending-1k random-1m few-1m ascending-1m");
    sluice *s = bench_open(&o);
    bench_head(s);
    one(s, &o, "random-1k", RANDOM, 1000);
    one(s, &o, "few-1k", FEW, 1000);
    one(s, &o, "ascending-1k", ASCENDING, 1000);
    one(s, &o, "random-1m", RANDOM, 1000000);
    one(s, &o, "few-1m", FEW, 1000000);
    one(s, &o, "ascending-1m", ASCENDING, 1000000);
    sluice_close(s);
    return 0;
}
