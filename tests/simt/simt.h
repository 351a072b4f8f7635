/* simt.h - CUDA kernels' own source on the CPU: a fiber per CUDA thread, one block at a time, several devices.
 *
 * A .cu compiled by `g++ -x c++ -DSLUICE_SIMT -isystem CUDA/include` finds here what nvcc would know, and links the
 * emulator instead of the CUDA runtime.  The toolkit's headers give the types alone.  What sluice does not call is not
 * emulated: a call that is missing is an error of the compiler or linker, and is added then.  This file is the device's side, what kernels say:
 *
 *   fiber.cpp    stacks and the switch between them            memory.cpp   devices: arenas, pinned ranges, constants
 *   block.cpp    threads of a block: barriers, warps, cp.async stream.cpp   streams, events, in which order they run
 *   trace.cpp    races and bounds, in the traced build         runtime.cpp  the CUDA runtime's entry points
 *
 * What is wrong on some GPU shall fail here.  Shared memory and new device memory hold 0xFF; a device's memory cannot be
 * touched but by its own kernels and copies; the default stream, and waiting for an event never recorded, are errors.
 * A failed kernel's reason, with block, thread and line, is cudaGetErrorString's answer.
 *
 * Read anew whenever they change:
 *   SLUICE_SIMT_DEVICES=N        devices [1]; read once
 *   SLUICE_SIMT_MEM_MIB=N        memory of each [2048]; read once
 *   SLUICE_SIMT_SCHEDULE=S       when what is queued on streams runs [late]
 *       host                     at the call
 *       late                     when somebody waits for it, and no more than he waits for
 *       stream[:K]               at any wait: all that can run of the K-th stream, of the next, ... [0]
 *       shuffle[:SEED]           at waits and at random calls: one operation of a random stream after another [1]
 *   SLUICE_SIMT_ORDER=O          blocks of a grid and threads of a block: forward, reverse, random[:SEED] [forward]
 *   SLUICE_SIMT_FAIL_MALLOC=N    the N-th cudaMalloc from now on finds no memory
 *   SLUICE_SIMT_FAIL_LAUNCH=D:N  device D fails at its N-th launch from now on, and in every call after
 *   SLUICE_SIMT_OLD=D            device D is of compute capability 7.0
 *   SLUICE_SIMT_COPIES=FILE      at the end, the bytes copied to devices and from them are written there */
#ifndef SIMT_H
#define SIMT_H

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#define __CUDA_RUNTIME_H__ /* cuda_runtime.h, which nccl.h includes: this header stands in for it */
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#undef __forceinline__
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline
#define __launch_bounds__(...)
/* thread_local, so that this object's TLS segment is the block's static shared memory, to be poisoned and checked:
 * GCC ignores section attributes on statics of templates.  Nothing else here may be thread_local. */
#define __shared__ static thread_local
#define __constant__ __attribute__((section("simt_constant"))) /* each device's copy comes here before its kernels */
#define SIMT_DYNAMIC(T, name) T *name = static_cast<T *>(simt::dynamic_shared())
#define SIMT_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace simt {

/* ---- host side ---- */

struct kernel {
    const void *address;
    void (*body)(const void *args); /* runs one thread */
    std::shared_ptr<const void> args;
    size_t args_bytes;
    dim3 grid, block;
    size_t shared;
};
cudaError_t launch(const kernel &k, cudaStream_t stream);

/* Arguments are copied at the call, as the device does; the kernel runs when its stream does. */
template <class... P, class... A>
cudaError_t launch(void (*k)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream, A &&...args)
{
    struct call {
        void (*k)(P...);
        std::tuple<std::remove_cv_t<P>...> args;
    };
    auto copy = std::make_shared<call>(call{ k, std::tuple<std::remove_cv_t<P>...>(std::forward<A>(args)...) });
    auto body = [](const void *p) { std::apply(static_cast<const call *>(p)->k, static_cast<const call *>(p)->args); };
    return launch(kernel{ (const void *)k, body, copy, sizeof *copy, grid, block, shared }, stream);
}

