/* cmd_info.c - sluice info: what a pool, head, picks or labels file holds, and whether it is whole. */
#include "cli.h"
#include "formats.h"
#include "head.h"
#include "reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static struct {
    cli_list paths;
    cli_input in;
    bool json, check;
} o;

static const cli_opt opts[] = {
    { "json", 0, CLI_FLAG, NULL, &o.json, "as JSON" },
    { "check", 0, CLI_FLAG, NULL, &o.check, "read a pool: hashes against pool.json, rows with NaN or infinity" },
    { "pool", 0, CLI_LIST, "PATH", &o.paths, "the same as a plain PATH argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.in.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.in.tensor, "which tensor of a .safetensors" },
    { 0 },
};

/* ---- facts are collected as JSON, which also makes the plain lines ---- */

static json_t *hex(uint64_t v)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, v);
    return json_string(text);
}

/* File names need not be UTF-8, JSON is. */
static json_t *any_text(const char *text)
{
    json_t *j = json_string(text);
    return j ? j : json_string("(not UTF-8)");
}

static void add(json_t *facts, const char *key, json_t *value) { json_object_set_new(facts, key, value); }

static void put_plain(const json_t *facts)
{
    const char *key;
    json_t *value, *item;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)facts, key, value)
    {
        if (strcmp(key, "row_shape") == 0) {
            printf("%-14s ", key);
            json_array_foreach(value, i, item) printf("%s%lld", i ? " x " : "", (long long)json_integer_value(item));
            putchar('\n');
        } else if (json_is_array(value)) {
            json_array_foreach(value, i, item)
            {
                char *text = json_is_string(item) ? strdup(json_string_value(item)) : json_dumps(item, JSON_COMPACT);
                printf("%-14s %s\n", i ? "" : key, text ? text : "");
                free(text);
            }
        } else {
            char *text = json_is_string(value)
                             ? strdup(json_string_value(value))
                             : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
            printf("%-14s %s\n", key, text ? text : "");
            free(text);
        }
    }
}

/* ---- pool ---- */

static json_t *row_shape(const sluice_pool *pool)
{
    json_t *shape = json_array();
    for (int i = 0; i < 3 && pool->shape[i]; i++) json_array_append_new(shape, json_integer(pool->shape[i]));
    return shape;
}

static sluice_status count_bad(sluice *s, const sluice_pool *pool, json_t *facts)
{
    sluice_status st = SLUICE_OK;
    reader *r = NULL;
    progress g;
    block b;
    bool end = false;
    uint8_t *bad = NULL;
    int64_t count = 0, first = -1;
    TRY(reader_open(s, pool, &(reader_plan){ 0 }, &r));
    TRY_NEW(bad, RAW(s, reader_block_rows(r), uint8_t));
    progress_begin(&g, "check", "rows", pool->rows);
    for (;;) {
        TRY(reader_next(s, r, &b, &end));
        if (end) break;
        TRY(sluice_op_finite(s, &(sluice_op_finite_args){ .x = b.view, .bad = bad }));
        for (int64_t i = 0; i < b.rows; i++) {
            if (bad[i] && first < 0) first = b.first_row + i;
            count += bad[i];
        }
        int64_t done = b.first_row + b.rows;
        reader_done(r, &b);
        TRY(progress_step(s, &g, done, reader_bytes(r)));
    }
    progress_end(s, &g);
    add(facts, "bad_rows", json_integer(count));
    if (count) add(facts, "first_bad_row", json_integer(first));
out:
    reader_close(r);
    mem_free(bad);
    return st;
}

/* Files whose pool.json states a hash. */
static sluice_status check_hashes(sluice *s, const sluice_pool *pool, json_t *facts)
{
    sluice_status st = SLUICE_OK;
    enum { PIECE = 1 << 20 };
    int64_t checked = 0;
    FILE *f = NULL;
    char *piece = RAW(s, PIECE, char);
    XXH3_state_t *state = XXH3_createState();
    if (!piece || !state) FAIL(E_MEMORY, "out of memory");
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *h = &pool->shards[i];
        if (!h->has_hash) continue;
        f = fopen(h->path, "rb");
        if (!f) FAIL_ERRNO(E_IO, "cannot read '%s'", h->path);
        XXH3_64bits_reset(state);
        for (size_t n; (n = fread(piece, 1, PIECE, f)) > 0;) XXH3_64bits_update(state, piece, n);
        if (ferror(f)) FAIL_ERRNO(E_IO, "cannot read '%s'", h->path);
        fclose(f), f = NULL;
        uint64_t got = XXH3_64bits_digest(state);
        if (got != h->hash)
            FAIL(E_DATA, "'%s' has hash %016" PRIx64 ", pool.json says %016" PRIx64, h->path, got, h->hash);
        checked++;
    }
    if (checked) add(facts, "hashes", json_integer(checked));
