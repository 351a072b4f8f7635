/* pool.c - a pool: shards one after another, checked before any row is read, with ids and a fingerprint.
 * What paths mean: sources.c.  Ids: ids.c.  Rows: gather.c, reader.c. */
#include "pool.h"
#include "comm.h"
#include "formats.h"
#include "ids.h"
#include "sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

/* ---- shards ---- */

static int64_t width_of(const array_facts *a)
{
    return a->ndim == 4 ? a->shape[1] * a->shape[2] * a->shape[3] : a->shape[1];
}

/* Features: [n, d] or [n, h, w, c] of a type the kernels read. */
static sluice_status check_features(sluice *s, const char *path, const array_facts *a)
{
    if (a->ndim == 1)
        return sluice_fail(s, SLUICE_E_SHAPE, "'%s' has one dimension, features are [n, d] or [n, h, w, c]", path);
    if (a->is_label) {
        sluice_status st = sluice_fail(
            s, SLUICE_E_TYPE, "'%s' holds %d-byte integers, features are f32 f16 bf16 f64 i8 u8", path, a->label_bytes);
        return sluice_hint(s, st, "python -c \"import numpy as n; n.save('new.npy', n.load('%s').astype('<f4'))\"",
                           path);
    }
    return SLUICE_OK;
}

static sluice_status check_promise(sluice *s, const source *from, const array_facts *a)
{
    if (!from->promised) return SLUICE_OK;
    if (a->shape[0] != from->rows || width_of(a) != from->width || a->type != from->type)
        return sluice_fail(s, SLUICE_E_SHAPE, "'%s' holds %lld rows of %lld %s, pool.json says %lld of %lld %s",
                           from->path, (long long)a->shape[0], (long long)width_of(a), sluice_type_name(a->type),
                           (long long)from->rows, (long long)from->width, sluice_type_name(from->type));
    return SLUICE_OK;
}

/* All shards have the first one's row: same width, and same shape where both are images. */
static sluice_status check_row(sluice *s, sluice_pool *pool, const char *path, const array_facts *a)
{
    int64_t shape[3] = { a->shape[1], a->ndim == 4 ? a->shape[2] : 0, a->ndim == 4 ? a->shape[3] : 0 };
    if (!pool->shard_count) {
        memcpy(pool->shape, shape, sizeof shape);
        pool->width = width_of(a);
        return SLUICE_OK;
    }
    if (width_of(a) != pool->width)
        return sluice_fail(s, SLUICE_E_SHAPE, "'%s' has width %lld, '%s' has %lld", path, (long long)width_of(a),
                           pool->shards[0].path, (long long)pool->width);
    if (memcmp(shape, pool->shape, sizeof shape))
        return sluice_fail(s, SLUICE_E_SHAPE, "'%s' has rows of %lld x %lld x %lld, '%s' of %lld x %lld x %lld", path,
                           (long long)shape[0], (long long)shape[1], (long long)shape[2], pool->shards[0].path,
                           (long long)pool->shape[0], (long long)pool->shape[1], (long long)pool->shape[2]);
    return SLUICE_OK;
}

static sluice_status scale_read(sluice *s, const char *path, int64_t rows, float **out)
{
    sluice_status st = SLUICE_OK;
    array_facts a = { 0 };
    input f = { .fd = -1 };
    float *scale = NULL;
    TRY(npy_open(s, path, NULL, &a));
    if (a.ndim != 1 || a.type != SLUICE_F32 || a.label_bytes || a.shape[0] != rows)
        FAIL(E_SHAPE, "'%s' holds no f32 [%lld]: one scale for each row", path, (long long)rows);
    TRY_NEW(scale, RAW(s, rows, float));
    TRY(input_open(s, path, &f));
    TRY(input_read(s, &f, (int64_t)a.offset, scale, (size_t)rows * sizeof *scale));
    for (int64_t i = 0; i < rows; i++)
        if (!isfinite(scale[i])) FAIL(E_DATA, "'%s': the scale of row %lld is not finite", path, (long long)i);
    *out = scale, scale = NULL;
out:
    input_close(&f);
    mem_free(scale);
    return st;
}

/* Row scales of an i8 shard: named by pool.json, or X.scale.npy beside X. */
static sluice_status add_scale(sluice *s, const source *from, shard *sh)
{
    sluice_status st = SLUICE_OK;
    struct stat info;
    char *path = NULL;
    if (sh->type != SLUICE_I8) return SLUICE_OK;
    if (from->scale) return scale_read(s, from->scale, sh->rows, &sh->scale);
    TRY_NEW(path, beside(s, from->path, ".scale.npy"));
    if (stat(path, &info) == 0) TRY(scale_read(s, path, sh->rows, &sh->scale));
out:
    mem_free(path);
    return st;
}

static sluice_status stamp(sluice *s, const char *path, shard *sh)
{
    struct stat info;
    if (stat(path, &info)) return sluice_fail_errno(s, SLUICE_E_MISSING, "cannot read '%s'", path);
    sh->file_bytes = info.st_size;
    sh->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return SLUICE_OK;
}

