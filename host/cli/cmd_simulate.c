/* cmd_simulate.c - sluice simulate: known labels play the annotator. */
#include "cli.h"

#include <stdlib.h>

static struct {
    cli_list pool;
    cli_input in;
    const char *labels, *test, *test_labels, *strategy, *layers, *class_weights, *optimizer, *out;
    int64_t start, start_per_class, batch, rounds, seeds, seed, epochs, train_batch, patience;
    double l2, rate;
    bool force;
} o = { .strategy = "random,margin",
        .layers = "linear",
        .class_weights = "none",
        .optimizer = "adamw",
        .start = -1,
        .seeds = 3 };

static const cli_opt opts[] = {
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "the labels of all rows", .required = true },
    { "test", 0, CLI_PATH, "POOL", &o.test, "features of the test set", .required = true },
    { "test-labels", 0, CLI_PATH, "FILE", &o.test_labels, "its labels", .required = true },
    { "strategy", 0, CLI_WORD, "A,B,...", &o.strategy, "what to compare; see 'sluice strategies'",
      .alias = "strategies" },
    { "start", 0, CLI_INT, "N", &o.start, "labels drawn at the start, or --start-per-class; 0: a cold start" },
    { "start-per-class", 0, CLI_INT, "N", &o.start_per_class, "labels of each class drawn at the start" },
    { "batch", 0, CLI_INT, "N", &o.batch, "labels added in a round", 1, .required = true },
    { "rounds", 0, CLI_INT, "N", &o.rounds, "rounds after the start", 0, 1e6, .required = true },
    { "seeds", 0, CLI_INT, "N", &o.seeds, "runs, each from another start set", 1, 1e6 },
    { "out", 'o', CLI_PATH, "DIR", &o.out, "report.html, tables, curve.csv, run.json, picks/", .required = true },
    { "seed", 0, CLI_INT, "N", &o.seed, "of the first run; run i has seed + i" },
    { "layers", 0, CLI_WORD, "LINE", &o.layers, "the head's layers, as for train" },
    { "l2", 0, CLI_NUMBER, "C", &o.l2, "as for train" },
    { "class-weights", 0, CLI_WORD, "none|balanced", &o.class_weights, "as for train" },
    { "optimizer", 0, CLI_WORD, "adamw|sgd", &o.optimizer, "as for train" },
    { "rate", 0, CLI_NUMBER, "X", &o.rate, "as for train" },
    { "epochs", 0, CLI_INT, "N", &o.epochs, "as for train", 0, 1e6 },
    { "train-batch", 0, CLI_INT, "N", &o.train_batch, "train's --batch", 0, 1e6 },
    { "patience", 0, CLI_INT, "N", &o.patience, "as for train", 0, 1e6 },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names, one a line, in the order of the outputs" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "the labels' ids fit although the pool has changed" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite what --out holds" },
    { 0 },
};

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL, *test = NULL;
    sluice_labels *labels = NULL, *test_labels = NULL;
    char *line = cli_line(c), *table = NULL;
    cli_list test_paths = { .item = &o.test, .count = 1 };
    cli_input test_in = { .tensor = o.in.tensor, .classes = o.in.classes, .same_ids = o.in.same_ids };
    sluice_simulate_args a = { .size = sizeof a,
                               .strategies = o.strategy,
                               .start = o.start > 0 ? o.start : 0,
                               .start_per_class = o.start_per_class,
                               .batch = o.batch,
                               .rounds = (int)o.rounds,
                               .seeds = (int)o.seeds,
                               .seed = (uint64_t)o.seed,
                               .out = o.out,
                               .command = line,
                               .force = o.force,
                               .out_table = &table };
    a.train = (sluice_train_args){ .size = sizeof a.train,
                                   .layers = o.layers,
                                   .l2 = o.l2,
                                   .rate = o.rate,
                                   .class_weights = o.class_weights[0] == 'b' ? "balanced" : NULL,
                                   .optimizer = o.optimizer,
                                   .epochs = (int)o.epochs,
                                   .batch = (int)o.train_batch,
                                   .patience = (int)o.patience };
    if ((o.start >= 0) == (o.start_per_class > 0))
        REFUSE(E_USAGE, "simulate needs one of --start and --start-per-class");
    TRY(check_output(c, o.out, true));
    TRY(open_pool(c, &o.pool, &o.in, &pool));
    TRY(open_labels(c, pool, o.labels, &o.in, &labels));
    TRY(open_pool(c, &test_paths, &test_in, &test));
    TRY(open_labels(c, test, o.test_labels, &test_in, &test_labels));
    a.labels = labels, a.test = test, a.test_labels = test_labels;
    TRY(sluice_simulate(c->s, pool, &a));
    progress_clear();
    fputs(table, stdout);
    TRY(cli_flush(c));
    log_wrote(o.out, o.seeds * (o.rounds + 1), "rounds a strategy", -1);
out:
    free(line);
    sluice_free(table);
    sluice_labels_free(labels);
    sluice_labels_free(test_labels);
    sluice_pool_free(pool);
    sluice_pool_free(test);
    return st;
}

const cli_command cli_simulate = {
    "simulate",
    "compare strategies on labels that are known",
    "POOL... --labels L --test POOL --test-labels L --start N --batch N --rounds N --out DIR [options]",
    "sluice simulate pool.npy --labels labels.csv --test test.npy --test-labels test.csv \\\n"
    "             --strategy random,margin --start-per-class 2 --batch 50 --rounds 5 --out sim",
    opts,
    &o.pool,
    "POOL",
    1,
    0,
    run,
};
