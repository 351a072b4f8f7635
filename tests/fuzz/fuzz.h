/* fuzz.h - a fuzz target is one function of bytes; it must neither crash nor break what it promises about its result.
 *
 * Two programs are made of each fuzz_<format>.c.  With driver.c one that every compiler builds: it runs the corpus and a
 * fixed number of mutations of it, as a test.  With clang's libFuzzer one that searches (make fuzz). */
#ifndef FUZZ_H
#define FUZZ_H

#include "formats.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

sluice *fuzz_context(void);
/* The bytes in a file of this name, in a folder of the process; the path is valid until the next 8 calls. */
const char *fuzz_file(const char *name, const void *data, size_t size);
/* Removes the folder; the driver calls it at the end, libFuzzer through atexit. */
void fuzz_clean(void);

/* What must hold after success. */
#define MUST(ok)                                                                                                       \
    do {                                                                                                               \
        if (!(ok)) {                                                                                                   \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #ok);                                           \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A failure says something, in one line and perhaps a hint, without control characters. */
static inline void must_explain(sluice *s, sluice_status st)
{
    const char *text = sluice_error(s);
    int lines = 1;
    MUST(st > SLUICE_OK && st != SLUICE_E_INTERNAL && text[0] && text[0] != '\n');
    for (; *text; text++) {
        lines += *text == '\n';
        MUST((unsigned char)*text >= 32 || *text == '\n');
    }
    MUST(lines <= 2);
}

/* Rows lie within the file or the memory. */
static inline void must_fit(const array_facts *a, size_t file_bytes)
{
    size_t row = a->stride, end;
    MUST(a->ndim == 1 || a->ndim == 2 || a->ndim == 4);
    MUST(a->shape[0] >= 0 && row > 0);
    for (int i = 1; i < a->ndim; i++) MUST(a->shape[i] > 0);
    MUST(!__builtin_mul_overflow(row, (size_t)a->shape[0], &end));
    if (a->memory) {
        for (size_t i = 0, sum = 0; i < end; i++) { /* a sanitizer sees a block that is too small */
            sum += a->memory[i];
            if (i + 1 == end) MUST(sum <= 255 * end);
        }
    } else {
        MUST(!__builtin_add_overflow(end, a->offset, &end));
        MUST(end <= file_bytes + 4); /* fvecs: the last stride ends 4 bytes behind the file */
    }
}

#endif
