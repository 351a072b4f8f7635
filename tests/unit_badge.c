/* unit_badge.c - BADGE against its definition: whole gradients in double, all pairs, and the same Gumbel draws.  Ties,
 * duplicates (exactly 0), near duplicates, zero vectors, sure rows, fewer distinct rows than picks, k = n, one class. */
#include "philox.h"
#include "rule_case.h"

enum { MOST_CLASSES = 8 };
static const double underflow = 1e-18; /* its square has few bits in a float */

static void reference_q(const float *z, int c, double *q)
{
    int top = 0;
    double rest = 0;
    for (int j = 1; j < c; j++) top = z[j] > z[top] ? j : top;
    for (int j = 0; j < c; j++) rest += j == top ? 0 : exp((double)z[j] - (double)z[top]);
    for (int j = 0; j < c; j++) q[j] = exp((double)z[j] - (double)z[top]) / (1 + rest);
    q[top] = -rest / (1 + rest); /* p - 1 */
    for (int j = 0; j < c; j++)
        if (!isfinite(z[j])) memset(q, 0, (size_t)c * sizeof *q);
}

/* |g_i - g_j|^2; j = -1: |g_i|^2. */
static double gradient_apart(const batch *b, int64_t i, int64_t j)
{
    double p[MOST_CLASSES], q[MOST_CLASSES] = { 0 }, sum = 0;
    reference_q(b->logits + i * b->classes, b->classes, p);
    if (j >= 0) reference_q(b->logits + j * b->classes, b->classes, q);
    for (int c = 0; c < b->classes; c++)
        for (int64_t k = 0; k <= b->d; k++) {
            double x = k < b->d ? (double)b->x[i * b->d + k] : 1,
                   y = j < 0 || k == b->d ? 1 : (double)b->x[j * b->d + k];
            sum += (p[c] * x - q[c] * y) * (p[c] * x - q[c] * y);
        }
    return sum;
}

static double draw(const batch *b, int64_t i, int64_t turn)
{
    uint32_t word[4];
    ex_random4(b->seed, EX_BADGE ^ (uint32_t)b->round, b->entry[i].id, (uint32_t)turn, word);
    return (double)ex_gumbel((uint64_t)word[1] << 32 | word[0]);
}

/* Each pick's key is the largest, but for rounding; where no row has a chance, the first row is picked. */
static void check_picks(const batch *b, const char *where)
{
    double *least = malloc((size_t)b->n * sizeof *least);
    for (int64_t i = 0; i < b->n; i++) least[i] = gradient_apart(b, i, -1);
    for (int64_t j = 0; j < b->picked; j++) {
        int64_t got = b->pick[j];
        double best = -INFINITY, own = -INFINITY, size = gradient_apart(b, got, -1);
        CHECK_NEAR((double)b->score[j], sqrt(least[got]), 1e-5 * (sqrt(least[got]) + sqrt(size)) + underflow,
                   "%s: pick %d", where, (int)j);
        if (least[got] == 0) CHECK(b->score[j] == 0, "%s: pick %d has score %g", where, (int)j, (double)b->score[j]);
        for (int64_t i = 0; i < b->n; i++) {
            if (!may_pick(b, i, j) || !(least[i] > 1e-12 * size + 1e-40)) continue;
            double key = log(least[i]) + (j ? draw(b, i, j) : 0);
            own = i == got ? key : own;
            best = key > best ? key : best;
            if (least[got] == 0) CHECK(0, "%s: pick %d has no chance, row %d has", where, (int)j, (int)i);
        }
        CHECK(isinf(own) || own >= best - 1e-4, "%s: pick %d has key %g, the largest is %g", where, (int)j, own, best);
        for (int64_t i = 0; i < got && least[got] == 0; i++)
            CHECK(!may_pick(b, i, j) || least[i] > 0, "%s: pick %d passes over row %d", where, (int)j, (int)i);
        for (int64_t i = 0; i < b->n; i++) {
            double e = gradient_apart(b, i, got);
            least[i] = j == 0 || e < least[i] ? e : least[i];
        }
    }
    free(least);
}

