/* cuda.cu - the plug-in libsluice_cuda.so: its table, devices, memory and streams, and how an op's arguments come to
 * the device (cuda.h).  One thread drives all devices. */
#include "cuda.h"
#include "libraries.h"

#include <mutex>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------------------------- */

namespace {

struct piece {
    const char *base;
    size_t bytes;
    int device;
    bool written;
    std::vector<char> mirror; /* what it holds, as long as one small copy from the host is all that was written */
};
enum { MIRROR_BYTES = 128 << 10 };
std::mutex pieces_lock;
std::vector<piece> pieces; /* all device memory in use: few, so that a search is short */
size_t device_bytes_limit;

size_t bytes_in_use(int device)
{
    size_t sum = 0;
    for (const piece &p : pieces)
        if (p.device == device) sum += p.bytes;
    return sum;
}

const char *device_name(int device, char text[288])
{
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, device) == cudaSuccess) snprintf(text, 288, "cuda:%d (%s)", device, p.name);
    else snprintf(text, 288, "cuda:%d", device);
    return text;
}

/* Device memory of the current device, registered; NULL and a recorded failure where there is none. */
void *piece_new(sluice_exec *x, size_t bytes, const char *what, sluice_status *st)
{
    void *p = nullptr;
    char name[288];
    std::lock_guard<std::mutex> guard(pieces_lock);
    size_t used = bytes_in_use(x->device);
    bool allowed = !device_bytes_limit || (bytes <= device_bytes_limit && used <= device_bytes_limit - bytes);
    cudaError_t e = allowed ? cudaMalloc(&p, bytes ? bytes : 1) : cudaErrorMemoryAllocation;
    if (e == cudaSuccess) {
        pieces.push_back({ (const char *)p, bytes ? bytes : 1, x->device, false, {} });
        return p;
    }
    (void)cudaGetLastError(); /* else the next launch would report it */
    if (e == cudaErrorMemoryAllocation)
        *st = x->fail(x, SLUICE_E_MEMORY, "%s: %s: no room for %zu bytes beside %zu in use%s",
                      device_name(x->device, name), what, bytes, used,
                      allowed ? "" : ", --device-mem-mib allows no more");
    else *st = x->fail(x, SLUICE_E_INTERNAL, "%s: %s: %s", device_name(x->device, name), what, cudaGetErrorString(e));
    return nullptr;
}

void piece_free(void *p)
{
    if (!p) return;
    std::lock_guard<std::mutex> guard(pieces_lock);
    for (size_t i = 0; i < pieces.size(); i++)
        if (pieces[i].base == p) {
            std::swap(pieces[i], pieces.back()), pieces.pop_back();
            break;
        }
    (void)cudaFree(p);
}

/* The piece that holds p, or NULL; under the lock. */
piece *piece_of(const void *p)
{
    for (piece &q : pieces)
        if ((const char *)p >= q.base && (const char *)p < q.base + q.bytes) return &q;
    return nullptr;
}

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

size_t row_bytes(const sluice_view &v)
{
    static const uint8_t size[] = { 4, 2, 2, 8, 1, 1 };
    return (size_t)v.cols * size[v.type];
}

} // namespace

bool cuda_owns(const void *p)
{
    std::lock_guard<std::mutex> guard(pieces_lock);
    return piece_of(p);
}

void cuda_written(const void *p, const void *host, size_t bytes)
{
    std::lock_guard<std::mutex> guard(pieces_lock);
    piece *q = piece_of(p);
    if (!q) return;
    bool whole = host && !q->written && p == q->base && bytes <= MIRROR_BYTES;
    q->mirror.assign((const char *)host, (const char *)host + (whole ? bytes : 0));
    q->written = true;
}

const void *cuda_mirror(const void *p, size_t bytes)
{
    std::lock_guard<std::mutex> guard(pieces_lock);
    const piece *q = piece_of(p);
    return q && p == q->base && bytes <= q->mirror.size() ? q->mirror.data() : nullptr;
}

/* ---- one run of an op --------------------------------------------------------------------------------- */

op_run::op_run(sluice_exec *x, const char *name)
    : x(x), lane((cuda_lane *)x->state), name(name), callers_device(0), status(SLUICE_OK), host_side(false)
{
    check(cudaGetDevice(&callers_device));
    check(cudaSetDevice(lane->device));
    std::vector<cuda_block> &s = lane->scratch;
    if (s.size() > 1) { /* the last op outgrew its block: one that would have held it all */
        size_t all = 0;
        for (cuda_block &b : s) all += b.bytes, piece_free(b.base);
        s.clear();
        take(all);
    }
    for (cuda_block &b : s) b.used = 0;
}

op_run::~op_run() { (void)cudaSetDevice(callers_device); }

