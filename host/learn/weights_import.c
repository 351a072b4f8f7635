/* weights_import.c - a linear head from the last layer of another program: a PyTorch state dict or two .npy arrays. */
#include "head.h"
#include "exact.h"
#include "formats.h"

#include <stdio.h>
#include <string.h>

typedef struct imported {
    float *w, *b;
    int64_t c, d;
} imported;

static void imported_release(imported *m) { mem_free(m->w), mem_free(m->b); }

/* count values of a type as f32; false if the type is none of theirs. */
static bool widen(const void *from, const char *dtype, int64_t count, float *to)
{
    const uint16_t *half = from;
    if (strcmp(dtype, "F32") == 0) memcpy(to, from, (size_t)count * sizeof(float));
    else if (strcmp(dtype, "F64") == 0)
        for (int64_t i = 0; i < count; i++) to[i] = (float)((const double *)from)[i];
    else if (strcmp(dtype, "F16") == 0)
        for (int64_t i = 0; i < count; i++) to[i] = ex_f16_to_f32(half[i]);
    else if (strcmp(dtype, "BF16") == 0)
        for (int64_t i = 0; i < count; i++) to[i] = ex_bf16_to_f32(half[i]);
    else return false;
    return true;
}

static sluice_status check_weights(sluice *s, const float *v, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (!ex_finite(v[i])) return sluice_fail(s, SLUICE_E_DATA, "%s holds a NaN or an infinity", what);
    return SLUICE_OK;
}

/* ---- a state dict ---- */

/* ndim 2 [c, d], ndim 1 [c] with c known. */
static sluice_status tensor_floats(sluice *s, const char *path, const st_tensor *t, int ndim, int64_t rows, float **out)
{
    sluice_status st = SLUICE_OK;
    void *raw = NULL;
    float *v = NULL;
    if (t->ndim != ndim || t->shape[0] < 1 || (ndim == 2 && t->shape[1] < 1) || (rows && t->shape[0] != rows))
        FAIL(E_SHAPE, "tensor '%s' does not have the shape of a linear layer's %s", t->name,
             ndim == 2 ? "weight" : "bias");
    int64_t n = t->shape[0] * (ndim == 2 ? t->shape[1] : 1);
    TRY_NEW(raw, mem_raw(s, (int64_t)t->bytes, 1));
    TRY_NEW(v, RAW(s, n, float));
    TRY(safetensors_read(s, path, t, raw));
    if (!widen(raw, t->dtype, n, v)) FAIL(E_TYPE, "tensor '%s' is %s, not F32, F16 or BF16", t->name, t->dtype);
    TRY(check_weights(s, v, n, t->name));
    *out = v, v = NULL;
out:
    mem_free(raw), mem_free(v);
    return st;
}

static const st_tensor *find_part(const st_file *f, const char *prefix, const char *part)
{
    char name[256];
    size_t n = strlen(prefix);
    snprintf(name, sizeof name, "%s%s%s", prefix, n && prefix[n - 1] != '.' ? "." : "", part);
    return safetensors_find(f, name);
}

/* The prefix under which the file has a weight; NULL and a message where that is not clear. */
static const char *choose_prefix(sluice *s, const st_file *f)
{
    static const char *const known[] = { "fc.", "head.", "classifier." };
    const char *found = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!find_part(f, known[i], "weight")) continue;
        if (found) {
            sluice_fail(s, SLUICE_E_FORMAT, "both '%sweight' and '%sweight' are there", found, known[i]);
            sluice_hint(s, SLUICE_E_FORMAT, "say which with --prefix");
            return NULL;
        }
        found = known[i];
    }
    if (!found) {
        sluice_fail(s, SLUICE_E_FORMAT, "there is no fc.weight, head.weight or classifier.weight");
        sluice_hint(s, SLUICE_E_FORMAT, "say where the last layer is with --prefix, as in --prefix classifier.1.");
    }
    return found;
}

static sluice_status from_state_dict(sluice *s, const char *path, const char *prefix, imported *m)
{
    sluice_status st = SLUICE_OK;
    st_file f = { 0 };
    TRY(safetensors_open(s, path, &f));
    if (!prefix && !(prefix = choose_prefix(s, &f))) {
        st = SLUICE_E_FORMAT;
        goto out;
    }
    const st_tensor *w = find_part(&f, prefix, "weight"), *b = find_part(&f, prefix, "bias");
    if (!w) FAIL(E_FORMAT, "there is no tensor '%s' with 'weight' behind it", prefix);
    TRY(tensor_floats(s, path, w, 2, 0, &m->w));
    if (b) TRY(tensor_floats(s, path, b, 1, w->shape[0], &m->b));
    m->c = w->shape[0], m->d = w->shape[1];
out:
    safetensors_release(&f);
    return st;
}

/* ---- .npy ---- */

