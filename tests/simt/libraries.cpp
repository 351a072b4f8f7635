/* libraries.cpp - the calls of cuBLAS, cuDNN and NCCL that kernels/libraries.cu makes, over plain loops with sums in
 * double, run in stream order.  What the real ones would allow but sluice must not do, a fast math mode, an algorithm
 * that is not deterministic, no workspace of its own, is an error here. */
#include "emulator.h"

#include <memory>
#include <stdarg.h>
#include <stdio.h>
#include <string>
#include <vector>

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define HAVE_CUBLAS 1
#endif
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#if CUDNN_MAJOR == 9
#define HAVE_CUDNN 1
#endif
#endif
#if __has_include(<nccl.h>)
#include <nccl.h>
#define HAVE_NCCL 1
#endif

static char why[256];

template <class T> __attribute__((format(printf, 2, 3))) static T wrong(T status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    return status;
}

/* ---- cuBLAS -------------------------------------------------------------------------------------------- */

#ifdef HAVE_CUBLAS
struct cublasContext {
    cudaStream_t stream;
    char *workspace;
    size_t bytes;
    bool pedantic, without_atomics;
};

cublasStatus_t cublasCreate_v2(cublasHandle_t *out)
{
    *out = new cublasContext();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    delete h;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream)
{
    h->stream = stream, h->workspace = nullptr; /* back to the library's own */
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void *workspace, size_t bytes)
{
    if ((uintptr_t)workspace % 256) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a workspace that is not aligned");
    h->workspace = (char *)workspace, h->bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t mode)
{
    h->pedantic = mode == CUBLAS_PEDANTIC_MATH;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t h, cublasAtomicsMode_t mode)
{
    h->without_atomics = mode == CUBLAS_ATOMICS_NOT_ALLOWED;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value)
{
    *value = type == MAJOR_VERSION ? CUBLAS_VER_MAJOR : CUBLAS_VER_MINOR;
    return CUBLAS_STATUS_SUCCESS;
}
const char *cublasGetStatusString(cublasStatus_t) { return why; }

cublasStatus_t cublasSgemm_v2(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                              const float *alpha, const float *a, int lda, const float *b, int ldb, const float *beta,
                              float *c, int ldc)
{
    bool at = ta == CUBLAS_OP_T, bt = tb == CUBLAS_OP_T;
    if (!h->stream || !h->workspace || !h->pedantic || !h->without_atomics)
        return wrong(CUBLAS_STATUS_INVALID_VALUE, "not set up to give the same bits on each repeat");
    if (m < 1 || n < 1 || k < 1 || lda < (at ? k : m) || ldb < (bt ? n : k) || ldc < m)
        return wrong(CUBLAS_STATUS_INVALID_VALUE, "a product %d x %d x %d of pitches %d, %d, %d", m, n, k, lda, ldb,
                     ldc);
    auto work = [=, alpha = *alpha, beta = *beta, workspace = h->workspace, bytes = h->bytes] {
        memset(workspace, 0xff, bytes);
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < k; l++)
                    sum += (double)a[at ? l + i * lda : i + l * lda] * (double)b[bt ? j + l * ldb : l + j * ldb];
                float *to = c + i + j * ldc;
                *to = (float)((double)alpha * sum + (beta != 0 ? (double)beta * (double)*to : 0));
            }
    };
    return simt::enqueue(h->stream, work) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
#endif

/* ---- cuDNN --------------------------------------------------------------------------------------------- */

#ifdef HAVE_CUDNN
struct cudnnContext {
    cudaStream_t stream;
};
struct cudnnTensorStruct {
    int n, c, h, w;
};
struct cudnnFilterStruct {
    int k, c, size;
};
struct cudnnConvolutionStruct {
    int pad, stride;
    bool fma;
};
static const size_t DNN_WORKSPACE = 4096;

size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char *cudnnGetErrorString(cudnnStatus_t) { return why; }