void op_run::check(cudaError_t e)
{
    char text[288];
    if (e == cudaSuccess || status) return;
    (void)cudaGetLastError();
    status = x->fail(x, SLUICE_E_INTERNAL, "%s: %s: %s", device_name(lane->device, text), name, cudaGetErrorString(e));
}

sluice_status op_run::fail(sluice_status st, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (status == SLUICE_OK) status = x->fail(x, st, "%s: %s", name, text);
    return status;
}

void *op_run::take(size_t bytes)
{
    size_t all = rounded((bytes ? bytes : 1) + gpu::PIECE_GAP, 256);
    char *p = nullptr;
    if (status) return nullptr;
    for (cuda_block &b : lane->scratch)
        if (!p && all <= b.bytes - b.used) p = b.base + b.used, b.used += all;
    if (!p && (p = (char *)piece_new(x, all, name, &status))) lane->scratch.push_back({ p, all, all });
    if (p) check(gpu::piece(p, bytes, lane->stream));
    return p;
}

/* Rows from one pitch to another on the device, a word of 4, 2 or 1 bytes a thread. */
template <class T>
__global__ static void repack(char *to, size_t to_stride, const char *from, size_t from_stride, int64_t rows,
                              int64_t words)
{
    int64_t t = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, i = t / words, j = t % words;
    if (i < rows) ((T *)(to + (size_t)i * to_stride))[j] = ((const T *)(from + (size_t)i * from_stride))[j];
}

void op_run::copy_rows(const sluice_view &to, const sluice_view &from, cudaMemcpyKind kind)
{
    size_t bytes = row_bytes(from), rows = (size_t)from.rows;
    if (status || !bytes || !rows) return;
    if (kind != cudaMemcpyDeviceToDevice) {
        if (to.stride == bytes && from.stride == bytes)
            check(cudaMemcpyAsync(to.data, from.data, rows * bytes, kind, lane->stream));
        else check(cudaMemcpy2DAsync(to.data, to.stride, from.data, from.stride, bytes, rows, kind, lane->stream));
        return;
    }
    size_t all = (size_t)to.data | (size_t)from.data | to.stride | from.stride | bytes;
    char *t = (char *)to.data;
    const char *f = (const char *)from.data;
    if (all % 4 == 0)
        launch(repack<uint32_t>, blocks((int64_t)(rows * bytes / 4), 256), 256, 0, t, to.stride, f, from.stride,
               from.rows, (int64_t)(bytes / 4));
    else
        launch(repack<uint8_t>, blocks((int64_t)(rows * bytes), 256), 256, 0, t, to.stride, f, from.stride, from.rows,
               (int64_t)bytes);
}

/* Where hold() put what lies at p in host memory: one row or a part of it, or rows `stride` apart; NULL where it did
 * not. */
const char *op_run::held(const void *p, size_t bytes, size_t stride, bool out)
{
    for (const cuda_rows &h : lane->held) {
        const char *base = (const char *)h.host.data;
        size_t pitch = h.host.stride, all = (size_t)h.host.rows * pitch;
        if ((const char *)p < base || (const char *)p >= base + all) continue;
        size_t at = (size_t)((const char *)p - base), column = at % pitch;
        if (out) fail(SLUICE_E_INTERNAL, "an output lies in rows that are held");
        if (bytes > all - at || (stride ? stride != pitch || column : column + bytes > pitch)) return nullptr;
        return (const char *)h.device.data + at / pitch * h.device.stride + column;
    }
    return nullptr;
}

/* Rows that are dense in host memory cross in one piece and are spread out on the device: a 2-d copy is slow for short
 * rows. */
sluice_view op_run::stage(const sluice_view &v, bool in, bool out)
{
    sluice_view d = v;
    size_t bytes = row_bytes(v);
    if (!v.data) return d;
    d.scale = v.scale ? (const float *)stage((void *)(uintptr_t)v.scale, v.rows, sizeof(float), true, false) : nullptr;
    if (const char *p = held(v.data, v.rows ? (size_t)(v.rows - 1) * v.stride + bytes : 0, v.stride, out)) {
        d.data = (void *)(uintptr_t)p, d.stride = rounded(v.stride, 16);
        return d;
    }
    bool owned = cuda_owns(v.data);
    if (owned && out) cuda_written(v.data);
    if (owned && (out || ((size_t)v.data % 16 == 0 && (v.stride % 16 == 0 || v.rows <= 1)))) return d;
    d.stride = rounded(bytes ? bytes : 1, 16);
    d.data = take(d.stride * (size_t)(v.rows ? v.rows : 1));
    if (status) return d;
    host_side |= !owned;
    if (in && owned) copy_rows(d, v, cudaMemcpyDeviceToDevice);
    else if (in && v.stride == bytes && d.stride != bytes && v.rows > 1) {
        sluice_view dense = v;
        dense.data = take(bytes * (size_t)v.rows);
        copy_rows(dense, v, cudaMemcpyHostToDevice);
        copy_rows(d, dense, cudaMemcpyDeviceToDevice);
    } else if (in) copy_rows(d, v, cudaMemcpyHostToDevice);
    if (out) outputs.push_back({ v, d });
    return d;
}

