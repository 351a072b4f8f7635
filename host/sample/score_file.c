/* score_file.c - sluice_score(): columns of scores for every row, streamed into one .npy [n, columns] f32 in row order.
 *
 * Columns are written in the order asked for; "logits" is as many columns as there are classes.  Their names are in the
 * manifest beside the file.  A row with a NaN or an infinity is NaN in every column. */
#include "checkpoint.h"
#include "comm.h"
#include "exact.h"
#include "formats.h"
#include "manifest.h"
#include "plan.h"
#include "pool_scan.h"
#include "scorer.h"

#include <string.h>
#include <unistd.h>

typedef enum part_kind { PART_STRATEGY, PART_COLUMN, PART_LOGITS } part_kind;

typedef struct part {
    part_kind kind;
    int strategy;  /* PART_STRATEGY: which of strategies */
    column column; /* PART_COLUMN */
    char text[128];
} part;

typedef struct scoring {
    const sluice_pool *pool;
    sluice_score_args a;
    source src;
    strategy *strategies;
    int strategy_count;
    part *parts;
    int part_count;
    unsigned columns; /* READS() of the parts that are no strategies */
    bool logits;
    int64_t width;  /* floats of a row of the file */
    exclusions out; /* not in the reference sample */
    references refs;
    scorer_set scorers;
    int64_t labelled;
    scan_state state;
    checkpoint kept; /* its rows are the file until it is whole */
    outfile *file;
    int64_t header_bytes;
    float *row; /* [rows of a block, width], grown */
    int64_t row_floats;
} scoring;

static sluice_status parse_part(sluice *s, scoring *e, const char *text, size_t length)
{
    static const struct {
        const char *name;
        column column;
    } columns[] = {
        { "prediction", COLUMN_PREDICTION },
        { "confidence", COLUMN_CONFIDENCE },
    };
    part *p = &e->parts[e->part_count];
    if (length >= sizeof p->text) return sluice_fail(s, SLUICE_E_USAGE, "there is no score '%.40s...'", text);
    memcpy(p->text, text, length);
    for (int i = 0; i < e->part_count; i++)
        if (strcmp(e->parts[i].text, p->text) == 0)
            return sluice_fail(s, SLUICE_E_USAGE, "score '%s' is asked for twice", p->text);
    e->part_count++;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (strcmp(columns[i].name, p->text) != 0) continue;
        p->kind = PART_COLUMN, p->column = columns[i].column;
        e->columns |= READS(p->column);
        return SLUICE_OK;
    }
    if (strcmp(p->text, "logits") == 0) {
        p->kind = PART_LOGITS;
        e->logits = true;
        return SLUICE_OK;
    }
    p->strategy = e->strategy_count;
    strategy *st = &e->strategies[e->strategy_count++];
    sluice_status bad = strategy_parse(s, text, length, st);
    if (bad || !st->kind->rule.run) return bad;
    return sluice_fail(s, SLUICE_E_USAGE, "'%s' picks rows with an eye on each other: it gives no row a score",
                       st->text);
}

static sluice_status parse_scores(sluice *s, scoring *e)
{
    sluice_status st = SLUICE_OK;
    const char *text = e->a.scores;
    int commas = 0;
    if (!text || !*text) FAIL(E_USAGE, "no score is asked for, for example margin,prediction");
    for (const char *p = text; *p; p++) commas += *p == ',';
    TRY_NEW(e->parts, NEW(s, commas + 1, part));
    TRY_NEW(e->strategies, NEW(s, commas + 1, strategy));
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        TRY(parse_part(s, e, p, n));
        p += n;
        if (!*p) break;
    }
out:
    return st;
}

static sluice_status check_source(sluice *s, scoring *e)
{
    for (int i = 0; i < e->part_count; i++) {
        const part *p = &e->parts[i];
        unsigned reads = p->kind == PART_STRATEGY ? strategy_reads(&e->strategies[p->strategy]) : ~0u;
        if (reads && e->src.kind == SOURCE_FEATURES)
            return sluice_fail(s, SLUICE_E_USAGE, "'%s' needs a head, or logits, or probs", p->text);
        if (p->kind == PART_STRATEGY) {
            sluice_status st = scorer_check_source(s, &e->strategies[p->strategy], &e->src);
            if (st) return st;
        }
        if (p->kind == PART_STRATEGY && reads & READS(COLUMN_ENERGY) && e->src.kind == SOURCE_PROBS)
            return sluice_fail(s, SLUICE_E_USAGE, "'%s' needs logits: probabilities sum to 1 whatever the evidence",
                               p->text);
        e->width += p->kind == PART_LOGITS ? e->src.classes : 1;
    }
    return scorer_check_committee(s, e->strategies, e->strategy_count, &e->src);
}

