/* files.h - for tests of parsers: files put together byte by byte, and checks of how a call fails. */
#ifndef FILES_H
#define FILES_H

#include "formats.h"
#include "harness.h"

/* status and a part of the message; the message never holds a control character but the newline before a hint. */
#define CHECK_FAILS(s, call, status, part)                                                                             \
    do {                                                                                                               \
        sluice_status st_ = (call);                                                                                    \
        const char *error_ = sluice_error(s);                                                                          \
        check_(st_ == SLUICE_##status && strstr(error_, part), __FILE__, __LINE__, #call,                              \
               "status %d, want %d: '%s', want '%s'", st_, SLUICE_##status, error_, part);                             \
    } while (0)

typedef struct blob {
    uint8_t b[1 << 15];
    size_t n;
} blob;

static inline void put(blob *f, const void *data, size_t n)
{
    if (f->n + n > sizeof f->b) abort();
    memcpy(f->b + f->n, data, n);
    f->n += n;
}
static inline void put_text(blob *f, const char *text) { put(f, text, strlen(text)); }
static inline void put_le(blob *f, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) put(f, &(uint8_t){ (uint8_t)(v >> 8 * i) }, 1);
}
static inline void put_be(blob *f, uint64_t v, int bytes)
{
    for (int i = bytes; i-- > 0;) put(f, &(uint8_t){ (uint8_t)(v >> 8 * i) }, 1);
}
static inline void put_zeros(blob *f, size_t n)
{
    for (size_t i = 0; i < n; i++) put(f, "", 1);
}

/* A .npy of the version and dictionary given, unpadded, with `data` zero bytes behind it. */
static inline void put_npy(blob *f, int version, const char *dictionary, size_t data)
{
    put(f, "\x93NUMPY", 6);
    put_le(f, (uint64_t)version, 2);
    put_le(f, strlen(dictionary), version == 1 ? 2 : 4);
    put_text(f, dictionary);
    put_zeros(f, data);
}

/* A safetensors file of this header, with `data` zero bytes behind it. */
static inline void put_safetensors(blob *f, const char *header, size_t data)
{
    put_le(f, strlen(header), 8);
    put_text(f, header);
    put_zeros(f, data);
}

/* Writes the blob to a file of the test's folder and gives its path. */
static inline const char *save(const blob *f, const char *name)
{
    const char *path = test_path(name);
    write_file(path, f->b, f->n);
    return path;
}
static inline const char *save_text(const char *text, const char *name)
{
    const char *path = test_path(name);
    write_file(path, text, strlen(text));
    return path;
}

/* A .npy of f32 [n, d] with value i at element i. */
static inline const char *save_f32(const char *name, int n, int d)
{
    blob f = { .n = 0 };
    char dictionary[128];
    snprintf(dictionary, sizeof dictionary, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", n, d);
    put_npy(&f, 1, dictionary, 0);
    for (int i = 0; i < n * d; i++) put(&f, &(float){ (float)i }, 4);
    return save(&f, name);
}

/* A .npy of integers of `bytes` bytes, [n]. */
static inline const char *save_ints(const char *name, const char *descr, const int64_t *v, int n)
{
    blob f = { .n = 0 };
    char dictionary[128];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }", descr, n);
    put_npy(&f, 1, dictionary, 0);
    for (int i = 0; i < n; i++) put_le(&f, (uint64_t)v[i], descr[2] - '0');
    return save(&f, name);
}

#endif