out:
    if (f) fclose(f);
    XXH3_freeState(state);
    mem_free(piece);
    return st;
}

static sluice_status pool_facts(cli *c, json_t *facts)
{
    sluice_pool *pool = NULL;
    sluice_status st = open_pool(c, &o.paths, &o.in, &pool);
    if (st) return st;
    sluice_pool_info info;
    sluice_pool_get_info(pool, &info);
    add(facts, "kind", json_string("pool"));
    add(facts, "rows", json_integer(pool->rows));
    add(facts, "row_shape", row_shape(pool));
    add(facts, "type", json_string(sluice_type_name(info.type)));
    add(facts, "bytes", json_integer((json_int_t)info.bytes));
    add(facts, "ids", json_string(!info.has_ids ? "row numbers" : pool->id_text ? "text" : "integers"));
    add(facts, "fingerprint", hex(info.fingerprint));
    json_t *shards = json_array();
    for (int i = 0; i < pool->shard_count; i++) {
        const shard *h = &pool->shards[i];
        json_array_append_new(shards,
                              json_pack("{s:o, s:I, s:s, s:b}", "name", any_text(h->name), "rows", (json_int_t)h->rows,
                                        "type", sluice_type_name(h->type), "scales", h->scale != NULL));
    }
    add(facts, "shards", shards);
    if (o.check) st = check_hashes(c->s, pool, facts);
    if (o.check && !st) st = count_bad(c->s, pool, facts);
    sluice_pool_free(pool);
    return st;
}

/* ---- head ---- */

static sluice_status head_facts(cli *c, json_t *facts)
{
    sluice_head *h = NULL;
    sluice_status st = sluice_head_load(c->s, o.paths.item[0], &h);
    if (st) return st;
    json_t *names = json_array(), *shape = json_array();
    for (int j = 0; j < h->classes; j++) json_array_append_new(names, any_text(sluice_head_class_name(h, j)));
    for (int i = 0; i < 3 && h->in_shape[i]; i++) json_array_append_new(shape, json_integer(h->in_shape[i]));
    add(facts, "kind", json_string("head"));
    add(facts, "layers", json_string(h->line));
    add(facts, "classes", json_integer(h->classes));
    add(facts, "row_shape", shape);
    add(facts, "temperature", json_real(h->temperature));
    if (h->l2 > 0) add(facts, "C", json_real(h->l2));
    add(facts, "trained_on", json_integer(h->train_count));
    add(facts, "held_out", json_integer(h->held_count));
    if (h->pool_fingerprint) add(facts, "pool", hex(h->pool_fingerprint));
    if (h->trained) add(facts, "training", any_text(h->trained));
    add(facts, "class_names", names);
    sluice_head_free(h);
    return SLUICE_OK;
}

/* A head is a safetensors file whose metadata say so. */
static bool is_head(sluice *s, const char *path)
{
    st_file f = { 0 };
    if (!path_ends(path, ".safetensors") || safetensors_open(s, path, &f)) return false;
    const char *format = json_string_value(json_object_get(f.metadata, "format"));
    bool head = format && strcmp(format, "sluice-head") == 0;
    safetensors_release(&f);
    return head;
}

/* ---- csv ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int64_t distinct(const csv *t, int column)
{
    char **cell = malloc(((size_t)t->rows + 1) * sizeof *cell);
    int64_t n = 0;
    if (!cell) return -1;
    for (int64_t i = 1; i < t->rows; i++) cell[i - 1] = t->cell[i][column];
    qsort(cell, (size_t)(t->rows - 1), sizeof *cell, by_text);
    for (int64_t i = 0; i < t->rows - 1; i++) n += i == 0 || strcmp(cell[i], cell[i - 1]) != 0;
    free(cell);
    return n;
}

static sluice_status csv_facts(cli *c, json_t *facts)
{
    csv t = { 0 };
    sluice_status st = csv_load(c->s, o.paths.item[0], &t);
    if (st) return st;
    int label = csv_column(&t, "label");
    bool picks = csv_column(&t, "rank") >= 0 && csv_column(&t, "score") >= 0;
    add(facts, "kind", json_string(picks ? "picks" : label >= 0 ? "labels" : "table"));
    add(facts, "rows", json_integer(t.rows - 1));
    json_t *columns = json_array();
    for (int j = 0; j < t.cols[0]; j++) json_array_append_new(columns, any_text(t.cell[0][j]));
    if (label >= 0) add(facts, "classes", json_integer(distinct(&t, label)));
    add(facts, "columns", columns);
    csv_release(&t);
    return SLUICE_OK;
}

/* ---- what a manifest promises ---- */

