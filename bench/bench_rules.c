/* bench_rules.c - every batch rule's 1,000 picks, the candidates in memory: 100,000 of 128 and of 512 features, and for
 * k-center 1,000,000 of 128 (--rows N: all of them N).
 *
 *     unit rows around 500 centres, 10 classes; 1,000 labelled; a reference sample of 65,536
 *     k-center also on directions without any structure (even): where nothing is near anything
 *
 * `limit` is what the rule is documented to cost, at the rates measured in the same run: passes over the candidates at the
 * rate of reading, products and distances at the rate of multiply-adds (of which a distance is two).  A ratio below 1 means
 * that a rule skips what cannot change its picks.  k-center's picks are checked; other rules have tests of their own. */
#include "batch.h"
#include "bench.h"
#include "exact.h"
#include "kmeans.h"

#include <math.h>

enum { K = 1000, LABELLED = 1000, SAMPLE = 65536, CENTRES = 500, CLASSES = 10, COVERED = 8192 };

typedef struct data {
    int64_t n, d;
    float *x, *labelled, *sample, *logits, *weight, *sample_weight;
    sluice_entry *entry, *drawn;
} data;

/* ---- data ---- */

/* Rows around centres, nearer to some than to others, the features' spreads falling off as principal components' do; without
 * centres all directions are alike. */
static float *make_rows(sluice *s, const float *centre, int64_t n, int64_t d, uint64_t seed)
{
    float *x = bench_memory((size_t)(n * d) * sizeof *x);
    bench_fill(x, n * d, seed);
#pragma omp parallel for if (centre)
    for (int64_t i = 0; i < (centre ? n : 0); i++) {
        const float *c = centre + (int64_t)(ex_mix64((uint64_t)i ^ seed << 32) % CENTRES) * d;
        for (int64_t k = 0; k < d; k++) x[i * d + k] = c[k] + 0.7f * x[i * d + k] / (1 + 0.1f * (float)k);
    }
    sluice_view v = sluice_rows(x, SLUICE_F32, n, d);
    BENCH_OK(s, sluice_op_convert(s, &(sluice_op_convert_args){ .x = v, .out = v, .normalise = 1 }));
    return x;
}

static sluice_entry *make_entries(int64_t n, uint64_t first)
{
    sluice_entry *e = bench_memory((size_t)n * sizeof *e);
    for (int64_t i = 0; i < n; i++) e[i] = (sluice_entry){ .row = i, .id = first + (uint64_t)i, .hash = (uint64_t)i };
    return e;
}

static float *make_weights(int64_t n, uint64_t seed)
{
    float *w = bench_memory((size_t)n * sizeof *w);
    bench_fill(w, n, seed);
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * w[i] / 4;
    return w;
}

static data make_data(sluice *s, int64_t n, int64_t d, bool even)
{
    float *centre = bench_memory((size_t)(CENTRES * d) * sizeof *centre);
    bench_fill(centre, CENTRES * d, 1);
    for (int64_t i = 0; i < CENTRES * d; i++) centre[i] /= 1 + 0.1f * (float)(i % d);
    data q = { .n = n,
               .d = d,
               .x = make_rows(s, even ? NULL : centre, n, d, 2),
               .labelled = make_rows(s, even ? NULL : centre, LABELLED, d, 3),
               .sample = make_rows(s, even ? NULL : centre, SAMPLE, d, 4),
               .logits = bench_memory((size_t)(n * CLASSES) * sizeof(float)),
               .weight = make_weights(n, 6),
               .sample_weight = make_weights(SAMPLE, 7),
               .entry = make_entries(n, 0),
               .drawn = make_entries(SAMPLE, 0) };
    bench_fill(q.logits, n * CLASSES, 5);
    free(centre);
    return q;
}

static void release(data *q)
{
    free(q->x), free(q->labelled), free(q->sample), free(q->logits), free(q->weight), free(q->sample_weight);
    free(q->entry), free(q->drawn);
}

/* ---- cases ---- */

typedef struct run_case {
    const char *name;
    batch_rule *rule;
    double value[2];                      /* parameters */
    bool labels, weights, sample_weights; /* what the strategy gives its rule */
    double passes;                        /* over the candidates */
    double products;                      /* per candidate and feature */
    double others;                        /* per sample row and feature */
} run_case;

static const double iterations = KMEANS_ITERATIONS + 1;

/* The distance of row x to the nearest of n rows of `list` (NULL: 0 .. n-1) of y. */
static float nearest_of(const float *x, const float *y, const int64_t *list, int64_t n, int64_t d)
{
    float near = ex_inf();
    for (int64_t j = 0; j < n; j++) {
        const float *row = y + (list ? list[j] : j) * d;
        float sum = 0;
        for (int64_t k = 0; k < d; k++) sum = ex_fma(x[k] - row[k], x[k] - row[k], sum);
        near = sum < near ? sum : near;
    }
    return near;
}

