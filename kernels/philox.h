/* philox.h - counter-based random numbers: a draw is a pure function of (seed, purpose, id, draw).
 * Philox 4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef SLUICE_PHILOX_H
#define SLUICE_PHILOX_H

#include "exact.h"

/* What a draw is for; different purposes never share a stream.  They stand in the top bits, so that the
 * number of labelled rows can be XORed in (a new round draws anew) without one purpose becoming another
 * below 2^27 rows. */
typedef enum ex_purpose {
    EX_GUMBEL = 1 << 27,  /* keys of the power- scores      */
    EX_DROPOUT = 2 << 27, /* dropout masks                  */
    EX_SHUFFLE = 3 << 27, /* order of training rows         */
    EX_INIT = 4 << 27,    /* initial weights                */
    EX_FOLDS = 5 << 27,   /* folds and calibration splits   */
    EX_START = 6 << 27,   /* the first labelled rows        */
    EX_CLUSTER = 7 << 27, /* where k-means begins           */
    EX_BADGE = 8 << 27,   /* BADGE's draws                  */
    EX_PASSES = 12 << 27  /* dropout passes of a head       */
} ex_purpose;

EX_FN void ex_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53u * c0, q = (uint64_t)0xcd9e8d57u * c2;
        uint32_t n0 = (uint32_t)(q >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)q, c2 = n2, c3 = (uint32_t)p;
        k0 += 0x9e3779b9u, k1 += 0xbb67ae85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Four words for one row.  Key: the halves, low first, of seed XOR ex_mix64(purpose); counter: (low half of
 * id, high half of id, draw, 0). */
EX_FN void ex_random4(uint64_t seed, uint32_t purpose, uint64_t id, uint32_t draw, uint32_t out[4])
{
    uint64_t k = seed ^ ex_mix64(purpose);
    uint32_t key[2], ctr[4];
    key[0] = (uint32_t)k, key[1] = (uint32_t)(k >> 32);
    ctr[0] = (uint32_t)id, ctr[1] = (uint32_t)(id >> 32), ctr[2] = draw, ctr[3] = 0;
    ex_philox(ctr, key, out);
}

/* bits / 2^64 cut to 24 significant bits, 0 counting as 1: in [2^-64, 1 - 2^-24].  A uniform with a fixed
 * grid of 2^-24 would let about 60 of 10^9 rows share the largest Gumbel key. */
EX_FN float ex_uniform01(uint64_t bits)
{
    uint32_t zeros = 0;
    bits |= (uint64_t)(bits == 0);
    for (int width = 32; width > 0; width /= 2) /* count and shift out the leading zeros */
        if (!(bits >> (64 - width))) bits <<= width, zeros += (uint32_t)width;
    uint32_t mantissa = (uint32_t)(bits >> 40) & 0x7fffffu;
    return ex_float(((126u - zeros) << 23) | mantissa);
}

/* A standard Gumbel variate: E = -log1p(-u) is exponential, G = -log E.  In [-2.9, 44.4]. */
EX_FN float ex_gumbel(uint64_t bits) { return -ex_log(-ex_log1p(-ex_uniform01(bits))); }

#endif
