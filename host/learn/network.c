/* network.c - see network.h.  Every sum is an op's, so that weights are the same bits for any tier and thread count. */
#include "network.h"
#include "philox.h"

#include <math.h> /* sqrt */
#include <string.h>

/* ---- making ---- */

/* Carves arrays, each on a cache line of its own, from block, or only counts where block is NULL. */
typedef struct carver {
    char *block;
    size_t used;
} carver;

static void *carve(carver *c, int64_t count, size_t size)
{
    void *p = c->block ? c->block + c->used : NULL;
    c->used += ((size_t)count * size + 63) / 64 * 64;
    return p;
}

static bool is_product(const layer *l) { return l->kind == LAYER_CONV || l->kind == LAYER_DENSE; }

static void carve_layer(network *n, int i, carver *c)
{
    net_layer *p = &n->layers[i];
    layer *l = p->l = &n->h->layers[i];
    bool in_place = l->kind == LAYER_RELU || l->kind == LAYER_DROP;
    int64_t rows, cols;
    layer_weights(l, &rows, &cols);
    p->weights = rows * cols, p->biases = rows;
    p->fused = l->kind == LAYER_RELU && i > 0 && is_product(l - 1);
    if (in_place) p->y = i > 0 ? n->layers[i - 1].y : n->x;
    else p->y = carve(c, n->batch * l->out_width, sizeof(float));
    if (rows == 0) return;
    if (l->kind == LAYER_DENSE && i > n->first)
        p->turned = carve(c, (int64_t)sluice_packed_floats(cols, rows), sizeof(float));
    p->grad = carve(c, rows * (cols + 1), sizeof(float));
    p->m = carve(c, rows * (cols + 1), sizeof(float));
    p->v = carve(c, rows * (cols + 1), sizeof(float));
    p->best = carve(c, rows * (cols + 1), sizeof(float));
}

static void lay_out(network *n, carver *c)
{
    int64_t widest = n->h->in_width;
    for (int i = 0; i < n->h->layer_count; i++)
        if (n->h->layers[i].out_width > widest) widest = n->h->layers[i].out_width;
    n->x = carve(c, n->batch * n->h->in_width, sizeof(float));
    n->target = carve(c, n->batch, sizeof(int32_t));
    n->g = carve(c, n->batch * widest, sizeof(float));
    n->g_next = carve(c, n->batch * widest, sizeof(float));
    for (int i = 0; i < n->h->layer_count; i++) carve_layer(n, i, c);
}

sluice_status network_new(sluice *s, sluice_head *h, int64_t batch, network **out_n)
{
    sluice_status st = SLUICE_OK;
    network *n = NULL;
    carver count = { 0 }, take = { 0 };
    TRY_NEW(n, NEW(s, 1, network));
    n->h = h, n->batch = batch;
    TRY_NEW(n->layers, NEW(s, h->layer_count, net_layer));
    while (!is_product(&h->layers[n->first])) n->first++; /* the last layer is DENSE */
    lay_out(n, &count);
    TRY_NEW(n->block, mem_new(s, (int64_t)count.used, 1));
    take.block = n->block;
    lay_out(n, &take);
    for (int i = 0; i < h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        int64_t rows = p->biases, cols = rows ? p->weights / rows : 0;
        if (rows && !p->l->packed) TRY_NEW(p->l->packed, RAW(s, (int64_t)sluice_packed_floats(rows, cols), float));
    }
    *out_n = n, n = NULL;
out:
    network_free(n);
    return st;
}

void network_free(network *n)
{
    if (!n) return;
    mem_free(n->block), mem_free(n->layers);
    mem_free(n);
}

/* ---- weights ---- */

