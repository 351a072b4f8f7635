/* memory.cpp - devices: an arena of address space each, closed to everybody but the device itself; pinned host memory;
 * each device's constants; and what a forbidden access is answered with. */
#include "emulator.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <ucontext.h>

/* The linker's names for the section of __constant__ variables; absent where there are none. */
extern "C" {
extern char __start_simt_constant[] __attribute__((weak, visibility("hidden")));
extern char __stop_simt_constant[] __attribute__((weak, visibility("hidden")));
}

namespace simt {

/* ---- settings ---- */

bool setting::changed()
{
    const char *now = getenv(name);
    if (text == (now ? now : "")) return false;
    text = now ? now : "";
    return true;
}

uint64_t setting::number(uint64_t otherwise) const
{
    size_t colon = text.find(':');
    return colon == std::string::npos ? otherwise : strtoull(text.c_str() + colon + 1, nullptr, 10);
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, nullptr, 10) : otherwise;
}

/* ---- devices ---- */

enum { PAGE = 4096, ALIGNMENT = 256 };

static std::vector<device> devices;
static size_t bytes_each;

static void watch_faults();

static void set_up()
{
    if (!devices.empty()) return;
    bytes_each = (size_t)environment_number("SLUICE_SIMT_MEM_MIB", 2048) << 20;
    uint64_t n = environment_number("SLUICE_SIMT_DEVICES", 1);
    devices.resize(n < (uint64_t)MAX_DEVICES ? n : (uint64_t)MAX_DEVICES);
    range c = constants();
    for (device &d : devices) {
        d.number = (int)(&d - devices.data());
        size_t bytes = 2 * bytes_each + (1 << 20); /* twice: guards and gaps take address space, no memory */
        void *p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) abort();
        d.arena = { (char *)p, (char *)p + bytes };
        d.next = d.arena.begin;
        d.constants.assign(c.begin, c.end);
    }
    watch_faults();
}

int device_count() { return set_up(), (int)devices.size(); }
device &device_at(int number) { return set_up(), devices[(size_t)number]; }
size_t device_bytes() { return set_up(), bytes_each; }

int device_of(const void *p)
{
    for (device &d : devices)
        if (d.arena.holds(p)) return d.number;
    return -1;
}

/* ---- allocations ---- */

static size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

/* The first page of the room for `bytes` between two allocations at or after `from`, a guard page on both sides. */
static const char *find_room(const device &d, size_t bytes, const char *from)
{
    const char *begin = from;
    for (auto a = d.live.lower_bound(from); a != d.live.end(); ++a) {
        const char *page = a->first - (uintptr_t)a->first % PAGE;
        if (page > begin && (size_t)(page - begin) >= bytes + 2 * PAGE) return begin + PAGE;
        begin = a->first + a->second;
        begin += (PAGE - (uintptr_t)begin % PAGE) % PAGE;
    }
    return (size_t)(d.arena.end - begin) >= bytes + 2 * PAGE ? begin + PAGE : nullptr;
}

static std::map<const char *, size_t> pieces; /* of all devices */

static void forget_pieces(const char *from, const char *end)
{
    pieces.erase(pieces.lower_bound(from), pieces.lower_bound(end));
}

static void protect(const char *p, size_t bytes, int how)
{
    const char *page = p - (uintptr_t)p % PAGE;
    if (mprotect((void *)page, pages((size_t)(p - page) + bytes), how)) abort();
}

/* Ends as close to its guard page as the alignment lets it, so that most overruns fault at once. */
void *device_alloc(device &d, size_t bytes)
{
    if (bytes > bytes_each - d.used) return nullptr;
    const char *room = find_room(d, pages(bytes), d.next);
    if (!room) room = find_room(d, pages(bytes), d.arena.begin);
    if (!room) return nullptr;
    const char *p = room + (pages(bytes) - bytes) / ALIGNMENT * ALIGNMENT;
    d.live[p] = bytes, d.used += bytes;
    d.next = room + pages(bytes);
    protect(p, bytes, PROT_READ | PROT_WRITE);
    memset((void *)room, 0xFF, pages(bytes));
    if (!d.open) protect(p, bytes, PROT_NONE);
    return (void *)p;
}

bool device_release(const void *p)
{
    int number = device_of(p);
    if (number < 0) return false;
    device &d = devices[(size_t)number];
    auto a = d.live.find((const char *)p);
    if (a == d.live.end()) return false;
    const char *page = a->first - (uintptr_t)a->first % PAGE;
    protect(a->first, a->second, PROT_NONE);
    madvise((void *)page, pages((size_t)(a->first - page) + a->second), MADV_DONTNEED);
    forget_pieces(a->first, a->first + a->second);
    d.used -= a->second;
    d.live.erase(a);
    return true;
}

static extent last_before(const std::map<const char *, size_t> &extents, const void *p)
{
    auto a = extents.upper_bound((const char *)p);
    if (a == extents.begin()) return { nullptr, 0 };
    --a;
    return { a->first, a->second };
}