/* For emulated libraries: work on the stream's device, in stream order, its memory open to the host meanwhile, as is
 * that of the devices in the bit set others.  Work that must wait for other streams records and awaits events. */
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, uint64_t others = 0);
cudaError_t report(cudaError_t e, const char *format, ...) __attribute__((format(printf, 2, 3))); /* returns e */

/* In stream order: from p to the end of its allocation, `bytes` bytes are one object and the rest is nothing, until the
 * next call.  They become 0xFF, and the traced build finds accesses beside them. */
cudaError_t piece(const void *p, size_t bytes, cudaStream_t stream);
/* For the templates at the end of this file. */
cudaError_t set_max_shared(const void *kernel, int bytes);
cudaError_t copy_to_symbol(const void *symbol, const void *from, size_t bytes, size_t offset, cudaStream_t stream);

/* ---- threads ---- */

struct thread_base {
    uint3 index;
};
extern thread_base *self; /* NULL: host code runs */
extern dim3 block_index, block_size, grid_size;
extern struct counts {
    uint64_t blocks, switches, barriers, warp_ops, mmas;
    uint64_t to_devices, from_devices; /* bytes copied */
} stats;                               /* so far, for who looks with a debugger */

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2))); /* ends the kernel */
void *dynamic_shared();

/* Waits until every lane of mask that has not exited is here; io[lane] are their arguments, lanes who takes part.
 * resolve runs once, for all.  NULL: the lanes only wait. */
using resolve_fn = void (*)(void **io, uint32_t lanes);
void warp_op(uint32_t mask, void *io, resolve_fn resolve, const char *what, const char *file, int line);
int block_sync(int predicate, const char *what, const char *file, int line); /* returns how many were not 0 */
void yield();
void atomic_read(const void *p, void *value, unsigned bytes); /* other threads may run first */
void atomic_write(void *p, const void *value, unsigned bytes);

/* cp.async: n bytes and zeros up to `bytes`.  They arrive at the wait, not before. */
void cp_async(void *shared, const void *global, unsigned n, unsigned bytes);
void cp_commit();
void cp_wait(int left);

template <class D, class S> D bits(S s)
{
    static_assert(sizeof(D) == sizeof(S), "bits of another size");
    D d;
    memcpy(&d, &s, sizeof d);
    return d;
}
template <class T> struct same {
    using type = T;
};
template <class T> using same_t = typename same<T>::type; /* takes no part in deduction */

} // namespace simt

#define threadIdx (simt::self->index)
#define blockIdx (simt::block_index)
#define blockDim (simt::block_size)
#define gridDim (simt::grid_size)

/* ---- barriers ---- */

inline void __syncthreads(SIMT_SITE) { simt::block_sync(0, "__syncthreads", file, line); }
inline int __syncthreads_count(int p, SIMT_SITE) { return simt::block_sync(p, "__syncthreads_count", file, line); }
inline void __syncwarp(unsigned m = ~0u, SIMT_SITE) { simt::warp_op(m, nullptr, nullptr, "__syncwarp", file, line); }

/* ---- shuffles ---- */

namespace simt {

enum shuffle { SHFL, SHFL_UP, SHFL_DOWN, SHFL_XOR };

template <class T> struct shuffle_io {
    T value, result;
    shuffle kind;
    int argument, width;

    int source(int lane) const
    {
        int first = lane & ~(width - 1), last = lane | (width - 1), s = lane;
        if (kind == SHFL) return first | (argument & (width - 1));
        if (kind == SHFL_UP) s = lane - argument;
        if (kind == SHFL_DOWN) s = lane + argument;
        if (kind == SHFL_XOR) s = lane ^ argument;
        return s < first || s > last ? lane : s;
    }
};

template <class T> void shuffle_resolve(void **io, uint32_t lanes)
{
    for (int lane = 0; lane < 32; lane++) {
        if (!(lanes >> lane & 1)) continue;
        auto *x = static_cast<shuffle_io<T> *>(io[lane]);
        int s = x->source(lane);
        if (lanes >> s & 1) x->result = static_cast<shuffle_io<T> *>(io[s])->value;
        else memset(&x->result, 0xFF, sizeof x->result); /* a lane that is not here: undefined */
    }
}

template <class T>
T shuffle_op(shuffle kind, uint32_t mask, T v, int arg, int width, const char *what, const char *file, int line)
{
    static_assert(std::is_trivially_copyable<T>::value && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8),
                  "a shuffle moves 2, 4 or 8 bytes");
    shuffle_io<T> x{ v, v, kind, arg, width };
    warp_op(mask, &x, shuffle_resolve<T>, what, file, line);
    return x.result;
}

} // namespace simt

