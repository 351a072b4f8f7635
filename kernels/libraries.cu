/* libraries.cu - cuBLAS, cuDNN and NCCL, opened at first use; contract in libraries.h.
 *
 *   open            the functions that we call, by name; the emulator has its own of the same names
 *   cuBLAS          forward and product: SGEMM, pedantic math, no atomics, a workspace of the op's own, so that a
 *                   repeat on the same card gives the same bits
 *   cuDNN           the calls of cuDNN 7, whose algorithms are fixed by name: NHWC, FMA math, the deterministic ones.
 *                   What it refuses, our own kernels do
 *   NCCL            moves bytes only: sums between devices would depend on their number
 *
 * The library's file must have the major version whose headers this was built with, cuBLAS and NCCL excepted, whose
 * functions used here are the same in all. */
#include "libraries.h"

#include "exact.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>

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

/* ---- open ---------------------------------------------------------------------------------------------- */

#ifdef SLUICE_SIMT
extern "C" void *simt_library(const char *function); /* NULL: not emulated */
#endif

namespace {

struct wanted {
    const char *name;
    void **function;
};

/* Fills the functions from the first of the files that opens, or says why not. */
bool open_library(const char *const *files, const std::vector<wanted> &functions, std::string *why)
{
#ifdef SLUICE_SIMT
    (void)files;
    auto find = simt_library;
#else
    void *library = nullptr;
    for (; *files && !library; files++) library = dlopen(*files, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *error = dlerror();
        *why = error ? error : "no such file";
        return false;
    }
    auto find = [library](const char *name) { return dlsym(library, name); };
#endif
    for (const wanted &w : functions)
        if (!(*w.function = find(w.name))) {
            *why = std::string("it has no ") + w.name;
            return false;
        }
    return true;
}

/* A table of functions, filled at first use. */
template <class T> struct opened {
    T calls;
    std::string why; /* missing, or empty */

    opened() : calls() { calls.open(&why); }
};
template <class T> const opened<T> &open_once()
{
    static const opened<T> o;
    return o;
}

bool switched_off()
{
    const char *off = getenv("SLUICE_NO_LIBRARIES");
    return off && *off && strcmp(off, "0") != 0;
}

/* NULL: missing. */
template <class T> const T *library(std::string *why = nullptr)
{
    static const char off[] = "switched off by SLUICE_NO_LIBRARIES";
    const opened<T> *o = switched_off() ? nullptr : &open_once<T>();
    if (why) *why = o ? o->why : off;
    return o && o->why.empty() ? &o->calls : nullptr;
}

#define MEMBER(f) decltype(&::f) f;
#define WANTED(f) { #f, (void **)&f },

#ifdef HAVE_CUBLAS
/* clang-format off */
#define CUBLAS_CALLS(X) \
    X(cublasCreate_v2) X(cublasDestroy_v2) X(cublasSetStream_v2) X(cublasSetWorkspace_v2) X(cublasSetMathMode) \
    X(cublasSetAtomicsMode) X(cublasSgemm_v2) X(cublasGetProperty) X(cublasGetStatusString)
/* clang-format on */
#endif
struct cublas {
#ifdef HAVE_CUBLAS
    CUBLAS_CALLS(MEMBER)
    void open(std::string *why)
    {
        static const char *const files[] = { "libcublas.so.13", "libcublas.so.12", nullptr };
        open_library(files, { CUBLAS_CALLS(WANTED) }, why);
    }
    std::string version() const
    {
        int major = 0, minor = 0;
        (void)cublasGetProperty(MAJOR_VERSION, &major), (void)cublasGetProperty(MINOR_VERSION, &minor);
        return std::to_string(major) + "." + std::to_string(minor);
    }
#else
    void open(std::string *why) { *why = "the plug-in was built without it"; }
    std::string version() const { return ""; }
#endif
};

#ifdef HAVE_CUDNN
/* clang-format off */
#define CUDNN_CALLS(X) \
    X(cudnnGetVersion) X(cudnnGetErrorString) X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream) \
    X(cudnnCreateTensorDescriptor) X(cudnnSetTensor4dDescriptor) X(cudnnDestroyTensorDescriptor) \
    X(cudnnCreateFilterDescriptor) X(cudnnSetFilter4dDescriptor) X(cudnnDestroyFilterDescriptor) \
    X(cudnnCreateConvolutionDescriptor) X(cudnnSetConvolution2dDescriptor) X(cudnnSetConvolutionMathType) \
    X(cudnnDestroyConvolutionDescriptor) X(cudnnGetConvolutionForwardWorkspaceSize) X(cudnnConvolutionForward) \
    X(cudnnGetConvolutionBackwardDataWorkspaceSize) X(cudnnConvolutionBackwardData) \
    X(cudnnGetConvolutionBackwardFilterWorkspaceSize) X(cudnnConvolutionBackwardFilter)
