/* top.cu - the first k rows in the total order, running over blocks, filtered on a GPU.  Twin: top.c; top_state.h has
 * the order and the buffer, which stays with the host.
 *
 * Once k rows are known, a thread keeps of its rows what comes before the worst of them.  Until then, and where that
 * leaves too many, of a block of more than k rows those from the k-th largest key on are kept, all ties too.  The key
 * is found digit by digit from the top: a kernel counts the rows of each value, and the next begins by choosing one.
 * The kept rows come back in any order, but always the same ones, and the host adds them to its buffer.
 *
 * Traffic a row: 4 bytes of score and a bit of skip once; five times where the k-th key is looked for, mostly from the
 * second-level cache; ids where keys tie.  16 bytes a row kept. */
#include "cuda.h"
#include "top_state.h"

enum {
    PIECE = 1 << 20, /* rows filtered at once: bounds the scratch to 16 MiB */
    THREADS = 256,
    EACH = 8, /* rows a thread */
    DIGITS = 4,
    VALUES = 256, /* of a digit, as many as threads */
    EARLY = 1023  /* kept rows that come to the host together with their number */
};

struct rows {
    const float *score;          /* [n] */
    const uint64_t *ids;         /* [n] or NULL: id = row */
    const uint64_t *skip;        /* bit row % 64 of word row / 64 - first_row / 64, or NULL */
    int64_t first_row, skip_row; /* of the piece and of the first word of skip, a multiple of 64 */
    int32_t n;
};

struct kept {
    uint64_t id;
    uint32_t i, key; /* row i of the piece */
};

struct kept_list {
    uint32_t count, pad[3];
    kept rows[1]; /* [count] */
};

static __device__ __forceinline__ bool skipped(const rows &b, int32_t i)
{
    int64_t bit = b.first_row - b.skip_row + i;
    return b.skip && (b.skip[bit / 64] >> (bit % 64) & 1);
}

/* ---- the k-th largest key ---- */

struct choice {
    uint32_t prefix; /* the digits chosen so far */
    uint32_t left;   /* how many of the rows with that prefix belong to the k first */
};

struct search {
    uint32_t counts[DIGITS][VALUES]; /* rows of each value, among those with the prefix chosen before */
    choice chosen[DIGITS + 1];       /* after so many digits */
};

/* One digit more: the value that holds the left-th row from the top; 0 where there are fewer rows.  One full warp,
 * eight values a lane, descending. */
static __device__ choice narrow(choice c, const uint32_t counts[VALUES])
{
    int lane = (int)threadIdx.x % gpu::WARP, top = VALUES - 1 - 8 * lane;
    uint32_t count[8], sum = 0;
#pragma unroll
    for (int v = 0; v < 8; v++) count[v] = counts[top - v], sum += count[v];
    uint32_t upto = sum;
#pragma unroll
    for (int d = 1; d < gpu::WARP; d *= 2) {
        uint32_t before = __shfl_up_sync(~0u, upto, d);
        if (lane >= d) upto += before;
    }
    uint32_t above = upto - sum, value = 0, left = c.left;
    bool here = above < c.left && c.left <= upto;
#pragma unroll
    for (int v = 0; v < 8; v++) {
        if (here && above < c.left && c.left <= above + count[v]) value = (uint32_t)(top - v), left = c.left - above;
        above += count[v];
    }
    uint32_t lanes = __ballot_sync(~0u, here);
    int owner = lanes ? __ffs(lanes) - 1 : gpu::WARP - 1;
    value = __shfl_sync(~0u, value, owner), left = __shfl_sync(~0u, left, owner);
    return { c.prefix << 8 | value, left };
}

