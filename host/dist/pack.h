/* pack.h - integers to bytes and back, little endian.  What is taken from bytes may be anything: reading beyond the end
 * gives zeros and is remembered. */
#ifndef PACK_H
#define PACK_H

#include "core.h"

typedef struct packer {
    uint8_t *data; /* [size], as large as what is put */
    size_t size, used;
} packer;

typedef struct unpacker {
    const uint8_t *data;
    size_t size, used;
    bool broken; /* more was taken than there is */
} unpacker;

static inline void put_bytes(packer *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) p->data[p->used++] = (uint8_t)(v >> 8 * i);
}
static inline void put_u32(packer *p, uint32_t v) { put_bytes(p, v, 4); }
static inline void put_i64(packer *p, int64_t v) { put_bytes(p, (uint64_t)v, 8); }

static inline uint64_t take_bytes(unpacker *u, size_t bytes)
{
    uint64_t v = 0;
    if (u->broken || u->size - u->used < bytes) return u->broken = true, 0;
    for (size_t i = 0; i < bytes; i++) v |= (uint64_t)u->data[u->used++] << 8 * i;
    return v;
}
static inline uint32_t take_u32(unpacker *u) { return (uint32_t)take_bytes(u, 4); }
static inline int64_t take_i64(unpacker *u) { return (int64_t)take_bytes(u, 8); }

/* How many things of that size follow; 0 and broken where they cannot. */
static inline int64_t take_count(unpacker *u, size_t size)
{
    int64_t n = take_i64(u);
    if (n >= 0 && (uint64_t)n <= (u->size - u->used) / size) return n;
    u->broken = true;
    return 0;
}

#endif
