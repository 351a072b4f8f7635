/* safetensors.c - the safetensors container: uint64 header length, a JSON header, the tensors back to back.
 * Reading is strict, as the format's own rules ask: no hole, no overlap, sizes as the shapes say, no duplicate name. */
#include "formats.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000 /* the limit of the reference implementation */

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
    { "F32", 4 },  { "F16", 2 },     { "BF16", 2 },    { "F64", 8 }, { "I8", 1 },  { "U8", 1 },
    { "I16", 2 },  { "U16", 2 },     { "I32", 4 },     { "U32", 4 }, { "I64", 8 }, { "U64", 8 },
    { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "C64", 8 },
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static int dtype_bytes(const char *name)
{
    for (int i = 0; i < DTYPES; i++)
        if (!strcmp(dtypes[i].name, name)) return dtypes[i].bytes;
    return 0;
}

/* ---- reading ---- */

static sluice_status shape_read(sluice *s, const char *name, json_t *shape, st_tensor *t)
{
    size_t n = json_array_size(shape);
    t->bytes = (size_t)dtype_bytes(t->dtype);
    if (!json_is_array(shape) || n > 8)
        return sluice_fail(s, SLUICE_E_FORMAT, "tensor '%s': its shape is no list of at most 8 counts", name);
    t->ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(shape, i);
        t->shape[i] = json_integer_value(v);
        if (!json_is_integer(v) || t->shape[i] < 0)
            return sluice_fail(s, SLUICE_E_FORMAT, "tensor '%s': dimension %zu of its shape is no count", name, i);
        if (mul_overflows(t->bytes, (size_t)t->shape[i], &t->bytes) || t->bytes > INT64_MAX)
            return sluice_fail(s, SLUICE_E_FORMAT, "tensor '%s': the product of its shape overflows 64 bits", name);
    }
    return SLUICE_OK;
}

/* One entry {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}; data lies at base, data_bytes of it. */
static sluice_status tensor_read(sluice *s, const char *name, json_t *entry, int64_t base, int64_t data_bytes,
                                 st_tensor *t)
{
    sluice_status st = SLUICE_OK;
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!json_is_object(entry) || !dtype) FAIL(E_FORMAT, "tensor '%s' has no dtype", name);
    if (!dtype_bytes(dtype)) FAIL(E_FORMAT, "tensor '%s': dtype '%s' is unknown", name, dtype);
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    TRY(shape_read(s, name, json_object_get(entry, "shape"), t));
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        FAIL(E_FORMAT, "tensor '%s': its data_offsets are no two counts", name);
    int64_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin || end > data_bytes)
        FAIL(E_FORMAT, "tensor '%s': its data at %lld to %lld is not within the file's %lld bytes of data", name,
             (long long)begin, (long long)end, (long long)data_bytes);
    if ((size_t)(end - begin) != t->bytes)
        FAIL(E_FORMAT, "tensor '%s': shape and dtype make %zu bytes, its data_offsets %lld", name, t->bytes,
             (long long)(end - begin));
    t->offset = (size_t)(base + begin);
    TRY_NEW(t->name, mem_text(s, name));
out:
    return st;
}

static int by_offset(const void *a, const void *b)
{
    const st_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* an empty tensor comes before the one it touches */
}

static sluice_status check_layout(sluice *s, const st_file *f, int64_t base, int64_t file_bytes)
{
    size_t at = (size_t)base;
    for (int i = 0; i < f->count; i++) {
        const st_tensor *t = &f->tensors[i];
        if (t->offset != at)
            return sluice_fail(
                s, SLUICE_E_FORMAT, "tensor '%s' %s, its data begins at %zu and the one before ends at %zu", t->name,
                t->offset < at ? "overlaps another" : "leaves a hole", t->offset - (size_t)base, at - (size_t)base);
        at += t->bytes;
    }
    if (at != (size_t)file_bytes)
        return sluice_fail(s, SLUICE_E_FORMAT, "the tensors end at byte %zu, the file has %lld", at,
                           (long long)file_bytes);
    return SLUICE_OK;
}

