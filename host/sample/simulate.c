/* simulate.c - sluice_simulate(): known labels play the annotator.
 *
 *     for each seed:      start set by hash64(seed, id), the same for every strategy; a head on it (round 0)
 *       for each strategy, for each round:
 *                         the head of the round before picks a batch among rows not labelled yet, the batch gets its
 *                         labels, a head is trained from scratch, the test set judges it
 *     at the end:         a head on all labels, the most that labels can give ("full")
 *
 * Picks come from sluice_select() with that head and those labels, so they are what the program would pick.  The test
 * set is only looked at for curve.csv.  Pools that fit half the memory budget are read once, and stay on the devices where
 * those have room. */
#include "curve.h"
#include "exact.h"
#include "held_pool.h"
#include "learn.h"
#include "picks.h"
#include "report.h"
#include "resident.h"

#include <dirent.h>
#include <math.h> /* NAN */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The files of a.out, beside run.json and picks/. */
typedef enum output { OUT_CURVE, OUT_CLASSES, OUT_TABLE, OUT_TEX, OUT_SUMMARY, OUT_REPORT, OUTPUTS } output;
static const char *const output_name[OUTPUTS] = {
    [OUT_CURVE] = "curve.csv", [OUT_CLASSES] = "classes.csv",  [OUT_TABLE] = "table.md",
    [OUT_TEX] = "table.tex",   [OUT_SUMMARY] = "summary.json", [OUT_REPORT] = "report.html",
};

typedef struct simulation {
    sluice_simulate_args a;
    held_pool pool, test;
    strategy *strategies;
    int strategy_count;
    const char **names;  /* [strategy_count] */
    int32_t *row_class;  /* [rows], -1: no label, never picked */
    int64_t *unlabelled; /* rows without a label, ascending */
    int64_t unlabelled_count;
    curve curve;
    int64_t *balance; /* [points of the curve][classes] labels of each class */
    double *recall;   /* [points of the curve][classes] of the test rows; NaN: the test set has none */
    bool *known;      /* [rows] labelled so far in this run */
    int64_t known_count;
    sluice_options heard; /* the caller's callbacks, while inner calls are kept quiet */
    progress progress;
    int64_t steps;
    int64_t quarantined;
    char *folder_picks, *path[OUTPUTS], *path_run;
    char digest[17];
    json_t *inputs;
    bool made_folder; /* a.out was not there before */
} simulation;

static void simulation_release(simulation *e)
{
    held_pool_release(&e->pool);
    held_pool_release(&e->test);
    mem_free(e->strategies);
    mem_free(e->names);
    mem_free(e->row_class);
    mem_free(e->unlabelled);
    mem_free(e->curve.points);
    mem_free(e->balance);
    mem_free(e->recall);
    mem_free(e->known);
    mem_free(e->folder_picks);
    for (int i = 0; i < OUTPUTS; i++) mem_free(e->path[i]);
    mem_free(e->path_run);
    json_decref(e->inputs);
}

/* ---- inner calls: their bars and lines would drown ours ---- */

static void hush(sluice *s, simulation *e)
{
    e->heard = s->opt;
    s->opt.log = NULL;
    s->opt.progress = NULL;
}

static void unhush(sluice *s, simulation *e) { s->opt = e->heard; }

/* Blocks that a device keeps of the pool make way for anything that finds no room beside them. */
static bool make_way(sluice *s, sluice_status st)
{
    if (st != SLUICE_E_MEMORY || !s->resident) return false;
    resident_end(s);
    s->error[0] = 0;
    return true;
}

static sluice_status train(sluice *s, simulation *e, const sluice_labels *labels, uint64_t seed, sluice_head **out_head)
{
    sluice_train_args a = e->a.train;
    a.size = sizeof a, a.labels = labels, a.seed = seed;
    hush(s, e);
    sluice_status st = sluice_train(s, e->pool.pool, &a, out_head);
    if (make_way(s, st)) st = sluice_train(s, e->pool.pool, &a, out_head);
    unhush(s, e);
    return st;
}

