/* memory.c - checked allocations; mem_new and mem_raw give 64-byte aligned blocks. */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

bool mul_overflows(size_t a, size_t b, size_t *out) { return __builtin_mul_overflow(a, b, out); }

static void *out_of_memory(sluice *s, int64_t count, size_t size)
{
    sluice_fail(s, SLUICE_E_MEMORY, "out of memory: %lld x %zu bytes", (long long)count, size);
    return NULL;
}

void *mem_raw(sluice *s, int64_t count, size_t size)
{
    size_t bytes;
    if (count < 0 || mul_overflows((size_t)count, size, &bytes) || bytes > SIZE_MAX - ALIGN) return out_of_memory(s, count, size);
    bytes = bytes ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    void *p = aligned_alloc(ALIGN, bytes);
    return p ? p : out_of_memory(s, count, size);
}

void *mem_new(sluice *s, int64_t count, size_t size)
{
    void *p = mem_raw(s, count, size);
    if (p) memset(p, 0, (size_t)count * size);
    return p;
}

void *mem_grow(sluice *s, void *old, int64_t count, size_t size)
{
    size_t bytes;
    if (count < 0 || mul_overflows((size_t)count, size, &bytes)) return out_of_memory(s, count, size);
    void *p = realloc(old, bytes ? bytes : 1);
    return p ? p : out_of_memory(s, count, size);
}

char *mem_text(sluice *s, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = mem_grow(s, NULL, (int64_t)n, 1);
    return p ? memcpy(p, text, n) : NULL;
}

char *mem_format(sluice *s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : mem_grow(s, NULL, (int64_t)n + 1, 1);
    if (!p) return NULL;
    va_start(ap, format);
    vsnprintf(p, (size_t)n + 1, format, ap);
    va_end(ap);
    return p;
}

void mem_free(void *p) { free(p); }
