/* unit_strategies.c - names and parameters, and the columns that strategies fill themselves. */
#include "sampling.h"
#include "strategies.h"

static sluice *s;

static void table(void)
{
    if (!case_is("the table")) return;
    static const char *const headless[] = {
        "random",    "kcenter",        "kmeans",      "cluster-based",       "typiclust",        "maxherding",
        "probcover", "representative", "outlier-knn", "outlier-mahalanobis", "outlier-relative", "similarity",
        "auto"
    };
    int i = 0, power = -1;
    for (; sluice_strategy_at(i); i++) {
        const sluice_strategy *t = sluice_strategy_at(i);
        CHECK(t->name[0] && t->what[0] && t->cost[0], "'%s' without texts", t->name);
        for (int j = 0; j < i; j++) CHECK(strcmp(t->name, sluice_strategy_at(j)->name) != 0, "two of '%s'", t->name);
        int needs_head = 1;
        for (size_t j = 0; j < sizeof headless / sizeof *headless; j++) needs_head &= strcmp(t->name, headless[j]) != 0;
        CHECK(t->needs_head == needs_head, "'%s'", t->name);
        if (strcmp(t->name, "power-SCORE") == 0) power = i;
    }
    CHECK(power == i - 1 && !sluice_strategy_at(-1), "power-SCORE is %d of %d", power, i);
}

static void fails(const char *text, const char *want)
{
    strategy *list = NULL;
    int count = 0;
    sluice_status st = strategies_parse(s, text, &list, &count);
    CHECK(st == SLUICE_E_USAGE && !list, "'%s': %s", text, sluice_status_text(st));
    CHECK(strstr(sluice_error(s), want) != NULL, "'%s' does not say '%s'", sluice_error(s), want);
}

static void parsing(void)
{
    if (!case_is("parsing")) return;
    strategy *list = NULL;
    int count = 0;
    CHECK_OK(s, strategies_parse(s, "margin, power-entropy:beta=0.25,power-margin", &list, &count));
    CHECK(count == 3, "%d", count);
    CHECK(strcmp(list[1].text, "power-entropy:beta=0.25") == 0, "'%s'", list[1].text);
    CHECK(list[1].value[0] == 0.25 && list[2].value[0] == 1, "%g, %g", list[1].value[0], list[2].value[0]);
    CHECK(strategy_reads(&list[1]) == READS(COLUMN_ENTROPY) && strategy_needs_head(&list[2]), "%x",
          strategy_reads(&list[1]));
    mem_free(list);
    fails("margni", "'margni'");
    fails("power-kcenter", "'power-kcenter'");
    fails("margni", "least-confidence");
    fails("", "missing");
    fails("margin,", "missing");
    fails(",margin", "missing");
    fails("margin:beta=1", "no parameter 'beta=1'");
    fails("power-margin:gamma=1", "beta=1");
    fails("power-margin:beta", "NUMBER");
    fails("power-margin:beta=x", "'beta=x'");
    fails("power-margin:beta=-1", "'beta=-1'");
    fails("power-margin:beta=nan", "NUMBER");
    fails("power-power-margin", "'power-power-margin'");
    fails("power-", "'power-'");
    fails("margin,entropy,margin", "'margin' is asked for twice");
    char longer[300];
    memset(longer, 'm', sizeof longer - 1), longer[299] = 0;
    fails(longer, "longer");
}

static strategy parsed(const char *text)
{
    strategy st = { 0 };
    CHECK_OK(s, strategy_parse(s, text, strlen(text), &st));
    return st;
}

/* 1 - (top 24 bits of the hash) / 2^24: in (0, 1], and its order with ties by hash is the order of the hash. */
static void random_scores(void)
{
    if (!case_is("random")) return;
    strategy st = parsed("random");
    uint64_t ids[100];
    float score[100];
    uint8_t bad[100] = { [7] = 1 };
    for (int i = 0; i < 100; i++) ids[i] = (uint64_t)i * i * 0x123456789abcdefu;
    block_facts b = { .first_row = 1000, .rows = 100, .ids = ids, .seed = 77, .threads = 3, .bad = bad };
    st.kind->fill(&st, &b, score);
    for (int i = 0; i < 100; i++)
        CHECK_NEAR((double)score[i], i == 7 ? NAN : 1 - (double)(ref_hash(77, ids[i]) >> 40) / 16777216, 0, "row %d",
                   i);
    b.ids = NULL;
    st.kind->fill(&st, &b, score);
    CHECK_NEAR((double)score[0], 1 - (double)(ref_hash(77, 1000) >> 40) / 16777216, 0, "ids are row numbers");
}

