/* linear_loss.c - see linear_loss.h.
 *
 *     seat i    weights of its classes ─▶ pack ─▶ forward ─▶ part [m, share]
 *     all       gather: parts of all seats ─▶ logits [m, classes] ─▶ loss ─▶ gradient of the logits
 *     seat i    product of its classes' columns with the rows ─▶ gradient of its weights
 *
 * Every seat computes the whole loss, which is little beside the products, so that nothing goes back. */
#include "linear_loss.h"
#include "device.h"

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
    const seated_rows *rows;
    int64_t first, m, columns; /* of a part: rows of 64 bytes */
    share *share;              /* [seats] */
};

typedef sluice_status seat_work(linear_loss *l, const row_seat *p, share *q, const void *arg);

static sluice_status on_all(linear_loss *l, seat_work *work, const void *arg)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->rows->s;
    for (int i = 0; i < l->rows->seats && !st; i++) {
        sluice_exec was = row_seat_take(s, &l->rows->seat[i]);
        st = work(l, &l->rows->seat[i], &l->share[i], arg);
        s->exec = was;
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

sluice_status linear_loss_new(const seated_rows *rows, int64_t first, int64_t m, linear_loss **out_l)
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

static sluice_status gather_parts(const linear_loss *l)
{
    const void *part[MAX_DEVICES];
    void *all[MAX_DEVICES];
    for (int i = 0; i < l->rows->seats; i++) part[i] = l->share[i].part, all[i] = l->share[i].all;
    return seated_rows_gather(l->rows, part, all, (size_t)(l->m * l->columns) * sizeof(float));
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
    return seated_rows_wait(l->rows, st);
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
    return seated_rows_wait(l->rows, st);
}
