/* cuda.h - what every .cu op includes: one run of an op on an exec's stream, and its arguments on the device.
 *
 *     sluice_status cuda_op_gate(sluice_exec *x, const sluice_op_gate_args *a)
 *     {
 *         op_run r(x, "gate");
 *         sluice_view y = r.in(a->y), g = r.inout(a->g);
 *         r.launch(gate, blocks(y.rows * y.cols, 256), 256, 0, y, g);
 *         return r.end();
 *     }
 *
 * Arguments in device memory are used where they lie, those that hold() brought there too; others in host memory are
 * copied to scratch and back.  Views from
 * in() have rows that begin at multiples of 16 bytes; what lies between a row's end and the next row is undefined.
 * After a failure every call does nothing and end() returns the first failure. */
#ifndef CUDA_H
#define CUDA_H

#include "gpu.h"
#include "sluice_backend.h"

#include <vector>

/* What alloc() keeps of each piece of device memory. */
bool cuda_owns(const void *p);

/* Whoever writes to device memory but by op_run's out() and inout() or the table's copy() says so; host: what came from
 * there.  cuda_mirror: what the memory at p holds, where the host knows (a small piece, copied there once), or NULL. */
void cuda_written(const void *p, const void *host = nullptr, size_t bytes = 0);
const void *cuda_mirror(const void *p, size_t bytes);

struct cuda_block {
    char *base;
    size_t bytes, used;
};

/* Rows that hold() brought to the device. */
struct cuda_rows {
    sluice_view host, device;
};

/* x->state.  Scratch is reused by the next op: the stream keeps them apart. */
struct cuda_lane {
    int device;
    cudaStream_t stream;
    std::vector<cuda_block> scratch; /* one block; more while an op outgrows it */
    std::vector<cuda_rows> held;
    struct library_handles *libraries = nullptr; /* libraries.cu's, at first use */
};

class op_run {
  public:
    op_run(sluice_exec *x, const char *name);
    ~op_run(); /* the caller's device is current again */
    op_run(const op_run &) = delete;

    sluice_view in(const sluice_view &v) { return stage(v, true, false); }
    sluice_view out(const sluice_view &v) { return stage(v, false, true); }
    sluice_view inout(const sluice_view &v) { return stage(v, true, true); }
    template <class T> const T *in(const T *p, int64_t n)
    {
        return (const T *)stage((void *)(uintptr_t)p, n, sizeof(T), true, false);
    }
    template <class T> T *out(T *p, int64_t n) { return (T *)stage(p, n, sizeof(T), false, true); }
    template <class T> T *inout(T *p, int64_t n) { return (T *)stage(p, n, sizeof(T), true, true); }
    template <class T> T *scratch(int64_t n) { return (T *)take((size_t)n * sizeof(T)); } /* 256-byte aligned */

    template <class... P, class... A>
    void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A &&...args)
    {
        if (status == SLUICE_OK && grid.x && grid.y && grid.z)
            check(gpu::launch(kernel, grid, block, shared, lane->stream, args...));
    }
    void check(cudaError_t e); /* a failure names the op, the device and CUDA's reason */
    sluice_status fail(sluice_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));
    bool ok() const { return status == SLUICE_OK; }
    void copy_rows(const sluice_view &to, const sluice_view &from, cudaMemcpyKind kind);
    void wait(); /* for what was launched so far: host code needs a result */

    /* Copies the outputs back.  Waits for them, and for inputs read from host memory, unless x->deferred. */
    sluice_status end();

    sluice_exec *x;
    cuda_lane *lane;
    cudaStream_t stream() const { return lane->stream; }

  private:
    struct output {
        sluice_view host, device;
    };
    void *take(size_t bytes);
    void *stage(void *p, int64_t n, size_t size, bool in, bool out);
    sluice_view stage(const sluice_view &v, bool in, bool out);
    const char *held(const void *p, size_t bytes, size_t stride, bool out);

    const char *name;
    int callers_device;
    sluice_status status;
    bool host_side; /* some argument lies in host memory */
    std::vector<output> outputs;
};

/* Blocks of `each` for n items; above 2^31 - 1 the launch fails with a named error. */
inline dim3 blocks(int64_t n, int64_t each) { return dim3((unsigned)((n + each - 1) / each)); }

/* Element (i, j) of a view of T. */
template <class T> __device__ __forceinline__ T *view_row(const sluice_view &v, int64_t i)
{
    return (T *)((char *)v.data + (size_t)i * v.stride);
}

/* An op of the list without its .cu is a link error. */
#define OP(name, line) sluice_status cuda_op_##name(sluice_exec *x, const sluice_op_##name##_args *a);
extern "C" {
#include "sluice_ops.def"
}
#undef OP

#endif
