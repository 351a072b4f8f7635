/* layers.c - fits a layer line by minibatches: AdamW or SGD with momentum, cosine schedule, early stopping on a calibration
 * split, temperature from the same split.
 *
 *   split        a fifth of each class, lowest hash64(seed, id) first; none with under 50 labels or 5 of a class
 *   epochs       rows in the order of hash64(seed and epoch, id), whatever order they came in
 *   watched      the calibration loss, without a split the training loss; the weights of its best epoch stay
 *
 * Nothing here depends on the number of threads or devices: rows are sorted, sums are ops' or run over rows ascending in
 * double, and several devices share a batch as team.h says. */
#include "backends.h"
#include "device.h"
#include "learn.h"
#include "philox.h"
#include "team.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { SPLIT_ROWS = 50, SPLIT_CLASS = 5, SPLIT_SHARE = 5 };
enum { BATCH = 64, PATIENCE = 10, MAX_BATCH = 65536, WARM_UP_SHARE = 20, WARM_UP_STEPS = 200 };

/* The batches that come next, standardised where ops compute: one on a CPU, whose caches it stays in; many on a device, so
 * that copies are large and the host need not wait for a batch. */
typedef struct window {
    int64_t rows; /* room, whole batches */
    float *x;     /* [rows, width] gathered by the host */
    int32_t *target;
    bool pinned; /* x */
    seated_rows seats;
} window;

enum {
    WINDOW_BYTES = 64 << 20,  /* of a device's */
    PARALLEL_FLOATS = 1 << 20 /* from which a window is gathered by several threads */
};

typedef struct training {
    sluice *s;
    const train_set *t;
    const sluice_train_args *a;
    sluice_head *h;
    team_cut cut;
    window win;
    team team;
    int64_t *order, train_rows; /* [m] rows trained on, in the order of this epoch, then the calibration split */
    int64_t held_rows;
    int32_t *held_target; /* [held_rows] */
    float *held_logits;   /* [held_rows, classes] of the epoch just ended, where ops compute */
    float *class_weight;  /* [classes] or NULL */
    struct {
        float *mean;
        int32_t *held_target;
    } seat; /* on the first, which judges */
    optimizer o;
    float rate;
    int epochs, batch, best_epoch;
    double best_loss;
    outfile *log;
} training;

/* ---- standardise ---- */

/* Mean of each channel (each value of a flat row) and one scale, the RMS of what is left; sums in double, rows ascending. */
static sluice_status standardise(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    const train_set *t = r->t;
    int64_t channels = r->h->in_shape[1] > 0 ? r->h->in_shape[2] : t->width, pixels = t->width / channels;
    double *sum = NULL, square = 0;
    TRY_NEW(sum, NEW(s, channels, double));
    TRY_NEW(r->h->mean, RAW(s, t->width, float));
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t k = 0; k < t->width; k++) sum[k % channels] += (double)t->x[i * t->width + k];
    for (int64_t k = 0; k < t->width; k++) r->h->mean[k] = (float)(sum[k % channels] / ((double)t->m * (double)pixels));
    for (int64_t i = 0; i < t->m; i++) {
        double row = 0;
        for (int64_t k = 0; k < t->width; k++) {
            double v = (double)t->x[i * t->width + k] - (double)r->h->mean[k];
            row += v * v;
        }
        square += row;
    }
    r->h->scale = (float)sqrt(square / ((double)t->m * (double)t->width));
    if (!(r->h->scale > 0)) r->h->scale = 1;
    if (!(r->h->scale < 1e30f))
        FAIL(E_DATA, "the labelled features are too large to standardise: their spread is %g", (double)r->h->scale);
out:
    mem_free(sum);
    return st;
}

/* ---- split ---- */

