/* sampling.h - pools, heads and references that the tests of host/sample share. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "harness.h"
#include "head.h"
#include "ref.h"

/* The hash of the total order, from its definition (splitmix64's finaliser). */
static inline uint64_t ref_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline uint64_t ref_hash(uint64_t seed, uint64_t id)
{
    uint64_t s = ref_mix(seed + 0x9e3779b97f4a7c15u);
    return ref_mix(ref_mix(id ^ s) + s);
}

static inline uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* A linear head [c, d] with weights ~ N(0, 1/sqrt(d)) and given temperature. */
static inline sluice_head *test_head(sluice *s, int64_t d, int c, float temperature, uint64_t seed)
{
    sluice_head *h = NULL;
    char names[64][32], *name[64];
    for (int j = 0; j < c; j++) snprintf(names[j], sizeof names[j], "class %d", j), name[j] = names[j];
    CHECK_OK(s, head_new(s, "linear", (int64_t[3]){ d, 0, 0 }, c, name, &h));
    CHECK_OK(s, head_tensors(s, h));
    fill_normal(h->layers[0].w, c * d, seed);
    fill_normal(h->layers[0].b, c, seed + 1);
    for (int64_t i = 0; i < c * d; i++) h->layers[0].w[i] *= (float)(2 / sqrt((double)d));
    h->temperature = temperature;
    CHECK_OK(s, head_prepare(s, h));
    return h;
}

/* Double logits of row x by the head's own weights. */
static inline void ref_logits(const sluice_head *h, const float *x, double *z)
{
    for (int j = 0; j < h->classes; j++) {
        double acc = (double)h->layers[0].b[j];
        for (int64_t k = 0; k < h->in_width; k++) acc += (double)x[k] * (double)h->layers[0].w[j * h->in_width + k];
        z[j] = acc;
    }
}

static inline sluice_pool *memory_pool(sluice *s, const void *x, sluice_type type, int64_t n, int64_t d,
                                       const uint64_t *ids)
{
    sluice_pool *pool = NULL;
    CHECK_OK(s, sluice_pool_from_rows(s, x, type, n, d, (size_t)d * sluice_type_bytes(type), ids, &pool));
    return pool;
}

static inline sluice_pool *file_pool(sluice *s, const char *const *paths, int count)
{
    sluice_pool *pool = NULL;
    CHECK_OK(
        s, sluice_pool_open(
               s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = paths, .path_count = count }, &pool));
    return pool;
}

/* Files by the formats' own definitions. */
static inline void write_npy(const char *path, const char *descr, const void *data, int64_t n, int64_t d,
                             size_t element)
{
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\1\0\x76\0", 10);
    int used = snprintf(head + 10, sizeof head - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld), }",
                        descr, (long long)n, (long long)d);
    head[10 + used] = ' ';
    head[127] = '\n';
    size_t bytes = (size_t)n * (size_t)d * element;
    char *all = malloc(128 + bytes);
    memcpy(all, head, 128);
    if (bytes) memcpy(all + 128, data, bytes);
    write_file(path, all, 128 + bytes);
    free(all);
}

static inline void write_safetensors(const char *path, const char *dtype, const void *data, int64_t n, int64_t d,
                                     size_t element)
{
    char json[256];
    size_t bytes = (size_t)n * (size_t)d * element;
    int used = snprintf(json, sizeof json, "{\"x\":{\"dtype\":\"%s\",\"shape\":[%lld,%lld],\"data_offsets\":[0,%zu]}}",
                        dtype, (long long)n, (long long)d, bytes);
    char *all = calloc(1, 8 + (size_t)used + bytes);
    all[0] = (char)(used & 255), all[1] = (char)(used >> 8);
    memcpy(all + 8, json, (size_t)used);
    memcpy(all + 8 + used, data, bytes);
    write_file(path, all, 8 + (size_t)used + bytes);
    free(all);
}

static inline void write_fbin(const char *path, const float *data, int32_t n, int32_t d)
{
    size_t bytes = (size_t)n * (size_t)d * sizeof *data;
    char *all = malloc(8 + bytes);
    memcpy(all, &n, 4), memcpy(all + 4, &d, 4);
    memcpy(all + 8, data, bytes);
    write_file(path, all, 8 + bytes);
    free(all);
}

/* The same picks, bit for bit; strategies by text. */
static inline int same_picks(const sluice_picks *a, const sluice_picks *b)
{
    if (sluice_picks_lists(a) != sluice_picks_lists(b)) return 0;
    for (int l = 0; l < sluice_picks_lists(a); l++) {
        if (sluice_picks_count(a, l) != sluice_picks_count(b, l)) return 0;
        const sluice_pick *p = sluice_picks_get(a, l), *q = sluice_picks_get(b, l);
        for (int64_t i = 0; i < sluice_picks_count(a, l); i++)
            if (p[i].row != q[i].row || p[i].id64 != q[i].id64 || float_bits(p[i].score) != float_bits(q[i].score) ||
                p[i].prediction != q[i].prediction || float_bits(p[i].confidence) != float_bits(q[i].confidence) ||
                strcmp(p[i].strategy, q[i].strategy) != 0)
                return 0;
    }
    return 1;
}

static inline sluice_picks *pick(sluice *s, const sluice_pool *pool, sluice_select_args a)
{
    sluice_picks *p = NULL;
    a.size = sizeof a;
    CHECK_OK(s, sluice_select(s, pool, &a, &p));
    return p;
}

/* Fails unless select gives that status and its message holds every part of want, split at '|'. */
static inline void expect_fail(sluice *s, const sluice_pool *pool, sluice_select_args a, sluice_status status,
                               const char *want)
{
    sluice_picks *p = NULL;
    char part[128];
    a.size = sizeof a;
    sluice_status st = sluice_select(s, pool, &a, &p);
    CHECK(st == status, "status %s: %s", sluice_status_text(st), sluice_error(s));
    CHECK(p == NULL, "picks in spite of a failure");
    for (const char *q = want; *q;) {
        size_t n = strcspn(q, "|");
        snprintf(part, sizeof part, "%.*s", (int)n, q);
        CHECK(strstr(sluice_error(s), part) != NULL, "'%s' does not say '%s'", sluice_error(s), part);
        q += n + (q[n] == '|');
    }
    sluice_picks_free(p);
}

#endif
