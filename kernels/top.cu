/* top.cu - the first k rows in the total order, running over blocks, of several scores at once.  Twin: top.c; top_state.h
 * has the order.
 *
 * A thread looks at EACH rows of one score and appends those that come before the worst of the k best.  Where the buffer
 * might not hold all rows of a call, one block for each score first cuts it back to its k best: the k-th is found digit by
 * digit, from the order's first to its last, as far as it takes to tell one row from all others.  What is worst and how
 * many there are stays on the device, so that nobody waits; a buffer is full once in about k rows, less and less often
 * as the threshold rises.
 *
 * Traffic a row and score: 4 bytes of score; of rows that pass a bit of skip, an id, and 32 bytes written. */
#include "cuda.h"
#include "top_state.h"

enum {
    THREADS = 256,
    EACH = 8,       /* rows a thread */
    CUTTERS = 1024, /* threads that cut one buffer */
    VALUES = 256,   /* of a digit */
    WORDS = 4,      /* of an entry's place in the order */
    MOST = 16       /* scores of a launch */
};

struct rows {
    const float *score[MOST];    /* [n] each */
    const uint64_t *ids;         /* [n] or NULL: id = row */
    const uint64_t *skip;        /* bit row % 64 of word row / 64 - skip_row / 64, or NULL */
    int64_t first_row, skip_row; /* of the piece and of the first word of skip, a multiple of 64 */
    int64_t n;
};

/* ---- the k-th entry ---- */

/* Entries in order ascend in these, the first of them that differs decides. */
static __device__ __forceinline__ uint64_t word_of(const sluice_entry &e, int w)
{
    return w == 0 ? (uint32_t)~e.key : w == 1 ? e.hash : w == 2 ? e.id : (uint64_t)e.row;
}

struct search {
    uint32_t counts[VALUES]; /* entries of each value of the digit, among those that begin like the k-th */
    uint64_t word[WORDS];    /* the k-th's digits so far, zeros behind */
    uint32_t left, alike;    /* which of the entries that begin like it, from 1, and how many do */
};

/* Whether e begins like the k-th, up to the digit at bit shift of word w. */
static __device__ __forceinline__ bool alike(const search &z, const sluice_entry &e, int w, int shift)
{
    for (int v = 0; v < w; v++)
        if (word_of(e, v) != z.word[v]) return false;
    uint64_t differ = word_of(e, w) ^ z.word[w];
    return shift == 56 || differ >> (shift + 8) == 0; /* no shift by 64 */
}

/* The value that the k-th has at this digit.  One full warp, eight values a lane. */
static __device__ void choose(search &z, int w, int shift)
{
    int lane = (int)threadIdx.x % gpu::WARP;
    uint32_t count[8], sum = 0, left = z.left;
#pragma unroll
    for (int v = 0; v < 8; v++) count[v] = z.counts[8 * lane + v], sum += count[v];
    uint32_t upto = sum;
#pragma unroll
    for (int d = 1; d < gpu::WARP; d *= 2) {
        uint32_t before = __shfl_up_sync(~0u, upto, d);
        if (lane >= d) upto += before;
    }
    uint32_t before = upto - sum;
    __syncwarp(); /* every lane has read left */
#pragma unroll
    for (int v = 0; v < 8; v++) { /* true for one value of one lane */
        if (before < left && left <= before + count[v]) {
            z.word[w] |= (uint64_t)(8 * lane + v) << shift;
            z.left = left - before, z.alike = count[v];
        }
        before += count[v];
    }
}

/* One digit more of the k-th of e [n]. */
static __device__ void narrow(search &z, const sluice_entry *e, int64_t n, int w, int shift)
{
    if (threadIdx.x < VALUES) z.counts[threadIdx.x] = 0;
    __syncthreads(); /* counts are zero, and the digits before are chosen */
    for (int64_t i = threadIdx.x; i < n; i += CUTTERS)
        if (alike(z, e[i], w, shift)) atomicAdd(&z.counts[word_of(e[i], w) >> shift & (VALUES - 1)], 1u);
    __syncthreads(); /* all are counted */
    if (threadIdx.x < gpu::WARP) choose(z, w, shift);
    __syncthreads(); /* the digit is chosen */
}

