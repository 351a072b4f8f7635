/* head.c - a head in memory: its making, and rows run through it.  The file: head_file.c.  Contract: head.h.
 *
 *   names, making      head_new head_tensors sluice_head_free and the public questions
 *   folding, packing   head_prepare
 *   weights            where ops compute
 *   running rows       run_layers, on pieces of rows; head_features head_logits head_scan */
#include "head.h"
#include "backends.h"
#include "device.h"
#include "exact.h"

#include <stdatomic.h>
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

sluice_status head_copy(sluice *s, const sluice_head *h, sluice_head **out)
{
    sluice_status st = SLUICE_OK;
    TRY(head_new(s, h->line, h->in_shape, h->classes, h->names, out));
    sluice_head *to = *out;
    TRY(head_tensors(s, to));
    for (int i = 0; i < h->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&h->layers[i], &rows, &cols);
        if (rows == 0) continue;
        memcpy(to->layers[i].w, h->layers[i].w, (size_t)(rows * cols) * sizeof(float));
        memcpy(to->layers[i].b, h->layers[i].b, (size_t)rows * sizeof(float));
    }
    if (h->mean) {
        TRY_NEW(to->mean, RAW(s, h->in_width, float));
        memcpy(to->mean, h->mean, (size_t)h->in_width * sizeof(float));
    }
    to->scale = h->scale, to->temperature = h->temperature, to->l2 = h->l2;
out:
    return st;
}

