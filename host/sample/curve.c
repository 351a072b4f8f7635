/* curve.c - see curve.h. */
#include "curve.h"
#include "page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

curve_point *curve_at(const curve *c, int strategy, int seed, int round)
{
    return &c->points[((int64_t)strategy * c->seeds + seed) * (c->rounds + 1) + round];
}

curve_point *curve_full(const curve *c) { return curve_at(c, c->strategy_count, 0, 0); }

int curve_random(const curve *c)
{
    for (int i = 0; i < c->strategy_count; i++)
        if (strcmp(c->strategies[i], "random") == 0) return i;
    return -1;
}

moments curve_accuracy(const curve *c, int strategy, int round)
{
    moments m = { 0 };
    double squares = 0;
    for (int i = 0; i < c->seeds; i++) m.mean += curve_at(c, strategy, i, round)->accuracy;
    m.mean /= c->seeds;
    for (int i = 0; i < c->seeds; i++) squares += pow(curve_at(c, strategy, i, round)->accuracy - m.mean, 2);
    if (c->seeds > 1) m.deviation = sqrt(squares / (c->seeds - 1));
    m.error = m.deviation / sqrt(c->seeds);
    return m;
}

decimal curve_decimal(int digits, double value)
{
    decimal d;
    snprintf(d.text, sizeof d.text, "%.*f", digits, value);
    for (char *p = d.text; *p; p++)
        if (*p == ',') *p = '.';
    return d;
}

sluice_status curve_after_self_training(sluice *s, const curve *c, curve *out)
{
    sluice_status st = SLUICE_OK;
    int64_t points = curve_full(c) - c->points + 1;
    *out = *c;
    out->self_trained = false;
    TRY_NEW(out->points, RAW(s, points, curve_point));
    memcpy(out->points, c->points, (size_t)points * sizeof *c->points);
    for (int64_t i = 0; i < points; i++) out->points[i].accuracy = c->points[i].self_trained;
out:
    return st;
}

sluice_status curve_write(sluice *s, const curve *c, const char *path)
{
    sluice_status st = SLUICE_OK;
    outfile *f = NULL;
    TRY(outfile_open(s, path, true, &f));
    TRY(outfile_printf(s, f, "strategy,seed,round,labels,accuracy,nll,macro_f1,classes_seen,seconds%s\n",
                       c->self_trained ? ",self_trained" : ""));
    for (const curve_point *p = c->points; p <= curve_full(c); p++) {
        if (!p->labels) continue;
        TRY(outfile_printf(s, f, "%s,%llu,%d,%lld,%s,%s,%s,%d,%s%s%s\n", p->strategy, (unsigned long long)p->seed,
                           p->round, (long long)p->labels, curve_decimal(6, p->accuracy).text,
                           curve_decimal(6, p->nll).text, curve_decimal(6, p->macro_f1).text, p->classes_seen,
                           curve_decimal(3, p->seconds).text, c->self_trained ? "," : "",
                           c->self_trained ? curve_decimal(6, p->self_trained).text : ""));
    }
out:
    return outfile_end(s, f, st);
}

void curve_needs(const int64_t *labels, const double *accuracy, int n, double wanted, char out[32])
{
    int r = 0;
    while (r < n && accuracy[r] < wanted) r++;
    if (r == n) snprintf(out, 32, ">%lld", (long long)labels[n - 1]);
    else if (r == 0) snprintf(out, 32, accuracy[0] > wanted ? "<%lld" : "%lld", (long long)labels[0]);
    else {
        double share = (wanted - accuracy[r - 1]) / (accuracy[r] - accuracy[r - 1]);
        snprintf(out, 32, "%.0f", (double)labels[r - 1] + share * (double)(labels[r] - labels[r - 1]));
    }
}

typedef struct cell {
    char text[64];
} cell;

/* Columns on a terminal: bytes that do not continue a character. */
static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cells(FILE *f, const cell *cells, const int *width, int count)
{
    for (int j = 0; j < count; j++) {
        fprintf(f, "%s%s", j ? " | " : "| ", cells[j].text);
        for (int pad = columns(cells[j].text); pad < width[j]; pad++) fputc(' ', f);
    }
    fputs(" |\n", f);
}

