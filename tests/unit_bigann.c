/* unit_bigann.c - the .fbin family: counts and file size must agree. */
#include "files.h"

static sluice *s;

static const char *bin(const char *name, uint64_t n, uint64_t d, size_t data)
{
    blob f = { .n = 0 };
    put_le(&f, n, 4);
    put_le(&f, d, 4);
    put_zeros(&f, data);
    return save(&f, name);
}

static void good(void)
{
    static const struct {
        const char *name;
        sluice_type type;
        size_t bytes;
    } all[] = { { "a.fbin", SLUICE_F32, 4 },
                { "a.f16bin", SLUICE_F16, 2 },
                { "a.u8bin", SLUICE_U8, 1 },
                { "a.i8bin", SLUICE_I8, 1 } };
    for (int i = 0; i < 4; i++)
        for (int64_t n = 0; n < 3; n++) {
            if (!case_is("%s n=%lld", all[i].name, (long long)n)) continue;
            array_facts a = { 0 };
            CHECK_OK(s, array_open(s, bin(all[i].name, (uint64_t)n, 5, (size_t)n * 5 * all[i].bytes), NULL, &a));
            CHECK(a.type == all[i].type && a.ndim == 2 && a.shape[0] == n && a.shape[1] == 5, "type %d", a.type);
            CHECK(a.offset == 8 && a.stride == 5 * all[i].bytes && !a.is_label && !a.memory, "stride %zu", a.stride);
        }
}

static void bad(void)
{
    array_facts a = { .ndim = 99 };
    if (!case_is("bad")) return;
    CHECK_FAILS(s, bigann_open(s, bin("b.fbin", 2, 3, 23), NULL, &a), E_FORMAT, "the file has 31");
    CHECK_FAILS(s, bigann_open(s, bin("b.fbin", 2, 3, 25), NULL, &a), E_FORMAT, "so 32 bytes in all");
    CHECK_FAILS(s, bigann_open(s, bin("b.fbin", 2, 0, 0), NULL, &a), E_SHAPE, "no elements");
    CHECK_FAILS(s, bigann_open(s, bin("b.fbin", UINT32_MAX, 1 << 30, 16), NULL, &a), E_FORMAT,
                "4294967295 x 1073741824");
    CHECK_FAILS(s, bigann_open(s, bin("b.fbin", UINT32_MAX, UINT32_MAX, 16), NULL, &a), E_SHAPE, "limit");
    CHECK_FAILS(s, bigann_open(s, bin("b.xbin", 1, 1, 4), NULL, &a), E_FORMAT, "ending");
    CHECK_FAILS(s, bigann_open(s, test_path("none.fbin"), NULL, &a), E_MISSING, "none.fbin");
    for (size_t n = 0; n < 8; n++) {
        blob f = { .n = 0 };
        put_zeros(&f, n);
        CHECK_FAILS(s, bigann_open(s, save(&f, "short.fbin"), NULL, &a), E_FORMAT, "too few");
    }
    CHECK(a.ndim == 99, "out was written");
}

static void writer(void)
{
    if (!case_is("writer")) return;
    outfile *o = NULL;
    char *text = NULL;
    int64_t bytes = 0;
    const char *path = test_path("w.fbin");
    CHECK_OK(s, outfile_open(s, path, true, &o));
    CHECK_OK(s, bigann_write_header(s, o, 0x01020304, 0x0a0b0c0d));
    CHECK_FAILS(s, bigann_write_header(s, o, (int64_t)1 << 32, 4), E_SHAPE, "4294967296");
    CHECK_FAILS(s, bigann_write_header(s, o, -1, 4), E_SHAPE, "-1");
    CHECK_OK(s, outfile_commit(s, o));
    CHECK_OK(s, file_read(s, path, 100, &text, &bytes));
    CHECK(bytes == 8 && !memcmp(text, "\x04\x03\x02\x01\x0d\x0c\x0b\x0a", 8), "%lld bytes", (long long)bytes);
    mem_free(text);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    good();
    bad();
    writer();
    sluice_close(s);
    return test_end();
}
