/* unit_npy.c - .npy headers as numpy writes them, and as it never would. */
#include "files.h"

static sluice *s;

/* Bytes written by numpy.save for float32 [3, 4]: the header is padded to 128. */
static const char numpy_header[] =
    "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"
    "                                                          \n";

static void kinds(void)
{
    static const struct {
        const char *descr;
        sluice_type type;
        int bytes, int_bytes, is_signed;
    } all[] = {
        { "<f2", SLUICE_F16, 2, 0, 0 }, { "<f4", SLUICE_F32, 4, 0, 0 }, { "<f8", SLUICE_F64, 8, 0, 0 },
        { "|i1", SLUICE_I8, 1, 1, 1 },  { "|u1", SLUICE_U8, 1, 1, 0 },  { "<i1", SLUICE_I8, 1, 1, 1 },
        { "<i2", SLUICE_I8, 2, 2, 1 },  { "<u4", SLUICE_U8, 4, 4, 0 },  { "<i8", SLUICE_I8, 8, 8, 1 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int version = 1; version <= 3; version++) {
            if (!case_is("kind %s version %d", all[i].descr, version)) continue;
            blob f = { .n = 0 };
            array_facts a = { 0 };
            char dictionary[99];
            snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (5, 3), }",
                     all[i].descr);
            put_npy(&f, version, dictionary, (size_t)all[i].bytes * 15);
            CHECK_OK(s, npy_open(s, save(&f, "a.npy"), NULL, &a));
            CHECK(all[i].int_bytes > 1 || a.type == all[i].type, "type %d", a.type);
            CHECK(a.ndim == 2 && a.shape[0] == 5 && a.shape[1] == 3, "ndim %d", a.ndim);
            CHECK(a.offset == f.n - (size_t)all[i].bytes * 15 && a.stride == 3 * (size_t)all[i].bytes, "stride %zu",
                  a.stride);
            CHECK(a.label_bytes == all[i].int_bytes && a.is_label == (all[i].int_bytes > 1), "label %d", a.label_bytes);
            CHECK(!a.label_bytes || a.label_signed == all[i].is_signed, "signed %d", a.label_signed);
        }
}

static void numpy_file(void)
{
    if (!case_is("bytes that numpy wrote")) return;
    blob f = { .n = 0 };
    array_facts a = { 0 };
    CHECK(sizeof numpy_header == 129, "%zu", sizeof numpy_header);
    put(&f, numpy_header, 128);
    put_zeros(&f, 48);
    CHECK_OK(s, npy_open(s, save(&f, "a.npy"), NULL, &a));
    CHECK(a.offset == 128 && a.stride == 16 && a.shape[0] == 3, "offset %zu", a.offset);
}

static void good(void)
{
    static const struct {
        const char *dictionary;
        size_t data;
        int ndim, is_label;
    } all[] = {
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 24, 2, 0 },
        { "{\"shape\": (2,3), \"descr\": \"<f4\", \"fortran_order\": False}\n", 24, 2, 0 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }   ", 24, 2, 0 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", 0, 2, 0 },
        { "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 5, 3), }", 120, 4, 0 },
        { "{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }", 56, 1, 1 },
        { "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }", 7, 1, 1 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }", 28, 1, 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("good %s", all[i].dictionary)) continue;
        blob f = { .n = 0 };
        array_facts a = { 0 };
        put_npy(&f, 1, all[i].dictionary, all[i].data);
        CHECK_OK(s, npy_open(s, save(&f, "a.npy"), NULL, &a));
        CHECK(a.ndim == all[i].ndim && a.is_label == all[i].is_label, "ndim %d label %d", a.ndim, a.is_label);
    }
}

#define SHAPED(type, order, shape) "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }"
#define SHAPE(shape) SHAPED("<f4", "False", shape)

