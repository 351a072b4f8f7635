/* idx.c - the MNIST family's idx files, plain or gzip: 00 00 type ndim, ndim big-endian uint32, then the array.
 * A gzip file is decompressed into memory; its header bounds how much, and the compressed size bounds the header. */
#include "formats.h"

#include <string.h>
#include <zlib.h>

enum { DEFLATE_RATIO = 1032 }; /* deflate's largest: 258 bytes of a match in 2 bits */

static sluice_status gz_take(sluice *s, gzFile z, void *out, size_t bytes)
{
    uint8_t *to = out;
    for (size_t done = 0; done < bytes;) {
        size_t left = bytes - done;
        int got = gzread(z, to + done, left > (1u << 30) ? 1u << 30 : (unsigned)left), code;
        if (got < 0) return sluice_fail(s, SLUICE_E_FORMAT, "cannot decompress: %s", gzerror(z, &code));
        if (got == 0) return sluice_fail(s, SLUICE_E_FORMAT, "the data ends after %zu of %zu bytes", done, bytes);
        done += (size_t)got;
    }
    return SLUICE_OK;
}

static int64_t big_u32(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}

static sluice_status header(sluice *s, gzFile z, array_facts *a)
{
    sluice_status st = SLUICE_OK;
    uint8_t magic[4] = { 0 }, dims[16] = { 0 };
    TRY(gz_take(s, z, magic, 4));
    if (magic[0] || magic[1]) FAIL(E_FORMAT, "it does not begin with the two zero bytes of an idx file");
    if (magic[2] != 0x08)
        FAIL(E_TYPE, "idx element type 0x%02x is not read, only 0x08 (unsigned bytes): convert to .npy", magic[2]);
    if (magic[3] < 1 || magic[3] > 4) FAIL(E_SHAPE, "%d dimensions, 1 to 4 are read", magic[3]);
    a->ndim = magic[3];
    TRY(gz_take(s, z, dims, 4 * (size_t)a->ndim));
    for (int i = 0; i < a->ndim; i++) a->shape[i] = big_u32(dims + 4 * i);
    a->offset = 4 + 4 * (size_t)a->ndim;
    if (a->ndim == 3) a->shape[3] = 1, a->ndim = 4; /* grey images have one channel */
    a->type = SLUICE_U8;
    a->label_bytes = 1;
    a->is_label = a->ndim == 1;
out:
    return st;
}

/* The array of a gzip file: exactly what the header promises, with a sound checksum behind it. */
static sluice_status inflate_all(sluice *s, gzFile z, const input *f, array_facts *a)
{
    sluice_status st = SLUICE_OK;
    uint8_t *data = NULL, more;
    size_t bytes = 0;
    int64_t promised = a->shape[0];
    int code = Z_OK;
    for (int i = 1; i < a->ndim; i++)
        if (__builtin_mul_overflow(promised, a->shape[i], &promised)) promised = INT64_MAX;
    if (promised / DEFLATE_RATIO > f->bytes)
        FAIL(E_FORMAT, "the header promises %lld bytes, more than %lld compressed bytes can hold", (long long)promised,
             (long long)f->bytes);
    TRY(array_fit(s, a, 1, (int64_t)a->offset + promised));
    bytes = (size_t)promised;
    TRY_NEW(data, RAW(s, promised, uint8_t));
    TRY(gz_take(s, z, data, bytes));
    int got = gzread(z, &more, 1); /* also makes zlib check the trailing checksum */
    const char *why = gzerror(z, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) FAIL(E_FORMAT, "cannot decompress: %s", why);
    if (got > 0) FAIL(E_FORMAT, "the data goes on after the %zu bytes the header promises", bytes);
    a->memory = data, data = NULL;
    a->offset = 0;
out:
    mem_free(data);
    return st;
}

sluice_status idx_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    input f = { .fd = -1 };
    gzFile z = NULL;
    array_facts a = { 0 };
    (void)tensor;
    TRY(input_open(s, path, &f));
    z = gzdopen(f.fd, "rb");
    if (!z) FAIL(E_MEMORY, "out of memory");
    f.fd = -1; /* z's now */
    TRY(header(s, z, &a));
    if (gzdirect(z)) TRY(array_fit(s, &a, 1, f.bytes));
    else TRY(inflate_all(s, z, &f, &a));
    *out = a;
out:
    if (z) gzclose(z);
    input_close(&f);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}
