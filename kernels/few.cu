/* few.cu - rows times packed weights for at most 16 classes, with the scores, on a GPU.  Twin: few.c.
 *
 * A thread owns ROWS whole rows and all classes: each sum is one chain in a register.  Rows cross to shared memory in
 * chunks of 128 bytes, STAGES - 1 of them ahead, at a pitch of 144 bytes so that 16-byte reads of 8 neighbouring
 * threads meet no bank twice.  Weights are operands from the constant bank.  Logits never leave the registers unless
 * asked for.  What bounds it on which card: docs/gpu.md.
 *
 * The bank holds BANK weights.  Where d * c is more, k goes through it in slices and the sums rest in scratch between
 * them; each is one chain all the same. */
#include "linear.cuh"
#include "widen.cuh"

#include <mutex>
#include <string.h>

namespace {

enum { BANK = 16384, THREADS = 64, ROWS = 2, BLOCK_ROWS = THREADS * ROWS, STAGES = 3, CHUNK = 128, PITCH = CHUNK + 16 };
enum { STAGE_BYTES = BLOCK_ROWS * PITCH, SHARED = STAGES * STAGE_BYTES };

__constant__ float bank[BANK]; /* [d][C], C the even number that holds c */

struct few_job {
    sluice_view x; /* the slice's columns */
    const float *bias;
    int c;
    const float *from; /* sums [n][C] so far, NULL: begin */
    float *to;         /* sums [n][C] to go on from, NULL: finish */
    int relu, scored;
    sluice_view out;
    scorer scores;
};

/* ---- the sums --------------------------------------------------------------------------------------- */

/* Adds a piece of each row, features k and on. */
template <class T, int C>
__device__ __forceinline__ void add_piece(const char *const (&p)[ROWS], int k, float (&sum)[ROWS][C])
{
    float x[ROWS][piece<T>];
#pragma unroll
    for (int r = 0; r < ROWS; r++) widen<T>(p[r], x[r]);
#pragma unroll
    for (int i = 0; i < piece<T>; i++)
#pragma unroll
        for (int j = 0; j < C; j++) {
            float w = bank[(k + i) * C + j];
#pragma unroll
            for (int r = 0; r < ROWS; r++) sum[r][j] = ex_fma(x[r][i], w, sum[r][j]);
        }
}

/* Adds `chunks` whole chunks of BLOCK_ROWS rows through the ring. */
template <class T, int C>
__device__ __forceinline__ void add_chunks(const sluice_view &x, int64_t first, int chunks, float (&sum)[ROWS][C])
{
    enum { EACH = CHUNK / 16, APART = THREADS / EACH, UNROLL = 32 / piece<T> };
    GPU_DYNAMIC(char, ring);
    /* This thread copies one piece of rows lane, lane + APART, ...; a step of 32 bits is one multiply-add an address. */
    int lane = threadIdx.x / EACH;
    const char *from = view_row<const char>(x, first + lane) + threadIdx.x % EACH * 16;
    char *to = ring + lane * PITCH + threadIdx.x % EACH * 16;
    uint32_t step = (uint32_t)(x.stride / 16);
    auto fetch = [&](int stage) {
#pragma unroll
        for (int u = 0; u < BLOCK_ROWS / APART; u++)
            gpu::copy16_async(to + stage * STAGE_BYTES + u * APART * PITCH, from + (uint64_t)step * (16u * APART * u));
        from += CHUNK;
    };
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < chunks) fetch(s);
        gpu::copies_commit();
    }
    for (int i = 0, stage = 0; i < chunks; i++) {
        gpu::copies_wait<STAGES - 2>();
        __syncthreads(); /* chunk i is here for all, and all are done with the stage fetched next */
        int next = stage ? stage - 1 : STAGES - 1;
        if (i + STAGES - 1 < chunks) fetch(next);
        gpu::copies_commit(); /* an empty group at the end keeps the count of groups */
        const char *mine = ring + stage * STAGE_BYTES + threadIdx.x * PITCH;
#pragma unroll UNROLL
        for (int q = 0; q < EACH; q++) {
            const char *p[ROWS] = { mine + 16 * q, mine + THREADS * PITCH + 16 * q };
            add_piece<T, C>(p, (i * EACH + q) * piece<T>, sum);
        }
        stage = stage + 1 < STAGES ? stage + 1 : 0;
    }
}

