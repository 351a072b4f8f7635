/* emulator.h - what the emulator's files know of each other; kernels see simt.h alone. */
#ifndef EMULATOR_H
#define EMULATOR_H

#include "simt.h"

#include <map>
#include <string>
#include <vector>

namespace simt {

enum { MAX_THREADS = 1024, MAX_SHARED = 227 << 10, PLAIN_SHARED = 48 << 10, MAX_DEVICES = 16 };

struct range {
    const char *begin, *end;
    bool holds(const void *p) const { return (const char *)p >= begin && (const char *)p < end; }
};

/* ---- settings ---- */

/* An environment variable of the form WORD[:NUMBER], read again when it changed. */
class setting {
  public:
    explicit setting(const char *name) : name(name) {}
    bool changed(); /* since the last call */
    bool set() const { return !text.empty(); }
    std::string word() const { return text.substr(0, text.find(':')); }
    uint64_t number(uint64_t otherwise) const; /* after the colon */

  private:
    const char *name;
    std::string text;
};

class random_bits { /* xorshift64 */
  public:
    explicit random_bits(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15u | 1) {}
    uint64_t operator()(uint64_t below)
    {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return state % below;
    }

  private:
    uint64_t state;
};

/* ---- fiber.cpp ---- */

extern "C" void simt_switch(void **save, void *to); /* the registers to *save, then those saved at to */
char *stack_take();
void stack_give(char *stack);
void stacks_abandon();                          /* after a failed kernel: all of them are free */
void *stack_enter(char *stack, void (*main)()); /* what simt_switch takes to call main on the stack */
range stacks();

/* ---- block.cpp ---- */

struct pending_copy { /* cp.async */
    void *to;
    const void *from;
    unsigned n, bytes;
    int group;
    uintptr_t pc;
};

enum class state : uint8_t { READY, BARRIER, WARP, DONE };

struct thread : thread_base {
    uint32_t number; /* in its block */
    uint16_t warp;
    uint8_t lane;
    simt::state state;
    bool started;
    void *saved; /* the stack pointer while another thread runs */
    char *stack;
    const char *what, *file; /* where it waits, and for what */
    int line;
    uint32_t mask;
    void *io;
    resolve_fn resolve;
    int predicate, result;
    uint32_t warp_epoch; /* warp operations passed since the last barrier */
    int copy_group;
    std::vector<pending_copy> copies;
};

inline thread *me() { return static_cast<thread *>(self); }
extern uint32_t block_epoch; /* barriers passed by this block */
range static_shared();
range dynamic_shared_range();
range our_image(); /* the object the emulator is part of: code and static data */

/* NULL, or why the kernel failed; the text is static. */
const char *run_grid(const kernel &k);

/* ---- memory.cpp ---- */

struct device {
    int number;
    range arena;
    size_t used;
    std::map<const char *, size_t> live; /* allocations by address */
    const char *next;                    /* where the search for room begins: freed memory is reused late */
    bool open;
    std::string failure; /* the device failed: why */
    std::vector<char> constants;
    uint64_t launches; /* since SLUICE_SIMT_FAIL_LAUNCH was set */
};

int device_count();
device &device_at(int number);
int device_of(const void *p); /* -1: host memory */
size_t device_bytes();        /* of each device */
void *device_alloc(device &d, size_t bytes);
bool device_release(const void *p);
struct extent {
    const char *p;
    size_t bytes;
    bool holds(const char *q, size_t n) const { return p && q >= p && n <= bytes && (size_t)(q - p) <= bytes - n; }
};
extent allocation_of(const void *p); /* the last one that begins at or before p; NULL, 0: none */
/* Allocations are cut into pieces by piece(): the piece, or where there are none the allocation, as above. */
extent piece_of(const void *p);
void cut_piece(const void *p, size_t bytes);
void open_only(uint64_t devices); /* a bit set: these devices' memory can be touched, no other */
void constants_of(device &d);     /* what kernels see as __constant__ is now d's */
range constants();
bool pin(const void *p, size_t bytes);
bool unpin(const void *p);
bool pinned(const void *p, size_t bytes);
std::string source_line(uintptr_t pc); /* "file.cu:12", of our own object */

/* ---- stream.cpp ---- */

cudaError_t enqueue_on(cudaStream_t stream, const char *what, std::function<void()> work, uint64_t others);
void finish(cudaStream_t stream);
void finish_device(int device); /* -1: all */
int stream_device(cudaStream_t stream);

/* ---- trace.cpp, or nothing ---- */

#ifdef SIMT_TRACE
void trace_launch(const kernel &k);
void trace_block();
void trace_atomic(const void *p, unsigned bytes, uintptr_t pc);
void trace_copy(const pending_copy &c);
#else
inline void trace_launch(const kernel &) {}
inline void trace_block() {}
inline void trace_atomic(const void *, unsigned, uintptr_t) {}
inline void trace_copy(const pending_copy &) {}
#endif

} // namespace simt

#endif