void *op_run::stage(void *p, int64_t n, size_t size, bool in, bool out)
{
    bool owned = cuda_owns(p);
    if (owned && out) cuda_written(p);
    if (!p || owned) return p;
    if (const char *there = held(p, (size_t)n * size, 0, out)) return (void *)(uintptr_t)there;
    sluice_view host = { p, 1, n * (int64_t)size, (size_t)n * size, SLUICE_U8, nullptr }, device = host;
    device.data = take(host.stride);
    if (status) return nullptr;
    host_side = true;
    if (in) copy_rows(device, host, cudaMemcpyHostToDevice);
    if (out) outputs.push_back({ host, device });
    return device.data;
}

void op_run::wait() { check(cudaStreamSynchronize(lane->stream)); }

sluice_status op_run::end()
{
    for (const output &o : outputs) copy_rows(o.host, o.device, cudaMemcpyDeviceToHost);
    outputs.clear();
    if (status || (host_side && !x->deferred)) {
        cudaError_t e = cudaStreamSynchronize(lane->stream);
        check(e);
    }
    return status;
}

/* ---- the table's memory calls -------------------------------------------------------------------------- */

namespace {

sluice_status exec_open(sluice_exec *x)
{
    cuda_lane *lane = new cuda_lane{ x->device, nullptr, {}, {} };
    x->state = lane;
    op_run r(x, "opening a stream");
    r.check(cudaStreamCreateWithFlags(&lane->stream, cudaStreamNonBlocking));
    return r.end();
}

void exec_close(sluice_exec *x)
{
    cuda_lane *lane = (cuda_lane *)x->state;
    if (!lane) return;
    {
        op_run r(x, "closing a stream");
        if (lane->stream) {
            (void)cudaStreamSynchronize(lane->stream);
            libraries_close(lane);
            (void)cudaStreamDestroy(lane->stream);
        }
        for (cuda_block &b : lane->scratch) piece_free(b.base);
        for (cuda_rows &h : lane->held) piece_free(h.device.data);
        lane->scratch.clear();
    }
    delete lane;
    x->state = nullptr;
}

sluice_status alloc(sluice_exec *x, size_t bytes, void **out_p)
{
    op_run r(x, "device memory");
    sluice_status st = SLUICE_OK;
    void *p = r.ok() ? piece_new(x, bytes, "device memory", &st) : nullptr;
    if (p) *out_p = p;
    return st ? st : r.end();
}

int owns(const void *p) { return cuda_owns(p); }

void release(sluice_exec *x, void *p)
{
    op_run r(x, "device memory");
    piece_free(p);
}

sluice_status copy(sluice_exec *x, void *to, const void *from, size_t bytes)
{
    op_run r(x, "copy");
    if (!bytes) return r.end();
    cuda_written(to, cuda_owns(from) ? nullptr : from, bytes);
    r.check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, r.stream()));
    if (!x->deferred && !(cuda_owns(to) && cuda_owns(from))) r.wait();
    return r.end();
}

sluice_status wait(sluice_exec *x)
{
    op_run r(x, "waiting");
    r.wait();
    return r.end();
}

int idle(sluice_exec *x) { return cudaStreamQuery(((cuda_lane *)x->state)->stream) != cudaErrorNotReady; }

sluice_status pin(sluice_exec *x, void *p, size_t bytes)
{
    op_run r(x, "pinning host memory");
    r.check(cudaHostRegister(p, bytes, cudaHostRegisterPortable));
    return r.end();
}

void unpin(sluice_exec *x, void *p)
{
    op_run r(x, "unpinning host memory");
    (void)cudaHostUnregister(p);
}

sluice_status hold(sluice_exec *x, const sluice_view *rows)
{
    op_run r(x, "rows to hold");
    cuda_rows h = { *rows, *rows };
    for (const cuda_rows &known : r.lane->held)
        if (known.host.data == rows->data) return r.end();
    sluice_status st = SLUICE_OK;
    h.device.stride = rounded(rows->stride, 16);
    h.device.data = r.ok() ? piece_new(x, h.device.stride * (size_t)rows->rows, "rows to hold", &st) : nullptr;
    if (st || !r.ok()) return st ? st : r.end();
    r.copy_rows(h.device, h.host, cudaMemcpyHostToDevice);
    r.wait();
    if (r.ok()) r.lane->held.push_back(h);
    else piece_free(h.device.data);
    return r.end();
}

