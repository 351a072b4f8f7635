/* cmd_convert.c - sluice convert: a pool into one file of another format or type, or foreign weights into a head.
 *
 * The pool streams through the reader and the convert op, so its size does not matter.  Ids go to OUT.ids.txt and
 * the row scales of i8 to OUT.scale.npy, where the pool looks for them. */
#include "cli.h"
#include "formats.h"
#include "head.h"
#include "reader.h"

#include <stdlib.h>
#include <string.h>

static struct {
    cli_list in;
    cli_input input;
    const char *to, *type, *bias, *prefix, *out;
    bool normalise, force;
} o;

static const cli_opt opts[] = {
    { "to", 0, CLI_WORD, "npy|safetensors|fbin|head", &o.to, "what to write", .required = true },
    { "out", 'o', CLI_PATH, "FILE", &o.out, "the new file", .required = true },
    { "type", 0, CLI_WORD, "f32|f16|bf16|i8", &o.type,
      "of the elements; default: as they are, where the format has it" },
    { "normalise", 0, CLI_FLAG, NULL, &o.normalise, "divide every row by its length" },
    { "bias", 0, CLI_PATH, "FILE", &o.bias, "head from .npy: the bias [c]; the argument is the weight [c, d]" },
    { "prefix", 0, CLI_WORD, "NAME", &o.prefix,
      "head from .safetensors: of weight and bias; default: fc. head. classifier." },
    { "classes", 0, CLI_PATH, "FILE", &o.input.classes, "head: class names, one a line, in the order of the outputs" },
    { "pool", 0, CLI_LIST, "POOL", &o.in, "the same as a plain POOL argument", .alias = "features" },
    { "ids", 0, CLI_PATH, "FILE", &o.input.ids, "one id a row, .txt .csv .npy" },
    { "tensor", 0, CLI_WORD, "NAME", &o.input.tensor, "which tensor of a .safetensors" },
    { "force", 0, CLI_FLAG, NULL, &o.force, "overwrite --out" },
    { 0 },
};

/* ---- pool to file ---- */

static bool is_to(const char *format) { return strcmp(o.to, format) == 0; }

/* Which types each format has; the first is taken where the pool's own is not among them. */
static const struct {
    const char *format;
    sluice_type types[5];
    int count;
} holds[] = {
    { "npy", { SLUICE_F32, SLUICE_F16, SLUICE_F64, SLUICE_I8, SLUICE_U8 }, 3 },
    { "safetensors", { SLUICE_F32, SLUICE_F16, SLUICE_BF16 }, 3 },
    { "fbin", { SLUICE_F32 }, 1 },
};

static sluice_status choose_type(cli *c, sluice_type pool_type, sluice_type *out)
{
    static const struct {
        const char *name;
        sluice_type type;
    } names[] = { { "f32", SLUICE_F32 }, { "f16", SLUICE_F16 }, { "bf16", SLUICE_BF16 }, { "i8", SLUICE_I8 } };
    size_t f = 0, t = 0;
    while (!is_to(holds[f].format)) f++;
    if (!o.type) {
        *out = SLUICE_F32; /* f64 and integers with scales become f32 */
        for (int i = 0; i < holds[f].count; i++)
            if (holds[f].types[i] == pool_type && pool_type != SLUICE_F64) *out = pool_type;
        return SLUICE_OK;
    }
    while (strcmp(names[t].name, o.type) != 0) t++;
    *out = names[t].type;
    bool fits = is_to("npy") ? *out != SLUICE_BF16 : is_to("fbin") ? *out == SLUICE_F32 : *out != SLUICE_I8;
    if (fits) return SLUICE_OK;
    return cli_fail(c, SLUICE_E_USAGE, "--to %s has no %s elements\nhint: %s", o.to, o.type,
                    is_to("npy") ? "--to safetensors has bf16"
                                 : "--to npy has f16 and i8, --to safetensors f16 and bf16");
}

typedef struct sink {
    outfile *data, *scale, *ids;
    sluice_type type;
} sink;

static void sink_release(sink *k)
{
    outfile_abort(k->data);
    outfile_abort(k->scale);
    outfile_abort(k->ids);
}

