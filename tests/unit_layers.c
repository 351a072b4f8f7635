/* unit_layers.c - training of layer lines: gradients against finite differences of a network in double, the same weights on
 * every tier and thread count, on any number of GPUs, their loss curve beside the CPU's, the calibration split, early
 * stopping, and that it learns.  The cases that visit every tier have the word in their names, those of several GPUs too. */
#include "backends.h"
#include "device.h"
#include "harness.h"
#include "learn.h"
#include "philox_ref.h"
#include "team.h"

static char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };

/* ---- a network in double, by definition ---- */

typedef struct drops {
    uint64_t seed, step;
} drops; /* masks to apply, or NULL */

static void conv_layer(const layer *l, const double *x, double *y)
{
    const sluice_conv_shape *q = &l->conv;
    for (int64_t o = 0; o < q->out_h * q->out_w * q->cout; o++) {
        int64_t oy = o / q->cout / q->out_w, ox = o / q->cout % q->out_w, co = o % q->cout;
        y[o] = (double)l->b[co];
        for (int64_t k = 0; k < q->kernel * q->kernel * q->cin; k++) {
            int64_t iy = oy * q->stride + k / q->cin / q->kernel - q->pad,
                    ix = ox * q->stride + k / q->cin % q->kernel - q->pad;
            if (iy >= 0 && iy < q->h && ix >= 0 && ix < q->w)
                y[o] +=
                    (double)l->w[co * q->kernel * q->kernel * q->cin + k] * x[(iy * q->w + ix) * q->cin + k % q->cin];
        }
    }
}

static void pool_layer(const layer *l, const double *x, double *y)
{
    int64_t w = l->in_shape[1], c = l->in_shape[2], n = l->pool_size;
    for (int64_t o = 0; o < l->out_width; o++) {
        int64_t oy = o / c / l->out_shape[1], ox = o / c % l->out_shape[1];
        y[o] = -INFINITY;
        for (int64_t p = 0; p < n * n; p++) {
            double v = x[((oy * n + p / n) * w + ox * n + p % n) * c + o % c];
            if (v > y[o]) y[o] = v;
        }
    }
}

static void apply_layer(const layer *l, int i, const double *x, double *y, int64_t row, const drops *d)
{
    int64_t pixels = l->in_shape[0] * l->in_shape[1];
    for (int64_t o = 0; o < l->out_width; o++) {
        switch (l->kind) {
        case LAYER_RELU: y[o] = x[o] > 0 ? x[o] : 0; break;
        case LAYER_DROP:
            y[o] = !d ? x[o]
                   : ref_kept(d->seed ^ ref_mix64((uint64_t)i + 1), d->step, row, o, l->rate)
                       ? x[o] / (1 - (double)l->rate)
                       : 0;
            break;
        case LAYER_GAP:
            y[o] = 0;
            for (int64_t p = 0; p < pixels; p++) y[o] += x[p * l->out_width + o] / (double)pixels;
            break;
        case LAYER_DENSE:
            y[o] = (double)l->b[o];
            for (int64_t k = 0; k < l->in_width; k++) y[o] += (double)l->w[o * l->in_width + k] * x[k];
            break;
        default: break;
        }
    }
    if (l->kind == LAYER_CONV) conv_layer(l, x, y);
    if (l->kind == LAYER_POOL) pool_layer(l, x, y);
}

/* Logits of one standardised row. */
static void run_row(const sluice_head *h, const double *row, int64_t index, const drops *d, double *logits)
{
    double a[2048], b[2048], *in = a, *out = b;
    memcpy(in, row, (size_t)h->in_width * sizeof *row);
    for (int i = 0; i < h->layer_count; i++) {
        apply_layer(&h->layers[i], i, in, out, index, d);
        double *swap = in;
        in = out, out = swap;
    }
    memcpy(logits, in, (size_t)h->classes * sizeof *logits);
}