static sluice_status judge(sluice *s, simulation *e, const sluice_head *head, curve_point *out)
{
    sluice_eval_result r;
    hush(s, e);
    sluice_status st = sluice_eval(s, e->test.pool, head, e->a.test_labels, &r);
    if (make_way(s, st)) st = sluice_eval(s, e->test.pool, head, e->a.test_labels, &r);
    unhush(s, e);
    if (st) return st;
    out->accuracy = r.accuracy, out->nll = r.nll, out->macro_f1 = r.macro_f1;
    double *recall = e->recall + (out - e->curve.points) * e->a.labels->classes;
    for (int j = 0; j < e->a.labels->classes; j++) {
        const sluice_class_result *q = j < r.classes ? &r.per_class[j] : NULL;
        recall[j] = q && q->n ? (double)q->correct / (double)q->n : NAN;
    }
    sluice_eval_result_release(&r);
    return SLUICE_OK;
}

static sluice_status choose(sluice *s, simulation *e, const char *strategies, const sluice_head *head,
                            const sluice_labels *labels, uint64_t seed, sluice_picks **out_picks)
{
    sluice_select_args a = { .size = sizeof a,
                             .head = head,
                             .strategies = strategies,
                             .k = e->a.batch,
                             .seed = seed,
                             .labels = labels,
                             .exclude = e->unlabelled,
                             .exclude_count = e->unlabelled_count };
    hush(s, e);
    sluice_status st = sluice_select(s, e->pool.pool, &a, out_picks);
    if (make_way(s, st)) st = sluice_select(s, e->pool.pool, &a, out_picks);
    unhush(s, e);
    if (!st && (*out_picks)->bad.count > e->quarantined) e->quarantined = (*out_picks)->bad.count;
    return st;
}

static sluice_status step(sluice *s, simulation *e) { return progress_step(s, &e->progress, ++e->steps, 0); }

/* ---- labels known so far ---- */

static void labels_release(sluice_labels *l)
{
    mem_free(l->row);
    mem_free(l->target);
    *l = (sluice_labels){ 0 };
}

/* The rows that are known, or all that have a label; class names are borrowed. */
static sluice_status known_labels(sluice *s, const simulation *e, bool all, sluice_labels *out)
{
    sluice_status st = SLUICE_OK;
    const sluice_labels *from = e->a.labels;
    *out = (sluice_labels){ .classes = from->classes, .names = from->names, .fingerprint = from->fingerprint };
    TRY_NEW(out->row, RAW(s, from->count, int64_t));
    TRY_NEW(out->target, RAW(s, from->count, int32_t));
    for (int64_t row = 0; row < e->pool.pool->rows; row++) {
        if (e->row_class[row] < 0 || !(all || e->known[row])) continue;
        out->row[out->count] = row;
        out->target[out->count++] = e->row_class[row];
    }
out:
    if (st) labels_release(out);
    return st;
}

static void count_classes(simulation *e, const sluice_labels *l, curve_point *out)
{
    int64_t *count = e->balance + (out - e->curve.points) * l->classes;
    memset(count, 0, (size_t)l->classes * sizeof *count);
    for (int64_t i = 0; i < l->count; i++) count[l->target[i]]++;
    for (int j = 0; j < l->classes; j++) out->classes_seen += count[j] > 0;
}

static void learn_row(simulation *e, int64_t row)
{
    e->known_count += !e->known[row];
    e->known[row] = true;
}

static void learn_picks(simulation *e, const pick_list *list)
{
    for (int64_t i = 0; i < list->count; i++) learn_row(e, list->picks[i].row);
}

/* The start set: the rows of lowest hash64(seed, id), of all rows or of each class. */
static sluice_status draw_start(sluice *s, simulation *e, uint64_t seed)
{
    sluice_status st = SLUICE_OK;
    const sluice_pool *pool = e->pool.pool;
    const sluice_labels *l = e->a.labels;
    sluice_entry *order = NULL;
    int64_t *drawn = NULL;
    TRY_NEW(order, RAW(s, l->count, sluice_entry));
    TRY_NEW(drawn, NEW(s, l->classes, int64_t));
    for (int64_t i = 0; i < l->count; i++) {
        uint64_t id = pool->ids ? pool->ids[l->row[i]] : (uint64_t)l->row[i];
        order[i] =
            (sluice_entry){ .row = l->row[i], .id = id, .hash = ex_hash64(seed, id), .tag = (uint32_t)l->target[i] };
    }
    entries_sort(order, l->count);
    memset(e->known, 0, (size_t)pool->rows * sizeof *e->known);
    e->known_count = 0;
    for (int64_t i = 0; i < l->count; i++) {
        bool take = e->a.start ? i < e->a.start : drawn[order[i].tag]++ < e->a.start_per_class;
        if (take) learn_row(e, order[i].row);
    }
out:
    mem_free(order);
    mem_free(drawn);
    return st;
}