static sluice_status put_safetensors_header(sluice *s, sink *k, int ndim, const int64_t *shape, size_t bytes)
{
    static const char *const names[] = { [SLUICE_F32] = "F32", [SLUICE_F16] = "F16", [SLUICE_BF16] = "BF16" };
    char text[512], dims[128] = "";
    for (int i = 0, used = 0; i < ndim; i++)
        used += snprintf(dims + used, sizeof dims - (size_t)used, "%s%lld", i ? "," : "", (long long)shape[i]);
    int n = snprintf(text, sizeof text, "{\"features\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[0,%zu]}}",
                     names[k->type], dims, bytes);
    int padded = (n + 8 + 63) / 64 * 64 - 8; /* rows then begin on a cache line */
    uint8_t size[8] = { (uint8_t)padded, (uint8_t)(padded >> 8) };
    sluice_status st = outfile_write(s, k->data, size, sizeof size);
    return st ? st : outfile_printf(s, k->data, "%-*s", padded, text);
}

static sluice_status put_header(sluice *s, sink *k, const sluice_pool *pool)
{
    static const char *const descr[] = {
        [SLUICE_F32] = "<f4", [SLUICE_F16] = "<f2", [SLUICE_I8] = "|i1", [SLUICE_U8] = "|u1"
    };
    int64_t shape[4] = { pool->rows, pool->shape[0], pool->shape[1], pool->shape[2] };
    int ndim = pool->shape[1] ? 4 : 2;
    size_t bytes;
    if (mul_overflows((size_t)pool->rows, (size_t)pool->width, &bytes) ||
        mul_overflows(bytes, sluice_type_bytes(k->type), &bytes))
        return sluice_fail(s, SLUICE_E_SHAPE, "%lld rows of %lld do not fit in a file", (long long)pool->rows,
                           (long long)pool->width);
    if (is_to("npy")) return npy_write_header(s, k->data, descr[k->type], ndim, shape);
    if (is_to("fbin")) return bigann_write_header(s, k->data, pool->rows, pool->width);
    return put_safetensors_header(s, k, ndim, shape, bytes);
}

/* "x.npy" -> "x.ids.txt". */
static sluice_status open_beside(sluice *s, const char *ending, outfile **out_f)
{
    const char *dot = strrchr(path_base(o.out), '.');
    char *path = mem_format(s, "%.*s%s", dot ? (int)(dot - o.out) : (int)strlen(o.out), o.out, ending);
    sluice_status st = path ? outfile_open(s, path, o.force, out_f) : SLUICE_E_MEMORY;
    mem_free(path);
    return st;
}

static sluice_status put_ids(sluice *s, sink *k, const sluice_pool *pool)
{
    sluice_status st = SLUICE_OK;
    char *id = NULL;
    size_t room = 0;
    TRY(open_beside(s, ".ids.txt", &k->ids));
    for (int64_t i = 0; i < pool->rows; i++) {
        size_t need = sluice_pool_id_text(pool, i, id, room);
        if (need >= room) {
            char *grown = mem_grow(s, id, (int64_t)(room = 2 * need + 64), 1);
            if (!grown) return mem_free(id), SLUICE_E_MEMORY;
            id = grown;
            sluice_pool_id_text(pool, i, id, room);
        }
        TRY(outfile_printf(s, k->ids, "%s\n", id));
    }
out:
    mem_free(id);
    return st;
}

/* A number above f16's largest would silently become an infinity. */
static sluice_status check_range(sluice *s, const block *b, const sluice_view *y, uint8_t *bad)
{
    sluice_status st = SLUICE_OK;
    TRY(sluice_op_finite(s, &(sluice_op_finite_args){ .x = *y, .bad = bad }));
    if (!memchr(bad, 1, (size_t)y->rows)) return st;
    TRY(sluice_op_finite(s, &(sluice_op_finite_args){ .x = b->view, .bad = bad + y->rows }));
    for (int64_t i = 0; i < y->rows; i++)
        if (bad[i] && !bad[y->rows + i]) {
            st = sluice_fail(s, SLUICE_E_DATA, "row %lld holds numbers beyond the range of %s",
                             (long long)(b->first_row + i), sluice_type_name(y->type));
            return sluice_hint(s, st, "--type bf16 and f32 have a wider range, --normalise a narrower one");
        }
out:
    return st;
}

