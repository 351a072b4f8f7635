/* unit_simulate.c - a simulation replayed by hand through train, select and eval: the same picks, the same curve. */
#include "sampling.h"
#include "curve.h"
#include "held_pool.h"

#include <unistd.h>

enum { N = 600, M = 300, D = 8, C = 3, START = 12, BATCH = 10, ROUNDS = 2, SEEDS = 2 };

static sluice *s;
static float x[N * D], y[M * D];
static int32_t x_class[N], y_class[M];
static uint64_t ids[N];

/* Overlapping blobs; every tenth row has no label. */
static void set_up(void)
{
    fill_normal(x, N * D, 1), fill_normal(y, M * D, 2);
    for (int i = 0; i < N; i++) {
        x_class[i] = i % 10 == 9 ? -1 : i % C;
        x[i * D + i % C] += 2;
        ids[i] = ref_mix((uint64_t)i);
    }
    for (int i = 0; i < M; i++) y_class[i] = i % C, y[i * D + i % C] += 2;
}

typedef struct stage {
    sluice_pool *pool, *test;
    sluice_labels *labels, *test_labels;
} stage;

static stage stage_new(sluice_pool *pool)
{
    stage t = { .pool = pool, .test = memory_pool(s, y, SLUICE_F32, M, D, NULL) };
    CHECK_OK(s, sluice_labels_from_array(s, t.pool, x_class, C, &t.labels));
    CHECK_OK(s, sluice_labels_from_array(s, t.test, y_class, C, &t.test_labels));
    return t;
}

static void stage_free(stage *t)
{
    sluice_pool_free(t->pool), sluice_pool_free(t->test);
    sluice_labels_free(t->labels), sluice_labels_free(t->test_labels);
}

static sluice_simulate_args args_of(const stage *t, const char *out)
{
    return (sluice_simulate_args){ .size = sizeof(sluice_simulate_args),
                                   .labels = t->labels,
                                   .test = t->test,
                                   .test_labels = t->test_labels,
                                   .strategies = "random,margin",
                                   .start = START,
                                   .batch = BATCH,
                                   .rounds = ROUNDS,
                                   .seeds = SEEDS,
                                   .seed = 5,
                                   .train = { .l2 = 0.1 },
                                   .out = out };
}

static char *slurp(const char *path)
{
    char *text = NULL;
    int64_t bytes;
    CHECK_OK(s, file_read(s, path, INT64_MAX, &text, &bytes));
    return text ? text : calloc(1, 1);
}

/* ---- replay ---- */

typedef struct known {
    int32_t row_class[N];
    int64_t count;
} known;

static void start_set(known *k, uint64_t seed)
{
    for (int i = 0; i < N; i++) k->row_class[i] = -1;
    for (k->count = 0; k->count < START; k->count++) {
        int best = -1;
        for (int i = 0; i < N; i++)
            if (x_class[i] >= 0 && k->row_class[i] < 0 &&
                (best < 0 || ref_hash(seed, ids[i]) < ref_hash(seed, ids[best])))
                best = i;
        k->row_class[best] = x_class[best];
    }
}

/* The picks file holds exactly these picks; its rows become known. */
static void check_picks_file(const sluice_picks *p, const char *folder, const char *strategy, uint64_t seed, int round,
                             known *k)
{
    char name[128];
    snprintf(name, sizeof name, "%s/picks/%s-%llu-%d.csv", folder, strategy, (unsigned long long)seed, round);
    char *csv = slurp(test_path(name)), *line = strchr(csv, '\n');
    for (int i = 0; i < BATCH; i++) {
        const sluice_pick *q = &sluice_picks_get(p, 0)[i];
        long long rank = 0, row = -1;
        unsigned long long id = 0;
        double score = 0;
        int shard = 0;
        if (line) sscanf(line + 1, "%lld,%llu,%n", &rank, &id, &shard);
        const char *rest = shard ? strchr(line + 1 + shard, ',') : NULL;
        CHECK(rest && sscanf(rest, ",%lld,%lf", &row, &score) == 2, "'%.60s'", line ? line : "");
        CHECK(rank == i + 1 && row == q->row && id == q->id64 && (float)score == q->score,
              "%s rank %d: row %lld, select picks %lld", name, i + 1, row, (long long)q->row);
        CHECK(x_class[q->row] >= 0 && k->row_class[q->row] < 0, "row %lld cannot be picked", (long long)q->row);
        k->row_class[q->row] = x_class[q->row];
        line = line ? strchr(line + 1, '\n') : NULL;
    }
    CHECK(line && line[1] == 0, "%s has more lines", name);
    k->count += BATCH;
    mem_free(csv);
}

