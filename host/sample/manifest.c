/* manifest.c - see manifest.h.
 *
 *     { "sluice": version, "inputs": { "hash": ..., all that decides the result }, "outputs": { FILE: { "xxh3",
 *     "bytes" } },
 *       ..., "run": { what differs between two runs of the same inputs: seconds, threads, rates } } */
#include "manifest.h"
#include "reader_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

json_t *manifest_hash(uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return json_string(text);
}

json_t *manifest_seed(uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return json_string(text);
}

/* json_string() refuses what is no UTF-8, file names need not be any. */
static json_t *any_text(const char *text)
{
    json_t *j = json_string(text);
    if (j) return j;
    char *copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 128) *p = '?';
    j = copy ? json_string(copy) : NULL;
    free(copy);
    return j;
}

json_t *manifest_array(const void *data, int64_t count, size_t size)
{
    uint64_t h = hash_bytes(data ? data : "", data ? (size_t)count * size : 0, 0);
    return json_pack("{s:I, s:o}", "count", (json_int_t)count, "xxh3", manifest_hash(h));
}

enum { EDGE = 1 << 16 };

static bool hash_edges(const char *path, size_t bytes, uint64_t *out)
{
    static _Thread_local char edge[EDGE];
    size_t part = bytes < EDGE ? bytes : EDGE;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pread(fd, edge, part, 0) == (ssize_t)part;
    uint64_t hash = ok ? hash_bytes(edge, part, 0) : 0;
    ok = ok && pread(fd, edge, part, (off_t)(bytes - part)) == (ssize_t)part;
    if (ok) *out = hash_bytes(edge, part, hash);
    int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    return ok;
}

/* Of the first and the last 64 KiB: tells a shard from an edited one without reading it, and unlike a time or a path it
 * stays the same where the pool is copied.  A file that cannot be read here fails when it is scanned. */
static uint64_t edges_hash(const shard *h)
{
    size_t bytes = (size_t)h->file_bytes, part = bytes < EDGE ? bytes : EDGE;
    if (h->memory && !h->owns_memory && part) /* the caller's rows */
        return hash_bytes(h->memory + bytes - part, part, hash_bytes(h->memory, part, 0));
    uint64_t hash = 0;
    int tries = 0;
    do errno = 0;
    while (!hash_edges(h->path, bytes, &hash) && read_again(errno, &tries));
    return hash;
}

json_t *manifest_pool(const sluice_pool *pool)
{
    json_t *shards = json_array();
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *h = &pool->shards[i];
        json_array_append_new(shards, json_pack("{s:o, s:I, s:s, s:I, s:o}", "name", any_text(h->name ? h->name : ""),
                                                "rows", (json_int_t)h->rows, "type", sluice_type_name(h->type), "bytes",
                                                (json_int_t)h->file_bytes, "edges_xxh3", manifest_hash(edges_hash(h))));
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "fingerprint", manifest_hash(pool->fingerprint), "rows",
                     (json_int_t)pool->rows, "width", (json_int_t)pool->width, "ids",
                     pool->ids ? manifest_array(pool->ids, pool->rows, sizeof *pool->ids) : json_string("row numbers"),
                     "shards", shards);
}

static uint64_t mix_in(uint64_t h, const void *data, int64_t count, size_t size)
{
    return data ? hash_bytes(data, (size_t)count * size, h) : h;
}

/* Of all that decides logits, so that a head has one hash in memory and in any file. */
static uint64_t head_hash(const sluice_head *head)
{
    uint64_t h = hash_bytes(head->line, strlen(head->line), 1);
    h = mix_in(h, head->in_shape, 3, sizeof *head->in_shape);
    for (int j = 0; head->names && j < head->classes; j++)
        h = hash_bytes(head->names[j], strlen(head->names[j]) + 1, h);
    h = mix_in(h, head->mean, head->in_width, sizeof *head->mean);
    h = mix_in(h, &head->scale, 1, sizeof head->scale);
    h = mix_in(h, &head->temperature, 1, sizeof head->temperature);
    for (int i = 0; i < head->layer_count; i++) {
        const layer *y = &head->layers[i];
        const sluice_conv_shape *v = &y->conv;
        bool conv = y->kind == LAYER_CONV;
        int64_t outputs = conv ? v->cout : y->out_width, inputs = conv ? v->kernel * v->kernel * v->cin : y->in_width;
        h = mix_in(h, y->w, outputs * inputs, sizeof *y->w);
        h = mix_in(h, y->b, outputs, sizeof *y->b);
    }
    return mix_in(h, head->train_ids, head->train_count, sizeof *head->train_ids);
}

