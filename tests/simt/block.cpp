/* block.cpp - the threads of one block: who runs, barriers, warp operations, cp.async; and the blocks of a grid, one
 * after another.  A thread runs until it waits; nothing is decided by time, so a run can be repeated. */
#include "emulator.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <link.h>

namespace simt {

thread_base *self;
dim3 block_index, block_size, grid_size;
counts stats;
uint32_t block_epoch;

enum order { FORWARD, REVERSE, RANDOM };
enum { WARPS = MAX_THREADS / 32, SPINS = 1 << 20 };

static struct {
    thread threads[MAX_THREADS];
    struct {
        uint32_t live, waiting; /* lanes */
    } warps[WARPS];
    int count, live, arrived;    /* threads: all, not exited, at the barrier */
    std::vector<thread *> ready; /* first come first served, from `first` on */
    size_t first;
    void *saved; /* the stack pointer of run_block */
    const kernel *k;
    std::vector<char> dynamic;
    char *dynamic_base;
    bool failed;
    int spins; /* yields since something else happened */
} b;

static order current_order;
static random_bits random_order(1);
static char failure[1024];

void *dynamic_shared() { return b.dynamic_base; }
range dynamic_shared_range() { return { b.dynamic_base, b.dynamic_base + b.k->shared }; }

/* ---- failing ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(failure, sizeof failure, format, ap);
    va_end(ap);
    if (!self) {
        fprintf(stderr, "simt: %s, outside of a kernel\n", failure);
        abort();
    }
    if (n < (int)sizeof failure)
        snprintf(failure + n, sizeof failure - (size_t)n, " [block (%u,%u,%u) thread (%u,%u,%u) of the kernel at %s]",
                 block_index.x, block_index.y, block_index.z, self->index.x, self->index.y, self->index.z,
                 source_line((uintptr_t)b.k->address).c_str());
    b.failed = true;
    void *abandoned;
    simt_switch(&abandoned, b.saved);
    __builtin_unreachable();
}

/* Nobody can run, yet some have not exited: who waits where. */
[[noreturn]] static void deadlock()
{
    std::map<std::string, int> waiting;
    for (int i = 0; i < b.count; i++) {
        const thread &t = b.threads[i];
        if (t.state == state::DONE) continue;
        char text[256];
        snprintf(text, sizeof text, "%s at %s:%d", t.what, base_name(t.file), t.line);
        if (t.state == state::WARP) snprintf(text + strlen(text), 32, " mask %08x", t.mask);
        waiting[text]++;
    }
    std::string all = "deadlock:";
    for (auto &w : waiting) all += " " + std::to_string(w.second) + " threads wait in " + w.first + ",";
    fail("%s %d have exited", all.c_str(), b.count - b.live);
}

/* ---- who runs ---- */

static void ready(thread *t) { t->state = state::READY, b.ready.push_back(t); }

static void release(thread **t, int n)
{
    b.spins = 0;
    if (current_order == REVERSE) std::reverse(t, t + n);
    for (int i = 0; i < n; i++) ready(t[i]);
}

static thread *next_ready()
{
    if (b.first == b.ready.size()) return nullptr;
    if (current_order == RANDOM) std::swap(b.ready[b.first], b.ready[b.first + random_order(b.ready.size() - b.first)]);
    thread *t = b.ready[b.first++];
    if (b.first == b.ready.size()) b.ready.clear(), b.first = 0;
    return t;
}

static void thread_main();

static void start(thread *t)
{
    t->started = true;
    t->stack = stack_take();
    t->saved = stack_enter(t->stack, thread_main);
}

static void run(thread *t, void **save)
{
    stats.switches++;
    if (!t->started) start(t);
    self = t;
    simt_switch(save, t->saved);
}

/* The running thread waits: another runs, until somebody has made this one ready. */
static void park()
{
    thread *t = me(), *other = next_ready();
    if (!other) deadlock();
    if (other != t) run(other, &t->saved);
}

void yield()
{
    if (b.spins++ == SPINS) fail("threads only wait for each other, or for another block");
    ready(me());
    park();
}

/* ---- barriers ---- */

static void barrier_if_complete()
{
    if (!b.live || b.arrived != b.live) return;
    thread *here[MAX_THREADS];
    int n = 0, trues = 0;
    for (int i = 0; i < b.count; i++)
        if (b.threads[i].state == state::BARRIER) {
            thread *t = here[n++] = &b.threads[i];
            t->warp_epoch = 0;
            trues += t->predicate != 0;
            if (t->what != here[0]->what || t->line != here[0]->line || strcmp(t->file, here[0]->file))
                fail("divergent barrier: %s at %s:%d and %s at %s:%d", here[0]->what, base_name(here[0]->file),
                     here[0]->line, t->what, base_name(t->file), t->line);
        }
    for (int i = 0; i < n; i++) here[i]->result = trues;
    b.arrived = 0, block_epoch++, stats.barriers++;
    release(here, n);
}

int block_sync(int predicate, const char *what, const char *file, int line)
{
    thread *t = me();
    t->state = state::BARRIER, t->predicate = predicate;
    t->what = what, t->file = file, t->line = line;
    b.arrived++;
    barrier_if_complete();
    park();
    return t->result;
}

/* ---- warp operations ---- */

static void check_same_operation(const thread *a, const thread *t)
{
    if (t->mask != a->mask)
        fail("%s at %s:%d: lane %d names mask %08x, lane %d names %08x", a->what, base_name(a->file), a->line, a->lane,
             a->mask, t->lane, t->mask);
    if (t->resolve != a->resolve || t->line != a->line || strcmp(t->file, a->file))
        fail("divergent warp operation: lane %d in %s at %s:%d, lane %d in %s at %s:%d", a->lane, a->what,
             base_name(a->file), a->line, t->lane, t->what, base_name(t->file), t->line);
}

static void complete_operation(unsigned warp, uint32_t lanes)
{
    thread *w = &b.threads[warp * 32], *a = w + __builtin_ctz(lanes), *here[32];
    void *io[32] = {};
    int n = 0;
    uint32_t epoch = 0;
    for (uint32_t left = lanes; left; left &= left - 1) {
        thread *t = w + __builtin_ctz(left);
        check_same_operation(a, t);
        io[t->lane] = t->io, here[n++] = t;
        epoch = std::max(epoch, t->warp_epoch);
    }
    if (a->resolve) a->resolve(io, lanes);
    for (int i = 0; i < n; i++) here[i]->warp_epoch = epoch + 1;
    b.warps[warp].waiting &= ~lanes, stats.warp_ops++;
    release(here, n);
}

/* Each group of lanes that all have arrived: several groups of one warp may wait at once. */
static void complete_operations(unsigned warp)
{
    auto &w = b.warps[warp];
    for (uint32_t left = w.waiting; left;) {
        uint32_t lanes = b.threads[warp * 32 + (unsigned)__builtin_ctz(left)].mask & w.live;
        left &= ~lanes;
        if ((w.waiting & lanes) == lanes) complete_operation(warp, lanes);
    }
}

void warp_op(uint32_t mask, void *io, resolve_fn resolve, const char *what, const char *file, int line)
{
    thread *t = me();
    auto &w = b.warps[t->warp];
    if (!(mask >> t->lane & 1))
        fail("%s at %s:%d: lane %d is not in its own mask %08x", what, base_name(file), line, t->lane, mask);
    t->state = state::WARP, t->mask = mask, t->io = io, t->resolve = resolve;
    t->what = what, t->file = file, t->line = line;
    w.waiting |= 1u << t->lane;
    if ((w.waiting & mask & w.live) == (mask & w.live)) complete_operations(t->warp);
    park();
}

void atomic_read(const void *p, void *value, unsigned bytes)
{
    if ((uintptr_t)p % bytes) fail("misaligned atomic of %u bytes at %p", bytes, p);
    trace_atomic(p, bytes, (uintptr_t)__builtin_return_address(0));
    if (current_order == RANDOM && random_order(4) == 0) yield();
    memcpy(value, p, bytes);
}

void atomic_write(void *p, const void *value, unsigned bytes) { memcpy(p, value, bytes); }

/* ---- cp.async ---- */

void cp_async(void *shared, const void *global, unsigned n, unsigned bytes)
{
    if ((uintptr_t)shared % bytes || (n && (uintptr_t)global % bytes)) fail("cp.async: misaligned, %u bytes", bytes);
    me()->copies.push_back({ shared, global, n, bytes, me()->copy_group, (uintptr_t)__builtin_return_address(0) });
}

void cp_commit() { me()->copy_group++; }

void cp_wait(int left)
{
    std::vector<pending_copy> &copies = me()->copies;
    size_t kept = 0;
    for (const pending_copy &c : copies) {
        if (c.group >= me()->copy_group - left) {
            copies[kept++] = c;
            continue;
        }
        trace_copy(c);
        memcpy(c.to, c.from, c.n);
        memset((char *)c.to + c.n, 0, c.bytes - c.n);
    }
    copies.resize(kept);
}

/* ---- a block ---- */

static void exit_thread(thread *t)
{
    if (!t->copies.empty()) fail("a thread exits with %zu cp.async copies not waited for", t->copies.size());
    t->state = state::DONE;
    b.live--, b.spins = 0;
    b.warps[t->warp].live &= ~(1u << t->lane);
    if (b.arrived) barrier_if_complete(); /* who waits, waits for the living */
    if (b.warps[t->warp].waiting) complete_operations(t->warp);
}

/* Runs one thread after another on its stack, as long as the next one is new: no switch for kernels that never wait. */
static void thread_main()
{
    static void *abandoned;
    for (;;) {
        b.k->body(b.k->args.get());
        thread *t = me();
        exit_thread(t);
        thread *next = next_ready();
        if (!next && b.live) deadlock();
        if (!next || next->started) {
            stack_give(t->stack);
            if (next) run(next, &abandoned);
            simt_switch(&abandoned, b.saved);
        }
        next->started = true, next->stack = t->stack;
        self = next;
    }
}

/* This object's TLS segment, as the calling thread has it. */
static thread_local char tls_anchor;

struct image {
    range all, tls;
};

static int find_image(dl_phdr_info *object, size_t, void *found)
{
    image i = { { (char *)UINTPTR_MAX, nullptr }, { nullptr, nullptr } };
    for (int k = 0; k < object->dlpi_phnum; k++) {
        const ElfW(Phdr) &h = object->dlpi_phdr[k];
        const char *begin = (const char *)object->dlpi_addr + h.p_vaddr, *tls = (const char *)object->dlpi_tls_data;
        if (h.p_type == PT_LOAD) i.all = { std::min(i.all.begin, begin), std::max(i.all.end, begin + h.p_memsz) };
        if (h.p_type == PT_TLS) i.tls = { tls, tls + h.p_memsz };
    }
    if (!i.all.holds(&stats)) return 0;
    *(image *)found = i;
    return 1;
}

static const image &find_ourselves()
{
    static image found;
    if (!found.tls.holds(&tls_anchor)) { /* another thread calls than last time, whose segment this access makes */
        tls_anchor = 0;
        dl_iterate_phdr(find_image, &found);
    }
    return found;
}

range static_shared() { return find_ourselves().tls; }
range our_image() { return find_ourselves().all; }

/* The segment holds every kernel's shared memory: to clear it for each block of a large grid would take longer than the
 * block. */
static void poison_shared(uint64_t block)
{
    if (b.k->shared) memset(b.dynamic_base, 0xFF, b.k->shared);
    range s = static_shared();
    if (s.end - s.begin < 32 << 10 || (block & (block - 1)) == 0) memset((char *)s.begin, 0xFF, s.end - s.begin);
}

static void set_up_thread(thread *t, uint32_t number)
{
    t->index = { number % block_size.x, number / block_size.x % block_size.y, number / (block_size.x * block_size.y) };
    t->number = number, t->warp = (uint16_t)(number / 32), t->lane = (uint8_t)(number % 32);
    t->started = false;
    t->warp_epoch = 0, t->copy_group = 0, t->copies.clear();
}

static void run_block(uint64_t block)
{
    b.ready.clear(), b.first = 0;
    b.live = b.count, b.arrived = 0, b.spins = 0, b.failed = false, block_epoch = 0;
    for (int w = 0; w * 32 < b.count; w++)
        b.warps[w] = { b.count - w * 32 >= 32 ? ~0u : (1u << (b.count - w * 32)) - 1, 0 };
    thread *all[MAX_THREADS];
    for (int i = 0; i < b.count; i++) set_up_thread(all[i] = &b.threads[i], (uint32_t)i);
    release(all, b.count);
    poison_shared(block);
    trace_block();
    run(next_ready(), &b.saved);
    self = nullptr;
    stats.blocks++;
    if (b.failed) stacks_abandon();
}

/* ---- a grid ---- */

static void read_order()
{
    static setting s("SLUICE_SIMT_ORDER");
    if (!s.changed()) return;
    std::string word = s.word();
    current_order = word == "reverse" ? REVERSE : word == "random" ? RANDOM : FORWARD;
    random_order = random_bits(s.number(1));
}

static std::vector<uint64_t> block_order(uint64_t n)
{
    std::vector<uint64_t> order(n);
    for (uint64_t i = 0; i < n; i++) order[i] = i;
    if (current_order == REVERSE) std::reverse(order.begin(), order.end());
    if (current_order == RANDOM)
        for (uint64_t i = n; i-- > 1;) std::swap(order[i], order[random_order(i + 1)]);
    return order;
}

const char *run_grid(const kernel &k)
{
    read_order();
    b.k = &k, b.count = (int)(k.block.x * k.block.y * k.block.z);
    b.dynamic.resize(k.shared + 128);
    b.dynamic_base = (char *)(((uintptr_t)b.dynamic.data() + 127) / 128 * 128);
    grid_size = k.grid, block_size = k.block;
    trace_launch(k);
    uint64_t done = 0;
    for (uint64_t i : block_order((uint64_t)k.grid.x * k.grid.y * k.grid.z)) {
        block_index = dim3((unsigned)(i % k.grid.x), (unsigned)(i / k.grid.x % k.grid.y),
                           (unsigned)(i / ((uint64_t)k.grid.x * k.grid.y)));
        run_block(done++);
        if (b.failed) return failure;
    }
    return nullptr;
}

} // namespace simt