/* The choice after so many digits.  Every block makes it anew, all the same; the first keeps it for the next kernel. */
static __device__ choice choose(search *s, int digits, uint32_t k)
{
    __shared__ choice c;
    if (threadIdx.x < gpu::WARP) {
        choice mine = { 0, k };
        if (digits > 0) mine = narrow(digits > 1 ? s->chosen[digits - 1] : mine, s->counts[digits - 1]);
        if (threadIdx.x == 0) c = mine;
        if (threadIdx.x == 0 && blockIdx.x == 0) s->chosen[digits] = mine;
    }
    __syncthreads(); /* c is there */
    return c;
}

/* grid ceil(n / (THREADS EACH)), block THREADS = VALUES, 1 KiB of shared memory.  Adds to s->counts[digits] the rows
 * whose first digits are those chosen. */
/* sass: kernel=top_count registers<=32 local=0 */
__global__ static void top_count(rows b, uint32_t k, int digits, search *s)
{
    __shared__ uint32_t counts[VALUES];
    counts[threadIdx.x] = 0;
    choice c = choose(s, digits, k); /* its barrier: counts[] is zero */
    int32_t first = (int32_t)blockIdx.x * THREADS * EACH + (int32_t)threadIdx.x;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        int32_t i = first + e * THREADS;
        uint32_t key = i < b.n ? ex_order_key(b.score[i]) : 0;
        bool same = (uint32_t)((uint64_t)key >> (32 - 8 * digits)) == c.prefix;
        if (key && same && !skipped(b, i)) atomicAdd(&counts[key >> (24 - 8 * digits) & (VALUES - 1)], 1u);
    }
    __syncthreads(); /* all rows of the block are counted */
    if (counts[threadIdx.x]) atomicAdd(&s->counts[digits][threadIdx.x], counts[threadIdx.x]);
}

/* ---- the rows that are kept ---- */

struct threshold {
    sluice_entry worst; /* of the k best, if full */
    int full;
    uint64_t seed;
};

static __device__ __forceinline__ bool keeps(const rows &b, const threshold &t, int32_t i, uint32_t key)
{
    int64_t row = b.first_row + i;
    if (skipped(b, i)) return false;
    if (!t.full || key > t.worst.key) return true;
    sluice_entry e = top_entry(t.seed, b.ids ? b.ids[i] : (uint64_t)row, row, key);
    return top_before(&e, &t.worst);
}

/* Of a full warp, the rows where yes is set; one addition to the count for all of them. */
static __device__ __forceinline__ void append(kept_list *out, bool yes, const rows &b, int32_t i, uint32_t key)
{
    uint32_t lanes = __ballot_sync(~0u, yes), lane = threadIdx.x % gpu::WARP, at = 0;
    if (!lanes) return; /* the whole warp */
    if (lane == 0) at = atomicAdd(&out->count, (uint32_t)__popc(lanes));
    at = __shfl_sync(~0u, at, 0) + (uint32_t)__popc(lanes & ((1u << lane) - 1));
    if (yes) out->rows[at] = { b.ids ? b.ids[i] : (uint64_t)(b.first_row + i), (uint32_t)i, key };
}

/* grid ceil(n / (THREADS EACH)), block THREADS, 8 bytes of shared memory.  s: the digits are counted, or NULL. */
/* sass: kernel=top_keep registers<=40 local=0 */
__global__ static void top_keep(rows b, threshold t, uint32_t k, search *s, kept_list *out)
{
    uint32_t key[EACH], least = t.full ? t.worst.key : 1;
    if (s) { /* the same for all threads */
        uint32_t kth = choose(s, DIGITS, k).prefix;
        least = kth > least ? kth : least;
    }
    int32_t first = (int32_t)blockIdx.x * THREADS * EACH + (int32_t)threadIdx.x;
#pragma unroll
    for (int e = 0; e < EACH; e++) { /* all loads before the first use */
        int32_t i = first + e * THREADS;
        key[e] = i < b.n ? ex_order_key(b.score[i]) : 0;
    }
#pragma unroll
    for (int e = 0; e < EACH; e++) { /* rows past the last have key 0: no lane leaves before the ballot */
        int32_t i = first + e * THREADS;
        append(out, key[e] >= least && keeps(b, t, i, key[e]), b, i, key[e]);
    }
}