/* A line of the curve: the head that is trained on what is known, judged by eval. */
static sluice_head *check_point(const stage *t, const char *csv, const char *strategy, uint64_t seed, int round,
                                const known *k)
{
    char want[256];
    sluice_labels *labels;
    sluice_head *head = NULL;
    sluice_eval_result r;
    CHECK_OK(s, sluice_labels_from_array(s, t->pool, k->row_class, C, &labels));
    sluice_train_args a = { .size = sizeof a, .labels = labels, .l2 = 0.1, .seed = seed };
    CHECK_OK(s, sluice_train(s, t->pool, &a, &head));
    CHECK_OK(s, sluice_eval(s, t->test, head, t->test_labels, &r));
    snprintf(want, sizeof want, "\n%s,%llu,%d,%lld,%.6f,%.6f,%.6f,3,", strategy, (unsigned long long)seed, round,
             (long long)k->count, r.accuracy, r.nll, r.macro_f1);
    CHECK(strstr(csv, want) != NULL, "the curve has no line '%s'", want + 1);
    sluice_eval_result_release(&r);
    sluice_labels_free(labels);
    return head;
}

static void replay(const stage *t, const char *folder, const char *strategy, uint64_t seed)
{
    char name[128];
    snprintf(name, sizeof name, "%s/curve.csv", folder);
    char *csv = slurp(test_path(name));
    known *k = malloc(sizeof *k);
    int64_t unlabelled[N / 10];
    for (int i = 0; i < N / 10; i++) unlabelled[i] = i * 10 + 9;
    start_set(k, seed);
    sluice_head *head = check_point(t, csv, strategy, seed, 0, k);
    for (int round = 1; round <= ROUNDS; round++) {
        sluice_labels *labels;
        CHECK_OK(s, sluice_labels_from_array(s, t->pool, k->row_class, C, &labels));
        sluice_picks *p = pick(s, t->pool,
                               (sluice_select_args){ .head = head,
                                                     .strategies = strategy,
                                                     .k = BATCH,
                                                     .seed = seed,
                                                     .labels = labels,
                                                     .exclude = unlabelled,
                                                     .exclude_count = N / 10 });
        check_picks_file(p, folder, strategy, seed, round, k);
        sluice_picks_free(p), sluice_labels_free(labels), sluice_head_free(head);
        head = check_point(t, csv, strategy, seed, round, k);
    }
    sluice_head_free(head);
    free(k);
    mem_free(csv);
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void replayed(void)
{
    if (!case_is("replayed by hand")) return;
    stage t = stage_new(memory_pool(s, x, SLUICE_F32, N, D, ids));
    char *table = NULL;
    sluice_simulate_args a = args_of(&t, test_path("sim"));
    a.out_table = &table, a.command = "sluice simulate ...";
    CHECK_OK(s, sluice_simulate(s, t.pool, &a));
    for (uint64_t seed = 5; seed < 5 + SEEDS; seed++) {
        replay(&t, "sim", "random", seed);
        replay(&t, "sim", "margin", seed);
    }
    char *csv = slurp(test_path("sim/curve.csv")), *md = slurp(test_path("sim/table.md")),
         *run = slurp(test_path("sim/run.json"));
    CHECK(lines(csv) == 1 + 2 * SEEDS * (ROUNDS + 1) + 1, "%d lines", lines(csv));
    CHECK(strncmp(csv, "strategy,seed,round,labels,accuracy,nll,macro_f1,classes_seen,seconds\n", 70) == 0, "'%.80s'",
          csv);
    CHECK(strstr(csv, "\nfull,5,0,540,") != NULL, "no line of all labels");
    CHECK(table && strcmp(table, md) == 0, "the table differs from table.md");
    CHECK(strstr(md, "| full: 540") && strstr(md, "| labels") && strstr(md, " ± ") && strstr(md, "| 32 "), "%s", md);
    CHECK(strstr(run, "\"command\": \"sluice simulate ...\"") != NULL, "%s", run);
    mem_free(csv), mem_free(md), mem_free(run), sluice_free(table);
    stage_free(&t);
}

/* All of curve.csv but the seconds. */
static char *curve_without_seconds(const char *name)
{
    char *csv = slurp(test_path(name)), *to = csv;
    for (char *line = csv; *line;) {
        char *end = strchr(line, '\n'), *comma = end;
        while (*comma != ',') comma--;
        memmove(to, line, (size_t)(comma - line)), to += comma - line;
        *to++ = '\n';
        line = end + 1;
    }
    *to = 0;
    return csv;
}

/* Read from disk, kept in memory, too large to keep: the same curve. */
static void from_files(void)
{
    if (!case_is("from files")) return;
    char id_text[N * 24] = "";
    for (int i = 0; i < N; i++) snprintf(id_text + strlen(id_text), 24, "%llu\n", (unsigned long long)ids[i]);
    write_npy(test_path("pool.npy"), "<f4", x, N, D, 4);
    write_file(test_path("ids.txt"), id_text, strlen(id_text));
    char *curve[3];
    for (int way = 0; way < 3; way++) {
        char out[16], name[32];
        size_t budget = s->mem_bytes;
        sluice_pool *pool;
        if (way == 0) pool = memory_pool(s, x, SLUICE_F32, N, D, ids);
        else
            CHECK_OK(s, sluice_pool_open(s,
                                         &(sluice_pool_args){ .size = sizeof(sluice_pool_args),
                                                              .path_count = 1,
                                                              .paths = (const char *[]){ test_path("pool.npy") },
                                                              .ids = test_path("ids.txt") },
                                         &pool));
        if (way == 2) s->mem_bytes = 8192;
        stage t = stage_new(pool);
        snprintf(out, sizeof out, "way%d", way), snprintf(name, sizeof name, "way%d/curve.csv", way);
        sluice_simulate_args a = args_of(&t, test_path(out));
        CHECK_OK(s, sluice_simulate(s, t.pool, &a));
        curve[way] = curve_without_seconds(name);
        s->mem_bytes = budget;
        stage_free(&t);
    }
    CHECK(strcmp(curve[0], curve[1]) == 0, "%s%s", curve[0], curve[1]);
    CHECK(strcmp(curve[0], curve[2]) == 0, "%s%s", curve[0], curve[2]);
    for (int way = 0; way < 3; way++) mem_free(curve[way]);
}

static void held(void)
{
    if (!case_is("held pool")) return;
    write_npy(test_path("held.npy"), "<f4", x, N, D, 4);
    sluice_pool *pool = file_pool(s, (const char *[]){ test_path("held.npy") }, 1);
    held_pool h;
    CHECK_OK(s, held_pool_init(s, &h, pool, N * D * 4));
    CHECK(h.pool == &h.copy && h.pool->shards[0].memory, "not held");
    CHECK_SAME(h.pool->shards[0].memory, x, sizeof x, "other bytes");
    held_pool_release(&h);
    CHECK_OK(s, held_pool_init(s, &h, pool, N * D * 4 - 1));
    CHECK(h.pool == pool, "held above the limit");
    held_pool_release(&h);
    sluice_pool_free(pool);
}

static void start_per_class(void)
{
    if (!case_is("start per class")) return;
    stage t = stage_new(memory_pool(s, x, SLUICE_F32, N, D, ids));
    sluice_simulate_args a = args_of(&t, test_path("per-class"));
    a.start = 0, a.start_per_class = 2, a.rounds = 0, a.seeds = 1;
    CHECK_OK(s, sluice_simulate(s, t.pool, &a));
    char *csv = slurp(test_path("per-class/curve.csv"));
    CHECK(strstr(csv, "\nmargin,5,0,6,") && lines(csv) == 4, "%s", csv);

    /* The two of each class with the lowest hash, trained and judged by hand. */
    known *k = malloc(sizeof *k);
    for (int i = 0; i < N; i++) k->row_class[i] = -1;
    for (int j = 0; j < 2 * C; j++) {
        int best = -1;
        for (int i = 0; i < N; i++)
            if (x_class[i] == j % C && k->row_class[i] < 0 &&
                (best < 0 || ref_hash(5, ids[i]) < ref_hash(5, ids[best])))
                best = i;
        k->row_class[best] = j % C;
    }
    k->count = 2 * C;
    sluice_head_free(check_point(&t, csv, "margin", 5, 0, k));
    free(k);
    mem_free(csv);
    stage_free(&t);
}

static void again(void)
{
    if (!case_is("results that are there")) return;
    stage t = stage_new(memory_pool(s, x, SLUICE_F32, N, D, ids));
    char *first = NULL, *second = NULL;
    sluice_simulate_args a = args_of(&t, test_path("again"));
    a.rounds = 1, a.seeds = 1, a.out_table = &first;
    CHECK_OK(s, sluice_simulate(s, t.pool, &a));
    unlink(test_path("again/picks/margin-5-1.csv"));
    a.out_table = &second;
    CHECK_OK(s, sluice_simulate(s, t.pool, &a));
    CHECK(first && second && strcmp(first, second) == 0, "another table");
    CHECK(access(test_path("again/picks/margin-5-1.csv"), F_OK) != 0, "finished work is done again");
    sluice_free(second);
    a.batch = 11, a.out_table = NULL;
    CHECK(sluice_simulate(s, t.pool, &a) == SLUICE_E_WRITE, "other work over it");
    CHECK(strstr(sluice_error(s), "again") && strstr(sluice_error(s), "--force"), "%s", sluice_error(s));
    a.force = 1;
    CHECK_OK(s, sluice_simulate(s, t.pool, &a));
    sluice_free(first);
    stage_free(&t);
}

static void fails(const stage *t, sluice_simulate_args a, sluice_status status, const char *want)
{
    sluice_status st = sluice_simulate(s, t->pool, &a);
    CHECK(st == status && strstr(sluice_error(s), want), "%s: '%s' does not say '%s'", sluice_status_text(st),
          sluice_error(s), want);
}

static void failures(void)
{
    if (!case_is("failures")) return;
    stage t = stage_new(memory_pool(s, x, SLUICE_F32, N, D, ids));
    sluice_pool *narrow = memory_pool(s, y, SLUICE_F32, M, D / 2, NULL);
    sluice_labels *narrow_labels;
    CHECK_OK(s, sluice_labels_from_array(s, narrow, y_class, C, &narrow_labels));
    sluice_simulate_args ok = args_of(&t, test_path("failures")), a = ok;
    a.start_per_class = 1;
    fails(&t, a, SLUICE_E_USAGE, "start");
    a = ok, a.start = 0, a.rounds = 0, a.batch = 0;
    fails(&t, a, SLUICE_E_USAGE, "0 labels");
    a = ok, a.seeds = 0;
    fails(&t, a, SLUICE_E_USAGE, "0 seeds");
    a = ok, a.strategies = "margin,unsure";
    fails(&t, a, SLUICE_E_USAGE, "'unsure'");
    a = ok, a.test = narrow, a.test_labels = narrow_labels;
    fails(&t, a, SLUICE_E_SHAPE, "width 4");
    a = ok, a.test_labels = t.labels;
    fails(&t, a, SLUICE_E_DATA, "another pool");
    a = ok, a.labels = NULL;
    fails(&t, a, SLUICE_E_USAGE, "labels");
    a = ok, a.out = test_path("missing/failures");
    fails(&t, a, SLUICE_E_WRITE, "missing/failures");
    CHECK(access(test_path("failures"), F_OK) != 0, "a folder is left behind");
    sluice_labels_free(narrow_labels), sluice_pool_free(narrow);
    stage_free(&t);
}

static void needs(void)
{
    if (!case_is("labels that random needs")) return;
    static const int64_t labels[] = { 100, 200, 400 };
    static const double accuracy[] = { 0.5, 0.7, 0.8 };
    static const struct {
        double wanted;
        const char *text;
    } want[] = {
        { 0.5, "100" },  { 0.4, "<100" }, { 0.6, "150" },   { 0.7, "200" },
        { 0.75, "300" }, { 0.8, "400" },  { 0.81, ">400" },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char got[32];
        curve_needs(labels, accuracy, 3, want[i].wanted, got);
        CHECK(strcmp(got, want[i].text) == 0, "%g: %s, not %s", want[i].wanted, got, want[i].text);
    }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    s = tier_open(0, 2);
    set_up();
    replayed();
    from_files();
    held();
    start_per_class();
    again();
    failures();
    needs();
    sluice_close(s);
    return test_end();
}