static double row_loss(const double *z, int c, int target)
{
    double most = z[0], sum = 0;
    for (int j = 1; j < c; j++) most = z[j] > most ? z[j] : most;
    for (int j = 0; j < c; j++) sum += exp(z[j] - most);
    return most + log(sum) - z[target];
}

/* Rows of the host, standardised. */
typedef struct batch_rows {
    const float *x;
    const int32_t *target;
    int64_t rows;
    const float *weight; /* of classes, or NULL */
} batch_rows;

static double batch_loss(const sluice_head *h, const batch_rows *b, const drops *d)
{
    double sum = 0, z[16], x[2048];
    for (int64_t i = 0; i < b->rows; i++) {
        for (int64_t k = 0; k < h->in_width; k++) x[k] = (double)b->x[i * h->in_width + k];
        run_row(h, x, i, d, z);
        sum += (b->weight ? (double)b->weight[b->target[i]] : 1) * row_loss(z, h->classes, b->target[i]);
    }
    return sum;
}

/* ---- gradients ---- */

/* d loss / d *w from two losses; w is a float, so the step is what it really moves. */
static double difference(const sluice_head *h, const batch_rows *b, const drops *d, float *w)
{
    float at = *w, step = 0x1p-12f;
    *w = at + step;
    double high = batch_loss(h, b, d), moved = (double)*w;
    *w = at - step;
    double low = batch_loss(h, b, d);
    moved -= (double)*w;
    *w = at;
    return (high - low) / moved / (double)b->rows;
}

/* Some of a layer's gradients, which lie where ops compute, one block's behind the other's, against differences. */
static void check_layer(sluice *s, const network *n, int i, const batch_rows *b, const drops *d)
{
    const net_layer *p = &n->layers[i];
    const layer *own = &n->h->layers[i];
    int64_t count = p->weights + p->biases, step = count > 60 ? count / 53 : 1;
    float *grad = calloc((size_t)(2 * n->gradients) + 1, 4), *second = grad + n->gradients;
    CHECK_OK(s, dev_copy(s, grad, n->all + p->grad, (size_t)(n->gradients + count) * 4));
    for (int64_t j = 0; j < count; j += step) {
        double want = difference(n->h, b, d, j < p->weights ? &own->w[j] : &own->b[j - p->weights]);
        CHECK_NEAR((double)grad[j] + (double)second[j], want, 2e-4 + 1e-3 * fabs(want), "layer %d, weight %d of %d", i,
                   (int)j, (int)count);
    }
    free(grad);
}

static void check_network(sluice *s, network *n, const batch_rows *b, const drops *d)
{
    size_t bytes = (size_t)(b->rows * n->h->in_width) * 4;
    float *x = dev_new(s, (int64_t)bytes, 1);
    double loss[2] = { 0 };
    CHECK_OK(s, dev_copy(s, x, b->x, bytes));
    CHECK_OK(s, network_load(n));
    for (int slot = 0; slot < 2; slot++) {
        int64_t first = slot * n->rows, rows = b->rows - first < n->rows ? b->rows - first : n->rows;
        CHECK_OK(s, network_gradients(n,
                                      &(net_block){ .x = x + first * n->h->in_width,
                                                    .target = b->target + first,
                                                    .rows = rows,
                                                    .first = first,
                                                    .batch = b->rows,
                                                    .class_weight = b->weight,
                                                    .seed = d->seed,
                                                    .step = d->step,
                                                    .loss = &loss[slot] },
                                      slot));
    }
    CHECK_NEAR(loss[0] + loss[1], batch_loss(n->h, b, d), 1e-5, "loss");
    for (int i = 0; i < n->h->layer_count; i++) check_layer(s, n, i, b, d);
    dev_free(s, x);
}

