/* scan_fast.cu - scan with --math fast: logits by tensor cores, and the scores of a row from them while they are still
 * in registers.  No twin: scan.cu gives the exact bits, these differ from them within the bound below.
 *
 * A block owns 128 rows and walks over tiles of classes; the rows are read once a tile, from L2 after the first.
 * A chunk is 32 bytes of k (16 half floats, 8 tf32) times 2 or 4; rows and weights of a chunk come by cp.async into
 * one of the stages of a ring, weights in the order in which they lie there (arrange).  A warp multiplies its part, and
 * when k ends folds the logits into what each of its threads keeps of a row: the two largest, the index of the largest,
 * S and T relative to it (uncertainty.h).  Two such records join without a difference that cancels, so that a row's
 * parts may be joined in any grouping; the grouping is fixed here, and a row's result depends on nothing but the row.
 *
 *   rows of     are multiplied as           with weights rounded to    u
 *   f32         tf32, rounded               tf32                       2^-10 (both sides)
 *   f16         f16                         f16                        2^-11
 *   bf16        bf16                        bf16                       2^-8
 *   i8, u8      f16, which holds them all   f16                        2^-11
 *
 * f16 weights of a class are first scaled by a power of two, the largest to [2^14, 2^15), so that none overflows and
 * what underflows is below 2^-39 of the largest.
 *
 * Bound.  With z the canonical logit, A = sum_k |x_k w_k| (times the row's scale) and X = sum_k |x_k| (likewise),
 *
 *   |z_fast - z|  <=  1.01 (u + (d + 16) 2^-22) A  +  2^-38 X max_k |w_k|  +  2^-22 (|z| + |bias|)  +  tiny
 *
 * where |x_k| < 2^127; the second term is of f16 weights alone.  (d + 16) 2^-22 holds the sums of both: the canonical
 * chain, d 2^-24, and the tensor cores', cut to 24 bits, d / K times (K + 4) 2^-23 with K = 8 or 16 products at once.
 * What is subnormal may be lost: tiny = 2^-126 sum_k (1 + |x_k| + |w_k|).  With t the temperature and
 * D = max_j |z_fast - z|_j / t + 2^-22 max_j |z_j| / t, the scores differ by at most
 *
 *   confidence, least confidence  D / 2      margin  D      ratio  2 D      entropy  2 D      energy  t D
 *
 * (the gradients of each, bounded in the maximum norm), plus c 2^-22 for the sums over classes.  A row with a NaN or an
 * infinity gets NaN everywhere, as in exact mode. */
#include "mma.h"
#include "reduce.cuh"

namespace {

const int WARP = gpu::WARP, ROWS = 128, NO_CLASS = INT32_MAX;
const float LOG2E = 0x1.715476p+0f;

/* What a block computes at once: 128 rows by CLASSES, its warps in a grid of ROW_WARPS x CLASS_WARPS, each with products
 * of ROW_TILES x 16 rows by CLASS_TILES x 8 classes in registers. */
template <int row_warps, int class_warps, int row_tiles, int class_tiles, int chunk, int stages, int blocks_>
struct shape {
    enum {
        CLASS_WARPS = class_warps,
        ROW_TILES = row_tiles,
        CLASS_TILES = class_tiles,
        CHUNK = chunk, /* bytes of each class's weights in a stage */
        STAGES = stages,
        BLOCKS = blocks_, /* per multiprocessor, what registers must leave room for */
        CLASSES = class_warps * class_tiles * 8,
        THREADS = row_warps * class_warps * 32,
        STEPS = chunk / 32,
        KEPT_ROWS = row_tiles / 2 /* a thread has sums of 2 ROW_TILES rows; four threads share a row */
    };
    static_assert(row_warps * row_tiles * 16 == ROWS, "a block owns 128 rows");
};
struct few : shape<4, 1, 2, 2, 128, 3, 4> {}; /* 16 classes: rows stream by, bound by memory */
struct some : shape<4, 1, 2, 8, 64, 4, 3> {}; /* 64 */
struct many : shape<2, 4, 4, 8, 64, 4, 1> {}; /* 256: what a warp loads from shared memory serves 64 x 64 products */

/* ---- element types: how a fragment of rows becomes one of the multiplication's type --------------------- */

struct f32_rows {
    enum { SIZE = 4, WEIGHT_SIZE = 4, STEPS_A_LOAD = 1, SCALED_WEIGHTS = 0, SCALED_ROWS = 0 };
    typedef uint32_t weight;
    static __device__ weight rounded(float w) { return gpu::to_tf32(w); }
    static __device__ int64_t k_of(int64_t place) { return place; }
    static __device__ void fragment(uint32_t (&a)[4], const uint32_t (&word)[4], int)
    {
        for (int r = 0; r < 4; r++) a[r] = gpu::to_tf32(ex_float(word[r]));
    }
    static __device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t *b)
    {
        gpu::multiply_tf32(d, a, b);
    }
};

