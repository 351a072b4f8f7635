/* gpu_limits.cu - see gpu_limits.h.  Every rate is the best of REPEATS, by events. */
#include "gpu_limits.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define HAVE_CUBLAS
#endif

namespace {

enum { REPEATS = 5, THREADS = 256, CHAINS = 16, ROUNDS = 1 << 12 };
const size_t BYTES = (size_t)1 << 30; /* far more than any L2 */

char *from, *to;
int multiprocessors;
cudaStream_t stream;

template <class F> double best_seconds(F work)
{
    cudaEvent_t began, ended;
    float ms, best = 1e30f;
    cudaEventCreate(&began), cudaEventCreate(&ended);
    work();
    for (int i = 0; i < REPEATS; i++) {
        cudaEventRecord(began, stream);
        work();
        cudaEventRecord(ended, stream);
        cudaEventSynchronize(ended);
        cudaEventElapsedTime(&ms, began, ended);
        if (ms < best) best = ms;
    }
    cudaEventDestroy(began), cudaEventDestroy(ended);
    return cudaGetLastError() == cudaSuccess ? best * 1e-3 : 1e30; /* a failure shows as a rate of 0 */
}

/* grid any, block THREADS.  Values as a pool's: the clock of a card depends on the bits that toggle. */
__global__ void fill(float *p, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (size_t)gridDim.x * THREADS) {
        uint64_t z = i * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        p[i] = (float)(int32_t)(z >> 32) * 0x1p-31f;
    }
}

/* grid any, block THREADS.  Four 16-byte loads under way per thread; nothing is ever stored. */
__global__ void read_all(const uint4 *p, size_t n, uint4 *never)
{
    uint4 sum = {};
    size_t step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i + 3 * step < n; i += 4 * step) {
        uint4 v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = p[i + j * step];
#pragma unroll
        for (int j = 0; j < 4; j++) sum.x |= v[j].x, sum.y |= v[j].y, sum.z |= v[j].z, sum.w |= v[j].w;
    }
    if (!(sum.x | sum.y | sum.z | sum.w)) *never = sum;
}

/* grid any, block THREADS.  CHAINS chains a thread hide the latency. */
__global__ void multiply_add(float *never, float b, float c)
{
    float a[CHAINS], sum = 0;
#pragma unroll
    for (int j = 0; j < CHAINS; j++) a[j] = (float)(threadIdx.x + j);
#pragma unroll 8
    for (int i = 0; i < ROUNDS; i++) {
#pragma unroll
        for (int j = 0; j < CHAINS; j++) a[j] = fmaf(a[j], b, c);
    }
#pragma unroll
    for (int j = 0; j < CHAINS; j++) sum += a[j];
    if (sum == 12345.678f) *never = sum;
}

const char *open_device(int device)
{
    cudaError_t e = cudaSetDevice(device);
    if (e == cudaSuccess) e = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (e == cudaSuccess) e = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = cudaMalloc(&from, BYTES);
    if (e == cudaSuccess) e = cudaMalloc(&to, BYTES);
    if (e != cudaSuccess) return cudaGetErrorString(e);
    fill<<<multiprocessors * 8, THREADS, 0, stream>>>((float *)from, BYTES / sizeof(float));
    return nullptr;
}

double copy_rate()
{
    return 2.0 * BYTES / best_seconds([] { cudaMemcpyAsync(to, from, BYTES, cudaMemcpyDeviceToDevice, stream); });
}

double read_rate()
{
    return (double)BYTES / best_seconds([] {
               read_all<<<multiprocessors * 16, THREADS, 0, stream>>>((const uint4 *)from, BYTES / 16, (uint4 *)to);
           });
}

double upload_rate()
{
    const size_t bytes = BYTES / 4;
    char *pinned = nullptr;
    if (cudaHostAlloc(&pinned, bytes, cudaHostAllocDefault) != cudaSuccess) return 0;
    double seconds = best_seconds([=] { cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, stream); });
    cudaFreeHost(pinned);
    return (double)bytes / seconds;
}

double fma_rate()
{
    int blocks = multiprocessors * 64;
    double flops = 2.0 * CHAINS * ROUNDS * THREADS * blocks;
    return flops / best_seconds([=] { multiply_add<<<blocks, THREADS, 0, stream>>>((float *)to, 0.999f, 0.001f); });
}

/* ---- cuBLAS, where it is ---- */

#ifdef HAVE_CUBLAS
template <class F> bool find(void *library, const char *name, F *out)
{
    *(void **)out = dlsym(library, name);
    return *out != nullptr;
}

/* Spelled out: the header overloads the name for C++. */
typedef cublasStatus_t gemm_fn(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                               const void *alpha, const void *a, cudaDataType, int lda, const void *b, cudaDataType,
                               int ldb, const void *beta, void *c, cudaDataType, int ldc, cublasComputeType_t,
                               cublasGemmAlgo_t);
gemm_fn *gemm;

cublasHandle_t cublas()
{
    static cublasHandle_t handle;
    decltype(&cublasCreate_v2) create;
    decltype(&cublasSetStream_v2) set_stream;
    if (handle) return handle;
    void *library = dlopen("libcublas.so.13", RTLD_NOW);
    if (!library) library = dlopen("libcublas.so.12", RTLD_NOW);
    if (!library || !find(library, "cublasCreate_v2", &create) || !find(library, "cublasSetStream_v2", &set_stream) ||
        !find(library, "cublasGemmEx", &gemm) || create(&handle) != CUBLAS_STATUS_SUCCESS)
        return handle = nullptr;
    set_stream(handle, stream);
    return handle;
}

/* Row-major out [n, c] = x [n, d] times the transpose of w [c, d] is column-major [c, n] = w^T x. */
double product(int64_t n, int64_t d, int64_t c, int kind)
{
    static const cudaDataType_t types[] = { CUDA_R_32F, CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF };
    cublasComputeType_t compute = kind == GPU_PRODUCT_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    size_t size = kind == GPU_PRODUCT_F32 || kind == GPU_PRODUCT_TF32 ? 4 : 2;
    char *x = nullptr, *w = nullptr, *out = nullptr;
    double seconds = 0;
    float one = 1, zero = 0;
    if (!cublas()) return 0;
    if (cudaMalloc(&x, (size_t)(n * d) * size) == cudaSuccess &&
        cudaMalloc(&w, (size_t)(c * d) * size) == cudaSuccess && cudaMalloc(&out, (size_t)(n * c) * 4) == cudaSuccess) {
        fill<<<multiprocessors * 8, THREADS, 0, stream>>>((float *)x, (size_t)(n * d) * size / 4);
        fill<<<multiprocessors * 8, THREADS, 0, stream>>>((float *)w, (size_t)(c * d) * size / 4);
        bool ok = true;
        seconds = best_seconds([&] {
            ok &= gemm(cublas(), CUBLAS_OP_T, CUBLAS_OP_N, (int)c, (int)n, (int)d, &one, w, types[kind], (int)d, x,
                       types[kind], (int)d, &zero, out, CUDA_R_32F, (int)c, compute,
                       CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS;
        });
        if (!ok) seconds = 0;
    }
    cudaFree(x), cudaFree(w), cudaFree(out);
    (void)cudaGetLastError();
    return seconds;
}
#else
double product(int64_t, int64_t, int64_t, int) { return 0; }
#endif

} // namespace

extern "C" __attribute__((visibility("default")))
const gpu_limits gpu_limits_table = { open_device, copy_rate, read_rate, upload_rate, fma_rate, product };
