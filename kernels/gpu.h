/* gpu.h - what a .cu includes; with mma.h the only headers that know whether nvcc or the emulator's g++ compiles it.
 *
 *   GPU_DYNAMIC(T, name)     the block's dynamic shared memory
 *   gpu::launch              kernel<<<grid, block, shared, stream>>>(args), types checked against its parameters
 *   gpu::copy16_async ...    cp.async: 16 bytes from global to shared memory without passing through registers */
#ifndef GPU_H
#define GPU_H

#include <stdint.h>

#ifdef SLUICE_SIMT

#include "simt.h" /* tests/simt: threads, warps and the runtime, emulated */
#define GPU_DYNAMIC(T, name) SIMT_DYNAMIC(T, name)
namespace gpu {
using simt::launch;
using simt::piece; /* scratch: what lies beside it is out of bounds */
enum { PIECE_GAP = 256 };
} // namespace gpu

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define GPU_DYNAMIC(T, name)                                                                                           \
    extern __shared__ __align__(128) unsigned char gpu_dynamic_[];                                                     \
    T *name = reinterpret_cast<T *>(gpu_dynamic_)

namespace gpu {
template <class... P, class... A>
inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream, A &&...args)
{
    cudaLaunchConfig_t c = {};
    c.gridDim = grid, c.blockDim = block, c.dynamicSmemBytes = shared, c.stream = stream;
    return cudaLaunchKernelEx(&c, kernel, static_cast<P>(args)...);
}
inline cudaError_t piece(const void *, size_t, cudaStream_t) { return cudaSuccess; }
enum { PIECE_GAP = 0 };
} // namespace gpu

#endif

namespace gpu {

enum { WARP = 32 };

/* Both addresses 16-byte aligned; the first `bytes` of 16 are read, zeros fill the rest.  Visible to this thread after
 * copies_wait, to the block after a barrier then. */
__device__ __forceinline__ void copy16_part_async(void *shared, const void *global, int bytes)
{
#ifdef SLUICE_SIMT
    simt::cp_async(shared, global, (unsigned)bytes, 16);
#else
    asm volatile(
        "cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"((uint32_t)__cvta_generic_to_shared(shared)),
        "l"(global), "r"(bytes)
        : "memory");
#endif
}
__device__ __forceinline__ void copy16_async(void *shared, const void *global, bool valid = true) /* zeros if not */
{
    copy16_part_async(shared, global, valid ? 16 : 0);
}
__device__ __forceinline__ void copies_commit()
{
#ifdef SLUICE_SIMT
    simt::cp_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/* Until at most `left` of the committed groups are under way. */
template <int left> __device__ __forceinline__ void copies_wait()
{
#ifdef SLUICE_SIMT
    simt::cp_wait(left);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}

} // namespace gpu

#endif
