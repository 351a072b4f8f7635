/* pool_share.c - what the root has read of a pool (headers, ids, scales), sent to the other ranks: a file system that serves
 * thousands of shards is asked once.  Rows stay where they are; every rank opens the shards it scans by their paths. */
#include "comm.h"
#include "pool.h"

#include <assert.h>
#include <string.h>

/* A block that the pool owns: the root's is sent, the others get theirs. */
static sluice_status share_block(sluice *s, void *field, size_t bytes)
{
    void *block;
    memcpy(&block, field, sizeof block); /* field: the address of a pointer of any type */
    sluice_status st = comm_broadcast_block(s, &block, &bytes);
    if (!st) memcpy(field, &block, sizeof block);
    return st;
}

static size_t text_bytes(const sluice_pool *pool)
{
    if (pool->rows == 0) return 0;
    assert(pool->id_text && pool->id_at);
    const char *last = pool->id_text + pool->id_at[pool->rows - 1];
    return (size_t)(last - pool->id_text) + strlen(last) + 1;
}

static sluice_status share_text(sluice *s, char **text) { return share_block(s, text, *text ? strlen(*text) + 1 : 0); }

/* What a shard has by pointer.  The others know from the root's pointers what there is, and forget these. */
static sluice_status share_shard(sluice *s, shard *sh)
{
    sluice_status st = SLUICE_OK;
    bool scaled = sh->scale, whole = sh->memory;
    if (!comm_root(s)) sh->path = sh->name = NULL, sh->scale = NULL, sh->memory = NULL;
    TRY(share_text(s, &sh->path));
    TRY(share_text(s, &sh->name));
    if (scaled) TRY(share_block(s, &sh->scale, (size_t)sh->rows * sizeof *sh->scale));
    if (whole) TRY(share_block(s, &sh->memory, (size_t)sh->rows * sh->stride));
out:
    return st;
}

static sluice_status share_shards(sluice *s, sluice_pool *pool, int count)
{
    sluice_status st = share_block(s, &pool->shards, (size_t)count * sizeof *pool->shards);
    if (!st && !comm_root(s)) pool->shard_count = 0; /* of those that are whole, for sluice_pool_free() */
    for (int i = 0; i < count && !st; i++) {
        st = share_shard(s, &pool->shards[i]);
        if (!comm_root(s)) pool->shard_count = i + 1;
    }
    return st;
}

static sluice_status share_ids(sluice *s, sluice_pool *pool, bool ids, bool texts)
{
    sluice_status st = SLUICE_OK;
    size_t n = (size_t)pool->rows;
    if (ids) TRY(share_block(s, &pool->ids, n * sizeof *pool->ids));
    if (texts) TRY(share_block(s, &pool->id_at, n * sizeof *pool->id_at));
    if (texts) TRY(share_block(s, &pool->id_text, comm_root(s) ? text_bytes(pool) : 0));
out:
    return st;
}

sluice_status pool_share(sluice *s, sluice_pool **inout_pool)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = *inout_pool;
    TRY(share_block(s, &pool, sizeof *pool));
    bool ids = pool->ids, texts = pool->id_text;
    int count = pool->shard_count;
    if (!comm_root(s))
        pool->ids = NULL, pool->id_text = NULL, pool->id_at = NULL, pool->shards = NULL, pool->shard_count = 0;
    TRY(share_shards(s, pool, count));
    TRY(share_ids(s, pool, ids, texts));
    *inout_pool = pool;
    return SLUICE_OK;
out:
    if (!comm_root(s)) sluice_pool_free(pool);
    return st;
}
