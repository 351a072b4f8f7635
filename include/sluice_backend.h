/* sluice_backend.h - all a backend needs: views, what an op runs on, argument structs, the op table.
 *
 * An op is a function of plain arrays.  It knows no files, never prints, never allocates: scratch comes from
 * sluice_exec.scratch.  Arguments are checked once, in host/core/ops.c, before any backend sees them, so a backend may
 * trust shapes.  Exact ops return the same bits on every backend, tier and thread count (docs/numerics.md). */
#ifndef SLUICE_BACKEND_H
#define SLUICE_BACKEND_H

#include "sluice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rows x cols elements of type; element (i, j) at data + i * stride bytes + j * size of type.  Borrowed. */
typedef struct sluice_view {
    void *data;
    int64_t rows, cols;
    size_t stride; /* bytes from row to row */
    sluice_type type;
    const float *scale; /* i8 and u8 rows: [rows] factor of each row, or NULL for 1 */
} sluice_view;

/* Rows first .. first+rows-1 of a view, with their factors; no data stays none. */
static inline sluice_view sluice_rows_of(sluice_view v, int64_t first, int64_t rows)
{
    if (v.data) v.data = (char *)v.data + (size_t)first * v.stride;
    if (v.scale) v.scale += first;
    v.rows = rows;
    return v;
}

typedef enum sluice_math {
    SLUICE_MATH_EXACT, /* docs/numerics.md: the same bits everywhere */
    SLUICE_MATH_LIBRARY, /* gradients of non-linear heads: a GPU may call cuBLAS and cuDNN; the same bits on each repeat */
    SLUICE_MATH_FAST     /* tensor cores, split sums */
} sluice_math;

/* What an op runs on: the CPU's threads, or one stream of one GPU. */
typedef struct sluice_exec {
    int threads;
    int device; /* index into the backend's devices */
    sluice_math math;
    int deferred; /* an op may return before its outputs in host memory are written: wait() ends that */
    void *state;  /* the backend's, from exec_open to exec_close */
    /* A 64-byte aligned block of at least bytes, valid until the next op asks; NULL when out of memory. */
    void *(*scratch)(struct sluice_exec *x, size_t bytes);
    /* Records the message and returns st, so that `return x->fail(x, SLUICE_E_..., "...")` ends an op. */
    sluice_status (*fail)(struct sluice_exec *x, sluice_status st, const char *format, ...);
    void *host;
} sluice_exec;

/* ---- products ---- */

/* Weights w [c, d] f32 (transpose: w is [d, c]) into out [ceil(c/16)][d][16] f32, class lanes above c zero. */
typedef struct sluice_op_pack_args {
    sluice_view w;
    int transpose;
    float *out; /* sluice_packed_floats(c, d) floats, 64-byte aligned */
} sluice_op_pack_args;
static inline size_t sluice_packed_floats(int64_t c, int64_t d) { return (size_t)((c + 15) / 16 * 16) * (size_t)d; }

/* out [n, c] f32 = x [n, d] (f32 f16 bf16 i8 u8) times packed + bias [c] or NULL.
 * Exact: acc = bias or 0, then acc = fma(x[k], w[k], acc), k ascending; i8/u8: acc from 0, then fma(scale, acc, bias).
 * The stored value is acc + 0.0f; relu: x > 0 ? x : (x == x ? 0 : x). */
typedef struct sluice_op_forward_args {
    sluice_view x;
    const float *packed, *bias;
    int64_t c;
    int relu;
    sluice_view out;
} sluice_op_forward_args;

/* out [c, d] f32 (+)= sum over rows i ascending of g[i, c] * x[i, d], each sum a chain of fma from 0 (or from out when
 * accumulate).  bias [c] or NULL gets the sums of g the same way.  g f32, x f32. */
typedef struct sluice_op_product_args {
    sluice_view g, x;
    int accumulate;
    sluice_view out;
    float *bias;
} sluice_op_product_args;

