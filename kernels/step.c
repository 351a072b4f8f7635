/* step.c - one step of an optimizer on the CPU: adam and sgd.  Contract in sluice_backend.h. */
#include "cpu.h"
#include "lanes.h"
#include "step.h"

enum { PIECE = 4096 }; /* weights a thread takes at a time */

/* Weights j .. j + n - 1 of the gradient. */
V16_FN v16 gradient(const float *grad, int64_t more, int64_t apart, int64_t j, int64_t n)
{
    v16 g = v16_load_n(grad + j, n, 0);
    for (int64_t p = 1; p <= more; p++) g = v16_add(g, v16_load_n(grad + p * apart + j, n, 0));
    return g;
}

typedef struct adam_work {
    const sluice_op_adam_args *a;
    float gain1, gain2; /* of m and v */
} adam_work;

V16_FN void adam_16(const adam_work *p, v16 *w, v16 g, v16 *m, v16 *v)
{
    const sluice_op_adam_args *a = p->a;
    *m = v16_fma(v16_set1(a->beta1), *m, v16_mul(v16_set1(1.0f - a->beta1), g));
    *v = v16_fma(v16_set1(a->beta2), *v, v16_mul(v16_set1(1.0f - a->beta2), v16_mul(g, g)));
    v16 root = v16_add(v16_sqrt(v16_div(*v, v16_set1(p->gain2))), v16_set1(a->epsilon));
    v16 u = v16_div(v16_div(*m, v16_set1(p->gain1)), root);
    *w = v16_fma(v16_set1(-a->rate), v16_fma(v16_set1(a->decay), *w, u), *w);
}

static void adam_pieces(void *arg, int64_t first, int64_t last, int thread)
{
    const adam_work *p = arg;
    const sluice_op_adam_args *a = p->a;
    (void)thread;
    for (int64_t j = first; j < last; j += 16) {
        int64_t n = cpu_min(16, last - j);
        v16 w = v16_load_n(a->w + j, n, 0), m = v16_load_n(a->m + j, n, 0), v = v16_load_n(a->v + j, n, 0);
        adam_16(p, &w, gradient(a->grad, a->more, a->apart, j, n), &m, &v);
        v16_store_n(a->w + j, w, n), v16_store_n(a->m + j, m, n), v16_store_n(a->v + j, v, n);
    }
}

sluice_status TIER_FN(op_adam)(sluice_exec *x, const sluice_op_adam_args *a)
{
    adam_work p = { a, step_gain(a->beta1, a->step), step_gain(a->beta2, a->step) };
    cpu_parallel(x, a->count, PIECE, adam_pieces, &p);
    return SLUICE_OK;
}

static void sgd_pieces(void *arg, int64_t first, int64_t last, int thread)
{
    const sluice_op_sgd_args *a = arg;
    (void)thread;
    for (int64_t j = first; j < last; j += 16) {
        int64_t n = cpu_min(16, last - j);
        v16 w = v16_load_n(a->w + j, n, 0), m = v16_load_n(a->m + j, n, 0);
        v16 g = gradient(a->grad, a->more, a->apart, j, n);
        m = v16_fma(v16_set1(a->momentum), m, v16_fma(v16_set1(a->decay), w, g));
        w = v16_fma(v16_set1(-a->rate), m, w);
        v16_store_n(a->w + j, w, n), v16_store_n(a->m + j, m, n);
    }
}

sluice_status TIER_FN(op_sgd)(sluice_exec *x, const sluice_op_sgd_args *a)
{
    cpu_parallel(x, a->count, PIECE, sgd_pieces, (void *)(uintptr_t)a);
    return SLUICE_OK;
}