/* The k-th of e [n] into *out, shared memory: the only entry that begins with its digits. */
static __device__ void find(search &z, const sluice_entry *e, int64_t n, int64_t k, sluice_entry *out)
{
    if (threadIdx.x == 0) z.left = (uint32_t)k, z.alike = (uint32_t)n;
    if (threadIdx.x < WORDS) z.word[threadIdx.x] = 0; /* narrow's first barrier: all see them */
    int w = 0, shift = 24;
    narrow(z, e, n, w, shift);
    while (z.alike > 1 && (w < WORDS - 1 || shift > 0)) { /* the same for all threads */
        if (shift > 0) shift -= 8;
        else w++, shift = 56;
        narrow(z, e, n, w, shift);
    }
    for (int64_t i = threadIdx.x; i < n; i += CUTTERS)
        if (alike(z, e[i], w, shift - 8)) *out = e[i];
    __syncthreads(); /* *out is there */
}

/* ---- kernels ---- */

/* grid scores, block CUTTERS.  Where state's buffer might not take n rows more, or count is above k and n negative, its
 * k best remain.  Entries move to the front only, past those that all threads of the block have read. */
/* sass: kernel=top_shrink registers<=64 local=0 */
__global__ static void __launch_bounds__(CUTTERS) top_shrink(sluice_top_state *state, int64_t n)
{
    __shared__ search z;
    __shared__ sluice_entry worst;
    __shared__ uint32_t warps[CUTTERS / gpu::WARP];
    sluice_top_state *t = &state[blockIdx.x];
    sluice_entry *entries = t->entries;
    int64_t count = t->count, k = t->k, kept = 0;
    int lane = (int)threadIdx.x % gpu::WARP, warp = (int)threadIdx.x / gpu::WARP;
    if (count < k || (n >= 0 && count + n <= t->capacity)) return; /* the whole block */
    find(z, entries, count, k, &worst);
    for (int64_t first = 0; first < count; first += CUTTERS) {
        int64_t i = first + threadIdx.x;
        sluice_entry e = entries[i < count ? i : count - 1]; /* past the last a copy, which no one keeps */
        bool keep = i < count && !top_before(&worst, &e);
        uint32_t lanes = __ballot_sync(~0u, keep);
        if (lane == 0) warps[warp] = (uint32_t)__popc(lanes);
        __syncthreads(); /* the entries are read, and counted */
        int64_t at = kept + __popc(lanes & ((1u << lane) - 1));
        for (int v = 0; v < CUTTERS / gpu::WARP; v++) {
            if (v < warp) at += warps[v];
            kept += warps[v];
        }
        if (keep && at < k) entries[at] = e;
        __syncthreads(); /* warps is free, and what was written may be read */
    }
    if (threadIdx.x == 0) t->count = k, t->worst = worst, t->full = 1;
}

static __device__ __forceinline__ bool keeps(const rows &b, const sluice_top_state &t, int64_t i, uint32_t key)
{
    int64_t row = b.first_row + i, bit = row - b.skip_row;
    if (b.skip && (b.skip[bit / 64] >> (bit % 64) & 1)) return false;
    if (!t.full || key > t.worst.key) return true;
    sluice_entry e = top_entry(t.seed, b.ids ? b.ids[i] : (uint64_t)row, row, key);
    return top_before(&e, &t.worst);
}

/* Of a full warp, the rows where yes is set; one addition to the count for all of them. */
static __device__ __forceinline__ void append(sluice_top_state *t, bool yes, const rows &b, int64_t i, uint32_t key)
{
    uint32_t lanes = __ballot_sync(~0u, yes), lane = threadIdx.x % gpu::WARP;
    unsigned long long at = 0;
    if (!lanes) return; /* the whole warp */
    if (lane == 0) at = atomicAdd((unsigned long long *)&t->count, (unsigned long long)__popc(lanes));
    at = __shfl_sync(~0u, at, 0) + (unsigned long long)__popc(lanes & ((1u << lane) - 1));
    int64_t row = b.first_row + i;
    if (yes) t->entries[at] = top_entry(t->seed, b.ids ? b.ids[i] : (uint64_t)row, row, key);
}

