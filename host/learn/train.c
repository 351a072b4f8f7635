/* train.c - from labelled rows of a pool to a head: gathers, drops classes without labels, lets linear.c or layers.c fit,
 * records what the head was trained on. */
#include "learn.h"
#include "exact.h"

#include <string.h>

static sluice_status check_args(sluice *s, const train_set *t, const sluice_train_args *a)
{
    if (a->class_weights && strcmp(a->class_weights, "balanced") != 0)
        return sluice_fail(s, SLUICE_E_USAGE, "class weights are 'balanced' or none, not '%s'", a->class_weights);
    if (!(a->l2 >= 0 && a->l2 <= 1e6) || (a->l2 > 0 && a->l2 < 1e-12))
        return sluice_fail(s, SLUICE_E_USAGE, "l2 is 0 (chosen) or from 1e-12 to 1e6, not %g", a->l2);
    if (t->m < 2)
        return sluice_fail(s, SLUICE_E_DATA, "cannot train on %lld labelled rows, 2 are the least", (long long)t->m);
    return SLUICE_OK;
}

/* ---- classes without labels have no output ---- */

typedef struct class_subset {
    int32_t *target; /* [m] renumbered */
    char **names;    /* [classes] borrowed */
    int classes;
} class_subset;

static sluice_status subset_of(sluice *s, const train_set *t, class_subset *out)
{
    sluice_status st = SLUICE_OK;
    class_subset u = { 0 };
    int32_t *number = NULL; /* new number + 1 of each class, 0: no labels */
    TRY_NEW(number, NEW(s, t->classes, int32_t));
    TRY_NEW(u.target, RAW(s, t->m, int32_t));
    TRY_NEW(u.names, NEW(s, t->classes, char *));
    for (int64_t i = 0; i < t->m; i++) {
        if (t->target[i] < 0 || t->target[i] >= t->classes)
            FAIL(E_DATA, "labelled row %lld has class %d of %d", (long long)i, t->target[i], t->classes);
        number[t->target[i]] = 1;
    }
    for (int j = 0; j < t->classes; j++)
        if (number[j]) u.names[u.classes] = t->names[j], number[j] = ++u.classes;
    for (int64_t i = 0; i < t->m; i++) u.target[i] = number[t->target[i]] - 1;
    if (u.classes < 2)
        FAIL(E_DATA, "cannot train: all %lld labelled rows are of class '%s', label rows of another class too",
             (long long)t->m, u.names[0]);
    if (u.classes < t->classes)
        log_line(s, SLUICE_INFO, "%d of %d classes have no labels and get no output", t->classes - u.classes,
                 t->classes);
    *out = u, u = (class_subset){ 0 };
out:
    mem_free(number), mem_free(u.target), mem_free(u.names);
    return st;
}

/* ---- what it was trained on ---- */

static sluice_status record_rows(sluice *s, const train_set *t, sluice_head *h)
{
    sluice_status st = SLUICE_OK;
    TRY_NEW(h->train_ids, RAW(s, t->m, uint64_t));
    TRY_NEW(h->train_row_hash, RAW(s, t->m, uint64_t));
    memcpy(h->train_ids, t->ids, (size_t)t->m * sizeof(uint64_t));
    for (int64_t i = 0; i < t->m; i++)
        h->train_row_hash[i] = hash_bytes(t->x + i * t->width, (size_t)t->width * sizeof(float), 0);
    h->train_count = t->m;
    h->pool_fingerprint = t->fingerprint;
out:
    return st;
}

sluice_status weigh_classes(sluice *s, const char *rule, const int32_t *target, const int64_t *order, int64_t m,
                            int classes, float **out)
{
    sluice_status st = SLUICE_OK;
    int64_t *count = NULL;
    *out = NULL;
    if (!rule) return SLUICE_OK;
    TRY_NEW(count, NEW(s, classes, int64_t));
    TRY_NEW(*out, RAW(s, classes, float));
    for (int64_t i = 0; i < m; i++) count[target[order ? order[i] : i]]++;
    for (int j = 0; j < classes; j++) (*out)[j] = (float)((double)m / ((double)classes * (double)count[j]));
out:
    mem_free(count);
    return st;
}

