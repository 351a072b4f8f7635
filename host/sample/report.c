/* report.c - see report.h.  One page, styles and pictures (SVG) inside. */
#include "page.h"
#include "report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 760, HEIGHT = 400, LEFT = 56, RIGHT = 16, TOP = 12, BOTTOM = 44 };
/* Okabe & Ito's colours, which colour-blind readers can tell apart. */
static const char *const colours[] = { "#666666", "#0072b2", "#d55e00", "#009e73",
                                       "#cc79a7", "#e69f00", "#56b4e9", "#f0e442" };
enum { COLOURS = sizeof colours / sizeof *colours };

/* The strategy of the highest mean in a round. */
static int best_of(const curve *c, int round)
{
    int best = 0;
    for (int i = 1; i < c->strategy_count; i++)
        if (curve_accuracy(c, i, round).mean > curve_accuracy(c, best, round).mean) best = i;
    return best;
}

/* Within one standard error of the best: no better than a guess which of them is ahead. */
static bool as_good(const curve *c, int strategy, int round)
{
    moments top = curve_accuracy(c, best_of(c, round), round);
    return curve_accuracy(c, strategy, round).mean >= top.mean - top.error;
}

/* ---- curves ---- */

typedef struct frame {
    double low, high;    /* accuracies */
    int64_t first, last; /* labels */
} frame;

