// simt.h - run CUDA kernels' own source on the CPU: one fiber per CUDA thread, one block at a time.
// Compile the .cu with `g++ -x c++ -DSLUICE_SIMT -isystem <cuda>/include`, link simt.cpp instead of cudart.
// The toolkit's host headers give types (float4, dim3, __half, __nv_bfloat16, cudaError_t); nothing of cudart is linked.
#pragma once
#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#undef __shared__
#undef __launch_bounds__
#undef __forceinline__
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#define __forceinline__ inline                       // not always_inline: keeps gdb/coverage/ASan frames usable
#define __launch_bounds__(...)
// static __shared__: thread_local, so that the executable's TLS segment IS the block's static shared memory and can be
// poisoned and range-checked (GCC ignores section attributes on statics of templates). ASan puts no redzones around TLS,
// so its builds use plain statics: redzones, but no poison.
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static
#else
#define __shared__ static thread_local
#endif
// dynamic shared memory: the one thing that needs a macro (see gpu.h for nvcc's version)
#define SIMT_DYNAMIC(T, name) T *name = static_cast<T *>(simt::dyn_smem())

#define SIMT_SITE const char *f_ = __builtin_FILE(), int l_ = __builtin_LINE()

namespace simt {
enum class St : uint8_t { Ready, Block, Warp, Done };
using Resolve = void (*)(void **io, uint32_t active);   // runs once, in the last arriving lane, for all lanes
struct CpAsync { void *dst; const void *src; unsigned n, bytes; int group; };
struct Thread {
  uint3 tid; uint32_t lin; uint16_t warp; uint8_t lane; St st; bool started;
  void *sp; char *stack; void *fake;                    // fake: ASan's per-fiber fake stack
  const char *file; int line; uint32_t mask; int pred; int result; void *io; Resolve fn; const char *what;
  uint32_t wepoch;                                      // race detector: count of warp-level syncs passed
  int cp_group; std::vector<CpAsync> cp;                // pending cp.async copies (made visible at wait_group)
};
struct Options {
  int order = 0;            // 0 forward, 1 reverse, 2 random (seed)
  uint64_t seed = 1;
  bool preempt = false;     // yield at random at atomics
  bool strict_site = true;  // collectives met from different source lines are errors
  bool poison = true;       // fill shared memory with 0xFF at block start
  float ulp_noise = 0;      // +- so many ulp of noise on approximate intrinsics
};
struct Stats { uint64_t blocks, threads, switches, block_syncs, warp_ops, mmas; };
extern Options opt;
extern Stats stats;
extern Thread *self;
extern dim3 g_blockIdx, g_blockDim, g_gridDim;
extern char last_error[1024];

[[noreturn]] void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *dyn_smem();
size_t dyn_smem_size();
void warp_op(uint32_t mask, void *io, Resolve fn, const char *what, const char *file, int line);
int block_sync(int kind, int pred, const char *what, const char *file, int line);
void yield();
void maybe_preempt();
uint64_t rnd();
uint32_t active_lanes();                                 // lanes of my warp that have not exited
void cp_async(void *dst, const void *src, unsigned n, unsigned bytes);
void cp_commit();
void cp_wait(int keep);
cudaError_t run(void (*body)(const void *), const void *ctx, dim3 g, dim3 b, size_t smem, const void *fn, const char *name);
cudaError_t set_max_dyn_smem(const void *fn, int bytes);

template <class... P, class... A>
cudaError_t launch(void (*k)(P...), dim3 g, dim3 b, size_t smem, cudaStream_t, A &&...a) {
  using Ctx = std::pair<void (*)(P...), std::tuple<std::remove_cv_t<P>...>>;
  Ctx ctx{k, std::tuple<std::remove_cv_t<P>...>(std::forward<A>(a)...)};
  return run([](const void *p) { auto *c = static_cast<const Ctx *>(p); std::apply(c->first, c->second); },
             &ctx, g, b, smem, reinterpret_cast<const void *>(k), "kernel");
}
template <class T> struct same { using type = T; };
template <class T> using same_t = typename same<T>::type;
template <class T> T poisoned() { T t; memset(&t, 0xFF, sizeof t); return t; }
float approx(float v);                                   // adds opt.ulp_noise
}  // namespace simt

#define threadIdx (simt::self->tid)
#define blockIdx (simt::g_blockIdx)
#define blockDim (simt::g_blockDim)
#define gridDim (simt::g_gridDim)
#define warpSize 32