void drop(sluice_exec *x, const void *data)
{
    op_run r(x, "rows held");
    std::vector<cuda_rows> &held = r.lane->held;
    for (size_t i = 0; i < held.size(); i++)
        if (held[i].host.data == data) {
            piece_free(held[i].device.data); /* waits for the device */
            held.erase(held.begin() + (long)i);
            return;
        }
}

void describe(int device, char *text, size_t bytes)
{
    cudaDeviceProp p;
    int driver = 0, runtime = 0;
    char libraries[1024];
    (void)cudaDriverGetVersion(&driver), (void)cudaRuntimeGetVersion(&runtime);
    libraries_describe(libraries, sizeof libraries);
    unsigned char id[4] = {}; /* of the card or its part, as nvidia-smi -L shows it */
    bool answers = cudaGetDeviceProperties(&p, device) == cudaSuccess;
    if (answers) memcpy(id, &p.uuid, sizeof id);
    if (!answers) snprintf(text, bytes, "cuda:%d does not answer", device);
    else
        snprintf(text, bytes,
                 "%s, GPU-%02x%02x%02x%02x, %zu MiB, compute capability %d.%d, %d multiprocessors, "
                 "driver for CUDA %d.%d, built with %d.%d, %s",
                 p.name, id[0], id[1], id[2], id[3], p.totalGlobalMem >> 20, p.major, p.minor, p.multiProcessorCount,
                 driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, libraries);
}

#ifdef __CUDA_ARCH_LIST__
constexpr int built_for[] = { __CUDA_ARCH_LIST__ }; /* 800, 900, ...: of the last also PTX, for all that come later */
#else
constexpr int built_for[] = { 800 };
#endif

/* Machine code runs on its own major version from its minor version on.  Asked without a context, which takes a device a
 * quarter of a second. */
int usable(int device, char *why, size_t bytes)
{
    int major = 0, minor = 0;
    cudaError_t e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (e == cudaSuccess) e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (e != cudaSuccess) {
        snprintf(why, bytes, "%s", cudaGetErrorString(e));
        return 0;
    }
    int mine = 100 * major + 10 * minor, last = 0;
    for (int arch : built_for) {
        if (arch / 100 == major && arch <= mine) return 1;
        last = arch;
    }
    if (mine >= last) return 1;
    snprintf(why, bytes, "the plug-in has no code for compute capability %d.%d, the least is %d.%d", major, minor,
             built_for[0] / 100, built_for[0] / 10 % 10);
    return 0;
}

size_t memory(int device)
{
    size_t free_bytes = 0, all = 0;
    int callers = 0;
    (void)cudaGetDevice(&callers), (void)cudaSetDevice(device);
    if (cudaMemGetInfo(&free_bytes, &all) != cudaSuccess) free_bytes = 0;
    (void)cudaSetDevice(callers);
    if (device_bytes_limit && free_bytes > device_bytes_limit) free_bytes = device_bytes_limit;
    return free_bytes;
}

} // namespace

extern "C" __attribute__((visibility("default"))) sluice_status
sluice_backend_open(const sluice_host *host, sluice_backend *out, char *why, size_t why_bytes);

sluice_status sluice_backend_open(const sluice_host *host, sluice_backend *out, char *why, size_t why_bytes)
{
    if (host->abi != sluice_backend_abi()) {
        snprintf(why, why_bytes, "the plug-in belongs to another version of sluice");
        return SLUICE_E_UNSUPPORTED;
    }
    device_bytes_limit = host->device_bytes;
    int devices = 0;
    cudaError_t e = cudaGetDeviceCount(&devices);
    if (e != cudaSuccess || devices == 0) {
        snprintf(why, why_bytes, "%s", e == cudaSuccess ? "there is no GPU" : cudaGetErrorString(e));
        return SLUICE_E_UNSUPPORTED;
    }
    *out = sluice_backend{};
    out->abi = sluice_backend_abi(), out->name = "cuda", out->devices = devices;
#define OP(name, line) out->op.name = cuda_op_##name;
#include "sluice_ops.def"
#undef OP
    out->exec_open = exec_open, out->exec_close = exec_close;
    out->alloc = alloc, out->release = release, out->owns = owns, out->copy = copy, out->wait = wait, out->idle = idle;
    out->pin = pin, out->unpin = unpin, out->hold = hold, out->drop = drop;
    out->describe = describe, out->memory = memory;
    out->usable = usable;
    out->broadcast = cuda_broadcast, out->gather = cuda_gather;
    return SLUICE_OK;
}
