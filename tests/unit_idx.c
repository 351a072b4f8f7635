/* unit_idx.c - idx files, plain and gzip: the size must be what the header says, before and after decompression. */
#include "files.h"
#include <zlib.h>

static sluice *s;

static void put_header(blob *f, int type, int ndim, const int64_t *shape)
{
    put_be(f, (uint64_t)(type << 8 | ndim), 4);
    for (int i = 0; i < ndim; i++) put_be(f, (uint64_t)shape[i], 4);
}

static blob idx(int type, int ndim, const int64_t *shape, size_t data)
{
    blob f = { .n = 0 };
    put_header(&f, type, ndim, shape);
    for (size_t i = 0; i < data; i++) put_le(&f, i * 7 % 251, 1);
    return f;
}

static blob gzip(const blob *plain)
{
    blob out = { .n = 0 };
    z_stream z = { .next_in = (Bytef *)(uintptr_t)plain->b,
                   .avail_in = (uInt)plain->n,
                   .next_out = out.b,
                   .avail_out = sizeof out.b };
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    out.n = sizeof out.b - z.avail_out;
    deflateEnd(&z);
    return out;
}

static void good(void)
{
    static const struct {
        int ndim;
        int64_t shape[4];
        int64_t want[4];
        int want_ndim;
    } all[] = {
        { 1, { 9 }, { 9 }, 1 },
        { 2, { 4, 5 }, { 4, 5 }, 2 },
        { 3, { 2, 28, 27 }, { 2, 28, 27, 1 }, 4 },
        { 4, { 2, 3, 4, 5 }, { 2, 3, 4, 5 }, 4 },
        { 3, { 0, 28, 28 }, { 0, 28, 28, 1 }, 4 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int packed = 0; packed < 2; packed++) {
            if (!case_is("shape %zu gzip=%d", i, packed)) continue;
            int64_t data = 1;
            for (int j = 0; j < all[i].ndim; j++) data *= all[i].shape[j];
            blob plain = idx(8, all[i].ndim, all[i].shape, (size_t)data), z = gzip(&plain);
            array_facts a = { 0 };
            CHECK_OK(s, array_open(s, packed ? save(&z, "a-ubyte.gz") : save(&plain, "a-ubyte"), NULL, &a));
            CHECK(a.ndim == all[i].want_ndim && !memcmp(a.shape, all[i].want, sizeof a.shape), "ndim %d", a.ndim);
            CHECK(a.type == SLUICE_U8 && a.is_label == (all[i].ndim == 1), "type %d", a.type);
            size_t head = 4 + 4 * (size_t)all[i].ndim;
            CHECK(packed ? a.memory && a.offset == 0 : !a.memory && a.offset == head, "offset %zu", a.offset);
            if (a.memory) CHECK_SAME(a.memory, plain.b + head, (size_t)data, "decompressed");
            mem_free(a.memory);
        }
}

static void bad(void)
{
    array_facts a = { .ndim = 99 };
    const int64_t shape[] = { 2, 3, 4, 5 }, huge[] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };
    if (case_is("types and dimensions")) {
        blob f = idx(9, 2, shape, 6);
        CHECK_FAILS(s, idx_open(s, save(&f, "t-ubyte"), NULL, &a), E_TYPE, "0x09");
        f = idx(0x0d, 2, shape, 24);
        CHECK_FAILS(s, idx_open(s, save(&f, "t-ubyte"), NULL, &a), E_TYPE, "convert to .npy");
        f = idx(8, 0, shape, 1);
        CHECK_FAILS(s, idx_open(s, save(&f, "t-ubyte"), NULL, &a), E_SHAPE, "0 dimensions");
        f = idx(8, 2, shape, 6);
        f.b[3] = 5;
        CHECK_FAILS(s, idx_open(s, save(&f, "t-ubyte"), NULL, &a), E_SHAPE, "5 dimensions");
        f.b[0] = 1;
        CHECK_FAILS(s, idx_open(s, save(&f, "t-ubyte"), NULL, &a), E_FORMAT, "zero bytes");
    }
    for (int packed = 0; packed < 2; packed++) {
        if (!case_is("sizes gzip=%d", packed)) continue;
        const char *name = packed ? "s-ubyte.gz" : "s-ubyte";
        for (size_t data = 0; data < 8; data++) {
            blob f = idx(8, 2, shape, data), z = gzip(&f);
            if (data != 6) CHECK_FAILS(s, idx_open(s, save(packed ? &z : &f, name), NULL, &a), E_FORMAT, name);
        }
        for (int ndim = 1; ndim <= 4; ndim++) {
            blob f = idx(8, ndim, huge, 10), z = gzip(&f);
            sluice_status st = idx_open(s, save(packed ? &z : &f, name), NULL, &a);
            CHECK(st == SLUICE_E_FORMAT || st == SLUICE_E_SHAPE, "status %d: %s", st, sluice_error(s));
        }
    }
    if (case_is("a gzip header that promises more than deflate can hold is refused before memory is taken")) {
        const int64_t lies[] = { 1 << 20, 1 << 10 };
        blob f = idx(8, 2, lies, 10), z = gzip(&f);
        CHECK_FAILS(s, idx_open(s, save(&z, "l-ubyte.gz"), NULL, &a), E_FORMAT, "compressed bytes can hold");
    }
    if (case_is("truncated and corrupt gzip")) {
        blob f = idx(8, 2, shape, 6), z = gzip(&f);
        for (size_t n = 0; n < z.n; n++) {
            blob cut = z;
            cut.n = n;
            sluice_status st = idx_open(s, save(&cut, "c-ubyte.gz"), NULL, &a);
            CHECK(st == SLUICE_E_FORMAT, "%zu of %zu bytes: status %d", n, z.n, st);
        }
        z.b[z.n - 8] ^= 1; /* the checksum */
        CHECK_FAILS(s, idx_open(s, save(&z, "c-ubyte.gz"), NULL, &a), E_FORMAT, "decompress");
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