typedef struct keyed {
    uint64_t key;
    int64_t row;
    int32_t group;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static bool can_split(const train_set *t, const int64_t *count)
{
    if (t->m < SPLIT_ROWS) return false;
    for (int j = 0; j < t->classes; j++)
        if (count[j] < SPLIT_CLASS) return false;
    return true;
}

static sluice_status split(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    const train_set *t = r->t;
    int64_t *count = NULL;
    keyed *rows = NULL;
    TRY_NEW(count, NEW(s, t->classes, int64_t));
    TRY_NEW(rows, RAW(s, t->m, keyed));
    TRY_NEW(r->order, RAW(s, t->m, int64_t));
    for (int64_t i = 0; i < t->m; i++) {
        rows[i] = (keyed){ ex_hash64(r->a->seed, t->ids[i]), i, t->target[i] };
        count[t->target[i]]++;
    }
    qsort(rows, (size_t)t->m, sizeof *rows, by_key);
    bool splits = can_split(t, count);
    for (int j = 0; j < t->classes && splits; j++) r->held_rows += count[j] / SPLIT_SHARE;
    int64_t held = t->m - r->held_rows, place = 0;
    for (int64_t i = 0; i < t->m; i++) {
        place = i > 0 && rows[i].group == rows[i - 1].group ? place + 1 : 0;
        if (splits && place < count[rows[i].group] / SPLIT_SHARE) r->order[held++] = rows[i].row;
        else r->order[r->train_rows++] = rows[i].row;
    }
out:
    mem_free(count), mem_free(rows);
    return st;
}

/* ---- schedule ---- */

/* 60 for up to 500 labels, a fifth less at each doubling: 12 for 60,000. */
static int default_epochs(int64_t m)
{
    int epochs = 60;
    for (int64_t n = 500; n < m && epochs > 8; n *= 2) epochs -= epochs / 5;
    return epochs;
}

/* With few labels small batches give the steps that the weights need: 400 images of Fashion-MNIST come to 0.77 by 16,
 * to 0.75 by 64. */
static int default_batch(int64_t m)
{
    if (m < 2000) return 16;
    return m < 8000 ? 32 : 64;
}

/* (1 + cos(pi u)) / 2 for u in [0, 1], by a series of its own: no libm decides a weight. */
static double half_cosine(double u)
{
    double y = u * 1.57079632679489661923, term = 1, sum = 1;
    for (int k = 1; k <= 12; k++) {
        term *= -y * y / (double)((2 * k - 1) * (2 * k));
        sum += term;
    }
    return sum * sum;
}

static float rate_at(const training *r, int64_t step, int64_t steps)
{
    int64_t warm = steps / WARM_UP_SHARE < WARM_UP_STEPS ? steps / WARM_UP_SHARE : WARM_UP_STEPS;
    if (step < warm) return (float)((double)r->rate * (double)(step + 1) / (double)(warm + 1));
    return (float)((double)r->rate * half_cosine((double)(step - warm) / (double)(steps - warm)));
}

static void shuffle(training *r, int epoch, keyed *scratch)
{
    uint64_t key = ex_mix64(r->a->seed ^ ex_mix64((uint64_t)EX_SHUFFLE)) + (uint64_t)epoch;
    for (int64_t i = 0; i < r->train_rows; i++)
        scratch[i] = (keyed){ ex_hash64(key, r->t->ids[r->order[i]]), r->order[i], 0 };
    qsort(scratch, (size_t)r->train_rows, sizeof *scratch, by_key);
    for (int64_t i = 0; i < r->train_rows; i++) r->order[i] = scratch[i].row;
}

/* ---- where ops compute ---- */

static sluice_status window_new(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    window *w = &r->win;
    int64_t width = r->t->width, batch = r->cut.batch, batches = 1;
    if (on_device(s)) batches = WINDOW_BYTES / (int64_t)sizeof(float) / width / batch;
    if (batches > (r->t->m + batch - 1) / batch) batches = (r->t->m + batch - 1) / batch;
    if (batches < 1) batches = 1;
    w->rows = batches * batch;
    TRY_NEW(w->x, mem_raw(s, w->rows, (size_t)width * sizeof(float)));
    TRY_NEW(w->target, RAW(s, w->rows, int32_t));
    w->pinned = dev_pin(s, w->x, (size_t)(w->rows * width) * sizeof(float));
    TRY(seated_rows_init(&w->seats, s, r->cut.seats, w->x, w->target, w->rows, width, r->class_weight, r->t->classes));
out:
    return st;
}

static void window_release(sluice *s, window *w)
{
    seated_rows_release(&w->seats);
    dev_unpin(s, w->x, w->pinned);
    mem_free(w->x), mem_free(w->target);
}

static sluice_status seat_all(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    int64_t c = r->t->classes;
    TRY(window_new(r));
    TRY(team_init(&r->team, &r->win.seats, r->h, r->cut));
    TRY_NEW(r->seat.mean, dev_seat_filled(s, r->h->mean, r->t->width, sizeof(float)));
    if (r->held_rows == 0) goto out;
    TRY_NEW(r->held_target, RAW(s, r->held_rows, int32_t));
    for (int64_t i = 0; i < r->held_rows; i++) r->held_target[i] = r->t->target[r->order[r->train_rows + i]];
    TRY_NEW(r->seat.held_target, dev_seat_filled(s, r->held_target, r->held_rows, sizeof(int32_t)));
    TRY_NEW(r->held_logits, dev_new(s, r->held_rows, (size_t)c * sizeof(float)));
out:
    return st;
}

static void unseat_all(training *r)
{
    sluice *s = r->s;
    team_release(&r->team);
    window_release(s, &r->win);
    dev_free(s, r->held_logits);
    dev_unseat(s, r->seat.mean, r->h ? r->h->mean : NULL);
    dev_unseat(s, r->seat.held_target, r->held_target);
}

/* Rows order[first .. first + rows - 1], to the first seat. */
static sluice_status load_window(training *r, int64_t first, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    const train_set *t = r->t;
    window *w = &r->win;
    size_t row_bytes = (size_t)t->width * sizeof(float);
    sluice_view x = sluice_rows(w->seats.seat[0].x, SLUICE_F32, rows, t->width);
    int threads = rows * t->width >= PARALLEL_FLOATS ? r->s->threads : 1;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < rows; i++) {
        int64_t row = r->order[first + i];
        memcpy(w->x + i * t->width, t->x + row * t->width, row_bytes);
        w->target[i] = t->target[row];
    }
    TRY(seated_rows_load(&w->seats, rows));
    TRY(sluice_op_convert(r->s,
                          &(sluice_op_convert_args){ .x = x, .out = x, .mean = r->seat.mean, .divisor = r->h->scale }));
out:
    return st;
}