/* "whole", "missing" or "changed": the file's size and hash against the manifest's. */
static const char *output_state(sluice *s, const char *path, const json_t *promise)
{
    char *text = NULL, hash[17];
    int64_t bytes = 0;
    const char *want = json_string_value(json_object_get(promise, "xxh3"));
    if (!path_exists(path)) return "missing";
    if (!want) return "there";
    if (file_read(s, path, INT64_MAX, &text, &bytes)) return "unreadable";
    snprintf(hash, sizeof hash, "%016" PRIx64, hash_bytes(text, (size_t)bytes, 0));
    mem_free(text);
    return bytes == json_integer_value(json_object_get(promise, "bytes")) && strcmp(hash, want) == 0 ? "whole"
                                                                                                     : "changed";
}

/* Adds the state of every output; false: one is not whole. */
static bool manifest_facts(sluice *s, const char *path, json_t *facts)
{
    json_t *m = json_load_file(path, 0, NULL), *promise, *files = json_object();
    const char *name;
    bool whole = true;
    json_object_foreach(json_object_get(m, "outputs"), name, promise)
    {
        char *file = mem_format(s, "%.*s%s", (int)(path_base(path) - path), path, name);
        const char *state = file ? output_state(s, file, promise) : "unreadable";
        if (strcmp(state, "whole") != 0 && strcmp(state, "there") != 0) whole = false;
        json_object_set_new(files, name, json_string(state));
        mem_free(file);
    }
    if (m) {
        add(facts, "manifest", any_text(path_base(path)));
        add(facts, "outputs", files);
    } else {
        json_decref(files);
    }
    json_decref(m);
    return whole;
}

static char *manifest_beside(cli *c, const char *path, bool folder)
{
    if (folder) return mem_format(c->s, "%s/manifest.json", path);
    const char *dot = strrchr(path_base(path), '.');
    return mem_format(c->s, "%.*s.manifest.json", dot ? (int)(dot - path) : (int)strlen(path), path);
}

/* ---- run ---- */

static sluice_status collect(cli *c, json_t *facts)
{
    const char *first = o.paths.item[0];
    struct stat info;
    bool one = o.paths.count == 1, folder = stat(first, &info) == 0 && S_ISDIR(info.st_mode);
    char *manifest = one ? manifest_beside(c, first, folder) : NULL;
    sluice_status st = SLUICE_OK;
    if (one && folder && manifest && path_exists(manifest)) add(facts, "kind", json_string("results"));
    else if (one && path_ends(first, ".csv")) st = csv_facts(c, facts);
    else if (one && is_head(c->s, first)) st = head_facts(c, facts);
    else st = pool_facts(c, facts);
    bool whole = true;
    if (!st && manifest && path_exists(manifest)) whole = manifest_facts(c->s, manifest, facts);
    if (!st) add(facts, "whole", json_boolean(whole));
    if (!whole) st = cli_fail(c, SLUICE_E_DATA, "'%s' is not what its manifest says", first);
    mem_free(manifest);
    return st;
}

static sluice_status run(cli *c)
{
    json_t *facts = json_object();
    if (!facts) return cli_fail(c, SLUICE_E_MEMORY, "out of memory");
    sluice_status st = collect(c, facts);
    progress_clear();
    if (json_object_get(facts, "whole")) {
        if (o.json) json_dumpf(facts, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)), putchar('\n');
        else put_plain(facts);
    }
    json_decref(facts);
    return st;
}

const cli_command cli_info = {
    "info",
    "show what a pool, head, picks or labels file holds and whether it is whole",
    "PATH... [options]",
    "sluice info pool.npy --check",
    opts,
    &o.paths,
    "PATH",
    1,
    0,
    run,
};