/* Adds features k .. d-1 of this thread's rows from where they lie.  Rows past the last repeat it. */
template <class T, int C>
__device__ __forceinline__ void add_tail(const sluice_view &x, const int64_t (&row)[ROWS], int k, float (&sum)[ROWS][C])
{
    int d = (int)x.cols;
    const T *p[ROWS];
    for (int r = 0; r < ROWS; r++) p[r] = view_row<const T>(x, row[r] < x.rows ? row[r] : x.rows - 1);
#pragma unroll 1
    for (; k + piece<T> <= d; k += piece<T>) {
        const char *q[ROWS] = { (const char *)(p[0] + k), (const char *)(p[1] + k) };
        add_piece<T, C>(q, k, sum);
    }
#pragma unroll 1
    for (; k < d; k++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float x1 = widen_one(p[r] + k);
#pragma unroll
            for (int j = 0; j < C; j++) sum[r][j] = ex_fma(x1, bank[k * C + j], sum[r][j]);
        }
}

/* ---- before and after ------------------------------------------------------------------------------- */

template <class T, int C> __device__ __forceinline__ void begin(const few_job &w, int64_t row, float (&sum)[C])
{
#pragma unroll
    for (int j = 0; j < C; j++) {
        sum[j] = !is_integer<T> && w.bias && j < w.c ? w.bias[j] : 0.0f;
        if (w.from && row < w.x.rows) sum[j] = w.from[row * C + j];
    }
}

/* The sums of a row, to go on from; or its logits and scores. */
template <class T, int C> __device__ __forceinline__ void leave(const few_job &w, int64_t row, float (&z)[C])
{
    if (w.to) {
        for (int j = 0; j < C; j++) w.to[row * C + j] = z[j];
        return;
    }
    float scale = is_integer<T> && w.x.scale ? w.x.scale[row] : 1.0f;
#pragma unroll
    for (int j = 0; j < C; j++) {
        if (is_integer<T>) z[j] = ex_fma(scale, z[j], w.bias && j < w.c ? w.bias[j] : 0.0f);
        z[j] = linear_stored(z[j], w.relu);
    }
    if (w.scored) scorer_write(w.scores, row, reduce::few<C>(z, w.c, w.scores.temperature));
    if (!w.out.data) return;
    float *out = view_row<float>(w.out, row);
#pragma unroll
    for (int j = 0; j < C; j++)
        if (j < C - 1 || w.c == C) out[j] = z[j];
}

/* grid ceil(n / BLOCK_ROWS), block THREADS, SHARED bytes: 54 KiB, so that 4 blocks, 2 warps for each of 4 schedulers,
 * are on a multiprocessor of 228.  Thread t owns rows t and THREADS + t of the block; c is C or C - 1.  The last block
 * steps back to end with the last row, and writes only its own; fewer rows than a block, or rows 64 GiB apart, do
 * without the ring. */
/* sass: kernel=few_rows registers<=128 local=0 ldg128 */
/* sass: kernel=few_rows<float,1 ffma>=70% */
/* sass: kernel=few_rows<__half,1 ffma>=72% */
/* sass: kernel=few_rows<__nv_bfloat16,1 ffma>=72% */
/* sass: kernel=few_rows<signedchar,1 ffma>=66% */
/* sass: kernel=few_rows<unsignedchar,1 ffma>=66% */
template <class T, int C> __global__ void __launch_bounds__(THREADS, 4) few_rows(few_job w)
{
    const sluice_view &x = w.x;
    int64_t own = (int64_t)blockIdx.x * BLOCK_ROWS, last = x.rows - BLOCK_ROWS;
    bool ring = last >= 0 && x.stride >> 36 == 0;
    int64_t first = ring && own > last ? last : own, row[ROWS] = { first + threadIdx.x, first + THREADS + threadIdx.x };
    int chunks = ring ? (int)((size_t)x.cols * sizeof(T) / CHUNK) : 0;
    float sum[ROWS][C];
    for (int r = 0; r < ROWS; r++) begin<T>(w, row[r], sum[r]);
    add_chunks<T>(x, first, chunks, sum);
    add_tail<T>(x, row, chunks * (CHUNK / (int)sizeof(T)), sum);
#pragma unroll 1 /* row by row through the same registers: half the code */
    for (int r = 0; r < ROWS; r++) {
        int64_t i = first + r * THREADS + threadIdx.x;
        if (i >= own && i < x.rows) leave<T>(w, i, sum[0]);
        for (int j = 0; j < C; j++) sum[0][j] = sum[1][j];
    }
}

/* ---- the constant bank ------------------------------------------------------------------------------ */

/* grid ceil(d C / 256), block 256.  packed [d][16] into [d][C]. */
__global__ void narrow(const float *packed, int C, int64_t floats, float *out)
{
    int64_t t = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (t < floats) out[t] = packed[t / C * 16 + t % C];
}

