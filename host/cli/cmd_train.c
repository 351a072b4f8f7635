/* cmd_train.c - sluice train: a pool and some labels in, a head out. */
#include "cli.h"

#include <string.h>
#include <sys/stat.h>

static struct {
    cli_list pool, pseudo;
    cli_input in;
    const char *labels, *layers, *class_weights, *optimizer, *loss_log, *out;
    double l2, rate, pseudo_threshold;
    int64_t seed, epochs, batch, patience;
    bool force;
} o = { .layers = "linear", .class_weights = "none", .optimizer = "adamw" };

static const cli_opt opts[] = {
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "id,label csv, .npy of ints (-1: none) or idx", .required = true },
    { "out", 'o', CLI_PATH, "FILE", &o.out, "the head, .safetensors", .required = true },
    { "layers", 0, CLI_WORD, "LINE", &o.layers, "linear, mlp:256,relu,linear, conv3:32,relu,pool2,gap,linear ..." },
    { "l2", 0, CLI_NUMBER, "C", &o.l2, "linear: C of |W|^2/2C, 0: chosen out of fold; else weight decay, 0: 1e-2" },
    { "class-weights", 0, CLI_WORD, "none|balanced", &o.class_weights, "weight of a class in the loss" },
    { "seed", 0, CLI_INT, "N", &o.seed, "folds, start weights, order and dropout" },
    { "optimizer", 0, CLI_WORD, "adamw|sgd", &o.optimizer, "layer lines: how" },
    { "rate", 0, CLI_NUMBER, "X", &o.rate, "layer lines: learning rate, 0: 1e-3 (adamw), 0.05 (sgd)" },
    { "epochs", 0, CLI_INT, "N", &o.epochs, "layer lines: at most, 0: by the number of labels", 0, 1e6 },
    { "batch", 0, CLI_INT, "N", &o.batch, "layer lines: rows a step, 0: 16, 32 or 64 by the number of labels", 0, 1e6 },
    { "patience", 0, CLI_INT, "N", &o.patience, "layer lines: stop after N epochs without gain, 0: 10", 0, 1e6 },
    { "loss-log", 0, CLI_PATH, "FILE", &o.loss_log, "layer lines: csv of the loss of each epoch" },
    { "pseudo", 0, CLI_LIST, "POOL", &o.pseudo, "linear: self-training, rows the head is sure of become labels too" },
    { "pseudo-threshold", 0, CLI_NUMBER, "P", &o.pseudo_threshold, "the confidence that is sure enough, 0: 0.8", 0, 1 },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names, one a line, in the order of the outputs" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "the labels' ids fit although the pool has changed" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    { 0 },
};

/* Then the ids of the one are those of the other, and what is labelled there is not guessed here. */
static bool same_paths(const cli_list *a, const cli_list *b)
{
    bool same = a->count == b->count;
    for (int i = 0; i < a->count && same; i++) {
        struct stat x, y;
        same = strcmp(a->item[i], b->item[i]) == 0 ||
               (stat(a->item[i], &x) == 0 && stat(b->item[i], &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
    }
    return same;
}

static sluice_status open_pseudo(cli *c, const sluice_pool *pool, sluice_pool **out_own, const sluice_pool **out)
{
    cli_input in = { .tensor = o.in.tensor };
    *out = pool;
    if (same_paths(&o.pool, &o.pseudo)) return SLUICE_OK;
    sluice_status st = open_pool(c, &o.pseudo, &in, out_own);
    *out = *out_own;
    return st;
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL, *pseudo = NULL;
    sluice_labels *labels = NULL;
    sluice_head *head = NULL;
    sluice_train_args a = { .size = sizeof a,
                            .layers = o.layers,
                            .l2 = o.l2,
                            .seed = (uint64_t)o.seed,
                            .rate = o.rate,
                            .class_weights = o.class_weights[0] == 'b' ? "balanced" : NULL,
                            .optimizer = o.optimizer,
                            .epochs = (int)o.epochs,
                            .batch = (int)o.batch,
                            .patience = (int)o.patience,
                            .loss_log = o.loss_log,
                            .pseudo_threshold = o.pseudo_threshold };
    if (o.pseudo_threshold > 0 && !o.pseudo.count) REFUSE(E_USAGE, "--pseudo-threshold belongs to --pseudo POOL");
    TRY(check_output(c, o.out, false));
    if (o.loss_log) TRY(check_output(c, o.loss_log, false));
    TRY(open_pool(c, &o.pool, &o.in, &pool));
    TRY(open_labels(c, pool, o.labels, &o.in, &labels));
    if (o.pseudo.count) TRY(open_pseudo(c, pool, &pseudo, &a.pseudo));
    a.labels = labels;
    TRY(sluice_train(c->s, pool, &a, &head));
    TRY(sluice_head_save(c->s, head, o.out, o.force));
    log_wrote(o.out, sluice_labels_count(labels), "labels", -1);
out:
    sluice_head_free(head);
    sluice_labels_free(labels);
    sluice_pool_free(pool);
    sluice_pool_free(pseudo);
    return st;
}

const cli_command cli_train = {
    "train",
    "fit a head on the labelled rows of a pool",
    "POOL... --labels FILE --out HEAD [options]",
    "sluice train pool.npy --labels labels.csv --out head.safetensors",
    opts,
    &o.pool,
    "POOL",
    1,
    0,
    run,
};