static void gradients(const char *line, int64_t h, int64_t w, int64_t c, int weighted)
{
    enum { ROWS = 5, CLASSES = 3 };
    static const int32_t target[ROWS] = { 0, 1, 2, 0, 1 };
    static const float weight[CLASSES] = { 0.5f, 2, 1 };
    static float x[ROWS * 2048];
    const batch_rows b = { x, target, ROWS, weighted ? weight : NULL };
    for (int t = 0; t < tier_count(); t++) {
        if (!case_is("gradients of %s on %dx%dx%d weighted=%d, tier %s", line, (int)h, (int)w, (int)c, weighted,
                     tier_name(t)))
            continue;
        sluice *s = tier_open(t, 2);
        sluice_head *head = NULL;
        network *n = NULL;
        CHECK_OK(s, head_new(s, line, (int64_t[]){ h, w, c }, CLASSES, names, &head));
        CHECK_OK(s, head_tensors(s, head));
        CHECK_OK(s, network_new(s, head, 3, 2, 2, &n)); /* blocks of 3 and 2 rows */
        head_start(head, 5);
        for (int i = 0; i < head->layer_count; i++)
            if (n->layers[i].biases) fill_normal(head->layers[i].b, n->layers[i].biases, (uint64_t)i);
        fill_normal(x, ROWS * head->in_width, 6);
        check_network(s, n, &b, &(drops){ 11, 3 });
        network_free(n);
        sluice_head_free(head);
        sluice_close(s);
    }
}

/* ---- data ---- */

typedef struct data {
    float *x;
    int32_t *target;
    uint64_t *ids;
    train_set t;
} data;

/* Rows [8, 8, 2] of noise with a bright bar: across, down or along the diagonal. */
static data bars(int64_t m, int classes, uint64_t seed)
{
    data b = { .x = calloc((size_t)m * 128, 4), .target = calloc((size_t)m, 4), .ids = calloc((size_t)m, 8) };
    rng r = { seed };
    fill_normal(b.x, m * 128, seed + 1);
    for (int64_t i = 0; i < m; i++) {
        int kind = b.target[i] = (int32_t)(i % classes), at = (int)(rng_u64(&r) % 8);
        b.ids[i] = 1000 + (uint64_t)i * 7;
        for (int j = 0; j < 8; j++) {
            int pixel = kind == 0 ? at * 8 + j : kind == 1 ? j * 8 + at : j * 8 + (at + j) % 8;
            b.x[i * 128 + pixel * 2 + 1] += 4;
        }
    }
    b.t = (train_set){ b.x, b.target, b.ids, m, { 8, 8, 2 }, 128, classes, names, 0 };
    return b;
}

static void data_free(data *b) { free(b->x), free(b->target), free(b->ids); }

static double accuracy(sluice *s, const sluice_head *h, const data *b)
{
    float *z = calloc((size_t)(b->t.m * h->classes), 4);
    int64_t right = 0;
    CHECK_OK(s, head_logits(s, h, sluice_rows(b->x, SLUICE_F32, b->t.m, b->t.width), z));
    for (int64_t i = 0; i < b->t.m; i++) {
        int best = 0;
        for (int j = 1; j < h->classes; j++)
            if (z[i * h->classes + j] > z[i * h->classes + best]) best = j;
        right += best == b->target[i];
    }
    free(z);
    return (double)right / (double)b->t.m;
}

static sluice_train_args args_of(const char *line, int epochs)
{
    return (sluice_train_args){ .size = sizeof(sluice_train_args), .layers = line, .epochs = epochs, .seed = 3 };
}

/* ---- what training promises ---- */

static void learns(const char *line, const char *optimizer, double at_least)
{
    if (!case_is("%s learns by %s", line, optimizer ? optimizer : "the default")) return;
    sluice *s = tier_open(0, 2);
    data train = bars(400, 3, 1), test = bars(300, 3, 50);
    sluice_head *h = NULL;
    sluice_train_args a = args_of(line, 40);
    a.optimizer = optimizer, a.rate = optimizer ? 0 : 0.005;
    CHECK_OK(s, train_layers(s, &train.t, &a, 0, &h));
    if (h) CHECK(accuracy(s, h, &test) >= at_least, "accuracy %g, wanted %g", accuracy(s, h, &test), at_least);
    sluice_head_free(h);
    data_free(&train), data_free(&test);
    sluice_close(s);
}

