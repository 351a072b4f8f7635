/* unit_compare.c - areas, Student's t against its published table, Holm's correction by hand, a strategy that saves labels. */
#include "compare.h"
#include "harness.h"

static void student(void)
{
    if (!case_is("Student's t")) return;
    /* two-sided 5% and 1% points of the usual tables */
    static const double table[][3] = { { 1, 12.7062, 63.6567 }, { 2, 4.3027, 9.9248 },  { 4, 2.7764, 4.6041 },
                                       { 9, 2.2622, 3.2498 },   { 30, 2.0423, 2.7500 }, { 1000, 1.9623, 2.5808 } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_NEAR(student_two_sided(table[i][1], table[i][0]), 0.05, 5e-6, "df %g", table[i][0]);
        CHECK_NEAR(student_two_sided(-table[i][2], table[i][0]), 0.01, 5e-6, "df %g", table[i][0]);
    }
    CHECK_NEAR(student_two_sided(0, 5), 1, 1e-12, "t = 0");
    CHECK_NEAR(student_two_sided(1, 1), 0.5, 1e-12, "Cauchy: 2 (1/2 - atan(1) / pi)");
}

static void holm(void)
{
    if (!case_is("Holm")) return;
    static const double p[] = { 0.005, 0.011, 0.02, 0.04, 0.5 }, want[] = { 0.025, 0.044, 0.06, 0.08, 0.5 };
    double got[5];
    holm_adjust(p, 5, got);
    for (int i = 0; i < 5; i++) CHECK_NEAR(got[i], want[i], 1e-12, "%d", i);
    static const double flat[] = { 0.3, 0.31, 0.9 };
    holm_adjust(flat, 3, got);
    CHECK_NEAR(got[0], 0.9, 1e-12, "times 3");
    CHECK_NEAR(got[1], 0.9, 1e-12, "never less than before it");
    CHECK_NEAR(got[2], 0.9, 1e-12, "times 1");
}

enum { SEEDS = 4, ROUNDS = 3 };

/* Random rises by 0.1 a round of 10 labels, "fast" by 0.2, "same" as random. */
static curve make(curve_point *points, const char *const *names)
{
    curve c = { .strategies = names, .strategy_count = 3, .seeds = SEEDS, .rounds = ROUNDS, .points = points };
    for (int i = 0; i < 3; i++)
        for (int seed = 0; seed < SEEDS; seed++)
            for (int r = 0; r <= ROUNDS; r++)
                *curve_at(&c, i, seed, r) =
                    (curve_point){ .strategy = names[i],
                                   .round = r,
                                   .labels = 10 + 10 * r,
                                   .accuracy = 0.3 + 0.1 * r * (i == 1 ? 2 : 1) + 0.01 * seed * (i == 1) };
    return c;
}

static void strategies(void)
{
    if (!case_is("strategies")) return;
    static const char *const names[] = { "random", "fast", "same" };
    curve_point points[3 * SEEDS * (ROUNDS + 1) + 1];
    curve c = make(points, names);
    sluice *s = tier_open(0, 1);
    comparison *list = NULL;
    int count = 0;
    CHECK_NEAR(curve_area(&c, 0, 0), 0.45, 1e-12, "trapezoids");
    CHECK_OK(s, compare_strategies(s, &c, 0, &list, &count));
    CHECK(count == 2 && list[0].a == 1 && list[1].a == 2, "%d comparisons", count);
    CHECK_NEAR(list[0].difference, 0.165, 1e-12, "0.15 and 0.015 of the seeds");
    CHECK_NEAR(list[0].deviation, 0.01 * sqrt(5.0 / 3), 1e-12, "0, 1, 2, 3 hundredths");
    CHECK_NEAR(list[0].t, 0.165 / (0.01 * sqrt(5.0 / 3) / 2), 1e-9, "t");
    CHECK(list[0].p < 1e-3 && list[0].adjusted == 2 * list[0].p, "p %g, adjusted %g", list[0].p, list[0].adjusted);
    CHECK(list[1].difference == 0 && list[1].p == 1 && list[1].adjusted == 1, "equal curves: p %g", list[1].p);
    mem_free(list);
    CHECK_OK(s, compare_strategies(s, &c, -1, &list, &count));
    CHECK(count == 3, "%d pairs", count);
    mem_free(list);
    double ratio, low, high;
    CHECK(compare_savings(&c, 2, 0, &ratio, &low, &high) && ratio == 1 && low == 1 && high == 1, "same: %g", ratio);
    CHECK(compare_savings(&c, 1, 0, &ratio, &low, &high), "fast gets there");
    double want = 0;
    for (int seed = 0; seed < SEEDS; seed++) want += 40 / (10 + (0.3 - 0.01 * seed) / 0.2 * 10) / SEEDS;
    CHECK_NEAR(ratio, want, 1e-9, "random's 40 labels over those that fast needs");
    CHECK(low < ratio && ratio < high, "[%g, %g]", low, high);
    curve_at(&c, 0, 2, ROUNDS)->accuracy = 0.99;
    CHECK(!compare_savings(&c, 1, 0, &ratio, &low, &high), "a seed in which fast does not get there");
    sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    student(), holm(), strategies();
    return test_end();
}