/* No row is farther from all labelled rows and picks than the last pick was. */
static void check_spread(const data *q, const batch *b)
{
    for (int64_t j = 1; j < b->picked; j++) bench_check(b->score[j] <= b->score[j - 1], "k-center's radius grew");
    for (int64_t i = 0; i < q->n; i += q->n / 97 + 1) {
        const float *x = q->x + i * q->d;
        float labelled = nearest_of(x, q->labelled, NULL, b->m, q->d);
        float picked = nearest_of(x, q->x, b->pick, b->picked, q->d);
        bench_check(ex_sqrt(labelled < picked ? labelled : picked) <= b->score[b->picked - 1],
                    "a row is farther than the last pick");
    }
}

static void one(sluice *s, const bench_options *o, const char *set, const data *q, const run_case *c)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%s", c->name, set);
    if (o->only && !strstr(name, o->only)) return;
    batch b = { .k = K < q->n ? K : q->n,
                .value = c->value,
                .classes = CLASSES,
                .n = q->n,
                .d = q->d,
                .x = q->x,
                .entry = q->entry,
                .weight = c->weights ? q->weight : NULL,
                .logits = q->logits,
                .m = c->labels ? LABELLED : 0,
                .labelled = q->labelled,
                .labelled_entry = q->drawn,
                .r = SAMPLE,
                .sample = q->sample,
                .drawn = q->drawn,
                .sample_weight = c->sample_weights ? q->sample_weight : NULL };
    double bytes = (double)(q->n * q->d) * sizeof(float), read = bench_read_rate(s, q->x, (size_t)bytes);
    double fma = bench_fma_rate(s), picks = K, began = clock_seconds();
    BENCH_OK(s, batch_begin(s, &b));
    BENCH_OK(s, c->rule(s, &b));
    double seconds = clock_seconds() - began;
    double flops = 2.0 * (double)q->d * ((double)q->n * c->products + SAMPLE * c->others);
    double limit = picks * c->passes * bytes / read + flops / fma;
    uint64_t sum = 0;
    for (int64_t j = 0; j < b.picked; j++) sum = ex_mix64(sum ^ (uint64_t)b.pick[j]);
    bench_check(b.picked == b.k, "the batch is not full");
    if (c->rule == rule_spread) check_spread(q, &b);
    printf("%-28s %9lld %5lld %9.2f %9.2f %9.2f %7.2f  %016llx\n", name, (long long)q->n, (long long)q->d, seconds,
           read / 1e9, fma / 1e9, seconds / limit, (unsigned long long)sum);
    fflush(stdout);
    batch_release(&b);
}

int main(int argc, char **argv)
{
    /* A product with all cells, KMEANS_ITERATIONS + 1 times, and a pass per cell to begin. */
    const run_case spread = { "kcenter", rule_spread, { 0 }, false, false, false, 1, 0, 0 };
    const run_case cases[] = {
        spread,
        { "kmeans", rule_cells, { 0 }, false, false, false, 1, K * iterations, 0 },
        { "margin-kmeans", rule_cells, { 0 }, false, true, false, 1, K * iterations, 0 },
        { "cluster-based", rule_trio, { 0 }, false, false, false, 1.0 / 3, K / 3.0 * iterations, 0 },
        { "typiclust", rule_typical, { 0 }, true, false, false, 0.5, 500 * iterations, 0 },
        { "cluster-margin",
          rule_round_robin,
          { 0 },
          false,
          false,
          false,
          SAMPLE / 40.0 / K * SAMPLE / 1e5,
          SAMPLE / 40.0,
          SAMPLE / 40.0 * iterations },
        { "badge", rule_badge, { 0 }, false, false, false, 1, 0, 0 },
        { "maxherding", rule_herd, { 0 }, true, false, false, 0, 2.0 * COVERED, 0 },
        { "uncertainty-herding", rule_herd, { 0 }, true, false, true, 0, 2.0 * COVERED, 0 },
        { "probcover", rule_cover, { 0 }, true, false, false, 0, 2.0 * COVERED, 0 },
        { "gist", rule_gist, { 1 }, false, true, false, 0, 40 * K, 0 },
        { "representative", rule_adaptive, { 0 }, true, false, false, 1, 0, 0 },
    };
    bench_options o = bench_begin(argc, argv, "every batch rule's 1,000 picks; cases RULE-SIZE, as gist-100k-512");
    sluice *s = bench_open(&o);
    printf("# sluice %s, %s, %d threads\n", sluice_version(), s->backend->name, s->threads);
    printf("%-28s %9s %5s %9s %9s %9s %7s  %s\n", "case", "rows", "width", "seconds", "read GB/s", "fma GF/s", "ratio",
           "picks");
    const struct {
        const char *name;
        int64_t n, d;
        bool even, spread;
    } sets[] = { { "1m-128", 1000000, 128, false, true },
                 { "even-1m-128", 1000000, 128, true, true },
                 { "100k-128", 100000, 128, false, false },
                 { "100k-512", 100000, 512, false, false } };
    for (int i = 0; i < 4; i++) {
        data q = make_data(s, o.rows ? o.rows : sets[i].n, sets[i].d, sets[i].even);
        if (sets[i].spread) one(s, &o, sets[i].name, &q, &spread);
        else
            for (size_t j = 0; j < sizeof cases / sizeof *cases; j++) one(s, &o, sets[i].name, &q, &cases[j]);
        release(&q);
    }
    sluice_close(s);
    return 0;
}
