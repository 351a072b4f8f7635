/* cmd_eval.c - sluice eval: how good a head is on labelled rows. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>

static struct {
    cli_list pool;
    cli_input in;
    const char *head, *labels;
    bool json, confusion;
} o;

static const cli_opt opts[] = {
    { "head", 0, CLI_PATH, "HEAD", &o.head, "the trained head, .safetensors", .required = true },
    { "labels", 0, CLI_PATH, "FILE", &o.labels, "id,label csv, .npy of ints (-1: none) or idx", .required = true },
    { "json", 0, CLI_FLAG, NULL, &o.json, "the result as JSON" },
    { "confusion", 0, CLI_FLAG, NULL, &o.confusion, "also the confusion matrix, a row for each true class" },
    { "pool", 0, CLI_LIST, "POOL", &o.pool, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { "classes", 0, CLI_PATH, "FILE", &o.in.classes, "class names of the labels, one a line" },
    { "same-ids", 0, CLI_FLAG, NULL, &o.in.same_ids, "the labels' ids fit although the pool has changed" },
    { 0 },
};

/* JSON knows no NaN. */
static void put_number(const char *key, double v)
{
    if (isfinite(v)) printf("  \"%s\": %.9g,\n", key, v);
    else printf("  \"%s\": null,\n", key);
}

static void put_json(const sluice_eval_result *r, const sluice_head *head)
{
    puts("{");
    put_number("accuracy", r->accuracy);
    put_number("accuracy_low", r->accuracy_low);
    put_number("accuracy_high", r->accuracy_high);
    put_number("nll", r->nll);
    put_number("ece", r->ece);
    put_number("macro_f1", r->macro_f1);
    printf("  \"n\": %lld,\n  \"correct\": %lld,\n  \"train_overlap\": %lld,\n  \"per_class\": [", (long long)r->n,
           (long long)r->correct, (long long)r->train_overlap);
    for (int j = 0; j < r->classes; j++) {
        const sluice_class_result *k = &r->per_class[j];
        printf("%s\n    {\"class\": ", j ? "," : "");
        put_json_text(stdout, sluice_head_class_name(head, j));
        printf(", \"n\": %lld, \"correct\": %lld, \"predicted\": %lld}", (long long)k->n, (long long)k->correct,
               (long long)k->predicted);
    }
    bool confusion = o.confusion && r->confusion;
    printf("\n  ]%s\n", confusion ? "," : "");
    if (confusion) {
        printf("  \"confusion\": [");
        for (int i = 0; i < r->classes; i++) {
            printf("%s\n    [", i ? "," : "");
            for (int j = 0; j < r->classes; j++)
                printf("%s%lld", j ? ", " : "", (long long)r->confusion[(size_t)i * (size_t)r->classes + (size_t)j]);
            fputc(']', stdout);
        }
        printf("\n  ]\n");
    }
    puts("}");
}

static void put_table(const sluice_eval_result *r, const sluice_head *head)
{
    printf("accuracy       %.4f  (95%%: %.4f .. %.4f)\n", r->accuracy, r->accuracy_low, r->accuracy_high);
    printf("nll            %.4f\nece            %.4f\nmacro f1       %.4f\n", r->nll, r->ece, r->macro_f1);
    printf("rows           %lld, %lld right\n", (long long)r->n, (long long)r->correct);
    if (r->train_overlap) printf("train overlap  %lld of them were trained on\n", (long long)r->train_overlap);
    printf("\n%-20s %8s %8s %9s %8s\n", "class", "rows", "right", "predicted", "recall");
    for (int j = 0; j < r->classes; j++) {
        const sluice_class_result *k = &r->per_class[j];
        printf("%-20s %8lld %8lld %9lld", sluice_head_class_name(head, j), (long long)k->n, (long long)k->correct,
               (long long)k->predicted);
        if (k->n) printf(" %8.4f\n", (double)k->correct / (double)k->n);
        else printf(" %8s\n", "-");
    }
    for (int i = 0; o.confusion && r->confusion && i < r->classes; i++) {
        printf("%s%-20s", i ? "" : "\nconfusion, a row for each true class\n", sluice_head_class_name(head, i));
        for (int j = 0; j < r->classes; j++)
            printf(" %6lld", (long long)r->confusion[(size_t)i * (size_t)r->classes + (size_t)j]);
        fputc('\n', stdout);
    }
}

static sluice_status run(cli *c)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL;
    sluice_head *head = NULL;
    sluice_eval_result r = { 0 };
    TRY(sluice_head_load(c->s, o.head, &head));
    TRY(open_pool(c, &o.pool, &o.in, &pool));
    TRY(open_labels(c, pool, o.labels, &o.in, &labels));
    TRY(sluice_eval(c->s, pool, head, labels, &r));
    if (o.json) put_json(&r, head);
    else put_table(&r, head);
out:
    sluice_eval_result_release(&r);
    sluice_head_free(head);
    sluice_labels_free(labels);
    sluice_pool_free(pool);
    return st;
}

const cli_command cli_eval = {
    "eval",
    "accuracy, calibration and per-class results of a head",
    "POOL... --head HEAD --labels FILE [options]",
    "sluice eval test.npy --head head.safetensors --labels test-labels.csv --json",
    opts,
    &o.pool,
    "POOL",
    1,
    0,
    run,
};