/* ---- epochs ---- */

static int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* A step for each batch of a loaded window. */
static sluice_status learn_window(training *r, int epoch, progress *g, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    int64_t batch = r->cut.batch, batches = (r->train_rows + batch - 1) / batch;
    for (int64_t at = 0; at < rows; at += batch) {
        team_batch b = { .first = at, .rows = at_most(rows - at, batch), .seed = r->a->seed };
        TRY(progress_step(r->s, g, epoch, 0));
        r->o.rate = rate_at(r, r->o.step, r->epochs * batches);
        b.step = (uint64_t)++r->o.step;
        TRY(team_learn(&r->team, &b, &r->o));
    }
out:
    return st;
}

/* Mean loss over the epoch, each batch judged before its step. */
static sluice_status run_epoch(training *r, int epoch, progress *g, double *out_loss)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    window *w = &r->win;
    double sum = 0;
    for (int64_t first = 0; first < r->train_rows; first += w->rows) {
        int64_t rows = at_most(r->train_rows - first, w->rows);
        TRY(load_window(r, first, rows));
        TRY(seated_rows_share(&w->seats, rows));
        TRY(learn_window(r, epoch, g, rows));
        TRY(team_loss(&r->team, rows, &sum));
    }
    *out_loss = sum / (double)r->train_rows;
    if (!isfinite(*out_loss)) {
        st = sluice_fail(s, SLUICE_E_DATA, "training diverged in epoch %d: the loss is not a finite number", epoch + 1);
        st = sluice_hint(s, st, "a smaller --rate, %g is too large here", (double)r->rate);
    }