struct half_rows {
    enum { SIZE = 2, WEIGHT_SIZE = 2, STEPS_A_LOAD = 1, SCALED_ROWS = 0 };
    typedef uint16_t weight;
    static __device__ int64_t k_of(int64_t place) { return place; }
    static __device__ void fragment(uint32_t (&a)[4], const uint32_t (&word)[4], int)
    {
        for (int r = 0; r < 4; r++) a[r] = word[r];
    }
};

struct f16_rows : half_rows {
    enum { SCALED_WEIGHTS = 1 };
    static __device__ weight rounded(float w) { return ex_f32_to_f16(w); }
    static __device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t *b)
    {
        gpu::multiply_f16(d, a, b);
    }
};

struct bf16_rows : half_rows {
    enum { SCALED_WEIGHTS = 0 };
    static __device__ weight rounded(float w) { return ex_f32_to_bf16(w); }
    static __device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t *b)
    {
        gpu::multiply_bf16(d, a, b);
    }
};

/* 32 bytes are two steps of 16 k.  A word of a fragment holds four bytes, k = 4 t .. 4 t + 3, and becomes two words of
 * the multiplication, which calls them 2 t, 2 t + 1, 2 t + 8, 2 t + 9: the weights lie in that order. */
template <bool with_sign> struct byte_rows {
    enum { SIZE = 1, WEIGHT_SIZE = 2, STEPS_A_LOAD = 2, SCALED_WEIGHTS = 1, SCALED_ROWS = 1 };
    typedef uint16_t weight;
    static __device__ weight rounded(float w) { return ex_f32_to_f16(w); }
    static __device__ int64_t k_of(int64_t place)
    {
        int64_t p = place % 16;
        return place - p + p % 8 / 2 * 4 + p / 8 * 2 + p % 2;
    }
    /* Byte b as f16: 0x6400 + b is 1024 + b, exactly; a signed byte comes with its top bit turned, 128 too large. */
    static __device__ void fragment(uint32_t (&a)[4], const uint32_t (&word)[4], int step)
    {
        for (int r = 0; r < 2; r++) {
            uint32_t bytes = word[2 * step + r] ^ (with_sign ? 0x80808080u : 0),
                     less = with_sign ? 0x64806480u : 0x64006400u;
            a[r] = gpu::subtract_f16x2(__byte_perm(bytes, 0x64646464u, 0x4140), less);
            a[r + 2] = gpu::subtract_f16x2(__byte_perm(bytes, 0x64646464u, 0x4342), less);
        }
    }
    static __device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t *b)
    {
        gpu::multiply_f16(d, a, b);
    }
};

/* ---- a stage of the ring: rows [ROWS][PITCH bytes], then weights [CLASSES][CHUNK bytes] ------------------ */

template <class S, class T> struct stage {
    enum {
        PITCH = S::CHUNK * T::SIZE / T::WEIGHT_SIZE,
        ROW_BYTES = ROWS * PITCH,
        WEIGHT_BYTES = S::CLASSES * S::CHUNK,
        BYTES = ROW_BYTES + WEIGHT_BYTES,
        RING = S::STAGES * BYTES
    };
    static_assert(RING >= S::CLASS_WARPS * ROWS * (int)sizeof(ex_stat), "the ring holds the records at the end");
};

/* Where 16-byte piece `piece` of a row lies: exchanged within the row so that 8 rows' pieces of equal number, which
 * load_matrices reads at once, fall into different banks. */
template <int pitch> __device__ __forceinline__ int piece_at(int row, int piece)
{
    return row * pitch + (piece ^ row / (128 / pitch) % (pitch / 16)) * 16;
}

struct scan_job {
    sluice_view x;
    const char *weights; /* [tiles][chunks][WEIGHT_BYTES] */
    const float4 *head;  /* for two classes each: factor, bias, factor, bias */
    int64_t c, tiles, chunks;
    float inverse_temperature;
    scorer scores;
    sluice_view logits;
};