/* clang-format on */
#endif
struct cudnn {
#ifdef HAVE_CUDNN
    CUDNN_CALLS(MEMBER)
    void open(std::string *why)
    {
        static const char *const files[] = { "libcudnn.so.9", nullptr };
        open_library(files, { CUDNN_CALLS(WANTED) }, why);
    }
    std::string version() const
    {
        size_t v = cudnnGetVersion();
        return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100);
    }
#else
    void open(std::string *why) { *why = "the plug-in was built without it"; }
    std::string version() const { return ""; }
#endif
};

#ifdef HAVE_NCCL
/* clang-format off */
#define NCCL_CALLS(X) \
    X(ncclGetVersion) X(ncclGetErrorString) X(ncclCommInitAll) X(ncclGroupStart) X(ncclGroupEnd) X(ncclBroadcast) \
    X(ncclAllGather)
/* clang-format on */
#endif
struct nccl {
#ifdef HAVE_NCCL
    NCCL_CALLS(MEMBER)
    void open(std::string *why)
    {
        static const char *const files[] = { "libnccl.so.2", nullptr };
        open_library(files, { NCCL_CALLS(WANTED) }, why);
    }
    std::string version() const
    {
        int v = 0;
        (void)ncclGetVersion(&v);
        return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100);
    }
#else
    void open(std::string *why) { *why = "the plug-in was built without it"; }
    std::string version() const { return ""; }
#endif
};

template <class T> std::string described(const char *name)
{
    std::string why;
    const T *calls = library<T>(&why);
    return std::string(name) + (calls ? " " + calls->version() : " missing (" + why + ")");
}

} // namespace

void libraries_describe(char *text, size_t bytes)
{
    snprintf(text, bytes, "%s, %s, %s", described<cublas>("cuBLAS").c_str(), described<cudnn>("cuDNN").c_str(),
             described<nccl>("NCCL").c_str());
}

/* ---- a lane's ------------------------------------------------------------------------------------------ */

/* Bound to the lane's stream. */
struct library_handles {
#ifdef HAVE_CUBLAS
    cublasHandle_t blas;
#endif
#ifdef HAVE_CUDNN
    cudnnHandle_t dnn;
#endif
};

namespace {

library_handles *handles_of(op_run &r)
{
    if (!r.lane->libraries) r.lane->libraries = new library_handles();
    return r.lane->libraries;
}

enum { THREADS = 256 };

/* grid ceil(c d / THREADS), block THREADS.  packed [c/16][d][16] into w [c, d]. */
__global__ void unpack(const float *packed, int64_t c, int64_t d, float *w)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, j = t / d, k = t % d;
    if (j < c) w[t] = packed[(j / 16 * d + k) * 16 + j % 16];
}

const float *unpacked(op_run &r, const float *packed, int64_t c, int64_t d)
{
    float *w = r.scratch<float>(c * d);
    r.launch(unpack, blocks(c * d, THREADS), THREADS, 0, packed, c, d, w);
    return w;
}

/* grid ceil(values of out / THREADS), block THREADS.  out [n, a multiple of c] in place: + bias [c] or NULL, relu. */
__global__ void finish(sluice_view out, const float *bias, int64_t c, int relu)
{
    int64_t t = (int64_t)blockIdx.x * THREADS + threadIdx.x, i = t / out.cols, j = t % out.cols;
    if (i >= out.rows) return;
    float *p = view_row<float>(out, i) + j, v = (bias ? *p + bias[j % c] : *p) + 0.0f; /* -0 becomes 0 */
    *p = relu && !(v > 0.0f) && v == v ? 0.0f : v;
}

void finish_all(op_run &r, const sluice_view &out, const float *bias, int64_t c, int relu)
{
    r.launch(finish, blocks(out.rows * out.cols, THREADS), THREADS, 0, out, bias, c, relu);
}

bool fits_int(int64_t a, int64_t b, int64_t c)
{
    return a > 0 && b > 0 && c > 0 && a <= INT32_MAX && b <= INT32_MAX && c <= INT32_MAX;
}

} // namespace

