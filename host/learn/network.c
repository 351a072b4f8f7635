/* network.c - see network.h.  Every sum is an op's, so that weights are the same bits for any tier and thread count. */
#include "network.h"
#include "device.h"
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
static bool in_place(const layer *l) { return l->kind == LAYER_RELU || l->kind == LAYER_DROP; }

static void carve_layer(network *n, int i, carver *c)
{
    net_layer *p = &n->layers[i];
    const layer *own = &n->h->layers[i];
    int64_t rows, cols;
    layer_weights(own, &rows, &cols);
    p->l = *own;
    p->weights = rows * cols, p->biases = rows;
    p->fused = own->kind == LAYER_RELU && i > 0 && is_product(own - 1);
    if (!in_place(own)) p->y = carve(c, n->rows * own->out_width, sizeof(float));
    else p->y = i > 0 ? n->layers[i - 1].y : NULL; /* below all others: the rows themselves */
    if (rows == 0) return;
    if (own->kind == LAYER_DENSE && i > n->first)
        p->turned = carve(c, (int64_t)sluice_packed_floats(cols, rows), sizeof(float));
    p->l.packed = carve(c, (int64_t)sluice_packed_floats(rows, cols), sizeof(float));
    p->l.w = carve(c, rows * (cols + 1), sizeof(float));
    p->l.b = p->l.w ? p->l.w + p->weights : NULL;
    p->m = carve(c, rows * (cols + 1), sizeof(float));
    p->v = carve(c, rows * (cols + 1), sizeof(float));
    p->best = carve(c, rows * (cols + 1), sizeof(float));
}

static void lay_out(network *n, carver *c)
{
    int64_t widest = n->h->in_width;
    for (int i = 0; i < n->h->layer_count; i++)
        if (n->h->layers[i].out_width > widest) widest = n->h->layers[i].out_width;
    n->g = carve(c, n->rows * widest, sizeof(float));
    n->g_next = carve(c, n->rows * widest, sizeof(float));
    for (int i = 0; i < n->h->layer_count; i++) carve_layer(n, i, c);
    n->part = n->all = carve(c, n->slots * n->gradients, sizeof(float));
    if (n->blocks > n->slots) n->all = carve(c, n->blocks * n->gradients, sizeof(float));
}

/* The layers' gradients one after another. */
static void place_gradients(network *n)
{
    for (int i = 0; i < n->h->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&n->h->layers[i], &rows, &cols);
        n->layers[i].grad = n->gradients;
        n->gradients += (rows * (cols + 1) + 15) / 16 * 16;
    }
}

sluice_status network_new(sluice *s, sluice_head *h, int64_t rows, int slots, int blocks, network **out_n)
{
    sluice_status st = SLUICE_OK;
    network *n = NULL;
    carver count = { 0 }, take = { 0 };
    TRY_NEW(n, NEW(s, 1, network));
    n->s = s, n->h = h, n->rows = rows, n->slots = slots, n->blocks = blocks;
    TRY_NEW(n->layers, NEW(s, h->layer_count, net_layer));
    while (!is_product(&h->layers[n->first])) n->first++; /* the last layer is DENSE */
    place_gradients(n);
    lay_out(n, &count);
    TRY_NEW(n->memory, dev_new(s, (int64_t)count.used, 1));
    take.block = n->memory;
    lay_out(n, &take);
    *out_n = n, n = NULL;
out:
    network_free(n);
    return st;
}

void network_free(network *n)
{
    if (!n) return;
    dev_free(n->s, n->memory);
    mem_free(n->layers);
    mem_free(n);
}

/* ---- weights ---- */

void head_start(sluice_head *h, uint64_t seed)
{
    for (int i = 0; i < h->layer_count; i++) {
        const layer *own = &h->layers[i];
        int64_t rows, fan_in;
        layer_weights(own, &rows, &fan_in);
        if (!rows) continue;
        bool relu = i + 1 < h->layer_count && own[1].kind == LAYER_RELU;
        float limit = (float)sqrt((relu ? 6.0 : 3.0) / (double)fan_in);
        uint32_t word[4] = { 0 };
        for (int64_t j = 0; j < rows * fan_in; j++) {
            if (j % 4 == 0) ex_random4(seed, EX_INIT, (uint64_t)(j / 4), (uint32_t)i, word);
            own->w[j] = ((float)(word[j % 4] >> 8) * 0x1p-23f - 1.0f) * limit;
        }
        memset(own->b, 0, (size_t)rows * sizeof(float));
    }
}

/* What the products read of the weights. */
static sluice_status pack_weights(network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        sluice_op_pack_args a = { .w = sluice_rows(p->l.w, SLUICE_F32, p->biases, p->weights / p->biases),
                                  .out = p->l.packed };
        TRY(sluice_op_pack(n->s, &a));
        if (!p->turned) continue;
        a.transpose = 1, a.out = p->turned;
        TRY(sluice_op_pack(n->s, &a));
    }
