/* tile.cu - rows times packed weights for more than 16 classes, on a GPU.  Twin: many.h.
 *
 * A block has ROWS rows x CLASSES classes, a thread 8 x 8 (8 x 4) of their sums in registers, each one chain over
 * ascending k.  Both sides pass through shared memory in STAGES steps of DEPTH features: floats by cp.async, narrower
 * rows by registers, widened on the way.  A warp is 4 x 8 threads: its reads of shared memory meet no bank twice.
 *
 *   at most 32, 64 classes   one block holds a row's logits: they turn once in shared memory, then a thread per row
 *                            reduces them
 *   more                     blocks of 128 or 64; the logits go to the caller's or to scratch of at most half of the
 *                            second-level cache, where score.cu finds them; a block's neighbours share its rows */
#include "linear.cuh"
#include "score.cuh"
#include "widen.cuh"

namespace {

enum { ROWS = 128, DEPTH = 16, STAGES = 3, TALL = 8, PITCH = DEPTH + 4 };

template <int CLASSES> struct shape {
    enum {
        WIDE = CLASSES >= 64 ? 8 : 4, /* classes of a thread, in fours, ACROSS * 4 apart */
        ACROSS = CLASSES / WIDE,      /* threads side by side */
        THREADS = ROWS / TALL * ACROSS,
        BLOCKS = THREADS == 256 ? 2 : 4, /* on a multiprocessor, by registers */
        STAGE = ROWS * PITCH + DEPTH * CLASSES,
        SHARED = STAGES * STAGE * 4,
        TURN_PITCH = CLASSES + 1 /* of logits in shared memory: a thread a row meets no bank twice */
    };
    static_assert(ROWS * TURN_PITCH <= STAGES * STAGE || CLASSES > 64, "the logits fit where the stages were");
};

/* ---- into shared memory ------------------------------------------------------------------------------ */

/* A thread's part of a step of rows: two threads share a row, a thread has rows APART from one another. */
template <class T, int CLASSES> struct row_part {
    enum { APART = shape<CLASSES>::THREADS / 2, PIECES = ROWS / APART };
    const char *from;
    size_t step; /* from row to row */
    int row, rows, to;
    using eight = std::conditional_t<sizeof(T) == 2, uint4, uint2>;
    eight held[sizeof(T) == 4 ? 1 : PIECES]; /* narrow values on their way */

    __device__ __forceinline__ row_part(const sluice_view &x, int64_t first)
    {
        int k = threadIdx.x % 2 * (sizeof(T) == 4 ? 4 : 8);
        row = threadIdx.x / 2, rows = x.rows - first < ROWS ? (int)(x.rows - first) : ROWS;
        from = (const char *)(view_row<const T>(x, first + row) + k), step = APART * x.stride;
        to = row * PITCH + k;
    }
    /* Starts the next step towards a stage.  Rows past the last are zeros. */
    __device__ __forceinline__ void fetch(float *stage)
    {
#pragma unroll
        for (int u = 0; u < PIECES; u++) {
            bool valid = row + u * APART < rows;
            const char *p = from + u * step;
            float *q = stage + to + u * APART * PITCH;
            if constexpr (sizeof(T) < 4) held[u] = valid ? *(const eight *)p : eight{};
            else gpu::copy16_async(q, p, valid), gpu::copy16_async(q + 8, p + 32, valid);
        }
        from += DEPTH * sizeof(T);
    }
    /* Narrow values arrive: widened, 16 bytes at a time. */
    __device__ __forceinline__ void store(float *stage)
    {
        if constexpr (sizeof(T) < 4) {
            enum { WORDS = 2 * sizeof(T) };
#pragma unroll
            for (int u = 0; u < PIECES; u++) {
                uint32_t word[WORDS];
                float x[8];
                memcpy(word, &held[u], sizeof word);
#pragma unroll
                for (int i = 0; i < WORDS; i++) widen_word(T(), word[i], x + i * (8 / WORDS));
                float4 *p = (float4 *)(stage + to + u * APART * PITCH);
                p[0] = make_float4(x[0], x[1], x[2], x[3]), p[1] = make_float4(x[4], x[5], x[6], x[7]);
            }
        }
    }
};

/* A thread's part of a step of weights: those of a group of 16 classes are neighbours in memory. */
template <int CLASSES> struct weight_part {
    enum { LINE = shape<CLASSES>::THREADS / (CLASSES / 16), PIECES = DEPTH * 4 / LINE };
    const float *from;
    bool valid; /* groups past the last are zeros */
    int to;

    __device__ __forceinline__ weight_part(const float *packed, int64_t d, int c, int first)
    {
        int piece = threadIdx.x % LINE, group = threadIdx.x / LINE;
        from = packed + (first / 16 + group) * d * 16 + piece * 4;
        valid = first + group * 16 < c;
        to = ROWS * PITCH + piece / 4 * CLASSES + group * 16 + piece % 4 * 4;
    }
    __device__ __forceinline__ void fetch(float *stage)
    {
#pragma unroll
        for (int u = 0; u < PIECES; u++)
            gpu::copy16_async(stage + to + u * (LINE / 4 * CLASSES), from + u * (LINE * 4), valid);
        from += DEPTH * 16;
    }
};

/* ---- the sums ---------------------------------------------------------------------------------------- */

template <int CLASSES> using sums = float[TALL][shape<CLASSES>::WIDE];

/* Row i and class j of a thread's sums, within the block. */
template <int CLASSES> __device__ __forceinline__ int row_of(int i)
{
    return threadIdx.x / 32 / (shape<CLASSES>::ACROSS / 8) * 4 + threadIdx.x % 32 / 8 + i * (ROWS / TALL);
}
template <int CLASSES> __device__ __forceinline__ int class_of(int j)
{
    enum { ACROSS = shape<CLASSES>::ACROSS };
    return j / 4 * (ACROSS * 4) + (threadIdx.x / 32 % (ACROSS / 8) * 8 + threadIdx.x % 8) * 4 + j % 4;
}

/* Adds feature k of a stage, x[i] that of row i. */
template <int CLASSES> __device__ __forceinline__ void add(const float *w, const float (&x)[TALL], sums<CLASSES> &sum)
{
    enum { FOURS = shape<CLASSES>::WIDE / 4 };
#pragma unroll
    for (int j = 0; j < FOURS; j++) {
        float4 v = *(const float4 *)(w + class_of<CLASSES>(4 * j));
#pragma unroll
        for (int i = 0; i < TALL; i++) {
            float *s = sum[i] + 4 * j;
            s[0] = ex_fma(x[i], v.x, s[0]), s[1] = ex_fma(x[i], v.y, s[1]);
            s[2] = ex_fma(x[i], v.z, s[2]), s[3] = ex_fma(x[i], v.w, s[3]);
        }
    }
}

template <int CLASSES> __device__ __forceinline__ void add_stage(const float *stage, sums<CLASSES> &sum)
{
    const float *w = stage + ROWS * PITCH;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 4) {
        float4 x[TALL];
#pragma unroll
        for (int i = 0; i < TALL; i++) x[i] = *(const float4 *)(stage + row_of<CLASSES>(i) * PITCH + k);
#pragma unroll
        for (int q = 0; q < 4; q++) {
            float v[TALL];
#pragma unroll
            for (int i = 0; i < TALL; i++) v[i] = q == 0 ? x[i].x : q == 1 ? x[i].y : q == 2 ? x[i].z : x[i].w;
            add<CLASSES>(w + (k + q) * CLASSES, v, sum);
        }
    }
}