static double x_of(const frame *f, int64_t labels)
{
    double share = f->last > f->first ? (double)(labels - f->first) / (double)(f->last - f->first) : 0.5;
    return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static double y_of(const frame *f, double v)
{
    return HEIGHT - BOTTOM - (v - f->low) / (f->high - f->low) * (HEIGHT - TOP - BOTTOM);
}

static frame frame_of(const curve *c)
{
    frame f = { 1, 0, curve_at(c, 0, 0, 0)->labels, curve_at(c, 0, 0, c->rounds)->labels };
    for (int i = 0; i < c->strategy_count; i++)
        for (int r = 0; r <= c->rounds; r++) {
            moments m = curve_accuracy(c, i, r);
            if (m.mean - m.deviation < f.low) f.low = m.mean - m.deviation;
            if (m.mean + m.deviation > f.high) f.high = m.mean + m.deviation;
        }
    if (curve_full(c)->accuracy > f.high) f.high = curve_full(c)->accuracy;
    double margin = (f.high - f.low) * 0.04 + 0.002;
    f.low = f.low > margin ? f.low - margin : 0, f.high += margin;
    return f;
}

/* 1, 2 or 5 times a power of ten: about six of them in the range. */
static double step_of(double range)
{
    double power = pow(10, floor(log10(range / 6)));
    for (int i = 0; i < 3; i++)
        if (range / (power * (double[]){ 1, 2, 5 }[i]) <= 8) return power * (double[]){ 1, 2, 5 }[i];
    return 10 * power;
}

static void put_accuracy_line(FILE *f, const frame *a, double v, int digits)
{
    fprintf(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%s\" y2=\"%s\" stroke=\"#e4e4e4\"/>", LEFT, WIDTH - RIGHT,
            curve_decimal(1, y_of(a, v)).text, curve_decimal(1, y_of(a, v)).text);
    fprintf(f, "<text x=\"%d\" y=\"%s\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
            curve_decimal(1, y_of(a, v) + 4).text, curve_decimal(digits, v).text);
}

static void put_axes(FILE *f, const frame *a)
{
    double up = step_of(a->high - a->low), across = a->last > a->first ? step_of((double)(a->last - a->first)) : 1;
    for (int i = (int)ceil(a->low / up); i * up <= a->high; i++) put_accuracy_line(f, a, i * up, up < 0.01 ? 3 : 2);
    for (int i = (int)ceil((double)a->first / across); i * across <= (double)a->last; i++)
        fprintf(f, "<text x=\"%s\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                curve_decimal(1, x_of(a, (int64_t)(i * across))).text, HEIGHT - BOTTOM + 18, i * across);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">labels</text>\n", (WIDTH + LEFT) / 2, HEIGHT - 6);
}

static void put_curve(FILE *f, const curve *c, const frame *a, int strategy)
{
    const char *colour = colours[strategy % COLOURS];
    fprintf(f, "<polygon fill=\"%s\" fill-opacity=\"0.14\" points=\"", colour);
    for (int r = 0; r <= c->rounds; r++) {
        moments m = curve_accuracy(c, strategy, r);
        fprintf(f, "%s,%s ", curve_decimal(1, x_of(a, curve_at(c, strategy, 0, r)->labels)).text,
                curve_decimal(1, y_of(a, m.mean + m.deviation)).text);
    }
    for (int r = c->rounds; r >= 0; r--) {
        moments m = curve_accuracy(c, strategy, r);
        fprintf(f, "%s,%s ", curve_decimal(1, x_of(a, curve_at(c, strategy, 0, r)->labels)).text,
                curve_decimal(1, y_of(a, m.mean - m.deviation)).text);
    }
    fprintf(f, "\"/>\n<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"",
            colour, strategy >= COLOURS ? "6 3" : "none");
    for (int r = 0; r <= c->rounds; r++)
        fprintf(f, "%s,%s ", curve_decimal(1, x_of(a, curve_at(c, strategy, 0, r)->labels)).text,
                curve_decimal(1, y_of(a, curve_accuracy(c, strategy, r).mean)).text);
    fputs("\"/>\n", f);
}

static void put_curves(FILE *f, const curve *c)
{
    frame a = frame_of(c);
    fprintf(f,
            "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"accuracy over labels\" "
            "font-size=\"12\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_axes(f, &a);
    double full = y_of(&a, curve_full(c)->accuracy);
    if (curve_full(c)->labels)
        fprintf(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%s\" y2=\"%s\" stroke=\"#222\" stroke-dasharray=\"2 4\"/>\n", LEFT,
                WIDTH - RIGHT, curve_decimal(1, full).text, curve_decimal(1, full).text);
    for (int i = 0; i < c->strategy_count; i++) put_curve(f, c, &a, i);
    fputs("</svg>\n<p class=\"legend\">", f);
    for (int i = 0; i < c->strategy_count; i++) {
        fprintf(f, "<span><i style=\"background:%s\"></i>", colours[i % COLOURS]);
        page_text(f, c->strategies[i]);
        fputs("</span>", f);
    }
    fprintf(f, "</p>\n<p>Lines: mean of %d seeds; bands: one standard deviation. ", c->seeds);
    if (curve_full(c)->labels)
        fprintf(f, "Dotted: all %lld labels, %s.", (long long)curve_full(c)->labels,
                curve_decimal(4, curve_full(c)->accuracy).text);
    fputs("</p>\n", f);
}

/* ---- tables ---- */

static void put_names(FILE *f, const curve *c, const char *first)
{
    fprintf(f, "<div class=\"scroll\"><table><thead><tr><th>%s</th>", first);
    for (int i = 0; i < c->strategy_count; i++) {
        fputs("<th>", f);
        page_text(f, c->strategies[i]);
        fputs("</th>", f);
    }
    fputs("</tr></thead><tbody>\n", f);
}

static void put_accuracies(FILE *f, const curve *c, const char *after)
{
    fprintf(f, "<h2>Accuracy%s</h2>\n", after);
    put_names(f, c, "labels");
    for (int r = 0; r <= c->rounds; r++) {
        fprintf(f, "<tr><td>%lld</td>", (long long)curve_at(c, 0, 0, r)->labels);
        for (int i = 0; i < c->strategy_count; i++) {
            moments m = curve_accuracy(c, i, r);
            fprintf(f, "<td%s>%s", r > 0 && as_good(c, i, r) ? " class=\"best\"" : "", curve_decimal(4, m.mean).text);
            if (c->seeds > 1) fprintf(f, " ± %s", curve_decimal(4, m.deviation).text);
            fputs("</td>", f);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table></div>\n<p>Bold: within one standard error of the best of the row.</p>\n", f);
}

static void put_summary(FILE *f, const curve *c, const comparison *list, int count)
{
    int random = curve_random(c);
    fputs(
        "<h2>Over the whole curve</h2>\n<div class=\"scroll\"><table><thead><tr><th>strategy</th><th>mean accuracy</th>"
        "<th>labels saved</th><th>against random</th><th>p (Holm)</th></tr></thead><tbody>\n",
        f);
    for (int i = 0; i < c->strategy_count; i++) {
        double area = 0, ratio, low, high;
        for (int k = 0; k < c->seeds; k++) area += curve_area(c, i, k) / c->seeds;
        fputs("<tr><td>", f);
        page_text(f, c->strategies[i]);
        fprintf(f, "</td><td>%s</td><td>", curve_decimal(4, area).text);
        if (random < 0 || i == random || !compare_savings(c, i, random, &ratio, &low, &high)) fputs("-", f);
        else if (c->seeds > 1)
            fprintf(f, "%s&times; [%s, %s]", curve_decimal(2, ratio).text, curve_decimal(2, low).text,
                    curve_decimal(2, high).text);
        else fprintf(f, "%s&times;", curve_decimal(2, ratio).text);
        fputs("</td>", f);
        const comparison *q = NULL;
        for (int k = 0; k < count; k++)
            if (list[k].a == i) q = &list[k];
        if (q)
            fprintf(f, "<td>%s%s</td><td>%s</td></tr>\n", q->difference < 0 ? "" : "+",
                    curve_decimal(4, q->difference).text, curve_decimal(4, q->adjusted).text);
        else fputs("<td>-</td><td>-</td></tr>\n", f);
    }
    fputs("</tbody></table></div>\n<p>Mean accuracy: the area under the curve over its width. Labels saved: how many "
          "times fewer labels the "
          "strategy needs than random for the accuracy that random ends with, and its 95% interval. p: paired t-tests "
          "over seeds, "
          "corrected for their number (Holm 1979).</p>\n",
          f);
}

static int64_t point_of(const curve *c, int strategy, int seed, int round)
{
    return curve_at(c, strategy, seed, round) - c->points;
}

/* Shares of the classes among the labels at the end, a bar each, and the recall of the last heads. */
static void put_classes(FILE *f, const report *r)
{
    const curve *c = r->curve;
    if (!r->balance || r->classes > 200) return;
    fputs("<h2>Classes at the end: share of the labels, recall</h2>\n", f);
    put_names(f, c, "class");
    for (int j = 0; j < r->classes; j++) {
        fputs("<tr><td>", f);
        page_text(f, r->class_names ? r->class_names[j] : "");
        fputs("</td>", f);
        for (int i = 0; i < c->strategy_count; i++) {
            double share = 0, recall = 0;
            for (int k = 0; k < c->seeds; k++) {
                int64_t p = point_of(c, i, k, c->rounds);
                share += (double)r->balance[p * r->classes + j] / (double)c->points[p].labels / c->seeds;
                if (r->recall) recall += r->recall[p * r->classes + j] / c->seeds;
            }
            fprintf(f, "<td style=\"background:linear-gradient(90deg,#cfe3f2 %s%%,transparent 0)\">%s%%",
                    curve_decimal(1, 100 * share).text, curve_decimal(1, 100 * share).text);
            if (r->recall) fprintf(f, ", %s", curve_decimal(3, recall).text);
            fputs("</td>", f);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table></div>\n", f);
}

static void put_times(FILE *f, const curve *c)
{
    static const char *const stage[] = { "choosing", "training", "judging" };
    fputs("<h2>Seconds of a round</h2>\n", f);
    put_names(f, c, "stage");
    for (int q = 0; q < 3; q++) {
        fprintf(f, "<tr><td>%s</td>", stage[q]);
        for (int i = 0; i < c->strategy_count; i++) {
            double sum = 0;
            for (int k = 0; k < c->seeds; k++)
                for (int r = 1; r <= c->rounds; r++) sum += curve_at(c, i, k, r)->stage[q];
            fprintf(f, "<td>%s</td>", curve_decimal(3, c->rounds ? sum / c->seeds / c->rounds : 0).text);
        }
        fputs("</tr>\n", f);
    }
    fputs("</tbody></table></div>\n", f);
}

/* self: the curve after self-training, or NULL. */
static void put_page(FILE *f, const report *r, const curve *self, const comparison *list, int count)
{
    page_begin(f, r->title);
    fprintf(f, "<p>%lld test rows, %d seeds, %d rounds. sluice %s.</p>\n", (long long)r->curve->test_rows,
            r->curve->seeds, r->curve->rounds, sluice_version());
    put_curves(f, r->curve);
    put_summary(f, r->curve, list, count);
    put_accuracies(f, r->curve, "");
    if (self) put_accuracies(f, self, " after self-training");
    put_classes(f, r);
    put_times(f, r->curve);
    page_end(f, r->command);
}

/* ---- out ---- */

char *report_html(sluice *s, const report *r)
{
    char *text = NULL;
    size_t bytes = 0;
    comparison *list = NULL;
    int count = 0, random = curve_random(r->curve);
    if (random >= 0 && compare_strategies(s, r->curve, random, &list, &count)) return NULL;
    curve self = { 0 };
    bool both = r->curve->self_trained;
    FILE *f = both && curve_after_self_training(s, r->curve, &self) ? NULL : open_memstream(&text, &bytes);
    if (f) put_page(f, r, both ? &self : NULL, list, count);
    mem_free(list), mem_free(self.points);
    if (f) return page_take(s, f, &text);
    sluice_fail(s, SLUICE_E_MEMORY, "out of memory for the report");
    return NULL;
}

static json_t *json_summary(sluice *s, const report *r)
{
    const curve *c = r->curve;
    int random = curve_random(c), count = 0;
    comparison *list = NULL;
    json_t *strategies = json_array();
    for (int i = 0; i < c->strategy_count; i++) {
        double area = 0, ratio, low, high;
        for (int k = 0; k < c->seeds; k++) area += curve_area(c, i, k) / c->seeds;
        moments m = curve_accuracy(c, i, c->rounds);
        json_t *q = json_pack("{s:s, s:f, s:f, s:f}", "name", c->strategies[i], "area", area, "accuracy", m.mean,
                              "deviation", m.deviation);
        if (random >= 0 && i != random && compare_savings(c, i, random, &ratio, &low, &high))
            json_object_set_new(q, "labels_saved",
                                json_pack("{s:f, s:f, s:f}", "ratio", ratio, "low", low, "high", high));
        json_t *areas = json_array();
        for (int k = 0; k < c->seeds; k++) json_array_append_new(areas, json_real(curve_area(c, i, k)));
        json_object_set_new(q, "areas", areas);
        double self = 0;
        for (int k = 0; k < c->seeds; k++) self += curve_at(c, i, k, c->rounds)->self_trained / c->seeds;
        if (c->self_trained) json_object_set_new(q, "self_trained", json_real(self));
        if (json_array_append_new(strategies, q)) return json_decref(strategies), NULL;
    }
    if (compare_strategies(s, c, -1, &list, &count)) return json_decref(strategies), NULL;
    json_t *pairs = compare_json(c, list, count);
    mem_free(list);
    return json_pack("{s:I, s:i, s:i, s:f, s:o, s:o}", "test_rows", (json_int_t)c->test_rows, "seeds", c->seeds,
                     "rounds", c->rounds, "full", curve_full(c)->accuracy, "strategies", strategies, "pairs", pairs);
}

char *report_json(sluice *s, const report *r) { return page_json(s, json_summary(s, r)); }

sluice_status report_classes(sluice *s, const report *r, const char *path)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    TRY(outfile_open(s, path, true, &f));
    TRY(outfile_printf(s, f, "strategy,seed,round,class,labels,recall\n"));
    for (const curve_point *p = r->curve->points; p <= curve_full(r->curve); p++)
        for (int j = 0; j < r->classes && p->labels; j++) {
            int64_t at = (p - r->curve->points) * r->classes + j;
            bool known = r->recall[at] == r->recall[at];
            TRY(outfile_printf(s, f, "%s,%llu,%d,%d,%lld,%s\n", p->strategy, (unsigned long long)p->seed, p->round, j,
                               (long long)r->balance[at], known ? curve_decimal(6, r->recall[at]).text : ""));
        }
out:
    return outfile_end(s, f, st);
}

static void put_tex_text(FILE *f, const char *p)
{
    for (; *p; p++) {
        if (strchr("#$%&_{}", *p)) fputc('\\', f);
        if (*p == '\\') fputs("\\textbackslash{}", f);
        else if (*p == '~' || *p == '^') fprintf(f, "\\%c{}", *p);
        else fputc(*p, f);
    }
}

char *report_tex(sluice *s, const curve *c)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (!f) {
        sluice_fail(s, SLUICE_E_MEMORY, "out of memory for the table");
        return NULL;
    }
    fputs("% bold: within one standard error of the best of its row\n\\begin{tabular}{r", f);
    for (int i = 0; i < c->strategy_count; i++) fputc('l', f);
    fputs("}\n\\hline\nlabels", f);
    for (int i = 0; i < c->strategy_count; i++) fputs(" & ", f), put_tex_text(f, c->strategies[i]);
    fputs(" \\\\\n\\hline\n", f);
    for (int r = 0; r <= c->rounds; r++) {
        fprintf(f, "%lld", (long long)curve_at(c, 0, 0, r)->labels);
        for (int i = 0; i < c->strategy_count; i++) {
            moments m = curve_accuracy(c, i, r);
            bool bold = r > 0 && as_good(c, i, r);
            fprintf(f, " & %s%s%s", bold ? "\\textbf{" : "", curve_decimal(2, 100 * m.mean).text, bold ? "}" : "");
            if (c->seeds > 1) fprintf(f, " $\\pm$ %s", curve_decimal(2, 100 * m.deviation).text);
        }
        fputs(" \\\\\n", f);
    }
    fputs("\\hline\n\\end{tabular}\n", f);
    return page_take(s, f, &text);
}