template <class T> static cudnnStatus_t make(T **out)
{
    *out = new T();
    return CUDNN_STATUS_SUCCESS;
}
template <class T> static cudnnStatus_t unmake(T *p)
{
    delete p;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreate(cudnnHandle_t *h) { return make(h); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return unmake(h); }
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t) { return make(t); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return unmake(t); }
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *f) { return make(f); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f) { return unmake(f); }
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *c) { return make(c); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) { return unmake(c); }

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t stream)
{
    h->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w)
{
    if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_FLOAT)
        return wrong(CUDNN_STATUS_BAD_PARAM, "images not NHWC f32");
    *t = { n, c, h, w };
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t f, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int w)
{
    if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_FLOAT || h != w)
        return wrong(CUDNN_STATUS_BAD_PARAM, "weights not NHWC f32");
    *f = { k, c, h };
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t type)
{
    if (pad_h != pad_w || u != v || dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
        type != CUDNN_DATA_FLOAT)
        return wrong(CUDNN_STATUS_BAD_PARAM, "another kind of convolution");
    *c = { pad_h, u, false };
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math)
{
    c->fma = math == CUDNN_FMA_MATH;
    return CUDNN_STATUS_SUCCESS;
}

/* A convolution from x to y by w, and the walk over all of its products. */
struct dnn_shape {
    cudnnTensorStruct x, y;
    cudnnFilterStruct w;
    cudnnConvolutionStruct conv;

    template <class F> void each(F product) const /* offsets in x, w and y */
    {
        for (int64_t o = 0; o < (int64_t)y.n * y.h * y.w * y.c; o++) {
            int64_t co = o % y.c, pixel = o / y.c, ox = pixel % y.w, oy = pixel / y.w % y.h, image = pixel / y.w / y.h;
            for (int64_t k = 0; k < (int64_t)w.size * w.size * w.c; k++) {
                int64_t ci = k % w.c, iy = oy * conv.stride - conv.pad + k / w.c / w.size,
                        ix = ox * conv.stride - conv.pad + k / w.c % w.size;
                if (iy >= 0 && iy < x.h && ix >= 0 && ix < x.w)
                    product(((image * x.h + iy) * x.w + ix) * x.c + ci, co * w.size * w.size * w.c + k, o);
            }
        }
    }
};