static sluice_status metadata_read(sluice *s, json_t *entry, st_file *f)
{
    const char *key;
    json_t *value;
    if (!json_is_object(entry)) return sluice_fail(s, SLUICE_E_FORMAT, "__metadata__ is no object");
    json_object_foreach(entry, key, value) if (!json_is_string(value)) return sluice_fail(
        s, SLUICE_E_FORMAT, "__metadata__ holds '%s', which is no string", key);
    f->metadata = json_incref(entry);
    return SLUICE_OK;
}

static sluice_status header_read(sluice *s, const input *in, json_t **out_root, int64_t *out_base)
{
    sluice_status st = SLUICE_OK;
    uint8_t head[8];
    char *text = NULL;
    json_error_t e;
    if (in->bytes < 8) FAIL(E_FORMAT, "%lld bytes are too few for the header's length", (long long)in->bytes);
    TRY(input_read(s, in, 0, head, 8));
    uint64_t length = load_u64(head);
    if (length > HEADER_LIMIT)
        FAIL(E_FORMAT, "a header of %llu bytes is above the limit of %d", (unsigned long long)length, HEADER_LIMIT);
    if ((int64_t)length > in->bytes - 8)
        FAIL(E_FORMAT, "the header promises %llu bytes, the file has %lld", (unsigned long long)length,
             (long long)in->bytes);
    TRY_NEW(text, RAW(s, (int64_t)length, char));
    TRY(input_read(s, in, 8, text, length));
    if (!length || text[0] != '{') FAIL(E_FORMAT, "the header does not begin with '{'");
    *out_root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e);
    if (!*out_root) FAIL(E_FORMAT, "the header's JSON is malformed at byte %d: %s", e.position, e.text);
    *out_base = 8 + (int64_t)length;
out:
    mem_free(text);
    return st;
}

sluice_status safetensors_open(sluice *s, const char *path, st_file *out)
{
    sluice_status st = SLUICE_OK;
    input in = { .fd = -1 };
    st_file f = { 0 };
    json_t *root = NULL, *entry;
    const char *name;
    int64_t base = 0;
    TRY(input_open(s, path, &in));
    TRY(header_read(s, &in, &root, &base));
    TRY_NEW(f.tensors, NEW(s, (int64_t)json_object_size(root), st_tensor));
    json_object_foreach(root, name, entry)
    {
        if (!strcmp(name, "__metadata__")) TRY(metadata_read(s, entry, &f));
        else TRY(tensor_read(s, name, entry, base, in.bytes - base, &f.tensors[f.count++]));
    }
    if (f.count) qsort(f.tensors, (size_t)f.count, sizeof *f.tensors, by_offset);
    TRY(check_layout(s, &f, base, in.bytes));
    *out = f, f = (st_file){ 0 };
out:
    safetensors_release(&f);
    json_decref(root);
    input_close(&in);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

const st_tensor *safetensors_find(const st_file *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->tensors[i].name, name)) return &f->tensors[i];
    return NULL;
}

sluice_status safetensors_read(sluice *s, const char *path, const st_tensor *t, void *out)
{
    sluice_status st = SLUICE_OK;
    input in = { .fd = -1 };
    TRY(input_open(s, path, &in));
    TRY(input_read(s, &in, (int64_t)t->offset, out, t->bytes));
out:
    input_close(&in);
    return st ? sluice_note(s, st, "cannot read tensor '%s' of '%s'", t->name, path) : SLUICE_OK;
}

void safetensors_release(st_file *f)
{
    for (int i = 0; i < f->count; i++) mem_free(f->tensors[i].name);
    mem_free(f->tensors);
    json_decref(f->metadata);
    *f = (st_file){ 0 };
}