/* The last d % DEPTH features, one by one: what follows them in memory is not looked at. */
template <class T, int CLASSES>
__device__ __forceinline__ void load_rest(const linear &p, int64_t row, int column, int rest, float *stage)
{
    enum { THREADS = shape<CLASSES>::THREADS };
    int64_t d = p.x.cols, k = d - rest;
#pragma unroll 1
    for (int t = threadIdx.x; t < ROWS * rest; t += THREADS) {
        int64_t i = row + t / rest;
        stage[t / rest * PITCH + t % rest] =
            widen_one(view_row<const T>(p.x, i < p.x.rows ? i : p.x.rows - 1) + k + t % rest);
    }
#pragma unroll 1
    for (int t = threadIdx.x; t < CLASSES * rest; t += THREADS) {
        int64_t j = column + t % CLASSES;
        stage[ROWS * PITCH + t] = j < p.c ? p.packed[(j / 16 * d + k + t / CLASSES) * 16 + j % 16] : 0.0f;
    }
}

template <int CLASSES> __device__ __forceinline__ void add_rest(const float *stage, int rest, sums<CLASSES> &sum)
{
#pragma unroll 1
    for (int k = 0; k < rest; k++) {
        float x[TALL];
#pragma unroll
        for (int i = 0; i < TALL; i++) x[i] = stage[row_of<CLASSES>(i) * PITCH + k];
        add<CLASSES>(stage + ROWS * PITCH + k * CLASSES, x, sum);
    }
}

