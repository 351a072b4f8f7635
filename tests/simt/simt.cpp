// simt.cpp - scheduler of the emulator, and the few cudart entry points the host code uses.
#include "simt.h"
#include <cstdarg>
#include <cstdlib>
#include <ctime>
#include <algorithm>
#include <map>
#include <string>
#include <vector>
#include <sys/mman.h>
#include <link.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/asan_interface.h>
#define ASAN 1
#else
#define ASAN 0
#endif
#if defined(SIMT_TSAN)    // real TSan: each CUDA thread is a TSan fiber
#include <sanitizer/tsan_interface.h>
#define TSAN 1
#else
#define TSAN 0
#endif

extern "C" void simt_switch(void **save, void *to);
#if defined(__x86_64__)
asm(R"(
.pushsection .text
.globl simt_switch
.type simt_switch,@function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch,.-simt_switch
.popsection
)");
#else
#error "add the 20-line switch for this CPU, or use ucontext"
#endif


namespace simt {
Options opt; Stats stats; Thread *self; dim3 g_blockIdx, g_blockDim, g_gridDim; char last_error[1024];
int g_block_epoch;                                        // race detector: __syncthreads passed in this block
char *g_dyn_lo, *g_dyn_hi, *g_stk_lo, *g_stk_hi, *g_tls_lo, *g_tls_hi;          // ranges, for simt_trace.cpp
void __attribute__((weak)) trace_launch(const char *) {}
void __attribute__((weak)) trace_block() {}
void __attribute__((weak)) trace_atomic(void *, unsigned) {}
void __attribute__((weak)) trace_copy(void *, const void *, unsigned, unsigned) {}
void __attribute__((weak)) trace_done() {}
void __attribute__((weak)) trace_alloc(void *, size_t) {}

#ifndef SIMT_STACK
#define SIMT_STACK (ASAN ? 256 << 10 : 64 << 10)
#endif
static const size_t STK = SIMT_STACK, GUARD = 4096;
static const int MAXT = 1024;
static Thread T[MAXT];
static int nT, alive, arrived;
static struct { uint32_t alive, waiting; } W[32];
static std::vector<Thread *> ready; static size_t rd_head;   // FIFO with a moving head
static std::vector<char *> freestk; static char *allstk; static int nstk;
static void *main_sp;
#if ASAN
static void *main_fake; static const void *main_bot; static size_t main_sz;
#endif
static void (*body)(const void *); static const void *ctx;
static bool failed; static uint64_t rs = 88172645463325252ull;
static void *dyn; static size_t dyn_n;
static std::map<const void *, int> smem_max;
#if TSAN
static void *main_tsan; static std::vector<void *> tsan_f;
#endif

uint64_t rnd() { rs ^= rs << 13; rs ^= rs >> 7; rs ^= rs << 17; return rs; }
void *dyn_smem() { return dyn; }
size_t dyn_smem_size() { return dyn_n; }
float approx(float v) {
  if (opt.ulp_noise == 0 || !std::isfinite(v)) return v;
  double u = (double)(rnd() >> 11) * 0x1p-53 * 2 - 1;
  return (float)((double)v * (1 + u * (double)opt.ulp_noise * 0x1p-23));
}
static char *get_stack() {
  if (!allstk) {
    allstk = (char *)mmap(nullptr, (STK + GUARD) * MAXT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (allstk == MAP_FAILED) { perror("mmap"); abort(); }
    g_stk_lo = allstk; g_stk_hi = allstk + (STK + GUARD) * MAXT;
  }
  if (freestk.empty()) {
    char *s = allstk + (STK + GUARD) * (size_t)nstk++;
    mprotect(s, GUARD, PROT_NONE);                        // overflow => SIGSEGV, not silent corruption
    freestk.push_back(s + GUARD);
  }
  char *s = freestk.back(); freestk.pop_back();
#if ASAN
  __asan_unpoison_memory_region(s, STK);                  // a fiber that died left its frames' redzones behind
#endif
  return s;
}
#ifndef SIMT_COLOUR
#define SIMT_COLOUR 512
#endif
// tops of equally spaced stacks share one L1 set; shifting them by 512 bytes each makes switching several times cheaper
static uintptr_t *top_of(char *stk) { return reinterpret_cast<uintptr_t *>(stk + STK - (size_t)(stk - allstk) / (STK + GUARD) % 32 * SIMT_COLOUR); }
static void push_ready(Thread *t) { t->st = St::Ready; ready.push_back(t); }
static Thread *pop_ready() {
  if (rd_head == ready.size()) return nullptr;
  if (opt.order == 2) std::swap(ready[rd_head], ready[rd_head + rnd() % (ready.size() - rd_head)]);
  Thread *t = ready[rd_head++];
  if (rd_head == ready.size()) { ready.clear(); rd_head = 0; }
  return t;
}
static void release_all(Thread **v, int n) {
  if (opt.order == 1) for (int i = n; i-- > 0;) push_ready(v[i]);
  else for (int i = 0; i < n; i++) push_ready(v[i]);
}
static void fiber_main();
static void *dummy;                                       // where dying fibers save sp; static: ASan's fake frames are gone by then

static void to_main(bool dying) {
#if ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr : &self->fake, main_bot, main_sz);
#endif
#if TSAN
  __tsan_switch_to_fiber(main_tsan, __tsan_switch_to_fiber_no_sync);
#endif
  (void)dying; simt_switch(&dummy, main_sp); __builtin_unreachable();
}
// leave the current fiber (parked or dying) for t
static void jump(Thread *from, Thread *t, bool dying) {
  void **save = dying ? &dummy : &from->sp;
  stats.switches++;
  if (!t->started) {
    t->started = true; t->stack = get_stack(); t->fake = nullptr;
    uintptr_t *sp = top_of(t->stack);
    *--sp = 0; *--sp = reinterpret_cast<uintptr_t>(&fiber_main);   // rsp is 8 mod 16 at entry, as after a call
    sp -= 6; memset(sp, 0, 48); t->sp = sp;
  }
  self = t;
#if ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr : &from->fake, t->stack, STK);
#endif
#if TSAN
  __tsan_switch_to_fiber(tsan_f[t->lin], __tsan_switch_to_fiber_no_sync);
#endif
  simt_switch(save, t->sp);
#if ASAN
  __sanitizer_finish_switch_fiber(self->fake, nullptr, nullptr);
#endif
}

void fail(const char *fmt, ...) {
  va_list ap; va_start(ap, fmt); int n = vsnprintf(last_error, sizeof last_error, fmt, ap); va_end(ap);
  if (self && n < (int)sizeof last_error)
    snprintf(last_error + n, sizeof last_error - (size_t)n, " [block (%u,%u,%u) thread (%u,%u,%u)]", g_blockIdx.x, g_blockIdx.y, g_blockIdx.z, self->tid.x, self->tid.y, self->tid.z);
  failed = true;
  to_main(false);
  abort();
}
static void deadlock() {
  std::map<std::string, std::pair<int, std::string>> g;
  for (int i = 0; i < nT; i++) if (T[i].st != St::Done) {
    char b[256]; snprintf(b, sizeof b, "%s at %s:%d mask %08x", T[i].what, strrchr(T[i].file, '/') ? strrchr(T[i].file, '/') + 1 : T[i].file, T[i].line, T[i].st == St::Warp ? T[i].mask : 0u);
    auto &e = g[b]; if (e.first++ < 8) e.second += " " + std::to_string(i);
  }
  std::string s = "deadlock:";
  for (auto &e : g) s += " {" + std::to_string(e.second.first) + " threads (" + e.second.second + " ..) wait in " + e.first + "}";
  if (nT != alive) s += " {" + std::to_string(nT - alive) + " threads exited}";
  fail("%s", s.c_str());
}
// self has stopped being runnable: run someone else, come back when released
static void park() {
  Thread *me = self, *t = pop_ready();
  if (!t) deadlock();
  if (t == me) return;
  jump(me, t, false);
}
static void check_block() {
  if (!alive || arrived != alive) return;
  Thread *v[MAXT]; int n = 0, cnt = 0; Thread *a = nullptr;
  for (int i = 0; i < nT; i++) if (T[i].st == St::Block) {
    if (!a) a = &T[i];
    if (T[i].what != a->what || (opt.strict_site && (T[i].line != a->line || strcmp(T[i].file, a->file))))
      fail("divergent barrier: %s at line %d met %s at line %d", a->what, a->line, T[i].what, T[i].line);
    cnt += T[i].pred != 0; v[n++] = &T[i];
  }
  int r[4] = {0, cnt, cnt == n, cnt != 0};
  for (int i = 0; i < n; i++) v[i]->result = r[v[i]->result];
  arrived = 0; g_block_epoch++; stats.block_syncs++;
  release_all(v, n);
}
int block_sync(int kind, int pred, const char *what, const char *file, int line) {
  Thread *t = self;
  t->st = St::Block; t->file = file; t->line = line; t->pred = pred; t->result = kind; t->what = what;
  arrived++;
#if TSAN
  __tsan_release(&arrived);
#endif
  check_block(); park();
#if TSAN
  __tsan_acquire(&arrived);
#endif
  return t->result;
}
static bool check_warp(unsigned w) {                        // completes every group of lanes whose members all arrived
  for (uint32_t left = W[w].waiting; left;) {
    int l0 = __builtin_ctz(left); Thread *a = &T[w * 32 + (unsigned)l0];
    uint32_t m = a->mask & W[w].alive; left &= ~m;
    if ((W[w].waiting & m) != m) continue;
    void *io[32]; Thread *v[32]; int n = 0;
    for (uint32_t r = m; r; r &= r - 1) {
      int l = __builtin_ctz(r); Thread *b = &T[w * 32 + (unsigned)l];
      if (b->mask != a->mask) fail("%s at line %d: lane %d names mask %08x, lane %d names %08x", a->what, a->line, l0, a->mask, l, b->mask);
      if (b->fn != a->fn || (opt.strict_site && (b->line != a->line || strcmp(b->file, a->file))))
        fail("divergent warp op: lane %d in %s at line %d, lane %d in %s at line %d", l0, a->what, a->line, l, b->what, b->line);
      io[l] = b->io; v[n++] = b;
    }
    if (a->fn) a->fn(io, m);
    W[w].waiting &= ~m; stats.warp_ops++;
    uint32_t e = 0; for (int i = 0; i < n; i++) e = std::max(e, v[i]->wepoch);
    for (int i = 0; i < n; i++) v[i]->wepoch = e + 1;
    release_all(v, n);
  }
  return true;
}
void warp_op(uint32_t mask, void *io, Resolve fn, const char *what, const char *file, int line) {
  Thread *t = self;
  if (!(mask >> t->lane & 1)) fail("%s at line %d: lane %d is not in its own mask %08x", what, line, t->lane, mask);
  t->st = St::Warp; t->mask = mask; t->io = io; t->fn = fn; t->what = what; t->file = file; t->line = line;
  W[t->warp].waiting |= 1u << t->lane;
#if TSAN
  __tsan_release(&W[t->warp]);
#endif
  if ((W[t->warp].waiting & mask & W[t->warp].alive) == (mask & W[t->warp].alive)) check_warp(t->warp);
  park();
#if TSAN
  __tsan_acquire(&W[t->warp]);
#endif
}
void yield() { Thread *t = self; push_ready(t); t->what = "yield"; park(); }
void maybe_preempt() { if (opt.preempt && (rnd() & 3) == 0) yield(); }
uint32_t active_lanes() { return W[self->warp].alive; }
void on_atomic(void *p, unsigned size) {
  if ((uintptr_t)p % size) fail("misaligned %u-byte atomic at %p", size, p);
  trace_atomic(p, size);
  maybe_preempt();
}
void cp_async(void *dst, const void *src, unsigned n, unsigned bytes) {
  if ((uintptr_t)dst % bytes || (n && (uintptr_t)src % bytes)) fail("cp.async: misaligned %u-byte copy", bytes);
  self->cp.push_back(CpAsync{dst, src, n, bytes, self->cp_group});
}
void cp_commit() { self->cp_group++; }
void cp_wait(int keep) {                                    // copies become visible only here
  int k = 0; Thread *t = self;
  for (int i = 0; i < (int)t->cp.size(); i++) {
    if (t->cp[(size_t)i].group < t->cp_group - keep) {
      trace_copy(t->cp[(size_t)i].dst, t->cp[(size_t)i].src, t->cp[(size_t)i].n, t->cp[(size_t)i].bytes);
      memcpy(t->cp[(size_t)i].dst, t->cp[(size_t)i].src, t->cp[(size_t)i].n); memset((char *)t->cp[(size_t)i].dst + t->cp[(size_t)i].n, 0, t->cp[(size_t)i].bytes - t->cp[(size_t)i].n);
    } else t->cp[(size_t)k++] = t->cp[(size_t)i];
  }
  t->cp.resize((size_t)k);
}
static void fiber_main() {
#if ASAN
  { const void *b; size_t z; __sanitizer_finish_switch_fiber(nullptr, &b, &z); if (!main_bot) { main_bot = b; main_sz = z; } }
#endif
  for (;;) {
#if TSAN
    __tsan_acquire(&main_tsan);
#endif
    body(ctx);
    Thread *t = self;
    if (!t->cp.empty()) fail("thread exits with %zu cp.async copies never waited for", t->cp.size());
    t->st = St::Done; alive--; W[t->warp].alive &= ~(1u << t->lane); stats.threads++;
#if TSAN
    __tsan_release(&alive);
#endif
    if (arrived) check_block();
    if (W[t->warp].waiting) check_warp(t->warp);
    Thread *n = pop_ready();
    if (!n) { if (alive) deadlock(); freestk.push_back(t->stack); to_main(true); }
    if (!n->started) {                                       // run the next fresh thread on this very stack: no switch
      n->started = true; n->stack = t->stack; n->fake = nullptr; self = n;
#if TSAN
      __tsan_switch_to_fiber(tsan_f[n->lin], __tsan_switch_to_fiber_no_sync);
#endif
      continue;
    }
    freestk.push_back(t->stack);
    jump(t, n, true);
  }
}
// the main program's TLS segment: static __shared__ variables, nothing else (keep thread_local out of the test program)
static int find_tls(dl_phdr_info *i, size_t, void *) {
  bool mine = false;
  for (int k = 0; k < i->dlpi_phnum; k++) { uintptr_t a = i->dlpi_addr + i->dlpi_phdr[k].p_vaddr; mine |= i->dlpi_phdr[k].p_type == PT_LOAD && (uintptr_t)&opt >= a && (uintptr_t)&opt < a + i->dlpi_phdr[k].p_memsz; }
  if (!mine) return 0;
  for (int k = 0; k < i->dlpi_phnum; k++) if (i->dlpi_phdr[k].p_type == PT_TLS && i->dlpi_tls_data) { g_tls_lo = (char *)i->dlpi_tls_data; g_tls_hi = g_tls_lo + i->dlpi_phdr[k].p_memsz; }
  return 1;                                               // only the first object: the executable
}
static void poison_shared() {
  if (dyn_n) memset(dyn, 0xFF, dyn_n);
  if (!ASAN && g_tls_lo) memset(g_tls_lo, 0xFF, (size_t)(g_tls_hi - g_tls_lo));
}
static void run_block() {
  ready.clear(); rd_head = 0; alive = nT; arrived = 0; g_block_epoch = 0; failed = false;
  int nw = (nT + 31) / 32;
  for (int w = 0; w < nw; w++) { W[w].alive = nT - w * 32 >= 32 ? ~0u : (1u << (nT - w * 32)) - 1; W[w].waiting = 0; }
  Thread *v[MAXT];
  for (int i = 0; i < nT; i++) {
    Thread *t = v[i] = &T[i]; unsigned u = (unsigned)i;
    t->tid.x = u % g_blockDim.x; t->tid.y = u / g_blockDim.x % g_blockDim.y; t->tid.z = u / (g_blockDim.x * g_blockDim.y);
    t->lin = u; t->warp = (uint16_t)(i / 32); t->lane = (uint8_t)(i % 32); t->started = false; t->stack = nullptr;
    t->cp.clear(); t->cp_group = 0; t->wepoch = 0; t->what = "start"; t->file = "?"; t->line = 0;
  }
  release_all(v, nT);
  if (opt.poison) poison_shared();
  trace_block();
#if TSAN
  while ((int)tsan_f.size() < nT) tsan_f.push_back(__tsan_create_fiber(0));
  main_tsan = __tsan_get_current_fiber(); __tsan_release(&main_tsan);
#endif
  Thread *t = pop_ready();
  // as jump(), but saving main's own context
  t->started = true; t->stack = get_stack(); t->fake = nullptr;
  uintptr_t *sp = top_of(t->stack);
  *--sp = 0; *--sp = reinterpret_cast<uintptr_t>(&fiber_main); sp -= 6; memset(sp, 0, 48);
  self = t;
#if ASAN
  __sanitizer_start_switch_fiber(&main_fake, t->stack, STK);
#endif
#if TSAN
  __tsan_switch_to_fiber(tsan_f[t->lin], __tsan_switch_to_fiber_no_sync);
#endif
  simt_switch(&main_sp, sp);
#if ASAN
  __sanitizer_finish_switch_fiber(main_fake, nullptr, nullptr);
#endif
#if TSAN
  __tsan_acquire(&alive);
#endif
  self = nullptr; stats.blocks++; trace_done();
  if (failed) { freestk.clear(); for (int i = 0; i < nstk; i++) freestk.push_back(allstk + (STK + GUARD) * (size_t)i + GUARD); }
}
static cudaError_t sticky = cudaSuccess;
cudaError_t run(void (*b)(const void *), const void *c, dim3 g, dim3 bd, size_t smem, const void *fn, const char *name) {
  size_t n = (size_t)bd.x * bd.y * bd.z;
  if (!n || n > MAXT || bd.z > 64 || !g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || smem > 232448) return sticky = cudaErrorInvalidConfiguration;
  if (smem > 48 << 10 && smem_max[fn] < (int)smem) {
    snprintf(last_error, sizeof last_error, "%zu bytes of dynamic shared memory without cudaFuncSetAttribute(MaxDynamicSharedMemorySize)", smem);
    return sticky = cudaErrorInvalidValue;
  }
  body = b; ctx = c; g_gridDim = g; g_blockDim = bd; nT = (int)n; rs = opt.seed * 0x9E3779B97F4A7C15ull | 1; last_error[0] = 0;
  dyn = smem ? aligned_alloc(128, (smem + 127) / 128 * 128) : nullptr; dyn_n = smem;
#if ASAN                                                     // exact bounds: aligned_alloc rounds up, so redzone the tail
  if (smem) { free(dyn); void *q; if (posix_memalign(&q, 128, smem)) abort(); dyn = q; }
#endif
  g_dyn_lo = (char *)dyn; g_dyn_hi = (char *)dyn + smem;
  if (!g_tls_lo) dl_iterate_phdr(find_tls, nullptr);
  trace_launch(name);
  uint64_t nb = (uint64_t)g.x * g.y * g.z; std::vector<uint32_t> perm;
  if (opt.order) { perm.resize(nb); for (uint64_t i = 0; i < nb; i++) perm[i] = (uint32_t)(opt.order == 1 ? nb - 1 - i : i);
    if (opt.order == 2) for (uint64_t i = nb; i-- > 1;) std::swap(perm[i], perm[rnd() % (i + 1)]); }
  bool bad = false;
  for (uint64_t i = 0; i < nb && !bad; i++) {
    uint64_t k = perm.empty() ? i : perm[i];
    g_blockIdx = dim3((unsigned)(k % g.x), (unsigned)(k / g.x % g.y), (unsigned)(k / ((uint64_t)g.x * g.y)));
    run_block(); bad = failed;
  }
  free(dyn); dyn = nullptr; dyn_n = 0;
  return bad ? sticky = cudaErrorLaunchFailure : cudaSuccess;
}
cudaError_t set_max_dyn_smem(const void *fn, int b) { if (b > 232448) return cudaErrorInvalidValue; smem_max[fn] = b; return cudaSuccess; }
}  // namespace simt

// ---- fake cudart: streams run at once, events hold host time --------------------------------------------------
extern "C" {
cudaError_t cudaMalloc(void **p, size_t n) { if (posix_memalign(p, 256, n ? n : 1)) return cudaErrorMemoryAllocation; memset(*p, 0xFF, n); simt::trace_alloc(*p, n); return cudaSuccess; }
cudaError_t cudaMallocAsync(void **p, size_t n, cudaStream_t) { return cudaMalloc(p, n); }
cudaError_t cudaFree(void *p) { simt::trace_alloc(p, 0); free(p); return cudaSuccess; }
cudaError_t cudaFreeAsync(void *p, cudaStream_t) { free(p); return cudaSuccess; }
cudaError_t cudaMallocHost(void **p, size_t n) { return cudaMalloc(p, n); }
cudaError_t cudaFreeHost(void *p) { free(p); return cudaSuccess; }
cudaError_t cudaMemcpy(void *d, const void *s, size_t n, cudaMemcpyKind) { if (n) memcpy(d, s, n); return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void *d, const void *s, size_t n, cudaMemcpyKind, cudaStream_t) { if (n) memcpy(d, s, n); return cudaSuccess; }
cudaError_t cudaMemset(void *d, int v, size_t n) { memset(d, v, n); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void *d, int v, size_t n, cudaStream_t) { memset(d, v, n); return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) { *s = (cudaStream_t)malloc(1); return cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t s) { free(s); return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { cudaError_t e = simt::sticky; return e; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize(void) { return simt::sticky; }
cudaError_t cudaGetLastError(void) { cudaError_t e = simt::sticky; simt::sticky = cudaSuccess; return e; }
cudaError_t cudaPeekAtLastError(void) { return simt::sticky; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { *e = (cudaEvent_t)calloc(1, sizeof(timespec)); return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t) { clock_gettime(CLOCK_MONOTONIC, (timespec *)e); return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t e) { free(e); return cudaSuccess; }
cudaError_t cudaMemcpy2DAsync(void *d, size_t dp, const void *s, size_t sp, size_t w, size_t h, cudaMemcpyKind, cudaStream_t) { for (size_t i = 0; i < h; i++) memcpy((char *)d + i * dp, (const char *)s + i * sp, w); return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaHostRegister(void *, size_t, unsigned) { return cudaSuccess; }
cudaError_t cudaHostUnregister(void *) { return cudaSuccess; }
cudaError_t cudaGetDevice(int *d) { *d = 0; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t *f, size_t *a) { *f = *a = (size_t)1 << 30; return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int) { memset(p, 0, sizeof *p); snprintf(p->name, sizeof p->name, "emulated"); p->major = 9; p->totalGlobalMem = (size_t)1 << 30; p->multiProcessorCount = 4; return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int *n) { *n = 1; return cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int) { *v = a == cudaDevAttrMultiProcessorCount ? 4 : a == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 232448 : 0; return cudaSuccess; }
const char *cudaGetErrorString(cudaError_t e) { return e == cudaSuccess ? "no error" : simt::last_error; }
}
