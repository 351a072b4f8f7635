/* fault_sample.c - selecting, writing, scoring and simulating while the n-th allocation fails: E_MEMORY with a message,
 * no picks, no file, nothing leaked (the address sanitizer watches). */
#include "failing.h"
#include "sampling.h"

#include <unistd.h>

enum { N = 200, D = 3, C = 3 };
static float x[N * D];
static int32_t target[N], group[N];
static sluice_pool *pool;
static sluice_labels *labels;
static sluice_head *head;
static sluice_picks *picks; /* good ones */

static sluice_status select_by(sluice *s, sluice_select_args a)
{
    sluice_picks *p = NULL;
    a.size = sizeof a, a.k = 20;
    sluice_status st = sluice_select(s, pool, &a, &p);
    CHECK(!st == !!p, "status %d and picks %p", st, (void *)p);
    sluice_picks_free(p);
    return st;
}

static sluice_status scan(sluice *s)
{
    return select_by(s, (sluice_select_args){ .head = head, .strategies = "margin,power-entropy,random" });
}
static sluice_status draw(sluice *s) { return select_by(s, (sluice_select_args){ .strategies = "random" }); }
static sluice_status probs(sluice *s)
{
    return select_by(s, (sluice_select_args){ .probs = pool, .strategies = "margin", .max_bad = 1 });
}
static sluice_status mix(sluice *s)
{
    return select_by(s,
                     (sluice_select_args){ .head = head, .mix = "margin:1,random:1", .group = group, .per_group = 2 });
}
static sluice_status balance(sluice *s)
{
    return select_by(
        s, (sluice_select_args){ .head = head, .strategies = "margin", .group = group, .per_group = 2, .balance = 1 });
}

static sluice_status write_to(sluice *s, const char *name, const char *manifest)
{
    char path[512], beside[512];
    snprintf(path, sizeof path, "%s", test_path(name)), snprintf(beside, sizeof beside, "%s", test_path(manifest));
    unlink(path), unlink(beside);
    sluice_status st = sluice_picks_write(s, picks, path, 0);
    CHECK(!st == !access(path, F_OK) && !st == !access(beside, F_OK), "status %d, the files are%s there", st,
          access(path, F_OK) ? " not" : "");
    return st;
}
static sluice_status write_csv(sluice *s) { return write_to(s, "p.csv", "p.manifest.json"); }
static sluice_status write_npy_ids(sluice *s) { return write_to(s, "q.npy", "q.manifest.json"); }

static sluice_status score(sluice *s)
{
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("scores.npy"));
    unlink(path), unlink(test_path("scores.manifest.json"));
    sluice_score_args a = { .size = sizeof a, .head = head, .scores = "entropy,logits,prediction", .out = path };
    sluice_status st = sluice_score(s, pool, &a);
    CHECK(!st == !access(path, F_OK), "status %d, and the file is%s there", st, access(path, F_OK) ? " not" : "");
    return st;
}

/* Parts, and scores that are kept after every block. */
static char part_path[2][512];

static sluice_status part(sluice *s, int i)
{
    sluice_picks *p = NULL;
    sluice_select_args a = {
        .size = sizeof a, .head = head, .strategies = "margin,random", .k = 20, .shard = i, .shards = 2
    };
    a.out = part_path[i], a.note = "a note", a.force = 1;
    sluice_status st = sluice_select(s, pool, &a, &p);
    sluice_picks_free(p);
    return st;
}
static sluice_status first_part(sluice *s)
{
    unlink(part_path[0]);
    sluice_status st = part(s, 0);
    CHECK(!st == !access(part_path[0], F_OK), "status %d, and the part is%s there", st,
          access(part_path[0], F_OK) ? " not" : "");
    return st;
}

static sluice_status merge(sluice *s)
{
    const char *const parts[] = { part_path[1], part_path[0] };
    sluice_picks *p = NULL;
    sluice_select_args a = { .size = sizeof a, .head = head };
    sluice_status st = sluice_merge(s, pool, parts, 2, &a, &p);
    CHECK(!st == !!p, "status %d and picks %p", st, (void *)p);
    sluice_picks_free(p);
    return st;
}

static sluice_status kept_score(sluice *s)
{
    char path[512], folder[512];
    snprintf(path, sizeof path, "%s", test_path("kept.npy"));
    snprintf(folder, sizeof folder, "%s", test_path("kept"));
    unlink(path), unlink(test_path("kept.manifest.json"));
    sluice_score_args a = { .size = sizeof a, .head = head, .scores = "entropy", .out = path };
    a.checkpoint = folder, a.checkpoint_s = 1e-9, a.fresh = 1;
    sluice_status st = sluice_score(s, pool, &a);
    CHECK(!st == !access(path, F_OK), "status %d, and the file is%s there", st, access(path, F_OK) ? " not" : "");
    CHECK(st || access(folder, F_OK), "the checkpoint is still there");
    return st;
}

static sluice_status simulate(sluice *s)
{
    char *table = NULL;
    sluice_simulate_args a = { .size = sizeof a,
                               .labels = labels,
                               .test = pool,
                               .test_labels = labels,
                               .start = 20,
                               .strategies = "random,margin",
                               .batch = 10,
                               .rounds = 1,
                               .seeds = 1,
                               .force = 1,
                               .train.l2 = 0.1,
                               .out = test_path("sim"),
                               .out_table = &table };
    sluice_status st = sluice_simulate(s, pool, &a);
    CHECK(!st == !!table, "status %d and table %p", st, (void *)table);
    sluice_free(table);
    return st;
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    fill_normal(x, N * D, 1);
    for (int i = 0; i < N; i++) target[i] = i % C, group[i] = i % 50 - 1, x[i * D + i % C] += 2;
    uint64_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = ref_mix((uint64_t)i);
    pool = memory_pool(s, x, SLUICE_F32, N, D, ids);
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &labels));
    head = test_head(s, D, C, 1, 3);
    head->train_ids = mem_new(s, 1, sizeof *head->train_ids);
    head->train_ids[0] = ids[7], head->train_count = 1, head->pool_fingerprint = pool->fingerprint;
    picks = pick(s, pool, (sluice_select_args){ .head = head, .strategies = "margin", .k = 20 });
    each_fails(s, "select by a scan", scan);
    each_fails(s, "select by hashes", draw);
    each_fails(s, "select from probabilities", probs);
    each_fails(s, "mix with groups", mix);
    each_fails(s, "balance with groups", balance);
    each_fails(s, "write csv", write_csv);
    each_fails(s, "write npy", write_npy_ids);
    each_fails(s, "score", score);
    for (int i = 0; i < 2; i++) {
        snprintf(part_path[i], sizeof part_path[i], "%s", test_path(i ? "1.s" : "0.s"));
        CHECK_OK(s, part(s, i));
    }
    each_fails(s, "a part", first_part);
    each_fails(s, "merge", merge);
    each_fails(s, "score with checkpoints", kept_score);
    each_fails(s, "simulate", simulate);
    sluice_picks_free(picks), sluice_head_free(head), sluice_labels_free(labels), sluice_pool_free(pool);
    sluice_close(s);
    return test_end();
}