/* ---- weights, once a call ------------------------------------------------------------------------------- */

const int ARRANGE_THREADS = 512;

/* The power of two that brings `most` to [2^14, 2^15); at most 2^100, so that its inverse is a normal number. */
__device__ __forceinline__ float weight_scale(float most)
{
    uint32_t exponent = ex_bits(most) >> 23, field = 268 - exponent;
    return ex_float((field < 227 ? field : 227) << 23);
}

/* The largest magnitude of each of 16 classes, of [d][16]; the whole block calls. */
__device__ __forceinline__ float largest_weight(const float *w, int64_t d, float (*shared)[16])
{
    float most = 0.0f;
    int j = threadIdx.x % 16;
    for (int64_t k = threadIdx.x / 16; k < d; k += ARRANGE_THREADS / 16) {
        float size = ex_float(ex_bits(w[k * 16 + j]) & 0x7fffffffu);
        most = size > most ? size : most;
    }
    shared[threadIdx.x / 16][j] = most;
    __syncthreads(); /* all parts are there */
    for (int i = 0; i < ARRANGE_THREADS / 16; i++) most = shared[i][j] > most ? shared[i][j] : most;
    return most; /* thread j's is class j's */
}

/* grid padded classes / 16, block ARRANGE_THREADS.  packed [ceil(c / 16)][d][16], bias [c] or NULL -> job's weights and
 * head.  Places past d and classes past c get zeros. */
template <class S, class T>
__global__ static void arrange(const float *packed, const float *bias, int64_t c, int64_t d, int64_t chunks,
                               char *weights, float2 *head)
{
    __shared__ float parts[ARRANGE_THREADS / 16][16], scale[16];
    const int64_t j0 = (int64_t)blockIdx.x * 16, places = chunks * (S::CHUNK / T::WEIGHT_SIZE);
    const float *w = packed + j0 * d;
    const int64_t stored = j0 < c ? d : 0; /* past the last packed group nothing is read */
    float most = T::SCALED_WEIGHTS ? largest_weight(w, stored, parts) : 0.0f;
    if (threadIdx.x < 16) {
        int64_t j = j0 + threadIdx.x;
        float up = T::SCALED_WEIGHTS ? weight_scale(most) : 1.0f;
        scale[threadIdx.x] = up;
        head[j] = make_float2(1.0f / up, bias && j < c ? bias[j] : 0.0f);
    }
    __syncthreads(); /* scale is there */
    char *tile = weights + j0 / S::CLASSES * chunks * stage<S, T>::WEIGHT_BYTES;
    for (int64_t place = threadIdx.x; place < places; place += ARRANGE_THREADS) {
        int64_t byte = place * T::WEIGHT_SIZE, k = T::k_of(place);
        char *chunk = tile + byte / S::CHUNK * stage<S, T>::WEIGHT_BYTES;
        int piece = (int)(byte % S::CHUNK / 16), in_piece = (int)(byte % 16);
        for (int j = 0; j < 16; j++) {
            float v = k < stored ? w[k * 16 + j] * scale[j] : 0.0f;
            int at = piece_at<S::CHUNK>((int)(j0 % S::CLASSES) + j, piece) + in_piece;
            *(typename T::weight *)(chunk + at) = T::rounded(v);
        }
    }
}

/* ---- the ring is fed ------------------------------------------------------------------------------------ */

