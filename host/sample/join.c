/* join.c - sluice_simulate_join(): several data sets, one verdict.
 *
 * A run (a seed of a set) counts by its area, so sets weigh the same whatever their rounds.  To the comparisons a run is
 * a seed with a curve of one point, whose accuracy is that area. */
#include "comm.h"
#include "compare.h"
#include "manifest.h"
#include "page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct joined {
    const char *folder, *command;
    const char *const *names; /* [count] of the sets */
    int count;
    json_t **set;    /* [count] their summary.json */
    curve curve;     /* strategies x (count * seeds) x 1 point */
    double *rank;    /* [strategies] mean over runs, 1: best; equal areas share the mean of their ranks */
    comparison *all; /* pairs */
    int pairs;
} joined;

static void joined_release(joined *j)
{
    for (int i = 0; j->set && i < j->count; i++) json_decref(j->set[i]);
    mem_free((void *)j->curve.strategies);
    mem_free(j->curve.points);
    mem_free(j->set);
    mem_free(j->rank);
    mem_free(j->all);
}

/* ---- what the sets say ---- */

static sluice_status read_set(sluice *s, joined *j, int at)
{
    sluice_status st = SLUICE_OK;
    json_error_t why;
    char *path;
    TRY_NEW(path, mem_format(s, "%s/%s/summary.json", j->folder, j->names[at]));
    j->set[at] = json_load_file(path, 0, &why);
    if (!j->set[at]) FAIL(E_FORMAT, "'%s': %s", path, why.text);
    json_int_t seeds = json_integer_value(json_object_get(j->set[at], "seeds"));
    if (!json_is_array(json_object_get(j->set[at], "strategies")) ||
        !json_array_size(json_object_get(j->set[at], "strategies")) || seeds < 1 || seeds > INT32_MAX / j->count)
        FAIL(E_FORMAT, "'%s' is not the summary of a simulation", path);
out:
    mem_free(path);
    return st;
}

static const json_t *strategy_of(const joined *j, int set, int strategy)
{
    return json_array_get(json_object_get(j->set[set], "strategies"), (size_t)strategy);
}

static const char *name_of(const joined *j, int set, int strategy)
{
    return json_string_value(json_object_get(strategy_of(j, set, strategy), "name"));
}

static bool comparable(const joined *j, int set)
{
    int n = j->curve.strategy_count, seeds = j->curve.seeds / j->count;
    if (json_array_size(json_object_get(j->set[set], "strategies")) != (size_t)n) return false;
    for (int i = 0; i < n; i++) {
        const char *name = name_of(j, set, i), *first = name_of(j, 0, i);
        if (!name || !first || strcmp(name, first) != 0) return false;
        const json_t *areas = json_object_get(strategy_of(j, set, i), "areas");
        if (json_array_size(areas) != (size_t)seeds) return false;
        for (int k = 0; k < seeds; k++)
            if (!json_is_number(json_array_get(areas, (size_t)k))) return false;
    }
    return true;
}

static void take_areas(joined *j, int set)
{
    int seeds = j->curve.seeds / j->count;
    for (int i = 0; i < j->curve.strategy_count; i++)
        for (int k = 0; k < seeds; k++) {
            const json_t *area = json_array_get(json_object_get(strategy_of(j, set, i), "areas"), (size_t)k);
            curve_point *p = curve_at(&j->curve, i, set * seeds + k, 0);
            p->labels = 1, p->accuracy = json_number_value(area);
        }
}

static sluice_status read_sets(sluice *s, joined *j)
{
    sluice_status st = SLUICE_OK;
    const char **strategies;
    TRY_NEW(j->set, NEW(s, j->count, json_t *));
    for (int i = 0; i < j->count; i++) TRY(read_set(s, j, i));
    int n = (int)json_array_size(json_object_get(j->set[0], "strategies"));
    j->curve.strategy_count = n;
    j->curve.seeds = j->count * (int)json_integer_value(json_object_get(j->set[0], "seeds"));
    for (int i = 0; i < j->count; i++)
        if (!comparable(j, i))
            FAIL(E_DATA, "'%s' compares other strategies or seeds than '%s'", j->names[i], j->names[0]);
    TRY_NEW(strategies, NEW(s, n, const char *));
    j->curve.strategies = strategies;
    for (int i = 0; i < n; i++) strategies[i] = name_of(j, 0, i);
    TRY_NEW(j->curve.points, NEW(s, (int64_t)n * j->curve.seeds + 1, curve_point));
    for (int i = 0; i < j->count; i++) take_areas(j, i);
out:
    return st;
}

