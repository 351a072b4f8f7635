/* held_pool.c - see held_pool.h. */
#include "held_pool.h"
#include "reader.h"

#include <string.h>

static size_t row_bytes(const sluice_pool *pool, const shard *h)
{
    return (size_t)pool->width * sluice_type_bytes(h->type);
}

static bool worth_it(const sluice_pool *pool, size_t limit)
{
    size_t all = 0, bytes;
    bool on_disk = false;
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *h = &pool->shards[i];
        on_disk |= h->rows && !h->memory;
        if (mul_overflows((size_t)h->rows, row_bytes(pool, h), &bytes) || bytes > limit || all > limit - bytes)
            return false;
        all += bytes;
    }
    return on_disk;
}

static sluice_status make_shards(sluice *s, held_pool *h, const sluice_pool *pool)
{
    sluice_status st = SLUICE_OK;
    h->copy = *pool;
    TRY_NEW(h->copy.shards, NEW(s, pool->shard_count, shard));
    for (int i = 0; i < pool->shard_count; i++) {
        shard *to = &h->copy.shards[i];
        uint8_t *memory;
        *to = pool->shards[i];
        to->memory = NULL, to->offset = 0, to->stride = row_bytes(pool, to);
        TRY_NEW(memory, mem_raw(s, to->rows, to->stride));
        to->memory = memory;
    }
out:
    return st;
}

static void copy_block(held_pool *h, const block *b)
{
    const shard *to = pool_shard_of(&h->copy, b->first_row);
    uint8_t *at = (uint8_t *)(uintptr_t)to->memory + (size_t)(b->first_row - to->first_row) * to->stride;
    for (int64_t i = 0; i < b->rows; i++)
        memcpy(at + (size_t)i * to->stride, (const uint8_t *)b->view.data + (size_t)i * b->view.stride, to->stride);
}

sluice_status held_pool_init(sluice *s, held_pool *h, const sluice_pool *pool, size_t limit)
{
    sluice_status st = SLUICE_OK;
    reader *r = NULL;
    bool end = false;
    *h = (held_pool){ .pool = pool };
    if (!worth_it(pool, limit)) return SLUICE_OK;
    TRY(make_shards(s, h, pool));
    TRY(reader_open(s, pool, &(reader_plan){ .mem_bytes = s->mem_bytes / 4 }, &r));
    for (;;) {
        block b;
        TRY(reader_next(s, r, &b, &end));
        if (end) break;
        copy_block(h, &b);
        reader_done(r, &b);
    }
    h->pool = &h->copy;
out:
    reader_close(r);
    if (st) held_pool_release(h);
    return st;
}

void held_pool_release(held_pool *h)
{
    for (int i = 0; h->copy.shards && i < h->copy.shard_count; i++)
        mem_free((void *)(uintptr_t)h->copy.shards[i].memory);
    mem_free(h->copy.shards);
    *h = (held_pool){ 0 };
}