static bool same_head(const sluice_head *a, const sluice_head *b)
{
    bool same = a->temperature == b->temperature && a->held_count == b->held_count && a->scale == b->scale &&
                !strcmp(a->trained, b->trained);
    same = same && !memcmp(a->mean, b->mean, (size_t)a->in_width * 4);
    same = same && !memcmp(a->held_logits, b->held_logits, (size_t)(a->held_count * a->classes) * 4);
    for (int i = 0; i < a->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&a->layers[i], &rows, &cols);
        same = same && (!rows || (!memcmp(a->layers[i].w, b->layers[i].w, (size_t)(rows * cols) * 4) &&
                                  !memcmp(a->layers[i].b, b->layers[i].b, (size_t)rows * 4)));
    }
    return same;
}

/* A GPU may take its gradients from a library: its weights are its own, the same on each repeat. */
static void same_bits(const char *line, const char *optimizer)
{
    if (!case_is("%s by %s: the same weights on every tier and thread count", line, optimizer)) return;
    data train = bars(90, 3, 1);
    sluice_train_args a = args_of(line, 2);
    sluice_head *first = NULL, *gpu = NULL, *other = NULL;
    a.optimizer = optimizer, a.class_weights = "balanced", a.batch = 20;
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 2; threads++) {
            sluice *s = tier_open(t, threads);
            sluice_head **same = on_device(s) ? &gpu : &first;
            other = NULL;
            CHECK_OK(s, train_layers(s, &train.t, &a, 0, &other));
            if (!*same) *same = other;
            else if (other) CHECK(same_head(*same, other), "%s, %d threads", tier_name(t), threads);
            if (other != *same) sluice_head_free(other);
            sluice_close(s);
        }
    sluice *s = tier_open(tier_count() - 1, 1);
    a.seed++;
    CHECK_OK(s, train_layers(s, &train.t, &a, 0, &other));
    CHECK(!same_head(first, other), "another seed gives another head");
    sluice_head_free(first), sluice_head_free(gpu), sluice_head_free(other);
    sluice_close(s);
    data_free(&train);
}

enum { EPOCHS = 6 };

static void curve_of(sluice *s, const train_set *t, const char *line, int blocks, double loss[EPOCHS][2])
{
    sluice_train_args a = args_of(line, EPOCHS);
    sluice_head *h = NULL;
    char text[200];
    int epoch = 0;
    a.loss_log = test_path("curve.csv"), a.rate = 0.005;
    CHECK_OK(s, train_layers(s, t, &a, blocks, &h));
    sluice_head_free(h);
    FILE *f = fopen(a.loss_log, "r");
    while (f && fgets(text, sizeof text, f))
        if (epoch < EPOCHS && sscanf(text, "%*d,%lf,%lf", &loss[epoch][0], &loss[epoch][1]) == 2) epoch++;
    if (f) fclose(f);
    CHECK(epoch == EPOCHS, "%d epochs in the log", epoch);
}

/* docs/heads.md: over these few epochs the sums' other order has not grown to a thousandth of a loss. */
static void near_curve(double got[EPOCHS][2], double want[EPOCHS][2], const char *where)
{
    for (int i = 0; i < EPOCHS; i++)
        for (int j = 0; j < 2; j++)
            CHECK_NEAR(got[i][j], want[i][j], 1e-3 * want[i][j], "%s, %s loss of epoch %d", where,
                       j ? "calibration" : "training", i + 1);
    CHECK(got[EPOCHS - 1][0] < 0.9 * got[0][0], "%s: from %g to %g", where, got[0][0], got[EPOCHS - 1][0]);
}

static void same_curve(const char *line)
{
    if (!case_is("%s: the same loss curve on every tier", line)) return;
    data train = bars(120, 3, 1);
    double want[EPOCHS][2] = { 0 };
    for (int t = tier_count() - 1; t >= 0; t--) {
        sluice *s = tier_open(t, 2);
        double got[EPOCHS][2] = { 0 };
        curve_of(s, &train.t, line, 0, got);
        if (t == tier_count() - 1) memcpy(want, got, sizeof want);
        near_curve(got, want, tier_name(t));
        sluice_close(s);
    }
    data_free(&train);
}