/* self-trained, in a copy where out_self asks for both. */
static sluice_status go_on_alone(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head *h,
                                 sluice_head **out_self)
{
    sluice_status st = SLUICE_OK;
    sluice_head *copy = NULL;
    if (!out_self) return self_train(s, t, a, h);
    TRY(head_copy(s, h, &copy));
    TRY(head_prepare(s, copy));
    TRY(self_train(s, t, a, copy));
    *out_self = copy, copy = NULL;
out:
    sluice_head_free(copy);
    return st;
}

sluice_status train_head(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_head)
{
    return train_heads(s, t, a, NULL, out_head);
}

sluice_status train_heads(sluice *s, const train_set *t, const sluice_train_args *a, sluice_head **out_self,
                          sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    sluice_head *h = NULL;
    class_subset u = { 0 };
    const char *line = a->layers ? a->layers : "linear";
    TRY(check_args(s, t, a));
    TRY(self_train_check(s, t, a));
    TRY(subset_of(s, t, &u));
    train_set known = *t;
    known.target = u.target, known.names = u.names, known.classes = u.classes;
    TRY(strcmp(line, "linear") == 0 ? train_linear(s, &known, a, &h) : train_layers(s, &known, a, 0, &h));
    TRY(record_rows(s, &known, h));
    if (a->pseudo) TRY(go_on_alone(s, &known, a, h, out_self));
    *out_head = h, h = NULL;
out:
    sluice_head_free(h);
    mem_free(u.target), mem_free(u.names);
    return st;
}

/* ---- from a pool ---- */

typedef struct gathered {
    float *x;
    int32_t *target;
    uint64_t *ids;
    int64_t m;
} gathered;

static void gathered_release(gathered *g) { mem_free(g->x), mem_free(g->target), mem_free(g->ids); }

static bool row_finite(const float *x, int64_t d)
{
    int finite = 1;
    for (int64_t k = 0; k < d; k++) finite &= ex_finite(x[k]);
    return finite;
}

/* The labelled rows; those that hold a NaN or an infinity are left out and counted. */
static sluice_status gather(sluice *s, const sluice_pool *pool, const sluice_labels *l, gathered *out)
{
    sluice_status st = SLUICE_OK;
    gathered g = { 0 };
    int64_t d = pool->width;
    TRY_NEW(g.x, mem_raw(s, l->count, sizeof(float) * (size_t)d));
    TRY_NEW(g.target, RAW(s, l->count, int32_t));
    TRY_NEW(g.ids, RAW(s, l->count, uint64_t));
    TRY(pool_gather(s, pool, l->row, l->count, g.x));
    for (int64_t i = 0; i < l->count; i++) {
        if (!row_finite(g.x + i * d, d)) continue;
        if (g.m < i) memcpy(g.x + g.m * d, g.x + i * d, (size_t)d * sizeof(float));
        g.target[g.m] = l->target[i];
        g.ids[g.m++] = sluice_pool_id64(pool, l->row[i]);
    }
    if (g.m < l->count)
        log_line(s, SLUICE_WARNING, "%lld of %lld labelled rows hold a NaN or an infinity and are not trained on",
                 (long long)(l->count - g.m), (long long)l->count);
    *out = g, g = (gathered){ 0 };
out:
    gathered_release(&g);
    return st;
}

sluice_status train_both(sluice *s, const sluice_pool *pool, const sluice_train_args *a, sluice_head **out_self,
                         sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    gathered g = { 0 };
    const sluice_labels *l = a->labels;
    if (!l) FAIL(E_USAGE, "cannot train without labels");
    if (l->fingerprint != pool->fingerprint) FAIL(E_DATA, "cannot train: the labels belong to another pool");
    TRY(gather(s, pool, l, &g));
    train_set t = { .x = g.x,
                    .target = g.target,
                    .ids = g.ids,
                    .m = g.m,
                    .width = pool->width,
                    .classes = l->classes,
                    .names = l->names,
                    .fingerprint = pool->fingerprint };
    memcpy(t.shape, pool->shape, sizeof t.shape);
    TRY(train_heads(s, &t, a, out_self, out_head));
out:
    gathered_release(&g);
    return st;
}

sluice_status sluice_train(sluice *s, const sluice_pool *pool, const sluice_train_args *args, sluice_head **out_head)
{
    sluice_train_args a = { 0 };
    memcpy(&a, args, args->size < sizeof a ? args->size : sizeof a);
    fp_state fp = fp_enter();
    s->error[0] = 0;
    sluice_status st = train_both(s, pool, &a, NULL, out_head);
    fp_leave(fp);
    return st;
}