void sluice_head_free(sluice_head *h)
{
    if (!h) return;
    for (int i = 0; i < h->layer_count; i++)
        mem_free(h->layers[i].w), mem_free(h->layers[i].b), mem_free(h->layers[i].packed);
    for (int j = 0; h->names && j < h->classes; j++) mem_free(h->names[j]);
    mem_free(h->line), mem_free(h->path), mem_free(h->layers), mem_free(h->names), mem_free(h->mean);
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
    static atomic_uint_fast64_t serials;
    h->serial = atomic_fetch_add(&serials, 1) + 1;
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

/* ---- weights where ops compute ---- */

enum { PART_MEAN, PART_PACKED, PART_BIAS, PART_ZEROS, PART_LAYERS }; /* then packed and b of each layer */

/* array [count], or NULL, of the head, where ops compute. */
static sluice_status placed(sluice *s, const sluice_head *h, int part, const float *array, size_t count, float **out)
{
    *out = dev_keep(s, h->serial, part, array, count * sizeof(float));
    return *out || !array ? SLUICE_OK : SLUICE_E_MEMORY;
}

static sluice_status placed_layer(sluice *s, const sluice_head *h, int i, layer *out)
{
    sluice_status st = SLUICE_OK;
    int64_t rows, cols;
    *out = h->layers[i];
    layer_weights(out, &rows, &cols);
    if (rows == 0) return SLUICE_OK;
    TRY(placed(s, h, PART_LAYERS + 2 * i, out->packed, sluice_packed_floats(rows, cols), &out->packed));
    TRY(placed(s, h, PART_LAYERS + 2 * i + 1, out->b, (size_t)rows, &out->b));
out:
    return st;
}

/* The last layer, folded. */
typedef struct last_weights {
    float *packed, *bias;
} last_weights;

static sluice_status placed_last(sluice *s, const sluice_head *h, last_weights *out)
{
    sluice_status st = SLUICE_OK;
    size_t floats = sluice_packed_floats(h->classes, head_feature_width(h));
    TRY(placed(s, h, PART_PACKED, h->scan_packed, floats, &out->packed));
    TRY(placed(s, h, PART_BIAS, h->scan_bias, (size_t)h->classes, &out->bias));
out:
    return st;
}

/* ---- running rows ---- */

/* Activations of a piece of rows: layers read one buffer and write the other.  Of a CPU's own, or rooms of a device. */
typedef struct piece_buffers {
    int64_t rows; /* of a piece */
    float *a, *b; /* [rows, widest layer] */
    uint8_t *bad; /* [rows] */
} piece_buffers;

enum { ROOM_A, ROOM_B, ROOM_BAD, ROOM_FLAG, ROOM_X };
enum {
    PIECE_BYTES = 1 << 20,         /* of one buffer and thread: two of them stay in the second-level cache */
    DEVICE_PIECE_BYTES = 64 << 20, /* fills a device many times over */
    PIECE_ROWS = 1 << 19           /* spoil_bad() makes them the rows of a product's result */
};

static void *buffer(sluice *s, int slot, int64_t count, size_t size)
{
    size_t bytes;
    if (!on_device(s)) return mem_raw(s, count, size);
    if (!mul_overflows((size_t)count, size, &bytes)) return dev_room(s, slot, bytes);
    sluice_fail(s, SLUICE_E_MEMORY, "out of device memory: %lld x %zu bytes", (long long)count, size);
    return NULL;
}

static void buffers_release(sluice *s, piece_buffers *p)
{
    if (!on_device(s)) mem_free(p->a), mem_free(p->b), mem_free(p->bad);
}

static sluice_status buffers_new(sluice *s, const sluice_head *h, int64_t n, piece_buffers *out)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    int64_t widest = h->in_width, bytes = (int64_t)PIECE_BYTES * (s->threads > 0 ? s->threads : 1);
    for (int i = 0; i < h->layer_count - 1; i++)
        if (h->layers[i].out_width > widest) widest = h->layers[i].out_width;
    if (on_device(s)) bytes = DEVICE_PIECE_BYTES;
    p.rows = bytes / (widest * (int64_t)sizeof(float));
    if (p.rows < 1) p.rows = 1;
    if (p.rows > n) p.rows = n;
    if (p.rows > PIECE_ROWS) p.rows = PIECE_ROWS;
    TRY_NEW(p.a, buffer(s, ROOM_A, p.rows, (size_t)widest * sizeof(float)));
    TRY_NEW(p.b, buffer(s, ROOM_B, p.rows, (size_t)widest * sizeof(float)));
    TRY_NEW(p.bad, buffer(s, ROOM_BAD, p.rows, 1));
out:
    if (st) buffers_release(s, &p), memset(&p, 0, sizeof p);
    *out = p;
    return st;
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

/* Rows that several ops read cross to a device once. */
static sluice_status rows_near(sluice *s, sluice_view *x)
{
    size_t bytes = (size_t)x->rows * x->stride;
    if (!on_device(s) || s->backend->owns(x->data)) return SLUICE_OK;
    if (x->stride != (size_t)x->cols * sluice_type_bytes(x->type)) return SLUICE_OK; /* the ops gather them */
    void *near = dev_room(s, ROOM_X, bytes);
    sluice_status st = near ? dev_copy(s, near, x->data, bytes) : SLUICE_E_MEMORY;
    x->data = near;
    return st;
}

/* All layers but the last on a piece; *out_features is one of the buffers.  A relu joins the product before it. */
static sluice_status run_layers(sluice *s, const sluice_head *h, sluice_view x, piece_buffers *p, float **out_features)
{
    sluice_status st = SLUICE_OK;
    float *in = p->a, *out = p->b, *mean;
    sluice_view centred = sluice_rows(in, SLUICE_F32, x.rows, h->in_width);
    TRY(placed(s, h, PART_MEAN, h->mean, (size_t)h->in_width, &mean));
    TRY(rows_near(s, &x));
    TRY(sluice_op_finite(s, &(sluice_op_finite_args){ .x = x, .bad = p->bad }));
    TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = x, .out = centred, .mean = mean, .divisor = h->scale }));
    for (int i = 0; i < h->layer_count - 1; i++) {
        layer l;
        TRY(placed_layer(s, h, i, &l));
        bool product = l.kind == LAYER_CONV || l.kind == LAYER_DENSE,
             relu = product && h->layers[i + 1].kind == LAYER_RELU;
        if (l.kind == LAYER_DROP) continue;
        if (l.kind == LAYER_RELU) {
            TRY(layer_relu(s, in, x.rows, l.in_width));
            continue;
        }
        TRY(layer_run(s, &l, relu, in, x.rows, out));
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

/* Whether the host may look at what an op wrote there. */
static bool host_sees(const sluice *s, const void *p)
{
    return !on_device(s) || (!s->exec.deferred && !s->backend->owns(p));
}

/* Features of bad rows become NaN on a device, and the last layer makes NaN of them by its own rule, so that nobody waits
 * for the flags: features += flag * 0, a product of one row, with a flag of 0 or infinity. */
static sluice_status spoil_bad(sluice *s, const sluice_head *h, const piece_buffers *p, float *features, int64_t n)
{
    static const float zeros[4096];
    enum { COLUMNS = sizeof zeros / sizeof *zeros };
    sluice_status st = SLUICE_OK;
    sluice_math math = s->exec.math;
    int64_t width = head_feature_width(h);
    float *flag, *zero;
    TRY_NEW(flag, buffer(s, ROOM_FLAG, p->rows, sizeof(float)));
    TRY(placed(s, h, PART_ZEROS, zeros, COLUMNS, &zero));
    TRY(sluice_op_convert(s, &(sluice_op_convert_args){ .x = sluice_rows(p->bad, SLUICE_U8, n, 1),
                                                        .out = sluice_rows(flag, SLUICE_F32, n, 1),
                                                        .divisor = 0x1p-149f }));
    s->exec.math = SLUICE_MATH_EXACT;
    for (int64_t k = 0; k < width && !st; k += COLUMNS) {
        int64_t cols = width - k < COLUMNS ? width - k : COLUMNS;
        sluice_view piece = sluice_rows(features + k, SLUICE_F32, n, cols);
        piece.stride = (size_t)width * sizeof(float);
        st = sluice_op_product(s, &(sluice_op_product_args){ .g = sluice_rows(flag, SLUICE_F32, 1, n),
                                                             .x = sluice_rows(zero, SLUICE_F32, 1, cols),
                                                             .accumulate = 1,
                                                             .out = piece });
    }
    s->exec.math = math;
out:
    return st;
}

sluice_status head_features(sluice *s, const sluice_head *h, sluice_view x, float *features)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    uint8_t *bad = NULL;
    bool seen = host_sees(s, features);
    int64_t width = head_feature_width(h);
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    TRY(buffers_new(s, h, x.rows, &p));
    if (seen) TRY_NEW(bad, RAW(s, p.rows, uint8_t));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        float *f;
        TRY(run_layers(s, h, sluice_rows_of(x, i, n), &p, &f));
        if (!seen) TRY(spoil_bad(s, h, &p, f, n));
        TRY(dev_copy(s, features + i * width, f, (size_t)(n * width) * sizeof(float)));
        if (!seen) continue;
        TRY(dev_copy(s, bad, p.bad, (size_t)n));
        for (int64_t r = 0; r < n; r++)
            if (bad[r]) fill_nan(features + (i + r) * width, width);
    }
