/* fault_learn.c - training, evaluating, saving and loading heads while the n-th allocation fails: E_MEMORY with a message,
 * no head, no file, nothing leaked (the address sanitizer watches). */
#include "failing.h"
#include "harness.h"
#include "learn.h"
#include "pool.h"

#include <unistd.h>

enum { M = 30, D = 3, C = 3 };
static float x[M * D];
static int32_t target[M];
static sluice_pool *pool, *other;
static sluice_labels *labels;
static sluice_head *head; /* a good one */

static sluice_status train_with(sluice *s, const char *layers, const sluice_pool *pseudo)
{
    sluice_head *h = NULL;
    sluice_train_args a = {
        .size = sizeof a, .labels = labels, .l2 = 0.1, .layers = layers, .epochs = 2, .pseudo = pseudo
    };
    sluice_status st = sluice_train(s, pool, &a, &h);
    CHECK(!st == !!h, "status %d and head %p", st, (void *)h);
    sluice_head_free(h);
    return st;
}

static sluice_status train_line(sluice *s) { return train_with(s, NULL, NULL); }
static sluice_status train_self(sluice *s) { return train_with(s, NULL, other); }
static sluice_status train_mlp(sluice *s) { return train_with(s, "mlp:4,relu,drop:0.5,linear", NULL); }

static sluice_status evaluate(sluice *s)
{
    sluice_eval_result r = { 0 };
    sluice_status st = sluice_eval(s, pool, head, labels, &r);
    CHECK(st || r.n == M, "%lld rows", (long long)r.n);
    sluice_eval_result_release(&r);
    return st;
}

static sluice_status save(sluice *s)
{
    const char *path = test_path("saved.safetensors");
    unlink(path);
    sluice_status st = sluice_head_save(s, head, path, 0);
    CHECK(!st == !access(path, F_OK), "status %d, and the file is%s there", st, access(path, F_OK) ? " not" : "");
    return st;
}

static sluice_status load(sluice *s)
{
    sluice_head *h = NULL;
    sluice_status st = sluice_head_load(s, test_path("good.safetensors"), &h);
    CHECK(!st == !!h, "status %d and head %p", st, (void *)h);
    sluice_head_free(h);
    return st;
}

static sluice_status import(sluice *s)
{
    sluice_head *h = NULL;
    sluice_status st = head_import(s, test_path("good.safetensors"), NULL, "layer.0", NULL, 0, &h);
    sluice_head_free(h);
    return st;
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    fill_normal(x, M * D, 1);
    for (int i = 0; i < M; i++) target[i] = i % C, x[i * D + i % C] += 2;
    CHECK_OK(s, sluice_pool_from_rows(s, x, SLUICE_F32, M, D, D * sizeof(float), NULL, &pool));
    CHECK_OK(s, sluice_pool_from_rows(s, x, SLUICE_F32, M - 1, D, D * sizeof(float), NULL, &other));
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &labels));
    CHECK_OK(s,
             sluice_train(s, pool, &(sluice_train_args){ .size = sizeof(sluice_train_args), .labels = labels }, &head));
    CHECK_OK(s, sluice_head_save(s, head, test_path("good.safetensors"), 1));
    each_fails(s, "train a linear head", train_line);
    each_fails(s, "train a linear head with self-training", train_self);
    each_fails(s, "train a layer line", train_mlp);
    each_fails(s, "eval", evaluate);
    each_fails(s, "save", save);
    each_fails(s, "load", load);
    each_fails(s, "import", import);
    sluice_head_free(head), sluice_labels_free(labels), sluice_pool_free(pool), sluice_pool_free(other);
    sluice_close(s);
    return test_end();
}