/* ---- figures ---- */

static double area_of(const joined *j, int strategy, int run)
{
    return curve_at(&j->curve, strategy, run, 0)->accuracy;
}

/* Of one set, or of all where set is negative. */
static double mean_area(const joined *j, int strategy, int set)
{
    int seeds = j->curve.seeds / j->count, first = set < 0 ? 0 : set * seeds, n = set < 0 ? j->curve.seeds : seeds;
    double sum = 0;
    for (int k = first; k < first + n; k++) sum += area_of(j, strategy, k);
    return sum / n;
}

static double mean_rank(const joined *j, int strategy)
{
    double sum = 0;
    for (int k = 0; k < j->curve.seeds; k++) {
        double mine = area_of(j, strategy, k);
        sum += 1;
        for (int i = 0; i < j->curve.strategy_count; i++) {
            double other = area_of(j, i, k);
            if (i != strategy) sum += other > mine ? 1 : other == mine ? 0.5 : 0;
        }
    }
    return sum / j->curve.seeds;
}

static sluice_status compare_sets(sluice *s, joined *j)
{
    sluice_status st = SLUICE_OK;
    TRY_NEW(j->rank, NEW(s, j->curve.strategy_count, double));
    for (int i = 0; i < j->curve.strategy_count; i++) j->rank[i] = mean_rank(j, i);
    TRY(compare_strategies(s, &j->curve, -1, &j->all, &j->pairs));
out:
    return st;
}

/* ---- out ---- */

static void print_table(FILE *f, const joined *j)
{
    fprintf(f, "Mean accuracy over labels in %d runs: %d data sets with %d seeds each; rank 1 is best.\n\n",
            j->curve.seeds, j->count, j->curve.seeds / j->count);
    fputs("| strategy | rank | mean |", f);
    for (int k = 0; k < j->count; k++) fprintf(f, " %s |", j->names[k]);
    fputs("\n|---|---|---|", f);
    for (int k = 0; k < j->count; k++) fputs("---|", f);
    fputc('\n', f);
    for (int i = 0; i < j->curve.strategy_count; i++) {
        fprintf(f, "| %s | %s | %s |", j->curve.strategies[i], curve_decimal(2, j->rank[i]).text,
                curve_decimal(4, mean_area(j, i, -1)).text);
        for (int k = 0; k < j->count; k++) fprintf(f, " %s |", curve_decimal(4, mean_area(j, i, k)).text);
        fputc('\n', f);
    }
}

static void put_ranks(FILE *f, const joined *j)
{
    fputs("<h2>Mean accuracy over labels</h2>\n<div class=\"scroll\"><table><thead><tr><th>strategy</th><th>mean "
          "rank</th><th>mean</th>",
          f);
    for (int k = 0; k < j->count; k++) {
        fputs("<th>", f);
        page_text(f, j->names[k]);
        fputs("</th>", f);
    }
    fputs("</tr></thead><tbody>\n", f);
    for (int i = 0; i < j->curve.strategy_count; i++) {
        fputs("<tr><td>", f);
        page_text(f, j->curve.strategies[i]);
        fprintf(f, "</td><td>%s</td><td>%s</td>", curve_decimal(2, j->rank[i]).text,
                curve_decimal(4, mean_area(j, i, -1)).text);
        for (int k = 0; k < j->count; k++) fprintf(f, "<td>%s</td>", curve_decimal(4, mean_area(j, i, k)).text);
        fputs("</tr>\n", f);
    }
    fputs(
        "</tbody></table></div>\n<p>The area under a run's curve over its width; rank 1 is best, equal areas share the "
        "mean of their ranks. Curves of each set: report.html in the folder of its name.</p>\n",
        f);
}