extent allocation_of(const void *p)
{
    int number = device_of(p);
    return number < 0 ? extent{ nullptr, 0 } : last_before(devices[(size_t)number].live, p);
}

/* ---- pieces of allocations ---- */

extent piece_of(const void *p)
{
    extent a = allocation_of(p), piece = last_before(pieces, p);
    return a.p && piece.p >= a.p ? piece : a;
}

/* Scratch is given out in ascending order: what lay behind p before is no more. */
void cut_piece(const void *p, size_t bytes)
{
    extent a = allocation_of(p);
    forget_pieces((const char *)p, a.p + a.bytes);
    pieces[(const char *)p] = bytes;
    memset((void *)p, 0xFF, bytes);
}

/* A call of the system for each allocation: a run that returns to the host more often than 2,000 times, as L-BFGS does,
 * is closed to the host every 16th time from then on.  Devices stay closed to each other. */
void open_only(uint64_t wanted)
{
    static uint64_t returns;
    if (!wanted && returns++ > 2000 && returns % 16) return;
    for (device &d : devices) {
        bool open = wanted >> d.number & 1;
        if (open == d.open) continue;
        for (auto &a : d.live) protect(a.first, a.second, open ? PROT_READ | PROT_WRITE : PROT_NONE);
        d.open = open;
    }
}

/* ---- constants ---- */

range constants() { return { __start_simt_constant, __stop_simt_constant }; }

void constants_of(device &d)
{
    static device *holder;
    range c = constants();
    size_t bytes = (size_t)(c.end - c.begin);
    if (holder == &d || !bytes) return;
    if (holder) memcpy(holder->constants.data(), c.begin, bytes);
    memcpy((void *)c.begin, d.constants.data(), bytes);
    holder = &d;
}

/* ---- pinned host memory ---- */

static std::map<const char *, size_t> pinned_ranges;

bool pinned(const void *p, size_t bytes)
{
    auto a = pinned_ranges.upper_bound((const char *)p);
    if (a == pinned_ranges.begin()) return false;
    --a;
    return (const char *)p + bytes <= a->first + a->second;
}

bool pin(const void *p, size_t bytes)
{
    auto after = pinned_ranges.lower_bound((const char *)p + bytes);
    if (after != pinned_ranges.begin() && (--after)->first + after->second > (const char *)p) return false;
    pinned_ranges[(const char *)p] = bytes;
    return true;
}

bool unpin(const void *p) { return pinned_ranges.erase((const char *)p) == 1; }

/* ---- forbidden accesses ---- */

/* Asks addr2line, which comes with the compiler. */
std::string source_line(uintptr_t pc)
{
    Dl_info object;
    if (!dladdr((void *)pc, &object) || !object.dli_fname) return "?";
    bool fixed = ((const ElfW(Ehdr) *)object.dli_fbase)->e_type == ET_EXEC; /* an address is then as in the file */
    char command[1024], line[256] = "";
    snprintf(command, sizeof command,
             "addr2line -s -i -e '%s' 0x%zx 2>/dev/null | grep -v '^simt.h' | head -1 | sed 's/ (disc.*//'",
             object.dli_fname, (size_t)pc - (fixed ? 0 : (size_t)object.dli_fbase));
    if (FILE *f = popen(command, "r")) {
        if (!fgets(line, sizeof line, f)) line[0] = 0;
        pclose(f);
    }
    line[strcspn(line, "\n")] = 0;
    return *line ? line : "?";
}

static struct sigaction previous;

static void describe(const void *p, char *text, size_t bytes)
{
    int d = device_of(p);
    extent a = allocation_of(p);
    if (!p) snprintf(text, bytes, "no address at all: NULL, or a misaligned vector");
    else if (d < 0) snprintf(text, bytes, "%p, which is no device's memory", p);
    else if (!a.p) snprintf(text, bytes, "%p, where cuda:%d has nothing allocated", p, d);
    else snprintf(text, bytes, "byte %zu of %zu that cuda:%d allocated", (size_t)((char *)p - a.p), a.bytes, d);
}

/* A kernel's fault becomes its failure; the host's is explained before the process dies of it. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    char what[256];
    describe(info->si_addr, what, sizeof what);
    if (self) {
        auto *c = (ucontext_t *)context;
        fail("access to %s, at %s", what, source_line((uintptr_t)c->uc_mcontext.gregs[REG_RIP]).c_str());
    }
    if (device_of(info->si_addr) >= 0) fprintf(stderr, "simt: host code touches %s\n", what);
    sigaction(signal, &previous, nullptr); /* the access is repeated, and meets what was there before */
}

static void watch_faults()
{
    stack_t s;
    if (sigaltstack(nullptr, &s) == 0 && (s.ss_flags & SS_DISABLE)) { /* a fiber that overran its stack has none */
        static char stack[64 << 10];
        s.ss_sp = stack, s.ss_size = sizeof stack, s.ss_flags = 0;
        sigaltstack(&s, nullptr);
    }
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = on_fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER; /* fail() leaves the handler for good */
    sigaction(SIGSEGV, &a, &previous);
}

} // namespace simt