/* The row of a label count; random [rounds + 1] is random's mean curve or NULL. */
static void fill_row(const curve *c, int round, const int64_t *labels, const double *random, int random_at, cell *out)
{
    snprintf(out[0].text, sizeof out[0].text, "%lld", (long long)labels[round]);
    for (int i = 0; i < c->strategy_count; i++) {
        char needs[32];
        moments m = curve_accuracy(c, i, round);
        int n = snprintf(out[i + 1].text, sizeof out->text, "%s", curve_decimal(4, m.mean).text);
        if (c->seeds > 1)
            n += snprintf(out[i + 1].text + n, sizeof out->text - (size_t)n, " ± %s",
                          curve_decimal(4, m.deviation).text);
        if (!random || i == random_at || round == 0) continue;
        curve_needs(labels, random, c->rounds + 1, m.mean, needs);
        snprintf(out[i + 1].text + n, sizeof out->text - (size_t)n, " (%s)", needs);
    }
}

static void fill_cells(const curve *c, cell *cells, int64_t *labels, double *random)
{
    int columns_count = c->strategy_count + 1, at = curve_random(c);
    snprintf(cells[0].text, sizeof cells[0].text, "labels");
    for (int i = 0; i < c->strategy_count; i++)
        snprintf(cells[i + 1].text, sizeof cells->text, "%.60s", c->strategies[i]);
    for (int r = 0; r <= c->rounds; r++) {
        labels[r] = curve_at(c, 0, 0, r)->labels;
        random[r] = at >= 0 ? curve_accuracy(c, at, r).mean : 0;
    }
    for (int r = 0; r <= c->rounds; r++)
        fill_row(c, r, labels, at >= 0 ? random : NULL, at, cells + (r + 1) * columns_count);
}

static void print_table(FILE *f, const curve *c, const char *after, cell *cells, int *width)
{
    int n = c->strategy_count + 1, rows = c->rounds + 2;
    const curve_point *full = curve_full(c);
    cell *last = cells + (int64_t)rows * n;
    snprintf(last[0].text, sizeof last->text, "full: %lld", (long long)full->labels);
    snprintf(last[1].text, sizeof last->text, "%s", curve_decimal(4, full->accuracy).text);
    for (int j = 0; j < n; j++)
        for (int r = 0; r <= rows; r++)
            if (columns(cells[(int64_t)r * n + j].text) > width[j]) width[j] = columns(cells[(int64_t)r * n + j].text);
    fprintf(f, "Accuracy%s on %lld test rows", after, (long long)c->test_rows);
    if (c->seeds > 1) fprintf(f, ", mean ± standard deviation of %d seeds", c->seeds);
    if (curve_random(c) >= 0 && c->strategy_count > 1)
        fputs("; in brackets the labels that random needs for the same", f);
    fputs(".\n\n", f);
    print_cells(f, cells, width, n);
    for (int j = 0; j < n; j++) {
        fputc('|', f);
        for (int k = 0; k < width[j] + 2; k++) fputc('-', f);
    }
    fputs("|\n", f);
    for (int r = 1; r <= rows; r++) print_cells(f, cells + (int64_t)r * n, width, n);
}

static sluice_status put_table(sluice *s, FILE *f, const curve *c, const char *after)
{
    sluice_status st = SLUICE_OK;
    int n = c->strategy_count + 1;
    cell *cells;
    int *width = NULL;
    int64_t *labels = NULL;
    double *random = NULL;
    TRY_NEW(cells, NEW(s, (int64_t)n * (c->rounds + 3), cell));
    TRY_NEW(width, NEW(s, n, int));
    TRY_NEW(labels, NEW(s, c->rounds + 1, int64_t));
    TRY_NEW(random, NEW(s, c->rounds + 1, double));
    fill_cells(c, cells, labels, random);
    print_table(f, c, after, cells, width);
out:
    mem_free(cells);
    mem_free(width);
    mem_free(labels);
    mem_free(random);
    return st;
}

static sluice_status put_tables(sluice *s, FILE *f, const curve *c)
{
    sluice_status st = put_table(s, f, c, "");
    curve self;
    if (st || !c->self_trained) return st;
    fputc('\n', f);
    st = curve_after_self_training(s, c, &self);
    if (!st) st = put_table(s, f, &self, " after self-training");
    mem_free(self.points);
    return st;
}

char *curve_table(sluice *s, const curve *c)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (f && put_tables(s, f, c) == SLUICE_OK) return page_take(s, f, &text);
    if (f) fclose(f), free(text);
    else sluice_fail(s, SLUICE_E_MEMORY, "out of memory for the table");
    return NULL;
}