static sluice_status grow_rows(sluice *s, scoring *e, int64_t rows)
{
    size_t floats;
    if (mul_overflows((size_t)rows, (size_t)e->width, &floats) || floats > INT64_MAX)
        return sluice_fail(s, SLUICE_E_MEMORY, "%lld columns do not fit in memory", (long long)e->width);
    if ((int64_t)floats <= e->row_floats) return SLUICE_OK;
    mem_free(e->row);
    e->row_floats = 0;
    e->row = RAW(s, (int64_t)floats, float);
    if (!e->row) return SLUICE_E_MEMORY;
    e->row_floats = (int64_t)floats;
    return SLUICE_OK;
}

/* Column by column into rows, so that one write takes the block. */
static sluice_status write_block(sluice *s, void *user, const scan_block *b)
{
    scoring *e = user;
    int64_t n = b->facts.rows, at = 0;
    sluice_status st = grow_rows(s, e, n);
    if (st) return st;
    for (int i = 0; i < e->part_count; i++) {
        const part *p = &e->parts[i];
        if (p->kind == PART_LOGITS) {
            size_t bytes = (size_t)e->src.classes * sizeof(float);
            for (int64_t r = 0; r < n; r++) memcpy(e->row + r * e->width + at, b->logits + r * e->src.classes, bytes);
            at += e->src.classes;
            continue;
        }
        const float *from = p->kind == PART_COLUMN ? b->facts.column[p->column] : b->score[p->strategy];
        for (int64_t r = 0; r < n; r++) e->row[r * e->width + at] = from[r];
        at++;
    }
    return outfile_write(s, e->file, e->row, (size_t)n * (size_t)e->width * sizeof(float));
}

static json_t *describe_inputs(const sluice *s, const scoring *e)
{
    json_t *in = json_object();
    json_object_set_new(in, "pool", manifest_pool(e->pool));
    if (e->a.head) json_object_set_new(in, "head", manifest_head(e->a.head));
    if (e->a.committee_count)
        json_object_set_new(in, "committee", manifest_heads(e->a.committee, e->a.committee_count));
    if (e->a.logits) json_object_set_new(in, "logits", manifest_pool(e->a.logits));
    if (e->a.probs) json_object_set_new(in, "probs", manifest_pool(e->a.probs));
    if (e->a.labels) json_object_set_new(in, "labels", manifest_labels(e->a.labels));
    if (e->a.like_count) json_object_set_new(in, "like", manifest_array(e->a.like, e->a.like_count, sizeof *e->a.like));
    json_object_set_new(in, "scores", json_string(e->a.scores));
    json_object_set_new(in, "seed", manifest_seed(e->a.seed));
    json_object_set_new(in, "math", json_string(manifest_math(s)));
    return in;
}

static json_t *describe_columns(const scoring *e)
{
    json_t *names = json_array();
    for (int i = 0; i < e->part_count; i++) {
        if (e->parts[i].kind != PART_LOGITS) json_array_append_new(names, json_string(e->parts[i].text));
        for (int j = 0; e->parts[i].kind == PART_LOGITS && j < e->src.classes; j++)
            json_array_append_new(names, e->a.head && e->a.head->names ? json_sprintf("logit:%s", e->a.head->names[j])
                                                                       : json_sprintf("logit:%d", j));
    }
    return names;
}

static sluice_status write_manifest(sluice *s, const scoring *e, const char *path, json_t *inputs,
                                    const pool_scan *scan, int64_t bytes)
{
    double seconds = scan->seconds > 0 ? scan->seconds : 1e-9;
    json_t *m =
        json_pack("{s:s, s:s, s:O, s:o, s:{s:{s:I}}, s:{s:I, s:I}, s:{s:f, s:f, s:f, s:i}}", "sluice", sluice_version(),
                  "math", manifest_math(s), "inputs", inputs, "columns", describe_columns(e), "outputs",
                  path_base(e->a.out), "bytes", (json_int_t)bytes, "counts", "rows", (json_int_t)e->pool->rows,
                  "quarantined", (json_int_t)e->state.bad.count, "run", "seconds", scan->seconds, "bytes_read",
                  (double)e->state.bytes, "rows_per_second", (double)e->pool->rows / seconds, "threads", s->threads);
    if (m) manifest_place(s, json_object_get(m, "run"));
    sluice_status st = manifest_write(s, path, m);
    json_decref(m);
    return st;
}

