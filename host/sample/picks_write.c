/* picks_write.c - picks as .csv, .jsonl or .npy, each whole or not there, and the manifest beside them.
 *
 *   csv     rank,id,shard,row,score,prediction,confidence[,strategy]    RFC 4180, UTF-8, LF, %.9g; prediction is the
 *           class name; both last are empty where no head is; strategy: which part of a mix picked the row
 *   jsonl   the same as one object a line
 *   npy     [k] uint64: id64 in rank order
 *
 * The manifest is renamed into place just before its data, so a run that is killed between the two is seen as
 * unfinished. */
#include "formats.h"
#include "picks.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- where the bytes go ---- */

typedef struct sink {
    outfile *file; /* NULL: stdout */
    XXH3_state_t *hash;
    int64_t bytes;
    char *line; /* being built */
    size_t used, room;
} sink;

static sluice_status put(sluice *s, sink *k, const char *text, size_t n)
{
    if (!k->line || k->used + n > k->room) {
        size_t room = 2 * (k->used + n) + 256;
        char *more = mem_grow(s, k->line, (int64_t)room, 1);
        if (!more) return SLUICE_E_MEMORY;
        k->line = more, k->room = room;
    }
    memcpy(k->line + k->used, text, n);
    k->used += n;
    return SLUICE_OK;
}

static sluice_status put_text(sluice *s, sink *k, const char *text) { return put(s, k, text, strlen(text)); }

static sluice_status put_int(sluice *s, sink *k, int64_t value)
{
    char text[24];
    return put(s, k, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

/* %.9g brings every float back; the program around us may have set a locale with a comma. */
static sluice_status put_float(sluice *s, sink *k, float value)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)value);
    for (char *p = text; *p; p++)
        if (*p == ',') *p = '.';
    return put_text(s, k, text);
}

static sluice_status write_stdout(sluice *s, const char *data, size_t n)
{
    while (n) {
        ssize_t w = write(STDOUT_FILENO, data, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return sluice_fail_errno(s, errno == EIO ? SLUICE_E_IO : SLUICE_E_WRITE, "cannot write to stdout");
        data += w, n -= (size_t)w;
    }
    return SLUICE_OK;
}

enum { KEPT_BYTES = 1 << 16 };

static sluice_status drain(sluice *s, sink *k)
{
    sluice_status st = k->file ? outfile_write(s, k->file, k->line, k->used) : write_stdout(s, k->line, k->used);
    XXH3_64bits_update(k->hash, k->line, k->used);
    k->bytes += (int64_t)k->used;
    k->used = 0;
    return st;
}

/* ---- the three forms ---- */

static sluice_status put_csv_cell(sluice *s, sink *k, const char *text)
{
    sluice_status st = SLUICE_OK;
    if (!text[strcspn(text, ",\"\r\n")] && text[0] != ' ') return put_text(s, k, text);
    TRY(put(s, k, "\"", 1));
    for (const char *p = text; *p; p++) TRY(put(s, k, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1));
    TRY(put(s, k, "\"", 1));
out:
    return st;
}

static sluice_status put_json_text(sluice *s, sink *k, const char *text)
{
    sluice_status st = SLUICE_OK;
    TRY(put(s, k, "\"", 1));
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        char escape[8];
        if (*p == '"' || *p == '\\') TRY(put(s, k, "\\", 1));
        if (*p >= 32) TRY(put(s, k, (const char *)p, 1));
        else TRY(put(s, k, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *p)));
    }
    TRY(put(s, k, "\"", 1));
out:
    return st;
}

/* The name of a pick's predicted class; its index where the head has no names; NULL: no prediction. */
static const char *class_name(const sluice_picks *p, const sluice_pick *pick, char buf[16])
{
    if (pick->prediction < 0) return NULL;
    if (pick->prediction < p->class_count) return p->classes[pick->prediction];
    snprintf(buf, 16, "%d", (int)pick->prediction);
    return buf;
}

