/* linear_loss.c - see linear_loss.h.
 *
 *     seat i    weights of its classes ─▶ pack ─▶ forward ─▶ part [m, share]
 *     all       gather: parts of all seats ─▶ logits [m, classes] ─▶ loss ─▶ gradient of the logits
 *     seat i    product of its classes' columns with the rows ─▶ gradient of its weights
 *
 * Every seat computes the whole loss, which is little beside the products, so that nothing goes back.  Results leave only
 * when all seats have their work: a copy to the host waits for its device. */
#include "linear_loss.h"
#include "backends.h"
#include "device.h"

#include <string.h>

/* ---- seats ---- */

static sluice_status seat_new(linear_rows *r, row_seat *p)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    TRY_NEW(p->x, dev_seat(s, r->x, r->rows, sizeof(float) * (size_t)r->width));
    TRY_NEW(p->target, dev_seat(s, r->target, r->rows, sizeof(int32_t)));
    if (r->class_weight) TRY_NEW(p->class_weight, dev_seat_filled(s, r->class_weight, r->classes, sizeof(float)));
out:
    return st;
}

/* Ops run on a seat's device until exec is put back. */
static sluice_exec sit(sluice *s, const row_seat *p)
{
    sluice_exec was = s->exec;
    s->exec = p->exec;
    return was;
}

sluice_status linear_rows_init(linear_rows *r, sluice *s, int seats, float *x, int32_t *target, int64_t rows,
                               int64_t width, float *class_weight, int classes)
{
    sluice_status st = SLUICE_OK;
    *r = (linear_rows){ s, x, target, class_weight, rows, width, classes, 0, NULL };
    TRY_NEW(r->seat, NEW(s, seats, row_seat));
    for (int i = 0; i < seats; i++) {
        row_seat *p = &r->seat[i];
        if (i == 0) p->exec = s->exec;
        else TRY(exec_new(s, i, &p->exec));
        r->seats++;
        sluice_exec was = sit(s, p);
        st = seat_new(r, p);
        s->exec = was;
        if (st) goto out;
        p->exec.deferred = seats > 1; /* one device must not wait for another */
    }
out:
    return st;
}

void linear_rows_release(linear_rows *r)
{
    for (int i = 0; i < r->seats; i++) {
        row_seat *p = &r->seat[i];
        sluice_exec was = sit(r->s, p);
        dev_unseat(r->s, p->x, r->x), dev_unseat(r->s, p->target, r->target);
        dev_unseat(r->s, p->class_weight, r->class_weight);
        r->s->exec = was;
        if (i > 0) exec_free(r->s, &p->exec);
    }
    mem_free(r->seat);
    *r = (linear_rows){ 0 };
}

sluice_status linear_rows_send(linear_rows *r, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    sluice_exec *exec[MAX_DEVICES];
    void *x[MAX_DEVICES], *target[MAX_DEVICES];
    size_t x_bytes = (size_t)rows * sizeof(float) * (size_t)r->width, target_bytes = (size_t)rows * sizeof(int32_t);
    TRY(dev_copy(r->s, r->seat[0].x, r->x, x_bytes));
    TRY(dev_copy(r->s, r->seat[0].target, r->target, target_bytes));
    if (r->seats == 1) goto out;
    for (int i = 0; i < r->seats; i++) exec[i] = &r->seat[i].exec, x[i] = r->seat[i].x, target[i] = r->seat[i].target;
    TRY(r->s->backend->broadcast(exec, r->seats, x, x_bytes));
    TRY(r->s->backend->broadcast(exec, r->seats, target, target_bytes));
out:
    return st;
}

/* ---- shares of the classes ---- */

typedef struct share {
    int64_t from, classes; /* may have none */
    float *packed;         /* weights of its classes */
    float *part, *all;     /* [m, columns] logits of its classes; [seats][m, columns] of all */
    float *logits;         /* [m, classes of the head]; of a single seat it is part as well */
    float *row_grad;       /* the same of the logits' gradient */
    float *grad;           /* [classes, width], then [classes] of the intercepts */
    double *sum;
} share;