void network_init(network *n, uint64_t seed)
{
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        bool relu = i + 1 < n->h->layer_count && p->l[1].kind == LAYER_RELU;
        int64_t fan_in = p->weights / p->biases;
        float limit = (float)sqrt((relu ? 6.0 : 3.0) / (double)fan_in);
        uint32_t word[4] = { 0 };
        for (int64_t j = 0; j < p->weights; j++) {
            if (j % 4 == 0) ex_random4(seed, EX_INIT, (uint64_t)(j / 4), (uint32_t)i, word);
            p->l->w[j] = ((float)(word[j % 4] >> 8) * 0x1p-23f - 1.0f) * limit;
        }
        memset(p->l->b, 0, (size_t)p->biases * sizeof(float));
    }
}

sluice_status network_pack(sluice *s, network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        sluice_op_pack_args a = { .w = sluice_rows(p->l->w, SLUICE_F32, p->biases, p->weights / p->biases),
                                  .out = p->l->packed };
        TRY(sluice_op_pack(s, &a));
        if (!p->turned) continue;
        a.transpose = 1, a.out = p->turned;
        TRY(sluice_op_pack(s, &a));
    }
out:
    return st;
}

void network_keep(network *n)
{
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        memcpy(p->best, p->l->w, (size_t)p->weights * sizeof(float));
        memcpy(p->best + p->weights, p->l->b, (size_t)p->biases * sizeof(float));
    }
}

void network_restore(network *n)
{
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        memcpy(p->l->w, p->best, (size_t)p->weights * sizeof(float));
        memcpy(p->l->b, p->best + p->weights, (size_t)p->biases * sizeof(float));
    }
}

/* ---- forward ---- */

static sluice_pooling pooling_of(const layer *l)
{
    return l->kind == LAYER_POOL ? SLUICE_POOL_MAX : SLUICE_POOL_GLOBAL;
}

/* Each dropout layer has masks of its own; the backward pass draws them again. */
static sluice_status drop(sluice *s, int i, const layer *l, float *x, int64_t rows, uint64_t seed, uint64_t step)
{
    return sluice_op_dropout(s, &(sluice_op_dropout_args){ .x = sluice_rows(x, SLUICE_F32, rows, l->out_width),
                                                           .rate = l->rate,
                                                           .seed = seed ^ ex_mix64((uint64_t)i + 1),
                                                           .step = step });
}

static sluice_status forward_layer(sluice *s, network *n, int i, int64_t rows, uint64_t seed, uint64_t step)
{
    const net_layer *p = &n->layers[i];
    const layer *l = p->l;
    const float *in = i > 0 ? n->layers[i - 1].y : n->x;
    if (l->kind == LAYER_DROP) return drop(s, i, l, p->y, rows, seed, step);
    if (l->kind == LAYER_RELU) {
        if (!p->fused) layer_relu(p->y, rows * l->out_width);
        return SLUICE_OK;
    }
    bool relu = i + 1 < n->h->layer_count && n->layers[i + 1].fused;
    return layer_run(s, l, relu, in, rows, p->y);
}

/* ---- backward ---- */

static void swap_gradients(network *n)
{
    float *g = n->g;
    n->g = n->g_next, n->g_next = g;
}

static sluice_status backward_product(sluice *s, network *n, int i, sluice_view x, sluice_view g)
{
    sluice_status st = SLUICE_OK;
    const net_layer *p = &n->layers[i];
    const layer *l = p->l;
    sluice_view below = sluice_rows(n->g_next, SLUICE_F32, g.rows, l->in_width);
    float *dw = p->grad, *db = p->grad + p->weights;
    if (l->kind == LAYER_CONV)
        TRY(sluice_op_conv_weight(
            s, &(sluice_op_conv_weight_args){ .shape = l->conv, .g = g, .x = x, .out = dw, .bias = db }));
    else
        TRY(sluice_op_product(
            s, &(sluice_op_product_args){
                   .g = g, .x = x, .bias = db, .out = sluice_rows(dw, SLUICE_F32, l->out_width, l->in_width) }));
    if (i == n->first) goto out;
    if (l->kind == LAYER_CONV)
        TRY(sluice_op_conv_input(s, &(sluice_op_conv_input_args){ .shape = l->conv, .g = g, .w = l->w, .out = below }));
    else
        TRY(sluice_op_forward(
            s, &(sluice_op_forward_args){ .x = g, .packed = p->turned, .c = l->in_width, .out = below }));
    swap_gradients(n);
out:
    return st;
}