/* ---- cuBLAS -------------------------------------------------------------------------------------------- */

namespace {

#ifdef HAVE_CUBLAS
const size_t BLAS_WORKSPACE = (size_t)8 << 20; /* of one size always: cuBLAS chooses its kernel by it */

void check(op_run &r, const cublas *lib, cublasStatus_t st, const char *call)
{
    if (st != CUBLAS_STATUS_SUCCESS)
        r.fail(SLUICE_E_INTERNAL, "cuda:%d: %s: %s", r.lane->device, call, lib->cublasGetStatusString(st));
}

cublasHandle_t blas_create(op_run &r, const cublas *lib)
{
    cublasHandle_t h = nullptr;
    check(r, lib, lib->cublasCreate_v2(&h), "cublasCreate");
    if (r.ok()) check(r, lib, lib->cublasSetStream_v2(h, r.stream()), "cublasSetStream");
    if (r.ok()) check(r, lib, lib->cublasSetMathMode(h, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
    if (r.ok()) check(r, lib, lib->cublasSetAtomicsMode(h, CUBLAS_ATOMICS_NOT_ALLOWED), "cublasSetAtomicsMode");
    if (r.ok() || !h) return h;
    (void)lib->cublasDestroy_v2(h);
    return nullptr;
}

/* The lane's handle, with the op's workspace; NULL after a failure. */
cublasHandle_t blas_handle(op_run &r, const cublas *lib)
{
    cublasHandle_t &h = handles_of(r)->blas;
    char *workspace = r.scratch<char>((int64_t)BLAS_WORKSPACE);
    if (r.ok() && !h) h = blas_create(r, lib);
    if (r.ok()) check(r, lib, lib->cublasSetWorkspace_v2(h, workspace, BLAS_WORKSPACE), "cublasSetWorkspace");
    return r.ok() ? h : nullptr;
}

/* Floats from row to row; of a single row any number would do. */
int pitch(const sluice_view &v) { return (int)(v.rows > 1 ? (int64_t)(v.stride / sizeof(float)) : v.cols); }

bool pitch_fits(const sluice_view &v) { return v.stride / sizeof(float) <= INT32_MAX && v.stride % sizeof(float) == 0; }
#endif

} // namespace

/* cuBLAS counts columns first: our row-major [n, d] is its d x n. */
bool library_forward(op_run &r, const sluice_view &x, const float *packed, const float *bias, int64_t c, int relu,
                     const sluice_view &out)
{
#ifdef HAVE_CUBLAS
    const cublas *lib = r.x->math == SLUICE_MATH_LIBRARY ? library<cublas>() : nullptr;
    if (!lib || x.type != SLUICE_F32 || !fits_int(x.rows, x.cols, c) || !pitch_fits(x) || !pitch_fits(out))
        return false;
    const float *w = unpacked(r, packed, c, x.cols), one = 1, zero = 0;
    cublasHandle_t h = blas_handle(r, lib);
    if (!h) return true;
    check(r, lib,
          lib->cublasSgemm_v2(h, CUBLAS_OP_T, CUBLAS_OP_N, (int)c, (int)x.rows, (int)x.cols, &one, w, (int)x.cols,
                              (const float *)x.data, pitch(x), &zero, (float *)out.data, pitch(out)),
          "cublasSgemm");
    finish_all(r, out, bias, c, relu);
    return true;
#else
    (void)r, (void)x, (void)packed, (void)bias, (void)c, (void)relu, (void)out;
    return false;
#endif
}

bool library_product(op_run &r, const sluice_view &g, const sluice_view &x, int accumulate, const sluice_view &out)
{
#ifdef HAVE_CUBLAS
    const cublas *lib = r.x->math == SLUICE_MATH_LIBRARY ? library<cublas>() : nullptr;
    if (!lib || !fits_int(g.rows, g.cols, x.cols) || !pitch_fits(g) || !pitch_fits(x) || !pitch_fits(out)) return false;
    const float one = 1, zero = 0;
    cublasHandle_t h = blas_handle(r, lib);
    if (!h) return true;
    check(r, lib,
          lib->cublasSgemm_v2(h, CUBLAS_OP_N, CUBLAS_OP_T, (int)x.cols, (int)g.cols, (int)g.rows, &one,
                              (const float *)x.data, pitch(x), (const float *)g.data, pitch(g),
                              accumulate ? &one : &zero, (float *)out.data, pitch(out)),
          "cublasSgemm");
    return true;
#else
    (void)r, (void)g, (void)x, (void)accumulate, (void)out;
    return false;
#endif
}

/* ---- cuDNN --------------------------------------------------------------------------------------------- */

namespace {

#ifdef HAVE_CUDNN
/* A convolution as cuDNN sees it: handle and descriptors, set up step by step until one fails. */
class convolution {
  public:
    convolution(op_run &r, const cudnn *lib, const sluice_conv_shape &q, int64_t n)
        : r(r), lib(lib), h(), x(), y(), w(), conv(), workspace(nullptr)
    {
        cudnnHandle_t &mine = handles_of(r)->dnn;
        if (!mine && call(lib->cudnnCreate(&h), "cudnnCreate")) {
            if (call(lib->cudnnSetStream(h, r.stream()), "cudnnSetStream")) mine = h;
            else (void)lib->cudnnDestroy(h);
        }
        h = mine;
        int k = (int)q.kernel, pad = (int)q.pad, stride = (int)q.stride;
        tensor(&x, n, q.cin, q.h, q.w), tensor(&y, n, q.cout, q.out_h, q.out_w);
        call(lib->cudnnCreateFilterDescriptor(&w), "cudnnCreateFilterDescriptor") &&
            call(lib->cudnnSetFilter4dDescriptor(w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, (int)q.cout, (int)q.cin, k, k),
                 "cudnnSetFilter4dDescriptor");
        call(lib->cudnnCreateConvolutionDescriptor(&conv), "cudnnCreateConvolutionDescriptor") &&
            call(lib->cudnnSetConvolution2dDescriptor(conv, pad, pad, stride, stride, 1, 1, CUDNN_CROSS_CORRELATION,
                                                      CUDNN_DATA_FLOAT),
                 "cudnnSetConvolution2dDescriptor") &&
            call(lib->cudnnSetConvolutionMathType(conv, CUDNN_FMA_MATH), "cudnnSetConvolutionMathType");
    }
    ~convolution()
    {
        if (x) (void)lib->cudnnDestroyTensorDescriptor(x);
        if (y) (void)lib->cudnnDestroyTensorDescriptor(y);
        if (w) (void)lib->cudnnDestroyFilterDescriptor(w);
        if (conv) (void)lib->cudnnDestroyConvolutionDescriptor(conv);
    }
    convolution(const convolution &) = delete;

    bool call(cudnnStatus_t st, const char *what)
    {
        if (st != CUDNN_STATUS_SUCCESS)
            r.fail(SLUICE_E_INTERNAL, "cuda:%d: %s: %s", r.lane->device, what, lib->cudnnGetErrorString(st));
        return r.ok();
    }
    /* What cuDNN refuses is no failure: the caller's own kernels take it. */
    bool refused(cudnnStatus_t st) { return r.ok() && st / 1000 * 1000 == CUDNN_STATUS_NOT_SUPPORTED; }
    bool prepare(cudnnStatus_t st, size_t bytes, const char *what)
    {
        if (call(st, what)) workspace = r.scratch<char>((int64_t)bytes);
        return r.ok();
    }

    op_run &r;
    const cudnn *lib;
    cudnnHandle_t h;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    void *workspace;

  private:
    void tensor(cudnnTensorDescriptor_t *t, int64_t n, int64_t c, int64_t height, int64_t width)
    {
        call(lib->cudnnCreateTensorDescriptor(t), "cudnnCreateTensorDescriptor") &&
            call(lib->cudnnSetTensor4dDescriptor(*t, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, (int)n, (int)c, (int)height,
                                                 (int)width),
                 "cudnnSetTensor4dDescriptor");
    }
};

const float one = 1, zero = 0;

bool without_gaps(const sluice_view &v) { return v.rows <= 1 || v.stride == (size_t)v.cols * sizeof(float); }

/* cuDNN, where it is here and takes images of these sizes. */
const cudnn *dnn_for(const op_run &r, const sluice_view &a, const sluice_view &b)
{
    bool fits = a.rows > 0 && a.type == SLUICE_F32 && without_gaps(a) && without_gaps(b) &&
                a.rows * a.cols <= INT32_MAX && b.rows * b.cols <= INT32_MAX;
    return r.x->math == SLUICE_MATH_LIBRARY && fits ? library<cudnn>() : nullptr;
}
#endif

} // namespace

bool library_conv(op_run &r, const sluice_conv_shape &q, const sluice_view &x, const float *packed, const float *bias,
                  int relu, const sluice_view &out)
{
#ifdef HAVE_CUDNN
    const cudnn *lib = dnn_for(r, x, out);
    const cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    size_t bytes = 0;
    if (!lib) return false;
    convolution c(r, lib, q, x.rows);
    if (!r.ok()) return true;
    cudnnStatus_t st = lib->cudnnGetConvolutionForwardWorkspaceSize(c.h, c.x, c.w, c.conv, c.y, algorithm, &bytes);
    if (c.refused(st)) return false;
    if (!c.prepare(st, bytes, "cudnnGetConvolutionForwardWorkspaceSize")) return true;
    const float *w = unpacked(r, packed, q.cout, q.kernel * q.kernel * q.cin);
    if (!r.ok()) return true;
    st = lib->cudnnConvolutionForward(c.h, &one, c.x, x.data, c.w, w, c.conv, algorithm, c.workspace, bytes, &zero, c.y,
                                      out.data);
    if (c.refused(st)) return false;
    if (c.call(st, "cudnnConvolutionForward")) finish_all(r, out, bias, q.cout, relu);
    return true;
#else
    (void)r, (void)q, (void)x, (void)packed, (void)bias, (void)relu, (void)out;
    return false;
#endif
}

bool library_conv_input(op_run &r, const sluice_conv_shape &q, const sluice_view &g, const float *w,
                        const sluice_view &out)
{
#ifdef HAVE_CUDNN
    const cudnn *lib = dnn_for(r, g, out);
    const cudnnConvolutionBwdDataAlgo_t algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1; /* deterministic */
    size_t bytes = 0;
    if (!lib) return false;
    convolution c(r, lib, q, g.rows);
    if (!r.ok()) return true;
    cudnnStatus_t st = lib->cudnnGetConvolutionBackwardDataWorkspaceSize(c.h, c.w, c.y, c.conv, c.x, algorithm, &bytes);
    if (c.refused(st)) return false;
    if (!c.prepare(st, bytes, "cudnnGetConvolutionBackwardDataWorkspaceSize")) return true;
    st = lib->cudnnConvolutionBackwardData(c.h, &one, c.w, w, c.y, g.data, c.conv, algorithm, c.workspace, bytes, &zero,
                                           c.x, out.data);
    if (c.refused(st)) return false;
    c.call(st, "cudnnConvolutionBackwardData");
    return true;
#else
    (void)r, (void)q, (void)g, (void)w, (void)out;
    return false;
#endif
}

bool library_conv_weight(op_run &r, const sluice_conv_shape &q, const sluice_view &g, const sluice_view &x, float *out)
{
#ifdef HAVE_CUDNN
    const cudnn *lib = dnn_for(r, g, x);
    const cudnnConvolutionBwdFilterAlgo_t algorithm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1; /* deterministic */
    size_t bytes = 0;
    if (!lib) return false;
    convolution c(r, lib, q, g.rows);
    if (!r.ok()) return true;
    cudnnStatus_t st =
        lib->cudnnGetConvolutionBackwardFilterWorkspaceSize(c.h, c.x, c.y, c.conv, c.w, algorithm, &bytes);
    if (c.refused(st)) return false;
    if (!c.prepare(st, bytes, "cudnnGetConvolutionBackwardFilterWorkspaceSize")) return true;
    st = lib->cudnnConvolutionBackwardFilter(c.h, &one, c.x, x.data, c.y, g.data, c.conv, algorithm, c.workspace, bytes,
                                             &zero, c.w, out);
    if (c.refused(st)) return false;
    c.call(st, "cudnnConvolutionBackwardFilter");
    return true;
#else
    (void)r, (void)q, (void)g, (void)x, (void)out;
    return false;
#endif
}

void libraries_close(cuda_lane *lane)
{
    library_handles *h = lane->libraries;
    if (!h) return;
        /* A handle says that its library is here, even where SLUICE_NO_LIBRARIES has been set since. */
#ifdef HAVE_CUBLAS
    if (h->blas) (void)open_once<cublas>().calls.cublasDestroy_v2(h->blas);
#endif
#ifdef HAVE_CUDNN
    if (h->dnn) (void)open_once<cudnn>().calls.cudnnDestroy(h->dnn);
#endif
    delete h;
    lane->libraries = nullptr;
}

/* ---- NCCL ---------------------------------------------------------------------------------------------- */

namespace {

#ifdef HAVE_NCCL
/* The communicators of a set of devices, made once and kept: making them takes seconds.  Empty: NCCL cannot. */
struct group {
    std::vector<int> devices;
    std::vector<ncclComm_t> comms;
};

const std::vector<ncclComm_t> &comms_of(const nccl *lib, const std::vector<int> &devices)
{
    static std::vector<group> groups;
    for (const group &g : groups)
        if (g.devices == devices) return g.comms;
    group g = { devices, std::vector<ncclComm_t>(devices.size()) };
    if (lib->ncclCommInitAll(g.comms.data(), (int)devices.size(), devices.data()) != ncclSuccess) g.comms.clear();
    groups.push_back(g);
    return groups.back().comms;
}

/* The communicators of the execs, or NULL: a single exec, two on one device, no NCCL. */
const std::vector<ncclComm_t> *comms_of(sluice_exec *const *x, int count)
{
    const nccl *lib = library<nccl>();
    std::vector<int> devices;
    for (int i = 0; i < count; i++) {
        for (int d : devices)
            if (d == x[i]->device) return nullptr;
        devices.push_back(x[i]->device);
    }
    if (!lib || count < 2) return nullptr;
    const std::vector<ncclComm_t> &comms = comms_of(lib, devices);
    return comms.empty() ? nullptr : &comms;
}

/* One call for each exec, all in one group.  false: NCCL cannot. */
template <class F> bool collective(sluice_exec *const *x, int count, const char *name, sluice_status *st, F call)
{
    const nccl *lib = library<nccl>();
    const std::vector<ncclComm_t> *comms = comms_of(x, count);
    if (!comms) return false;
    ncclResult_t e = lib->ncclGroupStart();
    for (int i = 0; i < count && e == ncclSuccess; i++) e = call(lib, i, (*comms)[(size_t)i]);
    ncclResult_t end = lib->ncclGroupEnd();
    if (e == ncclSuccess) e = end;
    *st = e == ncclSuccess ? SLUICE_OK
                           : x[0]->fail(x[0], SLUICE_E_INTERNAL, "%s among %d devices: NCCL: %s", name, count,
                                        lib->ncclGetErrorString(e));
    return true;
}

cudaStream_t stream_of(const sluice_exec *x) { return ((const cuda_lane *)x->state)->stream; }
#endif

sluice_status copy_now(sluice_exec *x, const char *name, void *to, const void *from, size_t bytes)
{
    op_run r(x, name);
    if (bytes) r.check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, r.stream()));
    r.wait();
    return r.end();
}

} // namespace

