/* npy.c - NumPy's .npy, versions 1 to 3: magic, version, header length, a Python dictionary as text, then the array. */
#include "formats.h"

#include <stdio.h>
#include <string.h>

#define HEADER_LIMIT (1 << 20) /* numpy writes 128 bytes; a structured type may need more, and is refused anyway */

static const struct {
    const char *descr;
    sluice_type type;
    int bytes;
    bool is_int, is_signed;
} kinds[] = {
    { "<f4", SLUICE_F32, 4, false, false }, { "<f2", SLUICE_F16, 2, false, false },
    { "<f8", SLUICE_F64, 8, false, false }, { "|i1", SLUICE_I8, 1, true, true },
    { "|u1", SLUICE_U8, 1, true, false },   { "<i1", SLUICE_I8, 1, true, true },
    { "<u1", SLUICE_U8, 1, true, false },   { "<i2", SLUICE_I8, 2, true, true },
    { "<u2", SLUICE_U8, 2, true, false },   { "<i4", SLUICE_I8, 4, true, true },
    { "<u4", SLUICE_U8, 4, true, false },   { "<i8", SLUICE_I8, 8, true, true },
    { "<u8", SLUICE_U8, 8, true, false },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The dictionary as found: values not yet judged. */
typedef struct header {
    char descr[32];
    bool fortran;
    int ndim;
    int64_t shape[4];
    bool has_descr, has_order, has_shape;
} header;

/* ---- the dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */

typedef struct cursor {
    const char *p, *end;
} cursor;

static void space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) c->p++;
}

static bool take(cursor *c, char want)
{
    space(c);
    if (c->p == c->end || *c->p != want) return false;
    c->p++;
    return true;
}

static bool word(cursor *c, const char *want)
{
    size_t n = strlen(want);
    space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, want, n)) return false;
    c->p += n;
    return true;
}

static bool quoted(cursor *c, char *out, size_t size)
{
    space(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"')) return false;
    char quote = *c->p++;
    size_t n = 0;
    while (c->p < c->end && *c->p != quote) {
        if (*c->p == '\\' || n + 1 >= size) return false;
        out[n++] = *c->p++;
    }
    out[n] = 0;
    return take(c, quote);
}

static bool number(cursor *c, int64_t *out)
{
    int64_t v = 0;
    space(c);
    const char *first = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *c->p - '0', &v)) return false;
    if (c->p == first) return false;
    if (c->p < c->end && *c->p == 'L') c->p++; /* Python 2 wrote longs */
    *out = v;
    return true;
}

/* (3, 4), (3,) or (): at most 4 dimensions are kept, more are counted. */
static bool tuple(cursor *c, header *h)
{
    if (!take(c, '(')) return false;
    while (!take(c, ')')) {
        int64_t v;
        if (!number(c, &v)) return false;
        if (h->ndim < 4) h->shape[h->ndim] = v;
        if (++h->ndim > 64) return false;
        if (take(c, ',')) continue;
        if (!take(c, ')')) return false;
        break;
    }
    return true;
}

static const char *dictionary(cursor *c, header *h)
{
    char key[32];
    if (!take(c, '{')) return "the header is no dictionary";
    while (!take(c, '}')) {
        if (!quoted(c, key, sizeof key) || !take(c, ':')) return "the header's dictionary is malformed";
        bool *seen = !strcmp(key, "descr")           ? &h->has_descr
                     : !strcmp(key, "fortran_order") ? &h->has_order
                     : !strcmp(key, "shape")         ? &h->has_shape
                                                     : NULL;
        if (!seen) return "the header has a key other than descr, fortran_order and shape";
        if (*seen) return "the header names a key twice";
        *seen = true;
        if (seen == &h->has_descr) {
            space(c);
            if (c->p < c->end && *c->p == '[') {
                strcpy(h->descr, "[");
                return NULL;
            } /* refused by its type */
            if (!quoted(c, h->descr, sizeof h->descr)) return "the header's descr is malformed";
        } else if (seen == &h->has_order) {
            h->fortran = word(c, "True");
            if (!h->fortran && !word(c, "False")) return "the header's fortran_order is neither True nor False";
        } else if (!tuple(c, h)) {
            return "the header's shape is no tuple of counts that fit 64 bits";
        }
        if (!take(c, ',')) {
            if (!take(c, '}')) return "the header's dictionary does not end";
            break;
        }
    }
    space(c);
    if (c->p != c->end) return "something follows the header's dictionary";
    return h->has_descr && h->has_order && h->has_shape ? NULL : "the header lacks descr, fortran_order or shape";
}

/* ---- from header to facts ---- */