template <class T, int CLASSES> __device__ __forceinline__ void begin(const linear &p, int column, sums<CLASSES> &sum)
{
#pragma unroll
    for (int j = 0; j < shape<CLASSES>::WIDE; j++) {
        int c = column + class_of<CLASSES>(j);
        float first = !is_integer<T> && p.bias && c < (int)p.c ? p.bias[c] : 0.0f;
#pragma unroll
        for (int i = 0; i < TALL; i++) sum[i][j] = first;
    }
}

/* Adds whole steps of features. */
template <class T, int CLASSES>
__device__ __forceinline__ void add_steps(const linear &p, int64_t row, int column, int steps, float *stages,
                                          sums<CLASSES> &sum)
{
    enum { STAGE = shape<CLASSES>::STAGE };
    row_part<T, CLASSES> rows(p.x, row);
    weight_part<CLASSES> weights(p.packed, p.x.cols, (int)p.c, column);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        float *stage = stages + s * STAGE;
        if (s < steps) rows.fetch(stage), weights.fetch(stage), rows.store(stage);
        gpu::copies_commit();
    }
    int now = 0;
    for (int step = 0; step < steps; step++) {
        gpu::copies_wait<STAGES - 2>();
        __syncthreads(); /* this step is here for all, and all are done with the stage fetched next */
        float *next = stages + (now ? now - 1 : STAGES - 1) * STAGE;
        bool more = step + STAGES - 1 < steps;
        if (more) rows.fetch(next), weights.fetch(next);
        gpu::copies_commit(); /* an empty group at the end keeps the count of groups */
        add_stage<CLASSES>(stages + now * STAGE, sum);
        if (more) rows.store(next);
        now = now + 1 < STAGES ? now + 1 : 0;
    }
}

template <class T, int CLASSES>
__device__ __forceinline__ void finish(const linear &p, int64_t row, int column, sums<CLASSES> &sum)
{
#pragma unroll
    for (int i = 0; i < TALL; i++) {
        int64_t r = row + row_of<CLASSES>(i);
        float scale = is_integer<T> && p.x.scale && r < p.x.rows ? p.x.scale[r] : 1.0f;
#pragma unroll
        for (int j = 0; j < shape<CLASSES>::WIDE; j++) {
            int c = column + class_of<CLASSES>(j);
            if (is_integer<T>) sum[i][j] = ex_fma(scale, sum[i][j], p.bias && c < (int)p.c ? p.bias[c] : 0.0f);
            sum[i][j] = linear_stored(sum[i][j], p.relu);
        }
    }
}