/* ---- the host's part ---- */

/* Device and host memory of one call. */
struct room {
    kept_list *device, *host;
    search *digits;
};

static size_t list_bytes(int64_t n) { return offsetof(kept_list, rows) + (size_t)n * sizeof(kept); }

static size_t early_bytes(int64_t n) { return list_bytes(n < EARLY ? n : (int64_t)EARLY); }

/* Filters a piece; the number of kept rows is then known to the host, and the first of them. */
static void filter(op_run &r, const rows &b, const sluice_top_state *t, const room &m, bool narrows)
{
    dim3 grid = blocks(b.n, THREADS * EACH);
    threshold limit = { t->worst, t->full, t->seed };
    uint32_t k = narrows ? (uint32_t)t->k : 0;
    if (!r.ok()) return;
    r.check(cudaMemsetAsync(m.device, 0, offsetof(kept_list, rows), r.stream()));
    if (narrows) r.check(cudaMemsetAsync(m.digits, 0, sizeof *m.digits, r.stream()));
    for (int digits = 0; narrows && digits < DIGITS; digits++)
        r.launch(top_count, grid, THREADS, 0, b, k, digits, m.digits);
    r.launch(top_keep, grid, THREADS, 0, b, limit, k, narrows ? m.digits : nullptr, m.device);
    r.check(cudaMemcpyAsync(m.host, m.device, early_bytes(b.n), cudaMemcpyDeviceToHost, r.stream()));
    r.wait();
}

static void fetch_others(op_run &r, const room &m, int64_t n)
{
    size_t early = early_bytes(n), all = r.ok() ? list_bytes(m.host->count) : 0;
    if (all <= early) return;
    r.check(cudaMemcpyAsync((char *)m.host + early, (char *)m.device + early, all - early, cudaMemcpyDeviceToHost,
                            r.stream()));
    r.wait();
}

static void add_piece(op_run &r, const rows &b, sluice_top_state *t, const room &m)
{
    bool may_narrow = t->k < b.n, narrows = may_narrow && !t->full;
    filter(r, b, t, m, narrows);
    /* Where scores rise from piece to piece, nearly all rows come before the worst of the past. */
    if (r.ok() && may_narrow && !narrows && m.host->count > 2 * t->k) filter(r, b, t, m, true);
    fetch_others(r, m, b.n);
    for (uint32_t j = 0; r.ok() && j < m.host->count; j++) {
        const kept &e = m.host->rows[j];
        top_add(t, top_entry(t->seed, e.id, b.first_row + e.i, e.key));
    }
    if (r.ok() && !t->full) top_cut(t); /* from here on there is a threshold */
}

sluice_status cuda_op_top(sluice_exec *x, const sluice_op_top_args *a)
{
    op_run r(x, "top");
    int64_t n = a->n, most = n < PIECE ? n : (int64_t)PIECE, word = a->first_row / 64;
    int64_t words = n ? (a->first_row + n - 1) / 64 - word + 1 : 0;
    const float *score = r.in(a->score, n);
    const uint64_t *ids = r.in(a->ids, n), *skip = a->skip ? r.in(a->skip + word, words) : nullptr;
    room m = { (kept_list *)r.scratch<char>((int64_t)list_bytes(most)), (kept_list *)x->scratch(x, list_bytes(most)),
               r.scratch<search>(1) };
    if (!m.host) return r.fail(SLUICE_E_MEMORY, "no memory for %lld rows", (long long)most);
    for (int64_t i = 0; i < n && r.ok(); i += PIECE) {
        rows b = { score + i, ids ? ids + i : nullptr,
                   skip,      a->first_row + i,
                   word * 64, (int32_t)(n - i < PIECE ? n - i : (int64_t)PIECE) };
        add_piece(r, b, a->state, m);
    }
    if (r.ok() && a->finish) top_finish(a->state);
    return r.end();
}