/* ---- rounds ---- */

/* out: a point of the curve, which says what and where it is. */
static sluice_status train_and_judge(sluice *s, simulation *e, bool all, curve_point *out, sluice_labels *labels,
                                     sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    double began = clock_seconds(), trained;
    TRY(known_labels(s, e, all, labels));
    TRY(train(s, e, labels, out->seed, out_head));
    trained = clock_seconds();
    TRY(judge(s, e, *out_head, out));
    count_classes(e, labels, out);
    out->labels = labels->count;
    out->stage[1] = trained - began, out->stage[2] = clock_seconds() - trained;
    TRY(step(s, e));
out:
    return st;
}

static sluice_status write_picks(sluice *s, simulation *e, const sluice_picks *p, int list, int strategy, uint64_t seed,
                                 int round)
{
    char *path =
        mem_format(s, "%s/%s-%llu-%d.csv", e->folder_picks, e->names[strategy], (unsigned long long)seed, round);
    if (!path) return SLUICE_E_MEMORY;
    sluice_status st = picks_write_csv(s, p, list, path, NULL);
    mem_free(path);
    return st;
}

/* Rounds 1 .. of one strategy; first holds the batches that the head of round 0 picks, one list a strategy. */
static sluice_status run_strategy(sluice *s, simulation *e, int i, int run, const sluice_picks *first,
                                  double first_seconds)
{
    sluice_status st = SLUICE_OK;
    uint64_t seed = e->a.seed + (uint64_t)run;
    sluice_head *head = NULL;
    sluice_labels labels = { 0 };
    sluice_picks *picks = NULL;
    for (int round = 1; round <= e->a.rounds; round++) {
        curve_point *p = curve_at(&e->curve, i, run, round);
        double began = clock_seconds();
        *p = (curve_point){ .strategy = e->names[i], .seed = seed, .round = round };
        if (round > 1) TRY(choose(s, e, e->names[i], head, &labels, seed, &picks));
        const sluice_picks *now = round > 1 ? picks : first;
        int list = round > 1 ? 0 : i;
        learn_picks(e, &now->list[list]);
        TRY(write_picks(s, e, now, list, i, seed, round));
        sluice_picks_free(picks);
        sluice_head_free(head);
        labels_release(&labels);
        picks = NULL, head = NULL;
        p->stage[0] = round > 1 ? clock_seconds() - began : first_seconds;
        TRY(train_and_judge(s, e, false, p, &labels, &head));
        p->seconds = clock_seconds() - began + (round == 1 ? first_seconds : 0);
    }
    log_line(s, SLUICE_INFO, "seed %llu, %s: accuracy %.4f with %lld labels", (unsigned long long)seed, e->names[i],
             curve_at(&e->curve, i, run, e->a.rounds)->accuracy,
             (long long)curve_at(&e->curve, i, run, e->a.rounds)->labels);
out:
    sluice_picks_free(picks);
    sluice_head_free(head);
    labels_release(&labels);
    return st;
}

static void copy_point(simulation *e, const curve_point *from, curve_point *to, const char *strategy)
{
    int64_t classes = e->a.labels->classes, a = from - e->curve.points, b = to - e->curve.points;
    *to = *from;
    to->strategy = strategy;
    memcpy(e->balance + b * classes, e->balance + a * classes, (size_t)classes * sizeof *e->balance);
    memcpy(e->recall + b * classes, e->recall + a * classes, (size_t)classes * sizeof *e->recall);
}

/* Round 0 is the same for all strategies: one head, and one scan for everybody's first batch. */
static sluice_status run_seed(sluice *s, simulation *e, int run)
{
    sluice_status st = SLUICE_OK;
    uint64_t seed = e->a.seed + (uint64_t)run;
    sluice_head *head = NULL;
    sluice_labels start = { 0 };
    sluice_picks *first = NULL;
    curve_point *p = curve_at(&e->curve, 0, run, 0);
    double began = clock_seconds();
    TRY(draw_start(s, e, seed));
    *p = (curve_point){ .strategy = e->names[0], .seed = seed };
    TRY(train_and_judge(s, e, false, p, &start, &head));
    p->seconds = clock_seconds() - began;
    for (int i = 1; i < e->strategy_count; i++) copy_point(e, p, curve_at(&e->curve, i, run, 0), e->names[i]);
    began = clock_seconds();
    if (e->a.rounds > 0) TRY(choose(s, e, e->a.strategies, head, &start, seed, &first));
    double seconds = (clock_seconds() - began) / e->strategy_count;
    for (int i = 0; i < e->strategy_count; i++) {
        memset(e->known, 0, (size_t)e->pool.pool->rows * sizeof *e->known);
        e->known_count = 0;
        for (int64_t j = 0; j < start.count; j++) learn_row(e, start.row[j]);
        TRY(run_strategy(s, e, i, run, first, seconds));
    }
    TRY(curve_write(s, &e->curve, e->path[OUT_CURVE]));
out:
    sluice_head_free(head);
    sluice_picks_free(first);
    labels_release(&start);
    return st;
}

