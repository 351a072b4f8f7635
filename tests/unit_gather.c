/* unit_gather.c - rows in any order come back as the same values in f32, each in its place. */
#include "pools.h"

#include <math.h>

/* The value of an element by the definition of its type. */
static double value(const uint8_t *p, sluice_type type)
{
    float f;
    double x;
    uint16_t h;
    uint32_t w;
    switch (type) {
    case SLUICE_F32: memcpy(&f, p, 4); return f;
    case SLUICE_F64: memcpy(&x, p, 8); return (float)x;
    case SLUICE_BF16:
        memcpy(&h, p, 2);
        w = (uint32_t)h << 16;
        memcpy(&f, &w, 4);
        return f;
    case SLUICE_I8: return (int8_t)*p;
    case SLUICE_U8: return *p;
    case SLUICE_F16: break;
    }
    memcpy(&h, p, 2);
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static void gathered(sluice *s, made_pool *m, const int64_t *rows, int64_t count)
{
    int64_t d = m->pool.width;
    guarded out = guarded_new((size_t)(count * d) * sizeof(float), 0);
    sluice_status st = pool_gather(s, pool_of(m), rows, count, out.p);
    CHECK(st == SLUICE_OK, "%s", sluice_error(s));
    CHECK(guarded_ok(&out), "wrote outside out");
    for (int64_t i = 0; !st && i < count; i++) {
        int k = 0;
        while (rows[i] >= m->sh[k].first_row + m->sh[k].rows) k++;
        sluice_type type = m->sh[k].type;
        const uint8_t *row = m->rows + (size_t)rows[i] * m->row_bytes;
        double scale = m->sh[k].scale ? m->sh[k].scale[rows[i] - m->sh[k].first_row] : 1;
        for (int64_t j = 0; j < d; j++)
            CHECK_NEAR(((float *)out.p)[i * d + j],
                       (float)(scale * value(row + (size_t)j * sluice_type_bytes(type), type)), 0,
                       "row %lld, place %lld, column %lld", (long long)rows[i], (long long)i, (long long)j);
    }
    guarded_free(&out);
}

static void orders(sluice *s, made_pool *m, uint64_t seed)
{
    enum { MOST = 3000 };
    static int64_t rows[MOST];
    int64_t n = m->pool.rows, count = 0;
    rng r = { seed };
    gathered(s, m, rows, 0);
    rows[0] = n - 1;
    gathered(s, m, rows, 1);
    for (int64_t i = 0; i < 500; i++) rows[count++] = (int64_t)(rng_u64(&r) % (uint64_t)n); /* any order, repeats */
    gathered(s, m, rows, count);
    count = 0;
    for (int64_t i = n; i-- > 0 && count < MOST;) rows[count++] = i; /* descending, all neighbours */
    gathered(s, m, rows, count);
    for (int64_t i = 0; i < 300; i++) rows[i] = n / 2; /* one row, many times */
    gathered(s, m, rows, 300);
    count = 0;
    for (int64_t i = 0; i < n && count < MOST; i += 97) rows[count++] = i; /* gaps */
    gathered(s, m, rows, count);
}

static void every_layout(sluice *s)
{
    static const int64_t uneven[] = { 1000, 1, 0, 37, 2000, 300 };
    for (int l = NPY; l <= MEMORY; l++)
        for (int t = SLUICE_F32; t <= SLUICE_U8; t++) {
            if (!case_is("layout=%s type=%s", layout_name[l], sluice_type_name((sluice_type)t))) continue;
            made_pool m = make_pool(l, (sluice_type)t, 33, uneven, 6, 7);
            orders(s, &m, 8);
            free_pool(&m);
        }
}

/* Rows of 40 KiB (gaps are not worth reading) and of 1.5 MiB (a run is one row). */
static void wide_rows(sluice *s)
{
    static const int64_t counts[] = { 150, 60 }, few[] = { 5, 3 };
    if (case_is("rows of 40 KiB")) {
        made_pool m = make_pool(FBIN, SLUICE_F32, 10001, counts, 2, 9);
        orders(s, &m, 10);
        free_pool(&m);
    }
    if (case_is("rows of 1.5 MiB")) {
        static const int64_t rows[] = { 7, 0, 3, 3, 4, 5, 6, 1 };
        made_pool m = make_pool(NPY, SLUICE_F16, 786433, few, 2, 11);
        gathered(s, &m, rows, 8);
        free_pool(&m);
    }
}

static void scales(sluice *s)
{
    static const int64_t counts[] = { 300, 200 };
    if (!case_is("scales of i8 rows")) return;
    made_pool m = make_pool(NPY, SLUICE_I8, 16, counts, 2, 3);
    float scale[500];
    fill_normal(scale, 500, 4);
    m.sh[0].scale = scale, m.sh[1].scale = scale + 300;
    orders(s, &m, 12);
    m.sh[1].scale = NULL; /* neighbours in the stage, but not of one shard */
    orders(s, &m, 13);
    free_pool(&m);
}

static void refusals(sluice *s)
{
    static const int64_t counts[] = { 100 };
    made_pool m = make_pool(NPY, SLUICE_F32, 4, counts, 1, 3);
    float out[8];
    if (case_is("a row outside the pool")) {
        CHECK(pool_gather(s, pool_of(&m), (int64_t[]){ 0, 100 }, 2, out) == SLUICE_E_INTERNAL, "%s", sluice_error(s));
        CHECK(pool_gather(s, pool_of(&m), (int64_t[]){ -1 }, 1, out) == SLUICE_E_INTERNAL, "%s", sluice_error(s));
    }
    if (case_is("cancelled")) {
        sluice_cancel(s);
        CHECK(pool_gather(s, pool_of(&m), (int64_t[]){ 0 }, 1, out) == SLUICE_E_CANCELLED, "%s", sluice_error(s));
        s->cancelled = 0;
    }
    free_pool(&m);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    every_layout(s);
    wide_rows(s);
    scales(s);
    refusals(s);
    sluice_close(s);
    return test_end();
}
