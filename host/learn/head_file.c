/* head_file.c - a head as one .safetensors file.
 *
 *   metadata (strings)   format "sluice-head"   version "1"   sluice (who wrote it)   layers   shape "[1280]" or "[28,28,1]"
 *                        classes (JSON array)   temperature   scale   l2   pool_fingerprint (16 hex digits)   trained (JSON)
 *   tensors              layer.<i>.weight F32 [rows, cols]   layer.<i>.bias F32 [rows]     i: place in the layer line
 *                        mean F32 [width], optional
 *                        train.ids U64 [m]   train.row_hash U64 [m]            both or none
 *                        held.logits F32 [h, classes]   held.target I32 [h]    both or none
 *
 * The same head gives the same bytes.  A file is not trusted: whatever it says is checked before it is used. */
#include "head.h"
#include "exact.h"
#include "formats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 2 * 64 + 5, NAME_BYTES = 40 };

/* ---- saving ---- */

typedef struct tensor_list {
    st_tensor t[MAX_TENSORS];
    char name[MAX_TENSORS][NAME_BYTES];
    int count;
} tensor_list;

/* cols 0: one dimension.  No data, no tensor. */
static void list_tensor(tensor_list *l, const char *name, const char *dtype, size_t size, int64_t rows, int64_t cols,
                        const void *data)
{
    if (!data) return;
    st_tensor *t = &l->t[l->count];
    snprintf(l->name[l->count], NAME_BYTES, "%s", name);
    *t = (st_tensor){ .name = l->name[l->count],
                      .ndim = cols ? 2 : 1,
                      .shape = { rows, cols },
                      .bytes = (size_t)(rows * (cols ? cols : 1)) * size,
                      .data = data };
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    l->count++;
}

static void list_all(const sluice_head *h, tensor_list *l)
{
    for (int i = 0; i < h->layer_count; i++) {
        int64_t rows, cols;
        char name[NAME_BYTES];
        layer_weights(&h->layers[i], &rows, &cols);
        if (rows == 0) continue;
        snprintf(name, sizeof name, "layer.%d.weight", i);
        list_tensor(l, name, "F32", sizeof(float), rows, cols, h->layers[i].w);
        snprintf(name, sizeof name, "layer.%d.bias", i);
        list_tensor(l, name, "F32", sizeof(float), rows, 0, h->layers[i].b);
    }
    list_tensor(l, "mean", "F32", sizeof(float), h->in_width, 0, h->mean);
    if (h->train_count > 0) {
        list_tensor(l, "train.ids", "U64", sizeof(uint64_t), h->train_count, 0, h->train_ids);
        list_tensor(l, "train.row_hash", "U64", sizeof(uint64_t), h->train_count, 0, h->train_row_hash);
    }
    if (h->held_count > 0) {
        list_tensor(l, "held.logits", "F32", sizeof(float), h->held_count, h->classes, h->held_logits);
        list_tensor(l, "held.target", "I32", sizeof(int32_t), h->held_count, 0, h->held_target);
    }
}