struct linear_loss {
    const linear_rows *rows;
    int64_t first, m, columns; /* of a part: rows of 64 bytes */
    share *share;              /* [seats] */
};

typedef sluice_status seat_work(linear_loss *l, const row_seat *p, share *q, const void *arg);

static sluice_status on_all(linear_loss *l, seat_work *work, const void *arg)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->rows->s;
    for (int i = 0; i < l->rows->seats && !st; i++) {
        sluice_exec was = sit(s, &l->rows->seat[i]);
        st = work(l, &l->rows->seat[i], &l->share[i], arg);
        s->exec = was;
    }
    return st;
}

/* Also after a failure: what was begun may still use memory of the host. */
static sluice_status wait_all(linear_loss *l, sluice_status st)
{
    sluice *s = l->rows->s;
    for (int i = 0; i < l->rows->seats && l->rows->seats > 1; i++) {
        sluice_status late = s->backend->wait(&l->rows->seat[i].exec);
        st = st ? st : late;
    }
    return st;
}

static sluice_status share_new(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->rows->s;
    int64_t c = l->rows->classes, seats = l->rows->seats, i = q - l->share;
    (void)p, (void)arg;
    q->from = i * l->columns < c ? i * l->columns : c;
    q->classes = c - q->from < l->columns ? c - q->from : l->columns;
    TRY_NEW(q->packed, DEV(s, (int64_t)sluice_packed_floats(q->classes, l->rows->width), float));
    TRY_NEW(q->logits, DEV(s, l->m * c, float));
    TRY_NEW(q->row_grad, DEV(s, l->m * c, float));
    TRY_NEW(q->grad, DEV(s, q->classes * (l->rows->width + 1), float));
    TRY_NEW(q->sum, DEV(s, 1, double));
    if (seats == 1) goto out;
    TRY_NEW(q->part, DEV(s, l->m * l->columns, float));
    TRY_NEW(q->all, DEV(s, seats * l->m * l->columns, float));
out:
    return st;
}

static sluice_status share_release(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    sluice *s = l->rows->s;
    (void)p, (void)arg;
    dev_free(s, q->packed), dev_free(s, q->part), dev_free(s, q->all), dev_free(s, q->logits);
    dev_free(s, q->row_grad), dev_free(s, q->grad), dev_free(s, q->sum);
    return SLUICE_OK;
}

sluice_status linear_loss_new(const linear_rows *rows, int64_t first, int64_t m, linear_loss **out_l)
{
    sluice_status st = SLUICE_OK;
    sluice *s = rows->s;
    linear_loss *l = NULL;
    TRY_NEW(l, NEW(s, 1, linear_loss));
    l->rows = rows, l->first = first, l->m = m, l->columns = rows->classes;
    if (rows->seats > 1) l->columns = ((rows->classes + rows->seats - 1) / rows->seats + 15) / 16 * 16;
    TRY_NEW(l->share, NEW(s, rows->seats, share));
    TRY(on_all(l, share_new, NULL));
    *out_l = l, l = NULL;
out:
    linear_loss_free(l);
    return st;
}

void linear_loss_free(linear_loss *l)
{
    if (!l) return;
    if (l->share) on_all(l, share_release, NULL);
    mem_free(l->share);
    mem_free(l);
}

/* ---- value ---- */

typedef struct point {
    const float *w, *b;
} point;

static sluice_status forward_share(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    sluice_status st = SLUICE_OK;
    const point *at = arg;
    int64_t d = l->rows->width;
    sluice_view w = sluice_rows(at->w + q->from * d, SLUICE_F32, q->classes, d),
                x = sluice_rows(p->x + l->first * d, SLUICE_F32, l->m, d),
                z = sluice_rows(q->part ? q->part : q->logits, SLUICE_F32, l->m, q->classes);
    z.stride = (size_t)l->columns * sizeof(float);
    if (q->classes == 0) goto out;
    TRY(sluice_op_pack(l->rows->s, &(sluice_op_pack_args){ .w = w, .out = q->packed }));
    TRY(sluice_op_forward(
        l->rows->s,
        &(sluice_op_forward_args){ .x = x, .packed = q->packed, .bias = at->b + q->from, .c = q->classes, .out = z }));
out:
    return st;
}