json_t *manifest_head(const sluice_head *head)
{
    return json_pack("{s:s, s:i, s:o, s:I, s:f}", "layers", head->line, "classes", head->classes, "xxh3",
                     manifest_hash(head_hash(head)), "trained_on", (json_int_t)head->train_count, "temperature",
                     (double)head->temperature);
}

json_t *manifest_heads(const sluice_head *const *heads, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, manifest_head(heads[i]));
    return list;
}

json_t *manifest_labels(const sluice_labels *labels)
{
    uint64_t h = mix_in(1, labels->row, labels->count, sizeof *labels->row);
    h = mix_in(h, labels->target, labels->count, sizeof *labels->target);
    return json_pack("{s:I, s:i, s:o}", "count", (json_int_t)labels->count, "classes", labels->classes, "xxh3",
                     manifest_hash(h));
}

const char *manifest_math(const sluice *s) { return s->math == SLUICE_MATH_FAST ? "fast" : "exact"; }

void manifest_place(const sluice *s, json_t *run)
{
    json_object_set_new(run, "backend", json_string(s->backend->name));
    if (!s->backend->describe) return;
    json_t *devices = json_array();
    for (int i = 0; i < s->devices; i++) {
        char text[2048];
        int n = snprintf(text, sizeof text, "cuda:%d ", s->device[i]);
        s->backend->describe(s->device[i], text + n, sizeof text - (size_t)n);
        json_array_append_new(devices, any_text(text));
    }
    json_object_set_new(run, "devices", devices);
}

static sluice_status no_memory(sluice *s, const char *what)
{
    return sluice_fail(s, SLUICE_E_MEMORY, "out of memory for %s", what);
}

sluice_status manifest_digest(sluice *s, const json_t *inputs, char out[17])
{
    char *text = inputs ? json_dumps(inputs, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
    if (!text) return no_memory(s, "the manifest");
    snprintf(out, 17, "%016" PRIx64, hash_bytes(text, strlen(text), 0));
    free(text);
    return SLUICE_OK;
}

char *manifest_path(sluice *s, const char *path)
{
    const char *base = path_base(path), *dot = strrchr(base, '.');
    size_t n = dot && dot != base ? (size_t)(dot - path) : strlen(path);
    return mem_format(s, "%.*s.manifest.json", (int)n, path);
}

sluice_status manifest_write(sluice *s, const char *path, json_t *m)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    char *text = m ? json_dumps(m, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (!text) return no_memory(s, "the manifest");
    TRY(outfile_open(s, path, true, &f));
    TRY(outfile_write(s, f, text, strlen(text)));
    TRY(outfile_write(s, f, "\n", 1));
out:
    st = outfile_end(s, f, st);
    free(text);
    return st;
}

/* Is the file as large, and where the manifest has a hash, the same, as when it was written? */
static bool still_whole(sluice *s, const json_t *outputs, const manifest_output *o)
{
    struct stat facts;
    const json_t *was = json_object_get(outputs, path_base(o->path));
    const char *hash = json_string_value(json_object_get(was, "xxh3"));
    if (!was || stat(o->path, &facts) || facts.st_size != json_integer_value(json_object_get(was, "bytes")))
        return false;
    if (!o->whole) return true;
    char *text = NULL, now[17] = "";
    int64_t bytes = 0;
    if (file_read(s, o->path, INT64_MAX, &text, &bytes) == SLUICE_OK)
        snprintf(now, sizeof now, "%016" PRIx64, hash_bytes(text, (size_t)bytes, 0));
    mem_free(text);
    return hash && strcmp(hash, now) == 0;
}

sluice_status manifest_check(sluice *s, const char *path, const char inputs_hash[17], const manifest_output *outputs,
                             int count, bool force, bool *out_done)
{
    *out_done = false;
    if (force) return SLUICE_OK;
    const char *found = NULL;
    for (int i = 0; i < count && !found; i++)
        if (access(outputs[i].path, F_OK) == 0) found = outputs[i].path;
    if (!found && access(path, F_OK) == 0) found = path;
    if (!found) return SLUICE_OK;

    json_t *m = json_load_file(path, 0, NULL);
    const char *hash = json_string_value(json_object_get(json_object_get(m, "inputs"), "hash"));
    bool same = hash && strcmp(hash, inputs_hash) == 0, whole = same;
    for (int i = 0; i < count && whole; i++) whole = still_whole(s, json_object_get(m, "outputs"), &outputs[i]);
    json_decref(m);
    s->error[0] = 0; /* of a file that could not be read */
    if (same) {
        *out_done = whole;
        return SLUICE_OK;
    }
    return sluice_hint(s, sluice_fail(s, SLUICE_E_WRITE, "'%s' is there and was made from other inputs", found),
                       "--force overwrites it");
}
