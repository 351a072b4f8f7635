/* cmd_simulate.c - sluice simulate: known labels play the annotator, on one data set or on those of a JSON file. */
#include "sets.h"

#include <stdlib.h>

static struct {
    cli_list pool;
    cli_input in;
    const char *labels, *test, *test_labels, *strategy, *layers, *class_weights, *optimizer, *sets, *out;
    int64_t start, start_per_class, batch, rounds, seeds, seed, epochs, train_batch, patience;
    double l2, rate, pseudo_threshold;
    bool force;
} o = { .strategy = "random,margin",
        .layers = "linear",
        .class_weights = "none",
        .optimizer = "adamw",
        .start = -1,
        .rounds = -1,
        .seeds = 3 };

static const cli_opt opts[] = {
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "the labels of all rows" },
    { "test", 0, CLI_PATH, "POOL", &o.test, "features of the test set" },
    { "test-labels", 0, CLI_PATH, "FILE", &o.test_labels, "its labels" },
    { "strategy", 0, CLI_WORD, "A,B,...", &o.strategy, "what to compare; see 'sluice strategies'",
      .alias = "strategies" },
    { "start", 0, CLI_INT, "N", &o.start, "labels drawn at the start, or --start-per-class; 0: a cold start" },
    { "start-per-class", 0, CLI_INT, "N", &o.start_per_class, "labels of each class drawn at the start" },
    { "batch", 0, CLI_INT, "N", &o.batch, "labels added in a round", 1 },
    { "rounds", 0, CLI_INT, "N", &o.rounds, "rounds after the start", 0, 1e6 },
    { "sets", 0, CLI_PATH, "FILE", &o.sets, "several data sets instead: a JSON list, see docs/formats.md" },
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
    { "pseudo-threshold", 0, CLI_NUMBER, "P", &o.pseudo_threshold,
      "also judge heads self-trained on the pool, rows of confidence P and more; 0: no", 0, 1 },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names, one a line, in the order of the outputs" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "the labels' ids fit although the pool has changed" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite what --out holds" },
    RESUMABLE_EXIT_OPT,
    { 0 },
};

static sluice_train_args train_args(void)
{
    return (sluice_train_args){ .size = sizeof(sluice_train_args),
                                .layers = o.layers,
                                .l2 = o.l2,
                                .rate = o.rate,
                                .class_weights = o.class_weights[0] == 'b' ? "balanced" : NULL,
                                .optimizer = o.optimizer,
                                .epochs = (int)o.epochs,
                                .batch = (int)o.train_batch,
                                .patience = (int)o.patience,
                                .pseudo_threshold = o.pseudo_threshold };
}

/* What a set lacks the options give. */
static sluice_status complete(cli *c, data_set *set)
{
    const char *of = set->name ? set->name : "simulate";
    if (set->start < 0 && set->start_per_class <= 0) set->start = o.start, set->start_per_class = o.start_per_class;
    if (set->batch < 0) set->batch = o.batch;
    if (set->rounds < 0) set->rounds = o.rounds;
    if (!set->pool.count) return cli_fail(c, SLUICE_E_USAGE, "%s needs POOL", of);
    if (!set->labels) return cli_fail(c, SLUICE_E_USAGE, "%s needs --labels FILE: the labels of all rows", of);
    if (!set->test || !set->test_labels)
        return cli_fail(c, SLUICE_E_USAGE, "%s needs --test POOL and --test-labels FILE", of);
    if ((set->start >= 0) == (set->start_per_class > 0))
        return cli_fail(c, SLUICE_E_USAGE, "%s needs one of --start and --start-per-class", of);
    if (set->batch < 1) return cli_fail(c, SLUICE_E_USAGE, "%s needs --batch N: labels added in a round", of);
    if (set->rounds < 0) return cli_fail(c, SLUICE_E_USAGE, "%s needs --rounds N: rounds after the start", of);
    return SLUICE_OK;
}

