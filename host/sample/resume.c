/* resume.c - finished rounds of a simulation that is not finished: rounds/<strategy>-<seed>-<round>.json.
 *
 * A round is written whole (outfile) behind its picks, so what is there need not be computed again.  Numbers keep all
 * their bits, and heads are trained anew from the same rows: the end is that of a run nobody killed. */
#include "page.h"
#include "simulation.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void folder_clear(const char *folder, const char *part)
{
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));)
        if (f->d_name[0] != '.' && strstr(f->d_name, part)) unlinkat(dirfd(d), f->d_name, 0);
    if (d) closedir(d);
}

static int64_t count_rounds(const simulation *e)
{
    int64_t n = 0;
    DIR *d = opendir(e->folder_rounds);
    for (struct dirent *f; d && (f = readdir(d));) n += path_ends(f->d_name, ".json");
    if (d) closedir(d);
    return n;
}

sluice_status resume_begin(sluice *s, simulation *e, bool go_on)
{
    /* what was being written when the other run was killed */
    folder_clear(e->a.out, ".tmp.");
    folder_clear(e->folder_picks, ".tmp.");
    folder_clear(e->folder_rounds, go_on ? ".tmp." : "");
    e->finished = count_rounds(e);
    if (!go_on && e->finished)
        return sluice_fail(s, SLUICE_E_WRITE, "cannot remove what '%s' holds of another simulation", e->folder_rounds);
    if (e->finished)
        log_line(s, SLUICE_INFO, "'%s' has %lld finished rounds: going on from there", e->a.out,
                 (long long)e->finished);
    return SLUICE_OK;
}

void resume_end(simulation *e)
{
    folder_clear(e->folder_rounds, "");
    rmdir(e->folder_rounds);
}

static char *path_of(sluice *s, const simulation *e, const curve_point *p)
{
    return mem_format(s, "%s/%s-%llu-%d.json", e->folder_rounds, p->strategy, (unsigned long long)p->seed, p->round);
}

bool round_is_kept(sluice *s, const simulation *e, const curve_point *p)
{
    char *path = path_of(s, e, p);
    bool kept = path && access(path, F_OK) == 0;
    mem_free(path);
    return kept;
}

/* ---- a round as JSON, which has no NaN ---- */

static json_t *json_of(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static double real_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : NAN; }

static json_t *describe(const simulation *e, const curve_point *p, const pick_list *batch)
{
    int classes = e->a.labels->classes;
    int64_t at = (p - e->curve.points) * classes;
    json_t *balance = json_array(), *recall = json_array(), *rows = json_array();
    for (int j = 0; j < classes; j++) {
        json_array_append_new(balance, json_integer(e->balance[at + j]));
        json_array_append_new(recall, json_of(e->recall[at + j]));
    }
    for (int64_t i = 0; batch && i < batch->count; i++) json_array_append_new(rows, json_integer(batch->picks[i].row));
    return json_pack("{s:I, s:i, s:o, s:o, s:o, s:o, s:[f, f, f, f], s:I, s:o, s:o, s:o}", "labels",
                     (json_int_t)p->labels, "classes_seen", p->classes_seen, "accuracy", json_of(p->accuracy), "nll",
                     json_of(p->nll), "macro_f1", json_of(p->macro_f1), "self_trained", json_of(p->self_trained),
                     "seconds", p->seconds, p->stage[0], p->stage[1], p->stage[2], "bad_rows",
                     (json_int_t)e->quarantined, "balance", balance, "recall", recall, "rows", rows);
}

sluice_status round_keep(sluice *s, simulation *e, const curve_point *p, const pick_list *batch)
{
    sluice_status st = SLUICE_OK;
    char *path, *text = NULL;
    json_t *j = describe(e, p, batch);
    TRY_NEW(path, path_of(s, e, p));
    text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!text) FAIL(E_MEMORY, "out of memory for a finished round");
    TRY(file_write(s, path, text, strlen(text)));
    e->finished++;
out:
    free(text);
    mem_free(path);
    json_decref(j);
    return st;
}

static bool take_rows(simulation *e, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int64_t row = json_integer_value(json_array_get(rows, i));
        if (row < 0 || row >= e->pool.pool->rows || e->row_class[row] < 0 || e->known[row]) return false;
        learn_row(e, row);
    }
    return true;
}

static bool take_classes(simulation *e, const json_t *j, const curve_point *p)
{
    size_t classes = (size_t)e->a.labels->classes;
    int64_t at = (p - e->curve.points) * (int64_t)classes;
    const json_t *balance = json_object_get(j, "balance"), *recall = json_object_get(j, "recall");
    if (json_array_size(balance) != classes || json_array_size(recall) != classes) return false;
    for (size_t k = 0; k < classes; k++) {
        e->balance[at + (int64_t)k] = json_integer_value(json_array_get(balance, k));
        e->recall[at + (int64_t)k] = real_of(json_array_get(recall, k));
    }
    return true;
}

static bool take_point(simulation *e, const json_t *j, curve_point *p)
{
    const json_t *seconds = json_object_get(j, "seconds");
    int64_t bad = json_integer_value(json_object_get(j, "bad_rows"));
    if (json_array_size(seconds) != 4) return false;
    p->labels = json_integer_value(json_object_get(j, "labels"));
    p->classes_seen = (int)json_integer_value(json_object_get(j, "classes_seen"));
    p->accuracy = real_of(json_object_get(j, "accuracy"));
    p->nll = real_of(json_object_get(j, "nll"));
    p->macro_f1 = real_of(json_object_get(j, "macro_f1"));
    p->self_trained = real_of(json_object_get(j, "self_trained"));
    p->seconds = real_of(json_array_get(seconds, 0));
    for (size_t k = 0; k < 3; k++) p->stage[k] = real_of(json_array_get(seconds, k + 1));
    if (bad > e->quarantined) e->quarantined = bad;
    return p->labels > 0 && take_classes(e, j, p) && take_rows(e, json_object_get(j, "rows"));
}

sluice_status round_restore(sluice *s, simulation *e, curve_point *p, bool *out_found)
{
    sluice_status st = SLUICE_OK;
    json_t *j = NULL;
    char *path;
    *out_found = false;
    TRY_NEW(path, path_of(s, e, p));
    if (access(path, F_OK)) goto out;
    j = json_load_file(path, 0, NULL);
    if (!j || !take_point(e, j, p))
        FAIL(E_FORMAT, "'%s' is not a finished round of this simulation: remove it, or start anew with --force", path);
    *out_found = true;
out:
    json_decref(j);
    mem_free(path);
    return st;
}
