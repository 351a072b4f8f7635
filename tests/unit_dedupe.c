/* unit_dedupe.c - picks that stay apart: scores by their definition, walked over the whole order; every strategy with a
 * rule by what is promised.  Rows with copies, multiples, zeros; groups, balance, mix; tiers and threads. */
#include "sampling.h"
#include "strategies.h"

enum { N = 900, D = 6, C = 4, M = 15, GROUPS = 40 };

static float x[N * D];
static double unit[N][D];
static int32_t group[N], target[N];

/* Copies of the first rows, their doubles, some rows of zeros. */
static void set_up(void)
{
    fill_eighths(x, N * D, 7);
    for (int i = 100; i < 160; i++) memcpy(x + i * D, x + (i - 100) * D, D * sizeof *x);
    for (int i = 200; i < 260; i++)
        for (int k = 0; k < D; k++) x[i * D + k] = 2 * x[(i - 200) * D + k];
    memset(x + 300 * D, 0, 5 * D * sizeof *x);
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < D; k++) sum += (double)x[i * D + k] * (double)x[i * D + k];
        for (int k = 0; k < D; k++) unit[i][k] = sum > 0 ? (double)x[i * D + k] / sqrt(sum) : 0;
        group[i] = i % GROUPS ? i % GROUPS : -1;
        target[i] = i % 61 == 0 && i / 61 < M ? i / 61 % C : -1;
    }
}

static double apart(int64_t i, int64_t j)
{
    double sum = 0;
    for (int k = 0; k < D; k++) sum += (unit[i][k] - unit[j][k]) * (unit[i][k] - unit[j][k]);
    return sqrt(sum);
}

/* A radius that no pair of rows comes near to: rounding decides nothing. */
static double clear_radius(double radius)
{
    for (int again = 1; again;) {
        again = 0;
        for (int i = 0; i < N && !again; i++)
            for (int j = 0; j < i && !again; j++) again = fabs(apart(i, j) - radius) < 1e-6;
        if (again) radius += 3e-6;
    }
    return radius;
}

static int near_label(int64_t row, double radius)
{
    for (int j = 0; j < N; j++)
        if (target[j] >= 0 && apart(row, j) < radius) return 1;
    return 0;
}

static sluice_picks *run_as(int tier, int threads, sluice_select_args a)
{
    sluice *s = tier_open(tier, threads);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    sluice_head *head = test_head(s, D, C, 1, 5);
    sluice_labels *l = NULL;
    CHECK_OK(s, sluice_labels_from_array(s, pool, target, C, &l));
    a.head = head, a.labels = l, a.seed = 3;
    sluice_picks *p = pick(s, pool, a);
    sluice_labels_free(l), sluice_head_free(head), sluice_pool_free(pool), sluice_close(s);
    return p;
}

typedef struct walk {
    int64_t row[N], count, of_group[GROUPS], of_class[C];
    double radius;
    int64_t per_group;
} walk;

static int fits(const walk *w, const sluice_pick *p)
{
    if (w->per_group && group[p->row] >= 0 && w->of_group[group[p->row]] >= w->per_group) return 0;
    if (near_label(p->row, w->radius)) return 0;
    for (int64_t j = 0; j < w->count; j++)
        if (w->row[j] == p->row || apart(w->row[j], p->row) < w->radius) return 0;
    return 1;
}

static void walk_take(walk *w, const sluice_pick *p)
{
    if (group[p->row] >= 0) w->of_group[group[p->row]]++;
    w->of_class[p->prediction]++;
    w->row[w->count++] = p->row;
}

/* The first row of the order that fits; with balance, of the classes with the fewest picks that have one. */
static int take_next(walk *w, const sluice_picks *order, int balance)
{
    const sluice_pick *q = sluice_picks_get(order, 0), *best = NULL;
    for (int64_t i = 0; i < sluice_picks_count(order, 0); i++)
        if (fits(w, &q[i]) && (!best || (balance && w->of_class[q[i].prediction] < w->of_class[best->prediction])))
            best = &q[i];
    if (best) walk_take(w, best);
    return best != NULL;
}

static void compare(const walk *w, const sluice_picks *got, const char *where)
{
    const sluice_pick *q = sluice_picks_get(got, 0);
    CHECK(sluice_picks_count(got, 0) == w->count, "%s: %d picks, by definition %d", where,
          (int)sluice_picks_count(got, 0), (int)w->count);
    for (int64_t i = 0; i < w->count && i < sluice_picks_count(got, 0); i++)
        CHECK(q[i].row == w->row[i], "%s: pick %d is row %d, by definition %d", where, (int)i, (int)q[i].row,
              (int)w->row[i]);
}

static void score(const char *name, int64_t k, double near, int64_t per_group, int balance)
{
    if (!case_is("%s k=%d radius=%g per-group=%d balance=%d", name, (int)k, near, (int)per_group, balance)) return;
    walk w = { .radius = clear_radius(near), .per_group = per_group };
    sluice_picks *order = run_as(0, 1, (sluice_select_args){ .strategies = name, .k = N });
    while (w.count < k && take_next(&w, order, balance)) continue;
    for (int t = 0; t < tier_count(); t++) {
        sluice_picks *got = run_as(t, 1 + t,
                                   (sluice_select_args){ .strategies = name,
                                                         .k = k,
                                                         .dedupe = w.radius,
                                                         .group = per_group ? group : NULL,
                                                         .per_group = per_group,
                                                         .balance = balance });
        compare(&w, got, tier_name(t));
        const sluice_pick *q = sluice_picks_get(got, 0), *all = sluice_picks_get(order, 0);
        for (int64_t i = 0; i < sluice_picks_count(got, 0); i++)
            for (int64_t j = 0; j < sluice_picks_count(order, 0); j++)
                if (all[j].row == q[i].row)
                    CHECK(float_bits(all[j].score) == float_bits(q[i].score), "row %d: another score", (int)q[i].row);
        sluice_picks_free(got);
    }
    sluice_picks_free(order);
}

