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
    sluice_score_args a = { .size = sizeof a,
                            .head = h,
                            .out = test_path("all.npy"),
                            .seed = 6,
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

/* The picked rows are read again for prediction and confidence: the bits of the scan, in every type rows are stored in. */
static void picked_rows(sluice_type type)
{
    if (!case_is("picked rows as %s", sluice_type_name(type))) return;
    enum { ROWS = 400 };
    sluice *s = tier_open(0, 2);
    size_t element = sluice_type_bytes(type);
    uint8_t *x = malloc(ROWS * D * element);
    rng r = { 9 };
    for (int64_t i = 0; i < ROWS * D; i++) {
        double v = rng_normal(&r);
        float f = (float)v;
        uint16_t half = (uint16_t)(0x3800 + rng_u64(&r) % 0x800), brain = (uint16_t)(0x3f00 + rng_u64(&r) % 0x100);
        uint8_t small = (uint8_t)rng_u64(&r);
        const void *from = type == SLUICE_F64    ? (const void *)&v
                           : type == SLUICE_F32  ? (const void *)&f
                           : type == SLUICE_F16  ? (const void *)&half
                           : type == SLUICE_BF16 ? (const void *)&brain
                                                 : (const void *)&small;
        memcpy(x + (size_t)i * element, from, element);
    }
    sluice_pool *pool = memory_pool(s, x, type, ROWS, D, NULL);
    if (type == SLUICE_I8) {
        pool->shards[0].scale = mem_raw(s, ROWS, sizeof(float));
        for (int i = 0; i < ROWS; i++) pool->shards[0].scale[i] = (float)(rng_uniform(&r) / 50);
    }
    sluice_head *h = test_head(s, D, C, 1.5f, 5);
    sluice_score_args a = {
        .size = sizeof a, .head = h, .out = test_path("type.npy"), .scores = "margin,prediction,confidence"
    };
    a.force = 1;
    CHECK_OK(s, sluice_score(s, pool, &a));
    float *got = read_scores(a.out, ROWS, 3);
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .head = h, .strategies = "margin,random", .k = ROWS / 3 });
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < ROWS / 3; i++) {
            const sluice_pick *q = &sluice_picks_get(p, l)[i];
            CHECK((float)q->prediction == got[q->row * 3 + 1], "row %lld", (long long)q->row);
            CHECK(float_bits(q->confidence) == float_bits(got[q->row * 3 + 2]), "row %lld: %.9g, scanned %.9g",
                  (long long)q->row, (double)q->confidence, (double)got[q->row * 3 + 2]);
            if (l == 0) CHECK(float_bits(q->score) == float_bits(got[q->row * 3]), "row %lld", (long long)q->row);
        }
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
    for (int type = SLUICE_F32; type <= SLUICE_U8; type++) picked_rows((sluice_type)type);
    again();
    failures();
    return test_end();
}