out:
    return st;
}

static sluice_status held_logits(training *r)
{
    sluice_status st = SLUICE_OK;
    const window *w = &r->win;
    network *n = r->team.seat[0].n;
    for (int64_t first = 0; first < r->held_rows; first += w->rows) {
        int64_t rows = at_most(r->held_rows - first, w->rows);
        TRY(load_window(r, r->train_rows + first, rows));
        for (int64_t at = 0; at < rows; at += n->rows)
            TRY(network_logits(n, w->seats.seat[0].x + at * r->t->width, at_most(rows - at, n->rows),
                               r->held_logits + (first + at) * r->t->classes));
    }
out:
    return st;
}

static sluice_status held_loss(training *r, double *out_loss)
{
    sluice_status st = SLUICE_OK;
    double sum;
    TRY(held_logits(r));
    TRY(sluice_op_loss(
        r->s, &(sluice_op_loss_args){ .logits = sluice_rows(r->held_logits, SLUICE_F32, r->held_rows, r->t->classes),
                                      .target = r->seat.held_target,
                                      .weight = r->win.seats.seat[0].class_weight,
                                      .out_sum = &sum }));
    *out_loss = sum / (double)r->held_rows;
out:
    return st;
}

static sluice_status log_epoch(training *r, int epoch, double loss, double watched)
{
    if (!r->log) return SLUICE_OK;
    if (r->held_rows) return outfile_printf(r->s, r->log, "%d,%.9g,%.9g\n", epoch + 1, loss, watched);
    return outfile_printf(r->s, r->log, "%d,%.9g,\n", epoch + 1, loss);
}

static sluice_status run_epochs(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    keyed *scratch = NULL;
    network *n = r->team.seat[0].n; /* all have the same weights */
    int patience = r->a->patience > 0 ? r->a->patience : PATIENCE;
    progress g;
    progress_begin(&g, "train", "epochs", r->epochs);
    TRY_NEW(scratch, RAW(s, r->train_rows, keyed));
    for (int epoch = 0; epoch < r->epochs && epoch - r->best_epoch <= patience; epoch++) {
        double loss, watched;
        shuffle(r, epoch, scratch);
        TRY(run_epoch(r, epoch, &g, &loss));
        watched = loss;
        if (r->held_rows) TRY(held_loss(r, &watched));
        TRY(log_epoch(r, epoch, loss, watched));
        if (epoch == 0 || watched < r->best_loss) {
            r->best_loss = watched, r->best_epoch = epoch;
            TRY(network_keep(n));
        }
        TRY(progress_step(s, &g, epoch + 1, 0));
    }
    TRY(network_restore(n));
    TRY(network_save(n));
    progress_end(s, &g);
out:
    mem_free(scratch);
    return st;
}

/* ---- the head ---- */

/* Temperature and held-out logits of the weights that stay. */
static sluice_status calibrate(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice_head *h = r->h;
    int64_t m = r->held_rows, c = r->t->classes;
    if (m == 0) goto out;
    TRY(held_logits(r));
    TRY_NEW(h->held_logits, mem_raw(r->s, m, (size_t)c * sizeof(float)));
    TRY_NEW(h->held_target, RAW(r->s, m, int32_t));
    TRY(dev_copy(r->s, h->held_logits, r->held_logits, (size_t)(m * c) * sizeof(float)));
    memcpy(h->held_target, r->held_target, (size_t)m * sizeof(int32_t));
    quarantine_logits(h->held_logits, m, c, NULL);
    h->held_count = m;
    h->temperature = calibrate_temperature(h->held_logits, h->held_target, m, (int)c);
out:
    return st ? st : head_prepare(r->s, h);
}

