/* step.cu - one step of an optimizer on a GPU, four weights a thread: adam and sgd.  Twin: step.c.
 *
 * Traffic a weight: adam reads 16 bytes and writes 12, sgd reads 12 and writes 8, and both 4 more for each further part
 * of the gradient; a dozen operations hide behind it. */
#include "cuda.h"
#include "exact.h"
#include "four.h"
#include "step.h"

enum { THREADS = 256 };

/* Of thread t the weights from 4 t. */
static __device__ __forceinline__ int64_t first_weight() { return 4 * ((int64_t)blockIdx.x * THREADS + threadIdx.x); }

/* All of a gradient's parts. */
struct parts {
    const float *grad;
    int64_t more, apart;
};

static __device__ __forceinline__ four sum_four(const parts &a, int64_t j, int64_t left)
{
    four g = load_four(a.grad + j, left);
    for (int64_t p = 1; p <= a.more; p++) {
        four q = load_four(a.grad + p * a.apart + j, left);
#pragma unroll
        for (int e = 0; e < 4; e++) g.v[e] += q.v[e];
    }
    return g;
}

template <class A> static parts stage_parts(op_run &r, const A *a)
{
    return { r.in(a->grad, a->count ? a->more * a->apart + a->count : 0), a->more, a->apart };
}

struct adam_rule {
    float beta1, beta2, gain1, gain2, epsilon, rate, decay;
};

static __device__ __forceinline__ void adam_one(const adam_rule &a, float *w, float g, float *m, float *v)
{
    *m = ex_fma(a.beta1, *m, (1.0f - a.beta1) * g);
    *v = ex_fma(a.beta2, *v, (1.0f - a.beta2) * (g * g));
    float u = *m / a.gain1 / (ex_sqrt(*v / a.gain2) + a.epsilon);
    *w = ex_fma(-a.rate, ex_fma(a.decay, *w, u), *w);
}

/* grid ceil(count / 4 THREADS), block THREADS, no shared memory.  w, m, v [count]. */
/* sass: kernel=adam_step registers<=40 local=0 ldg128 */
__global__ static void adam_step(adam_rule a, int64_t count, parts grad, float *w, float *m, float *v)
{
    int64_t j = first_weight(), left = count - j;
    if (left <= 0) return; /* no barrier follows */
    four wj = load_four(w + j, left), gj = sum_four(grad, j, left), mj = load_four(m + j, left),
         vj = load_four(v + j, left);
#pragma unroll
    for (int e = 0; e < 4; e++) adam_one(a, &wj.v[e], gj.v[e], &mj.v[e], &vj.v[e]);
    store_four(w + j, wj, left), store_four(m + j, mj, left), store_four(v + j, vj, left);
}

sluice_status cuda_op_adam(sluice_exec *x, const sluice_op_adam_args *a)
{
    op_run r(x, "adam");
    adam_rule rule = { a->beta1, a->beta2, step_gain(a->beta1, a->step), step_gain(a->beta2, a->step), a->epsilon,
                       a->rate,  a->decay };
    parts grad = stage_parts(r, a);
    float *w = r.inout(a->w, a->count), *m = r.inout(a->m, a->count), *v = r.inout(a->v, a->count);
    r.launch(adam_step, blocks(a->count, 4 * THREADS), THREADS, 0, rule, a->count, grad, w, m, v);
    return r.end();
}

struct sgd_rule {
    float rate, momentum, decay;
};

/* grid ceil(count / 4 THREADS), block THREADS, no shared memory.  w, m [count]. */
/* sass: kernel=sgd_step registers<=32 local=0 ldg128 */
__global__ static void sgd_step(sgd_rule a, int64_t count, parts grad, float *w, float *m)
{
    int64_t j = first_weight(), left = count - j;
    if (left <= 0) return; /* no barrier follows */
    four wj = load_four(w + j, left), gj = sum_four(grad, j, left), mj = load_four(m + j, left);
#pragma unroll
    for (int e = 0; e < 4; e++) {
        mj.v[e] = ex_fma(a.momentum, mj.v[e], ex_fma(a.decay, wj.v[e], gj.v[e]));
        wj.v[e] = ex_fma(-a.rate, mj.v[e], wj.v[e]);
    }
    store_four(w + j, wj, left), store_four(m + j, mj, left);
}

sluice_status cuda_op_sgd(sluice_exec *x, const sluice_op_sgd_args *a)
{
    op_run r(x, "sgd");
    sgd_rule rule = { a->rate, a->momentum, a->decay };
    parts grad = stage_parts(r, a);
    float *w = r.inout(a->w, a->count), *m = r.inout(a->m, a->count);
    r.launch(sgd_step, blocks(a->count, 4 * THREADS), THREADS, 0, rule, a->count, grad, w, m);
    return r.end();
}
