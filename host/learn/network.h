/* network.h - a head while it is trained: one minibatch through its layers and back, one step of the optimizer.  All of
 * it lies where ops compute (device.h); the head's own tensors are the host's. */
#ifndef NETWORK_H
#define NETWORK_H

#include "head.h"

/* One layer.  Arrays of weights begin with w and go on with b, as the gradients and the optimizer's averages do. */
typedef struct net_layer {
    layer l;                 /* the head's, but for w, b and packed, which are the network's */
    float *y;                /* [batch, out_width]; RELU and DROP work in place, on the output of the layer before */
    bool fused;              /* RELU: the product before it has done it */
    float *turned;           /* DENSE: packed transpose of w, or NULL where no gradient has to pass below */
    int64_t weights, biases; /* 0 for layers without tensors */
    float *grad, *m, *v;     /* [weights + biases] */
    float *best;             /* [weights + biases] kept by network_keep() */
} net_layer;

typedef struct network {
    sluice *s;
    sluice_head *h;
    net_layer *layers; /* [h->layer_count] */
    int first;         /* lowest layer with weights: no gradient goes below it */
    int64_t batch;
    float *g, *g_next; /* [batch, widest] gradients between layers */
    void *block;       /* all arrays */
} network;

/* Rows to learn from, where ops compute. */
typedef struct net_batch {
    float *x; /* [rows, in_width] standardised, rows <= batch; a dropout below all weights writes to it */
    const int32_t *target;
    int64_t rows;
    const float *class_weight; /* [classes] or NULL */
    uint64_t seed, step;       /* of the dropouts' masks */
    double *loss;              /* out: the sum over the rows */
} net_batch;

typedef struct optimizer {
    bool sgd;          /* with momentum 0.9; else AdamW, beta 0.9 and 0.999 */
    float rate, decay; /* decay of weights; biases have none */
    int64_t step;      /* from 1 */
} optimizer;

/* h has its tensors (head_tensors()). */
sluice_status network_new(sluice *s, sluice_head *h, int64_t batch, network **out_n);
void network_free(network *n);
/* He initialisation (uniform, He et al. 2015) of the head by Philox; biases 0. */
void network_init(network *n, uint64_t seed);
/* The head's tensors into the network, whose averages begin at 0; and back. */
sluice_status network_load(network *n);
sluice_status network_save(network *n);
/* Loss and gradients, those scaled by 1 / rows. */
sluice_status network_gradients(network *n, const net_batch *b);
sluice_status network_step(network *n, const optimizer *o);
/* Logits of x [rows, in_width] standardised, rows <= batch, without dropout, into out [rows, classes]. */
sluice_status network_logits(network *n, float *x, int64_t rows, float *out);
/* Remembers the weights; puts them back. */
sluice_status network_keep(network *n);
sluice_status network_restore(network *n);

#endif
