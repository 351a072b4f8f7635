/* network.h - a head while it is trained: a block of a minibatch through its layers and back, a step of the optimizer by
 * what all blocks gave.  All of it lies where ops compute (device.h); the head's own tensors are the host's. */
#ifndef NETWORK_H
#define NETWORK_H

#include "head.h"

/* One layer.  Arrays of weights begin with w and go on with b, as the gradients and the optimizer's averages do. */
typedef struct net_layer {
    layer l;                 /* the head's, but for w, b and packed, which are the network's */
    float *y;                /* [rows, out_width]; RELU and DROP work in place, on the output of the layer before */
    bool fused;              /* RELU: the product before it has done it */
    float *turned;           /* DENSE: packed transpose of w, or NULL where no gradient has to pass below */
    int64_t weights, biases; /* 0 for layers without tensors */
    int64_t grad;            /* where its gradients begin among a block's */
    float *m, *v;            /* [weights + biases] */
    float *best;             /* [weights + biases] kept by network_keep() */
} net_layer;

typedef struct network {
    sluice *s;
    sluice_head *h;
    net_layer *layers; /* [h->layer_count] */
    int first;         /* lowest layer with weights: no gradient goes below it */
    int64_t rows;      /* room: most rows of a block */
    int slots, blocks; /* blocks it computes, blocks that a step adds */
    int64_t gradients; /* of all layers, each on a cache line of its own */
    float *part, *all; /* [slots, gradients] its own blocks', [blocks, gradients] all: the same where all are its own */
    float *g, *g_next; /* [rows, widest] gradients between layers */
    void *memory;      /* all arrays */
} network;

/* Rows to learn from, where ops compute: a block of a batch. */
typedef struct net_block {
    float *x; /* [rows, in_width] standardised; a dropout below all weights writes to it */
    const int32_t *target;
    int64_t rows, first, batch; /* rows first .. first + rows - 1 of a batch's */
    const float *class_weight;  /* [classes] or NULL */
    uint64_t seed, step;        /* of the dropouts' masks */
    double *loss;               /* out: the sum over the rows */
} net_block;

typedef struct optimizer {
    bool sgd;          /* with momentum 0.9; else AdamW, beta 0.9 and 0.999 */
    float rate, decay; /* decay of weights; biases have none */
    int64_t step;      /* from 1 */
} optimizer;

/* h has its tensors (head_tensors()).  blocks: slots, or more where other networks compute them. */
sluice_status network_new(sluice *s, sluice_head *h, int64_t rows, int slots, int blocks, network **out_n);
void network_free(network *n);
/* He initialisation (uniform, He et al. 2015) by Philox; biases 0. */
void head_start(sluice_head *h, uint64_t seed);
/* The head's tensors into the network, whose averages begin at 0; and back. */
sluice_status network_load(network *n);
sluice_status network_save(network *n);
/* Loss and gradients of a block, those scaled by 1 / batch, into a slot. */
sluice_status network_gradients(network *n, const net_block *b, int slot);
/* By the sum of the first blocks' gradients, ascending. */
sluice_status network_step(network *n, const optimizer *o, int blocks);
/* Logits of x [rows, in_width] standardised, without dropout, into out [rows, classes]. */
sluice_status network_logits(network *n, float *x, int64_t rows, float *out);
/* Remembers the weights; puts them back. */
sluice_status network_keep(network *n);
sluice_status network_restore(network *n);

#endif
