/* unit_fvecs.c - .fvecs and .bvecs: every row carries its width. */
#include "files.h"

static sluice *s;

static const char *vecs(const char *name, int n, int d, int bytes, int last)
{
    blob f = { .n = 0 };
    for (int i = 0; i < n; i++) {
        put_le(&f, (uint64_t)(int64_t)(i == n - 1 ? last : d), 4);
        put_zeros(&f, (size_t)(d * bytes));
    }
    return save(&f, name);
}

static void good(void)
{
    for (int n = 1; n < 4; n++)
        for (int bytes = 1; bytes <= 4; bytes += 3) {
            if (!case_is("n=%d element=%d", n, bytes)) continue;
            array_facts a = { 0 };
            CHECK_OK(s, array_open(s, vecs(bytes == 1 ? "a.bvecs" : "a.fvecs", n, 6, bytes, 6), NULL, &a));
            CHECK(a.type == (bytes == 1 ? SLUICE_U8 : SLUICE_F32) && a.shape[0] == n && a.shape[1] == 6, "type %d",
                  a.type);
            CHECK(a.offset == 4 && a.stride == 4 + 6 * (size_t)bytes && !a.is_label, "stride %zu", a.stride);
        }
}

static void bad(void)
{
    array_facts a = { .ndim = 99 };
    if (!case_is("bad")) return;
    CHECK_FAILS(s, fvecs_open(s, vecs("b.fvecs", 3, 6, 4, 5), NULL, &a), E_FORMAT, "the last 5");
    CHECK_FAILS(s, fvecs_open(s, vecs("b.fvecs", 1, 6, 4, 0), NULL, &a), E_FORMAT, "width is 0");
    CHECK_FAILS(s, fvecs_open(s, vecs("b.fvecs", 1, 6, 4, -6), NULL, &a), E_FORMAT, "width is -6");
    CHECK_FAILS(s, fvecs_open(s, vecs("b.fvecs", 1, 6, 4, INT32_MAX), NULL, &a), E_FORMAT, "no multiple");
    CHECK_FAILS(s, fvecs_open(s, vecs("b.bvecs", 2, 6, 4, 6), NULL, &a), E_FORMAT, "no multiple");
    for (size_t n = 0; n < 28; n++) {
        blob f = { .n = 0 };
        put_le(&f, 6, 4);
        put_zeros(&f, 24);
        f.n = n;
        CHECK_FAILS(s, fvecs_open(s, save(&f, "short.fvecs"), NULL, &a), E_FORMAT, n < 4 ? "too few" : "no multiple");
    }
    CHECK(a.ndim == 99, "out was written");
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    good();
    bad();
    sluice_close(s);
    return test_end();
}