sluice_status cuda_broadcast(sluice_exec *const *x, int count, void *const *p, size_t bytes)
{
    sluice_status st = SLUICE_OK;
    if (count < 2 || !bytes) return st;
    for (int i = 1; i < count; i++) cuda_written(p[i]);
#ifdef HAVE_NCCL
    auto rank = [&](const nccl *lib, int i, ncclComm_t comm) {
        return lib->ncclBroadcast(p[0], p[i], bytes, ncclUint8, 0, comm, stream_of(x[i]));
    };
    if (collective(x, count, "broadcast", &st, rank)) return st;
#endif
    std::vector<char> host(bytes);
    st = copy_now(x[0], "broadcast", host.data(), p[0], bytes);
    for (int i = 1; i < count && st == SLUICE_OK; i++) st = copy_now(x[i], "broadcast", p[i], host.data(), bytes);
    return st;
}

sluice_status cuda_gather(sluice_exec *const *x, int count, const void *const *from, void *const *to, size_t bytes)
{
    sluice_status st = SLUICE_OK;
    if (!bytes) return st;
    for (int i = 0; i < count; i++) cuda_written(to[i]);
#ifdef HAVE_NCCL
    auto rank = [&](const nccl *lib, int i, ncclComm_t comm) {
        return lib->ncclAllGather(from[i], to[i], bytes, ncclUint8, comm, stream_of(x[i]));
    };
    if (collective(x, count, "gather", &st, rank)) return st;
#endif
    std::vector<char> host(bytes * (size_t)count);
    for (int i = 0; i < count && st == SLUICE_OK; i++)
        st = copy_now(x[i], "gather", host.data() + (size_t)i * bytes, from[i], bytes);
    for (int i = 0; i < count && st == SLUICE_OK; i++) st = copy_now(x[i], "gather", to[i], host.data(), host.size());
    return st;
}
