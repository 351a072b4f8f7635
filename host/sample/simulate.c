/* simulate.c - sluice_simulate(): known labels play the annotator.  Here: what goes in, which files come out; rounds.c has
 * what happens between, resume.c what a killed run leaves.
 *
 * Pools that fit half the memory budget are read once, and stay on the devices where those have room. */
#include "page.h"
#include "report.h"
#include "resident.h"
#include "simulation.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const output_name[OUTPUTS] = {
    [OUT_CURVE] = "curve.csv", [OUT_CLASSES] = "classes.csv",  [OUT_TABLE] = "table.md",
    [OUT_TEX] = "table.tex",   [OUT_SUMMARY] = "summary.json", [OUT_REPORT] = "report.html",
};

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
    mem_free(e->folder_rounds);
    for (int i = 0; i < OUTPUTS; i++) mem_free(e->path[i]);
    mem_free(e->path_run);
    json_decref(e->inputs);
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
    if ((a->start > 0 && a->start_per_class > 0) || a->start < 0 || a->start_per_class < 0)
        return sluice_fail(s, SLUICE_E_USAGE, "one of start and start per class says how many labels to begin with");
    if (a->rounds < 0 || a->seeds < 1 || a->batch < 0 || (!a->batch && (a->rounds || e->cold)))
        return sluice_fail(s, SLUICE_E_USAGE, "cannot simulate %d rounds of %lld labels with %d seeds", a->rounds,
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
    TRY(file_make_folder(s, e->folder_rounds));
out:
    return st;
}

/* A run that fails before its first round ends leaves nothing: what it wrote goes, and with it a folder that was not there
 * before.  Finished rounds stay for the next start. */
static void take_back(simulation *e)
{
    if (!e->made_folder || e->finished) return;
    folder_clear(e->folder_rounds, "");
    rmdir(e->folder_rounds);
    folder_clear(e->folder_picks, "");
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
                        .test_rows = e->a.test_labels->count,
                        .self_trained = e->a.train.pseudo_threshold > 0 };
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
    TRY_NEW(e->folder_rounds, mem_format(s, "%s/rounds", e->a.out));
    for (int i = 0; i < OUTPUTS; i++) TRY_NEW(e->path[i], mem_format(s, "%s/%s", e->a.out, output_name[i]));
    TRY_NEW(e->path_run, mem_format(s, "%s/run.json", e->a.out));
    int64_t per_seed = (int64_t)e->strategy_count * (e->a.rounds + e->cold) + !e->cold;
    progress_begin(&e->progress, "simulate", "rounds", e->a.seeds * per_seed + 1);
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
    if (t->pseudo_threshold > 0) json_object_set_new(train, "pseudo_threshold", json_real(t->pseudo_threshold));
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
    TRY(file_write(s, e->path[OUT_TABLE], table, strlen(table)));
    TRY(file_write(s, e->path[OUT_TEX], tex, strlen(tex)));
    TRY(file_write(s, e->path[OUT_SUMMARY], summary, strlen(summary)));
    TRY(file_write(s, e->path[OUT_REPORT], html, strlen(html)));
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

/* The folder as it is, or as a start leaves it; of several ranks one looks and writes. */
static sluice_status open_folder(sluice *s, simulation *e, int64_t *done, char **out_table)
{
    sluice_status st = SLUICE_OK;
    bool whole = false;
    int64_t bytes;
    manifest_output outputs[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++) outputs[i] = (manifest_output){ e->path[i], true };
    TRY(manifest_check(s, e->path_run, e->digest, outputs, OUTPUTS, e->a.force, &whole));
    if ((*done = whole)) {
        resume_end(e); /* killed between its last file and here */
        log_line(s, SLUICE_INFO, "'%s' is there already, made from the same inputs", e->a.out);
        return file_read(s, e->path[OUT_TABLE], INT64_MAX, out_table, &bytes);
    }
    bool go_on = !e->a.force && access(e->path_run, F_OK) == 0; /* the check above: of the same inputs */
    TRY(make_folders(s, e));
    TRY(resume_begin(s, e, go_on));
    TRY(write_run(s, e, NULL, 0));
out:
    return st;
}

static sluice_status begin_folder(sluice *s, simulation *e, bool *out_done, char **out_table)
{
    int64_t done = 0;
    sluice_status st = comm_agree(s, comm_root(s) ? open_folder(s, e, &done, out_table) : SLUICE_OK);
    if (!st) st = comm_broadcast(s, &done, sizeof done, 0);
    *out_done = done;
    return st;
}

static sluice_status hold_pools(sluice *s, simulation *e, const sluice_pool *pool)
{
    sluice_status st = held_pool_init(s, &e->pool, pool, s->mem_bytes / 2);
    if (!st) st = held_pool_init(s, &e->test, e->a.test, s->mem_bytes / 4);
    return st ? st : resident_begin(s, e->pool.pool);
}

static sluice_status run(sluice *s, simulation *e, const sluice_pool *pool, char **out_table)
{
    sluice_status st = SLUICE_OK;
    bool done = false;
    double began = clock_seconds();
    if (!e->a.labels || !e->a.test || !e->a.test_labels)
        FAIL(E_USAGE, "labels of the pool, a test set and its labels are needed");
    TRY(check_args(s, e, pool));
    TRY(set_up(s, e, pool));
    e->inputs = describe_inputs(s, e, pool);
    TRY(manifest_digest(s, e->inputs, e->digest));
    json_object_set_new(e->inputs, "hash", json_string(e->digest));
    TRY(begin_folder(s, e, &done, out_table));
    if (done) goto out;
    TRY(comm_agree(s, hold_pools(s, e, pool))); /* before any rank waits for another's question */
    if (comm_size(s) > 1) TRY(rounds_of_ranks(s, e));
    if (!comm_root(s)) goto out;
    for (int i = 0; i < e->a.seeds; i++) TRY(rounds_of_seed(s, e, i, -1));
    TRY(round_of_all_labels(s, e));
    progress_end(s, &e->progress);
    TRY(finish(s, e, clock_seconds() - began, out_table));
    resume_end(e);
out:
    if (st && comm_root(s)) take_back(e);
    return st;
}

sluice_status sluice_simulate(sluice *s, const sluice_pool *pool, const sluice_simulate_args *a)
{
    fp_state fp = fp_enter();
    simulation e = { 0 };
    char *table = NULL;
    memcpy(&e.a, a, a->size < sizeof e.a ? a->size : sizeof e.a);
    e.cold = !e.a.start && !e.a.start_per_class;
    s->error[0] = 0;
    sluice_status st = run(s, &e, pool, &table);
    if (!st && e.a.out_table) *e.a.out_table = table, table = NULL;
    mem_free(table);
    resident_end(s);
    simulation_release(&e);
    fp_leave(fp);
    if (st) sluice_note(s, st, "cannot simulate");
    return comm_agree(s, st);
}