static sluice_status run_full(sluice *s, simulation *e)
{
    sluice_head *head = NULL;
    sluice_labels all = { 0 };
    curve_point *p = curve_full(&e->curve);
    double began = clock_seconds();
    *p = (curve_point){ .strategy = "full", .seed = e->a.seed };
    sluice_status st = train_and_judge(s, e, true, p, &all, &head);
    p->seconds = clock_seconds() - began;
    sluice_head_free(head);
    labels_release(&all);
    return st;
}

/* ---- before and after ---- */

static sluice_status check_args(sluice *s, const simulation *e, const sluice_pool *pool)
{
    const sluice_simulate_args *a = &e->a;
    if (a->labels->fingerprint != pool->fingerprint || a->test_labels->fingerprint != a->test->fingerprint)
        return sluice_fail(s, SLUICE_E_DATA, "the labels belong to another pool");
    if (a->test->width != pool->width)
        return sluice_fail(s, SLUICE_E_SHAPE, "rows of the test set have width %lld, the pool's %lld",
                           (long long)a->test->width, (long long)pool->width);
    if ((a->start > 0) == (a->start_per_class > 0) || a->start < 0 || a->start_per_class < 0)
        return sluice_fail(s, SLUICE_E_USAGE, "one of start and start per class says how many labels to begin with");
    if (a->rounds < 0 || a->seeds < 1 || a->batch < 0 || (a->rounds && !a->batch))
        return sluice_fail(s, SLUICE_E_USAGE, "%d rounds of %lld labels with %d seeds make no sense", a->rounds,
                           (long long)a->batch, a->seeds);
    if (!a->out) return sluice_fail(s, SLUICE_E_USAGE, "a folder for the results is missing");
    if (!a->strategies || !*a->strategies)
        return sluice_fail(s, SLUICE_E_USAGE, "a strategy is missing, for example margin");
    return SLUICE_OK;
}

/* A file that cannot be written must not end hours of work. */
static sluice_status make_folders(sluice *s, simulation *e)
{
    sluice_status st = SLUICE_OK;
    struct stat facts;
    e->made_folder = stat(e->a.out, &facts) != 0;
    TRY(file_make_folder(s, e->a.out));
    TRY(file_make_folder(s, e->folder_picks));
out:
    return st;
}

/* A run that fails leaves no half a result: what it wrote goes, and with it a folder that was not there before. */
static void take_back(simulation *e)
{
    if (!e->made_folder) return;
    DIR *d = opendir(e->folder_picks);
    for (struct dirent *f; d && (f = readdir(d));) unlinkat(dirfd(d), f->d_name, 0);
    if (d) closedir(d);
    rmdir(e->folder_picks);
    for (int i = 0; i < OUTPUTS; i++) unlink(e->path[i]);
    unlink(e->path_run);
    rmdir(e->a.out);
}