/* ---- convolutions, NHWC ---- */

typedef struct sluice_conv_shape {
    int64_t h, w, cin, cout;
    int64_t kernel, stride, pad; /* square kernels: 1, 3, 5 */
    int64_t out_h, out_w;        /* (h + 2 pad - kernel) / stride + 1 */
} sluice_conv_shape;

/* out [n, out_h*out_w*cout]; weights [cout, kernel*kernel*cin], k = (ky, kx, channel), packed as for forward. */
typedef struct sluice_op_conv_args {
    sluice_conv_shape shape;
    sluice_view x; /* [n, h*w*cin], any type forward takes */
    const float *packed, *bias;
    int relu;
    sluice_view out;
} sluice_op_conv_args;

/* dx [n, h*w*cin] from g [n, out_h*out_w*cout]; w [cout, kernel*kernel*cin] unpacked.
 * Exact: an input pixel is one chain of fma from 0 over (output y, x, cout) ascending; the stored value is acc + 0.0f. */
typedef struct sluice_op_conv_input_args {
    sluice_conv_shape shape;
    sluice_view g;
    const float *w;
    sluice_view out;
} sluice_op_conv_input_args;

/* out: dw [cout, kernel*kernel*cin]; bias: [cout] or NULL, the sums of g.  x f32.
 * Exact: a chain of fma from 0 over (image, y, x) ascending in each block of 8 images, then the blocks' sums ascending. */
typedef struct sluice_op_conv_weight_args {
    sluice_conv_shape shape;
    sluice_view g, x;
    float *out, *bias;
} sluice_op_conv_weight_args;

typedef enum sluice_pooling { SLUICE_POOL_MAX, SLUICE_POOL_AVERAGE, SLUICE_POOL_GLOBAL } sluice_pooling;

/* MAX and AVERAGE: size x size windows, stride size, a rest is dropped.  GLOBAL: the whole image.  Means: the sum of the
 * pixels in the order (y, x), one division. */
typedef struct sluice_op_downsample_args {
    sluice_pooling kind;
    int64_t h, w, c, size;
    sluice_view x, out;
} sluice_op_downsample_args;

/* g of the output to g of the input; MAX sends it to the first largest (x is the forward input, unused by the others),
 * the means share it out, g / pixels; what no window covers gets 0. */
typedef struct sluice_op_upsample_args {
    sluice_pooling kind;
    int64_t h, w, c, size;
    sluice_view x, g, out;
} sluice_op_upsample_args;

/* ---- rows ---- */

/* out = x, element by element; mean [d] or NULL is subtracted, then divided by divisor (0: no division);
 * normalise: x / sqrt(sum of squares), zeros if the sum is 0.  To i8: scale of the row = largest magnitude / 127
 * into out_scale. */
typedef struct sluice_op_convert_args {
    sluice_view x, out;
    const float *mean;
    float divisor;
    int normalise;
    float *out_scale;
} sluice_op_convert_args;

/* bad[i] = 1 if row i holds a NaN or an infinity (exponent bits) or its scale does, else 0. */
typedef struct sluice_op_finite_args {
    sluice_view x;
    uint8_t *bad;
} sluice_op_finite_args;

/* ---- scores ---- */

/* NULL = not wanted.  All [n] f32, larger = label this first. */
typedef struct sluice_scores {
    float *least_confidence; /* S/(1+S)                                  Lewis & Gale 1994    */
    float *margin;           /* (S + exp(z2-z1))/(1+S) = 1-(p1-p2)       Scheffer et al. 2001 */
    float *ratio;            /* exp(z2-z1) = p2/p1                       Munro 2021           */
    float *entropy;          /* (log1p(S) - T/(1+S))/log c               Shannon              */
    float *energy;           /* -t (z1/t + log1p(S))                     Liu et al. 2020      */
    float *confidence;       /* 1/(1+S) = p1 */
    float *prediction;       /* class index, lowest among equals; NaN for a bad row */
} sluice_scores;

