/* sources.c - what a list of paths means.  A path is, in this order of tests: a folder (its pool.json, or its arrays in
 * natural name order), pool.json (any .json), a list (.txt, .list), a file, a glob. */
#include "sources.h"
#include "formats.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int natural_order(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        if (*p >= '0' && *p <= '9' && *q >= '0' && *q <= '9') {
            p += strspn(p, "0"), q += strspn(q, "0");
            size_t m = strspn(p, "0123456789"), n = strspn(q, "0123456789");
            if (m != n) return m < n ? -1 : 1;
            int order = memcmp(p, q, m);
            if (order) return order;
            p += m, q += n;
        } else {
            if (*p != *q) return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
            p++, q++;
        }
    }
    return *p ? 1 : *q ? -1 : strcmp(a, b);
}

static int by_name(const void *a, const void *b)
{
    return natural_order(((const source *)a)->path, ((const source *)b)->path);
}

char *beside(sluice *s, const char *path, const char *ending)
{
    size_t n = array_ending(path);
    if (n && path[strlen(path) - n] == '-') n = path_ends(path, ".gz") ? 3 : 0; /* "-ubyte.gz" is a name and .gz */
    return mem_format(s, "%.*s%s", (int)(strlen(path) - n), path, ending);
}

/* Takes path over, also on failure. */
static sluice_status push(sluice *s, source_list *list, char *path)
{
    if (!path) return SLUICE_E_MEMORY;
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 16;
        source *more = mem_grow(s, list->at, room, sizeof *more);
        if (!more) {
            mem_free(path);
            return SLUICE_E_MEMORY;
        }
        list->at = more, list->room = room;
    }
    list->at[list->count++] = (source){ .path = path };
    return SLUICE_OK;
}

/* name, relative to the folder that file lies in. */
static char *relative_to(sluice *s, const char *file, const char *name)
{
    int n = (int)(path_base(file) - file);
    return name[0] == '/' ? mem_text(s, name) : mem_format(s, "%.*s%s", n, file, name);
}

/* Row scales belong to the array beside them. */
static bool is_side_file(const char *name) { return path_ends(name, ".scale.npy") || path_ends(name, ".ids.npy"); }

/* Sorts what was found from `first` on, and marks it. */
static void found(source_list *list, int first)
{
    int n = list->count - first;
    if (n > 1) qsort(list->at + first, (size_t)n, sizeof *list->at, by_name);
    for (int i = first; i < list->count; i++) list->at[i].found = true;
}

/* ---- pool.json ---- */

static bool type_named(const char *name, sluice_type *out)
{
    for (int t = SLUICE_F32; t <= SLUICE_U8; t++)
        if (!strcmp(sluice_type_name((sluice_type)t), name)) {
            *out = (sluice_type)t;
            return true;
        }
    return false;
}

/* Elements of a row: "width", or the product of "shape" (of one row); -1: neither is a count. */
static int64_t entry_width(json_t *entry)
{
    json_t *width = json_object_get(entry, "width"), *shape = json_object_get(entry, "shape"), *v;
    int64_t product = 1;
    size_t i;
    if (json_is_integer(width) && !shape) return json_integer_value(width);
    if (width || !json_is_array(shape) || !json_array_size(shape)) return -1;
    json_array_foreach(shape, i,
                       v) if (!json_is_integer(v) || json_integer_value(v) < 1 ||
                              __builtin_mul_overflow(product, (int64_t)json_integer_value(v), &product)) return -1;
    return product;
}

static bool hash_text(const char *text, uint64_t *out)
{
    char *end;
    if (strlen(text) != 16 || text[strspn(text, "0123456789abcdef")]) return false;
    *out = strtoull(text, &end, 16);
    return true;
}

/* {"path": "a.npy", "rows": 10, "type": "f32", "width": 512, "scale": "a.scale.npy", "hash": "0123456789abcdef"} */
static sluice_status shard_entry(sluice *s, const char *file, json_t *entry, size_t i, source_list *list)
{
    sluice_status st = SLUICE_OK;
    const char *path = json_string_value(json_object_get(entry, "path"));
    const char *type = json_string_value(json_object_get(entry, "type"));
    json_t *rows = json_object_get(entry, "rows"), *scale = json_object_get(entry, "scale"),
           *hash = json_object_get(entry, "hash");
    if (!path || !*path) FAIL(E_FORMAT, "shard %zu has no path", i);
    TRY(push(s, list, relative_to(s, file, path)));
    source *one = &list->at[list->count - 1];
    one->promised = true;
    if (!json_is_integer(rows) || json_integer_value(rows) < 0) FAIL(E_FORMAT, "shard '%s' has no count of rows", path);
    one->rows = json_integer_value(rows);
    one->width = entry_width(entry);
    if (one->width < 1) FAIL(E_FORMAT, "shard '%s' has neither a width nor a shape of counts from 1", path);
    if (!type || !type_named(type, &one->type))
        FAIL(E_FORMAT, "shard '%s' has no type of f32 f16 bf16 f64 i8 u8", path);
    if (scale) {
        if (!json_is_string(scale)) FAIL(E_FORMAT, "shard '%s': its scale is no path", path);
        if (one->type != SLUICE_I8) FAIL(E_FORMAT, "shard '%s' has a scale, which only i8 rows may have", path);
        TRY_NEW(one->scale, relative_to(s, file, json_string_value(scale)));
    }
    if (hash) {
        one->has_hash = json_is_string(hash) && hash_text(json_string_value(hash), &one->hash);
        if (!one->has_hash) FAIL(E_FORMAT, "shard '%s': its hash is not the 16 hexadecimal digits of XXH3-64", path);
    }
out:
    return st;
}