/* The id of a row, in *buf where it fits, else grown there. */
static sluice_status id_text(sluice *s, const sluice_picks *p, int64_t row, char **buf, size_t *room)
{
    size_t n = sluice_pool_id_text(p->pool, row, *buf, *room);
    if (n < *room) return SLUICE_OK;
    char *more = mem_grow(s, *buf, (int64_t)n + 64, 1);
    if (!more) return SLUICE_E_MEMORY;
    *buf = more, *room = n + 64;
    sluice_pool_id_text(p->pool, row, *buf, *room);
    return SLUICE_OK;
}

static sluice_status put_csv(sluice *s, sink *k, const sluice_picks *p, int64_t rank, const sluice_pick *pick,
                             const char *id)
{
    sluice_status st = SLUICE_OK;
    char number[16];
    const shard *h = pool_shard_of(p->pool, pick->row);
    const char *name = class_name(p, pick, number);
    TRY(put_int(s, k, rank));
    TRY(put(s, k, ",", 1));
    TRY(put_csv_cell(s, k, id));
    TRY(put(s, k, ",", 1));
    TRY(put_csv_cell(s, k, h->name ? h->name : ""));
    TRY(put(s, k, ",", 1));
    TRY(put_int(s, k, pick->row));
    TRY(put(s, k, ",", 1));
    TRY(put_float(s, k, pick->score));
    TRY(put(s, k, ",", 1));
    if (name) TRY(put_csv_cell(s, k, name));
    TRY(put(s, k, ",", 1));
    if (name) TRY(put_float(s, k, pick->confidence));
    if (p->mix) TRY(put(s, k, ",", 1));
    if (p->mix) TRY(put_csv_cell(s, k, pick->strategy));
    TRY(put(s, k, "\n", 1));
out:
    return st;
}

static sluice_status put_jsonl(sluice *s, sink *k, const sluice_picks *p, int64_t rank, const sluice_pick *pick,
                               const char *id)
{
    sluice_status st = SLUICE_OK;
    char number[16];
    const shard *h = pool_shard_of(p->pool, pick->row);
    const char *name = class_name(p, pick, number);
    TRY(put_text(s, k, "{\"rank\": "));
    TRY(put_int(s, k, rank));
    TRY(put_text(s, k, ", \"id\": "));
    TRY(put_json_text(s, k, id));
    TRY(put_text(s, k, ", \"shard\": "));
    TRY(put_json_text(s, k, h->name ? h->name : ""));
    TRY(put_text(s, k, ", \"row\": "));
    TRY(put_int(s, k, pick->row));
    TRY(put_text(s, k, ", \"score\": "));
    TRY(isfinite(pick->score) ? put_float(s, k, pick->score) : put_text(s, k, "null"));
    if (name) TRY(put_text(s, k, ", \"prediction\": "));
    if (name) TRY(put_json_text(s, k, name));
    if (name) TRY(put_text(s, k, ", \"confidence\": "));
    if (name) TRY(put_float(s, k, pick->confidence));
    if (p->mix) TRY(put_text(s, k, ", \"strategy\": "));
    if (p->mix) TRY(put_json_text(s, k, pick->strategy));
    TRY(put_text(s, k, "}\n"));
out:
    return st;
}

static sluice_status put_npy(sluice *s, sink *k, const pick_list *list)
{
    sluice_status st = SLUICE_OK;
    char header[NPY_HEADER_BYTES];
    TRY(put(s, k, header, npy_header(header, "<u8", 1, &list->count)));
    for (int64_t i = 0; i < list->count; i++) {
        unsigned char b[8];
        for (int j = 0; j < 8; j++) b[j] = (unsigned char)(list->picks[i].id64 >> (8 * j));
        TRY(put(s, k, (const char *)b, sizeof b));
        if (k->used >= KEPT_BYTES) TRY(drain(s, k));
    }
    TRY(drain(s, k));
out:
    return st;
}

