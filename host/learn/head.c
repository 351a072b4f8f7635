/* head.c - a head in memory: its making, and rows run through it.  The file: head_file.c.  Contract: head.h.
 *
 *   names, making      head_new head_tensors sluice_head_free and the public questions
 *   folding, packing   head_prepare
 *   running rows       run_layers, on pieces of rows; head_features head_logits head_scan */
#include "head.h"
#include "exact.h"

#include <string.h>

/* ---- making ---- */

static sluice_status copy_names(sluice *s, sluice_head *h, char *const *names)
{
    sluice_status st = SLUICE_OK;
    TRY_NEW(h->names, NEW(s, h->classes, char *));
    for (int j = 0; j < h->classes; j++) TRY_NEW(h->names[j], mem_text(s, names[j]));
out:
    return st;
}

sluice_status head_new(sluice *s, const char *line, const int64_t in_shape[3], int classes, char *const *names,
                       sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    sluice_head *h = NULL;
    if (classes < 1 || classes > HEAD_MAX_CLASSES)
        FAIL(E_SHAPE, "a head has 1 to %d classes, not %d", HEAD_MAX_CLASSES, classes);
    TRY_NEW(h, NEW(s, 1, sluice_head));
    h->scale = h->temperature = 1;
    TRY(layer_line_parse(s, line, in_shape, classes, &h->layers, &h->layer_count));
    memcpy(h->in_shape, h->layers[0].in_shape, sizeof h->in_shape);
    h->in_width = h->layers[0].in_width;
    h->classes = classes;
    TRY_NEW(h->line, mem_text(s, line));
    TRY(copy_names(s, h, names));
    *out_head = h, h = NULL;
out:
    sluice_head_free(h);
    return st;
}

sluice_status head_tensors(sluice *s, sluice_head *h)
{
    sluice_status st = SLUICE_OK;
    for (layer *l = h->layers; l < h->layers + h->layer_count; l++) {
        int64_t rows, cols;
        layer_weights(l, &rows, &cols);
        if (rows == 0) continue;
        if (!l->w) TRY_NEW(l->w, NEW(s, rows * cols, float));
        if (!l->b) TRY_NEW(l->b, NEW(s, rows, float));
    }
out:
    return st;
}

void sluice_head_free(sluice_head *h)
{
    if (!h) return;
    for (int i = 0; i < h->layer_count; i++)
        mem_free(h->layers[i].w), mem_free(h->layers[i].b), mem_free(h->layers[i].packed);
    for (int j = 0; h->names && j < h->classes; j++) mem_free(h->names[j]);
    mem_free(h->line), mem_free(h->layers), mem_free(h->names), mem_free(h->mean);
    mem_free(h->scan_packed), mem_free(h->scan_bias);
    mem_free(h->train_ids), mem_free(h->train_row_hash), mem_free(h->held_logits), mem_free(h->held_target);
    mem_free(h->trained);
    mem_free(h);
}

int sluice_head_classes(const sluice_head *h) { return h->classes; }
const char *sluice_head_layers(const sluice_head *h) { return h->line; }

const char *sluice_head_class_name(const sluice_head *h, int j)
{
    return j >= 0 && j < h->classes ? h->names[j] : NULL;
}

bool head_is_linear(const sluice_head *h) { return h->layer_count == 1; }
int64_t head_feature_width(const sluice_head *h) { return h->layers[h->layer_count - 1].in_width; }

/* ---- folding and packing ---- */

static sluice_status pack(sluice *s, const float *w, int64_t rows, int64_t cols, float **packed)
{
    sluice_status st = SLUICE_OK;
    if (!*packed) TRY_NEW(*packed, RAW(s, (int64_t)sluice_packed_floats(rows, cols), float));
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, rows, cols), .out = *packed }));
out:
    return st;
}

/* The folded weights and bias of a linear head; fold [c, d]. */
static void fold_row(const sluice_head *h, const float *w, float b, float *fold_w, float *fold_b)
{
    double shift = 0;
    for (int64_t k = 0; k < h->in_width; k++) {
        fold_w[k] = (float)((double)w[k] / (double)h->scale);
        if (h->mean) shift += (double)h->mean[k] * (double)fold_w[k];
    }
    *fold_b = (float)((double)b - shift);
}

static sluice_status prepare_linear(sluice *s, sluice_head *h)
{
    sluice_status st = SLUICE_OK;
    const layer *l = &h->layers[0];
    float *fold = NULL;
    TRY_NEW(fold, RAW(s, l->out_width * l->in_width, float));
    for (int64_t j = 0; j < l->out_width; j++)
        fold_row(h, l->w + j * l->in_width, l->b[j], fold + j * l->in_width, &h->scan_bias[j]);
    TRY(pack(s, fold, l->out_width, l->in_width, &h->scan_packed));
out:
    mem_free(fold);
    return st;
}