/* A row with a non-finite logit gets 7fc00000 in every column. */
typedef struct sluice_op_score_args {
    sluice_view logits; /* [n, c] f32 */
    float temperature;  /* logits are divided by it */
    sluice_scores out;
} sluice_op_score_args;

/* forward then score on a block; logits only in scratch unless asked for.  Same bits as the two ops. */
typedef struct sluice_op_scan_args {
    sluice_view x; /* [n, d] f32 f16 bf16 i8 u8 */
    const float *packed, *bias;
    int64_t c;
    float temperature;
    sluice_scores out;
    sluice_view logits; /* out [n, c] f32, data NULL: not wanted */
} sluice_op_scan_args;

/* The total order: score descending, hash64(seed, id) ascending, id ascending; NaN never. */
typedef struct sluice_entry {
    uint64_t hash, id;
    int64_t row;
    uint32_t key; /* ex_order_key(score) */
    uint32_t tag; /* the caller's */
} sluice_entry;

/* A running top: entries [capacity >= 2k + 64] unordered in count; worst of them the threshold.  Zeroed = empty. */
typedef struct sluice_top_state {
    sluice_entry *entries;
    int64_t k, capacity, count;
    sluice_entry worst; /* of the k best, once full */
    int full;
    uint64_t seed;
} sluice_top_state;

/* Adds rows first_row .. first_row+n-1, none of which it has seen, to the running top of each score.  finish: the k best
 * remain (n may be 0), sorted where they are the host's.
 *
 * state and all its entries lie in host memory, or in that of the device: there nothing waits for the count, and the
 * caller sees to capacity >= k + n. */
typedef struct sluice_op_top_args {
    int count;                 /* of scores, at least 1 */
    const float *const *score; /* [count] pointers, the host's, to [n] */
    const uint64_t *ids;       /* [n] or NULL: id = row */
    int64_t n, first_row;
    const uint64_t *skip;    /* bitset over all rows of the pool, bit row%64 of word row/64, or NULL */
    sluice_top_state *state; /* inout [count] */
    int finish;
} sluice_op_top_args;

/* ---- geometry ---- */

/* For each row of x [n, d] the k nearest of y [m, d], both f32: squared distances ascending, equal ones by index.
 * Exact: a distance is a chain acc = fma(x - y, x - y, acc) over ascending features from 0; one that is NaN counts and is
 * stored as infinity. */
typedef struct sluice_op_nearest_args {
    sluice_view x, y;    /* m < 2^31 */
    const float *packed; /* y packed as weights [m, d] */
    int64_t k;           /* 1 .. m */
    float *distance;     /* out [n, k] */
    int32_t *index;      /* out [n, k] */
} sluice_op_nearest_args;

/* With c the distance of row i of x [n, d] f32 to row j of y, as in nearest: where c < distance[i], distance[i] = c and,
 * unless nearest is NULL, nearest[i] = index + j; for j ascending from from[i] on.  k-center (Sener & Savarese, ICLR 2018)
 * is this op and an argmax. */
typedef struct sluice_op_relax_args {
    sluice_view x;
    const float *y;   /* [max(count, 1), d] */
    float *distance;  /* inout [n] */
    int32_t *nearest; /* inout [n] or NULL */
    int32_t index;
    int64_t count;       /* 0: as 1 */
    const int32_t *from; /* [n] 0 .. count, or NULL: 0.  Fast where rows with about equal ones are neighbours. */
} sluice_op_relax_args;

/* Adds every row i of x [n, d] f32, |x| <= 1, to its cell: sum[cell[i]][k] += rint(weight[i] x[i][k] 2^40), the product in
 * double, and mass[cell[i]] += rint(weight[i] 2^40).  weight NULL: 1; 0 <= weight <= 1.  A cell of -1 takes nothing.
 * Integers: exact whatever the order; n <= 2^22 rows cannot overflow a sum that began at 0. */