static sluice_status put_lines(sluice *s, sink *k, const sluice_picks *p, const pick_list *list, bool json)
{
    sluice_status st = SLUICE_OK;
    size_t room = 256;
    char *id;
    TRY_NEW(id, mem_grow(s, NULL, (int64_t)room, 1));
    if (!json) TRY(put_text(s, k, "rank,id,shard,row,score,prediction,confidence"));
    if (!json && p->mix) TRY(put_text(s, k, ",strategy"));
    if (!json) TRY(put(s, k, "\n", 1));
    for (int64_t i = 0; i < list->count; i++) {
        const sluice_pick *pick = &list->picks[i];
        TRY(id_text(s, p, pick->row, &id, &room));
        TRY(json ? put_jsonl(s, k, p, i + 1, pick, id) : put_csv(s, k, p, i + 1, pick, id));
        if (k->used >= KEPT_BYTES) TRY(drain(s, k));
    }
    TRY(drain(s, k));
out:
    mem_free(id);
    return st;
}

static bool is_npy(const char *path) { return path_ends(path, ".npy"); }
static bool is_json(const char *path) { return path_ends(path, ".jsonl"); }

/* Writes list i into an open, not yet committed *out_file (NULL for stdout). */
static sluice_status write_open(sluice *s, const sluice_picks *p, int i, const char *path, outfile **out_file,
                                uint64_t *out_hash, int64_t *out_bytes)
{
    sluice_status st = SLUICE_OK;
    sink k = { 0 };
    TRY_NEW(k.hash, XXH3_createState());
    XXH3_64bits_reset(k.hash);
    if (strcmp(path, "-") != 0) TRY(outfile_open(s, path, true, &k.file));
    TRY(is_npy(path) ? put_npy(s, &k, &p->list[i]) : put_lines(s, &k, p, &p->list[i], is_json(path)));
    *out_hash = XXH3_64bits_digest(k.hash);
    *out_bytes = k.bytes;
    *out_file = k.file, k.file = NULL;
out:
    XXH3_freeState(k.hash);
    mem_free(k.line);
    outfile_abort(k.file);
    return st;
}

sluice_status picks_write_csv(sluice *s, const sluice_picks *p, int list, const char *path, uint64_t *hash)
{
    outfile *f = NULL;
    uint64_t h;
    int64_t bytes;
    sluice_status st = write_open(s, p, list, path, &f, &h, &bytes);
    if (!st && f) st = outfile_commit(s, f);
    if (!st && hash) *hash = h;
    return st;
}

/* ---- all lists and their manifest ---- */

/* Several lists: path is a folder.  Paths of the lists in out [p->count] and of the manifest; mem_free() each. */
static sluice_status name_outputs(sluice *s, const sluice_picks *p, const char *path, char **out, char **out_manifest)
{
    sluice_status st = SLUICE_OK;
    if (p->count == 1) {
        if (!is_npy(path) && !is_json(path) && !path_ends(path, ".csv"))
            return sluice_fail(s, SLUICE_E_USAGE, "'%s' ends in none of .csv, .jsonl and .npy", path);
        TRY_NEW(out[0], mem_text(s, path));
        TRY_NEW(*out_manifest, manifest_path(s, path));
        return SLUICE_OK;
    }
    for (int i = 0; i < p->count; i++) TRY_NEW(out[i], mem_format(s, "%s/%s.csv", path, p->list[i].strategy.text));
    TRY_NEW(*out_manifest, mem_format(s, "%s/manifest.json", path));
out:
    return st;
}

static void free_names(char **names, int count)
{
    for (int i = 0; names && i < count; i++) mem_free(names[i]);
    mem_free(names);
}

static sluice_status check_outputs(sluice *s, const sluice_picks *p, char *const *names, const char *manifest,
                                   bool force, bool *out_done)
{
    manifest_output *o = NEW(s, p->count, manifest_output);
    if (!o) return SLUICE_E_MEMORY;
    for (int i = 0; i < p->count; i++) o[i] = (manifest_output){ names[i], true };
    sluice_status st = manifest_check(s, manifest, p->inputs_hash, o, p->count, force, out_done);
    mem_free(o);
    return st;
}

sluice_status picks_check(sluice *s, const sluice_picks *p, const char *path, bool force, bool *out_done)
{
    sluice_status st = SLUICE_OK;
    char **names = NULL, *manifest = NULL;
    *out_done = false;
    if (strcmp(path, "-") == 0) return SLUICE_OK;
    TRY_NEW(names, NEW(s, p->count, char *));
    TRY(name_outputs(s, p, path, names, &manifest));
    TRY(check_outputs(s, p, names, manifest, force, out_done));
out:
    free_names(names, p->count);
    mem_free(manifest);
    return st;
}