static sluice_status describe(training *r)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    char *text = NULL;
    json_t *j =
        json_pack("{s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:f, s:f, s:f}", "method", r->o.sgd ? "sgd" : "adamw", "rows",
                  (json_int_t)r->t->m, "seed", (json_int_t)r->a->seed, "held_out", (json_int_t)r->held_rows, "epochs",
                  r->epochs, "best_epoch", r->best_epoch + 1, "batch", r->batch, "rate", (double)r->rate, "decay",
                  (double)r->o.decay, r->held_rows ? "calibration_loss" : "train_loss", r->best_loss);
    if (j) text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!text) FAIL(E_MEMORY, "no memory to describe the training");
    TRY_NEW(r->h->trained, mem_text(s, text));
out:
    free(text);
    json_decref(j);
    return st;
}

static sluice_status read_args(training *r)
{
    sluice *s = r->s;
    const sluice_train_args *a = r->a;
    sluice_status st = SLUICE_OK;
    if (a->optimizer && strcmp(a->optimizer, "adamw") != 0 && strcmp(a->optimizer, "sgd") != 0)
        FAIL(E_USAGE, "the optimizer is 'adamw' or 'sgd', not '%s'", a->optimizer);
    if (a->class_weights && strcmp(a->class_weights, "balanced") != 0)
        FAIL(E_USAGE, "class weights are 'balanced' or none, not '%s'", a->class_weights);
    if (a->epochs < 0 || a->patience < 0)
        FAIL(E_USAGE, "%d epochs with a patience of %d are not possible", a->epochs, a->patience);
    if (a->batch < 0 || a->batch > MAX_BATCH) FAIL(E_USAGE, "a batch has 1 to %d rows, not %d", MAX_BATCH, a->batch);
    if (!(a->rate >= 0 && a->rate <= 100))
        FAIL(E_USAGE, "the learning rate is above 0 and at most 100, not %g", a->rate);
    r->o.sgd = a->optimizer && strcmp(a->optimizer, "sgd") == 0;
    r->rate = (float)(a->rate > 0 ? a->rate : r->o.sgd ? 0.05 : 1e-3);
    r->o.decay = (float)(a->l2 > 0 ? a->l2 : r->o.sgd ? 5e-4 : 1e-2);
    r->epochs = a->epochs > 0 ? a->epochs : default_epochs(r->t->m);
    r->batch = a->batch > 0 ? a->batch : default_batch(r->t->m);
out:
    return st;
}

static sluice_status fit(training *r, int blocks)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    TRY(read_args(r));
    TRY(head_new(s, r->a->layers, r->t->shape, r->t->classes, r->t->names, &r->h));
    if (r->h->in_width != r->t->width)
        FAIL(E_SHAPE, "the layers take rows of %lld values, these have %lld", (long long)r->h->in_width,
             (long long)r->t->width);
    TRY(head_tensors(s, r->h));
    TRY(standardise(r));
    TRY(split(r));
    TRY(weigh_classes(s, r->a->class_weights, r->t->target, r->order, r->train_rows, r->t->classes, &r->class_weight));
    head_start(r->h, r->a->seed);
    r->cut = team_cut_of(s, r->h, at_most(r->batch, r->train_rows), blocks);
    TRY(seat_all(r));
    if (r->a->loss_log) {
        TRY(outfile_open(s, r->a->loss_log, true, &r->log));
        TRY(outfile_printf(s, r->log, "epoch,train_loss,calibration_loss\n"));
    }
    TRY(run_epochs(r));
    TRY(calibrate(r));
    TRY(describe(r));
    if (r->log) {
        outfile *log = r->log;
        r->log = NULL;
        TRY(outfile_commit(s, log));
    }
out:
    return st;
}

sluice_status train_layers(sluice *s, const train_set *t, const sluice_train_args *a, int blocks,
                           sluice_head **out_head)
{
    training r = { .s = s, .t = t, .a = a };
    sluice_status st = fit(&r, blocks);
    outfile_abort(r.log);
    unseat_all(&r);
    if (st == SLUICE_OK) *out_head = r.h;
    else sluice_head_free(r.h);
    mem_free(r.order), mem_free(r.held_target), mem_free(r.class_weight);
    return st == SLUICE_OK ? st : sluice_note(s, st, "cannot train '%s'", a->layers);
}