/* One thread's share of the copies, chunk after chunk, tile after tile. */
template <class S, class T> struct feed {
    typedef stage<S, T> G;
    enum {
        ROW_PIECES = G::PITCH / 16,            /* of a row */
        ROWS_A_TURN = S::THREADS / ROW_PIECES, /* rows that the block's threads copy at once */
        ROW_TURNS = ROWS / ROWS_A_TURN,
        WEIGHT_TURNS = G::WEIGHT_BYTES / 16 / S::THREADS
    };
    static_assert(ROWS_A_TURN % 8 == 0, "a thread's pieces lie alike in each turn");
    const char *row[ROW_TURNS];    /* piece of the row's first chunk */
    const char *weights;           /* piece of the next chunk */
    int64_t byte, rest, row_bytes; /* where the next chunk begins; from the first chunk's piece to the end; all */
    int64_t chunks;                /* left */
    char *ring;
    int at, row_place;

    /* Rows past the last repeat it; nothing of them is written. */
    __device__ __forceinline__ feed(const scan_job &job, int64_t first, char *ring) : byte(0), ring(ring), at(0)
    {
        int piece = threadIdx.x % ROW_PIECES, r = threadIdx.x / ROW_PIECES;
        row_place = piece_at<G::PITCH>(r, piece);
        row_bytes = job.x.cols * T::SIZE, rest = row_bytes - piece * 16;
        for (int i = 0; i < ROW_TURNS; i++) {
            int64_t n = first + r + i * ROWS_A_TURN;
            row[i] = view_row<const char>(job.x, n < job.x.rows ? n : job.x.rows - 1) + piece * 16;
        }
        weights = job.weights + threadIdx.x * 16;
        chunks = job.tiles * job.chunks;
    }

    /* Starts the copies of one more chunk, as one group; an empty group after the last, so that groups stay counted. */
    __device__ __forceinline__ void next()
    {
        if (chunks > 0) {
            char *to = ring + at * G::BYTES;
            int64_t left = rest - byte;
            int bytes = left >= 16 ? 16 : left > 0 ? (int)left : 0; /* past the row's end zeros, as in the weights */
            for (int i = 0; i < ROW_TURNS; i++)
                gpu::copy16_part_async(to + row_place + i * ROWS_A_TURN * G::PITCH, row[i] + byte, bytes);
            for (int i = 0; i < WEIGHT_TURNS; i++)
                gpu::copy16_async(to + G::ROW_BYTES + (threadIdx.x + i * S::THREADS) * 16,
                                  weights + i * S::THREADS * 16);
            weights += G::WEIGHT_BYTES;
            byte = byte + G::PITCH < row_bytes ? byte + G::PITCH : 0; /* the next tile begins anew */
            chunks--;
            at = at + 1 == S::STAGES ? 0 : at + 1;
        }
        gpu::copies_commit();
    }
};

/* ---- one chunk's products ------------------------------------------------------------------------------- */

template <class S> using products = float[S::ROW_TILES][S::CLASS_TILES][4];

template <class S> __device__ __forceinline__ int row_of_warp()
{
    return threadIdx.x / WARP / S::CLASS_WARPS * S::ROW_TILES * 16;
}
template <class S> __device__ __forceinline__ int class_of_warp()
{
    return threadIdx.x / WARP % S::CLASS_WARPS * S::CLASS_TILES * 8;
}

template <class S, class T> __device__ __forceinline__ void multiply_chunk(const char *rows, products<S> &acc)
{
    typedef stage<S, T> G;
    const int lane = threadIdx.x % WARP;
    /* Matrices of a row tile: rows 0-7, 8-15 of piece 0, then of piece 1; of two class tiles: both pieces of each. */
    const int a_at = piece_at<G::PITCH>(row_of_warp<S>() + lane % 16, lane / 16);
    const int b_at = piece_at<S::CHUNK>(class_of_warp<S>() + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    const char *weights = rows + G::ROW_BYTES;
    uint32_t word[S::ROW_TILES][4];
#pragma unroll
    for (int step = 0; step < S::STEPS; step++) {
        uint32_t a[S::ROW_TILES][4];
        /* Two pieces on is the piece number with a higher bit turned, and so is its place. */
        const int part = step % T::STEPS_A_LOAD, a_step = a_at ^ step / T::STEPS_A_LOAD * 32, b_step = b_at ^ step * 32;
#pragma unroll
        for (int i = 0; i < S::ROW_TILES; i++) {
            if (part == 0) gpu::load_matrices(word[i], rows + a_step + i * 16 * G::PITCH);
            T::fragment(a[i], word[i], part);
        }
#pragma unroll
        for (int j = 0; j < S::CLASS_TILES; j += 2) {
            uint32_t b[4];
            gpu::load_matrices(b, weights + b_step + j * 8 * S::CHUNK);
#pragma unroll
            for (int i = 0; i < S::ROW_TILES; i++) {
                T::multiply(acc[i][j], a[i], b);
                T::multiply(acc[i][j + 1], a[i], b + 2);
            }
        }
    }
}

/* ---- from logits to what is kept of a row ---------------------------------------------------------------- */

__device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }

