/* failing.h - the n-th allocation of the library fails.  fault.cmake sends the allocations here. */
#ifndef FAILING_H
#define FAILING_H

#include "harness.h"

void *__real_aligned_alloc(size_t align, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);

static int64_t allocations, fail_at = -1;

static bool fails(void) { return allocations++ == fail_at; }
void *__wrap_aligned_alloc(size_t align, size_t bytes) { return fails() ? NULL : __real_aligned_alloc(align, bytes); }
void *__wrap_realloc(void *p, size_t bytes) { return fails() ? NULL : __real_realloc(p, bytes); }

typedef sluice_status attempt(sluice *s);

/* Runs f while allocation n fails; *out_failed: f came to that one.  The scratch block is asked for anew. */
static sluice_status fail_once(sluice *s, attempt *f, int64_t n, bool *out_failed)
{
    mem_free(s->scratch);
    s->scratch = NULL, s->scratch_bytes = 0;
    allocations = 0, fail_at = n;
    sluice_status st = f(s);
    *out_failed = allocations > fail_at;
    fail_at = -1;
    return st;
}

/* Every allocation in turn, of many ever fewer: E_MEMORY and a message each time, then success. */
__attribute__((unused)) static void each_fails(sluice *s, const char *name, attempt *f)
{
    if (!case_is("%s", name)) return;
    int64_t tried = 0;
    for (int64_t n = 0;; n += 1 + n / 24, tried++) {
        bool failed;
        sluice_status st = fail_once(s, f, n, &failed);
        if (!failed) {
            CHECK(st == SLUICE_OK, "without a failure: %s", sluice_error(s));
            break;
        }
        CHECK(st == SLUICE_E_MEMORY, "allocation %lld: status %d, '%s'", (long long)n, st, sluice_error(s));
        CHECK(strstr(sluice_error(s), "memory") != NULL, "allocation %lld: '%s'", (long long)n, sluice_error(s));
    }
    CHECK(tried > 1, "only %lld allocations", (long long)tried);
}

#endif
