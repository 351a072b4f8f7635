/* reduce.cuh - ex_reduce() on a GPU and the columns written from it, for score.cu and the epilogues of the products.
 * Twin of stats.h; the definition is uncertainty.h.
 *
 * A row belongs to LANES neighbouring lanes, 1 or 16: class j to lane j % LANES, so that each of the 16 canonical
 * partials has one owner who adds to it in ascending order.  The fold by halves is symmetric and leaves the same bits in
 * every lane. */
#ifndef REDUCE_CUH
#define REDUCE_CUH

#include "cuda.h"
#include "uncertainty.h"

#include <type_traits>

/* The columns wanted, on the device. */
struct scorer {
    sluice_scores out;
    float temperature, log_c;
};

inline scorer scorer_new(op_run &r, const sluice_scores &out, int64_t n, int64_t c, float temperature)
{
    return { { r.out(out.least_confidence, n), r.out(out.margin, n), r.out(out.ratio, n), r.out(out.entropy, n),
               r.out(out.energy, n), r.out(out.confidence, n), r.out(out.prediction, n) },
             temperature,
             ex_log((float)c) };
}

/* The wanted scores of row i; each test is the same in all threads. */
__device__ __forceinline__ void scorer_write(const scorer &w, int64_t i, const ex_stat &st)
{
    const sluice_scores &o = w.out;
    if (o.least_confidence) o.least_confidence[i] = ex_least_confidence(st);
    if (o.margin) o.margin[i] = ex_margin(st);
    if (o.ratio) o.ratio[i] = ex_ratio(st);
    if (o.entropy) o.entropy[i] = ex_entropy(st, w.log_c);
    if (o.energy) o.energy[i] = ex_energy(st, w.temperature);
    if (o.confidence) o.confidence[i] = ex_confidence(st);
    if (o.prediction) o.prediction[i] = st.best < 0 ? ex_nan() : (float)st.best;
}

namespace reduce {

/* ex_logit; dividing by 1 changes nothing and is left out. */
__device__ __forceinline__ float logit(float z, float temperature)
{
    return temperature == 1.0f ? z + 0.0f : ex_logit(z, temperature);
}

/* The two largest of some classes. */
struct two {
    float z1, z2;
    int32_t best;
    int bad; /* a logit is not finite */
};

__device__ __forceinline__ two two_begin() { return { -ex_inf(), -ex_inf(), 0, 0 }; }

__device__ __forceinline__ void two_add(two &m, float y, int32_t j)
{
    bool first = y > m.z1;
    m.z2 = first ? m.z1 : y > m.z2 ? y : m.z2;
    m.best = first ? j : m.best;
    m.z1 = first ? y : m.z1;
    m.bad |= !ex_finite(y);
}

/* Of a row's classes in all its lanes. */
template <int LANES> __device__ __forceinline__ two two_join(two m)
{
    for (int h = LANES / 2; h; h /= 2) {
        two o = { __shfl_xor_sync(~0u, m.z1, h), __shfl_xor_sync(~0u, m.z2, h), __shfl_xor_sync(~0u, m.best, h),
                  __shfl_xor_sync(~0u, m.bad, h) };
        bool theirs = o.z1 > m.z1 || (o.z1 == m.z1 && o.best < m.best);
        float loser = theirs ? m.z1 : o.z1, second = theirs ? o.z2 : m.z2;
        m.z2 = loser > second ? loser : second;
        m.z1 = theirs ? o.z1 : m.z1;
        m.best = theirs ? o.best : m.best;
        m.bad |= o.bad;
    }
    return m;
}

/* A class into its partial. */
__device__ __forceinline__ void add(float y, int32_t j, const two &m, float &s, float &t)
{
    if (j == m.best) return;
    float d = ex_gap(y, m.z1), e = ex_exp(d);
    s += e;
    t = ex_fma(e, d, t);
}

/* ex_fold16 over the lanes of a row; p[i] is partial LANES * i + lane. */
template <int LANES> __device__ __forceinline__ float fold(const float *p)
{
    if constexpr (LANES == 1) return ex_fold16(p);
    float a = p[0];
    for (int h = 8; h; h /= 2) a += __shfl_xor_sync(~0u, a, h);
    return a;
}

__device__ __forceinline__ ex_stat stat(const two &m, float s, float t)
{
    return m.bad ? ex_bad_stat() : ex_stat{ m.z1, m.z2, s, t, m.best };
}

/* The stat of logits z(0) .. z(c - 1).  All 32 lanes of the warp come here together, for the shuffles: a bad row goes
 * through the sums like any other. */
template <int LANES, class Z> __device__ __forceinline__ ex_stat row(const Z &z, int c, float temperature)
{
    static_assert(LANES == 1 || LANES == 16, "the 16 partials of a row");
    enum { OWN = 16 / LANES }; /* partials of a lane */
    int lane = threadIdx.x % LANES;
    two m = two_begin();
    for (int from = lane; from < c; from += 16)
#pragma unroll
        for (int i = 0; i < OWN; i++)
            if (from + i < c) two_add(m, logit(z(from + i), temperature), from + i);
    m = two_join<LANES>(m);
    float s[OWN] = {}, t[OWN] = {};
    for (int block = 0; block < c; block += EX_BLOCK_CLASSES) {
        int to = c - block < EX_BLOCK_CLASSES ? c : block + EX_BLOCK_CLASSES;
        float ps[OWN] = {}, pt[OWN] = {};
        for (int from = block + lane; from < to; from += 16)
#pragma unroll
            for (int i = 0; i < OWN; i++)
                if (from + i < to) add(logit(z(from + i), temperature), from + i, m, ps[i], pt[i]);
#pragma unroll
        for (int i = 0; i < OWN; i++) s[i] += ps[i], t[i] += pt[i];
    }
    return stat(m, fold<LANES>(s), fold<LANES>(t));
}

/* The stat of a row in one thread's registers: c is C or C - 1, at most 16.  Sums of one term each: + 0 changes none. */
template <int C> __device__ __forceinline__ ex_stat few(const float (&z)[C], int c, float temperature)
{
    float y[C], s[16] = {}, t[16] = {};
    two m = two_begin();
#pragma unroll
    for (int j = 0; j < C; j++) {
        y[j] = logit(z[j], temperature);
        if (j < C - 1 || c == C) two_add(m, y[j], j);
    }
#pragma unroll
    for (int j = 0; j < C; j++)
        if (j < C - 1 || c == C) add(y[j], j, m, s[j], t[j]);
    return stat(m, ex_fold16(s), ex_fold16(t));
}

} // namespace reduce

/* Calls f with integral_constant<int, C>, C the even number of classes that holds c, 1 <= c <= 16. */
template <class F> inline void with_classes(int64_t c, const F &f)
{
    switch ((c + 1) / 2) {
    case 1: return f(std::integral_constant<int, 2>{});
    case 2: return f(std::integral_constant<int, 4>{});
    case 3: return f(std::integral_constant<int, 6>{});
    case 4: return f(std::integral_constant<int, 8>{});
    case 5: return f(std::integral_constant<int, 10>{});
    case 6: return f(std::integral_constant<int, 12>{});
    case 7: return f(std::integral_constant<int, 14>{});
    default: return f(std::integral_constant<int, 16>{});
    }
}

#endif