__device__ __forceinline__ ex_stat no_stat()
{
    ex_stat st;
    st.z1 = st.z2 = -ex_inf(), st.s = st.t = 0.0f, st.best = NO_CLASS;
    return st;
}

/* The record of two sets of classes.  With d = low.z1 - top.z1 <= 0 the classes of low, its best among them, add
 * e^d (1 + S) to S and e^d (T + d (1 + S)) to T: no term changes sign.  A NaN in either S stays. */
__device__ __forceinline__ ex_stat joined(ex_stat a, ex_stat b)
{
    bool swap = (b.z1 > a.z1) | ((b.z1 == a.z1) & (b.best < a.best)); /* no branch: lanes differ */
    ex_stat top = swap ? b : a, low = swap ? a : b;
    float d = ex_gap(low.z1, top.z1), e = gpu::exp2_fast(d * LOG2E), all = 1.0f + low.s;
    top.z2 = larger(top.z2, low.z1);
    top.s = ex_fma(e, all, top.s);
    top.t = ex_fma(e, ex_fma(d, all, low.t), top.t);
    return top;
}

/* Of one thread's logits of a row, y[j][h] and y[j][h + 1], of classes c0 + 8 j and the next. */
template <class S> __device__ __forceinline__ ex_stat tile_stat(const float (&y)[S::CLASS_TILES][4], int h, int c0)
{
    ex_stat st = no_stat();
    float trap = 0.0f; /* NaN once a logit is not finite */
#pragma unroll
    for (int j = 0; j < S::CLASS_TILES; j++)
#pragma unroll
        for (int q = 0; q < 2; q++) {
            float v = y[j][h + q];
            trap = ex_fma(v, 0.0f, trap);
            bool first = v > st.z1;
            st.z2 = first ? st.z1 : larger(v, st.z2);
            st.z1 = first ? v : st.z1;
            st.best = first ? c0 + 8 * j + q : st.best;
        }
#pragma unroll
    for (int j = 0; j < S::CLASS_TILES; j++)
#pragma unroll
        for (int q = 0; q < 2; q++) {
            float d = ex_gap(y[j][h + q], st.z1), e = gpu::exp2_fast(d * LOG2E);
            e = c0 + 8 * j + q == st.best ? 0.0f : e;
            st.s += e;
            st.t = ex_fma(e, d, st.t);
        }
    st.s += trap;
    return st;
}

/* Row of the block that h = 2 i + r / 2 of acc[i][.][r] belongs to. */
template <class S> __device__ __forceinline__ int row_of(int h)
{
    return row_of_warp<S>() + h * 8 + threadIdx.x % WARP / 4;
}

__device__ __forceinline__ ex_stat shuffled(ex_stat st, int lanes)
{
    ex_stat o;
    o.z1 = __shfl_xor_sync(~0u, st.z1, lanes), o.z2 = __shfl_xor_sync(~0u, st.z2, lanes);
    o.s = __shfl_xor_sync(~0u, st.s, lanes), o.t = __shfl_xor_sync(~0u, st.t, lanes);
    o.best = __shfl_xor_sync(~0u, st.best, lanes);
    return o;
}

/* Two lanes hold a record of each of two rows: the one joins those of the first row, the other those of the second. */
__device__ __forceinline__ ex_stat join_lanes(ex_stat first, ex_stat second, int lanes)
{
    bool other = threadIdx.x & lanes;
    ex_stat kept = other ? second : first, given = other ? first : second;
    return joined(kept, shuffled(given, lanes));
}

/* Which of its 2 ROW_TILES rows a thread's record k is of, once the four lanes of a row have joined theirs. */
template <class S> __device__ __forceinline__ int kept_row(int k)
{
    return row_of<S>(k + (threadIdx.x & 1 ? S::ROW_TILES : 0) + (threadIdx.x & 2 ? S::ROW_TILES / 2 : 0));
}

/* Sums become logits: scaled, plus bias. */
template <class S, class T>
__device__ __forceinline__ void make_logits(const scan_job &job, int64_t first, int c0, products<S> &acc)
{
    float scale[2 * S::ROW_TILES];
#pragma unroll
    for (int h = 0; h < 2 * S::ROW_TILES; h++) {
        int64_t n = first + row_of<S>(h);
        scale[h] = T::SCALED_ROWS && job.x.scale && n < job.x.rows ? job.x.scale[n] : 1.0f;
    }
#pragma unroll
    for (int j = 0; j < S::CLASS_TILES; j++) {
        float4 head = job.head[(c0 + 8 * j) / 2];
#pragma unroll
        for (int i = 0; i < S::ROW_TILES; i++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                float product = acc[i][j][r] * (r % 2 ? head.z : head.x);
                acc[i][j][r] = ex_fma(product, scale[2 * i + r / 2], r % 2 ? head.w : head.y);
            }
    }
}