/* A device's bank: kernels of several streams read it, so that a writer waits for all who read, and a reader for the
 * last writer.  Weights that the host knows are remembered: written once, they serve all blocks of a scan. */
struct bank_state {
    enum { STREAMS = 8 };
    struct {
        cudaStream_t stream;
        cudaEvent_t done;
    } readers[STREAMS];
    int turn; /* the reader whose place goes to the next stream without one */
    cudaEvent_t written;
    std::vector<float> held; /* what was written last, packed; empty: unknown */
    int C;
};
std::mutex banks_lock; /* held from the write to the launch that reads it */

bank_state &bank_of(int device)
{
    static std::vector<bank_state> banks(64);
    if ((size_t)device >= banks.size()) banks.resize((size_t)device + 1);
    return banks[(size_t)device];
}

void event_record(op_run &r, cudaEvent_t &e)
{
    if (!e) r.check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    r.check(cudaEventRecord(e, r.stream()));
}

void event_wait(op_run &r, cudaEvent_t e)
{
    if (e) r.check(cudaStreamWaitEvent(r.stream(), e, 0));
}

/* Weights [d][16], of either side, into the bank on r's stream. */
void bank_write(op_run &r, bank_state &b, const float *packed, int64_t d, int C)
{
    size_t floats = (size_t)(16 * d), bytes = (size_t)(d * C) * sizeof(float);
    const float *known = cuda_owns(packed) ? (const float *)cuda_mirror(packed, floats * sizeof(float)) : packed;
    event_wait(r, b.written);
    if (known && b.C == C && b.held.size() == floats && !memcmp(b.held.data(), known, floats * sizeof(float))) return;
    b.held.clear();
    const float *staged = r.in(packed, (int64_t)floats);
    float *narrowed = r.scratch<float>(d * C);
    r.launch(narrow, blocks(d * C, 256), 256, 0, staged, C, d * C, narrowed);
    for (auto &e : b.readers) event_wait(r, e.done);
    if (r.ok()) r.check(cudaMemcpyToSymbolAsync(bank, narrowed, bytes, 0, cudaMemcpyDeviceToDevice, r.stream()));
    event_record(r, b.written);
    if (known && r.ok()) b.held.assign(known, known + floats), b.C = C;
}

/* r's stream has launched what reads the bank.  A stream that takes another's place waits for it first, so that one
 * event tells of both. */
void bank_read(op_run &r, bank_state &b)
{
    int i = 0;
    while (i < bank_state::STREAMS && b.readers[i].stream != r.stream()) i++;
    if (i == bank_state::STREAMS) {
        i = b.turn, b.turn = (b.turn + 1) % bank_state::STREAMS;
        event_wait(r, b.readers[i].done);
        b.readers[i].stream = r.stream();
    }
    event_record(r, b.readers[i].done);
}

/* ---- launches --------------------------------------------------------------------------------------- */

void launch(op_run &r, const few_job &w)
{
    with_type(w.x.type, [&](auto value) {
        with_classes(w.c, [&](auto classes) {
            auto kernel = few_rows<decltype(value), decltype(classes)::value>;
            r.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED));
            r.launch(kernel, blocks(w.x.rows, BLOCK_ROWS), THREADS, SHARED, w);
        });
    });
}

/* Columns k .. k+d-1. */
sluice_view columns(sluice_view x, int64_t k, int64_t d)
{
    size_t size = x.type == SLUICE_F32 ? 4 : x.type == SLUICE_I8 || x.type == SLUICE_U8 ? 1 : 2;
    x.data = (char *)x.data + (size_t)k * size, x.cols = d;
    return x;
}

} // namespace

void few_classes(op_run &r, const linear &p)
{
    int C = (int)(p.c + 1) / 2 * 2;
    int64_t d = p.x.cols, most = BANK / C / CHUNK * CHUNK, rest = d > most ? p.x.rows * C : 0;
    float *sums = rest ? r.scratch<float>(rest) : nullptr;
    std::lock_guard<std::mutex> guard(banks_lock);
    bank_state &b = bank_of(r.x->device);
    for (int64_t k = 0; k == 0 || k < d; k += most) {
        int64_t n = d - k < most ? d - k : most;
        if (n) bank_write(r, b, p.packed + 16 * k, n, C);
        launch(r, { columns(p.x, k, n), p.bias, (int)p.c, k ? sums : nullptr, k + n < d ? sums : nullptr, p.relu,
                    p.scored, p.out, p.scores });
        bank_read(r, b);
    }
}