/* Appends a shard, or skips the file: *out_skipped. */
static sluice_status add_shard(sluice *s, sluice_pool *pool, const source *from, const char *tensor, bool *out_skipped)
{
    sluice_status st = SLUICE_OK;
    array_facts a = { 0 };
    shard *sh = &pool->shards[pool->shard_count];
    TRY(stamp(s, from->path, sh)); /* before the header: a change in between shows */
    TRY(array_open(s, from->path, tensor, &a));
    *out_skipped = from->found && a.ndim == 1;
    if (*out_skipped) {
        log_line(s, SLUICE_DEBUG, "skipped '%s': one dimension", from->path);
        goto out;
    }
    TRY(check_features(s, from->path, &a));
    TRY(check_promise(s, from, &a));
    TRY(check_row(s, pool, from->path, &a));
    if (__builtin_add_overflow(pool->rows, a.shape[0], &pool->rows))
        FAIL(E_SHAPE, "the rows of all shards overflow 64 bits");
    sh->rows = a.shape[0], sh->first_row = pool->rows - sh->rows;
    sh->type = a.type, sh->offset = a.offset, sh->stride = a.stride;
    sh->hash = from->hash, sh->has_hash = from->has_hash;
    sh->memory = a.memory, sh->owns_memory = a.memory != NULL, a.memory = NULL;
    pool->shard_count++; /* from here on the pool frees it */
    TRY_NEW(sh->path, mem_text(s, from->path));
    TRY_NEW(sh->name, mem_text(s, path_base(from->path)));
    TRY(add_scale(s, from, sh));
out:
    mem_free(a.memory);
    return st;
}

static sluice_status fingerprint(sluice *s, sluice_pool *pool)
{
    XXH3_state_t *h = XXH3_createState();
    if (!h) return sluice_fail(s, SLUICE_E_MEMORY, "out of memory");
    XXH3_64bits_reset(h);
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *sh = &pool->shards[i];
        char facts[64];
        int n = snprintf(facts, sizeof facts, "%lld %lld %s", (long long)sh->rows, (long long)pool->width,
                         sluice_type_name(sh->type));
        XXH3_64bits_update(h, sh->name, strlen(sh->name) + 1);
        XXH3_64bits_update(h, facts, (size_t)n + 1);
    }
    pool->fingerprint = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    return SLUICE_OK;
}

/* ---- which files of ids ---- */

static sluice_status push_part(sluice *s, id_part *parts, int *count, char *path, int64_t first_row, int64_t rows)
{
    (void)s;
    if (!path) return SLUICE_E_MEMORY;
    parts[(*count)++] = (id_part){ path, first_row, rows };
    return SLUICE_OK;
}

/* X.ids.txt beside X, else NULL in *out. */
static sluice_status ids_beside(sluice *s, const char *path, char **out)
{
    struct stat info;
    char *ids = beside(s, path, ".ids.txt");
    if (!ids) return SLUICE_E_MEMORY;
    *out = stat(ids, &info) == 0 ? ids : NULL;
    if (!*out) mem_free(ids);
    return SLUICE_OK;
}

/* pool.json's ids, or files beside the shards; of[i] is the source of shard i. */
static sluice_status find_ids(sluice *s, sluice_pool *pool, const source **of, id_part *parts, int *out_count)
{
    sluice_status st = SLUICE_OK;
    const char *without = NULL;
    for (int i = 0; i < pool->shard_count;) {
        const shard *sh = &pool->shards[i];
        int span = of[i]->ids ? of[i]->ids_span : 1;
        int64_t rows = 0;
        char *path = NULL;
        for (int j = 0; j < span; j++) rows += pool->shards[i + j].rows;
        if (of[i]->ids) TRY_NEW(path, mem_text(s, of[i]->ids));
        else TRY(ids_beside(s, sh->path, &path));
        if (path) TRY(push_part(s, parts, out_count, path, sh->first_row, rows));
        else if (!without) without = sh->path;
        i += span;
    }
    if (without && *out_count)
        FAIL(E_MISSING, "'%s' has ids, '%s' has none: give all of them with --ids", parts[0].path, without);
out:
    return st;
}

static sluice_status add_ids(sluice *s, sluice_pool *pool, const char *ids, const source **of)
{
    sluice_status st = SLUICE_OK;
    int count = 0;
    id_part *parts = NEW(s, pool->shard_count + 1, id_part);
    if (!parts) return SLUICE_E_MEMORY;
    if (ids) TRY(push_part(s, parts, &count, mem_text(s, ids), 0, pool->rows));
    else TRY(find_ids(s, pool, of, parts, &count));
    if (count) TRY(ids_load(s, pool, parts, count));
out:
    for (int i = 0; i < count; i++) mem_free(parts[i].path);
    mem_free(parts);
    return st;
}