sluice_status head_prepare(sluice *s, sluice_head *h)
{
    sluice_status st = SLUICE_OK;
    const layer *last = &h->layers[h->layer_count - 1];
    if (!h->scan_bias) TRY_NEW(h->scan_bias, RAW(s, h->classes, float));
    if (head_is_linear(h)) return prepare_linear(s, h);
    for (layer *l = h->layers; l <= last; l++) {
        int64_t rows, cols;
        layer_weights(l, &rows, &cols);
        if (rows > 0) TRY(pack(s, l->w, rows, cols, &l->packed));
    }
    TRY(pack(s, last->w, last->out_width, last->in_width, &h->scan_packed));
    memcpy(h->scan_bias, last->b, (size_t)h->classes * sizeof(float));
out:
    return st;
}

/* ---- running rows ---- */

/* Activations of a piece of rows: layers read one buffer and write the other. */
typedef struct piece_buffers {
    int64_t rows; /* of a piece */
    float *a, *b; /* [rows, widest layer] */
    uint8_t *bad; /* [rows] */
} piece_buffers;

enum { PIECE_BYTES = 1 << 20 }; /* of one buffer and thread: two of them stay in the second-level cache */

static void buffers_release(piece_buffers *p) { mem_free(p->a), mem_free(p->b), mem_free(p->bad); }

static sluice_status buffers_new(sluice *s, const sluice_head *h, int64_t n, piece_buffers *out)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    int64_t widest = h->in_width;
    for (int i = 0; i < h->layer_count - 1; i++)
        if (h->layers[i].out_width > widest) widest = h->layers[i].out_width;
    p.rows = (int64_t)PIECE_BYTES * (s->threads > 0 ? s->threads : 1) / (widest * (int64_t)sizeof(float));
    if (p.rows < 1) p.rows = 1;
    if (p.rows > n) p.rows = n;
    TRY_NEW(p.a, RAW(s, p.rows * widest, float));
    TRY_NEW(p.b, RAW(s, p.rows * widest, float));
    TRY_NEW(p.bad, RAW(s, p.rows, uint8_t));
out:
    if (st) buffers_release(&p), memset(&p, 0, sizeof p);
    *out = p;
    return st;
}

static sluice_view rows_of(sluice_view x, int64_t first, int64_t rows)
{
    x.data = (uint8_t *)x.data + (size_t)first * x.stride;
    if (x.scale) x.scale += first;
    x.rows = rows;
    return x;
}

sluice_status layer_relu(sluice *s, float *x, int64_t rows, int64_t cols)
{
    sluice_view v = sluice_rows(x, SLUICE_F32, rows, cols);
    return sluice_op_gate(s, &(sluice_op_gate_args){ .y = v, .g = v });
}

sluice_status layer_run(sluice *s, const layer *l, bool relu, const float *in, int64_t n, float *out)
{
    sluice_view x = sluice_rows(in, SLUICE_F32, n, l->in_width), y = sluice_rows(out, SLUICE_F32, n, l->out_width);
    switch (l->kind) {
    case LAYER_CONV:
        return sluice_op_conv(
            s, &(sluice_op_conv_args){
                   .shape = l->conv, .x = x, .packed = l->packed, .bias = l->b, .relu = relu, .out = y });
    case LAYER_DENSE:
        return sluice_op_forward(
            s, &(sluice_op_forward_args){
                   .x = x, .packed = l->packed, .bias = l->b, .c = l->out_width, .relu = relu, .out = y });
    case LAYER_POOL:
    case LAYER_GAP:
        return sluice_op_downsample(
            s, &(sluice_op_downsample_args){ .kind = l->kind == LAYER_POOL ? SLUICE_POOL_MAX : SLUICE_POOL_GLOBAL,
                                             .h = l->in_shape[0],
                                             .w = l->in_shape[1],
                                             .c = l->in_shape[2],
                                             .size = l->pool_size,
                                             .x = x,
                                             .out = y });
    case LAYER_RELU:
    case LAYER_DROP: break;
    }
    return SLUICE_OK;
}

/* All layers but the last on a piece; *out_features is one of the buffers.  A relu joins the product before it. */
static sluice_status run_layers(sluice *s, const sluice_head *h, sluice_view x, piece_buffers *p,
                                const float **out_features)
{
    sluice_status st = SLUICE_OK;
    float *in = p->a, *out = p->b;
    TRY(sluice_op_finite(s, &(sluice_op_finite_args){ .x = x, .bad = p->bad }));
    sluice_view centred = sluice_rows(in, SLUICE_F32, x.rows, h->in_width);
    TRY(sluice_op_convert(s,
                          &(sluice_op_convert_args){ .x = x, .out = centred, .mean = h->mean, .divisor = h->scale }));
    for (int i = 0; i < h->layer_count - 1; i++) {
        const layer *l = &h->layers[i];
        bool product = l->kind == LAYER_CONV || l->kind == LAYER_DENSE, relu = product && l[1].kind == LAYER_RELU;
        if (l->kind == LAYER_DROP) continue;
        if (l->kind == LAYER_RELU) {
            TRY(layer_relu(s, in, x.rows, l->in_width));
            continue;
        }
        TRY(layer_run(s, l, relu, in, x.rows, out));
        float *swap = in;
        in = out, out = swap;
        if (relu) i++;
    }
    *out_features = in;
out:
    return st;
}

