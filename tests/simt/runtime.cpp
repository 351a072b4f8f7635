/* runtime.cpp - the CUDA runtime's entry points that sluice calls: devices, memory, copies, launches, errors. */
#include "emulator.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

using namespace simt;

static int current;

/* ---- errors ---- */

static cudaError_t last = cudaSuccess, explained = cudaSuccess;
static char explanation[1200];

cudaError_t simt::report(cudaError_t e, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(explanation, sizeof explanation, format, ap);
    va_end(ap);
    return last = explained = e;
}

/* A failed device answers every call with why it failed. */
static cudaError_t state_of(int number)
{
    const device &d = device_at(number);
    return d.failure.empty() ? cudaSuccess : report(cudaErrorLaunchFailure, "%s", d.failure.c_str());
}

extern "C" cudaError_t cudaGetLastError(void)
{
    cudaError_t e = last;
    last = cudaSuccess;
    return e;
}

extern "C" const char *cudaGetErrorString(cudaError_t e)
{
    if (e == explained && e != cudaSuccess) return explanation;
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorMemoryAllocation: return "out of memory";
    default: return "an error that the emulator has not met";
    }
}

/* ---- devices ---- */

extern "C" cudaError_t cudaGetDeviceCount(int *n) { return *n = device_count(), cudaSuccess; }

extern "C" cudaError_t cudaGetDevice(int *d) { return *d = current, cudaSuccess; }

extern "C" cudaError_t cudaSetDevice(int d)
{
    if (d < 0 || d >= device_count()) return report(cudaErrorInvalidDevice, "there is no device cuda:%d", d);
    current = d;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDriverGetVersion(int *v) { return *v = CUDART_VERSION, cudaSuccess; }

extern "C" cudaError_t cudaRuntimeGetVersion(int *v) { return *v = CUDART_VERSION, cudaSuccess; }

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all)
{
    *all = device_bytes();
    *free_bytes = *all - device_at(current).used;
    return state_of(current);
}

static int major_of(int d)
{
    const char *old = getenv("SLUICE_SIMT_OLD");
    return old && *old && atoi(old) == d ? 7 : 9;
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int d)
{
    if (d < 0 || d >= device_count()) return report(cudaErrorInvalidDevice, "there is no device cuda:%d", d);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated");
    p->major = major_of(d), p->multiProcessorCount = 4;
    p->totalGlobalMem = device_bytes();
    p->uuid.bytes[3] = (char)d;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int d)
{
    switch (a) {
    case cudaDevAttrMultiProcessorCount: *v = 4; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = MAX_SHARED; break;
    case cudaDevAttrL2CacheSize: *v = 1 << 16; break; /* small, so that what fits in it comes in several pieces */
    case cudaDevAttrComputeCapabilityMajor: *v = major_of(d); break;
    case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    default: return report(cudaErrorInvalidValue, "device attribute %d is not emulated", (int)a);
    }
    return cudaSuccess;
}

/* ---- memory ---- */

/* 1 where the n-th call from the variable's last change on is this one. */
static bool fails_now(setting &s, uint64_t n, uint64_t &calls)
{
    if (s.changed()) calls = 0;
    return s.set() && ++calls == n;
}

extern "C" cudaError_t cudaMalloc(void **p, size_t bytes)
{
    static setting s("SLUICE_SIMT_FAIL_MALLOC");
    static uint64_t calls;
    finish_device(current);
    if (state_of(current) != cudaSuccess) return last;
    const char *n = getenv("SLUICE_SIMT_FAIL_MALLOC");
    if (fails_now(s, n ? strtoull(n, nullptr, 10) : 0, calls))
        return report(cudaErrorMemoryAllocation, "out of memory, as SLUICE_SIMT_FAIL_MALLOC asks");
    *p = device_alloc(device_at(current), bytes);
    if (!*p)
        return report(cudaErrorMemoryAllocation, "out of memory: %zu bytes beside %zu in use of %zu", bytes,
                      device_at(current).used, device_bytes());
    return cudaSuccess;
}

extern "C" cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    int d = device_of(p);
    if (d >= 0) finish_device(d);
    return device_release(p) ? cudaSuccess : report(cudaErrorInvalidValue, "cudaFree of what is not allocated");
}