out:
    mem_free(bad);
    buffers_release(s, &p);
    return st;
}

/* The input of the last layer, a piece at a time. */
static sluice_status last_input(sluice *s, const sluice_head *h, sluice_view x, piece_buffers *p, sluice_view *out)
{
    sluice_status st = SLUICE_OK;
    float *f;
    TRY(run_layers(s, h, x, p, &f));
    if (on_device(s)) TRY(spoil_bad(s, h, p, f, x.rows));
    *out = sluice_rows(f, SLUICE_F32, x.rows, head_feature_width(h));
out:
    return st;
}

/* The last layer on features (or a linear head on raw rows). */
static sluice_status last_layer(sluice *s, const sluice_head *h, sluice_view x, float *out)
{
    sluice_status st = SLUICE_OK;
    last_weights w;
    TRY(placed_last(s, h, &w));
    TRY(sluice_op_forward(s, &(sluice_op_forward_args){ .x = x,
                                                        .packed = w.packed,
                                                        .bias = w.bias,
                                                        .c = h->classes,
                                                        .out = sluice_rows(out, SLUICE_F32, x.rows, h->classes) }));
out:
    return st;
}

sluice_status head_logits(sluice *s, const sluice_head *h, sluice_view x, float *out)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    bool seen = host_sees(s, out);
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    if (head_is_linear(h)) {
        TRY(last_layer(s, h, x, out));
        if (seen) quarantine_logits(out, x.rows, h->classes, NULL);
        goto out;
    }
    TRY(buffers_new(s, h, x.rows, &p));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        sluice_view f;
        float *z = out + i * h->classes;
        TRY(last_input(s, h, sluice_rows_of(x, i, n), &p, &f));
        TRY(last_layer(s, h, f, z));
        if (seen) quarantine_logits(z, n, h->classes, on_device(s) ? NULL : p.bad);
    }
out:
    buffers_release(s, &p);
    return st;
}

static sluice_status scan_rows(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits)
{
    sluice_status st = SLUICE_OK;
    last_weights w;
    TRY(placed_last(s, h, &w));
    sluice_op_scan_args a = {
        .x = x, .packed = w.packed, .bias = w.bias, .c = h->classes, .temperature = h->temperature, .out = *out
    };
    if (logits) a.logits = sluice_rows(logits, SLUICE_F32, x.rows, h->classes);
    TRY(sluice_op_scan(s, &a));
out:
    return st;
}

sluice_status head_scan(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits)
{
    sluice_status st = SLUICE_OK;
    piece_buffers p = { 0 };
    bool seen = logits && host_sees(s, logits);
    TRY(check_width(s, h, x));
    if (x.rows == 0) goto out;
    if (head_is_linear(h)) {
        TRY(scan_rows(s, h, x, out, logits));
        if (seen) quarantine_logits(logits, x.rows, h->classes, NULL);
        goto out;
    }
    TRY(buffers_new(s, h, x.rows, &p));
    for (int64_t i = 0; i < x.rows; i += p.rows) {
        int64_t n = x.rows - i < p.rows ? x.rows - i : p.rows;
        sluice_scores o = scores_from(out, i);
        float *z = logits ? logits + i * h->classes : NULL;
        sluice_view f;
        TRY(last_input(s, h, sluice_rows_of(x, i, n), &p, &f));
        TRY(scan_rows(s, h, f, &o, z));
        if (!on_device(s)) quarantine_scores(&o, n, p.bad);
        if (seen) quarantine_logits(z, n, h->classes, on_device(s) ? NULL : p.bad);
    }
out:
    buffers_release(s, &p);
    return st;
}
