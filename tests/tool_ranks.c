/* tool_ranks - comm.h between real processes: `mpirun -n N tool_ranks CASE...`.  Every rank checks what it got; the exit code is
 * that of the status all agreed on, 99 where a check failed. */
#include "comm.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sluice *s;
static int wrong;

#define EXPECT(ok)                                                                                                     \
    do {                                                                                                               \
        if (!(ok)) fprintf(stderr, "rank %d, line %d: %s\n", comm_rank(s), __LINE__, #ok), wrong = 1;                  \
    } while (0)

/* Bytes that tell rank and place. */
static void fill(unsigned char *p, size_t n, int rank)
{
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(i * 7 + (size_t)rank * 31);
}

static bool holds(const unsigned char *p, size_t n, int rank)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != (unsigned char)(i * 7 + (size_t)rank * 31)) return false;
    return true;
}

static size_t bytes_of(int rank) { return rank == 1 ? 0 : (size_t)(rank + 1) * 100003; }

static sluice_status bytes(void)
{
    sluice_status st = SLUICE_OK;
    int rank = comm_rank(s), size = comm_size(s);
    size_t most = bytes_of(size + 1), *at = calloc((size_t)size + 1, sizeof *at);
    unsigned char *mine = malloc(most);
    void *all = NULL;
    fill(mine, bytes_of(rank), rank);
    TRY(comm_gather(s, mine, bytes_of(rank), &all, at));
    EXPECT(!all == (rank != 0));
    for (int i = 0; all && i < size; i++) {
        EXPECT(at[i + 1] - at[i] == bytes_of(i));
        EXPECT(holds((unsigned char *)all + at[i], bytes_of(i), i));
    }
    mem_free(all), all = NULL;
    TRY(comm_share(s, mine, bytes_of(rank), &all, at));
    for (int i = 0; i < size; i++) EXPECT(holds((unsigned char *)all + at[i], bytes_of(i), i));
    mem_free(all), all = NULL;
    size_t n = rank == 0 ? most : 0;
    if (rank == 0) all = mine, fill(mine, most, 77);
    TRY(comm_broadcast_block(s, &all, &n));
    EXPECT(n == most && holds(all, n, 77));
    if (rank) mem_free(all);
    fill(mine, 1000, rank);
    TRY(comm_broadcast(s, mine, 1000, size - 1));
    EXPECT(holds(mine, 1000, size - 1));
out:
    free(mine), free(at);
    return st;
}

static sluice_status reductions(void)
{
    sluice_status st = SLUICE_OK;
    int rank = comm_rank(s), size = comm_size(s);
    int64_t v[3] = { rank, -1, INT64_C(1) << 40 };
    TRY(comm_sum(s, v, 3));
    EXPECT(v[0] == size * (size - 1) / 2 && v[1] == -size && v[2] == (int64_t)size << 40);
out:
    return st;
}

/* Every item once; a slow root must not keep the others from working. */
static sluice_status dealing(bool ahead)
{
    sluice_status st = SLUICE_OK;
    enum { ITEMS = 61 };
    int64_t done[ITEMS + 1] = { 0 };
    deal d;
    deal_begin(s, &d, ITEMS, ahead);
    for (;;) {
        int64_t i;
        TRY(deal_next(s, &d, &i));
        if (i < 0) break;
        EXPECT(i < ITEMS);
        done[i]++, done[ITEMS]++;
        usleep(comm_root(s) ? 4000 : 1000);
    }
    TRY(deal_end(s, &d, st));
    if (comm_size(s) > 1) EXPECT(done[ITEMS] < ITEMS && (comm_root(s) || done[ITEMS] > 0));
    TRY(comm_sum(s, done, ITEMS + 1));
    for (int i = 0; i < ITEMS; i++) EXPECT(done[i] == 1);
out:
    return st;
}

static uint64_t hash_text(const char *text, uint64_t seed) { return hash_bytes(text, strlen(text), seed); }

