/* pool.h - the pool: shards in append order, ids, fingerprint; rows by gather.  Streaming: reader.h. */
#ifndef POOL_H
#define POOL_H

#include "core.h"

typedef struct shard {
    char *path, *name;       /* name: base name, what fingerprints and picks.csv show */
    int64_t first_row, rows; /* rows first_row .. first_row + rows - 1 of the pool */
    sluice_type type;
    size_t offset;         /* of row 0's first element in the file (or memory) */
    size_t stride;         /* bytes from row to row (fvecs: 4 + 4d) */
    const uint8_t *memory; /* whole shard in memory (from rows, or decompressed), or NULL: read the file */
    float *scale;          /* i8: factor of each row, or NULL */
    int64_t file_bytes;    /* when opened; another size later is an error */
    int64_t mtime_ns;
    bool owns_memory;
    uint64_t hash; /* XXH3-64 of the file as pool.json states it, with has_hash */
    bool has_hash;
} shard;

struct sluice_pool {
    shard *shards;
    int shard_count;
    int64_t rows, width, shape[3];
    uint64_t *ids;  /* [rows] id64, or NULL: row number */
    char *id_text;  /* texts joined, zero-terminated each, or NULL */
    int64_t *id_at; /* [rows] offset in id_text */
    uint64_t fingerprint;
};

/* Collective (comm.h): the root's pool becomes everybody's; the others have none before. */
sluice_status pool_share(sluice *s, sluice_pool **inout_pool);
const shard *pool_shard_of(const sluice_pool *pool, int64_t row);
/* Rows of textual ids (decimal integers when the pool has integer ids or none); -1: none.  One pass over the pool's ids
 * however many are asked for, so ask for all at once. */
sluice_status pool_find_texts(sluice *s, const sluice_pool *pool, const char *const *texts, int64_t m,
                              int64_t *out_rows);
sluice_status pool_find_ids(sluice *s, const sluice_pool *pool, const uint64_t *ids, int64_t m,
                            int64_t *out_rows);                        /* by id64 */
int64_t pool_find(sluice *s, const sluice_pool *pool, const char *id); /* of one */
/* Reads rows [m], ascending, each once, in the type they are stored in, so that scoring them again gives the scan's bits (an
 * i8 row as f32 would round differently): visit(user, at, x) gets x.rows of them from rows[at], packed.  Merged reads,
 * several under way.  Adds the rows' bytes to *out_bytes, where that is not NULL. */
typedef sluice_status rows_visit(sluice *s, void *user, int64_t at, sluice_view x);
sluice_status rows_read(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, rows_visit *visit,
                        void *user, double *out_bytes);
/* Reads rows (any order, repeats allowed) as f32 [m, width] into out; i8 scales applied; merged ascending reads. */
sluice_status pool_gather(sluice *s, const sluice_pool *pool, const int64_t *rows, int64_t m, float *out);

/* Labels of some rows of a pool, row ascending. */
struct sluice_labels {
    int64_t count;
    int64_t *row;    /* [count] ascending */
    int32_t *target; /* [count] 0 .. classes-1 */
    int classes;
    char **names;         /* [classes] */
    uint64_t fingerprint; /* of the pool they were read against */
};
/* A list of ids (csv with an id column or one a line) as rows, for --exclude; a .csv of labels does too. */
sluice_status rows_load(sluice *s, const sluice_pool *pool, const char *path, int64_t **out_rows, int64_t *out_count);
/* One group text a row: csv id,group; out [n], -1: in no group. */
sluice_status groups_load(sluice *s, const sluice_pool *pool, const char *path, int32_t **out_group);

#endif
