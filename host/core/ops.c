/* ops.c - sluice_op_<name>(): the arguments are checked here, once, then the context's backend runs the op.
 *
 * check_<op>() returns SLUICE_OK or records what does not fit, with both values.  Backends trust what passed. */
#include "core.h"

#include <math.h> /* isfinite */
#include <string.h>

typedef long long ll;

#define REQUIRE(ok, code, ...)                                                                                         \
    do {                                                                                                               \
        if (!(ok)) return sluice_fail(s, SLUICE_##code, __VA_ARGS__);                                                  \
    } while (0)
#define CHECKED(call)                                                                                                  \
    do {                                                                                                               \
        sluice_status st_ = (call);                                                                                    \
        if (st_) return st_;                                                                                           \
    } while (0)

enum { MAX_CLASSES = 1 << 24 }; /* class indices are stored as floats */

/* ---- views ------------------------------------------------------------------------------------------- */

static sluice_status check_view(sluice *s, const char *what, const sluice_view *v)
{
    size_t bytes, all;
    REQUIRE(v->rows >= 0 && v->cols >= 0, E_SHAPE, "%s: shape [%lld, %lld] is negative", what, (ll)v->rows,
            (ll)v->cols);
    REQUIRE((unsigned)v->type <= SLUICE_U8, E_TYPE, "%s: element type %d is not known", what, (int)v->type);
    REQUIRE(!mul_overflows((size_t)v->cols, sluice_type_bytes(v->type), &bytes) &&
                !mul_overflows((size_t)v->rows, v->stride, &all),
            E_SHAPE, "%s: shape [%lld, %lld] does not fit in memory", what, (ll)v->rows, (ll)v->cols);
    REQUIRE(v->rows <= 1 || v->stride >= bytes, E_SHAPE, "%s: rows of %zu bytes overlap at a stride of %zu", what,
            bytes, v->stride);
    REQUIRE(v->data || !v->rows || !v->cols, E_SHAPE, "%s: no data for shape [%lld, %lld]", what, (ll)v->rows,
            (ll)v->cols);
    return SLUICE_OK;
}

static sluice_status check_f32(sluice *s, const char *what, const sluice_view *v)
{
    CHECKED(check_view(s, what, v));
    REQUIRE(v->type == SLUICE_F32, E_TYPE, "%s: must be f32, is %s", what, sluice_type_name(v->type));
    return SLUICE_OK;
}

/* An f32 view of a given shape. */
static sluice_status check_shape(sluice *s, const char *what, const sluice_view *v, int64_t rows, int64_t cols)
{
    CHECKED(check_f32(s, what, v));
    REQUIRE(v->rows == rows && v->cols == cols, E_SHAPE, "%s: shape is [%lld, %lld], must be [%lld, %lld]", what,
            (ll)v->rows, (ll)v->cols, (ll)rows, (ll)cols);
    return SLUICE_OK;
}

/* Rows of any type a product takes. */
static sluice_status check_features(sluice *s, const char *what, const sluice_view *v)
{
    CHECKED(check_view(s, what, v));
    REQUIRE(v->type != SLUICE_F64, E_TYPE, "%s: f64 rows must be converted first", what);
    return SLUICE_OK;
}

static size_t view_bytes(const sluice_view *v)
{
    return v->rows && v->cols ? (size_t)(v->rows - 1) * v->stride + (size_t)v->cols * sluice_type_bytes(v->type) : 0;
}

static sluice_status check_apart(sluice *s, const char *op, const sluice_view *x, const sluice_view *out)
{
    uintptr_t a = (uintptr_t)x->data, b = (uintptr_t)out->data;
    bool apart = a + view_bytes(x) <= b || b + view_bytes(out) <= a;
    REQUIRE(apart || !view_bytes(x) || !view_bytes(out), E_SHAPE, "%s: out overlaps its input", op);
    return SLUICE_OK;
}

static sluice_status check_classes(sluice *s, const char *op, int64_t c)
{
    REQUIRE(c >= 1 && c <= MAX_CLASSES, E_SHAPE, "%s: %lld classes, must be 1 to %d", op, (ll)c, MAX_CLASSES);
    return SLUICE_OK;
}

/* ---- products ---------------------------------------------------------------------------------------- */

static sluice_status check_pack(sluice *s, const sluice_op_pack_args *a)
{
    CHECKED(check_f32(s, "pack: w", &a->w));
    REQUIRE(a->out || !a->w.rows || !a->w.cols, E_SHAPE, "pack: out is missing");
    REQUIRE((uintptr_t)a->out % 64 == 0, E_SHAPE, "pack: out is not aligned to 64 bytes");
    return SLUICE_OK;
}

static sluice_status check_forward(sluice *s, const sluice_op_forward_args *a)
{
    CHECKED(check_features(s, "forward: x", &a->x));
    CHECKED(check_classes(s, "forward", a->c));
    CHECKED(check_shape(s, "forward: out", &a->out, a->x.rows, a->c));
    REQUIRE(a->packed || !a->x.rows || !a->x.cols, E_SHAPE, "forward: the weights are missing");
    return check_apart(s, "forward", &a->x, &a->out);
}

static sluice_status check_product(sluice *s, const sluice_op_product_args *a)
{
    CHECKED(check_f32(s, "product: g", &a->g));
    CHECKED(check_f32(s, "product: x", &a->x));
    REQUIRE(a->g.rows == a->x.rows, E_SHAPE, "product: g has %lld rows, x %lld", (ll)a->g.rows, (ll)a->x.rows);
    CHECKED(check_shape(s, "product: out", &a->out, a->g.cols, a->x.cols));
    CHECKED(check_apart(s, "product", &a->g, &a->out));
    return check_apart(s, "product", &a->x, &a->out);
}

/* ---- convolutions ------------------------------------------------------------------------------------ */

/* Bounds each side, so that no product of them overflows. */
static bool small(int64_t side) { return side >= 1 && side <= 1 << 20; }

static sluice_status check_conv_shape(sluice *s, const char *op, const sluice_conv_shape *p)
{
    REQUIRE(small(p->h) && small(p->w) && small(p->cin) && small(p->cout) && small(p->out_h) && small(p->out_w),
            E_SHAPE, "%s: images of %lld x %lld x %lld to %lld x %lld x %lld are not possible", op, (ll)p->h, (ll)p->w,
            (ll)p->cin, (ll)p->out_h, (ll)p->out_w, (ll)p->cout);
    REQUIRE(p->kernel == 1 || p->kernel == 3 || p->kernel == 5, E_SHAPE, "%s: the kernel is %lld, must be 1, 3 or 5",
            op, (ll)p->kernel);
    REQUIRE(p->stride >= 1 && p->stride <= 16, E_SHAPE, "%s: the stride is %lld, must be 1 to 16", op, (ll)p->stride);
    REQUIRE(p->pad >= 0 && p->pad < p->kernel, E_SHAPE, "%s: the padding is %lld, must be 0 to %lld", op, (ll)p->pad,
            (ll)p->kernel - 1);
    REQUIRE(p->h + 2 * p->pad >= p->kernel && p->out_h == (p->h + 2 * p->pad - p->kernel) / p->stride + 1 &&
                p->w + 2 * p->pad >= p->kernel && p->out_w == (p->w + 2 * p->pad - p->kernel) / p->stride + 1,
            E_SHAPE, "%s: %lld x %lld does not give %lld x %lld by kernel %lld, stride %lld, padding %lld", op,
            (ll)p->h, (ll)p->w, (ll)p->out_h, (ll)p->out_w, (ll)p->kernel, (ll)p->stride, (ll)p->pad);
    return SLUICE_OK;
}
static int64_t conv_in(const sluice_conv_shape *p) { return p->h * p->w * p->cin; }
static int64_t conv_out(const sluice_conv_shape *p) { return p->out_h * p->out_w * p->cout; }

static sluice_status check_conv(sluice *s, const sluice_op_conv_args *a)
{
    CHECKED(check_conv_shape(s, "conv", &a->shape));
    CHECKED(check_features(s, "conv: x", &a->x));
    REQUIRE(a->x.cols == conv_in(&a->shape), E_SHAPE, "conv: x has %lld columns, the shape %lld", (ll)a->x.cols,
            (ll)conv_in(&a->shape));
    REQUIRE(a->packed, E_SHAPE, "conv: the weights are missing");
    CHECKED(check_shape(s, "conv: out", &a->out, a->x.rows, conv_out(&a->shape)));
    return check_apart(s, "conv", &a->x, &a->out);
}

static sluice_status check_conv_input(sluice *s, const sluice_op_conv_input_args *a)
{
    CHECKED(check_conv_shape(s, "conv_input", &a->shape));
    CHECKED(check_shape(s, "conv_input: g", &a->g, a->g.rows, conv_out(&a->shape)));
    CHECKED(check_shape(s, "conv_input: out", &a->out, a->g.rows, conv_in(&a->shape)));
    REQUIRE(a->w, E_SHAPE, "conv_input: the weights are missing");
    return check_apart(s, "conv_input", &a->g, &a->out);
}

static sluice_status check_conv_weight(sluice *s, const sluice_op_conv_weight_args *a)
{
    CHECKED(check_conv_shape(s, "conv_weight", &a->shape));
    CHECKED(check_shape(s, "conv_weight: g", &a->g, a->g.rows, conv_out(&a->shape)));
    CHECKED(check_shape(s, "conv_weight: x", &a->x, a->g.rows, conv_in(&a->shape)));
    REQUIRE(a->out, E_SHAPE, "conv_weight: out is missing");
    return SLUICE_OK;
}

/* Columns of an image before and after pooling, or 0 where the shape is impossible. */
static int64_t pool_in(int64_t h, int64_t w, int64_t c) { return small(h) && small(w) && small(c) ? h * w * c : 0; }
static int64_t pool_out(sluice_pooling kind, int64_t h, int64_t w, int64_t c, int64_t size)
{
    if (kind == SLUICE_POOL_GLOBAL) return c;
    return size >= 1 ? (h / size) * (w / size) * c : 0;
}

static sluice_status check_pooling(sluice *s, const char *op, sluice_pooling kind, int64_t h, int64_t w, int64_t c,
                                   int64_t size)
{
    REQUIRE((unsigned)kind <= SLUICE_POOL_GLOBAL, E_SHAPE, "%s: pooling %d is not known", op, (int)kind);
    REQUIRE(pool_in(h, w, c) > 0 && pool_out(kind, h, w, c, size) > 0, E_SHAPE,
            "%s: windows of %lld do not fit images of %lld x %lld x %lld", op, (ll)size, (ll)h, (ll)w, (ll)c);
    return SLUICE_OK;
}

static sluice_status check_downsample(sluice *s, const sluice_op_downsample_args *a)
{
    CHECKED(check_pooling(s, "downsample", a->kind, a->h, a->w, a->c, a->size));
    CHECKED(check_shape(s, "downsample: x", &a->x, a->x.rows, pool_in(a->h, a->w, a->c)));
    CHECKED(check_shape(s, "downsample: out", &a->out, a->x.rows, pool_out(a->kind, a->h, a->w, a->c, a->size)));
    return check_apart(s, "downsample", &a->x, &a->out);
}

static sluice_status check_upsample(sluice *s, const sluice_op_upsample_args *a)
{
    CHECKED(check_pooling(s, "upsample", a->kind, a->h, a->w, a->c, a->size));
    CHECKED(check_shape(s, "upsample: g", &a->g, a->g.rows, pool_out(a->kind, a->h, a->w, a->c, a->size)));
    if (a->kind == SLUICE_POOL_MAX) CHECKED(check_shape(s, "upsample: x", &a->x, a->g.rows, pool_in(a->h, a->w, a->c)));
    CHECKED(check_shape(s, "upsample: out", &a->out, a->g.rows, pool_in(a->h, a->w, a->c)));
    return check_apart(s, "upsample", &a->g, &a->out);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static sluice_status check_convert(sluice *s, const sluice_op_convert_args *a)
{
    CHECKED(check_view(s, "convert: x", &a->x));
    CHECKED(check_view(s, "convert: out", &a->out));
    REQUIRE(a->x.rows == a->out.rows && a->x.cols == a->out.cols, E_SHAPE,
            "convert: x is [%lld, %lld], out [%lld, %lld]", (ll)a->x.rows, (ll)a->x.cols, (ll)a->out.rows,
            (ll)a->out.cols);
    REQUIRE(a->out.type != SLUICE_F64 && a->out.type != SLUICE_U8, E_TYPE,
            "convert: out may be f32, f16, bf16 or i8, is %s", sluice_type_name(a->out.type));
    REQUIRE(a->out.type != SLUICE_I8 || a->out_scale || !a->out.rows, E_SHAPE, "convert: i8 rows need out_scale");
    bool in_place = a->x.data == a->out.data && a->x.stride == a->out.stride && a->x.type == a->out.type;
    return in_place ? SLUICE_OK : check_apart(s, "convert", &a->x, &a->out);
}

static sluice_status check_finite(sluice *s, const sluice_op_finite_args *a)
{
    CHECKED(check_view(s, "finite: x", &a->x));
    REQUIRE(a->bad || !a->x.rows, E_SHAPE, "finite: bad is missing");
    return SLUICE_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------ */

static sluice_status check_temperature(sluice *s, const char *op, float t)
{
    REQUIRE(t > 0 && isfinite(t), E_SHAPE, "%s: the temperature is %g, must be positive", op, (double)t);
    return SLUICE_OK;
}

static sluice_status check_score(sluice *s, const sluice_op_score_args *a)
{
    CHECKED(check_f32(s, "score: logits", &a->logits));
    CHECKED(check_classes(s, "score", a->logits.cols));
    return check_temperature(s, "score", a->temperature);
}

static sluice_status check_scan(sluice *s, const sluice_op_scan_args *a)
{
    CHECKED(check_features(s, "scan: x", &a->x));
    CHECKED(check_classes(s, "scan", a->c));
    CHECKED(check_temperature(s, "scan", a->temperature));
    REQUIRE(a->packed || !a->x.rows || !a->x.cols, E_SHAPE, "scan: the weights are missing");
    if (!a->logits.data) return SLUICE_OK;
    CHECKED(check_shape(s, "scan: logits", &a->logits, a->x.rows, a->c));
    return check_apart(s, "scan", &a->x, &a->logits);
}

static sluice_status check_running(sluice *s, const sluice_top_state *t)
{
    REQUIRE(t->k >= 1 && t->k <= INT64_MAX / 128, E_SHAPE, "top: k is %lld, must be at least 1", (ll)t->k);
    REQUIRE(t->entries && t->capacity >= 2 * t->k + 64, E_SHAPE, "top: room for %lld entries, k = %lld needs %lld",
            (ll)t->capacity, (ll)t->k, (ll)(2 * t->k + 64));
    REQUIRE(t->count >= 0 && t->count <= t->capacity, E_SHAPE, "top: count %lld is outside of capacity %lld",
            (ll)t->count, (ll)t->capacity);
    return SLUICE_OK;
}

static sluice_status check_top(sluice *s, const sluice_op_top_args *a)
{
    REQUIRE(a->count >= 1 && a->state, E_SHAPE, "top: %d scores and no state", a->count);
    REQUIRE(a->n >= 0 && a->first_row >= 0 && a->first_row <= INT64_MAX - a->n, E_SHAPE,
            "top: rows %lld + %lld are not possible", (ll)a->first_row, (ll)a->n);
    for (int i = 0; i < a->count && a->n; i++) REQUIRE(a->score && a->score[i], E_SHAPE, "top: the scores are missing");
    if (s->backend->owns && s->backend->owns(a->state)) return SLUICE_OK; /* checked before they were copied there */
    for (int i = 0; i < a->count; i++) CHECKED(check_running(s, &a->state[i]));
    return SLUICE_OK;
}

/* ---- training ---------------------------------------------------------------------------------------- */

static sluice_status check_loss(sluice *s, const sluice_op_loss_args *a)
{
    CHECKED(check_f32(s, "loss: logits", &a->logits));
    CHECKED(check_classes(s, "loss", a->logits.cols));
    if (a->grad.data) CHECKED(check_shape(s, "loss: grad", &a->grad, a->logits.rows, a->logits.cols));
    REQUIRE((a->target || !a->logits.rows) && a->out_sum, E_SHAPE, "loss: target or out_sum is missing");
    if (s->backend->owns && s->backend->owns(a->target)) return SLUICE_OK; /* checked before it was copied there */
    for (int64_t i = 0; i < a->logits.rows; i++)
        REQUIRE(a->target[i] >= 0 && a->target[i] < a->logits.cols, E_DATA,
                "loss: target %d of row %lld is not one of %lld classes", (int)a->target[i], (ll)i, (ll)a->logits.cols);
    return SLUICE_OK;
}

static sluice_status check_nearest(sluice *s, const sluice_op_nearest_args *a)
{
    CHECKED(check_f32(s, "nearest: x", &a->x));
    CHECKED(check_f32(s, "nearest: y", &a->y));
    REQUIRE(a->x.cols == a->y.cols, E_SHAPE, "nearest: x has %lld columns, y %lld", (ll)a->x.cols, (ll)a->y.cols);
    REQUIRE(a->y.rows <= INT32_MAX, E_SHAPE, "nearest: %lld references are more than %d", (ll)a->y.rows, INT32_MAX);
    REQUIRE(a->k >= 1 && a->k <= a->y.rows, E_SHAPE, "nearest: k is %lld, must be 1 to the %lld references", (ll)a->k,
            (ll)a->y.rows);
    REQUIRE((a->packed || !a->x.cols) && ((a->distance && a->index) || !a->x.rows), E_SHAPE,
            "nearest: an array is missing");
    return SLUICE_OK;
}

static sluice_status check_relax(sluice *s, const sluice_op_relax_args *a)
{
    CHECKED(check_f32(s, "relax: x", &a->x));
    REQUIRE((a->y || !a->x.cols) && (a->distance || !a->x.rows), E_SHAPE, "relax: an array is missing");
    REQUIRE(a->count >= 0, E_SHAPE, "relax: %lld rows to measure to", (long long)a->count);
    return SLUICE_OK;
}

static sluice_status check_accumulate(sluice *s, const sluice_op_accumulate_args *a)
{
    CHECKED(check_f32(s, "accumulate: x", &a->x));
    REQUIRE(a->x.rows <= (int64_t)1 << 22, E_SHAPE, "accumulate: %lld rows might overflow a sum, at most %d do not",
            (ll)a->x.rows, 1 << 22);
    REQUIRE(a->cells >= 0 && a->cells <= INT32_MAX, E_SHAPE, "accumulate: %lld cells", (ll)a->cells);
    REQUIRE((a->cell && a->sum && a->mass) || !a->x.rows, E_SHAPE, "accumulate: an array is missing");
    return SLUICE_OK;
}

static sluice_status check_gain(sluice *s, const sluice_op_gain_args *a)
{
    CHECKED(check_f32(s, "gain: x", &a->x));
    CHECKED(check_f32(s, "gain: y", &a->y));
    REQUIRE(a->x.cols == a->y.cols, E_SHAPE, "gain: rows of %lld values against rows of %lld", (ll)a->x.cols,
            (ll)a->y.cols);
    REQUIRE(a->y.rows <= (int64_t)1 << 21, E_SHAPE, "gain: %lld rows might overflow a sum, at most %d do not",
            (ll)a->y.rows, 1 << 21);
    REQUIRE(a->scale > 0 || (a->kernel == SLUICE_HAT && a->scale == 0), E_USAGE, "gain: a scale of %g",
            (double)a->scale);
    REQUIRE((a->packed && a->kept) || !a->y.rows, E_SHAPE, "gain: an array is missing");
    REQUIRE(a->gain || !a->x.rows, E_SHAPE, "gain: an array is missing");
    return SLUICE_OK;
}

static sluice_status check_gate(sluice *s, const sluice_op_gate_args *a)
{
    CHECKED(check_f32(s, "gate: y", &a->y));
    return check_shape(s, "gate: g", &a->g, a->y.rows, a->y.cols);
}

static sluice_status check_dropout(sluice *s, const sluice_op_dropout_args *a)
{
    CHECKED(check_f32(s, "dropout: x", &a->x));
    REQUIRE(a->rate >= 0 && a->rate < 1, E_SHAPE, "dropout: the rate is %g, must be at least 0 and below 1",
            (double)a->rate);
    REQUIRE(a->first >= 0 && a->first + a->x.rows <= (int64_t)1 << 32, E_SHAPE, "dropout: rows from %lld on",
            (ll)a->first);
    return SLUICE_OK;
}

static sluice_status check_gradients(sluice *s, const char *op, int64_t more, int64_t apart, int64_t count)
{
    REQUIRE(more >= 0 && (more == 0 || apart >= count), E_SHAPE, "%s: %lld gradients of %lld, %lld apart", op,
            (ll)more + 1, (ll)count, (ll)apart);
    return SLUICE_OK;
}

static sluice_status check_adam(sluice *s, const sluice_op_adam_args *a)
{
    REQUIRE(a->count >= 0 && a->step >= 1, E_SHAPE, "adam: count %lld, step %lld; must be at least 0 and 1",
            (ll)a->count, (ll)a->step);
    REQUIRE((a->w && a->grad && a->m && a->v) || !a->count, E_SHAPE, "adam: an array is missing");
    return check_gradients(s, "adam", a->more, a->apart, a->count);
}

static sluice_status check_sgd(sluice *s, const sluice_op_sgd_args *a)
{
    REQUIRE(a->count >= 0, E_SHAPE, "sgd: count %lld is negative", (ll)a->count);
    REQUIRE((a->w && a->grad && a->m) || !a->count, E_SHAPE, "sgd: an array is missing");
    return check_gradients(s, "sgd", a->more, a->apart, a->count);
}

/* ---- the calls --------------------------------------------------------------------------------------- */

static sluice_status unsupported(sluice *s, const char *op)
{
    return sluice_fail(s, SLUICE_E_UNSUPPORTED, "%s has no op '%s'",
                       s->backend ? s->backend->name : "a context without a backend", op);
}

#define OP(name, line)                                                                                                 \
    sluice_status sluice_op_##name(sluice *s, const sluice_op_##name##_args *a)                                        \
    {                                                                                                                  \
        if (!s->backend || !s->backend->op.name) return unsupported(s, #name);                                         \
        sluice_status st = check_##name(s, a);                                                                         \
        if (st) return st;                                                                                             \
        fp_state fp = fp_enter();                                                                                      \
        st = s->backend->op.name(&s->exec, a);                                                                         \
        fp_leave(fp);                                                                                                  \
        return st;                                                                                                     \
    }
#include "sluice_ops.def"
#undef OP