// ---- barriers ------------------------------------------------------------------------------------------------
inline void __syncthreads(SIMT_SITE) { simt::block_sync(0, 0, "__syncthreads", f_, l_); }
inline int __syncthreads_count(int p, SIMT_SITE) { return simt::block_sync(1, p, "__syncthreads_count", f_, l_); }
inline int __syncthreads_and(int p, SIMT_SITE) { return simt::block_sync(2, p, "__syncthreads_and", f_, l_); }
inline int __syncthreads_or(int p, SIMT_SITE) { return simt::block_sync(3, p, "__syncthreads_or", f_, l_); }
inline void __syncwarp(unsigned m = ~0u, SIMT_SITE) { simt::warp_op(m, nullptr, nullptr, "__syncwarp", f_, l_); }
inline void __threadfence() { simt::maybe_preempt(); }
inline void __threadfence_block() { simt::maybe_preempt(); }
inline void __threadfence_system() { simt::maybe_preempt(); }
inline void __nanosleep(unsigned) { simt::yield(); }
[[noreturn]] inline void __trap() { simt::fail("__trap()"); }

// ---- warp collectives ----------------------------------------------------------------------------------------
namespace simt {
template <class T> struct ShflIO { T v, out; int arg, width; };
template <class T, int KIND> void shfl_resolve(void **io, uint32_t act) {
  for (int l = 0; l < 32; l++) {
    if (!(act >> l & 1)) continue;
    auto *x = static_cast<ShflIO<T> *>(io[l]);
    int w = x->width, seg = l & ~(w - 1), last = seg | (w - 1), s = l;
    if (KIND == 0) s = seg | (x->arg & (w - 1));
    if (KIND == 1) { s = l - x->arg; if (s < seg) s = l; }
    if (KIND == 2) { s = l + x->arg; if (s > last) s = l; }
    if (KIND == 3) { s = l ^ x->arg; if (s > last) s = l; }
    x->out = (act >> s & 1) ? static_cast<ShflIO<T> *>(io[s])->v : poisoned<T>();   // inactive source: undefined
  }
}
template <class T, int KIND> T shfl(uint32_t m, T v, int arg, int width, const char *what, const char *f, int l) {
  static_assert(std::is_trivially_copyable<T>::value && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8), "shfl type");
  ShflIO<T> x{v, v, arg, width};
  warp_op(m, &x, shfl_resolve<T, KIND>, what, f, l);
  return x.out;
}
struct VoteIO { uint64_t v; uint32_t out; };
template <int KIND> void vote_resolve(void **io, uint32_t act) {
  uint32_t bal = 0, sum = 0, mx = 0, mn = ~0u, a = ~0u, o = 0, x = 0; int smx = INT32_MIN, smn = INT32_MAX;
  for (int l = 0; l < 32; l++) if (act >> l & 1) {
    uint32_t v = (uint32_t)static_cast<VoteIO *>(io[l])->v;
    bal |= (v != 0) << l; sum += v; a &= v; o |= v; x ^= v;
    if (v > mx) mx = v;
    if (v < mn) mn = v;
    if ((int)v > smx) smx = (int)v;
    if ((int)v < smn) smn = (int)v;
  }
  uint32_t r[] = {bal, bal != 0, bal == act, sum, mx, mn, (uint32_t)smx, (uint32_t)smn, a, o, x};
  for (int l = 0; l < 32; l++) if (act >> l & 1) {
    auto *q = static_cast<VoteIO *>(io[l]);
    if (KIND < 11) q->out = r[KIND];
    else { q->out = 0; for (int k = 0; k < 32; k++) if ((act >> k & 1) && static_cast<VoteIO *>(io[k])->v == q->v) q->out |= 1u << k; }
  }
}
template <int KIND> uint32_t vote(uint32_t m, uint64_t v, const char *what, const char *f, int l) {
  VoteIO x{v, 0}; warp_op(m, &x, vote_resolve<KIND>, what, f, l); return x.out;
}
}  // namespace simt
template <class T> T __shfl_sync(unsigned m, T v, int s, int w = 32, SIMT_SITE) { return simt::shfl<T, 0>(m, v, s, w, "__shfl_sync", f_, l_); }
template <class T> T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_SITE) { return simt::shfl<T, 1>(m, v, (int)d, w, "__shfl_up_sync", f_, l_); }
template <class T> T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_SITE) { return simt::shfl<T, 2>(m, v, (int)d, w, "__shfl_down_sync", f_, l_); }
template <class T> T __shfl_xor_sync(unsigned m, T v, int x, int w = 32, SIMT_SITE) { return simt::shfl<T, 3>(m, v, x, w, "__shfl_xor_sync", f_, l_); }
inline unsigned __ballot_sync(unsigned m, int p, SIMT_SITE) { return simt::vote<0>(m, (unsigned)p, "__ballot_sync", f_, l_); }
inline int __any_sync(unsigned m, int p, SIMT_SITE) { return (int)simt::vote<1>(m, (unsigned)p, "__any_sync", f_, l_); }
inline int __all_sync(unsigned m, int p, SIMT_SITE) { return (int)simt::vote<2>(m, (unsigned)p, "__all_sync", f_, l_); }
template <class T> T __reduce_add_sync(unsigned m, T v, SIMT_SITE) { return (T)simt::vote<3>(m, (unsigned)v, "__reduce_add_sync", f_, l_); }
inline unsigned __reduce_max_sync(unsigned m, unsigned v, SIMT_SITE) { return simt::vote<4>(m, v, "__reduce_max_sync", f_, l_); }
inline unsigned __reduce_min_sync(unsigned m, unsigned v, SIMT_SITE) { return simt::vote<5>(m, v, "__reduce_min_sync", f_, l_); }
inline int __reduce_max_sync(unsigned m, int v, SIMT_SITE) { return (int)simt::vote<6>(m, (unsigned)v, "__reduce_max_sync", f_, l_); }
inline int __reduce_min_sync(unsigned m, int v, SIMT_SITE) { return (int)simt::vote<7>(m, (unsigned)v, "__reduce_min_sync", f_, l_); }
inline unsigned __reduce_and_sync(unsigned m, unsigned v, SIMT_SITE) { return simt::vote<8>(m, v, "__reduce_and_sync", f_, l_); }
inline unsigned __reduce_or_sync(unsigned m, unsigned v, SIMT_SITE) { return simt::vote<9>(m, v, "__reduce_or_sync", f_, l_); }
inline unsigned __reduce_xor_sync(unsigned m, unsigned v, SIMT_SITE) { return simt::vote<10>(m, v, "__reduce_xor_sync", f_, l_); }
template <class T> unsigned __match_any_sync(unsigned m, T v, SIMT_SITE) {
  uint64_t u = 0; memcpy(&u, &v, sizeof v); return simt::vote<11>(m, u, "__match_any_sync", f_, l_);
}
inline unsigned __activemask() { return simt::active_lanes(); }     // upper bound: hardware may give any subset

