/* team.c - see team.h.
 *
 *     seat i    blocks i slots .. i slots + slots - 1 of the batch ─▶ their gradients
 *     all       gather: gradients of all blocks, in block order ─▶ sum and step, the same on each */
#include "team.h"
#include "backends.h"
#include "device.h"

/* Eight blocks, since that is how many devices a machine has at most, as a rule; 2, 4 and 8 get the same work each. */
enum { BLOCKS = 8, IMAGES = 8 /* whole steps of conv_weight's sum */ };

/* A block's gradients are 4 bytes a weight that every other device receives, and a batch three products of 2 operations
 * a multiply-add.  By the rates of links and multipliers (nothing was timed) sharing pays from a millisecond of work, if a
 * weight takes part in some thousand multiply-adds. */
static const double SHARED_WORK = 0x1p33, SHARED_USE = 4096;

static int64_t parts(int64_t n, int64_t each) { return (n + each - 1) / each; }

/* Multiply-adds of a row's way through the layers, and weights. */
static double work_of(const sluice_head *h, double *out_weights)
{
    double work = 0;
    *out_weights = 0;
    for (int i = 0; i < h->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&h->layers[i], &rows, &cols);
        if (rows) work += (double)h->layers[i].out_width * (double)cols;
        *out_weights += (double)rows * (double)cols;
    }
    return work;
}

static int blocks_of(const sluice_head *h, int64_t batch)
{
    double weights, work = work_of(h, &weights) * (double)batch;
    return work >= SHARED_WORK && work >= SHARED_USE * weights ? BLOCKS : 1;
}

team_cut team_cut_of(const sluice *s, const sluice_head *h, int64_t batch, int blocks)
{
    team_cut c = { batch, batch, 1, 1 };
    if (!on_device(s)) return c;
    if (blocks == 0) blocks = blocks_of(h, batch);
    if (blocks > 1) c.rows = parts(parts(batch, blocks), IMAGES) * IMAGES;
    int64_t all = parts(batch, c.rows);
    c.slots = (int)parts(all, s->devices);
    c.seats = (int)parts(all, c.slots);
    return c;
}

/* ---- seats ---- */

typedef sluice_status seat_work(team *t, int i, const void *arg);

static sluice_status on_all(team *t, seat_work *work, const void *arg)
{
    sluice_status st = SLUICE_OK;
    sluice *s = t->rows->s;
    for (int i = 0; i < t->rows->seats && !st; i++) {
        sluice_exec was = row_seat_take(s, &t->rows->seat[i]);
        st = work(t, i, arg);
        s->exec = was;
    }
    return st;
}

static sluice_status seat_new(team *t, int i, const void *arg)
{
    sluice_status st = SLUICE_OK;
    sluice *s = t->rows->s;
    const team_cut *c = &t->cut;
    team_seat *p = &t->seat[i];
    sluice_head *h = *(sluice_head *const *)arg;
    TRY(network_new(s, h, c->rows, c->slots, c->slots * c->seats, &p->n));
    TRY(network_load(p->n));
    TRY_NEW(p->loss, DEV(s, t->batches * c->slots, double));
out:
    return st;
}

sluice_status team_init(team *t, const seated_rows *rows, sluice_head *h, team_cut cut)
{
    sluice_status st = SLUICE_OK;
    sluice *s = rows->s;
    *t = (team){ .rows = rows, .cut = cut, .batches = parts(rows->rows, cut.batch) };
    TRY_NEW(t->host_loss, NEW(s, cut.seats * t->batches * cut.slots, double));
    TRY(seated_rows_wait(rows, on_all(t, seat_new, &h)));
out:
    return st;
}

static sluice_status seat_release(team *t, int i, const void *arg)
{
    (void)arg;
    network_free(t->seat[i].n);
    dev_free(t->rows->s, t->seat[i].loss);
    return SLUICE_OK;
}

void team_release(team *t)
{
    if (t->rows) on_all(t, seat_release, NULL);
    mem_free(t->host_loss);
    *t = (team){ 0 };
}

/* ---- a batch ---- */

static sluice_status seat_gradients(team *t, int i, const void *arg)
{
    sluice_status st = SLUICE_OK;
    const team_batch *b = arg;
    const row_seat *seat = &t->rows->seat[i];
    for (int slot = 0; slot < t->cut.slots && !st; slot++) {
        int64_t first = (i * t->cut.slots + slot) * t->cut.rows, left = b->rows - first;
        net_block block = { .x = seat->x + (b->first + first) * t->rows->width,
                            .target = seat->target + b->first + first,
                            .rows = left < t->cut.rows ? left : t->cut.rows,
                            .first = first,
                            .batch = b->rows,
                            .class_weight = seat->class_weight,
                            .seed = b->seed,
                            .step = b->step,
                            .loss = t->seat[i].loss + b->first / t->cut.batch * t->cut.slots + slot };
        if (left > 0) st = network_gradients(t->seat[i].n, &block, slot);
    }
    return st;
}

static sluice_status gather_gradients(const team *t)
{
    const void *part[MAX_DEVICES];
    void *all[MAX_DEVICES];
    const network *n = t->seat[0].n;
    if (t->rows->seats == 1) return SLUICE_OK;
    for (int i = 0; i < t->rows->seats; i++) part[i] = t->seat[i].n->part, all[i] = t->seat[i].n->all;
    return seated_rows_gather(t->rows, part, all, (size_t)(n->slots * n->gradients) * sizeof(float));
}

typedef struct step {
    const optimizer *o;
    int blocks;
} step;

static sluice_status seat_step(team *t, int i, const void *arg)
{
    const step *p = arg;
    return network_step(t->seat[i].n, p->o, p->blocks);
}

sluice_status team_learn(team *t, const team_batch *b, const optimizer *o)
{
    sluice_status st = on_all(t, seat_gradients, b);
    if (!st) st = gather_gradients(t);
    return st ? st : on_all(t, seat_step, &(step){ o, (int)parts(b->rows, t->cut.rows) });
}

/* ---- losses ---- */

static sluice_status seat_loss(team *t, int i, const void *arg)
{
    int64_t batches = *(const int64_t *)arg;
    double *to = t->host_loss + i * t->batches * t->cut.slots;
    return dev_copy(t->rows->s, to, t->seat[i].loss, (size_t)(batches * t->cut.slots) * sizeof(double));
}

sluice_status team_loss(team *t, int64_t rows, double *inout_sum)
{
    int64_t batches = parts(rows, t->cut.batch), slots = t->cut.slots;
    sluice_status st = seated_rows_wait(t->rows, on_all(t, seat_loss, &batches));
    for (int64_t b = 0; b < batches && !st; b++) {
        int64_t left = rows - b * t->cut.batch, used = parts(left < t->cut.batch ? left : t->cut.batch, t->cut.rows);
        for (int64_t j = 0; j < used; j++) *inout_sum += t->host_loss[(j / slots * t->batches + b) * slots + j % slots];
    }
    return st;
}