static cudnnStatus_t check_shape(const dnn_shape &s, bool deterministic)
{
    if (!s.conv.fma || !deterministic)
        return wrong(CUDNN_STATUS_BAD_PARAM, "not set up to give the same bits on each repeat");
    int h = (s.x.h + 2 * s.conv.pad - s.w.size) / s.conv.stride + 1,
        w = (s.x.w + 2 * s.conv.pad - s.w.size) / s.conv.stride + 1;
    if (s.x.n != s.y.n || s.x.n < 1 || s.x.c != s.w.c || s.y.c != s.w.k || h != s.y.h || w != s.y.w)
        return wrong(CUDNN_STATUS_BAD_PARAM, "shapes that do not fit");
    if (s.conv.stride > s.w.size) return CUDNN_STATUS_NOT_SUPPORTED; /* so that a refusal is met somewhere */
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t workspace_size(const dnn_shape &s, bool deterministic, size_t *bytes)
{
    *bytes = DNN_WORKSPACE;
    return check_shape(s, deterministic);
}

/* Sums of what the walk makes of a and b, into [count] at to. */
template <class F>
static cudnnStatus_t run(cudnnHandle_t h, const dnn_shape &s, bool deterministic, void *workspace, size_t bytes,
                         int64_t count, void *to, F term)
{
    cudnnStatus_t st = check_shape(s, deterministic);
    if (st) return st;
    if (!h->stream || !workspace || bytes < DNN_WORKSPACE)
        return wrong(CUDNN_STATUS_BAD_PARAM, "no stream or workspace");
    auto work = [=] {
        std::vector<double> sums((size_t)count);
        memset(workspace, 0xff, bytes);
        s.each([&](int64_t x, int64_t w, int64_t y) { term(sums.data(), x, w, y); });
        for (int64_t i = 0; i < count; i++) ((float *)to)[i] = (float)sums[(size_t)i];
    };
    return simt::enqueue(h->stream, work) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}

static bool right(cudnnConvolutionFwdAlgo_t a) { return a == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM; }
static bool right(cudnnConvolutionBwdDataAlgo_t a) { return a == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1; }
static bool right(cudnnConvolutionBwdFilterAlgo_t a) { return a == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1; }

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t c,
                                                      const cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t a,
                                                      size_t *bytes)
{
    return workspace_size({ *x, *y, *w, *c }, right(a), bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t h, const void *, const cudnnTensorDescriptor_t x, const void *xp,
                                      const cudnnFilterDescriptor_t w, const void *wp,
                                      const cudnnConvolutionDescriptor_t c, cudnnConvolutionFwdAlgo_t a,
                                      void *workspace, size_t bytes, const void *, const cudnnTensorDescriptor_t y,
                                      void *yp)
{
    const float *xf = (const float *)xp, *wf = (const float *)wp;
    return run(h, { *x, *y, *w, *c }, right(a), workspace, bytes, (int64_t)y->n * y->h * y->w * y->c, yp,
               [=](double *sums, int64_t i, int64_t k, int64_t o) { sums[o] += (double)xf[i] * (double)wf[k]; });
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t w,
                                                           const cudnnTensorDescriptor_t y,
                                                           const cudnnConvolutionDescriptor_t c,
                                                           const cudnnTensorDescriptor_t x,
                                                           cudnnConvolutionBwdDataAlgo_t a, size_t *bytes)
{
    return workspace_size({ *x, *y, *w, *c }, right(a), bytes);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t h, const void *, const cudnnFilterDescriptor_t w,
                                           const void *wp, const cudnnTensorDescriptor_t y, const void *yp,
                                           const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t a,
                                           void *workspace, size_t bytes, const void *, const cudnnTensorDescriptor_t x,
                                           void *xp)
{
    const float *yf = (const float *)yp, *wf = (const float *)wp;
    return run(h, { *x, *y, *w, *c }, right(a), workspace, bytes, (int64_t)x->n * x->h * x->w * x->c, xp,
               [=](double *sums, int64_t i, int64_t k, int64_t o) { sums[i] += (double)yf[o] * (double)wf[k]; });
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t y,
                                                             const cudnnConvolutionDescriptor_t c,
                                                             const cudnnFilterDescriptor_t w,
                                                             cudnnConvolutionBwdFilterAlgo_t a, size_t *bytes)
{
    return workspace_size({ *x, *y, *w, *c }, right(a), bytes);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t h, const void *, const cudnnTensorDescriptor_t x,
                                             const void *xp, const cudnnTensorDescriptor_t y, const void *yp,
                                             const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdFilterAlgo_t a,
                                             void *workspace, size_t bytes, const void *,
                                             const cudnnFilterDescriptor_t w, void *wp)
{
    const float *xf = (const float *)xp, *yf = (const float *)yp;
    return run(h, { *x, *y, *w, *c }, right(a), workspace, bytes, (int64_t)w->k * w->size * w->size * w->c, wp,
               [=](double *sums, int64_t i, int64_t k, int64_t o) { sums[k] += (double)xf[i] * (double)yf[o]; });
}
#endif

/* ---- NCCL ---------------------------------------------------------------------------------------------- */

#ifdef HAVE_NCCL
struct ncclComm {
    int rank, ranks, device;
};

namespace {
struct rank_call { /* a rank's part of a collective */
    ncclComm *comm;
    cudaStream_t stream;
    const char *from;
    char *to;
    size_t bytes;
    int root; /* -1: all gather */
};
int group_depth;
std::vector<rank_call> group; /* the calls since ncclGroupStart */
} // namespace

ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}
const char *ncclGetErrorString(ncclResult_t) { return why; }

ncclResult_t ncclCommInitAll(ncclComm_t *comms, int n, const int *devices)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (devices[i] == devices[j]) return wrong(ncclInvalidUsage, "cuda:%d twice", devices[i]);
    static std::vector<ncclComm_t> &all = *new std::vector<ncclComm_t>; /* as long as the process, like their owner */
    for (int i = 0; i < n; i++) all.push_back(comms[i] = new ncclComm{ i, n, devices[i] });
    return ncclSuccess;
}

/* All streams come to the collective before its work, which runs on the first; all go on after it. */
static bool run_collective(const std::vector<rank_call> &ranks)
{
    std::vector<cudaEvent_t> events(ranks.size() + 1);
    uint64_t devices = 0;
    int current = 0;
    bool ok = !cudaGetDevice(&current);
    for (size_t i = 0; i < ranks.size(); i++) {
        devices |= 1u << ranks[i].comm->device;
        ok = ok && !cudaSetDevice(ranks[i].comm->device) &&
             !cudaEventCreateWithFlags(&events[i], cudaEventDisableTiming) &&
             !cudaEventRecord(events[i], ranks[i].stream);
    }
    for (size_t i = 1; i < ranks.size(); i++) ok = ok && !cudaStreamWaitEvent(ranks[0].stream, events[i], 0);
    auto work = [ranks] {
        for (const rank_call &r : ranks)
            for (const rank_call &s : ranks)
                if (r.root < 0) memcpy(r.to + (size_t)s.comm->rank * s.bytes, s.from, s.bytes);
                else if (s.comm->rank == r.root && r.to != s.from) memcpy(r.to, s.from, s.bytes);
    };
    ok = ok && !simt::enqueue(ranks[0].stream, work, devices);
    cudaEvent_t &done = events.back();
    ok = ok && !cudaSetDevice(ranks[0].comm->device) && !cudaEventCreateWithFlags(&done, cudaEventDisableTiming) &&
         !cudaEventRecord(done, ranks[0].stream);
    for (size_t i = 1; i < ranks.size(); i++)
        ok = ok && !cudaSetDevice(ranks[i].comm->device) && !cudaStreamWaitEvent(ranks[i].stream, done, 0);
    for (cudaEvent_t e : events)
        if (e) (void)cudaEventDestroy(e);
    return !cudaSetDevice(current) && ok;
}