template <class S>
__device__ __forceinline__ void write_logits(const scan_job &job, int64_t first, int c0, const products<S> &z)
{
    const int classes = (int)job.c - c0;
#pragma unroll
    for (int h = 0; h < 2 * S::ROW_TILES; h++) {
        int64_t n = first + row_of<S>(h);
        if (n >= job.x.rows) continue; /* a row past the last */
        float *row = view_row<float>(job.logits, n) + c0;
#pragma unroll
        for (int j = 0; j < S::CLASS_TILES; j++)
            for (int q = 0; q < 2; q++)
                if (8 * j + q < classes) row[8 * j + q] = z[h / 2][j][h % 2 * 2 + q] + 0.0f;
    }
}

/* Logits are divided by the temperature; those of classes that are not there become so small that they add nothing. */
template <class S> __device__ __forceinline__ void make_scorable(const scan_job &job, int c0, products<S> &z)
{
    const int classes = (int)job.c - c0;
    float *y = &z[0][0][0];
    if (job.inverse_temperature != 1.0f)
#pragma unroll
        for (int i = 0; i < S::ROW_TILES * S::CLASS_TILES * 4; i++) y[i] *= job.inverse_temperature;
    if (classes < S::CLASS_TILES * 8)
#pragma unroll
        for (int i = 0; i < S::ROW_TILES * S::CLASS_TILES * 4; i++)
            if (i / 4 % S::CLASS_TILES * 8 + i % 2 >= classes) y[i] = -FLT_MAX; /* finite, for the trap below */
}

/* The tile's logits join the records of this thread's kept rows; kept_row() says which they are. */
template <class S> __device__ __forceinline__ void join_tile(int c0, const products<S> &y, ex_stat (&st)[S::KEPT_ROWS])
{
#pragma unroll
    for (int k = 0; k < S::KEPT_ROWS; k++) {
        ex_stat half[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int low = k + i * S::ROW_TILES / 2, high = low + S::ROW_TILES;
            ex_stat first = tile_stat<S>(y[low / 2], low % 2 * 2, c0),
                    second = tile_stat<S>(y[high / 2], high % 2 * 2, c0);
            half[i] = join_lanes(first, second, 1);
        }
        st[k] = joined(st[k], join_lanes(half[0], half[1], 2));
    }
}

/* Joins the records of the warps that share a row, and writes its scores. */
template <class S>
__device__ __forceinline__ void finish_rows(const scan_job &job, int64_t first, const ex_stat (&st)[S::KEPT_ROWS],
                                            ex_stat *shared)
{
    const int warp_column = threadIdx.x / WARP % S::CLASS_WARPS;
#pragma unroll
    for (int k = 0; k < S::KEPT_ROWS; k++) shared[warp_column * ROWS + kept_row<S>(k)] = st[k];
    __syncthreads();                                                      /* all records are there */
    if (threadIdx.x >= ROWS || first + threadIdx.x >= job.x.rows) return; /* no row, and no barrier follows */
    ex_stat all = shared[threadIdx.x];
    for (int w = 1; w < S::CLASS_WARPS; w++) all = joined(all, shared[w * ROWS + threadIdx.x]);
    scorer_write(job.scores, first + threadIdx.x, all.s == all.s ? all : ex_bad_stat());
}

