/* fiber.cpp - the stacks of CUDA threads, and the switch from one to another. */
#include "emulator.h"

#include <cstdlib>
#include <sys/mman.h>

#if !defined(__x86_64__)
#error "the emulator switches stacks on x86-64 only"
#endif

/* The registers a call preserves, then the other stack. */
asm(R"(
.pushsection .text
.globl simt_switch
.hidden simt_switch
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

namespace simt {

/* A guard page below each stack turns an overflow into a fault.  Tops equally far apart would share one set of the L1
 * cache; 512 bytes of shift each make switching several times cheaper. */
enum { STACK = 64 << 10, GUARD = 4096, SLOT = STACK + GUARD, SHIFT = 512 };

static char *slots;
static int made;
static std::vector<char *> spare;

range stacks()
{
    size_t bytes = (size_t)SLOT * MAX_THREADS;
    if (!slots) {
        void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) abort();
        slots = (char *)p;
    }
    return { slots, slots + bytes };
}

static char *stack_new()
{
    char *slot = (char *)stacks().begin + (size_t)SLOT * (size_t)made++;
    mprotect(slot, GUARD, PROT_NONE);
    return slot + GUARD;
}

char *stack_take()
{
    if (spare.empty()) return stack_new();
    char *stack = spare.back();
    spare.pop_back();
    return stack;
}

void stack_give(char *stack) { spare.push_back(stack); }

void stacks_abandon()
{
    spare.clear();
    for (int i = 0; i < made; i++) spare.push_back(slots + (size_t)SLOT * (size_t)i + GUARD);
}

void *stack_enter(char *stack, void (*main)())
{
    size_t slot = (size_t)(stack - slots) / SLOT;
    uintptr_t *top = (uintptr_t *)(stack + STACK - slot % 32 * SHIFT);
    *--top = 0; /* main's return address: it never returns, and finds its stack 8 off 16 as after a call */
    *--top = (uintptr_t)main;
    top -= 6; /* the registers */
    memset(top, 0, 6 * sizeof *top);
    return top;
}

} // namespace simt
