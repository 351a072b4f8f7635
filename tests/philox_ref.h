/* philox_ref.h - Philox 4x32-10 and the mixing of seeds and purposes, from the papers, none of our code. */
#ifndef PHILOX_REF_H
#define PHILOX_REF_H

#include <stdint.h>
#include <string.h>

/* The finaliser of splitmix64. */
static inline uint64_t ref_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Word w of (seed, purpose, id, draw): Salmon et al., SC 2011. */
static inline uint32_t ref_philox(uint64_t seed, uint32_t purpose, uint64_t id, uint32_t draw, int w)
{
    uint64_t k = seed ^ ref_mix64(purpose);
    uint32_t key[2] = { (uint32_t)k, (uint32_t)(k >> 32) }, c[4] = { (uint32_t)id, (uint32_t)(id >> 32), draw, 0 };
    for (int round = 0; round < 10; round++) {
        uint64_t p = 0xd2511f53ull * c[0], q = 0xcd9e8d57ull * c[2];
        uint32_t next[4] = { (uint32_t)(q >> 32) ^ c[1] ^ key[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ key[1],
                             (uint32_t)p };
        memcpy(c, next, sizeof c);
        key[0] += 0x9e3779b9u, key[1] += 0xbb67ae85u;
    }
    return c[w];
}

/* Whether dropout at a rate keeps entry j of row i. */
static inline int ref_kept(uint64_t seed, uint64_t step, int64_t i, int64_t j, float rate)
{
    uint32_t word = ref_philox(seed, 2u << 27, step << 32 | (uint64_t)i, (uint32_t)(j / 4), (int)(j % 4));
    return (word >> 8) / 16777216.0 >= (double)rate;
}

#endif