/* grid (ceil(n / (THREADS EACH)), scores), block THREADS, no shared memory.  There is room for n entries; but for the
 * count, nobody writes what is read of the state. */
/* sass: kernel=top_rows registers<=48 local=0 */
__global__ static void top_rows(sluice_top_state *state, rows b)
{
    sluice_top_state *t = &state[blockIdx.y];
    const float *score = b.score[blockIdx.y];
    uint32_t key[EACH], least = t->full ? t->worst.key : 1;
    int64_t first = (int64_t)blockIdx.x * THREADS * EACH + threadIdx.x;
#pragma unroll
    for (int e = 0; e < EACH; e++) { /* all loads before the first use */
        int64_t i = first + e * THREADS;
        key[e] = i < b.n ? ex_order_key(score[i]) : 0;
    }
#pragma unroll
    for (int e = 0; e < EACH; e++) { /* rows past the last have key 0: no lane leaves before the ballot */
        int64_t i = first + e * THREADS;
        append(t, key[e] >= least && keeps(b, *t, i, key[e]), b, i, key[e]);
    }
}

/* ---- the host's part ---- */

/* Pieces for which every buffer has room after a cut. */
static void add_rows(op_run &r, sluice_top_state *state, int count, rows b, int64_t piece)
{
    int64_t n = b.n;
    for (int64_t i = 0; i < n; i += b.n) {
        b.n = n - i < piece ? n - i : piece;
        r.launch(top_shrink, count, CUTTERS, 0, state, b.n);
        r.launch(top_rows, dim3(blocks(b.n, THREADS * EACH).x, (unsigned)count), THREADS, 0, state, b);
        for (int j = 0; j < count; j++) b.score[j] += b.n;
        if (b.ids) b.ids += b.n;
        b.first_row += b.n;
    }
}

static void add_all(op_run &r, const sluice_op_top_args *a, sluice_top_state *state, int64_t piece)
{
    int64_t n = a->n, word = a->first_row / 64, words = n ? (a->first_row + n - 1) / 64 - word + 1 : 0;
    rows b = { {}, r.in(a->ids, n), a->skip ? r.in(a->skip + word, words) : nullptr, a->first_row, word * 64, n };
    for (int j = 0; j < a->count; j += MOST) {
        int count = a->count - j < MOST ? a->count - j : (int)MOST;
        for (int i = 0; i < count && n; i++) b.score[i] = r.in(a->score[j + i], n);
        add_rows(r, state + j, count, b, piece);
        if (a->finish) r.launch(top_shrink, count, CUTTERS, 0, state + j, (int64_t)-1);
    }
}

/* The host's tops go to the device and come back. */
static sluice_status top_of_host(op_run &r, const sluice_op_top_args *a)
{
    std::vector<sluice_top_state> seat(a->state, a->state + a->count);
    int64_t piece = a->n;
    for (sluice_top_state &t : seat) {
        if (t.capacity - t.k < piece) piece = t.capacity - t.k;
        t.entries = r.inout(t.entries, t.capacity);
    }
    add_all(r, a, r.inout(seat.data(), a->count), piece);
    (void)r.end();
    r.wait(); /* also a deferred exec: seat is about to go */
    for (int j = 0; j < a->count && r.ok(); j++) {
        sluice_entry *entries = a->state[j].entries;
        a->state[j] = seat[(size_t)j];
        a->state[j].entries = entries;
        if (a->finish) top_sort(entries, a->state[j].count);
    }
    return r.end();
}

sluice_status cuda_op_top(sluice_exec *x, const sluice_op_top_args *a)
{
    op_run r(x, "top");
    if (!cuda_owns(a->state)) return top_of_host(r, a);
    add_all(r, a, r.inout(a->state, a->count), a->n);
    return r.end();
}
