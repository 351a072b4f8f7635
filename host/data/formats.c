/* formats.c - which parser a file gets, what is refused, and the checks all arrays share. */
#include "formats.h"

#include <stdio.h>
#include <string.h>

static const struct {
    format_open *open;
    const char *endings, *magic;
} formats[] = {
#define FORMAT(open, endings, magic) { open, endings, magic },
#include "formats.def"
#undef FORMAT
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Formats of other tools, with the line of Python that makes a .npy of them. */
static const struct {
    const char *endings, *line;
} refused[] = {
    { ".npz", "import numpy as n; z = n.load('%s'); n.save('new.npy', z[z.files[0]])" },
    { ".pt .pth", "import numpy as n, torch; n.save('new.npy', torch.load('%s', map_location='cpu').float().numpy())" },
    { ".parquet",
      "import numpy as n, pandas as p; n.save('new.npy', n.stack(p.read_parquet('%s')['embedding']).astype('<f4'))" },
    { ".h5 .hdf5", "import numpy as n, h5py; n.save('new.npy', h5py.File('%s')['features'][:])" },
};
enum { REFUSED = sizeof refused / sizeof *refused };

/* Length of the one of the space-separated endings that path has, 0: none. */
static size_t ending_of(const char *path, const char *endings)
{
    char one[24];
    for (const char *p = endings; *p;) {
        size_t n = strcspn(p, " ");
        snprintf(one, sizeof one, "%.*s", (int)n, p);
        if (path_ends(path, one)) return n;
        p += n + strspn(p + n, " ");
    }
    return 0;
}

size_t array_ending(const char *path)
{
    size_t n = 0;
    for (int i = 0; i < FORMATS && !n; i++) n = ending_of(path, formats[i].endings);
    return n;
}

static sluice_status refuse(sluice *s, const char *path)
{
    for (int i = 0; i < REFUSED; i++)
        if (ending_of(path, refused[i].endings)) {
            char line[4096];
            /* the line is ours, only its %s is the path */
            const char *at = strstr(refused[i].line, "%s");
            snprintf(line, sizeof line, "%.*s%s%s", (int)(at - refused[i].line), refused[i].line, path, at + 2);
            sluice_status st =
                sluice_fail(s, SLUICE_E_FORMAT, "cannot read '%s': this format is not read, convert it to .npy", path);
            return sluice_hint(s, st, "python -c \"%s\"", line);
        }
    return sluice_fail(s, SLUICE_E_FORMAT,
                       "cannot read '%s': its ending is none of .npy .safetensors .fbin .f16bin .u8bin .i8bin "
                       ".fvecs .bvecs .idx -ubyte (.gz)",
                       path);
}

sluice_status array_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    input f = { .fd = -1 };
    char head[8] = { 0 };
    for (int i = 0; i < FORMATS; i++)
        if (ending_of(path, formats[i].endings)) return formats[i].open(s, path, tensor, out);
    if ((st = input_open(s, path, &f)) != SLUICE_OK) return sluice_note(s, st, "cannot read '%s'", path);
    size_t n = f.bytes < 8 ? (size_t)f.bytes : 8;
    st = input_read(s, &f, 0, head, n);
    input_close(&f);
    if (st) return sluice_note(s, st, "cannot read '%s'", path);
    for (int i = 0; i < FORMATS; i++) {
        size_t m = strlen(formats[i].magic);
        if (m && m <= n && !memcmp(head, formats[i].magic, m)) return formats[i].open(s, path, tensor, out);
    }
    return refuse(s, path);
}

/* ---- shared checks ---- */

static void shape_text(const array_facts *a, char *out, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < a->ndim && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, i ? " x %lld" : "%lld", (long long)a->shape[i]);
}

sluice_status array_fit(sluice *s, array_facts *a, size_t element, int64_t file_bytes)
{
    char shape[96];
    size_t stride = element, data, end;
    shape_text(a, shape, sizeof shape);
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] < (i > 0)) return sluice_fail(s, SLUICE_E_SHAPE, "a shape of %s has no elements a row", shape);
    for (int i = 1; i < a->ndim; i++)
        if (mul_overflows(stride, (size_t)a->shape[i], &stride) || stride > (size_t)1 << 33)
            return sluice_fail(s, SLUICE_E_SHAPE, "a row of shape %s is above the limit of 8 GiB", shape);
    if (mul_overflows(stride, (size_t)a->shape[0], &data) || __builtin_add_overflow(data, a->offset, &end) ||
        end > INT64_MAX)
        return sluice_fail(s, SLUICE_E_FORMAT, "the header's shape %s overflows 64 bits", shape);
    if ((int64_t)end != file_bytes)
        return sluice_fail(s, SLUICE_E_FORMAT,
                           "the header says %s elements of %zu bytes, so %zu bytes in all; the file has %lld", shape,
                           element, end, (long long)file_bytes);
    a->stride = stride;
    return SLUICE_OK;
}

/* ---- integer arrays ---- */

static int64_t int_at(const uint8_t *p, int bytes, bool is_signed)
{
    switch (bytes) {
    case 1: return is_signed ? (int64_t)(int8_t)*p : *p;
    case 2: {
        uint16_t v = (uint16_t)(p[0] | p[1] << 8);
        return is_signed ? (int64_t)(int16_t)v : v;
    }
    case 4: {
        uint32_t v = load_u32(p);
        return is_signed ? (int64_t)(int32_t)v : v;
    }
    default: return (int64_t)load_u64(p);
    }
}

sluice_status ints_load(sluice *s, const char *path, int64_t **out, int64_t *out_count, bool *out_wide)
{
    sluice_status st = SLUICE_OK;
    array_facts a = { 0 };
    input f = { .fd = -1 };
    uint8_t *raw = NULL;
    int64_t *v = NULL;
    TRY(array_open(s, path, NULL, &a));
    int64_t n = a.shape[0];
    size_t bytes = (size_t)a.label_bytes;
    if (!a.label_bytes) FAIL(E_TYPE, "cannot read '%s': labels and ids are integers, this array holds fractions", path);
    if (a.ndim > 2 || (a.ndim == 2 && a.shape[1] != 1))
        FAIL(E_SHAPE, "cannot read '%s': labels and ids are one integer a row, this array has %d dimensions", path,
             a.ndim);
    TRY_NEW(v, RAW(s, n, int64_t));
    if (!a.memory) {
        if (a.stride != bytes) FAIL(E_FORMAT, "cannot read '%s': not a plain array of integers", path);
        TRY_NEW(raw, RAW(s, n * a.label_bytes, uint8_t)); /* as large as the file says, so no overflow */
        TRY(input_open(s, path, &f));
        TRY(input_read(s, &f, (int64_t)a.offset, raw, (size_t)n * bytes));
    }
    const uint8_t *from = a.memory ? a.memory : raw;
    for (int64_t i = 0; i < n; i++) v[i] = int_at(from + (size_t)i * bytes, a.label_bytes, a.label_signed);
    *out_wide = a.label_bytes == 8 && !a.label_signed;
    *out = v, v = NULL;
    *out_count = n;
out:
    input_close(&f);
    mem_free(raw), mem_free(v), mem_free(a.memory);
    return st;
}