static sluice_status fit_scorers(sluice *s, scoring *e)
{
    sluice_status st = SLUICE_OK;
    const sluice_score_args *a = &e->a;
    scorer_inputs in = {
        .refs = &e->refs, .src = &e->src, .like = a->like, .like_count = a->like_count, .labelled = e->labelled
    };
    if (a->like_count < 0 || (a->like_count && !a->like)) FAIL(E_USAGE, "the list of rows to be like is missing");
    TRY(exclusions_init(s, &e->out, e->pool, a->labels, NULL, 0, a->head));
    for (int i = 0; i < a->committee_count; i++) TRY(exclusions_add_trained(s, &e->out, e->pool, a->committee[i]));
    e->refs = (references){ .pool = e->pool, .head = a->head, .labels = a->labels, .out = &e->out, .seed = a->seed };
    TRY(scorer_set_fit(s, &e->scorers, e->strategies, e->strategy_count, &in));
    e->src.scorers = e->scorers.list, e->src.scorer_count = e->scorers.count;
out:
    return st;
}

/* ---- the file, and how it goes on ---- */

/* Rows first, then the state that says so. */
static sluice_status keep(sluice *s, void *user)
{
    scoring *e = user;
    sluice_status st = outfile_sync(s, e->file);
    return st ? st : scan_state_keep(s, &e->state, &e->kept);
}

static sluice_status start_checkpoint(sluice *s, scoring *e, json_t *inputs)
{
    const sluice_score_args *a = &e->a;
    if (!a->checkpoint) return SLUICE_OK;
    json_t *identity =
        json_pack("{s:s, s:s, s:o}", "sluice", sluice_version(), "task", "score", "inputs", json_copy(inputs));
    sluice_status st = checkpoint_init(s, &e->kept, a->checkpoint, path_base(a->out), identity, a->checkpoint_s);
    json_decref(identity);
    return st;
}

/* Rows are written in order, so those that an earlier call has done are the first. */
static sluice_status go_on(sluice *s, scoring *e)
{
    const spans *done = &e->state.done;
    sluice_status st = scan_state_go_on(s, &e->state, &e->kept, e->a.fresh, e->pool, NULL);
    if (st || done->count == 0 || (done->count == 1 && done->at[0].first == 0)) return st;
    return sluice_hint(
        s, sluice_fail(s, SLUICE_E_FORMAT, "'%s' is damaged: its rows are not the first ones", e->kept.path),
        "--fresh starts over");
}

static sluice_status open_rows(sluice *s, scoring *e)
{
    sluice_status st = SLUICE_OK;
    char header[NPY_HEADER_BYTES];
    size_t bytes = npy_header(header, "<f4", 2, (int64_t[]){ e->pool->rows, e->width });
    int64_t rows = spans_rows(&e->state.done);
    e->header_bytes = (int64_t)bytes;
    if (!e->kept.path) TRY(outfile_open(s, e->a.out, true, &e->file));
    else {
        TRY(file_make_folder(s, e->kept.folder));
        int64_t keep = rows ? e->header_bytes + rows * e->width * (int64_t)sizeof(float) : 0;
        st = outfile_reopen(s, e->a.out, e->kept.rows, keep, &e->file);
        if (st == SLUICE_E_DATA) sluice_hint(s, st, "--fresh starts over");
        TRY(st);
    }
    if (!rows) TRY(outfile_write(s, e->file, header, bytes));
out:
    return st;
}

static sluice_status scan_rows(sluice *s, scoring *e, pool_scan *scan)
{
    sluice_status st = SLUICE_OK;
    *scan = (pool_scan){ .pool = e->pool,
                         .src = &e->src,
                         .strategies = e->strategies,
                         .count = e->strategy_count,
                         .columns = e->columns,
                         .logits = e->logits,
                         .seed = e->a.seed,
                         .max_bad = 1,
                         .take = write_block,
                         .keep = e->kept.path ? keep : NULL,
                         .keep_s = e->kept.every_s,
                         .user = e,
                         .labelled = e->labelled,
                         .task = "score",
                         .state = &e->state };
    TRY(scan_state_init(s, &e->state, e->pool->rows, e->strategy_count, NULL));
    TRY(go_on(s, e));
    TRY(open_rows(s, e));
    TRY(pool_scan_run(s, scan));
    warn_of_constants(s, &e->state, e->strategies);
    if (e->state.bad.count)
        log_line(s, SLUICE_WARNING, "%lld rows hold a NaN or an infinity: NaN in '%s'", (long long)e->state.bad.count,
                 e->a.out);
out:
    return st;
}