// ---- atomics (blocks run one after another on one OS thread; __atomic keeps TSan's view right) ------------------
namespace simt {
void on_atomic(void *p, unsigned size);                              // alignment check, preemption point, race detector
template <class T, class F> T rmw(T *p, F f) {
  on_atomic((void *)p, sizeof(T));
  T o, n; __atomic_load(p, &o, __ATOMIC_RELAXED);
  do n = f(o); while (!__atomic_compare_exchange(p, &o, &n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return o;
}
}
template <class T> T atomicAdd(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o + v; }); }
template <class T> T atomicSub(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o - v; }); }
template <class T> T atomicMax(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o > v ? o : v; }); }
template <class T> T atomicMin(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o < v ? o : v; }); }
template <class T> T atomicAnd(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o & v; }); }
template <class T> T atomicOr(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o | v; }); }
template <class T> T atomicXor(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T o) -> T { return o ^ v; }); }
template <class T> T atomicExch(T *p, simt::same_t<T> v) { return simt::rmw(p, [=](T) -> T { return v; }); }
template <class T> T atomicCAS(T *p, simt::same_t<T> c, simt::same_t<T> v) {
  T o = simt::rmw(p, [=](T x) -> T { return x == c ? v : x; });
  if (o != c) simt::yield();                                         // lets spin locks between threads make progress
  return o;
}
inline unsigned atomicInc(unsigned *p, unsigned v) { return simt::rmw(p, [=](unsigned o) { return o >= v ? 0u : o + 1; }); }
inline unsigned atomicDec(unsigned *p, unsigned v) { return simt::rmw(p, [=](unsigned o) { return o == 0 || o > v ? v : o - 1; }); }