out:
    return st;
}

static size_t tensor_bytes(const net_layer *p) { return (size_t)(p->weights + p->biases) * sizeof(float); }

sluice_status network_load(network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        if (!p->biases) continue;
        TRY(dev_copy(n->s, p->l.w, n->h->layers[i].w, (size_t)p->weights * sizeof(float)));
        TRY(dev_copy(n->s, p->l.b, n->h->layers[i].b, (size_t)p->biases * sizeof(float)));
        TRY(dev_clear(n->s, p->m, tensor_bytes(p)));
        TRY(dev_clear(n->s, p->v, tensor_bytes(p)));
    }
    TRY(pack_weights(n));
out:
    return st;
}

sluice_status network_save(network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        TRY(dev_copy(n->s, n->h->layers[i].w, p->l.w, (size_t)p->weights * sizeof(float)));
        TRY(dev_copy(n->s, n->h->layers[i].b, p->l.b, (size_t)p->biases * sizeof(float)));
    }
out:
    return st;
}

sluice_status network_keep(network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++)
        TRY(dev_copy(n->s, n->layers[i].best, n->layers[i].l.w, tensor_bytes(&n->layers[i])));
out:
    return st;
}

sluice_status network_restore(network *n)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count; i++)
        TRY(dev_copy(n->s, n->layers[i].l.w, n->layers[i].best, tensor_bytes(&n->layers[i])));
    TRY(pack_weights(n));
out:
    return st;
}

/* ---- forward ---- */

static sluice_pooling pooling_of(const layer *l)
{
    return l->kind == LAYER_POOL ? SLUICE_POOL_MAX : SLUICE_POOL_GLOBAL;
}

/* Each dropout layer has masks of its own; the backward pass draws them again. */
static sluice_status drop(network *n, int i, float *x, const net_block *b)
{
    const layer *l = &n->layers[i].l;
    return sluice_op_dropout(n->s, &(sluice_op_dropout_args){ .x = sluice_rows(x, SLUICE_F32, b->rows, l->out_width),
                                                              .rate = l->rate,
                                                              .seed = b->seed ^ ex_mix64((uint64_t)i + 1),
                                                              .step = b->step,
                                                              .first = b->first });
}

/* drops: whose masks, or NULL for none. */
static sluice_status forward_layer(network *n, int i, float *x, int64_t rows, const net_block *drops)
{
    net_layer *p = &n->layers[i];
    float *in = i > 0 ? n->layers[i - 1].y : x;
    if (in_place(&p->l)) p->y = in;
    if (p->l.kind == LAYER_DROP) return drops ? drop(n, i, in, drops) : SLUICE_OK;
    if (p->l.kind == LAYER_RELU) return p->fused ? SLUICE_OK : layer_relu(n->s, in, rows, p->l.out_width);
    bool relu = i + 1 < n->h->layer_count && n->layers[i + 1].fused;
    return layer_run(n->s, &p->l, relu, in, rows, p->y);
}

static sluice_status forward(network *n, float *x, int64_t rows, const net_block *drops)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < n->h->layer_count && !st; i++) st = forward_layer(n, i, x, rows, drops);
    return st;
}

sluice_status network_logits(network *n, float *x, int64_t rows, float *out)
{
    sluice_status st = forward(n, x, rows, NULL);
    size_t bytes = (size_t)(rows * n->h->classes) * sizeof(float);
    return st ? st : dev_copy(n->s, out, n->layers[n->h->layer_count - 1].y, bytes);
}

/* ---- backward ---- */

static void swap_gradients(network *n)
{
    float *g = n->g;
    n->g = n->g_next, n->g_next = g;
}

/* grad: of the block. */
static sluice_status backward_product(network *n, int i, sluice_view x, sluice_view g, float *grad)
{
    sluice_status st = SLUICE_OK;
    const net_layer *p = &n->layers[i];
    const layer *l = &p->l;
    sluice_view below = sluice_rows(n->g_next, SLUICE_F32, g.rows, l->in_width);
    float *dw = grad + p->grad, *db = dw + p->weights;
    if (l->kind == LAYER_CONV)
        TRY(sluice_op_conv_weight(
            n->s, &(sluice_op_conv_weight_args){ .shape = l->conv, .g = g, .x = x, .out = dw, .bias = db }));
    else
        TRY(sluice_op_product(
            n->s, &(sluice_op_product_args){
                      .g = g, .x = x, .bias = db, .out = sluice_rows(dw, SLUICE_F32, l->out_width, l->in_width) }));
    if (i == n->first) goto out;
    if (l->kind == LAYER_CONV)
        TRY(sluice_op_conv_input(n->s,
                                 &(sluice_op_conv_input_args){ .shape = l->conv, .g = g, .w = l->w, .out = below }));
    else
        TRY(sluice_op_forward(
            n->s, &(sluice_op_forward_args){ .x = g, .packed = p->turned, .c = l->in_width, .out = below }));
    swap_gradients(n);
out:
    return st;
}