ncclResult_t ncclGroupStart()
{
    group_depth++;
    return ncclSuccess;
}

/* One collective in a group is all that sluice asks for. */
ncclResult_t ncclGroupEnd()
{
    if (--group_depth || group.empty()) return ncclSuccess;
    std::vector<rank_call> ranks;
    ranks.swap(group);
    for (size_t i = 0; i < ranks.size(); i++)
        if (ranks[i].comm->rank != (int)i || ranks[i].comm->ranks != (int)ranks.size() ||
            ranks[i].bytes != ranks[0].bytes || ranks[i].root != ranks[0].root)
            return wrong(ncclInvalidUsage, "call %d of %zu is not rank %zu's part of the same collective", (int)i,
                         ranks.size(), i);
    return run_collective(ranks) ? ncclSuccess
                                 : wrong(ncclUnhandledCudaError, "%s", cudaGetErrorString(cudaGetLastError()));
}

static ncclResult_t add(const rank_call &call, ncclDataType_t type)
{
    if (!group_depth) return wrong(ncclInvalidUsage, "a collective of one thread outside a group would wait forever");
    if (type != ncclUint8) return wrong(ncclInvalidArgument, "another type");
    group.push_back(call);
    return ncclSuccess;
}
ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream)
{
    return add({ comm, stream, (const char *)from, (char *)to, count, root }, type);
}
ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream)
{
    return add({ comm, stream, (const char *)from, (char *)to, count, -1 }, type);
}
#endif

/* ---- by name, as dlsym would find them --------------------------------------------------------------------- */

extern "C" void *simt_library(const char *function)
{
    static const struct {
        const char *name;
        void *function;
    } all[] = {
#define F(name) { #name, (void *)name }
#ifdef HAVE_CUBLAS
        F(cublasCreate_v2),
        F(cublasDestroy_v2),
        F(cublasSetStream_v2),
        F(cublasSetWorkspace_v2),
        F(cublasSetMathMode),
        F(cublasSetAtomicsMode),
        F(cublasSgemm_v2),
        F(cublasGetProperty),
        F(cublasGetStatusString),
#endif
#ifdef HAVE_CUDNN
        F(cudnnGetVersion),
        F(cudnnGetErrorString),
        F(cudnnCreate),
        F(cudnnDestroy),
        F(cudnnSetStream),
        F(cudnnCreateTensorDescriptor),
        F(cudnnSetTensor4dDescriptor),
        F(cudnnDestroyTensorDescriptor),
        F(cudnnCreateFilterDescriptor),
        F(cudnnSetFilter4dDescriptor),
        F(cudnnDestroyFilterDescriptor),
        F(cudnnCreateConvolutionDescriptor),
        F(cudnnSetConvolution2dDescriptor),
        F(cudnnSetConvolutionMathType),
        F(cudnnDestroyConvolutionDescriptor),
        F(cudnnGetConvolutionForwardWorkspaceSize),
        F(cudnnConvolutionForward),
        F(cudnnGetConvolutionBackwardDataWorkspaceSize),
        F(cudnnConvolutionBackwardData),
        F(cudnnGetConvolutionBackwardFilterWorkspaceSize),
        F(cudnnConvolutionBackwardFilter),
#endif
#ifdef HAVE_NCCL
        F(ncclGetVersion),
        F(ncclGetErrorString),
        F(ncclCommInitAll),
        F(ncclGroupStart),
        F(ncclGroupEnd),
        F(ncclBroadcast),
        F(ncclAllGather),
#endif
#undef F
    };
    for (const auto &f : all)
        if (std::string(f.name) == function) return f.function;
    return nullptr;
}