static sluice_status set_up(sluice *s, simulation *e, const sluice_pool *pool)
{
    sluice_status st = SLUICE_OK;
    const sluice_labels *l = e->a.labels;
    int64_t points;
    TRY(strategies_parse(s, e->a.strategies, &e->strategies, &e->strategy_count));
    TRY_NEW(e->names, NEW(s, e->strategy_count, const char *));
    for (int i = 0; i < e->strategy_count; i++) e->names[i] = e->strategies[i].text;
    if (__builtin_mul_overflow((int64_t)e->strategy_count * e->a.seeds, (int64_t)e->a.rounds + 1, &points) ||
        points > INT32_MAX)
        FAIL(E_USAGE, "%d strategies, %d seeds and %d rounds are too many", e->strategy_count, e->a.seeds, e->a.rounds);
    e->curve = (curve){ .strategies = e->names,
                        .strategy_count = e->strategy_count,
                        .seeds = e->a.seeds,
                        .rounds = e->a.rounds,
                        .test_rows = e->a.test_labels->count };
    TRY_NEW(e->curve.points, NEW(s, points + 1, curve_point));
    TRY_NEW(e->balance, mem_new(s, points + 1, (size_t)l->classes * sizeof *e->balance));
    TRY_NEW(e->recall, mem_new(s, points + 1, (size_t)l->classes * sizeof *e->recall));
    TRY_NEW(e->known, NEW(s, pool->rows, bool));
    TRY_NEW(e->row_class, RAW(s, pool->rows, int32_t));
    TRY_NEW(e->unlabelled, RAW(s, pool->rows - l->count, int64_t));
    memset(e->row_class, 0xff, (size_t)pool->rows * sizeof *e->row_class);
    for (int64_t i = 0; i < l->count; i++) e->row_class[l->row[i]] = l->target[i];
    for (int64_t row = 0; row < pool->rows; row++)
        if (e->row_class[row] < 0) e->unlabelled[e->unlabelled_count++] = row;
    TRY_NEW(e->folder_picks, mem_format(s, "%s/picks", e->a.out));
    for (int i = 0; i < OUTPUTS; i++) TRY_NEW(e->path[i], mem_format(s, "%s/%s", e->a.out, output_name[i]));
    TRY_NEW(e->path_run, mem_format(s, "%s/run.json", e->a.out));
    progress_begin(&e->progress, "simulate", "rounds", e->a.seeds * (1 + (int64_t)e->strategy_count * e->a.rounds) + 1);
out:
    return st;
}

static json_t *describe_inputs(const sluice *s, const simulation *e, const sluice_pool *pool)
{
    const sluice_simulate_args *a = &e->a;
    const sluice_train_args *t = &a->train;
    json_t *in = json_pack("{s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:i, s:i, s:o}", "pool", manifest_pool(pool),
                           "labels", manifest_labels(a->labels), "test", manifest_pool(a->test), "test_labels",
                           manifest_labels(a->test_labels), "strategies", a->strategies, "start", (json_int_t)a->start,
                           "start_per_class", (json_int_t)a->start_per_class, "batch", (json_int_t)a->batch, "rounds",
                           a->rounds, "seeds", a->seeds, "seed", manifest_seed(a->seed));
    json_t *train = json_pack("{s:s, s:f, s:s, s:s, s:f, s:i, s:i, s:i}", "layers", t->layers ? t->layers : "linear",
                              "l2", t->l2, "class_weights", t->class_weights ? t->class_weights : "none", "optimizer",
                              t->optimizer ? t->optimizer : "adamw", "rate", t->rate, "epochs", t->epochs, "batch",
                              t->batch, "patience", t->patience);
    if (in) json_object_set_new(in, "train", train);
    if (in) json_object_set_new(in, "math", json_string(manifest_math(s)));
    return in;
}

/* outputs NULL: not finished. */
static sluice_status write_run(sluice *s, simulation *e, json_t *outputs, double seconds)
{
    json_t *m = json_pack("{s:s, s:s, s:O, s:o, s:{s:f, s:i}}", "sluice", sluice_version(), "math", manifest_math(s),
                          "inputs", e->inputs, "outputs", outputs ? outputs : json_object(), "run", "seconds", seconds,
                          "threads", s->threads);
    if (m) manifest_place(s, json_object_get(m, "run"));
    if (m && e->a.command) json_object_set_new(m, "command", json_string(e->a.command));
    sluice_status st = manifest_write(s, e->path_run, m);
    json_decref(m);
    return st;
}

static sluice_status write_text(sluice *s, const char *path, const char *text)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    TRY(outfile_open(s, path, true, &f));
    TRY(outfile_write(s, f, text, strlen(text)));
    outfile *whole = f;
    f = NULL;
    TRY(outfile_commit(s, whole));
out:
    outfile_abort(f);
    return st;
}

static report report_of(const simulation *e)
{
    return (report){ .curve = &e->curve,
                     .classes = e->a.labels->classes,
                     .class_names = e->a.labels->names,
                     .balance = e->balance,
                     .recall = e->recall,
                     .title = "Sampling strategies compared",
                     .command = e->a.command };
}