static int set_format(json_t *meta, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int set_format(json_t *meta, const char *key, const char *format, ...)
{
    char text[64];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return json_object_set_new(meta, key, json_string(text));
}

/* The array as text under key; takes the array.  NULL (a name that is no UTF-8) fails. */
static int set_array(json_t *meta, const char *key, json_t *array)
{
    char *text = array ? json_dumps(array, JSON_COMPACT) : NULL;
    int failed = !text || json_object_set_new(meta, key, json_string(text));
    free(text);
    json_decref(array);
    return failed;
}

static json_t *names_array(const sluice_head *h)
{
    json_t *a = json_array();
    for (int j = 0; j < h->classes; j++)
        if (json_array_append_new(a, json_string(h->names[j]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *shape_array(const sluice_head *h)
{
    const int64_t *d = h->in_shape;
    return d[1] ? json_pack("[I, I, I]", (json_int_t)d[0], (json_int_t)d[1], (json_int_t)d[2])
                : json_pack("[I]", (json_int_t)d[0]);
}

static json_t *head_metadata(const sluice_head *h)
{
    json_t *m = json_object();
    int bad = set_format(m, "format", "sluice-head") | set_format(m, "version", "1") |
              set_format(m, "sluice", "%s", SLUICE_VERSION);
    bad |= json_object_set_new(m, "layers", json_string(h->line));
    bad |= set_array(m, "shape", shape_array(h));
    bad |= set_array(m, "classes", names_array(h));
    bad |= set_format(m, "temperature", "%.9g", (double)h->temperature);
    bad |= set_format(m, "scale", "%.9g", (double)h->scale);
    bad |= set_format(m, "l2", "%.17g", h->l2);
    bad |= set_format(m, "pool_fingerprint", "%016" PRIx64, h->pool_fingerprint);
    bad |= json_object_set_new(m, "trained", json_string(h->trained ? h->trained : "{}"));
    if (!bad) return m;
    json_decref(m);
    return NULL;
}

static sluice_status save(sluice *s, const sluice_head *h, const char *path, bool force)
{
    sluice_status st = SLUICE_OK;
    tensor_list *l = NULL;
    json_t *meta = head_metadata(h);
    if (!meta) FAIL(E_DATA, "cannot write head '%s': a class name is not UTF-8", path);
    TRY_NEW(l, NEW(s, 1, tensor_list));
    list_all(h, l);
    TRY(safetensors_write(s, path, force, l->t, l->count, meta));
out:
    json_decref(meta);
    mem_free(l);
    return st;
}

sluice_status sluice_head_save(sluice *s, const sluice_head *head, const char *path, int force)
{
    s->error[0] = 0;
    return save(s, head, path, force != 0);
}

/* ---- loading ---- */

typedef struct loading {
    sluice *s;
    const char *path;
    st_file file;
    sluice_head *h;
} loading;

static sluice_status text_of(const loading *l, const char *key, const char **out)
{
    *out = json_string_value(json_object_get(l->file.metadata, key));
    return *out ? SLUICE_OK : sluice_fail(l->s, SLUICE_E_FORMAT, "the metadata have no '%s'", key);
}

static sluice_status number_of(const loading *l, const char *key, double low, double high, double *out)
{
    const char *text;
    sluice_status st = text_of(l, key, &text);
    if (st) return st;
    if (parse_f64(text, out) && *out >= low && *out <= high) return SLUICE_OK;
    return sluice_fail(l->s, SLUICE_E_FORMAT, "'%s' is '%.40s', not a number from %g to %g", key, text, low, high);
}

static sluice_status check_format(const loading *l)
{
    const char *format = json_string_value(json_object_get(l->file.metadata, "format")), *version;
    if (!format || strcmp(format, "sluice-head") != 0)
        return sluice_hint(l->s, sluice_fail(l->s, SLUICE_E_FORMAT, "this .safetensors file is not a head of sluice"),
                           "weights of other programs become a head with: sluice convert --to head");
    sluice_status st = text_of(l, "version", &version);
    if (st) return st;
    if (strcmp(version, "1") == 0) return SLUICE_OK;
    return sluice_fail(l->s, SLUICE_E_FORMAT,
                       "version '%.20s' of the head format is unknown, this sluice reads version 1", version);
}

static sluice_status array_of(const loading *l, const char *key, json_t **out)
{
    const char *text;
    sluice_status st = text_of(l, key, &text);
    if (st) return st;
    *out = json_loads(text, 0, NULL);
    if (json_is_array(*out)) return SLUICE_OK;
    json_decref(*out);
    *out = NULL;
    return sluice_fail(l->s, SLUICE_E_FORMAT, "'%s' is not a JSON array", key);
}

static sluice_status shape_of(const loading *l, int64_t shape[3])
{
    json_t *a = NULL;
    sluice_status st = array_of(l, "shape", &a);
    if (st) return st;
    size_t n = json_array_size(a);
    bool good = n == 1 || n == 3;
    for (size_t i = 0; good && i < n; i++) {
        shape[i] = json_integer_value(json_array_get(a, i));
        good = shape[i] > 0;
    }
    json_decref(a);
    return good ? SLUICE_OK : sluice_fail(l->s, SLUICE_E_FORMAT, "'shape' is not one or three positive integers");
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static sluice_status check_distinct(const loading *l, char *const *names, int n)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    const char **sorted = NULL;
    TRY_NEW(sorted, NEW(s, n, const char *));
    memcpy(sorted, names, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    for (int j = 1; j < n; j++)
        if (strcmp(sorted[j - 1], sorted[j]) == 0) FAIL(E_FORMAT, "two classes are called '%.60s'", sorted[j]);
out:
    mem_free(sorted);
    return st;
}

/* The names point into *out_array. */
static sluice_status names_of(const loading *l, json_t **out_array, char ***out_names, int *out_count)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    TRY(array_of(l, "classes", out_array));
    size_t n = json_array_size(*out_array);
    if (n < 1 || n > HEAD_MAX_CLASSES)
        FAIL(E_FORMAT, "a head has 1 to %d classes, this one has %zu", HEAD_MAX_CLASSES, n);
    TRY_NEW(*out_names, NEW(s, (int64_t)n, char *));
    for (size_t j = 0; j < n; j++) {
        const char *name = json_string_value(json_array_get(*out_array, j));
        if (!name || !*name) FAIL(E_FORMAT, "the name of class %zu is empty or no text", j);
        (*out_names)[j] = (char *)(uintptr_t)name;
    }
    *out_count = (int)n;
    TRY(check_distinct(l, *out_names, (int)n));
out:
    return st;
}

static sluice_status make_head(loading *l)
{
    sluice_status st = SLUICE_OK;
    int64_t shape[3] = { 0 };
    json_t *array = NULL;
    char **names = NULL;
    int classes = 0;
    const char *line;
    TRY(text_of(l, "layers", &line));
    TRY(shape_of(l, shape));
    TRY(names_of(l, &array, &names, &classes));
    TRY(head_new(l->s, line, shape, classes, names, &l->h));
out:
    mem_free(names);
    json_decref(array);
    return st;
}

static sluice_status load_metadata(loading *l)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    double temperature, scale;
    const char *text;
    TRY(number_of(l, "temperature", 1e-6, 1e6, &temperature));
    TRY(number_of(l, "scale", 1e-30, 1e30, &scale));
    TRY(number_of(l, "l2", 0, 1e300, &l->h->l2));
    l->h->temperature = (float)temperature, l->h->scale = (float)scale;
    TRY(text_of(l, "pool_fingerprint", &text));
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        FAIL(E_FORMAT, "'pool_fingerprint' is not 16 hex digits");
    l->h->pool_fingerprint = strtoull(text, NULL, 16);
    TRY(text_of(l, "trained", &text));
    json_t *trained = json_loads(text, 0, NULL);
    bool good = json_is_object(trained);
    json_decref(trained);
    if (!good) FAIL(E_FORMAT, "'trained' is not a JSON object");
    TRY_NEW(l->h->trained, mem_text(s, text));
out:
    return st;
}

/* Finds a tensor of a type and dimensions; rows -1: any.  *out NULL: there is none. */
static sluice_status find_tensor(const loading *l, const char *name, const char *dtype, int64_t rows, int64_t cols,
                                 const st_tensor **out)
{
    const st_tensor *t = *out = safetensors_find(&l->file, name);
    if (!t) return SLUICE_OK;
    if (strcmp(t->dtype, dtype) != 0)
        return sluice_fail(l->s, SLUICE_E_TYPE, "tensor '%s' is %s, not %s", name, t->dtype, dtype);
    if (t->ndim == (cols ? 2 : 1) && (rows < 0 || t->shape[0] == rows) && (!cols || t->shape[1] == cols))
        return SLUICE_OK;
    if (cols)
        return sluice_fail(l->s, SLUICE_E_SHAPE, "tensor '%s' is not [%lld, %lld], as the layers and classes say", name,
                           (long long)rows, (long long)cols);
    return sluice_fail(l->s, SLUICE_E_SHAPE, "tensor '%s' is not [%lld], as the layers and classes say", name,
                       (long long)rows);
}

static sluice_status read_tensor(const loading *l, const st_tensor *t, void **out)
{
    sluice_status st = SLUICE_OK;
    void *data = NULL;
    TRY_NEW(data, mem_raw(l->s, (int64_t)t->bytes, 1));
    TRY(safetensors_read(l->s, l->path, t, data));
    *out = data, data = NULL;
out:
    mem_free(data);
    return st;
}

static sluice_status read_floats(const loading *l, const char *name, int64_t rows, int64_t cols, bool needed,
                                 float **out)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    const st_tensor *t;
    void *data = NULL;
    TRY(find_tensor(l, name, "F32", rows, cols, &t));
    if (!t && needed) FAIL(E_FORMAT, "tensor '%s' is missing", name);
    if (!t) goto out;
    TRY(read_tensor(l, t, &data));
    for (size_t i = 0; i < t->bytes / sizeof(float); i++)
        if (!ex_finite(((float *)data)[i])) FAIL(E_DATA, "tensor '%s' holds a NaN or an infinity", name);
    *out = data, data = NULL;
out:
    mem_free(data);
    return st;
}

static sluice_status load_layers(loading *l)
{
    sluice_status st = SLUICE_OK;
    for (int i = 0; i < l->h->layer_count; i++) {
        layer *y = &l->h->layers[i];
        int64_t rows, cols;
        char name[NAME_BYTES];
        layer_weights(y, &rows, &cols);
        if (rows == 0) continue;
        snprintf(name, sizeof name, "layer.%d.weight", i);
        TRY(read_floats(l, name, rows, cols, true, &y->w));
        snprintf(name, sizeof name, "layer.%d.bias", i);
        TRY(read_floats(l, name, rows, 0, true, &y->b));
    }
    TRY(read_floats(l, "mean", l->h->in_width, 0, false, &l->h->mean));
out:
    return st;
}

/* Two tensors that come together, rows alike. */
static sluice_status find_pair(const loading *l, const char *a, const char *a_type, int64_t a_cols, const char *b,
                               const char *b_type, const st_tensor **out_a, const st_tensor **out_b)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    TRY(find_tensor(l, b, b_type, -1, 0, out_b));
    *out_a = safetensors_find(&l->file, a);
    if (!*out_a != !*out_b) FAIL(E_FORMAT, "of the tensors '%s' and '%s' one is missing", a, b);
    if (*out_b) TRY(find_tensor(l, a, a_type, (*out_b)->shape[0], a_cols, out_a));
out:
    return st;
}

static sluice_status load_training(loading *l)
{
    sluice_status st = SLUICE_OK;
    const st_tensor *ids, *hashes;
    void *data;
    TRY(find_pair(l, "train.ids", "U64", 0, "train.row_hash", "U64", &ids, &hashes));
    if (!ids) goto out;
    l->h->train_count = ids->shape[0];
    TRY(read_tensor(l, ids, &data));
    l->h->train_ids = data;
    TRY(read_tensor(l, hashes, &data));
    l->h->train_row_hash = data;
out:
    return st;
}

static sluice_status load_held(loading *l)
{
    sluice_status st = SLUICE_OK;
    sluice *s = l->s;
    const st_tensor *logits, *target;
    void *data;
    TRY(find_pair(l, "held.logits", "F32", l->h->classes, "held.target", "I32", &logits, &target));
    if (!logits) goto out;
    TRY(read_floats(l, "held.logits", target->shape[0], l->h->classes, true, &l->h->held_logits));
    TRY(read_tensor(l, target, &data));
    l->h->held_target = data;
    for (int64_t i = 0; i < target->shape[0]; i++)
        if (l->h->held_target[i] < 0 || l->h->held_target[i] >= l->h->classes)
            FAIL(E_DATA, "'held.target' names class %d of %d", l->h->held_target[i], l->h->classes);
    l->h->held_count = target->shape[0];
out:
    return st;
}

static sluice_status load(loading *l)
{
    sluice_status st = SLUICE_OK;
    TRY(check_format(l));
    TRY(make_head(l));
    TRY(load_metadata(l));
    TRY(load_layers(l));
    TRY(load_training(l));
    TRY(load_held(l));
    TRY(head_prepare(l->s, l->h));
out:
    /* A bad layer line is a usage error on the command line, in a file it is the file's fault. */
    if (st == SLUICE_E_USAGE) st = SLUICE_E_FORMAT;
    return st ? sluice_note(l->s, st, "cannot load head '%s'", l->path) : SLUICE_OK;
}

sluice_status sluice_head_load(sluice *s, const char *path, sluice_head **out_head)
{
    loading l = { .s = s, .path = path };
    fp_state fp = fp_enter();
    s->error[0] = 0;
    sluice_status st = safetensors_open(s, path, &l.file);
    if (st == SLUICE_OK) {
        st = load(&l);
        if (!st && !(l.h->path = mem_text(s, path))) st = SLUICE_E_MEMORY;
        safetensors_release(&l.file);
    }
    if (st == SLUICE_OK) *out_head = l.h;
    else sluice_head_free(l.h);
    fp_leave(fp);
    return st;
}