typedef struct sluice_op_accumulate_args {
    sluice_view x;
    const int32_t *cell; /* [n] -1 .. cells-1 */
    const float *weight; /* [n] or NULL */
    int64_t cells;
    int64_t *sum;  /* inout [cells, d] */
    int64_t *mass; /* inout [cells] */
} sluice_op_accumulate_args;

/* What each row of x [n, d] would add to the coverage of the rows y [p, d], both f32:
 *
 *     gain[i] += sum over j of rint(weight[j] max(0, k(x_i, y_j) - kept[j]) 2^40)
 *
 * k(x, y) = exp(-c / scale) (SLUICE_GAUSS), or 1 where c < scale and else 0 (SLUICE_HAT), c the squared distance as in
 * nearest; exp and the difference in single, the product in double precision.  A distance that is NaN adds nothing.
 * Integers: exact whatever the order. */
typedef enum sluice_kernel { SLUICE_GAUSS, SLUICE_HAT } sluice_kernel;
typedef struct sluice_op_gain_args {
    sluice_view x, y;    /* p <= 2^21 */
    const float *packed; /* y packed as weights [p, d] */
    sluice_kernel kernel;
    float scale;         /* > 0 (SLUICE_GAUSS), >= 0 (SLUICE_HAT) */
    const float *kept;   /* [p] in [0, 1], how well each is covered already */
    const float *weight; /* [p] in [0, 1] or NULL: 1 */
    int64_t *gain;       /* inout [n] */
} sluice_op_gain_args;

/* ---- training ---- */

/* Mean over rows of weight[class] * cross-entropy, as a double sum over fixed blocks of 4,096 rows in order;
 * grad [n, c] = weight * (softmax - onehot) * grad_scale, or data NULL. */
typedef struct sluice_op_loss_args {
    sluice_view logits;
    const int32_t *target; /* [n] */
    const float *weight;   /* [c] or NULL */
    float grad_scale;
    sluice_view grad;
    double *out_sum;      /* sum, not mean */
    int64_t *out_correct; /* rows whose argmax is the target, or NULL */
} sluice_op_loss_args;

/* g = y > 0 ? g : (y == y ? 0 : y), in place: the gradient through relu, whose output y is.  Where g is y: relu itself. */
typedef struct sluice_op_gate_args {
    sluice_view y, g;
} sluice_op_gate_args;

/* x[i, j] = keep ? x * (1 / (1 - rate)) : 0, in place.  keep: the top 24 bits of word j % 4 of Philox (seed, EX_DROPOUT,
 * id = step * 2^32 + first + i, draw = j / 4), as a fraction of 1, are at least rate. */
typedef struct sluice_op_dropout_args {
    sluice_view x;
    float rate;
    uint64_t seed, step;
    int64_t first; /* place in the batch of x's first row */
} sluice_op_dropout_args;

/* The gradient of both optimizers is a sum, g = ((grad[0] + grad[1]) + ...) + grad[more], where grad[j] begins at
 * grad + j * apart: what blocks of a batch have given. */

/* Loshchilov & Hutter 2019: w -= rate * (m^ / (sqrt(v^) + epsilon) + decay * w), with
 *   m = fma(beta1, m, (1 - beta1) g)       m^ = m / (1 - beta1^step)
 *   v = fma(beta2, v, (1 - beta2) (g g))   v^ = v / (1 - beta2^step)     the powers in double, by squaring
 *   w = fma(-rate, fma(decay, w, m^ / (sqrt(v^) + epsilon)), w) */
typedef struct sluice_op_adam_args {
    float *w;
    const float *grad;
    int64_t more, apart; /* more 0: one gradient */
    float *m, *v;
    int64_t count;
    int64_t step; /* from 1 */
    float rate, beta1, beta2, epsilon, decay;
} sluice_op_adam_args;