static sluice_status read_pool(sluice *s, const sluice_pool_args *a, sluice_pool **out_pool)
{
    sluice_status st = SLUICE_OK;
    source_list list = { 0 };
    const source **of = NULL;
    sluice_pool *pool = NULL;
    if (!a || a->size < sizeof *a || a->path_count < 1)
        FAIL(E_USAGE, "no pool given: name files, a folder, a glob or a list");
    for (int i = 0; i < a->path_count; i++) TRY(sources_add(s, a->paths[i], &list));
    TRY_NEW(pool, NEW(s, 1, sluice_pool));
    TRY_NEW(pool->shards, NEW(s, list.count, shard));
    TRY_NEW(of, NEW(s, list.count, const source *));
    for (int i = 0; i < list.count; i++) {
        bool skipped = false;
        TRY(add_shard(s, pool, &list.at[i], a->tensor, &skipped));
        if (!skipped) of[pool->shard_count - 1] = &list.at[i];
    }
    if (!pool->shard_count) FAIL(E_MISSING, "'%s' holds no array of features, only 1-d arrays", a->paths[0]);
    TRY(fingerprint(s, pool));
    TRY(add_ids(s, pool, a->ids, of));
    *out_pool = pool, pool = NULL;
out:
    sluice_pool_free(pool);
    mem_free(of);
    sources_release(&list);
    return st;
}

/* ---- public ---- */

/* Of several ranks one looks at the files. */
sluice_status sluice_pool_open(sluice *s, const sluice_pool_args *a, sluice_pool **out_pool)
{
    sluice_pool *pool = NULL;
    sluice_status st = comm_agree(s, comm_root(s) ? read_pool(s, a, &pool) : SLUICE_OK);
    if (!st && comm_size(s) > 1) st = pool_share(s, &pool);
    if (!st) *out_pool = pool, pool = NULL;
    if (st && comm_root(s)) sluice_pool_free(pool);
    return st;
}

sluice_status sluice_pool_from_rows(sluice *s, const void *data, sluice_type type, int64_t n, int64_t d,
                                    size_t stride_bytes, const uint64_t *ids, sluice_pool **out_pool)
{
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL;
    size_t row = 0, bytes = 0;
    if (type < SLUICE_F32 || type > SLUICE_U8) FAIL(E_TYPE, "type %d is none of sluice_type", (int)type);
    if (n < 0 || d < 1 || (n && !data)) FAIL(E_SHAPE, "%lld x %lld rows cannot be a pool", (long long)n, (long long)d);
    if (mul_overflows((size_t)d, sluice_type_bytes(type), &row) || mul_overflows(stride_bytes, (size_t)n, &bytes) ||
        stride_bytes < row)
        FAIL(E_SHAPE, "a stride of %zu bytes does not fit %lld x %lld %s", stride_bytes, (long long)n, (long long)d,
             sluice_type_name(type));
    TRY_NEW(pool, NEW(s, 1, sluice_pool));
    TRY_NEW(pool->shards, NEW(s, 1, shard));
    pool->shard_count = 1;
    pool->rows = n, pool->width = pool->shape[0] = d;
    shard *sh = &pool->shards[0];
    *sh = (shard){ .rows = n, .type = type, .stride = stride_bytes, .memory = data, .file_bytes = (int64_t)bytes };
    TRY_NEW(sh->path, mem_text(s, "memory"));
    TRY_NEW(sh->name, mem_text(s, "memory"));
    if (ids) {
        TRY_NEW(pool->ids, RAW(s, n, uint64_t));
        if (n) memcpy(pool->ids, ids, (size_t)n * sizeof *ids);
        TRY(ids_check(s, pool));
    }
    TRY(fingerprint(s, pool));
    *out_pool = pool, pool = NULL;
out:
    sluice_pool_free(pool);
    return st;
}

void sluice_pool_free(sluice_pool *pool)
{
    if (!pool) return;
    for (int i = 0; i < pool->shard_count; i++) {
        shard *sh = &pool->shards[i];
        mem_free(sh->path), mem_free(sh->name), mem_free(sh->scale);
        if (sh->owns_memory) mem_free((void *)(uintptr_t)sh->memory);
    }
    mem_free(pool->shards), mem_free(pool->ids), mem_free(pool->id_text), mem_free(pool->id_at);
    mem_free(pool);
}

void sluice_pool_get_info(const sluice_pool *pool, sluice_pool_info *out_info)
{
    *out_info = (sluice_pool_info){ .rows = pool->rows,
                                    .width = pool->width,
                                    .shards = pool->shard_count,
                                    .shape = { pool->shape[0], pool->shape[1], pool->shape[2] },
                                    .type = pool->shards[0].type,
                                    .has_ids = pool->ids != NULL,
                                    .fingerprint = pool->fingerprint };
    for (int i = 0; i < pool->shard_count; i++)
        out_info->bytes += (double)pool->shards[i].rows * (double)pool->shards[i].stride;
}

const shard *pool_shard_of(const sluice_pool *pool, int64_t row)
{
    int low = 0, high = pool->shard_count - 1;
    while (low < high) { /* the last shard that begins at or before row; empty ones lose to later */
        int middle = low + (high - low + 1) / 2;
        if (pool->shards[middle].first_row <= row) low = middle;
        else high = middle - 1;
    }
    return &pool->shards[low];
}