extern "C" cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned)
{
    finish_device(-1);
    if (pin(p, bytes)) return cudaSuccess;
    return report(cudaErrorHostMemoryAlreadyRegistered, "the memory is pinned already, or part of it");
}

extern "C" cudaError_t cudaHostUnregister(void *p)
{
    finish_device(-1);
    return unpin(p) ? cudaSuccess : report(cudaErrorHostMemoryNotRegistered, "the memory is not pinned");
}

/* ---- copies ---- */

static cudaError_t check_range(const void *p, size_t bytes, const char *what)
{
    extent a = allocation_of(p);
    if (a.holds((const char *)p, bytes)) return cudaSuccess;
    return report(cudaErrorInvalidValue, "%s of %zu bytes at byte %zu of the %zu that cuda:%d has allocated there",
                  what, bytes, a.p ? (size_t)((const char *)p - a.p) : 0, a.bytes, device_of(p));
}

struct rows {
    char *p;
    size_t pitch, width, height;
    size_t bytes() const { return height ? (height - 1) * pitch + width : 0; }
};

static void copy_rows(rows to, rows from)
{
    for (size_t i = 0; i < from.height; i++) memcpy(to.p + i * to.pitch, from.p + i * from.pitch, from.width);
}

static cudaError_t check_kind(cudaMemcpyKind kind, bool from_host, bool to_host)
{
    bool right = kind == cudaMemcpyDefault || (kind == cudaMemcpyHostToDevice && from_host && !to_host) ||
                 (kind == cudaMemcpyDeviceToHost && !from_host && to_host) ||
                 (kind == cudaMemcpyDeviceToDevice && !from_host && !to_host);
    if (right) return cudaSuccess;
    return report(cudaErrorInvalidValue, "a copy said to be of kind %d goes from %s to %s memory", (int)kind,
                  from_host ? "host" : "device", to_host ? "host" : "device");
}

static struct account {
    ~account()
    {
        const char *path = getenv("SLUICE_SIMT_COPIES");
        FILE *f = path && (stats.to_devices || stats.from_devices) ? fopen(path, "w") : nullptr;
        if (!f) return;
        fprintf(f, "%llu %llu\n", (unsigned long long)stats.to_devices, (unsigned long long)stats.from_devices);
        fclose(f);
    }
} at_the_end;

/* Pageable memory is read at the call, and written before it returns; pinned memory when the stream gets there. */
static cudaError_t copy(rows to, rows from, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (!from.bytes()) return cudaSuccess;
    int to_device = device_of(to.p), from_device = device_of(from.p);
    cudaError_t e = check_kind(kind, from_device < 0, to_device < 0);
    if (!e && to_device >= 0) e = check_range(to.p, to.bytes(), "a copy to");
    if (!e && from_device >= 0) e = check_range(from.p, from.bytes(), "a copy from");
    if (e) return e;
    if (from_device < 0) stats.to_devices += from.width * from.height;
    if (to_device < 0) stats.from_devices += to.width * to.height;
    uint64_t touched = (to_device >= 0 ? 1u << to_device : 0) | (from_device >= 0 ? 1u << from_device : 0);
    std::shared_ptr<std::vector<char>> snapshot;
    if (from_device < 0 && !pinned(from.p, from.bytes())) {
        snapshot = std::make_shared<std::vector<char>>(from.width * from.height);
        rows dense = { snapshot->data(), from.width, from.width, from.height };
        copy_rows(dense, from);
        from = dense;
    }
    auto work = [to, from, snapshot] { copy_rows(to, from); };
    e = enqueue_on(stream, "a copy", work, touched);
    if (e || to_device >= 0 || pinned(to.p, to.bytes())) return e;
    return cudaStreamSynchronize(stream);
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s)
{
    return copy({ (char *)to, bytes, bytes, 1 }, { (char *)from, bytes, bytes, 1 }, kind, s);
}

extern "C" cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                         size_t height, cudaMemcpyKind kind, cudaStream_t s)
{
    if (width > to_pitch || width > from_pitch)
        return report(cudaErrorInvalidPitchValue, "rows wider than their pitch");
    return copy({ (char *)to, to_pitch, width, height }, { (char *)from, from_pitch, width, height }, kind, s);
}

