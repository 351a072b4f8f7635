/* pools.h - pools put together by hand for the tests of reader and gather: known bytes in files of several layouts. */
#ifndef POOLS_H
#define POOLS_H

#include "harness.h"
#include "pool.h"
#include <sys/stat.h>

typedef enum layout {
    NPY,
    FBIN,
    FVECS,
    MEMORY
} layout; /* 128-byte header, 8-byte header, 4 bytes before each row, none */
static const char *const layout_name[] = { "npy", "fbin", "fvecs", "memory" };

enum { SHARDS_MAX = 8 };
typedef struct made_pool {
    sluice_pool pool;
    shard sh[SHARDS_MAX];
    uint8_t *rows; /* [pool.rows, row_bytes]: what must be read */
    size_t row_bytes;
} made_pool;

static inline void note_facts(shard *sh)
{
    struct stat st;
    if (stat(sh->path, &st)) perror(sh->path), exit(1);
    sh->file_bytes = st.st_size;
    sh->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* Shard i has counts[i] rows; bytes are random, so a NaN may be among the values. */
static inline made_pool make_pool(layout l, sluice_type type, int64_t d, const int64_t *counts, int shards,
                                  uint64_t seed)
{
    static int files;
    made_pool m = { .row_bytes = (size_t)d * sluice_type_bytes(type) };
    m.pool = (sluice_pool){ .shard_count = shards, .width = d, .shape = { d } };
    for (int i = 0; i < shards; i++) m.pool.rows += counts[i];
    m.rows = malloc((size_t)m.pool.rows * m.row_bytes + 8);
    rng r = { seed };
    for (size_t i = 0; i < (size_t)m.pool.rows * m.row_bytes; i += 8) {
        uint64_t x = rng_u64(&r);
        memcpy(m.rows + i, &x, 8);
    }
    int64_t first = 0;
    for (int i = 0; i < shards; i++) {
        shard *sh = &m.sh[i];
        size_t header = l == NPY ? 128 : l == FBIN ? 8 : 0, before = l == FVECS ? 4 : 0;
        *sh = (shard){ .first_row = first,
                       .rows = counts[i],
                       .type = type,
                       .offset = header + before,
                       .stride = before + m.row_bytes };
        size_t bytes = header + (size_t)counts[i] * sh->stride;
        uint8_t *data = calloc(bytes + 1, 1);
        for (int64_t k = 0; k < counts[i]; k++)
            memcpy(data + sh->offset + (size_t)k * sh->stride, m.rows + (size_t)(first + k) * m.row_bytes, m.row_bytes);
        first += counts[i];
        if (l == MEMORY) {
            sh->memory = data;
            continue;
        }
        char name[64];
        snprintf(name, sizeof name, "shard-%d.%s", files++, layout_name[l]);
        sh->path = strdup(test_path(name));
        sh->name = sh->path;
        write_file(sh->path, data, bytes);
        note_facts(sh);
        free(data);
    }
    return m;
}

/* The pool of a made_pool that has come to rest where it will stay. */
static inline sluice_pool *pool_of(made_pool *m)
{
    m->pool.shards = m->sh;
    return &m->pool;
}

static inline void free_pool(made_pool *m)
{
    for (int i = 0; i < m->pool.shard_count; i++) {
        if (m->sh[i].path) remove(m->sh[i].path);
        free(m->sh[i].path);
        free((void *)(uintptr_t)m->sh[i].memory);
    }
    free(m->rows);
}

#endif