static sluice_status add_output(sluice *s, json_t *outputs, const char *path)
{
    char *text;
    int64_t bytes;
    sluice_status st = file_read(s, path, INT64_MAX, &text, &bytes);
    if (st) return st;
    json_object_set_new(
        outputs, path_base(path),
        json_pack("{s:o, s:I}", "xxh3", manifest_hash(hash_bytes(text, (size_t)bytes, 0)), "bytes", (json_int_t)bytes));
    mem_free(text);
    return SLUICE_OK;
}

/* Everything but curve.csv, which grew on the way. */
static sluice_status write_reports(sluice *s, simulation *e, const char *table)
{
    sluice_status st = SLUICE_OK;
    report r = report_of(e);
    char *tex = NULL, *summary = NULL, *html = NULL;
    TRY_NEW(tex, report_tex(s, &e->curve));
    TRY_NEW(summary, report_json(s, &r));
    TRY_NEW(html, report_html(s, &r));
    TRY(report_classes(s, &r, e->path[OUT_CLASSES]));
    TRY(write_text(s, e->path[OUT_TABLE], table));
    TRY(write_text(s, e->path[OUT_TEX], tex));
    TRY(write_text(s, e->path[OUT_SUMMARY], summary));
    TRY(write_text(s, e->path[OUT_REPORT], html));
out:
    mem_free(tex), mem_free(summary), mem_free(html);
    return st;
}

static sluice_status finish(sluice *s, simulation *e, double seconds, char **out_table)
{
    sluice_status st = SLUICE_OK;
    json_t *outputs = json_object();
    char *table;
    TRY_NEW(table, curve_table(s, &e->curve));
    TRY(curve_write(s, &e->curve, e->path[OUT_CURVE]));
    TRY(write_reports(s, e, table));
    for (int i = 0; i < OUTPUTS; i++) TRY(add_output(s, outputs, e->path[i]));
    json_t *given = outputs;
    outputs = NULL;
    TRY(write_run(s, e, given, seconds));
    if (e->quarantined)
        log_line(s, SLUICE_WARNING, "%lld rows hold a NaN or an infinity and were not picked",
                 (long long)e->quarantined);
    *out_table = table, table = NULL;
out:
    mem_free(table);
    json_decref(outputs);
    return st;
}

static sluice_status run(sluice *s, simulation *e, const sluice_pool *pool, char **out_table)
{
    sluice_status st = SLUICE_OK;
    bool done = false;
    int64_t bytes;
    double began = clock_seconds();
    if (!e->a.labels || !e->a.test || !e->a.test_labels)
        FAIL(E_USAGE, "labels of the pool, a test set and its labels are needed");
    TRY(check_args(s, e, pool));
    TRY(set_up(s, e, pool));
    e->inputs = describe_inputs(s, e, pool);
    TRY(manifest_digest(s, e->inputs, e->digest));
    json_object_set_new(e->inputs, "hash", json_string(e->digest));
    manifest_output outputs[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++) outputs[i] = (manifest_output){ e->path[i], true };
    TRY(manifest_check(s, e->path_run, e->digest, outputs, OUTPUTS, e->a.force, &done));
    if (done) {
        log_line(s, SLUICE_INFO, "'%s' is there already, made from the same inputs", e->a.out);
        st = file_read(s, e->path[OUT_TABLE], INT64_MAX, out_table, &bytes);
        goto out;
    }
    TRY(make_folders(s, e));
    TRY(write_run(s, e, NULL, 0));
    TRY(held_pool_init(s, &e->pool, pool, s->mem_bytes / 2));
    TRY(held_pool_init(s, &e->test, e->a.test, s->mem_bytes / 4));
    TRY(resident_begin(s, e->pool.pool));
    for (int i = 0; i < e->a.seeds; i++) TRY(run_seed(s, e, i));
    TRY(run_full(s, e));
    progress_end(s, &e->progress);
    TRY(finish(s, e, clock_seconds() - began, out_table));
out:
    if (st) take_back(e);
    return st;
}

sluice_status sluice_simulate(sluice *s, const sluice_pool *pool, const sluice_simulate_args *a)
{
    fp_state fp = fp_enter();
    simulation e = { 0 };
    char *table = NULL;
    memcpy(&e.a, a, a->size < sizeof e.a ? a->size : sizeof e.a);
    s->error[0] = 0;
    sluice_status st = run(s, &e, pool, &table);
    if (!st && e.a.out_table) *e.a.out_table = table, table = NULL;
    mem_free(table);
    resident_end(s);
    simulation_release(&e);
    fp_leave(fp);
    return st ? sluice_note(s, st, "cannot simulate") : SLUICE_OK;
}