static sluice_status simulate(cli *c, const data_set *set, const char *out, const char *line, char **out_table)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL, *test = NULL;
    sluice_labels *labels = NULL, *test_labels = NULL;
    const char *test_path = set->test;
    cli_list test_paths = { .item = &test_path, .count = 1 };
    cli_input test_in = { .tensor = o.in.tensor, .classes = o.in.classes, .same_ids = o.in.same_ids };
    TRY(open_pool(c, &set->pool, &o.in, &pool));
    TRY(open_labels(c, pool, set->labels, &o.in, &labels));
    TRY(open_pool(c, &test_paths, &test_in, &test));
    TRY(open_labels(c, test, set->test_labels, &test_in, &test_labels));
    sluice_simulate_args a = { .size = sizeof a,
                               .labels = labels,
                               .test = test,
                               .test_labels = test_labels,
                               .strategies = o.strategy,
                               .start = set->start > 0 ? set->start : 0,
                               .start_per_class = set->start_per_class > 0 ? set->start_per_class : 0,
                               .batch = set->batch,
                               .rounds = (int)set->rounds,
                               .seeds = (int)o.seeds,
                               .seed = (uint64_t)o.seed,
                               .train = train_args(),
                               .out = out,
                               .command = line,
                               .force = o.force,
                               .out_table = out_table };
    TRY(sluice_simulate(c->s, pool, &a));
out:
    sluice_labels_free(labels);
    sluice_labels_free(test_labels);
    sluice_pool_free(pool);
    sluice_pool_free(test);
    return st;
}

/* A folder for each set within --out, then what they say together. */
static sluice_status simulate_sets(cli *c, const char *line, char **out_table)
{
    sluice_status st = SLUICE_OK;
    set_list l = { 0 };
    char *out = NULL;
    if (o.pool.count || o.labels || o.test || o.test_labels || o.in.ids)
        REFUSE(E_USAGE, "--sets names pools, labels, tests and their ids in its file: leave out these options");
    TRY(sets_read(c, o.sets, &l));
    for (int i = 0; i < l.count; i++) TRY(complete(c, &l.set[i]));
    if (cli_speaks()) TRY(sets_folder(c, o.out, o.force));
    for (int i = 0; i < l.count; i++) {
        free(out);
        if (asprintf(&out, "%s/%s", o.out, l.set[i].name) < 0) {
            out = NULL;
            REFUSE(E_MEMORY, "out of memory");
        }
        TRY(simulate(c, &l.set[i], out, line, NULL));
    }
    TRY(sluice_simulate_join(c->s, o.out, l.names, l.count, line, out_table));
out:
    free(out);
    sets_release(&l);
    return st;
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    char *line = cli_line(c), *table = NULL;
    data_set set = { .pool = o.pool,
                     .labels = o.labels,
                     .test = o.test,
                     .test_labels = o.test_labels,
                     .start = -1,
                     .batch = -1,
                     .rounds = -1 };
    if (!o.sets) TRY(complete(c, &set));
    TRY(check_output(c, o.out, true));
    c->resumable = true; /* by its finished rounds */
    TRY(o.sets ? simulate_sets(c, line, &table) : simulate(c, &set, o.out, line, &table));
    progress_clear();
    if (!table) goto out; /* another rank has it */
    fputs(table, stdout);
    TRY(cli_flush(c));
    if (o.sets) log_wrote(o.out, o.seeds, "seeds a set", -1);
    else log_wrote(o.out, o.seeds * (o.rounds + 1), "rounds a strategy", -1);
out:
    free(line);
    sluice_free(table);
    return st;
}

const cli_command cli_simulate = {
    "simulate",
    "compare strategies on labels that are known",
    "(POOL... --labels L --test P --test-labels L | --sets FILE) --start N --batch N --rounds N -o DIR",
    "sluice simulate pool.npy --labels labels.csv --test test.npy --test-labels test.csv \\\n"
    "             --strategy random,margin --start-per-class 2 --batch 50 --rounds 5 --out sim",
    opts,
    &o.pool,
    "POOL",
    0,
    0,
    run,
    .ranks = true,
};
