/* trace.cpp - the traced build: g++ -fsanitize=thread plants a call at every access of a kernel, and they all come here
 * instead of to libtsan, which is not linked.  Found are, whatever the order the threads ran in,
 *
 *   races between threads of a block, by CUDA's rules: ordered are accesses with a barrier between them, those of one
 *   warp with a warp operation between them, and atomics; and races between the blocks of a grid;
 *   accesses outside of what is allocated, to host memory, or misaligned.
 *
 * The first one ends the kernel. */
#ifdef SIMT_TRACE

#include "emulator.h"

#include <algorithm>
#include <sys/mman.h>

namespace simt {

/* ---- who touched a word last ---- */

struct touch {
    uint32_t block; /* counts all blocks ever run; 0: nobody */
    uint32_t pc;    /* from our image's beginning */
    uint32_t thread : 10, bytes : 4 /* of the word, a bit set */, atomic : 1, warp_epoch : 17;
    uint32_t block_epoch;
};

struct word { /* 4 bytes of memory; two readers, so that one of them is not the writer to come */
    touch write, read[2];
};

static uint32_t block_now, first_of_grid;

static bool unordered(const touch &before, const touch &now, bool shared)
{
    if (!(before.bytes & now.bytes) || (before.atomic && now.atomic)) return false;
    if (before.block != now.block) return !shared && before.block >= first_of_grid;
    if (before.thread == now.thread || before.block_epoch != now.block_epoch) return false;
    return before.thread / 32 != now.thread / 32 || before.warp_epoch >= now.warp_epoch;
}

static std::string line_of(const touch &t) { return source_line((uintptr_t)our_image().begin + t.pc); }

[[noreturn]] static void race(const touch &before, bool wrote, const touch &now, bool writes, bool shared)
{
    fail("race in %s memory: thread %u%s %s at %s, thread %u %s at %s", shared ? "shared" : "global", before.thread,
         before.block == now.block ? "" : " of another block", wrote ? "wrote" : "read", line_of(before).c_str(),
         now.thread, writes ? "writes" : "reads", line_of(now).c_str());
}

static void touch_word(word &w, const touch &now, bool writes, bool shared)
{
    if (unordered(w.write, now, shared)) race(w.write, true, now, writes, shared);
    if (writes) {
        for (const touch &r : w.read)
            if (unordered(r, now, shared)) race(r, false, now, true, shared);
        w.write = now;
        return;
    }
    const touch &r = w.read[0];
    bool keep = r.block == now.block && r.block_epoch == now.block_epoch && r.thread != now.thread;
    w.read[keep] = now;
}

/* ---- where the words of an address are ---- */

struct area {
    range memory;
    word *words;
    bool shared;
};

static std::vector<area> areas; /* the arenas, static and dynamic shared memory */

/* Address space is taken for all of an area; memory follows where it is touched. */
static word *words_new(range memory)
{
    size_t bytes = ((size_t)(memory.end - memory.begin) / 4 + 1) * sizeof(word);
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail("no address space to trace %zu bytes in", bytes);
    return (word *)p;
}

static void set_area(size_t i, range memory, bool shared)
{
    if (areas.size() <= i) areas.resize(i + 1);
    area &a = areas[i];
    if (memory.begin == a.memory.begin && memory.end == a.memory.end) return;
    if (a.words) munmap(a.words, ((size_t)(a.memory.end - a.memory.begin) / 4 + 1) * sizeof(word));
    a = { memory, words_new(memory), shared };
}

static const area *area_of(const void *p)
{
    for (const area &a : areas)
        if (a.memory.holds(p)) return &a;
    return nullptr;
}

/* ---- bounds ---- */

static range arguments, image, locals; /* of the kernel, of our own object, of the threads' stacks */
static extent known[8];                /* pieces of device memory met last, by address */

static bool in_bounds(const char *p, unsigned bytes)
{
    extent &k = known[(uintptr_t)p >> 12 & 7];
    if (!k.holds(p, bytes)) k = piece_of(p);
    return k.holds(p, bytes);
}

[[noreturn]] static void out_of_bounds(const char *p, unsigned bytes, bool writes, uintptr_t pc)
{
    int d = device_of(p);
    const char *verb = writes ? "write" : "read";
    std::string line = source_line(pc - 1);
    if (d < 0) fail("a %s of %u bytes outside of device and shared memory, at %s", verb, bytes, line.c_str());
    extent e = piece_of(p);
    if (!e.p || p > e.p + e.bytes + 4096)
        fail("a %s of %u bytes where cuda:%d has nothing allocated, at %s", verb, bytes, d, line.c_str());
    fail("out of bounds: a %s of %u bytes at byte %zu of %zu in the memory of cuda:%d, at %s", verb, bytes,
         (size_t)(p - e.p), e.bytes, d, line.c_str());
}

/* ---- an access ---- */

static void access(const void *at, unsigned bytes, bool writes, bool atomic, uintptr_t pc)
{
    const char *p = (const char *)at;
    if (!self || locals.holds(p) || image.holds(p) || arguments.holds(p)) return;
    const area *a = area_of(p);
    if (!a || (!a->shared && !in_bounds(p, bytes))) out_of_bounds(p, bytes, writes, pc);
    thread *t = me();
    touch now = { block_now,  (uint32_t)(pc - 1 - (uintptr_t)image.begin), t->number & 1023, 0, atomic, t->warp_epoch,
                  block_epoch };
    for (unsigned i = 0; i < bytes;) {
        size_t offset = (size_t)(p + i - a->memory.begin);
        unsigned first = offset % 4, n = std::min(4 - first, bytes - i);
        now.bytes = ((1u << n) - 1) << first & 15;
        touch_word(a->words[offset / 4], now, writes, a->shared);
        i += n;
    }
}

static void aligned_access(const void *p, unsigned bytes, bool writes, uintptr_t pc)
{
    if (self && (uintptr_t)p % bytes)
        fail("misaligned %s of %u bytes at %p, at %s", writes ? "write" : "read", bytes, p,
             source_line(pc - 1).c_str());
    access(p, bytes, writes, false, pc);
}

void trace_atomic(const void *p, unsigned bytes, uintptr_t pc) { access(p, bytes, true, true, pc); }

void trace_copy(const pending_copy &c)
{
    if (c.n) access(c.from, c.n, false, false, c.pc);
    access(c.to, c.bytes, true, false, c.pc);
}

void trace_launch(const kernel &k)
{
    first_of_grid = block_now + 1;
    image = our_image(), locals = stacks();
    arguments = { (const char *)k.args.get(), (const char *)k.args.get() + k.args_bytes };
    for (extent &e : known) e = { nullptr, 0 };
    set_area(0, static_shared(), true);
    set_area(1, dynamic_shared_range(), true);
    for (int i = 0; i < device_count(); i++) set_area(2 + (size_t)i, device_at(i).arena, false);
}

void trace_block() { block_now++; }

} // namespace simt

/* ---- what the compiler calls ---- */

#define PC ((uintptr_t)__builtin_return_address(0))
#define ACCESS(n)                                                                                                      \
    void __tsan_read##n(void *p) { simt::aligned_access(p, n, false, PC); }                                            \
    void __tsan_write##n(void *p) { simt::aligned_access(p, n, true, PC); }                                            \
    void __tsan_unaligned_read##n(void *p) { simt::access(p, n, false, false, PC); }                                   \
    void __tsan_unaligned_write##n(void *p) { simt::access(p, n, true, false, PC); }                                   \
    void __tsan_volatile_read##n(void *p) { simt::access(p, n, false, true, PC); }                                     \
    void __tsan_volatile_write##n(void *p) { simt::access(p, n, true, true, PC); }
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_read_range(void *p, unsigned long n) { simt::access(p, (unsigned)n, false, false, PC); }
void __tsan_write_range(void *p, unsigned long n) { simt::access(p, (unsigned)n, true, false, PC); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
/* Host code's: reference counts of shared pointers, first uses of local statics. */
char __tsan_atomic8_load(const volatile char *p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
int __tsan_atomic32_fetch_add(volatile int *p, int v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
}

#endif