static const char *dtype_of(sluice_type t)
{
    return t == SLUICE_F32 ? "F32" : t == SLUICE_F64 ? "F64" : t == SLUICE_F16 ? "F16" : t == SLUICE_BF16 ? "BF16" : "";
}

static sluice_status read_at(sluice *s, const char *path, size_t offset, size_t bytes, void *out)
{
    sluice_status st = SLUICE_OK;
    FILE *f = fopen(path, "rb");
    if (!f) FAIL_ERRNO(E_MISSING, "cannot open '%s'", path);
    if (fseeko(f, (off_t)offset, SEEK_SET) != 0 || fread(out, 1, bytes, f) != bytes)
        FAIL(E_IO, "cannot read %zu bytes of '%s'", bytes, path);
out:
    if (f) fclose(f);
    return st;
}

static sluice_status npy_floats(sluice *s, const char *path, int ndim, int64_t rows, array_facts *a, float **out)
{
    sluice_status st = SLUICE_OK;
    void *raw = NULL;
    float *v = NULL;
    *a = (array_facts){ 0 };
    TRY(npy_open(s, path, NULL, a));
    if (a->ndim != ndim || a->shape[0] < 1 || (ndim == 2 && a->shape[1] < 1) || (rows && a->shape[0] != rows))
        FAIL(E_SHAPE, "'%s' does not have the shape of a linear layer's %s", path, ndim == 2 ? "weight" : "bias");
    int64_t n = a->shape[0] * (ndim == 2 ? a->shape[1] : 1);
    size_t bytes = (size_t)n * sluice_type_bytes(a->type);
    if (a->is_label || !*dtype_of(a->type)) FAIL(E_TYPE, "'%s' does not hold floats", path);
    TRY_NEW(raw, mem_raw(s, (int64_t)bytes, 1));
    TRY_NEW(v, RAW(s, n, float));
    TRY(read_at(s, path, a->offset, bytes, raw));
    widen(raw, dtype_of(a->type), n, v);
    TRY(check_weights(s, v, n, path));
    *out = v, v = NULL;
out:
    mem_free(raw), mem_free(v), mem_free(a->memory);
    return st;
}

static sluice_status from_npy(sluice *s, const char *weight_path, const char *bias_path, imported *m)
{
    sluice_status st = SLUICE_OK;
    array_facts w, b;
    TRY(npy_floats(s, weight_path, 2, 0, &w, &m->w));
    m->c = w.shape[0], m->d = w.shape[1];
    if (bias_path) TRY(npy_floats(s, bias_path, 1, m->c, &b, &m->b));
out:
    return st;
}

/* ---- both ---- */

static sluice_status number_names(sluice *s, int64_t c, char ***out)
{
    sluice_status st = SLUICE_OK;
    char **names;
    TRY_NEW(names, NEW(s, c, char *));
    *out = names;
    for (int64_t j = 0; j < c; j++) TRY_NEW(names[j], mem_format(s, "%lld", (long long)j));
out:
    return st;
}

static sluice_status make_head(sluice *s, imported *m, char *const *names, int names_count, sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    sluice_head *h = NULL;
    char **numbers = NULL;
    if (m->c > HEAD_MAX_CLASSES)
        FAIL(E_SHAPE, "the weight has %lld rows, a head at most %d classes", (long long)m->c, HEAD_MAX_CLASSES);
    if (names && names_count != m->c)
        FAIL(E_SHAPE, "there are %d class names for %lld classes", names_count, (long long)m->c);
    if (!names) TRY(number_names(s, m->c, &numbers));
    TRY(head_new(s, "linear", (const int64_t[3]){ m->d, 0, 0 }, (int)m->c, names ? names : numbers, &h));
    h->layers[0].w = m->w, h->layers[0].b = m->b;
    m->w = m->b = NULL;
    TRY(head_tensors(s, h)); /* zeros for a missing bias */
    TRY_NEW(h->trained, mem_text(s, "{\"method\":\"imported\"}"));
    TRY(head_prepare(s, h));
    *out_head = h, h = NULL;
out:
    sluice_head_free(h);
    for (int64_t j = 0; numbers && j < m->c; j++) mem_free(numbers[j]);
    mem_free(numbers);
    return st;
}

sluice_status head_import(sluice *s, const char *weight_path, const char *bias_path, const char *prefix,
                          char *const *names, int names_count, sluice_head **out_head)
{
    sluice_status st = SLUICE_OK;
    imported m = { 0 };
    bool npy = path_ends(weight_path, ".npy");
    if (!npy && bias_path) FAIL(E_USAGE, "a bias file goes with a weight in .npy");
    if (npy && prefix) FAIL(E_USAGE, "a prefix goes with a .safetensors file");
    TRY(npy ? from_npy(s, weight_path, bias_path, &m) : from_state_dict(s, weight_path, prefix, &m));
    TRY(make_head(s, &m, names, names_count, out_head));
out:
    imported_release(&m);
    return st ? sluice_note(s, st, "cannot make a head of '%s'", weight_path) : SLUICE_OK;
}