/* grid ceil(n / ROWS), block S::THREADS, shared memory stage<S, T>::RING: 54, 48 or 96 KB, less for bytes. */
/* sass: kernel=scan_tiles<few registers<=128 local=0 hmma ldg128 */
/* sass: kernel=scan_tiles<some registers<=168 local=0 hmma ldg128 */
/* sass: kernel=scan_tiles<many registers<=255 local=0 hmma ldg128 */
template <class S, class T> __global__ static void __launch_bounds__(S::THREADS, S::BLOCKS) scan_tiles(scan_job job)
{
    GPU_DYNAMIC(char, ring);
    const int64_t first = (int64_t)blockIdx.x * ROWS;
    const int c0 = class_of_warp<S>() + threadIdx.x % 4 * 2;
    feed<S, T> in(job, first, ring);
    ex_stat st[S::KEPT_ROWS];
    products<S> acc;
    int at = 0;
#pragma unroll
    for (int k = 0; k < S::KEPT_ROWS; k++) st[k] = no_stat();
    for (int s = 0; s < S::STAGES - 1; s++) in.next();
    for (int64_t tile = 0; tile < job.tiles; tile++) {
#pragma unroll
        for (int i = 0; i < S::ROW_TILES * S::CLASS_TILES * 4; i++) (&acc[0][0][0])[i] = 0.0f;
#pragma unroll 1 /* two bodies would need registers that there are not */
        for (int64_t chunk = 0; chunk < job.chunks; chunk++) {
            gpu::copies_wait<S::STAGES - 2>();
            __syncthreads(); /* the chunk is here, whoever copied it; and all have read the stage that is filled next */
            in.next();
            multiply_chunk<S, T>(ring + at * stage<S, T>::BYTES, acc);
            at = at + 1 == S::STAGES ? 0 : at + 1;
        }
        const int from = (int)tile * S::CLASSES + c0;
        make_logits<S, T>(job, first, from, acc);
        if (job.logits.data) write_logits<S>(job, first, from, acc);
        make_scorable<S>(job, from, acc);
        join_tile<S>(from, acc, st);
    }
    gpu::copies_wait<0>();
    __syncthreads(); /* no stage is read or filled any more: the records may lie there */
    finish_rows<S>(job, first, st, (ex_stat *)ring);
}

/* ---- the op ---------------------------------------------------------------------------------------------- */

template <class S, class T> void scan_rows(op_run &r, scan_job job, const float *packed, const float *bias)
{
    typedef stage<S, T> G;
    const int64_t d = job.x.cols, classes = (job.c + S::CLASSES - 1) / S::CLASSES * S::CLASSES;
    job.tiles = classes / S::CLASSES;
    job.chunks = (d * T::SIZE + G::PITCH - 1) / G::PITCH;
    char *weights = r.scratch<char>(job.tiles * job.chunks * G::WEIGHT_BYTES);
    float2 *head = r.scratch<float2>(classes);
    if (!r.ok()) return;
    job.weights = weights, job.head = (const float4 *)head;
    r.check(cudaFuncSetAttribute(scan_tiles<S, T>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)G::RING));
    r.launch(arrange<S, T>, blocks(classes, 16), ARRANGE_THREADS, 0, packed, bias, job.c, d, job.chunks, weights, head);
    r.launch(scan_tiles<S, T>, blocks(job.x.rows, ROWS), S::THREADS, G::RING, job);
}

/* Tiles of 256 classes do half the loads of tiles of 64, unless they are padded by a third more. */
template <class T> void scan_type(op_run &r, const scan_job &job, const float *packed, const float *bias)
{
    int64_t by64 = (job.c + 63) / 64 * 64, by256 = (job.c + 255) / 256 * 256;
    if (job.c <= few::CLASSES) scan_rows<few, T>(r, job, packed, bias);
    else if (4 * by64 <= 3 * by256) scan_rows<some, T>(r, job, packed, bias);
    else scan_rows<many, T>(r, job, packed, bias);
}

} // namespace

sluice_status scan_fast(sluice_exec *x, const sluice_op_scan_args *a)
{
    op_run r(x, "scan, fast math");
    const float *packed = r.in(a->packed, (int64_t)sluice_packed_floats(a->c, a->x.cols));
    const float *bias = r.in(a->bias, a->c);
    scan_job job = {};
    job.x = r.in(a->x), job.c = a->c;
    job.inverse_temperature = 1.0f / a->temperature;
    job.scores = scorer_new(r, a->out, a->x.rows, a->c, a->temperature), job.logits = r.out(a->logits);
    if (!r.ok()) return r.end();
    switch (a->x.type) {
    case SLUICE_F16: scan_type<f16_rows>(r, job, packed, bias); break;
    case SLUICE_BF16: scan_type<bf16_rows>(r, job, packed, bias); break;
    case SLUICE_I8: scan_type<byte_rows<true>>(r, job, packed, bias); break;
    case SLUICE_U8: scan_type<byte_rows<false>>(r, job, packed, bias); break;
    default: scan_type<f32_rows>(r, job, packed, bias); break;
    }
    return r.end();
}