static sluice_status backward_layer(sluice *s, network *n, int i, int64_t rows, uint64_t seed, uint64_t step)
{
    const net_layer *p = &n->layers[i];
    const layer *l = p->l;
    sluice_view x = sluice_rows(i > 0 ? n->layers[i - 1].y : n->x, SLUICE_F32, rows, l->in_width);
    sluice_view g = sluice_rows(n->g, SLUICE_F32, rows, l->out_width);
    sluice_status st;
    switch (l->kind) {
    case LAYER_CONV:
    case LAYER_DENSE: return backward_product(s, n, i, x, g);
    case LAYER_POOL:
    case LAYER_GAP:
        st = sluice_op_upsample(
            s, &(sluice_op_upsample_args){ .kind = pooling_of(l),
                                           .h = l->in_shape[0],
                                           .w = l->in_shape[1],
                                           .c = l->in_shape[2],
                                           .size = l->pool_size,
                                           .x = x,
                                           .g = g,
                                           .out = sluice_rows(n->g_next, SLUICE_F32, rows, l->in_width) });
        swap_gradients(n);
        return st;
    case LAYER_DROP: return drop(s, i, l, n->g, rows, seed, step);
    case LAYER_RELU: /* a dropout behind it keeps the sign, and where it wrote 0 the gradient is 0 already */
        return sluice_op_gate(s,
                              &(sluice_op_gate_args){ .y = sluice_rows(p->y, SLUICE_F32, rows, l->out_width), .g = g });
    }
    return SLUICE_OK;
}

sluice_status network_gradients(sluice *s, network *n, int64_t rows, const float *class_weight, uint64_t seed,
                                uint64_t step, double *out_loss)
{
    sluice_status st = SLUICE_OK;
    int last = n->h->layer_count - 1;
    for (int i = 0; i <= last; i++) TRY(forward_layer(s, n, i, rows, seed, step));
    TRY(sluice_op_loss(
        s, &(sluice_op_loss_args){ .logits = sluice_rows(n->layers[last].y, SLUICE_F32, rows, n->h->classes),
                                   .target = n->target,
                                   .weight = class_weight,
                                   .grad_scale = 1.0f / (float)rows,
                                   .grad = sluice_rows(n->g, SLUICE_F32, rows, n->h->classes),
                                   .out_sum = out_loss }));
    for (int i = last; i >= n->first; i--) TRY(backward_layer(s, n, i, rows, seed, step));
out:
    return st;
}

/* ---- step ---- */

static sluice_status step_tensor(sluice *s, const optimizer *o, float *w, const float *grad, float *m, float *v,
                                 int64_t count, float decay)
{
    if (o->sgd)
        return sluice_op_sgd(
            s, &(sluice_op_sgd_args){
                   .w = w, .grad = grad, .m = m, .count = count, .rate = o->rate, .momentum = 0.9f, .decay = decay });
    return sluice_op_adam(s, &(sluice_op_adam_args){ .w = w,
                                                     .grad = grad,
                                                     .m = m,
                                                     .v = v,
                                                     .count = count,
                                                     .step = o->step,
                                                     .rate = o->rate,
                                                     .beta1 = 0.9f,
                                                     .beta2 = 0.999f,
                                                     .epsilon = 1e-8f,
                                                     .decay = decay });
}

sluice_status network_step(sluice *s, network *n, const optimizer *o)
{
    sluice_status st = SLUICE_OK;
    for (int i = n->first; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        int64_t k = p->weights;
        if (!p->biases) continue;
        TRY(step_tensor(s, o, p->l->w, p->grad, p->m, p->v, k, o->decay));
        TRY(step_tensor(s, o, p->l->b, p->grad + k, p->m + k, p->v + k, p->biases, 0));
    }
    TRY(network_pack(s, n));
out:
    return st;
}