template <class T> T __shfl_sync(unsigned m, T v, int lane, int width = 32, SIMT_SITE)
{
    return simt::shuffle_op(simt::SHFL, m, v, lane, width, "__shfl_sync", file, line);
}
template <class T> T __shfl_up_sync(unsigned m, T v, unsigned d, int width = 32, SIMT_SITE)
{
    return simt::shuffle_op(simt::SHFL_UP, m, v, (int)d, width, "__shfl_up_sync", file, line);
}
template <class T> T __shfl_down_sync(unsigned m, T v, unsigned d, int width = 32, SIMT_SITE)
{
    return simt::shuffle_op(simt::SHFL_DOWN, m, v, (int)d, width, "__shfl_down_sync", file, line);
}
template <class T> T __shfl_xor_sync(unsigned m, T v, int x, int width = 32, SIMT_SITE)
{
    return simt::shuffle_op(simt::SHFL_XOR, m, v, x, width, "__shfl_xor_sync", file, line);
}

/* ---- votes ---- */

namespace simt {

struct ballot_io {
    bool predicate;
    uint32_t result;
};

inline void ballot_resolve(void **io, uint32_t lanes)
{
    uint32_t votes = 0;
    for (int lane = 0; lane < 32; lane++)
        if (lanes >> lane & 1) votes |= (uint32_t) static_cast<ballot_io *>(io[lane])->predicate << lane;
    for (int lane = 0; lane < 32; lane++)
        if (lanes >> lane & 1) static_cast<ballot_io *>(io[lane])->result = votes;
}

} // namespace simt

inline unsigned __ballot_sync(unsigned m, int p, SIMT_SITE)
{
    simt::ballot_io x{ p != 0, 0 };
    simt::warp_op(m, &x, simt::ballot_resolve, "__ballot_sync", file, line);
    return x.result;
}

/* ---- atomics: one thread runs at a time, so plain arithmetic does ---- */

namespace simt {
template <class T, class F> T atomic(T *p, F f)
{
    T x;
    atomic_read(p, &x, sizeof x);
    T old = x;
    x = f(old);
    atomic_write(p, &x, sizeof x);
    return old;
}
} // namespace simt

template <class T> T atomicAdd(T *p, simt::same_t<T> v)
{
    return simt::atomic(p, [v](T old) -> T { return old + v; });
}
template <class T> T atomicMin(T *p, simt::same_t<T> v)
{
    return simt::atomic(p, [v](T old) -> T { return v < old ? v : old; });
}
template <class T> T atomicCAS(T *p, simt::same_t<T> expected, simt::same_t<T> v)
{
    T old = simt::atomic(p, [=](T x) -> T { return x == expected ? v : x; });
    if (old != expected) simt::yield(); /* who holds the lock must get on */
    return old;
}

/* ---- arithmetic that is rounded once ---- */

inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

/* ---- bits ---- */

inline unsigned __float_as_uint(float x) { return simt::bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return simt::bits<float>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    uint64_t v = (uint64_t)b << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) r |= (unsigned)(v >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return r;
}
inline size_t __cvta_generic_to_shared(const void *p) { return (size_t)p; }

/* ---- host calls that are templates in cuda_runtime.h ---- */

template <class... P> cudaError_t cudaFuncSetAttribute(void (*k)(P...), cudaFuncAttribute a, int v)
{
    if (a != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess; /* carve-outs: a matter of speed */
    return simt::set_max_shared((const void *)k, v);
}
template <class T> cudaError_t cudaMalloc(T **p, size_t bytes) { return ::cudaMalloc((void **)p, bytes); }
template <class T>
cudaError_t cudaMemcpyToSymbolAsync(const T &symbol, const void *from, size_t bytes, size_t offset, cudaMemcpyKind,
                                    cudaStream_t stream)
{
    return simt::copy_to_symbol(&symbol, from, bytes, offset, stream);
}

#endif