static sluice_status put_rows(sluice *s, sink *k, const sluice_pool *pool)
{
    sluice_status st = SLUICE_OK;
    reader *r = NULL;
    progress g;
    uint8_t *y = NULL, *bad = NULL;
    float *scale = NULL;
    block b;
    bool end = false;
    TRY(reader_open(s, pool, &(reader_plan){ .mem_bytes = s->mem_bytes / 2 }, &r));
    int64_t most = reader_block_rows(r);
    TRY_NEW(y, mem_raw(s, most, (size_t)pool->width * sluice_type_bytes(k->type)));
    TRY_NEW(bad, RAW(s, 2 * most, uint8_t));
    TRY_NEW(scale, RAW(s, most, float));
    progress_begin(&g, "convert", "rows", pool->rows);
    for (;;) {
        TRY(reader_next(s, r, &b, &end));
        if (end) break;
        sluice_view out = sluice_rows(y, k->type, b.rows, pool->width);
        TRY(sluice_op_convert(
            s, &(sluice_op_convert_args){
                   .x = b.view, .out = out, .normalise = o.normalise, .out_scale = k->scale ? scale : NULL }));
        if (k->type == SLUICE_F16 || k->type == SLUICE_BF16) TRY(check_range(s, &b, &out, bad));
        int64_t done = b.first_row + b.rows;
        TRY(outfile_write(s, k->data, y, (size_t)b.rows * out.stride));
        if (k->scale) TRY(outfile_write(s, k->scale, scale, (size_t)b.rows * sizeof *scale));
        reader_done(r, &b);
        TRY(progress_step(s, &g, done, reader_bytes(r)));
    }
    progress_end(s, &g);
out:
    reader_close(r);
    mem_free(y), mem_free(bad), mem_free(scale);
    return st;
}

static sluice_status commit(sluice *s, outfile **f)
{
    outfile *ready = *f;
    *f = NULL;
    return ready ? outfile_commit(s, ready) : SLUICE_OK;
}

static sluice_status convert_pool(cli *c)
{
    sluice *s = c->s;
    sluice_status st = SLUICE_OK;
    sluice_pool *pool = NULL;
    sink k = { 0 };
    if (o.bias || o.prefix || o.input.classes) REFUSE(E_USAGE, "--bias, --prefix and --classes belong to --to head");
    TRY(open_pool(c, &o.in, &o.input, &pool));
    TRY(choose_type(c, pool->shard_count ? pool->shards[0].type : SLUICE_F32, &k.type));
    TRY(outfile_open(s, o.out, o.force, &k.data));
    TRY(put_header(s, &k, pool));
    if (k.type == SLUICE_I8) {
        TRY(open_beside(s, ".scale.npy", &k.scale));
        TRY(npy_write_header(s, k.scale, "<f4", 1, &pool->rows));
    }
    if (pool->ids) TRY(put_ids(s, &k, pool));
    TRY(put_rows(s, &k, pool));
    TRY(commit(s, &k.ids));
    TRY(commit(s, &k.scale));
    TRY(commit(s, &k.data)); /* last: what is there is whole */
    log_wrote(o.out, pool->rows, "rows", pool->rows);
out:
    sink_release(&k);
    sluice_pool_free(pool);
    return st;
}

/* ---- weights to head ---- */

static sluice_status load_names(sluice *s, line_list *lines, char ***out_names)
{
    sluice_status st = lines_load(s, o.input.classes, lines);
    char **names = st ? NULL : NEW(s, lines->count + 1, char *);
    if (st || !names) return st ? st : SLUICE_E_MEMORY;
    for (int64_t i = 0; i < lines->count; i++) names[i] = lines->text + lines->at[i];
    *out_names = names;
    return SLUICE_OK;
}

static sluice_status convert_head(cli *c)
{
    sluice *s = c->s;
    sluice_status st = SLUICE_OK;
    sluice_head *head = NULL;
    line_list lines = { 0 };
    char **names = NULL;
    if (o.in.count != 1) REFUSE(E_USAGE, "--to head takes one file of weights, not %d", o.in.count);
    if (o.type || o.normalise) REFUSE(E_USAGE, "--type and --normalise do not belong to --to head");
    if (o.input.classes) TRY(load_names(s, &lines, &names));
    TRY(head_import(s, o.in.item[0], o.bias, o.prefix, names, (int)lines.count, &head));
    TRY(sluice_head_save(s, head, o.out, o.force));
    log_wrote(o.out, sluice_head_classes(head), "classes", -1);
out:
    mem_free(names);
    lines_release(&lines);
    sluice_head_free(head);
    return st;
}

static sluice_status run(cli *c)
{
    char ending[32];
    snprintf(ending, sizeof ending, ".%s", is_to("head") ? "safetensors" : o.to);
    if (!path_ends(o.out, ending))
        return cli_fail(c, SLUICE_E_USAGE, "--to %s writes a %s file, '%s' ends otherwise", o.to, ending, o.out);
    sluice_status st = check_output(c, o.out, false);
    if (st) return st;
    return is_to("head") ? convert_head(c) : convert_pool(c);
}

const cli_command cli_convert = {
    "convert",
    "change a pool's format or type, or import a head",
    "POOL... --to FORMAT --out FILE [options]",
    "sluice convert shards/ --to safetensors --type f16 --out pool.safetensors",
    opts,
    &o.in,
    "POOL",
    1,
    0,
    run,
};