static void one(const char *name, const float *x, const float *z, int64_t n, int64_t d, int c, int64_t k,
                const pick_rules *limits, int64_t expected)
{
    if (!case_is("%s n=%d d=%d c=%d k=%d", name, (int)n, (int)d, c, (int)k)) return;
    batch b = { .k = k, .seed = 7, .classes = c, .limits = limits, .n = n, .d = d, .x = x, .logits = z, .round = 9 };
    run_rule(rule_badge, b, expected, check_picks);
}

/* Two rows 1e-4 apart among large ones: D of the second, by products in float, would be noise. */
static void near_duplicates(float *x, float *z, int n, int d, int c)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < d; k++) x[i * d + k] = 30 * x[(i & ~1) * d + k] + (i & 1 ? 1e-4f * (float)(k + 1) : 0);
    for (int i = 1; i < n; i += 2) memcpy(z + i * c, z + (i - 1) * c, (size_t)c * sizeof *z);
}

static void chances(void)
{
    enum { DRAWS = 4000 };
    if (!case_is("draws fall as D^2")) return;
    static const float x[] = { 0, 1, 2, 3 }, z[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    int64_t hits[4] = { 0 };
    sluice *s = tier_open(0, 1);
    sluice_entry *entry = numbered(4, 0);
    for (int i = 0; i < DRAWS; i++) {
        batch b = { .k = 2, .seed = (uint64_t)i, .classes = 2, .n = 4, .d = 1, .x = x, .logits = z, .entry = entry };
        CHECK_OK(s, batch_begin(s, &b));
        CHECK_OK(s, rule_badge(s, &b));
        CHECK(b.pick[0] == 3, "first pick %d", (int)b.pick[0]);
        hits[b.pick[1]]++;
        batch_release(&b);
    }
    for (int i = 0; i < 3; i++) {
        double p = (double)((3 - i) * (3 - i)) / 14;
        CHECK_NEAR((double)hits[i] / DRAWS, p, 5 * sqrt(p * (1 - p) / DRAWS), "row %d", i);
    }
    free(entry), sluice_close(s);
}

int main(int argc, char **argv)
{
    enum { N = 120, D = 5, C = 4 };
    static float x[N * D], z[N * C];
    int32_t group[N];
    test_begin(argc, argv);
    fill_normal(x, N * D, 1), fill_normal(z, N * C, 2);
    one("normals", x, z, N, D, C, 30, NULL, 30);
    one("k = n", x, z, N, D, C, N, NULL, N);
    for (int i = 0; i < N; i++) group[i] = i % 5 ? i % 5 : -1;
    pick_rules limits = { .group = group, .group_count = 5, .per_group = 2 };
    one("two of a group", x, z, N, D, C, N, &limits, N / 5 + 8);
    one("one class: no gradient", x, z, 40, D, 1, 10, NULL, 10);
    for (int i = 0; i < N * C; i++) z[i] *= 40;
    one("sure rows", x, z, N, D, C, N, NULL, N);
    z[3 * C] = NAN, z[5 * C + 1] = INFINITY;
    one("logits that are not finite", x, z, 30, D, C, 30, NULL, 30);
    fill_normal(z, N * C, 2);
    near_duplicates(x, z, N, D, C);
    one("near duplicates", x, z, N, D, C, N, NULL, N);
    fill_normal(x, N * D, 3);
    for (int i = 0; i < N; i++)
        memcpy(x + i * D, x + i % 4 * D, D * sizeof *x), memcpy(z + i * C, z + i % 4 * C, C * 4);
    one("fewer distinct rows than picks", x, z, N, D, C, 30, NULL, 30);
    memset(x, 0, sizeof x);
    one("zero vectors, the bias alone", x, z, N, D, C, 20, NULL, 20);
    memset(z, 0, sizeof z);
    one("all the same", x, z, 40, D, C, 40, NULL, 40);
    one("one candidate", x, z, 1, D, C, 1, NULL, 1);
    one("no picks", x, z, N, D, C, 0, NULL, 0);
    chances();
    return test_end();
}