static sluice_status backward_layer(network *n, int i, const net_block *b, float *grad)
{
    const net_layer *p = &n->layers[i];
    const layer *l = &p->l;
    sluice_view x = sluice_rows(i > 0 ? n->layers[i - 1].y : b->x, SLUICE_F32, b->rows, l->in_width);
    sluice_view g = sluice_rows(n->g, SLUICE_F32, b->rows, l->out_width);
    sluice_status st;
    switch (l->kind) {
    case LAYER_CONV:
    case LAYER_DENSE: return backward_product(n, i, x, g, grad);
    case LAYER_POOL:
    case LAYER_GAP:
        st = sluice_op_upsample(
            n->s, &(sluice_op_upsample_args){ .kind = pooling_of(l),
                                              .h = l->in_shape[0],
                                              .w = l->in_shape[1],
                                              .c = l->in_shape[2],
                                              .size = l->pool_size,
                                              .x = x,
                                              .g = g,
                                              .out = sluice_rows(n->g_next, SLUICE_F32, b->rows, l->in_width) });
        swap_gradients(n);
        return st;
    case LAYER_DROP: return drop(n, i, n->g, b);
    case LAYER_RELU: /* a dropout behind it keeps the sign, and where it wrote 0 the gradient is 0 already */
        return sluice_op_gate(
            n->s, &(sluice_op_gate_args){ .y = sluice_rows(p->y, SLUICE_F32, b->rows, l->out_width), .g = g });
    }
    return SLUICE_OK;
}

static sluice_status pass(network *n, const net_block *b, float *grad)
{
    sluice_status st = SLUICE_OK;
    int last = n->h->layer_count - 1;
    TRY(forward(n, b->x, b->rows, b));
    TRY(sluice_op_loss(
        n->s, &(sluice_op_loss_args){ .logits = sluice_rows(n->layers[last].y, SLUICE_F32, b->rows, n->h->classes),
                                      .target = b->target,
                                      .weight = b->class_weight,
                                      .grad_scale = 1.0f / (float)b->batch,
                                      .grad = sluice_rows(n->g, SLUICE_F32, b->rows, n->h->classes),
                                      .out_sum = b->loss }));
    for (int i = last; i >= n->first; i--) TRY(backward_layer(n, i, b, grad));
out:
    return st;
}

/* Gradients decide no pick by themselves: a GPU's libraries may compute them. */
sluice_status network_gradients(network *n, const net_block *b, int slot)
{
    sluice_math math = n->s->exec.math;
    if (math == SLUICE_MATH_EXACT) n->s->exec.math = SLUICE_MATH_LIBRARY;
    sluice_status st = pass(n, b, n->part + slot * n->gradients);
    n->s->exec.math = math;
    return st;
}

/* ---- step ---- */

/* A tensor's weights, averages and gradients. */
typedef struct tensor {
    float *w, *m, *v;
    const float *grad; /* of the first block */
    int64_t count;
} tensor;

static sluice_status step_tensor(const network *n, const optimizer *o, const tensor *t, float decay, int blocks)
{
    if (o->sgd)
        return sluice_op_sgd(n->s, &(sluice_op_sgd_args){ .w = t->w,
                                                          .grad = t->grad,
                                                          .more = blocks - 1,
                                                          .apart = n->gradients,
                                                          .m = t->m,
                                                          .count = t->count,
                                                          .rate = o->rate,
                                                          .momentum = 0.9f,
                                                          .decay = decay });
    return sluice_op_adam(n->s, &(sluice_op_adam_args){ .w = t->w,
                                                        .grad = t->grad,
                                                        .more = blocks - 1,
                                                        .apart = n->gradients,
                                                        .m = t->m,
                                                        .v = t->v,
                                                        .count = t->count,
                                                        .step = o->step,
                                                        .rate = o->rate,
                                                        .beta1 = 0.9f,
                                                        .beta2 = 0.999f,
                                                        .epsilon = 1e-8f,
                                                        .decay = decay });
}

sluice_status network_step(network *n, const optimizer *o, int blocks)
{
    sluice_status st = SLUICE_OK;
    for (int i = n->first; i < n->h->layer_count; i++) {
        const net_layer *p = &n->layers[i];
        int64_t k = p->weights;
        const float *grad = n->all + p->grad;
        if (!p->biases) continue;
        TRY(step_tensor(n, o, &(tensor){ p->l.w, p->m, p->v, grad, k }, o->decay, blocks));
        TRY(step_tensor(n, o, &(tensor){ p->l.b, p->m + k, p->v + k, grad + k, p->biases }, 0, blocks));
    }
    TRY(pack_weights(n));
out:
    return st;
}