/* ---- one tensor as a pool's array ---- */

/* The tensor named, or the only one that can hold features, or the only one at all. */
static sluice_status choose(sluice *s, const st_file *f, const char *name, const st_tensor **out)
{
    int found = 0;
    *out = NULL;
    if (name) {
        *out = safetensors_find(f, name);
        return *out ? SLUICE_OK : sluice_fail(s, SLUICE_E_MISSING, "it holds no tensor '%s'", name);
    }
    for (int i = 0; i < f->count; i++)
        if (f->tensors[i].ndim == 2 || f->tensors[i].ndim == 4) *out = &f->tensors[i], found++;
    if (found == 1) return SLUICE_OK;
    if (f->count == 1) {
        *out = &f->tensors[0];
        return SLUICE_OK;
    }
    if (!found) return sluice_fail(s, SLUICE_E_SHAPE, "none of its %d tensors has 2 or 4 dimensions", f->count);
    sluice_status st = sluice_fail(s, SLUICE_E_USAGE, "%d of its tensors have 2 or 4 dimensions, among them '%s'",
                                   found, (*out)->name);
    return sluice_hint(s, st, "name one with --tensor");
}

static sluice_status judge(sluice *s, const st_tensor *t, array_facts *a, size_t *out_element)
{
    static const struct {
        const char *name;
        sluice_type type;
        int int_bytes;
        bool is_signed;
    } kinds[] = {
        { "F32", SLUICE_F32, 0, false }, { "F16", SLUICE_F16, 0, false }, { "BF16", SLUICE_BF16, 0, false },
        { "F64", SLUICE_F64, 0, false }, { "I8", SLUICE_I8, 1, true },    { "U8", SLUICE_U8, 1, false },
        { "I16", SLUICE_I8, 2, true },   { "U16", SLUICE_U8, 2, false },  { "I32", SLUICE_I8, 4, true },
        { "U32", SLUICE_U8, 4, false },  { "I64", SLUICE_I8, 8, true },   { "U64", SLUICE_U8, 8, false },
    };
    size_t k = 0, count = sizeof kinds / sizeof *kinds;
    while (k < count && strcmp(kinds[k].name, t->dtype)) k++;
    if (k == count)
        return sluice_fail(s, SLUICE_E_TYPE, "tensor '%s': elements of type %s are not read", t->name, t->dtype);
    if (t->ndim != 1 && t->ndim != 2 && t->ndim != 4)
        return sluice_fail(s, SLUICE_E_SHAPE, "tensor '%s': %d dimensions, features are [n, d] or [n, h, w, c]",
                           t->name, t->ndim);
    a->type = kinds[k].type;
    a->label_bytes = kinds[k].int_bytes;
    a->label_signed = kinds[k].is_signed;
    a->is_label = kinds[k].int_bytes && (t->ndim == 1 || kinds[k].int_bytes > 1);
    a->ndim = t->ndim;
    memcpy(a->shape, t->shape, (size_t)t->ndim * sizeof *a->shape);
    a->offset = t->offset;
    *out_element = (size_t)dtype_bytes(t->dtype);
    return SLUICE_OK;
}

sluice_status safetensors_array_open(sluice *s, const char *path, const char *tensor, array_facts *out)
{
    sluice_status st = SLUICE_OK;
    st_file f = { 0 };
    const st_tensor *t = NULL;
    array_facts a = { 0 };
    size_t element = 0;
    if ((st = safetensors_open(s, path, &f)) != SLUICE_OK) return st; /* has named the file */
    TRY(choose(s, &f, tensor, &t));
    assert(t);
    TRY(judge(s, t, &a, &element));
    TRY(array_fit(s, &a, element, (int64_t)(t->offset + t->bytes)));
    *out = a;
out:
    safetensors_release(&f);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

/* ---- writing ---- */

/* Order of the data: wider types first, else as given, so that each tensor is aligned to its type. */
static void order_by_width(const st_tensor *t, int count, int *order)
{
    int n = 0;
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < count; i++)
            if (dtype_bytes(t[i].dtype) == width) order[n++] = i;
}