static json_t *describe(const sluice_picks *p, json_t *outputs, json_t *lists)
{
    json_t *quarantine = json_array(), *m;
    for (int i = 0; i < QUARANTINE_LISTED && i < p->bad.count; i++) {
        char id[256];
        sluice_pool_id_text(p->pool, p->bad.row[i], id, sizeof id);
        json_t *text = json_string(id);
        json_array_append_new(quarantine, text ? text : json_integer((json_int_t)p->bad.row[i]));
    }
    m = json_pack("{s:s, s:s, s:O, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:o}", "sluice", sluice_version(), "math",
                  json_string_value(json_object_get(p->inputs, "math")), "inputs", p->inputs, "lists", lists, "outputs",
                  outputs, "counts", "rows", (json_int_t)p->info.rows, "read", (json_int_t)p->info.scanned, "excluded",
                  (json_int_t)p->info.excluded, "excluded_trained", (json_int_t)p->info.excluded_trained, "quarantined",
                  (json_int_t)p->info.quarantined, "quarantine", quarantine);
    if (p->run) json_object_set(m, "run", p->run);
    return m;
}

static sluice_status write_all(sluice *s, const sluice_picks *p, char *const *names, const char *manifest)
{
    sluice_status st = SLUICE_OK;
    json_t *outputs = json_object(), *lists = json_array(), *m = NULL;
    outfile **file = NULL;
    int whole = -1; /* files in place; -1: not even the manifest */
    TRY_NEW(file, NEW(s, p->count, outfile *));
    for (int i = 0; i < p->count; i++) {
        uint64_t hash;
        int64_t bytes;
        TRY(write_open(s, p, i, names[i], &file[i], &hash, &bytes));
        json_object_set_new(outputs, path_base(names[i]),
                            json_pack("{s:o, s:I}", "xxh3", manifest_hash(hash), "bytes", (json_int_t)bytes));
        json_array_append_new(lists, json_pack("{s:s, s:I, s:s}", "strategy", p->list[i].strategy.text, "picks",
                                               (json_int_t)p->list[i].count, "file", path_base(names[i])));
    }
    m = describe(p, outputs, lists);
    outputs = lists = NULL;
    TRY(manifest_write(s, manifest, m));
    for (whole = 0; whole < p->count; whole++) {
        outfile *f = file[whole];
        file[whole] = NULL;
        TRY(outfile_commit(s, f));
    }
out:
    for (int i = 0; file && i < p->count; i++) outfile_abort(file[i]);
    if (st && whole >= 0) unlink(manifest);                 /* it tells of picks that are not there */
    for (int i = 0; st && i < whole; i++) unlink(names[i]); /* without it they would belong to nothing */
    mem_free(file);
    json_decref(outputs);
    json_decref(lists);
    json_decref(m);
    return st;
}

sluice_status sluice_picks_write(sluice *s, const sluice_picks *p, const char *path, int force)
{
    sluice_status st = SLUICE_OK;
    char **names = NULL, *manifest = NULL;
    bool done = false, to_stdout = strcmp(path, "-") == 0;
    fp_state fp = fp_enter();
    s->error[0] = 0;
    if (p->info.done) goto out;
    if (to_stdout && p->count > 1) FAIL(E_USAGE, "%d lists do not fit on stdout; name a folder", p->count);
    if (to_stdout) {
        st = picks_write_csv(s, p, 0, path, NULL);
        goto out;
    }
    TRY_NEW(names, NEW(s, p->count, char *));
    TRY(name_outputs(s, p, path, names, &manifest));
    TRY(check_outputs(s, p, names, manifest, force, &done));
    if (done) goto out;
    if (p->count > 1) TRY(file_make_folder(s, path));
    TRY(write_all(s, p, names, manifest));
out:
    if (!st && !p->info.done) checkpoint_remove(&p->kept);
    free_names(names, p->count);
    mem_free(manifest);
    fp_leave(fp);
    return st;
}