/* Parts in turn, each apart from what the parts before took; the first fills up. */
static void mixed(int64_t k, double near, int64_t per_group)
{
    if (!case_is("mix k=%d radius=%g per-group=%d", (int)k, near, (int)per_group)) return;
    static const char *const part[] = { "margin", "random", "margin" };
    const int64_t quota[] = { k - k / 2, k / 2, k };
    walk w = { .radius = clear_radius(near), .per_group = per_group };
    for (int i = 0; i < 3; i++) {
        sluice_picks *order = run_as(0, 1, (sluice_select_args){ .strategies = part[i], .k = N });
        for (int64_t j = 0; j < quota[i] && w.count < k && take_next(&w, order, 0);) j++;
        sluice_picks_free(order);
    }
    sluice_picks *got = run_as(0, 2,
                               (sluice_select_args){ .mix = "margin:50.1,random:49.9",
                                                     .k = k,
                                                     .dedupe = w.radius,
                                                     .group = per_group ? group : NULL,
                                                     .per_group = per_group });
    int64_t of[3] = { 0 };
    const sluice_pick *q = sluice_picks_get(got, 0);
    CHECK(sluice_picks_count(got, 0) == w.count, "%d picks, by definition %d", (int)sluice_picks_count(got, 0),
          (int)w.count);
    for (int64_t i = 0; i < sluice_picks_count(got, 0); i++) {
        CHECK(q[i].row == w.row[i], "pick %d is row %d, by definition %d", (int)i, (int)q[i].row, (int)w.row[i]);
        of[q[i].strategy[0] == 'r']++;
    }
    CHECK(of[0] + of[1] == w.count, "picks of %d + %d", (int)of[0], (int)of[1]);
    sluice_picks_free(got);
}

static void check_apart(const sluice_picks *p, double radius, int64_t k)
{
    for (int l = 0; l < sluice_picks_lists(p); l++) {
        const sluice_pick *q = sluice_picks_get(p, l);
        const char *name = sluice_picks_strategy(p, l);
        CHECK(sluice_picks_count(p, l) == k, "%s: %d picks of %d", name, (int)sluice_picks_count(p, l), (int)k);
        for (int64_t i = 0; i < sluice_picks_count(p, l); i++) {
            CHECK(!near_label(q[i].row, radius), "%s: row %d is near a labelled row", name, (int)q[i].row);
            for (int64_t j = 0; j < i; j++)
                CHECK(apart(q[i].row, q[j].row) >= radius, "%s: rows %d and %d are %g apart", name, (int)q[i].row,
                      (int)q[j].row, apart(q[i].row, q[j].row));
        }
    }
}

/* Every strategy that needs nothing but a head and labels. */
static void rules(void)
{
    if (!case_is("strategies with a rule")) return;
    char names[2048] = "";
    sluice *s = tier_open(0, 1);
    for (int i = 0; sluice_strategy_at(i); i++) {
        strategy st;
        const char *name = sluice_strategy_at(i)->name;
        if (!strstr(name, "SCORE") && strategy_parse(s, name, strlen(name), &st) == SLUICE_OK && st.kind->rule.run)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? "," : "", name);
    }
    sluice_close(s);
    sluice_select_args a = { .strategies = names, .k = 25, .dedupe = clear_radius(0.3) };
    sluice_picks *want = run_as(0, 1, a);
    check_apart(want, a.dedupe, a.k);
    for (int t = 0; t < tier_count(); t++) {
        sluice_picks *got = run_as(t, 2, a);
        CHECK(same_picks(want, got), "%s", tier_name(t));
        sluice_picks_free(got);
    }
    sluice_picks_free(want);
}

/* Equal rows once, whatever the strategy: any radius will do; without one they come twice. */
static void equal_rows(void)
{
    if (!case_is("equal rows")) return;
    sluice_picks *p = run_as(0, 1, (sluice_select_args){ .strategies = "random", .k = N, .dedupe = 1e-6 });
    walk w = { .radius = 1e-6 };
    sluice_picks *order = run_as(0, 1, (sluice_select_args){ .strategies = "random", .k = N });
    while (take_next(&w, order, 0)) continue;
    CHECK(w.count < N - 110 && sluice_picks_count(order, 0) == N - M, "%d distinct rows of %d", (int)w.count,
          (int)sluice_picks_count(order, 0));
    compare(&w, p, "random");
    sluice_picks_free(p), sluice_picks_free(order);
}

static void refusals(void)
{
    if (!case_is("refusals")) return;
    sluice *s = tier_open(0, 1);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    static const double bad[] = { -1, 1e-7, 2.5, INFINITY, NAN };
    for (int i = 0; i < 5; i++)
        expect_fail(s, pool, (sluice_select_args){ .strategies = "random", .k = 5, .dedupe = bad[i] }, SLUICE_E_USAGE,
                    "dedupe|1e-6 to 2");
    sluice_pool_free(pool), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    set_up();
    score("margin", 60, 0.4, 0, 0);
    score("margin", 300, 0.8, 0, 0); /* fewer rows than that are so far apart */
    score("random", 50, 0.5, 1, 0);
    score("entropy", 40, 0.4, 0, 1);
    score("entropy", 200, 0.7, 2, 1);
    score("power-margin", 1, 1.2, 0, 0);
    mixed(40, 0.5, 0);
    mixed(300, 0.7, 0);
    mixed(30, 0.3, 1);
    rules();
    equal_rows();
    refusals();
    return test_end();
}