/* Rows stay where a checkpoint tells of them. */
static void close_rows(sluice *s, scoring *e, sluice_status st)
{
    bool kept = e->kept.path && access(e->kept.path, F_OK) == 0;
    if (st == SLUICE_E_CANCELLED && kept) sluice_hint(s, st, "the same call goes on from '%s'", e->kept.path);
    if (kept) outfile_leave(e->file);
    else outfile_abort(e->file);
    if (st && !kept && e->header_bytes) checkpoint_remove(&e->kept);
}

static sluice_status plan(sluice *s, const scoring *e)
{
    int64_t rows = e->pool->rows;
    double block = rows < BLOCK_ROWS ? (double)rows : BLOCK_ROWS;
    return plan_make(s,
                     &(plan_facts){ .pool = e->pool,
                                    .src = &e->src,
                                    .scanned = rows,
                                    .memory = 2 * block * (double)e->width * sizeof(float),
                                    .written = NPY_HEADER_BYTES + (double)rows * (double)e->width * sizeof(float),
                                    .out = e->a.out },
                     e->a.plan);
}

static sluice_status run(sluice *s, scoring *e)
{
    sluice_status st = SLUICE_OK;
    char *manifest = NULL, digest[17];
    json_t *inputs = NULL;
    bool done = false;
    pool_scan scan;
    if (!e->a.out || !path_ends(e->a.out, ".npy"))
        FAIL(E_USAGE, "'%s' does not end in .npy, the form of scores", e->a.out ? e->a.out : "");
    TRY(parse_scores(s, e));
    TRY(source_init(s, &e->src, e->pool, e->a.head, e->a.logits, e->a.probs));
    TRY(source_committee(s, &e->src, e->a.committee, e->a.committee_count));
    TRY(check_source(s, e));
    inputs = describe_inputs(s, e);
    TRY(start_checkpoint(s, e, inputs));
    TRY(manifest_digest(s, inputs, digest));
    json_object_set_new(inputs, "hash", json_string(digest));
    TRY_NEW(manifest, manifest_path(s, e->a.out));
    TRY(manifest_check(s, manifest, digest, &(manifest_output){ e->a.out, false }, 1, e->a.force, &done));
    if (done) {
        log_line(s, SLUICE_INFO, "'%s' is there already, made from the same inputs", e->a.out);
        if (!e->a.dry_run) checkpoint_clear(s, &e->kept);
        else if (e->a.plan) st = plan(s, e);
        goto out;
    }
    if (e->a.dry_run) {
        st = e->a.plan ? plan(s, e) : SLUICE_OK;
        goto out;
    }
    e->labelled = e->a.labels ? e->a.labels->count : e->a.head ? e->a.head->train_count : 0;
    TRY(fit_scorers(s, e));
    TRY(scan_rows(s, e, &scan));
    TRY(write_manifest(s, e, manifest, inputs, &scan, e->header_bytes + e->pool->rows * e->width * 4));
    outfile *f = e->file;
    e->file = NULL;
    st = outfile_commit(s, f);
    if (st) unlink(manifest); /* it tells of scores that are not there */
    else checkpoint_remove(&e->kept);
out:
    mem_free(manifest);
    json_decref(inputs);
    return st;
}

sluice_status sluice_score(sluice *s, const sluice_pool *pool, const sluice_score_args *a)
{
    fp_state fp = fp_enter();
    scoring e = { .pool = pool };
    memcpy(&e.a, a, a->size < sizeof e.a ? a->size : sizeof e.a);
    s->error[0] = 0;
    bool mine = comm_root(s);
    comm *ranks = comm_leave(s);
    sluice_status st = mine ? run(s, &e) : SLUICE_OK;
    close_rows(s, &e, st);
    source_release(s, &e.src);
    scorer_set_release(&e.scorers);
    references_release(&e.refs);
    exclusions_release(&e.out);
    scan_state_release(&e.state);
    checkpoint_release(&e.kept);
    mem_free(e.strategies);
    mem_free(e.parts);
    mem_free(e.row);
    fp_leave(fp);
    if (st) sluice_note(s, st, "cannot score");
    comm_rejoin(s, ranks);
    return comm_agree(s, st);
}