/* m = fma(momentum, m, fma(decay, w, g)), w = fma(-rate, m, w). */
typedef struct sluice_op_sgd_args {
    float *w;
    const float *grad;
    int64_t more, apart;
    float *m;
    int64_t count;
    float rate, momentum, decay;
} sluice_op_sgd_args;

/* ---- table ---- */

/* An op takes pointers of any side: device memory from alloc() is used where it lies, host memory is copied there and
 * back.  Work of one exec runs in the order of the calls; execs of one device overlap. */
typedef struct sluice_backend {
    uint64_t abi;     /* sluice_backend_abi() it was built with; the loader refuses others */
    const char *name; /* "cpu/avx2", "cuda" */
    int devices;      /* 1 for a CPU */
    struct {          /* NULL = this backend has no such op */
#define OP(name, line) sluice_status (*name)(sluice_exec *, const sluice_op_##name##_args *);
#include "sluice_ops.def"
#undef OP
    } op;

    /* Devices with memory of their own; all NULL on a CPU. */
    sluice_status (*exec_open)(sluice_exec *x);                         /* a stream on x->device into x->state */
    void (*exec_close)(sluice_exec *x);                                 /* waits; NULL state allowed */
    sluice_status (*alloc)(sluice_exec *x, size_t bytes, void **out_p); /* 256-byte aligned memory of x->device */
    void (*release)(sluice_exec *x, void *p);                           /* waits for the device; NULL allowed */
    int (*owns)(const void *p);                                         /* 1: memory of some device */
    sluice_status (*copy)(sluice_exec *x, void *to, const void *from, size_t bytes); /* any side to any side */
    sluice_status (*wait)(sluice_exec *x); /* all calls on x are done, host outputs written; an earlier failure shows */
    int (*idle)(sluice_exec *x);           /* 1: wait() would return at once */
    sluice_status (*pin)(sluice_exec *x, void *p,
                         size_t bytes); /* host memory that copies may read while the CPU goes on */
    void (*unpin)(sluice_exec *x, void *p);
    /* Rows of the host, which nobody writes until drop(): ops of x that are given them, or some of them, find them on the
     * device, copied once.  As OpenACC's copyin.  drop: what is not held is none of its business. */
    sluice_status (*hold)(sluice_exec *x, const sluice_view *rows);
    void (*drop)(sluice_exec *x, const void *data);
    /* One line a device: name, memory, compute capability; then the driver and the libraries. */
    void (*describe)(int device, char *text, size_t bytes);
    size_t (*memory)(int device);                       /* bytes free on it */
    int (*usable)(int device, char *why, size_t bytes); /* 1: the plug-in has code for it */
    /* NCCL between the devices of execs, each on its own stream.  broadcast: bytes at p[0] to every p[i].
     * gather: bytes at from[i] of every i, one after another, to every to[i]. */
    sluice_status (*broadcast)(sluice_exec *const *x, int count, void *const *p, size_t bytes);
    sluice_status (*gather)(sluice_exec *const *x, int count, const void *const *from, void *const *to, size_t bytes);
} sluice_backend;

/* ---- plug-ins ---- */

/* Changes with the op list and with the size of any argument struct. */
static inline uint64_t sluice_backend_abi(void)
{
    uint64_t h = sizeof(sluice_backend) * 131 + sizeof(sluice_exec);
#define OP(name, line) h = (h ^ sizeof(sluice_op_##name##_args)) * 0x100000001b3u + (sizeof #name << 8) + #name[0];
#include "sluice_ops.def"
#undef OP
    return h;
}

typedef struct sluice_host {
    uint64_t abi;
    size_t device_bytes; /* most memory to take of a device; 0: as much as is free */
} sluice_host;

/* The one entry of a plug-in, `sluice_backend_open`: fills *out (out->devices may be 0), or returns a status and the
 * reason in why. */
typedef sluice_status sluice_backend_open_fn(const sluice_host *host, sluice_backend *out, char *why, size_t why_bytes);

#ifdef __cplusplus
}
#endif
#endif