/* ---- several devices ---- */

enum { CUT = 8 };
static const int team_size[] = { 1, 2, 3, 8 };

/* The first n devices of the machine, or NULL where it has fewer. */
static sluice *devices_open(int n)
{
    char list[200] = "";
    sluice *s = NULL;
    for (int i = 0, at = 0; i < n; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%scuda:%d", i ? "," : "", i);
    sluice_options o = { .size = sizeof o, .devices = list };
    return sluice_open(&o, &s) == SLUICE_OK ? s : (sluice_close(s), NULL);
}

/* 88 rows in batches of 50 and 38, of which 7 and 5 blocks are made: one device, which computes them one after another,
 * or several that have one or more each, or none. */
static void shared(const char *line, const char *optimizer)
{
    if (!getenv("SLUICE_TEST_CUDA") || !case_is("devices share the batches of %s by %s", line, optimizer)) return;
    data train = bars(110, 3, 1);
    sluice_train_args a = args_of(line, 2);
    sluice_head *one = NULL, *uncut = NULL;
    a.optimizer = optimizer, a.class_weights = "balanced", a.batch = 50;
    for (int i = 0; i < 4; i++) {
        int n = team_size[i];
        sluice *s = devices_open(n);
        sluice_head *h = NULL;
        if (!s) continue;
        CHECK_OK(s, train_layers(s, &train.t, &a, CUT, &h));
        if (n == 1) {
            one = h, h = NULL;
            CHECK_OK(s, train_layers(s, &train.t, &a, 1, &uncut));
            CHECK(!same_head(one, uncut), "blocks add up as no block does");
        } else if (h) CHECK(same_head(one, h), "%d devices", n);
        sluice_head_free(h);
        sluice_close(s);
    }
    sluice_head_free(one), sluice_head_free(uncut);
    data_free(&train);
}

static void shared_curve(const char *line)
{
    if (!getenv("SLUICE_TEST_CUDA") || !case_is("devices that share %s: the CPU's loss curve", line)) return;
    data train = bars(120, 3, 1);
    double want[EPOCHS][2] = { 0 }, got[EPOCHS][2] = { 0 };
    sluice *cpu = tier_open(tier_count() - 1, 2), *s = NULL;
    CHECK(sluice_open(&(sluice_options){ .size = sizeof(sluice_options), .devices = "all" }, &s) == SLUICE_OK, "%s",
          sluice_error(s));
    curve_of(cpu, &train.t, line, CUT, want), curve_of(s, &train.t, line, CUT, got);
    near_curve(got, want, "all devices");
    sluice_close(cpu), sluice_close(s);
    data_free(&train);
}

static void cut_is(sluice *s, const char *line, const int64_t shape[3], int64_t batch, team_cut want)
{
    sluice_head *h = NULL;
    if (!case_is("the cut of a batch: %s, %d rows, devices: %d", line, (int)batch, s->devices)) return;
    CHECK_OK(s, head_new(s, line, shape, 10, names, &h));
    team_cut got = team_cut_of(s, h, batch, 0);
    CHECK(got.rows == want.rows && got.slots == want.slots && got.seats == want.seats,
          "blocks of %d rows: %d each on %d devices", (int)got.rows, got.slots, got.seats);
    sluice_head_free(h);
}

/* By the work of a batch, whatever devices there are; then dealt to those. */
static void cuts(void)
{
    const int64_t flat[3] = { 1280, 0, 0 }, image[3] = { 56, 56, 64 };
    for (int i = 0; i < 4 && getenv("SLUICE_TEST_CUDA"); i++) {
        int n = team_size[i];
        sluice *s = devices_open(n);
        int slots = (CUT + n - 1) / n, seats = (CUT + slots - 1) / slots;
        if (!s) continue;
        cut_is(s, "mlp:512,relu,linear", flat, 64, (team_cut){ .rows = 64, .slots = 1, .seats = 1 });
        cut_is(s, "mlp:4096,relu,linear", flat, 4000, (team_cut){ .rows = 4000, .slots = 1, .seats = 1 });
        cut_is(s, "mlp:4096,relu,linear", flat, 4100, (team_cut){ .rows = 520, .slots = slots, .seats = seats });
        cut_is(s, "conv3:64,relu,gap,linear", image, 72, (team_cut){ .rows = 72, .slots = 1, .seats = 1 });
        cut_is(s, "conv3:64,relu,conv3:64,relu,gap,linear", image, 64,
               (team_cut){ .rows = 8, .slots = slots, .seats = seats });
        sluice_close(s);
    }
    sluice *s = tier_open(tier_count() - 1, 1);
    cut_is(s, "mlp:4096,relu,linear", flat, 65536, (team_cut){ .rows = 65536, .slots = 1, .seats = 1 });
    sluice_close(s);
}

/* Of a device that is not the first. */
static void no_room_beside(void)
{
    if (!getenv("SLUICE_TEST_CUDA") || !case_is("devices without room")) return;
    data train = bars(60, 3, 1);
    sluice_train_args a = args_of("mlp:3000,relu,linear", 1);
    sluice *s = NULL;
    sluice_head *h = NULL;
    sluice_options o = { .size = sizeof o, .devices = "all", .device_mem_mib = 1 };
    CHECK(sluice_open(&o, &s) == SLUICE_OK, "%s", sluice_error(s));
    CHECK(train_layers(s, &train.t, &a, CUT, &h) == SLUICE_E_MEMORY && !h && strstr(sluice_error(s), "cuda:"), "%s",
          sluice_error(s));
    sluice_close(s);
    data_free(&train);
}

/* The head's own logits: mean and scale, then the layers, dropout off. */
static void logits_of_head(void)
{
    if (!case_is("logits of a trained head against the network in double")) return;
    sluice *s = tier_open(0, 2);
    data train = bars(120, 3, 1);
    sluice_head *h = NULL;
    sluice_train_args a = args_of("conv3:6,relu,pool2,drop:0.5,conv5:5/2,relu,mlp:7,relu,linear", 3);
    double sum = 0, square = 0, x[128], z[16];
    float *got = calloc(120 * 3, 4);
    CHECK_OK(s, train_layers(s, &train.t, &a, 0, &h));
    CHECK_OK(s, head_logits(s, h, sluice_rows(train.x, SLUICE_F32, 120, 128), got));
    for (int k = 1; k < 120 * 128; k += 2) sum += (double)train.x[k];
    CHECK_NEAR((double)h->mean[1], sum / (120 * 64), 1e-6, "mean of the second channel");
    CHECK(h->mean[1] == h->mean[127], "one mean for a channel");
    for (int k = 0; k < 120 * 128; k++) square += pow((double)train.x[k] - (double)h->mean[k % 2], 2);
    CHECK_NEAR((double)h->scale, sqrt(square / (120 * 128)), 1e-6, "root mean square of what is left");
    for (int i = 0; i < 120; i++) {
        for (int k = 0; k < 128; k++) x[k] = ((double)train.x[i * 128 + k] - (double)h->mean[k]) / (double)h->scale;
        run_row(h, x, i, NULL, z);
        for (int j = 0; j < 3; j++) CHECK_NEAR((double)got[i * 3 + j], z[j], 2e-5, "row %d, class %d", i, j);
    }
    free(got);
    sluice_head_free(h);
    data_free(&train);
    sluice_close(s);
}

/* ---- split, stopping, log ---- */

static void split_of(int64_t m, int rare, int64_t want)
{
    if (!case_is("calibration split of %d rows, %d of class 2: %d rows", (int)m, rare, (int)want)) return;
    sluice *s = tier_open(0, 1);
    data train = bars(m, 2, 1);
    sluice_head *h = NULL;
    sluice_train_args a = args_of("mlp:4,relu,linear", 1);
    for (int i = 0; i < rare; i++) train.target[i] = 2;
    train.t.classes = 3;
    CHECK_OK(s, train_layers(s, &train.t, &a, 0, &h));
    CHECK(h->held_count == want, "%d rows", (int)h->held_count);
    int64_t count[3] = { 0 }, of[3] = { 0 };
    for (int64_t i = 0; i < m; i++) of[train.target[i]]++;
    for (int64_t i = 0; i < h->held_count; i++) count[h->held_target[i]]++;
    for (int j = 0; j < 3 && want; j++)
        CHECK(count[j] == of[j] / 5, "class %d: %d of %d", j, (int)count[j], (int)of[j]);
    CHECK(want || h->temperature == 1, "temperature %g", (double)h->temperature);
    sluice_head_free(h);
    data_free(&train);
    sluice_close(s);
}

/* Reads epoch,train_loss,calibration_loss; returns the number of epochs and the smallest calibration loss. */
static int read_log(const char *path, double *least)
{
    char line[200];
    int epochs = 0, epoch;
    double train, held;
    FILE *f = fopen(path, "r");
    CHECK(f && fgets(line, sizeof line, f) && !strcmp(line, "epoch,train_loss,calibration_loss\n"), "header of '%s'",
          path);
    *least = INFINITY;
    while (f && fgets(line, sizeof line, f) && sscanf(line, "%d,%lf,%lf", &epoch, &train, &held) == 3) {
        epochs++;
        CHECK(epoch == epochs, "epoch %d in line %d", epoch, epochs);
        if (held < *least) *least = held;
    }
    if (f) fclose(f);
    return epochs;
}

static void stops_early(void)
{
    if (!case_is("labels that mean nothing stop it after the patience; the best epoch's weights stay")) return;
    sluice *s = tier_open(0, 2);
    data train = bars(150, 3, 1);
    sluice_head *h = NULL;
    sluice_train_args a = args_of("mlp:32,relu,linear", 200);
    double least, nll = 0, z[3];
    rng r = { 9 };
    for (int i = 0; i < 150; i++) train.target[i] = (int32_t)(rng_u64(&r) % 3);
    a.patience = 3, a.loss_log = test_path("loss.csv");
    CHECK_OK(s, train_layers(s, &train.t, &a, 0, &h));
    int epochs = read_log(a.loss_log, &least);
    CHECK(epochs >= 4 && epochs < 50, "%d epochs", epochs);
    for (int64_t i = 0; i < h->held_count; i++) {
        for (int j = 0; j < 3; j++) z[j] = (double)h->held_logits[i * 3 + j];
        nll += row_loss(z, 3, h->held_target[i]) / (double)h->held_count;
    }
    CHECK_NEAR(nll, least, 1e-6, "loss of the held-out logits is the log's smallest");
    sluice_head_free(h);
    data_free(&train);
    sluice_close(s);
}

static void cancel_now(void *user, const sluice_progress *p)
{
    if (!strcmp(p->task, "train") && p->done >= 1) sluice_cancel(*(sluice **)user);
}

static void refusals(void)
{
    if (!case_is("what it refuses")) return;
    data train = bars(60, 3, 1);
    sluice *s = NULL;
    sluice_head *h = NULL;
    sluice_options o = { .size = sizeof o, .threads = 1, .progress = cancel_now, .user = &s };
    CHECK(sluice_open(&o, &s) == SLUICE_OK, "open");
    sluice_train_args a = args_of("mlp:8,relu,linear", 100000);
    a.patience = 100000;
    CHECK(train_layers(s, &train.t, &a, 0, &h) == SLUICE_E_CANCELLED && !h, "cancelled: %s", sluice_error(s));
    sluice_close(s);

    s = tier_open(0, 1);
    a = args_of("mlp:8,relu,linear", 20);
    a.optimizer = "lion";
    CHECK(train_layers(s, &train.t, &a, 0, &h) == SLUICE_E_USAGE && strstr(sluice_error(s), "'lion'"), "%s",
          sluice_error(s));
    a.layers = "mlp:8,linear", a.optimizer = "sgd", a.rate = 100;
    CHECK(train_layers(s, &train.t, &a, 0, &h) == SLUICE_E_DATA && strstr(sluice_error(s), "diverged"), "%s",
          sluice_error(s));
    a = args_of("conv3:4,relu,gap,linear", 1), train.t.shape[2] = 3;
    CHECK(train_layers(s, &train.t, &a, 0, &h) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    a = args_of("pool9,linear", 1);
    CHECK(train_layers(s, &train.t, &a, 0, &h) == SLUICE_E_USAGE, "%s", sluice_error(s));
    CHECK(!h, "a head is written on success only");
    sluice_close(s);
    data_free(&train);
}

/* A named error, and nothing kept: the next context has all of the device again. */
static void no_room(void)
{
    if (!getenv("SLUICE_TEST_CUDA") || !case_is("tier cuda: a device without room")) return;
    data train = bars(60, 3, 1);
    sluice_train_args a = args_of("mlp:3000,relu,linear", 1);
    for (int64_t mib = 1; mib <= 64; mib *= 64) {
        sluice *s = NULL;
        sluice_head *h = NULL;
        sluice_options o = { .size = sizeof o, .devices = "cuda:0", .device_mem_mib = mib };
        CHECK(sluice_open(&o, &s) == SLUICE_OK, "%s", sluice_error(s));
        sluice_status st = train_layers(s, &train.t, &a, 0, &h);
        if (mib > 1) CHECK(!st && h, "%s", sluice_error(s));
        else
            CHECK(st == SLUICE_E_MEMORY && !h && strstr(sluice_error(s), "cuda:0") &&
                      strstr(sluice_error(s), "--device-mem-mib"),
                  "status %d: %s", st, sluice_error(s));
        sluice_head_free(h);
        sluice_close(s);
    }
    data_free(&train);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    gradients("linear", 7, 0, 0, 1);
    gradients("mlp:9,relu,drop:0.4,mlp:5,relu,linear", 6, 0, 0, 0);
    gradients("conv3:4,relu,pool2,conv3:5,relu,gap,linear", 8, 9, 2, 1);
    gradients("pool2,conv5:6/2,relu,drop:0.25,mlp:6,linear", 11, 10, 1, 0);
    gradients("conv1:3,pool3,relu,conv3:17/2,drop:0.5,linear", 9, 7, 3, 1);
    learns("conv3:8,relu,pool2,conv3:16,relu,gap,linear", NULL, 0.9);
    learns("conv3:8,relu,pool2,drop:0.2,linear", "sgd", 0.9);
    learns("mlp:64,relu,linear", "adamw", 0.5); /* a bar anywhere is hard for it; chance is 0.33 */
    same_bits("conv3:8,relu,pool2,drop:0.25,conv3:17,relu,gap,linear", "adamw");
    same_bits("conv5:5/2,relu,mlp:9,relu,linear", "sgd");
    same_bits("drop:0.1,mlp:9,relu,drop:0.5,linear", "adamw");
    same_curve("mlp:24,relu,drop:0.2,linear");
    same_curve("conv3:6,pool2,relu,conv3:8,relu,gap,linear");
    no_room();
    shared("conv3:8,relu,pool2,drop:0.25,conv3:17,relu,gap,linear", "adamw");
    shared("drop:0.1,mlp:9,relu,drop:0.5,linear", "sgd");
    shared_curve("mlp:24,relu,drop:0.2,linear");
    cuts();
    no_room_beside();
    logits_of_head();
    split_of(100, 20, 20), split_of(49, 10, 0), split_of(100, 4, 0), split_of(100, 5, 19), split_of(51, 5, 9);
    stops_early();
    refusals();
    return test_end();
}
