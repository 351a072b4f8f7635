/* network.h - a head while it is trained: one minibatch through its layers and back, one step of the optimizer. */
#ifndef NETWORK_H
#define NETWORK_H

#include "head.h"

/* One layer.  Arrays of weights begin with w and go on with b, as the gradients and the optimizer's averages do. */
typedef struct net_layer {
    layer *l;
    float *y;                /* [batch, out_width]; RELU and DROP work in place, on the output of the layer before */
    bool fused;              /* RELU: the product before it has done it */
    float *turned;           /* DENSE: packed transpose of w, or NULL where no gradient has to pass below */
    int64_t weights, biases; /* 0 for layers without tensors */
    float *grad, *m, *v;     /* [weights + biases] */
    float *best;             /* [weights + biases] kept by network_keep() */
} net_layer;

typedef struct network {
    sluice_head *h;
    net_layer *layers; /* [h->layer_count] */
    int first;         /* lowest layer with weights: no gradient goes below it */
    int64_t batch;
    float *x;          /* [batch, in_width] standardised rows */
    int32_t *target;   /* [batch] */
    float *g, *g_next; /* [batch, widest] gradients between layers */
    void *block;       /* all of the above */
} network;

typedef struct optimizer {
    bool sgd;          /* with momentum 0.9; else AdamW, beta 0.9 and 0.999 */
    float rate, decay; /* decay of weights; biases have none */
    int64_t step;      /* from 1 */
} optimizer;

/* h has its tensors (head_tensors()); they stay h's. */
sluice_status network_new(sluice *s, sluice_head *h, int64_t batch, network **out_n);
void network_free(network *n);
/* He initialisation (uniform, He et al. 2015) by Philox; biases 0. */
void network_init(network *n, uint64_t seed);
/* Packs the weights after they changed. */
sluice_status network_pack(sluice *s, network *n);
/* Loss (a sum) and gradients of the first rows of n->x and n->target, scaled by 1 / rows.  Dropout: (seed, step). */
sluice_status network_gradients(sluice *s, network *n, int64_t rows, const float *class_weight, uint64_t seed,
                                uint64_t step, double *out_loss);
sluice_status network_step(sluice *s, network *n, const optimizer *o);
/* Remembers the tensors; puts them back. */
void network_keep(network *n);
void network_restore(network *n);

#endif