static sluice_status add_json(sluice *s, const char *path, source_list *list)
{
    sluice_status st = SLUICE_OK;
    char *text = NULL;
    int64_t bytes = 0;
    json_error_t e;
    json_t *root = NULL, *entry;
    size_t i;
    int first = list->count;
    if ((st = file_read(s, path, (int64_t)1 << 30, &text, &bytes)) != SLUICE_OK) return st; /* has named the file */
    root = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &e);
    if (!root) FAIL(E_FORMAT, "line %d: %s", e.line, e.text);
    json_t *shards = json_object_get(root, "shards"), *ids = json_object_get(root, "ids");
    if (!json_array_size(shards)) FAIL(E_FORMAT, "it lists no \"shards\"");
    json_array_foreach(shards, i, entry) TRY(shard_entry(s, path, entry, i, list));
    if (ids) {
        if (!json_is_string(ids)) FAIL(E_FORMAT, "its \"ids\" is no path");
        TRY_NEW(list->at[first].ids, relative_to(s, path, json_string_value(ids)));
        list->at[first].ids_span = list->count - first;
    }
out:
    json_decref(root);
    mem_free(text);
    return st ? sluice_note(s, st, "cannot read '%s'", path) : SLUICE_OK;
}

/* ---- lists, folders, globs ---- */

static sluice_status add_list(sluice *s, const char *path, source_list *list)
{
    sluice_status st = SLUICE_OK;
    line_list lines = { 0 };
    TRY(lines_load(s, path, &lines));
    for (int64_t i = 0; i < lines.count; i++) TRY(push(s, list, relative_to(s, path, lines.text + lines.at[i])));
    if (!lines.count) FAIL(E_MISSING, "cannot read '%s': it lists no files", path);
out:
    lines_release(&lines);
    return st;
}

static sluice_status add_folder(sluice *s, const char *path, source_list *list)
{
    sluice_status st = SLUICE_OK;
    int first = list->count;
    DIR *d = NULL;
    struct stat info;
    const char *slash = path_ends(path, "/") ? "" : "/";
    char *manifest = mem_format(s, "%s%spool.json", path, slash);
    if (!manifest) return SLUICE_E_MEMORY;
    if (stat(manifest, &info) == 0) {
        TRY(add_json(s, manifest, list));
        goto out;
    }
    d = opendir(path);
    if (!d) FAIL_ERRNO(E_MISSING, "cannot read folder '%s'", path);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && array_ending(e->d_name) && !is_side_file(e->d_name))
            TRY(push(s, list, mem_format(s, "%s%s%s", path, slash, e->d_name)));
    found(list, first);
    if (list->count == first) {
        st = sluice_fail(s, SLUICE_E_MISSING, "folder '%s' holds no array", path);
        sluice_hint(s, st, ".npy .safetensors .fbin .f16bin .u8bin .i8bin .fvecs .bvecs and idx files are read");
    }
out:
    if (d) closedir(d);
    mem_free(manifest);
    return st;
}

static sluice_status add_glob(sluice *s, const char *pattern, source_list *list)
{
    sluice_status st = SLUICE_OK;
    int first = list->count;
    glob_t g = { 0 };
    int rc = glob(pattern, GLOB_NOSORT, NULL, &g); /* glob's own order depends on the locale */
    if (rc == GLOB_NOMATCH) FAIL(E_MISSING, "no file matches '%s'", pattern);
    if (rc) FAIL(E_IO, "cannot look for '%s'", pattern);
    for (size_t i = 0; i < g.gl_pathc; i++)
        if (!is_side_file(g.gl_pathv[i])) TRY(push(s, list, mem_text(s, g.gl_pathv[i])));
    found(list, first);
    if (list->count == first) FAIL(E_MISSING, "no array matches '%s'", pattern);
out:
    globfree(&g);
    return st;
}

sluice_status sources_add(sluice *s, const char *path, source_list *list)
{
    struct stat info;
    if (stat(path, &info)) {
        if (path[strcspn(path, "*?[")]) return add_glob(s, path, list);
        return sluice_fail_errno(s, SLUICE_E_MISSING, "cannot read '%s'", path);
    }
    if (S_ISDIR(info.st_mode)) return add_folder(s, path, list);
    if (path_ends(path, ".json")) return add_json(s, path, list);
    if (path_ends(path, ".txt") || path_ends(path, ".list")) return add_list(s, path, list);
    return push(s, list, mem_text(s, path));
}

void sources_release(source_list *list)
{
    for (int i = 0; i < list->count; i++)
        mem_free(list->at[i].path), mem_free(list->at[i].scale), mem_free(list->at[i].ids);
    mem_free(list->at);
    *list = (source_list){ 0 };
}