/* The largest of beta log s + Gumbel falls on row i with chance s_i^beta / sum: counted over many seeds, within 5
 * sigma. */
static void power_draws(double beta)
{
    char text[64];
    snprintf(text, sizeof text, "power-margin:beta=%g", beta);
    if (!case_is("%s draws", text)) return;
    enum { DRAWS = 40000, ROWS = 5 };
    strategy st = parsed(text);
    static const float margin[ROWS] = { 0.1f, 0.2f, 0.3f, 0.8f, 0.0f };
    float score[ROWS];
    int64_t hits[ROWS] = { 0 };
    double total = 0;
    for (int i = 0; i < 4; i++) total += pow((double)margin[i], beta);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        block_facts b = { .rows = ROWS, .seed = seed, .labelled = 10, .threads = 1, .column[COLUMN_MARGIN] = margin };
        st.kind->fill(&st, &b, score);
        int best = 0;
        for (int i = 1; i < ROWS; i++) best = score[i] > score[best] ? i : best;
        hits[best]++;
        CHECK(isinf(score[4]) && score[4] < 0, "a score of 0 gives %g", (double)score[4]);
    }
    for (int i = 0; i < 4; i++) {
        double p = pow((double)margin[i], beta) / total;
        CHECK_NEAR((double)hits[i] / DRAWS, p, 5 * sqrt(p * (1 - p) / DRAWS), "row %d", i);
    }
}

static void power_edges(void)
{
    if (!case_is("power edges")) return;
    strategy st = parsed("power-energy");
    static const float energy[] = { NAN, -3, 0, 2, 2 };
    float a[5], b2[5], alone;
    block_facts b = { .rows = 5, .seed = 3, .labelled = 4, .threads = 2, .column[COLUMN_ENERGY] = energy };
    st.kind->fill(&st, &b, a);
    CHECK(isnan(a[0]) && a[1] == -INFINITY && a[2] == -INFINITY && isfinite(a[3]) && a[3] != a[4], "%g %g %g %g %g",
          (double)a[0], (double)a[1], (double)a[2], (double)a[3], (double)a[4]);
    b.labelled = 5;
    st.kind->fill(&st, &b, b2);
    CHECK(b2[3] != a[3], "a new round draws the same %g", (double)b2[3]);
    block_facts one = {
        .first_row = 3, .rows = 1, .seed = 3, .labelled = 4, .threads = 1, .column[COLUMN_ENERGY] = energy + 3
    };
    st.kind->fill(&st, &one, &alone);
    CHECK(alone == a[3], "row 3 alone %g, in a block %g", (double)alone, (double)a[3]);
}

static const char *stands_for(const char *text, int64_t labelled, int classes, bool has_scores)
{
    strategy st = parsed(text);
    strategy_resolve(&st, labelled, classes, has_scores);
    CHECK(strcmp(st.text, text) == 0, "its text became '%s'", st.text);
    return st.kind->shown.name;
}

static void automatic(void)
{
    if (!case_is("auto: typiclust below 5 labels a class or without a head, then margin-kmeans")) return;
    static const struct {
        const char *text;
        int64_t labelled;
        int classes;
        bool has_scores;
        const char *want;
    } known[] = { { "auto", 0, 0, false, "typiclust" },
                  { "auto", 49, 10, true, "typiclust" },
                  { "auto", 50, 10, true, "margin-kmeans" },
                  { "auto", 50, 10, false, "typiclust" },
                  { "auto", 500, 0, true, "typiclust" },
                  { "auto:switch=2.5", 24, 10, true, "typiclust" },
                  { "auto:switch=0", 0, 3, true, "margin-kmeans" },
                  { "auto:switch=2.5", 25, 10, true, "margin-kmeans" },
                  { "margin", 0, 3, true, "margin" } };
    for (int i = 0; i < (int)(sizeof known / sizeof *known); i++) {
        const char *got = stands_for(known[i].text, known[i].labelled, known[i].classes, known[i].has_scores);
        CHECK(strcmp(got, known[i].want) == 0, "case %d is '%s'", i, got);
    }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    s = tier_open(0, 1);
    table();
    parsing();
    automatic();
    random_scores();
    power_draws(1);
    power_draws(2);
    power_draws(0);
    power_edges();
    sluice_close(s);
    return test_end();
}