static void put_pairs(FILE *f, const joined *j)
{
    fputs("<h2>Pairs</h2>\n<div class=\"scroll\"><table><thead><tr><th>a</th><th>b</th><th>a - b</th><th>p</th><th>p "
          "(Holm)</th></tr></thead><tbody>\n",
          f);
    for (int i = 0; i < j->pairs; i++) {
        const comparison *q = &j->all[i];
        fputs("<tr><td>", f);
        page_text(f, j->curve.strategies[q->a]);
        fputs("</td><td>", f);
        page_text(f, j->curve.strategies[q->b]);
        fprintf(f, "</td><td>%s%s</td><td>%s</td><td>%s</td></tr>\n", q->difference < 0 ? "" : "+",
                curve_decimal(4, q->difference).text, curve_decimal(4, q->p).text, curve_decimal(4, q->adjusted).text);
    }
    fputs("</tbody></table></div>\n<p>Paired t-tests over the runs of all sets, corrected for their number (Holm "
          "1979).</p>\n",
          f);
}

static void print_page(FILE *f, const joined *j)
{
    page_begin(f, "Sampling strategies compared on several data sets");
    fprintf(f, "<p>%d data sets, %d seeds. sluice %s.</p>\n", j->count, j->curve.seeds / j->count, sluice_version());
    put_ranks(f, j);
    put_pairs(f, j);
    page_end(f, j->command);
}

static json_t *json_areas(const joined *j, int strategy)
{
    json_t *areas = json_object();
    for (int k = 0; k < j->count; k++) json_object_set_new(areas, j->names[k], json_real(mean_area(j, strategy, k)));
    return areas;
}

static json_t *summary_of(const joined *j)
{
    json_t *sets = json_array(), *strategies = json_array();
    for (int k = 0; k < j->count; k++) json_array_append_new(sets, json_string(j->names[k]));
    for (int i = 0; i < j->curve.strategy_count; i++)
        if (json_array_append_new(strategies,
                                  json_pack("{s:s, s:f, s:f, s:o}", "name", j->curve.strategies[i], "rank", j->rank[i],
                                            "area", mean_area(j, i, -1), "areas", json_areas(j, i))))
            return json_decref(sets), json_decref(strategies), NULL;
    return json_pack("{s:o, s:i, s:o, s:o}", "sets", sets, "seeds", j->curve.seeds / j->count, "strategies", strategies,
                     "pairs", compare_json(&j->curve, j->all, j->pairs));
}

typedef void printer(FILE *f, const joined *j);

static char *print_text(sluice *s, const joined *j, printer *print)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (f) {
        print(f, j);
        return page_take(s, f, &text);
    }
    sluice_fail(s, SLUICE_E_MEMORY, "out of memory for a report");
    return NULL;
}

/* Takes text, NULL: there was no memory for it. */
static sluice_status write_one(sluice *s, const joined *j, const char *name, char *text)
{
    sluice_status st = SLUICE_E_MEMORY;
    char *path = text ? mem_format(s, "%s/%s", j->folder, name) : NULL;
    if (path) st = file_write(s, path, text, strlen(text));
    mem_free(path);
    free(text);
    return st;
}

static sluice_status write_run(sluice *s, const joined *j)
{
    json_t *sets = json_array(), *m;
    char *path = mem_format(s, "%s/run.json", j->folder);
    if (!path) return SLUICE_E_MEMORY;
    for (int k = 0; k < j->count; k++) json_array_append_new(sets, json_string(j->names[k]));
    m = json_pack("{s:s, s:o}", "sluice", sluice_version(), "sets", sets);
    if (m && j->command) json_object_set_new(m, "command", json_string(j->command));
    sluice_status st = manifest_write(s, path, m);
    json_decref(m);
    mem_free(path);
    return st;
}

sluice_status sluice_simulate_join(sluice *s, const char *folder, const char *const *names, int count,
                                   const char *command, char **out_table)
{
    sluice_status st = SLUICE_OK;
    joined j = { .folder = folder, .command = command, .names = names, .count = count };
    s->error[0] = 0;
    if (count < 1) FAIL(E_USAGE, "there are no data sets");
    if (!comm_root(s)) goto out; /* one writes */
    TRY(read_sets(s, &j));
    assert(j.curve.strategies);
    TRY(compare_sets(s, &j));
    TRY(write_one(s, &j, "table.md", print_text(s, &j, print_table)));
    TRY(write_one(s, &j, "summary.json", page_json(s, summary_of(&j))));
    TRY(write_one(s, &j, "report.html", print_text(s, &j, print_page)));
    TRY(write_run(s, &j));
    if (out_table) TRY_NEW(*out_table, print_text(s, &j, print_table));
out:
    joined_release(&j);
    if (st) sluice_note(s, st, "cannot join simulations in '%s'", folder);
    return comm_agree(s, st);
}