extern "C" cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    if (!bytes) return cudaSuccess;
    cudaError_t e = check_range(p, bytes, "cudaMemsetAsync");
    if (e) return e;
    auto work = [=] { memset(p, value, bytes); };
    return enqueue_on(s, "cudaMemsetAsync", work, 1u << device_of(p));
}

cudaError_t simt::copy_to_symbol(const void *symbol, const void *from, size_t bytes, size_t offset, cudaStream_t s)
{
    char *to = (char *)symbol + offset;
    range c = constants();
    if (!c.holds(to) || bytes > (size_t)(c.end - to)) return report(cudaErrorInvalidSymbol, "no such __constant__");
    int d = stream_device(s);
    if (d < 0) return cudaErrorInvalidResourceHandle;
    bool device_side = device_of(from) >= 0;
    if (device_side && check_range(from, bytes, "a copy from")) return last;
    std::shared_ptr<std::vector<char>> snapshot;
    if (!device_side && !pinned(from, bytes)) {
        snapshot = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + bytes);
        from = snapshot->data();
    }
    auto work = [=] {
        (void)snapshot;
        constants_of(device_at(d));
        memcpy(to, from, bytes);
    };
    return enqueue_on(s, "cudaMemcpyToSymbolAsync", work, device_side ? 1u << device_of(from) : 0);
}

cudaError_t simt::piece(const void *p, size_t bytes, cudaStream_t s)
{
    auto work = [=] { cut_piece(p, bytes); };
    return enqueue_on(s, "scratch", work, 0);
}

/* ---- kernels ---- */

static std::map<const void *, size_t> shared_allowed;

cudaError_t simt::set_max_shared(const void *kernel, int bytes)
{
    if (bytes < 0 || bytes > MAX_SHARED)
        return report(cudaErrorInvalidValue, "%d bytes of shared memory, %d is the most", bytes, (int)MAX_SHARED);
    shared_allowed[kernel] = (size_t)bytes;
    return cudaSuccess;
}

static cudaError_t check_launch(const kernel &k)
{
    dim3 g = k.grid, b = k.block;
    if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
        return report(cudaErrorInvalidConfiguration, "a grid of %u x %u x %u blocks", g.x, g.y, g.z);
    if (!b.x || !b.y || !b.z || b.z > 64 || (uint64_t)b.x * b.y > MAX_THREADS || b.x * b.y * b.z > MAX_THREADS)
        return report(cudaErrorInvalidConfiguration, "a block of %u x %u x %u threads", b.x, b.y, b.z);
    auto allowed = shared_allowed.find(k.address);
    if (k.shared > (allowed == shared_allowed.end() ? (size_t)PLAIN_SHARED : allowed->second))
        return report(cudaErrorInvalidValue, "%zu bytes of dynamic shared memory without cudaFuncSetAttribute",
                      k.shared);
    return cudaSuccess;
}

static bool launch_fails_now(device &d)
{
    static setting s("SLUICE_SIMT_FAIL_LAUNCH");
    if (s.changed())
        for (int i = 0; i < device_count(); i++) device_at(i).launches = 0;
    return s.set() && atoi(s.word().c_str()) == d.number && ++d.launches == s.number(1);
}

static void run_kernel(device &d, const kernel &k)
{
    if (launch_fails_now(d)) {
        d.failure = "the device fails, as SLUICE_SIMT_FAIL_LAUNCH asks";
        return;
    }
    constants_of(d);
    const char *why = run_grid(k);
    if (why) d.failure = why;
}

cudaError_t simt::launch(const kernel &k, cudaStream_t stream)
{
    cudaError_t e = check_launch(k);
    if (e) return e;
    int d = stream_device(stream);
    if (d < 0) return cudaErrorInvalidResourceHandle;
    if (d != current)
        return report(cudaErrorInvalidResourceHandle, "a launch on a stream of cuda:%d while cuda:%d is current", d,
                      current);
    auto work = [d, k] { run_kernel(device_at(d), k); };
    return enqueue_on(stream, "a launch", work, 0);
}