// ---- memory ----------------------------------------------------------------------------------------------------
namespace simt {
#if defined(SIMT_TRACE)                                              // one traced access per vector load, as the device does
void trace_access(const void *p, unsigned size, bool write);
template <class T> __attribute__((noinline, no_sanitize("thread"))) T ld(const T *p) { trace_access(p, sizeof(T), false); T v; __builtin_memcpy(&v, p, sizeof v); return v; }
template <class T> __attribute__((noinline, no_sanitize("thread"))) void st(T *p, T v) { trace_access(p, sizeof(T), true); __builtin_memcpy(p, &v, sizeof v); }
#else
template <class T> T ld(const T *p) { return *p; }
template <class T> void st(T *p, T v) { *p = v; }
#endif
}
template <class T> T __ldg(const T *p) { return simt::ld(p); }
template <class T> T __ldcs(const T *p) { return simt::ld(p); }
template <class T> T __ldca(const T *p) { return simt::ld(p); }
template <class T> T __ldcg(const T *p) { return simt::ld(p); }
template <class T> T __ldlu(const T *p) { return simt::ld(p); }
template <class T> void __stcs(T *p, simt::same_t<T> v) { simt::st(p, v); }
template <class T> void __stcg(T *p, simt::same_t<T> v) { simt::st(p, v); }
template <class T> void __stwt(T *p, simt::same_t<T> v) { simt::st(p, v); }

// ---- arithmetic --------------------------------------------------------------------------------------------------
namespace simt { template <class A, class B> using com = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value, std::common_type_t<A, B>>; }
template <class A, class B> inline simt::com<A, B> min(A a, B b) { using C = std::common_type_t<A, B>; if constexpr (std::is_floating_point<C>::value) return std::fmin((C)a, (C)b); else return (C)a < (C)b ? (C)a : (C)b; }
template <class A, class B> inline simt::com<A, B> max(A a, B b) { using C = std::common_type_t<A, B>; if constexpr (std::is_floating_point<C>::value) return std::fmax((C)a, (C)b); else return (C)a > (C)b ? (C)a : (C)b; }
inline float rsqrtf(float x) { return simt::approx(1.0f / sqrtf(x)); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return simt::approx(exp2f(x * 1.4426950408889634f)); }   // as the device: ex2.approx(x*log2e)
inline float __exp10f(float x) { return simt::approx(exp2f(x * 3.3219280948873623f)); }
inline float __logf(float x) { return simt::approx(log2f(x)) * 0.6931471805599453f; }
inline float __log2f(float x) { return simt::approx(log2f(x)); }
inline float __powf(float x, float y) { return simt::approx(exp2f(y * log2f(x))); }
inline float __sinf(float x) { return simt::approx(sinf(x)); }
inline float __cosf(float x) { return simt::approx(cosf(x)); }
inline float __fdividef(float x, float y) { float a = fabsf(y); return a > 0x1p126f && a <= 3.402823466e38f ? (std::isinf(x) ? NAN : 0.f * x) : simt::approx(x / y); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }
namespace simt { template <class D, class S> D bits(S s) { static_assert(sizeof(D) == sizeof(S), ""); D d; memcpy(&d, &s, sizeof d); return d; } }
inline int __float_as_int(float x) { return simt::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return simt::bits<unsigned>(x); }
inline float __int_as_float(int x) { return simt::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return simt::bits<float>(x); }
inline long long __double_as_longlong(double x) { return simt::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return simt::bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(unsigned x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(unsigned long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
inline int __ffsll(unsigned long long x) { return __builtin_ffsll((long long)x); }
inline unsigned __brev(unsigned x) { unsigned r = 0; for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i); return r; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) { s &= 31; return s ? hi << s | lo >> (32 - s) : hi; }
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) { s &= 31; return s ? hi << (32 - s) | lo >> s : lo; }
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
  uint64_t v = (uint64_t)b << 32 | a; unsigned r = 0;
  for (int i = 0; i < 4; i++) r |= (unsigned)(v >> 8 * (s >> 4 * i & 7) & 255) << 8 * i;
  return r;
}
inline size_t __cvta_generic_to_shared(const void *p) { return (size_t)p; }
inline long long clock64() { return (long long)simt::stats.switches; }

// ---- host API that only exists as templates in cuda_runtime.h ---------------------------------------------------
template <class... P> cudaError_t cudaFuncSetAttribute(void (*k)(P...), cudaFuncAttribute a, int v) {
  return a == cudaFuncAttributeMaxDynamicSharedMemorySize ? simt::set_max_dyn_smem(reinterpret_cast<const void *>(k), v) : cudaSuccess;
}
template <class T> cudaError_t cudaMalloc(T **p, size_t n) { return ::cudaMalloc(reinterpret_cast<void **>(p), n); }
template <class T> cudaError_t cudaMemcpyToSymbol(T &sym, const void *src, size_t n, size_t off = 0, cudaMemcpyKind = cudaMemcpyHostToDevice) { memcpy(reinterpret_cast<char *>(&sym) + off, src, n); return cudaSuccess; }