/* The block's logits, from a row and a class on. */
template <class T, int CLASSES>
__device__ __forceinline__ void product(const linear &p, int64_t row, int column, float *stages, sums<CLASSES> &sum)
{
    begin<T, CLASSES>(p, column, sum);
    add_steps<T, CLASSES>(p, row, column, (int)(p.x.cols / DEPTH), stages, sum);
    if (int rest = (int)(p.x.cols % DEPTH)) { /* the same for the whole block */
        __syncthreads();                      /* all are done with the stages */
        load_rest<T, CLASSES>(p, row, column, rest, stages);
        __syncthreads(); /* loaded by all */
        add_rest<CLASSES>(stages, rest, sum);
    }
    finish<T, CLASSES>(p, row, column, sum);
}

/* ---- kernels ----------------------------------------------------------------------------------------- */

/* grid ceil(n / ROWS) * ceil(c / CLASSES), classes fastest; block 256, 54 KiB, 2 on a multiprocessor (CLASSES = 128), or
 * 128, 42 KiB, 4. */
/* sass: kernel=tile_wide registers<=128 ffma>=85% local=0 ldg128 */
/* sass: kernel=tile_wide<float ffma>=88% */
template <class T, int CLASSES>
__global__ void __launch_bounds__(shape<CLASSES>::THREADS, shape<CLASSES>::BLOCKS) tile_wide(linear p, bool aligned)
{
    GPU_DYNAMIC(float, stages);
    unsigned across = ((unsigned)p.c + CLASSES - 1) / CLASSES;
    int64_t row = (int64_t)(blockIdx.x / across) * ROWS;
    int column = (int)(blockIdx.x % across * CLASSES), c = (int)p.c;
    sums<CLASSES> sum;
    product<T, CLASSES>(p, row, column, stages, sum);
#pragma unroll
    for (int i = 0; i < TALL; i++) {
        int64_t r = row + row_of<CLASSES>(i);
        if (r >= p.out.rows) return; /* as are the rows after it; no barrier follows */
        float *out = view_row<float>(p.out, r) + column;
#pragma unroll
        for (int j = 0; j < 8; j += 4) {
            int at = class_of<CLASSES>(j);
            const float *s = sum[i] + j;
            if (aligned && column + at + 4 <= c) *(float4 *)(out + at) = make_float4(s[0], s[1], s[2], s[3]);
            else
                for (int q = 0; q < 4; q++)
                    if (column + at + q < c) out[at + q] = s[q];
        }
    }
}

/* grid ceil(n / ROWS), block 128, 42 KiB (CLASSES = 64) or 36 KiB: 4 blocks on a multiprocessor.  c <= CLASSES. */
/* sass: kernel=tile_narrow registers<=128 ffma>=76% local=0 ldg128 */
/* sass: kernel=tile_narrow<float,64 ffma>=88% */
template <class T, int CLASSES> __global__ void __launch_bounds__(128, 4) tile_narrow(linear p)
{
    enum { TURN_PITCH = shape<CLASSES>::TURN_PITCH, WIDE = shape<CLASSES>::WIDE };
    GPU_DYNAMIC(float, stages);
    int64_t row = (int64_t)blockIdx.x * ROWS;
    sums<CLASSES> sum;
    product<T, CLASSES>(p, row, 0, stages, sum);
    __syncthreads(); /* all are done with the stages */
#pragma unroll
    for (int i = 0; i < TALL; i++)
#pragma unroll
        for (int j = 0; j < WIDE; j++) stages[row_of<CLASSES>(i) * TURN_PITCH + class_of<CLASSES>(j)] = sum[i][j];
    __syncthreads(); /* the logits are here */
    int rows = p.x.rows - row < ROWS ? (int)(p.x.rows - row) : ROWS, c = (int)p.c;
    if (p.scored && (int)threadIdx.x < rows) { /* reduce::row of one lane has no shuffles */
        const float *z = stages + threadIdx.x * TURN_PITCH;
        scorer_write(p.scores, row + threadIdx.x, reduce::row<1>([z](int j) { return z[j]; }, c, p.scores.temperature));
    }
    if (p.out.data)
        for (int t = threadIdx.x; t < rows * CLASSES; t += 128)
            if (t % CLASSES < c)
                view_row<float>(p.out, row + t / CLASSES)[t % CLASSES] = stages[t / CLASSES * TURN_PITCH + t % CLASSES];
}