static void bad(void)
{
    static const struct {
        const char *dictionary;
        size_t data;
        sluice_status want;
        const char *part;
    } all[] = {
        { SHAPED("<f4", "True", "(2, 3)"), 24, SLUICE_E_FORMAT, "ascontiguousarray" },
        { SHAPED(">f4", "False", "(2, 3)"), 24, SLUICE_E_TYPE, "hint: python" },
        { SHAPED("|b1", "False", "(2, 3)"), 6, SLUICE_E_TYPE, "'|b1'" },
        { SHAPED("<c8", "False", "(2, 3)"), 48, SLUICE_E_TYPE, "'<c8'" },
        { SHAPED("|O", "False", "(2, 3)"), 48, SLUICE_E_TYPE, "'|O'" },
        { SHAPED("<U7", "False", "(2, 3)"), 48, SLUICE_E_TYPE, "'<U7'" },
        { "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (2,), }", 16, SLUICE_E_TYPE,
          "records" },
        { "{'fortran_order': False, 'shape': (2,), 'descr': [('a', '<f4')]}", 8, SLUICE_E_TYPE, "records" },
        { SHAPE("()"), 4, SLUICE_E_SHAPE, "0 dimensions" },
        { SHAPE("(2, 3, 4)"), 96, SLUICE_E_SHAPE, "[..., None]" },
        { SHAPE("(1, 2, 3, 4, 5)"), 480, SLUICE_E_SHAPE, "5 dimensions" },
        { SHAPE("(2, 0)"), 0, SLUICE_E_SHAPE, "no elements" },
        { SHAPE("(2, -3)"), 24, SLUICE_E_FORMAT, "no tuple" },
        { SHAPE("(2, 3.0)"), 24, SLUICE_E_FORMAT, "no tuple" },
        { SHAPE("[2, 3]"), 24, SLUICE_E_FORMAT, "no tuple" },
        { SHAPE("(2, 3"), 24, SLUICE_E_FORMAT, "" },
        { SHAPE("(,)"), 0, SLUICE_E_FORMAT, "no tuple" },
        { SHAPE("(99999999999999999999, 1)"), 24, SLUICE_E_FORMAT, "64 bits" },
        { SHAPE("(4611686018427387904, 4)"), 24, SLUICE_E_FORMAT, "overflows" },
        { SHAPE("(4, 4611686018427387904)"), 24, SLUICE_E_SHAPE, "limit" },
        { SHAPE("(1, 9223372036854775807, 9223372036854775807, 2)"), 24, SLUICE_E_SHAPE, "limit" },
        { SHAPE("(2305843009213693953, 2)"), 8, SLUICE_E_FORMAT, "overflows" },
        { SHAPE("(2, 3)"), 23, SLUICE_E_FORMAT, "the file has" },
        { SHAPE("(2, 3)"), 25, SLUICE_E_FORMAT, "the file has" },
        { SHAPE("(1000000, 1000)"), 24, SLUICE_E_FORMAT, "1000000 x 1000" },
        { "{'descr': '<f4', 'fortran_order': False}", 24, SLUICE_E_FORMAT, "lacks" },
        { "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}", 24, SLUICE_E_FORMAT, "twice" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", 24, SLUICE_E_FORMAT, "other than" },
        { "{'descr': '<f4', 'fortran_order': None, 'shape': (2, 3)}", 24, SLUICE_E_FORMAT, "neither" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", 24, SLUICE_E_FORMAT, "follows" },
        { "['descr']", 24, SLUICE_E_FORMAT, "no dictionary" },
        { "{'descr", 24, SLUICE_E_FORMAT, "malformed" },
        { "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2, 3)}", 24, SLUICE_E_FORMAT, "malformed" },
        { "", 24, SLUICE_E_FORMAT, "no dictionary" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("bad %s data=%zu", all[i].dictionary, all[i].data)) continue;
        blob f = { .n = 0 };
        array_facts a = { .ndim = 99 };
        put_npy(&f, 1, all[i].dictionary, all[i].data);
        sluice_status st = npy_open(s, save(&f, "bad.npy"), NULL, &a);
        CHECK(st == all[i].want && strstr(sluice_error(s), all[i].part), "status %d: %s", st, sluice_error(s));
        CHECK(strstr(sluice_error(s), "bad.npy'"), "the file is not named: %s", sluice_error(s));
        CHECK(a.ndim == 99, "out was written");
    }
}

static void truncated(void)
{
    if (!case_is("every prefix fails")) return;
    blob f = { .n = 0 };
    array_facts a;
    put(&f, numpy_header, 128);
    put_zeros(&f, 48);
    for (size_t n = 0; n < f.n; n++) {
        blob cut = f;
        cut.n = n;
        sluice_status st = npy_open(s, save(&cut, "cut.npy"), NULL, &a);
        CHECK(st == SLUICE_E_FORMAT, "%zu bytes: status %d", n, st);
    }
}

static void frames(void)
{
    array_facts a;
    if (case_is("wrong magic")) {
        blob f = { .n = 0 };
        put(&f, numpy_header, 128);
        f.b[1] = 'M';
        CHECK_FAILS(s, npy_open(s, save(&f, "m.npy"), NULL, &a), E_FORMAT, "magic");
    }
    if (case_is("unknown version")) {
        blob f = { .n = 0 };
        put_npy(&f, 4, SHAPE("(2, 3)"), 24);
        CHECK_FAILS(s, npy_open(s, save(&f, "v.npy"), NULL, &a), E_FORMAT, "version 4.0");
    }
    if (case_is("a header longer than the file, and than the limit")) {
        blob f = { .n = 0 };
        put(&f, "\x93NUMPY\x02\x00", 8);
        put_le(&f, 1 << 20, 4);
        put_zeros(&f, 100);
        CHECK_FAILS(s, npy_open(s, save(&f, "h.npy"), NULL, &a), E_FORMAT, "promises");
        f.b[11] = 0xff;
        CHECK_FAILS(s, npy_open(s, save(&f, "h.npy"), NULL, &a), E_FORMAT, "limit");
    }
    if (case_is("no file, a folder, a pipe")) {
        CHECK_FAILS(s, npy_open(s, test_path("nowhere.npy"), NULL, &a), E_MISSING, "No such file");
        CHECK_FAILS(s, npy_open(s, test_folder(), NULL, &a), E_MISSING, "directory");
        CHECK_FAILS(s, npy_open(s, "/dev/null", NULL, &a), E_MISSING, "regular");
    }
}

static void writer(void)
{
    static const int64_t shapes[][4] = { { 3, 4 }, { 7 }, { 0, 5 }, { 2, 8, 9, 3 }, { 1000000000000, 4 } };
    static const int ndims[] = { 2, 1, 2, 4, 2 };
    for (int i = 0; i < 5; i++) {
        if (!case_is("writer shape %d", i)) continue;
        outfile *o = NULL;
        char *text = NULL;
        int64_t bytes = 0;
        const char *path = test_path("w.npy");
        CHECK_OK(s, outfile_open(s, path, true, &o));
        CHECK_OK(s, npy_write_header(s, o, "<f4", ndims[i], shapes[i]));
        CHECK_OK(s, outfile_commit(s, o));
        CHECK_OK(s, file_read(s, path, 1 << 20, &text, &bytes));
        CHECK(bytes % 64 == 0 && text[bytes - 1] == '\n', "%lld bytes", (long long)bytes);
        if (i == 0) CHECK(bytes == 128 && !memcmp(text, numpy_header, 128), "not the bytes numpy writes");
        mem_free(text);
        if (i == 4) continue; /* 16 TB */
        int64_t data = 4;
        for (int j = 0; j < ndims[i]; j++) data *= shapes[i][j];
        blob f = { .n = 0 };
        CHECK_OK(s, file_read(s, path, 1 << 20, &text, &bytes));
        put(&f, text, (size_t)bytes);
        put_zeros(&f, (size_t)data);
        mem_free(text);
        array_facts a = { 0 };
        CHECK_OK(s, npy_open(s, save(&f, "r.npy"), NULL, &a));
        CHECK(a.ndim == ndims[i] && !memcmp(a.shape, shapes[i], sizeof a.shape), "another shape came back");
    }
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    kinds();
    numpy_file();
    good();
    bad();
    truncated();
    frames();
    writer();
    sluice_close(s);
    return test_end();
}
