/* head.h - a head: a line of layers with its tensors, and how rows run through it. */
#ifndef HEAD_H
#define HEAD_H

#include "core.h"
#include "pool.h"

typedef enum layer_kind { LAYER_CONV, LAYER_RELU, LAYER_POOL, LAYER_GAP, LAYER_DROP, LAYER_DENSE } layer_kind;

typedef struct layer {
    layer_kind kind;            /* mlp:N is a DENSE followed by what the line says; linear is the last DENSE */
    sluice_conv_shape conv;     /* CONV */
    int64_t in_shape[3], out_shape[3];  /* [d,0,0] or [h,w,c] */
    int64_t in_width, out_width;
    int64_t pool_size;          /* POOL */
    float rate;                 /* DROP */
    float *w, *b;               /* CONV [cout, k*k*cin], DENSE [out, in]; b [out] */
    float *packed;              /* made from w by head_prepare() */
} layer;

struct sluice_head {
    char *line;                 /* "linear", "conv3:32,relu,pool2,gap,linear" */
    layer *layers;
    int layer_count;
    int64_t in_shape[3], in_width;
    int classes;
    char **names;               /* [classes] */
    float *mean;                /* [in_width] or NULL: subtracted from features */
    float scale;                /* divides the centred features; 1 without */
    float temperature;          /* > 0 */
    /* made by head_prepare(): the last DENSE, with mean and scale folded in when it is the only layer */
    float *scan_packed, *scan_bias;
    /* how it was trained */
    uint64_t pool_fingerprint;
    int64_t train_count;
    uint64_t *train_ids;        /* [train_count] id64 */
    uint64_t *train_row_hash;   /* [train_count] of the row's f32 bytes */
    int64_t held_count;         /* out-of-fold (or calibration split) logits */
    float *held_logits;         /* [held_count, classes] */
    int32_t *held_target;
    double l2;                  /* C of a linear head */
    char *trained;              /* JSON text: optimizer, folds, losses, version */
};

/* Parses and checks a layer line against an input shape; fills layers (no tensors) and widths.  classes = out of linear. */
sluice_status head_new(sluice *s, const char *line, const int64_t in_shape[3], int classes, char *const *names, sluice_head **out_head);
/* Packs weights and folds mean and scale (in double, rounded once); call after tensors change. */
sluice_status head_prepare(sluice *s, sluice_head *h);
bool head_is_linear(const sluice_head *h);                  /* one DENSE layer only */
int64_t head_feature_width(const sluice_head *h);           /* input of the last layer */
/* Runs all layers but the last on x (any type) in pieces; features [n, head_feature_width] f32.  Not for linear heads. */
sluice_status head_features(sluice *s, const sluice_head *h, sluice_view x, float *features);
/* Logits of x [n, in_width] into out [n, classes]; the same bits whatever the number of rows in a call. */
sluice_status head_logits(sluice *s, const sluice_head *h, sluice_view x, float *out);
/* Scores of a block; linear heads through the scan op, others features then scan. logits [n, c] or NULL. */
sluice_status head_scan(sluice *s, const sluice_head *h, sluice_view x, const sluice_scores *out, float *logits);

#endif
