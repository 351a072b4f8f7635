/* parts.c - one selection by several processes that share nothing but a file system: each scans a part of the pool and
 * writes what it knows, and merging joins it.
 *
 * A part is the state of a scan (scan_state.h) under the identity of the run (identity.h): candidates of the filter, no
 * features.  Which rows a part has follows from the pool and from i/n alone, so that nothing is left out or read twice
 * without being noticed. */
#include "selection.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

json_t *selection_identity(const selection *e, bool with_part)
{
    json_t *inputs = json_copy(e->p->inputs);
    json_object_del(inputs, "hash");
    json_t *id = json_pack("{s:s, s:s, s:o}", "sluice", sluice_version(), "task", "select", "inputs", inputs);
    if (id && with_part) {
        json_object_set_new(id, "part", json_integer(e->a.shard));
        json_object_set_new(id, "parts", json_integer(e->a.shards ? e->a.shards : 1));
    }
    return id;
}

/* ---- one part ---- */

sluice_status part_check(sluice *s, const selection *e, bool *out_done)
{
    sealed f = { 0 };
    *out_done = false;
    if (e->a.force || access(e->a.out, F_OK) != 0) return SLUICE_OK;
    json_t *mine = selection_identity(e, true);
    sluice_status st = sealed_read(s, e->a.out, &f);
    if (!st) st = identity_check(s, e->a.out, f.identity, mine);
    if (st && st != SLUICE_E_MEMORY) {
        s->error[0] = 0;
        st = sluice_hint(s, sluice_fail(s, SLUICE_E_WRITE, "'%s' is there and is not this part of this run", e->a.out),
                         "--force overwrites it");
    }
    *out_done = !st;
    sealed_release(&f);
    json_decref(mine);
    return st;
}

sluice_status part_write(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    void *bytes = NULL;
    size_t size;
    json_t *identity = selection_identity(e, true);
    if (identity && e->a.note) json_object_set_new(identity, "note", json_string(e->a.note));
    TRY(scan_state_pack(s, &e->state, &bytes, &size));
    TRY(sealed_write(s, e->a.out, identity, bytes, size));
    checkpoint_remove(&e->p->kept);
    span rows = chunk_share(e->pool->rows, e->a.shard, e->a.shards);
    e->p->info.scanned = selection_scans(e) ? rows.end - rows.first : 0;
    e->p->info.bytes = (double)e->state.bytes;
    e->p->info.quarantined = e->state.bad.count;
out:
    mem_free(bytes);
    json_decref(identity);
    return st;
}

/* ---- all parts ---- */

typedef struct joining {
    selection *e;
    json_t *identity;
    int64_t parts;     /* of the run; 0: not known yet */
    const char **file; /* [parts] that brought it */
} joining;

static sluice_status note_part(sluice *s, joining *j, const char *path, const json_t *theirs, int64_t *out_part)
{
    sluice_status st = SLUICE_OK;
    int64_t part = json_integer_value(json_object_get(theirs, "part"));
    int64_t parts = json_integer_value(json_object_get(theirs, "parts"));
    if (parts < 1 || parts > INT32_MAX || part < 0 || part >= parts)
        FAIL(E_FORMAT, "'%s' does not say which part it is", path);
    if (!j->parts) {
        TRY_NEW(j->file, NEW(s, parts, const char *));
        j->parts = parts;
    }
    if (parts != j->parts)
        FAIL(E_DATA, "'%s' is one of %lld parts, '%s' one of %lld", path, (long long)parts, j->e->part_files[0],
             (long long)j->parts);
    if (j->file[part])
        FAIL(E_DATA, "'%s' and '%s' are both part %lld of %lld", j->file[part], path, (long long)part,
             (long long)parts);
    j->file[part] = path;
    *out_part = part;
out:
    return st;
}

/* A part knows its rows, all of them and no others. */
static sluice_status check_rows(sluice *s, const scan_state *v, span share, int64_t before, const char *path)
{
    int64_t came = spans_rows(&v->done) - before;
    span left = spans_gap(&v->done, share);
    if (came == share.end - share.first && left.first == left.end) return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_DATA, "'%s' holds %lld rows, its part has %lld", path, (long long)came,
                       (long long)(share.end - share.first));
}

static sluice_status join_part(sluice *s, joining *j, const char *path)
{
    sluice_status st = SLUICE_OK;
    selection *e = j->e;
    sealed f = { 0 };
    int64_t part = 0, before = spans_rows(&e->state.done);
    TRY(sealed_read(s, path, &f));
    TRY(identity_check(s, path, f.identity, j->identity));
    TRY(note_part(s, j, path, f.identity, &part));
    st = scan_state_merge(s, &e->state, e->pool, e->out.bits, f.body, f.bytes);
    if (st) st = sluice_note(s, st, "'%s'", path);
    else st = check_rows(s, &e->state, chunk_share(e->pool->rows, part, j->parts), before, path);
out:
    sealed_release(&f);
    return st;
}

static sluice_status check_all(sluice *s, const joining *j)
{
    enum { SHOWN = 10 };
    char list[256] = "";
    int64_t missing = 0;
    for (int64_t i = 0; i < j->parts; i++)
        if (!j->file[i] && missing++ < SHOWN)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%lld", *list ? ", " : "", (long long)i);
    if (!missing) return SLUICE_OK;
    return sluice_fail(s, SLUICE_E_MISSING, "of %lld parts %lld %s missing: %s%s", (long long)j->parts,
                       (long long)missing, missing == 1 ? "is" : "are", list, missing > SHOWN ? ", ..." : "");
}

sluice_status parts_join(sluice *s, selection *e)
{
    sluice_status st = SLUICE_OK;
    joining j = { .e = e, .identity = selection_identity(e, false) };
    for (int i = 0; i < e->part_files_count; i++) TRY(join_part(s, &j, e->part_files[i]));
    TRY(check_all(s, &j));
out:
    json_decref(j.identity);
    mem_free(j.file);
    return st;
}
