/* unit_score.c - the score file: columns against double, NaN rows, the array itself. */
#include "sampling.h"
#include <jansson.h>

enum { N = 5000, D = 24, C = 7 };

static float *read_scores(const char *path, int64_t n, int64_t columns)
{
    sluice *s = tier_open(0, 1);
    char *text, shape[64];
    int64_t bytes;
    CHECK_OK(s, file_read(s, path, INT64_MAX, &text, &bytes));
    int64_t head = 10 + (unsigned char)text[8] + 256 * (unsigned char)text[9];
    snprintf(shape, sizeof shape, "'shape': (%lld, %lld)", (long long)n, (long long)columns);
    CHECK(memmem(text, (size_t)head, shape, strlen(shape)) && memmem(text, (size_t)head, "<f4", 3), "%.*s",
          (int)head - 10, text + 10);
    CHECK(bytes == head + n * columns * 4, "%lld bytes", (long long)bytes);
    float *x = malloc((size_t)(n * columns) * sizeof *x);
    memcpy(x, text + head, (size_t)(bytes - head));
    mem_free(text);
    sluice_close(s);
    return x;
}

static void columns(void)
{
    if (!case_is("columns")) return;
    sluice *s = tier_open(0, 2);
    float *x = malloc(N * D * sizeof *x);
    fill_normal(x, N * D, 1);
    x[17 * D + 3] = NAN, x[4000 * D] = INFINITY;
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    sluice_head *h = test_head(s, D, C, 1.25f, 5);
    sluice_score_args a = { .size = sizeof a, .head = h, .out = test_path("all.npy"), .seed = 6,
                            .scores = "entropy,prediction,logits,random,confidence,margin,power-margin,energy" };
    CHECK_OK(s, sluice_score(s, pool, &a));
    int64_t w = 7 + C;
    float *got = read_scores(a.out, N, w);
    for (int64_t i = 0; i < N; i++) {
        const float *g = got + i * w;
        double z[C];
        ref_logits(h, x + i * D, z);
        if (i == 17 || i == 4000) {
            for (int64_t j = 0; j < w; j++)
                CHECK(float_bits(g[j]) == 0x7fc00000u, "row %lld column %lld", (long long)i, (long long)j);
            continue;
        }
        int best = 0;
        for (int j = 0; j < C; j++) {
            CHECK_NEAR((double)g[2 + j], z[j], 2e-5, "logit %d of row %lld", j, (long long)i);
            best = z[j] > z[best] ? j : best;
        }
        CHECK_NEAR((double)g[0], ref_score("entropy", z, C, 1.25), 1e-5, "row %lld", (long long)i);
        CHECK(g[1] == (float)best, "row %lld", (long long)i);
        CHECK_NEAR((double)g[2 + C], 1 - (double)(ref_hash(6, (uint64_t)i) >> 40) / 16777216, 0, "row %lld",
                   (long long)i);
        CHECK_NEAR((double)g[3 + C], ref_score("confidence", z, C, 1.25), 1e-5, "row %lld", (long long)i);
        CHECK_NEAR((double)g[4 + C], ref_score("margin", z, C, 1.25), 1e-5, "row %lld", (long long)i);
        CHECK_NEAR((double)g[6 + C], ref_score("energy", z, C, 1.25), 2e-5, "row %lld", (long long)i);
    }

    /* What select ranks by is what score writes. */
    sluice_picks *p =
        pick(s, pool, (sluice_select_args){ .head = h, .strategies = "power-margin", .k = 50, .seed = 6 });
    for (int i = 0; i < 50; i++) {
        const sluice_pick *q = &sluice_picks_get(p, 0)[i];
        CHECK(float_bits(q->score) == float_bits(got[q->row * w + 5 + C]), "rank %d", i);
    }
    json_t *m = json_load_file(test_path("all.manifest.json"), 0, NULL), *names = json_object_get(m, "columns");
    CHECK((int64_t)json_array_size(names) == w, "%zu names", json_array_size(names));
    CHECK(strcmp(json_string_value(json_array_get(names, 2)), "logit:class 0") == 0, "'%s'",
          json_string_value(json_array_get(names, 2)));
    CHECK(json_integer_value(json_object_get(json_object_get(m, "counts"), "quarantined")) == 2, "quarantine");
    json_decref(m);
    free(x), free(got);
    sluice_picks_free(p), sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

static void again(void)
{
    if (!case_is("an output that is there")) return;
    sluice *s = tier_open(0, 1);
    float *x = malloc(N * D * sizeof *x);
    fill_normal(x, N * D, 1);
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, N, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 5);
    sluice_score_args a = { .size = sizeof a, .head = h, .out = test_path("again.npy"), .scores = "margin" };
    CHECK_OK(s, sluice_score(s, pool, &a));
    CHECK_OK(s, sluice_score(s, pool, &a));
    a.scores = "entropy";
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_WRITE, "other scores over it");
    CHECK(strstr(sluice_error(s), "again") && strstr(sluice_error(s), "--force"), "%s", sluice_error(s));
    a.force = 1;
    CHECK_OK(s, sluice_score(s, pool, &a));
    free(x);
    sluice_head_free(h), sluice_pool_free(pool), sluice_close(s);
}

static void failures(void)
{
    if (!case_is("failures")) return;
    sluice *s = tier_open(0, 1);
    float x[D] = { 0 };
    sluice_pool *pool = memory_pool(s, x, SLUICE_F32, 1, D, NULL), *empty = memory_pool(s, x, SLUICE_F32, 0, D, NULL);
    sluice_head *h = test_head(s, D, C, 1, 5);
    sluice_score_args a = { .size = sizeof a, .head = h, .out = test_path("no.npy"), .scores = "margin,margin" };
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_USAGE, "twice");
    a.scores = "nonsense";
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_USAGE && strstr(sluice_error(s), "'nonsense'"), "%s", sluice_error(s));
    a.scores = NULL;
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_USAGE, "no scores");
    a.scores = "confidence", a.head = NULL;
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_USAGE && strstr(sluice_error(s), "head"), "%s", sluice_error(s));
    a.head = h, a.out = test_path("no.csv");
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_USAGE, "no .npy");
    a.out = test_path("missing/no.npy");
    CHECK(sluice_score(s, pool, &a) == SLUICE_E_WRITE, "%s", sluice_error(s));
    a.out = test_path("empty.npy");
    CHECK_OK(s, sluice_score(s, empty, &a));
    free(read_scores(a.out, 0, 1));
    sluice_head_free(h), sluice_pool_free(pool), sluice_pool_free(empty), sluice_close(s);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    columns();
    again();
    failures();
    return test_end();
}