/* {"dtype": ..., "shape": ..., "data_offsets": [from, to]}, or NULL when out of memory. */
static json_t *entry_json(const st_tensor *t, size_t from, size_t to)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i]))) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype, "shape", shape, "data_offsets", (json_int_t)from,
                     (json_int_t)to);
}

/* Adds t's entry, its data at *at of the file's data, and moves *at behind it. */
static sluice_status entry_make(sluice *s, const st_tensor *t, size_t *at, json_t *root)
{
    size_t bytes = (size_t)dtype_bytes(t->dtype), end;
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0 || mul_overflows(bytes, (size_t)t->shape[i], &bytes)) bytes = SIZE_MAX;
    if (bytes != t->bytes || __builtin_add_overflow(*at, bytes, &end))
        return sluice_fail(s, SLUICE_E_SHAPE, "tensor '%s': shape and %zu bytes do not fit", t->name, t->bytes);
    if (json_object_get(root, t->name))
        return sluice_fail(s, SLUICE_E_DATA, "tensor name '%s' is there twice", t->name);
    if (!utf8_valid(t->name, strlen(t->name)))
        return sluice_fail(s, SLUICE_E_DATA, "tensor name '%s' is not UTF-8", t->name);
    if (json_object_set_new(root, t->name, entry_json(t, *at, end))) /* fails for NULL, and frees what it cannot keep */
        return sluice_fail(s, SLUICE_E_MEMORY, "out of memory");
    *at = end;
    return SLUICE_OK;
}

/* The header's text, padded with spaces so that the data begins at a multiple of 8. */
static sluice_status header_make(sluice *s, const st_tensor *t, int count, const int *order, json_t *metadata,
                                 char **out_text)
{
    sluice_status st = SLUICE_OK;
    json_t *root = json_object();
    char *text = NULL;
    size_t at = 0;
    if (metadata && json_object_set(root, "__metadata__", metadata)) FAIL(E_MEMORY, "out of memory");
    for (int i = 0; i < count; i++) TRY(entry_make(s, &t[order[i]], &at, root));
    text = json_dumps(root, JSON_COMPACT);
    if (!text) FAIL(E_MEMORY, "out of memory");
    size_t n = strlen(text), whole = (n + 7) / 8 * 8;
    TRY_NEW(*out_text, mem_format(s, "%s%*s", text, (int)(whole - n), ""));
out:
    free(text);
    json_decref(root);
    return st;
}

sluice_status safetensors_write(sluice *s, const char *path, bool force, const st_tensor *tensors, int count,
                                json_t *metadata)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    char *text = NULL;
    uint8_t head[8];
    int *order = NULL;
    for (int i = 0; i < count; i++)
        if (!dtype_bytes(tensors[i].dtype))
            FAIL(E_TYPE, "tensor '%s': dtype '%s' is unknown", tensors[i].name, tensors[i].dtype);
    TRY_NEW(order, NEW(s, count, int));
    order_by_width(tensors, count, order);
    if ((st = header_make(s, tensors, count, order, metadata, &text)) != SLUICE_OK) {
        sluice_note(s, st, "cannot write '%s'", path);
        goto out;
    }
    for (int i = 0; i < 8; i++) head[i] = (uint8_t)((uint64_t)strlen(text) >> 8 * i);
    TRY(outfile_open(s, path, force, &f));
    TRY(outfile_write(s, f, head, 8));
    TRY(outfile_write(s, f, text, strlen(text)));
    for (int i = 0; i < count; i++) TRY(outfile_write(s, f, tensors[order[i]].data, tensors[order[i]].bytes));
out:
    st = outfile_end(s, f, st);
    mem_free(text), mem_free(order);
    return st;
}
