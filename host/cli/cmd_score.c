/* cmd_score.c - sluice score: one or more scores of every row, in one read. */
#include "cli.h"

#include <stdlib.h>

static struct {
    cli_list pool, heads;
    cli_input in;
    const char *logits, *probs, *score, *labels, *like, *out;
    int64_t seed;
    bool dry_run, json, force;
    cli_resume resume;
} o = { .score = "margin", .resume = CLI_RESUME };

static const cli_opt opts[] = {
    { "head", 0, CLI_LIST, "HEAD", &o.heads,
      "the trained head, .safetensors; several: a committee for bald and its like" },
    { "logits", 0, CLI_PATH, "POOL", &o.logits, "instead of a head: any model's logits [n, c]" },
    { "probs", 0, CLI_PATH, "POOL", &o.probs, "instead of a head: any model's probabilities [n, c]" },
    { "score", 0, CLI_WORD, "A,B,...", &o.score, "scores, prediction, confidence, logits; see 'sluice strategies'",
      .alias = "scores" },
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "labelled rows for outlier scores; none: those the head was trained on",
      .alias = "labelled" },
    { "like", 0, CLI_PATH, "FILE", &o.like, "rows for similarity: csv with an id column, or one id a line" },
    { "out", 'o', CLI_PATH, "FILE", &o.out, "the scores [n, columns] f32, .npy", .required = true },
    { "seed", 0, CLI_INT, "N", &o.seed, "of random and power- scores" },
    { "dry-run", 0, CLI_FLAG, NULL, &o.dry_run,
      "print what the run would take: rows, bytes, memory, disk, time; write nothing" },
    { "json", 0, CLI_FLAG, NULL, &o.json, "with --dry-run: as JSON" },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names of the labels, one a line" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "ids of files made for another pool hold for this one" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    RESUME_OPTS(o.resume),
    { 0 },
};

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL;
    int64_t *like = NULL;
    cli_model model = { 0 };
    sluice_pool_info info;
    char *folder = NULL;
    sluice_plan plan = { 0 };
    sluice_score_args a = { .size = sizeof a,
                            .scores = o.score,
                            .seed = (uint64_t)o.seed,
                            .out = o.out,
                            .force = o.force,
                            .dry_run = o.dry_run,
                            .plan = &plan,
                            .checkpoint_s = o.resume.every_s,
                            .fresh = o.resume.fresh };
    if (o.json && !o.dry_run) REFUSE(E_USAGE, "--json belongs to --dry-run");
    TRY(check_output(c, o.out, false));
    TRY(resume_folder(c, &o.resume, o.out, &folder));
    a.checkpoint = folder;
    TRY(open_model(c, &o.heads, o.logits, o.probs, &model));
    TRY(open_pool_or_outputs(c, &o.pool, &o.in, o.logits ? o.logits : o.probs, &pool));
    if (o.labels) TRY(open_labels(c, pool, o.labels, &o.in, &labels));
    if (o.like) {
        TRY(check_origin(c, pool, o.like, &o.in));
        TRY(sluice_rows_load(c->s, pool, o.like, &like, &a.like_count));
    }
    a.labels = labels, a.like = like;
    a.head = model.heads[0], a.logits = model.logits, a.probs = model.probs;
    if (model.head_count > 1)
        a.committee = (const sluice_head *const *)model.heads + 1, a.committee_count = model.head_count - 1;
    if (!o.dry_run && cli_speaks()) progress_measure(c->s, a.logits ? a.logits : a.probs ? a.probs : pool);
    TRY(sluice_score(c->s, pool, &a));
    if (o.dry_run) {
        put_plan(pool, &plan, NULL, 0, o.json);
        goto out;
    }
    sluice_pool_get_info(pool, &info);
    log_wrote(o.out, info.rows, "rows", info.rows);
out:
    free(folder);
    sluice_free(like);
    sluice_labels_free(labels);
    sluice_pool_free(pool);
    model_release(&model);
    return st;
}

const cli_command cli_score = {
    "score",
    "write scores of every row of a pool",
    "POOL... --head HEAD --score A,B,... --out FILE [options]",
    "sluice score pool.npy --head head.safetensors --score entropy,margin,prediction --out scores.npy",
    opts,
    &o.pool,
    "POOL",
    0,
    0,
    run,
    .ranks = true,
};