/* ---- launches ---------------------------------------------------------------------------------------- */

template <class K> void allow_shared(op_run &r, K *kernel, int bytes)
{
    r.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

template <int CLASSES> void launch_narrow(op_run &r, const linear &p)
{
    with_type(p.x.type, [&](auto value) {
        auto kernel = tile_narrow<decltype(value), CLASSES>;
        allow_shared(r, kernel, shape<CLASSES>::SHARED);
        r.launch(kernel, blocks(p.x.rows, ROWS), shape<CLASSES>::THREADS, shape<CLASSES>::SHARED, p);
    });
}

template <int CLASSES> void launch_wide(op_run &r, const linear &p)
{
    bool aligned = ((size_t)p.out.data | p.out.stride) % 16 == 0;
    int64_t tiles = (p.x.rows + ROWS - 1) / ROWS * ((p.c + CLASSES - 1) / CLASSES);
    with_type(p.x.type, [&](auto value) {
        auto kernel = tile_wide<decltype(value), CLASSES>;
        allow_shared(r, kernel, shape<CLASSES>::SHARED);
        r.launch(kernel, blocks(tiles, 1), shape<CLASSES>::THREADS, shape<CLASSES>::SHARED, p, aligned);
    });
}

/* Classes of a block.  Blocks of 64 read rows twice as often, and are worth it where one of 128 would be half empty. */
int width(int64_t c) { return (c - 1) % 128 < 64 ? 64 : 128; }

void wide(op_run &r, const linear &p)
{
    if (width(p.c) == 64) launch_wide<64>(r, p);
    else launch_wide<128>(r, p);
}

/* Rows whose logits fill at most half of the second-level cache, in whole rounds of all multiprocessors. */
int64_t piece_rows(op_run &r, int64_t c, size_t stride)
{
    int cache = 0, processors = 1;
    r.check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, r.x->device));
    r.check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, r.x->device));
    int64_t across = (c + width(c) - 1) / width(c), tall = (int64_t)((size_t)cache / 2 / stride / ROWS);
    int64_t round = (int64_t)processors * shape<128>::BLOCKS;
    if (width(c) == 64) round = (int64_t)processors * shape<64>::BLOCKS;
    if (int64_t rounds = tall * across / round) tall = rounds * round / across;
    return (tall ? tall : 1) * ROWS;
}

void wide_scored(op_run &r, const linear &p)
{
    size_t stride = (size_t)(p.c + 3) / 4 * 4 * sizeof(float);
    int64_t n = p.x.rows, most = piece_rows(r, p.c, stride);
    sluice_view scratch = { nullptr, 0, p.c, stride, SLUICE_F32, nullptr };
    if (!p.out.data) scratch.data = r.scratch<char>((most < n ? most : n) * (int64_t)stride);
    for (int64_t i = 0; i < n; i += most) {
        int64_t rows = n - i < most ? n - i : most;
        linear part = p;
        part.x = sluice_rows_of(p.x, i, rows);
        part.out = p.out.data ? sluice_rows_of(p.out, i, rows) : sluice_rows_of(scratch, 0, rows);
        wide(r, part);
        score_rows(r, part.out, p.scores, i);
    }
}

} // namespace

void tile_classes(op_run &r, const linear &p)
{
    if (!r.ok()) return;
    if (p.c <= 32) launch_narrow<32>(r, p);
    else if (p.c <= 64) launch_narrow<64>(r, p);
    else if (p.scored) wide_scored(r, p);
    else wide(r, p);
}