/* A pool with ids and scales (argument of tests/mpi.sh: $RANKS_POOL): all that a rank knows of it is what the root read. */
static sluice_status pools(void)
{
    sluice_status st = SLUICE_OK;
    const char *path = getenv("RANKS_POOL");
    sluice_pool *pool = NULL;
    uint64_t sum = 0;
    char id[256];
    int64_t hashes[2];
    sluice_pool_args a = { .size = sizeof a, .paths = &path, .path_count = 1 };
    TRY(sluice_pool_open(s, &a, &pool));
    EXPECT(pool->rows > 0 && pool->ids && pool->id_text && pool->shard_count > 1 && pool->shards[0].scale);
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *sh = &pool->shards[i];
        sum = hash_text(sh->name, hash_text(sh->path, sum + (uint64_t)sh->rows + sh->stride));
        if (sh->scale) sum = hash_bytes(sh->scale, (size_t)sh->rows * sizeof *sh->scale, sum);
    }
    for (int64_t i = 0; i < pool->rows; i++) {
        sluice_pool_id_text(pool, i, id, sizeof id);
        sum = hash_text(id, sum + pool->ids[i]);
    }
    hashes[0] = hashes[1] = (int64_t)(sum >> 8);
    TRY(comm_broadcast(s, &hashes[1], sizeof hashes[1], 0));
    EXPECT(hashes[0] == hashes[1]);
out:
    sluice_pool_free(pool);
    return st;
}

static sluice_status fail_alone(void) { return sluice_fail(s, SLUICE_E_DATA, "rows of rank %d are bad", comm_rank(s)); }

/* The last rank fails while the others are in a call that it never makes. */
static sluice_status failing(void)
{
    int64_t v = 1;
    if (comm_rank(s) == comm_size(s) - 1) return fail_alone();
    sluice_status st = comm_sum(s, &v, 1);
    EXPECT(st == SLUICE_E_DATA && comm_sum(s, &v, 1) == st);
    return st;
}

/* A rank, or the root, fails amid the dealing: no further item goes out. */
static sluice_status failing_deal(int who)
{
    sluice_status st = SLUICE_OK;
    deal d;
    int64_t i = 0, had = 0;
    deal_begin(s, &d, 1000000, true);
    for (;;) {
        if (comm_rank(s) == who && had == 3) st = fail_alone();
        if (!st) st = deal_next(s, &d, &i);
        if (st || i < 0) break;
        had++;
        usleep(500);
    }
    return deal_end(s, &d, st);
}

static sluice_status run(const char *name)
{
    if (strcmp(name, "bytes") == 0) return bytes();
    if (strcmp(name, "reductions") == 0) return reductions();
    if (strcmp(name, "dealing") == 0) return dealing(false);
    if (strcmp(name, "dealing_ahead") == 0) return dealing(true);
    if (strcmp(name, "pools") == 0) return pools();
    if (strcmp(name, "failing") == 0) return failing();
    if (strcmp(name, "failing_deal") == 0) return failing_deal(comm_size(s) - 1);
    if (strcmp(name, "failing_root") == 0) return failing_deal(0);
    if (strcmp(name, "all_fail") == 0) return sluice_fail(s, SLUICE_E_MISSING, "there is no file 'x'");
    if (strcmp(name, "lost") == 0) return comm_root(s) ? comm_sum(s, NULL, 0) : comm_agree(s, SLUICE_OK);
    if (strcmp(name, "killed") == 0 && comm_rank(s) == comm_size(s) - 1) abort();
    return SLUICE_OK;
}

int main(int argc, char **argv)
{
    sluice_options o = { .size = sizeof o, .threads = 1, .devices = "cpu", .ranks = 1 };
    sluice_status st = sluice_open(&o, &s);
    for (int i = 1; i < argc && !st; i++) st = comm_agree(s, run(argv[i]));
    if (comm_root(s)) printf("%d ranks: %s\n", comm_size(s), st ? sluice_error(s) : "ok");
    fflush(stdout);
    sluice_close(s);
    return wrong ? 99 : sluice_exit_code(st);
}
