/* head.h - a head: a line of layers with its tensors, and how rows run through it.
 *
 * Layer line.  Words joined by commas, the last one `linear`, whose width is the number of classes:
 *   conv3:32     32 kernels of 3 x 3 (1, 3 or 5), padding so that stride 1 keeps the size; conv3:32/2 has stride 2
 *   relu         x > 0 ? x : 0
 *   pool2        maximum of 2 x 2 windows (2 .. 8), a rest is dropped
 *   gap          global average of each channel
 *   drop:0.5     dropout while training, nothing afterwards
 *   mlp:256      a dense layer of 256 units (the relu after it is written)
 *   linear       the dense layer that gives the logits
 *
 * The logits of a linear head (line "linear") are those of one forward op with folded weights, which define them:
 *   W'[j][k] = f32((double)W[j][k] / scale)     b'[j] = f32(b[j] - sum over k ascending of (double)mean[k] * W'[j][k])
 * Every other head first converts its rows, (x - mean) / scale in f32, and then runs the ops of its layers.
 *
 * A row that holds a NaN or an infinity, or whose logits do, has 7fc00000 in all its logits and scores: relu could hide
 * it, so the features are looked at themselves. */
#ifndef HEAD_H
#define HEAD_H

#include "core.h"
#include "pool.h"

typedef enum layer_kind { LAYER_CONV, LAYER_RELU, LAYER_POOL, LAYER_GAP, LAYER_DROP, LAYER_DENSE } layer_kind;

typedef struct layer {
    layer_kind kind;                   /* mlp:N is a DENSE followed by what the line says; linear is the last DENSE */
    sluice_conv_shape conv;            /* CONV */
    int64_t in_shape[3], out_shape[3]; /* [d,0,0] or [h,w,c] */
    int64_t in_width, out_width;
    int64_t pool_size; /* POOL */
    float rate;        /* DROP */
    float *w, *b;      /* CONV [cout, k*k*cin], DENSE [out, in]; b [out] */
    float *packed;     /* made from w by head_prepare(); NULL in a linear head */
} layer;

struct sluice_head {
    char *line; /* "linear", "conv3:32,relu,pool2,gap,linear" */
    char *path; /* of its file, for messages; NULL: made here */
    layer *layers;
    int layer_count;
    int64_t in_shape[3], in_width;
    int classes;
    char **names;      /* [classes] */
    float *mean;       /* [in_width] or NULL: subtracted from features */
    float scale;       /* divides the centred features; 1 without */
    float temperature; /* > 0 */
    /* made by head_prepare(): the last DENSE, with mean and scale folded in when it is the only layer */
    float *scan_packed, *scan_bias;
    uint64_t serial; /* another one after each head_prepare(): what devices keep a copy by */
    /* how it was trained */
    uint64_t pool_fingerprint;
    int64_t train_count;
    uint64_t *train_ids;      /* [train_count] id64 */
    uint64_t *train_row_hash; /* [train_count] of the row's f32 bytes */
    int64_t held_count;       /* out-of-fold (or calibration split) logits */
    float *held_logits;       /* [held_count, classes] */
    int32_t *held_target;
    double l2;     /* C of a linear head */
    char *trained; /* JSON text: optimizer, folds, losses, version */
};

/* Parses and checks a layer line against an input shape; fills layers (no tensors) and widths.  classes = out of linear. */
enum { HEAD_MAX_CLASSES = 1 << 20 };
sluice_status head_new(sluice *s, const char *line, const int64_t in_shape[3], int classes, char *const *names,
                       sluice_head **out_head);
/* The layers of a line (head_new calls it).  E_USAGE: the line, E_SHAPE: it does not fit the shape. */
sluice_status layer_line_parse(sluice *s, const char *line, const int64_t in_shape[3], int classes, layer **out_layers,
                               int *out_count);
/* Rows and columns of a CONV's or DENSE's w; rows 0 for the others. */
void layer_weights(const layer *l, int64_t *out_rows, int64_t *out_cols);
/* Zeroed w and b for every layer that has weights and no tensors yet. */
sluice_status head_tensors(sluice *s, sluice_head *h);
/* Layers, weights, names, mean, scale, temperature and C, not yet prepared; without what it was trained on.  *out_head is there
 * and to be freed after a failure too. */
sluice_status head_copy(sluice *s, const sluice_head *h, sluice_head **out_head);
/* Packs weights and folds mean and scale (in double, rounded once); call after tensors change. */
sluice_status head_prepare(sluice *s, sluice_head *h);
/* A layer that computes, on n rows of in_width floats; relu joins the product.  RELU and DROP layers do nothing here. */
sluice_status layer_run(sluice *s, const layer *l, bool relu, const float *in, int64_t n, float *out);
sluice_status layer_relu(sluice *s, float *x, int64_t rows, int64_t cols); /* in place */
bool head_is_linear(const sluice_head *h);                                 /* one DENSE layer only */
int64_t head_feature_width(const sluice_head *h);                          /* input of the last layer */
/* 7fc00000 in every logit of a row that is bad (NULL: none is) or has a logit that is not finite; [n, c], the host's. */
void quarantine_logits(float *logits, int64_t n, int64_t c, const uint8_t *bad);
/* Runs all layers but the last on x (any type) in pieces; features [n, head_feature_width] f32 of
 * either side; those of a bad row are NaN.  Not for linear heads. */
sluice_status head_features(sluice *s, const sluice_head *h, sluice_view x, float *features);
/* Logits of x [n, in_width] into out [n, classes]; the same bits whatever the number of rows in a call. */
sluice_status head_logits(sluice *s, const sluice_head *h, sluice_view x, float *out);
/* Scores of a block; linear heads through the scan op, others features then scan. logits [n, c] or NULL.
 *
 * On a device weights and room stay with s->exec, all arrays may lie on either side, and a deferred exec does not wait.
 * Logits that the host cannot look at yet (device memory, or deferred) are not quarantined: the caller does it. */
sluice_status head_scan(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits);

/* A linear head (no mean, scale 1, temperature 1) from weights of another program.  weight_path: a PyTorch state dict as
 * .safetensors, weight [c, d] and bias [c] (optional) under prefix (NULL: one of fc. head. classifier.), F32 F16 or BF16;
 * or a .npy [c, d] of floats with bias_path .npy [c] or NULL.  names [names_count] or NULL: "0", "1", ... */
sluice_status head_import(sluice *s, const char *weight_path, const char *bias_path, const char *prefix,
                          char *const *names, int names_count, sluice_head **out_head);

#endif