static void fill_nan(float *p, int64_t n)
{
    for (int64_t j = 0; j < n; j++) p[j] = ex_nan();
}

/* One pattern for every row that has no logits: which NaN comes out of a product depends on the instruction. */
void quarantine_logits(float *logits, int64_t n, int64_t c, const uint8_t *bad)
{
    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * c;
        int finite = !(bad && bad[i]);
        for (int64_t j = 0; j < c; j++) finite &= ex_finite(z[j]);
        if (!finite) fill_nan(logits + i * c, c);
    }
}

static void quarantine_scores(const sluice_scores *o, int64_t n, const uint8_t *bad)
{
    float *const column[] = { o->least_confidence, o->margin,     o->ratio,     o->entropy,
                              o->energy,           o->confidence, o->prediction };
    for (size_t f = 0; f < sizeof column / sizeof *column; f++)
        for (int64_t i = 0; column[f] && i < n; i++)
            if (bad[i]) column[f][i] = ex_nan();
}

static sluice_scores scores_from(const sluice_scores *o, int64_t row)
{
    sluice_scores r = *o;
    float **const column[] = { &r.least_confidence, &r.margin,     &r.ratio,     &r.entropy,
                               &r.energy,           &r.confidence, &r.prediction };
    for (size_t f = 0; f < sizeof column / sizeof *column; f++)
        if (*column[f]) *column[f] += row;
    return r;
}

static sluice_status check_width(sluice *s, const sluice_head *h, sluice_view x)
{
    if (x.cols == h->in_width) return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_SHAPE, "the head takes rows of %lld values, these have %lld", (long long)h->in_width,
                       (long long)x.cols);
}

sluice_status head_features(sluice *s, const sluice_head *h, sluice_view x, float *features)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    int64_t width = head_feature_width(h);
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    TRY(buffers_new(s, h, x.rows, &p));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        const float *f;
        TRY(run_layers(s, h, rows_of(x, i, n), &p, &f));
        memcpy(features + i * width, f, (size_t)(n * width) * sizeof(float));
        for (int64_t r = 0; r < n; r++)
            if (p.bad[r]) fill_nan(features + (i + r) * width, width);
    }
out:
    buffers_release(&p);
    return st;
}

/* The last layer on features (or a linear head on raw rows). */
static sluice_status last_layer(sluice *s, const sluice_head *h, sluice_view x, float *out)
{
    return sluice_op_forward(s, &(sluice_op_forward_args){ .x = x,
                                                           .packed = h->scan_packed,
                                                           .bias = h->scan_bias,
                                                           .c = h->classes,
                                                           .out = sluice_rows(out, SLUICE_F32, x.rows, h->classes) });
}

sluice_status head_logits(sluice *s, const sluice_head *h, sluice_view x, float *out)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    if (head_is_linear(h)) {
        TRY(last_layer(s, h, x, out));
        quarantine_logits(out, x.rows, h->classes, NULL);
        goto out;
    }
    TRY(buffers_new(s, h, x.rows, &p));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        const float *f;
        TRY(run_layers(s, h, rows_of(x, i, n), &p, &f));
        TRY(last_layer(s, h, sluice_rows(f, SLUICE_F32, n, head_feature_width(h)), out + i * h->classes));
        quarantine_logits(out + i * h->classes, n, h->classes, p.bad);
    }
out:
    buffers_release(&p);
    return st;
}

static sluice_status scan_rows(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits)
{
    sluice_op_scan_args a = { .x = x,
                              .packed = h->scan_packed,
                              .bias = h->scan_bias,
                              .c = h->classes,
                              .temperature = h->temperature,
                              .out = *out };
    if (logits) a.logits = sluice_rows(logits, SLUICE_F32, x.rows, h->classes);
    return sluice_op_scan(s, &a);
}

sluice_status head_scan(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    if (head_is_linear(h)) {
        TRY(scan_rows(s, h, x, out, logits));
        if (logits) quarantine_logits(logits, x.rows, h->classes, NULL);
        goto out;
    }
    TRY(buffers_new(s, h, x.rows, &p));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        sluice_scores o = scores_from(out, i);
        float *z = logits ? logits + i * h->classes : NULL;
        const float *f;
        TRY(run_layers(s, h, rows_of(x, i, n), &p, &f));
        TRY(scan_rows(s, h, sluice_rows(f, SLUICE_F32, n, head_feature_width(h)), &o, z));
        quarantine_scores(&o, n, p.bad);
        if (z) quarantine_logits(z, n, h->classes, p.bad);
    }
out:
    buffers_release(&p);
    return st;
}