static sluice_status header_read(sluice *s, const input *f, header *h, size_t *out_offset)
{
    sluice_status st = SLUICE_OK;
    uint8_t fixed[12];
    char *text = NULL;
    if (f->bytes < 10) FAIL(E_FORMAT, "%lld bytes are too few for a .npy header", (long long)f->bytes);
    TRY(input_read(s, f, 0, fixed, 10));
    if (memcmp(fixed, "\x93NUMPY", 6)) FAIL(E_FORMAT, "it does not begin with the magic bytes of a .npy file");
    if (fixed[6] < 1 || fixed[6] > 3) FAIL(E_FORMAT, ".npy version %d.%d is unknown", fixed[6], fixed[7]);
    size_t start = fixed[6] == 1 ? 10 : 12, length = (size_t)fixed[8] | (size_t)fixed[9] << 8;
    if (start == 12) {
        TRY(input_read(s, f, 8, fixed + 8, 4));
        length = load_u32(fixed + 8);
    }
    if (length > HEADER_LIMIT) FAIL(E_FORMAT, "a header of %zu bytes is above the limit of %d", length, HEADER_LIMIT);
    if ((int64_t)(start + length) > f->bytes)
        FAIL(E_FORMAT, "the header promises %zu bytes, the file ends after %lld", start + length, (long long)f->bytes);
    TRY_NEW(text, RAW(s, (int64_t)length, char));
    TRY(input_read(s, f, (int64_t)start, text, length));
    const char *why = dictionary(&(cursor){ text, text + length }, h);
    if (why) FAIL(E_FORMAT, "%s", why);
    *out_offset = start + length;
out:
    mem_free(text);
    return st;
}

static sluice_status refuse_type(sluice *s, const char *path, const char *descr)
{
    if (descr[0] == '[')
        return sluice_fail(s, SLUICE_E_TYPE, "it holds records of several fields, an array of one type is needed");
    sluice_status st =
        sluice_fail(s, SLUICE_E_TYPE,
                    "element type '%s' is none of <f4 <f2 <f8 |i1 |u1 (features) or integers (labels, ids)", descr);
    return sluice_hint(s, st, "python -c \"import numpy as n; n.save('new.npy', n.load('%s').astype('<f4'))\"", path);
}

static sluice_status judge(sluice *s, const char *path, const header *h, array_facts *a, size_t *out_element)
{
    int k = 0;
    while (k < KINDS && strcmp(kinds[k].descr, h->descr)) k++;
    if (k == KINDS) return refuse_type(s, path, h->descr);
    if (h->ndim != 1 && h->ndim != 2 && h->ndim != 4) {
        sluice_status st =
            sluice_fail(s, SLUICE_E_SHAPE, "%d dimensions, features are [n, d] or [n, h, w, c]", h->ndim);
        return h->ndim == 3 ? sluice_hint(s, st,
                                          "images without channels: python -c \"import numpy as n; "
                                          "n.save('new.npy', n.load('%s')[..., None])\"",
                                          path)
                            : st;
    }
    if (h->fortran && h->ndim > 1) { /* one dimension is the same in both orders */
        sluice_status st = sluice_fail(s, SLUICE_E_FORMAT, "the array is in Fortran order, rows must be contiguous");
        return sluice_hint(
            s, st, "python -c \"import numpy as n; n.save('new.npy', n.ascontiguousarray(n.load('%s')))\"", path);
    }
    a->type = kinds[k].type;
    a->label_bytes = kinds[k].is_int ? kinds[k].bytes : 0;
    a->label_signed = kinds[k].is_signed;
    a->is_label = kinds[k].is_int && (h->ndim == 1 || kinds[k].bytes > 1);
    a->ndim = h->ndim;
    memcpy(a->shape, h->shape, sizeof a->shape);
    *out_element = (size_t)kinds[k].bytes;
    return SLUICE_OK;
}

sluice_status npy_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    array_facts a = { 0 };
    header h = { 0 };
    size_t element = 0;
    input f = { .fd = -1 };
    (void)tensor;
    TRY(input_open(s, path, &f));
    TRY(header_read(s, &f, &h, &a.offset));
    TRY(judge(s, path, &h, &a, &element));
    TRY(array_fit(s, &a, element, f.bytes));
    *out = a;
out:
    input_close(&f);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

/* As numpy writes it: version 1, padded with spaces so that the array begins at a multiple of 64 bytes. */
size_t npy_header(char text[NPY_HEADER_BYTES], const char *descr, int ndim, const int64_t *shape)
{
    int n = snprintf(text + 10, NPY_HEADER_BYTES - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < ndim; i++)
        n += snprintf(text + 10 + n, NPY_HEADER_BYTES - 10 - (size_t)n,
                      i + 1 < ndim ? "%lld, "
                      : ndim == 1  ? "%lld,"
                                   : "%lld",
                      (long long)shape[i]);
    n += snprintf(text + 10 + n, NPY_HEADER_BYTES - 10 - (size_t)n, "), }");
    size_t whole = ((size_t)n + 10 + 1 + 63) / 64 * 64;
    memset(text + 10 + n, ' ', whole - 10 - (size_t)n);
    text[whole - 1] = '\n';
    memcpy(text, "\x93NUMPY\1\0", 8);
    text[8] = (char)((whole - 10) & 255), text[9] = (char)((whole - 10) >> 8);
    return whole;
}

sluice_status npy_write_header(sluice *s, outfile *f, const char *descr, int ndim, const int64_t *shape)
{
    char text[NPY_HEADER_BYTES];
    return outfile_write(s, f, text, npy_header(text, descr, ndim, shape));
}