static sluice_status gather_parts(linear_loss *l)
{
    sluice_exec *exec[MAX_DEVICES];
    const void *part[MAX_DEVICES];
    void *all[MAX_DEVICES];
    for (int i = 0; i < l->rows->seats; i++)
        exec[i] = &l->rows->seat[i].exec, part[i] = l->share[i].part, all[i] = l->share[i].all;
    return l->rows->s->backend->gather(exec, l->rows->seats, part, all, (size_t)(l->m * l->columns) * sizeof(float));
}

/* Parts side by side. */
static sluice_status join_parts(linear_loss *l, const share *q)
{
    sluice_status st = SLUICE_OK;
    for (const share *o = l->share; o < l->share + l->rows->seats && !st; o++) {
        const float *part = q->all + (o - l->share) * l->m * l->columns;
        sluice_view from = sluice_rows(part, SLUICE_F32, l->m, o->classes),
                    to = sluice_rows(q->logits + o->from, SLUICE_F32, l->m, o->classes);
        from.stride = (size_t)l->columns * sizeof(float), to.stride = (size_t)l->rows->classes * sizeof(float);
        if (o->classes) st = sluice_op_convert(l->rows->s, &(sluice_op_convert_args){ .x = from, .out = to });
    }
    return st;
}

static sluice_status loss_of(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    sluice_status st = SLUICE_OK;
    int64_t c = l->rows->classes;
    (void)arg;
    if (q->all) TRY(join_parts(l, q));
    TRY(sluice_op_loss(l->rows->s, &(sluice_op_loss_args){ .logits = sluice_rows(q->logits, SLUICE_F32, l->m, c),
                                                           .target = p->target + l->first,
                                                           .weight = p->class_weight,
                                                           .grad_scale = 1,
                                                           .grad = sluice_rows(q->row_grad, SLUICE_F32, l->m, c),
                                                           .out_sum = q->sum }));
out:
    return st;
}

static sluice_status fetch_sum(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    double *out = *(double *const *)arg;
    (void)p;
    return q == l->share ? dev_copy(l->rows->s, out, q->sum, sizeof *out) : SLUICE_OK;
}

sluice_status linear_loss_value(linear_loss *l, const float *w, const float *b, double *out_sum)
{
    sluice_status st = on_all(l, forward_share, &(point){ w, b });
    if (!st && l->rows->seats > 1) st = gather_parts(l);
    if (!st) st = on_all(l, loss_of, NULL);
    if (!st) st = on_all(l, fetch_sum, &out_sum);
    return wait_all(l, st);
}

/* ---- gradient ---- */

static sluice_status gradient_share(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    int64_t d = l->rows->width;
    sluice_view g = sluice_rows(q->row_grad + q->from, SLUICE_F32, l->m, q->classes);
    g.stride = (size_t)l->rows->classes * sizeof(float);
    (void)arg;
    if (q->classes == 0) return SLUICE_OK;
    return sluice_op_product(l->rows->s,
                             &(sluice_op_product_args){ .g = g,
                                                        .x = sluice_rows(p->x + l->first * d, SLUICE_F32, l->m, d),
                                                        .out = sluice_rows(q->grad, SLUICE_F32, q->classes, d),
                                                        .bias = q->grad + q->classes * d });
}

typedef struct gradient {
    float *w, *b;
} gradient;

static sluice_status fetch_gradient(linear_loss *l, const row_seat *p, share *q, const void *arg)
{
    const gradient *out = arg;
    sluice *s = l->rows->s;
    int64_t d = l->rows->width, weights = q->classes * d;
    sluice_status st = dev_copy(s, out->w + q->from * d, q->grad, (size_t)weights * sizeof(float));
    (void)p;
    return st ? st : dev_copy(s, out->b + q->from, q->grad + weights, (size_t)q->classes * sizeof(float));
}

sluice_status linear_loss_gradient(linear_loss *l, float *out_w, float *out_b)
{
    sluice_status st = on_all(l, gradient_share, NULL);
    if (!st) st = on_all(l, fetch_gradient, &(gradient){ out_w, out_b });
    return wait_all(l, st);
}
