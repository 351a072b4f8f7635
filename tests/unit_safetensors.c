/* unit_safetensors.c - the container as its rules allow it, hostile headers, and files written and read back. */
#include "files.h"

static sluice *s;

#define T(name, dtype, shape, from, to)                                                                                \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void good(void)
{
    if (case_is("tensors in any order, metadata, a scalar and an empty one")) {
        blob f = { .n = 0 };
        st_file st = { 0 };
        put_safetensors(&f,
                        "{\"__metadata__\":{\"layers\":\"linear\"}," T("b", "F32", "[2,3]", "6", "30") "," T(
                            "a", "U8", "[6]", "0", "6") "," T("e", "F64", "[0,4]", "30", "30") "," T("x", "I64", "[]",
                                                                                                     "30", "38") "}  ",
                        38);
        CHECK_OK(s, safetensors_open(s, save(&f, "a.safetensors"), &st));
        CHECK(st.count == 4, "%d tensors", st.count);
        const st_tensor *a = safetensors_find(&st, "a"), *b = safetensors_find(&st, "b"),
                        *x = safetensors_find(&st, "x");
        CHECK(a && b && x && safetensors_find(&st, "e") && !safetensors_find(&st, "no"), "a tensor is missing");
        CHECK(a && a->offset == f.n - 38 && a->bytes == 6 && a->ndim == 1 && !strcmp(a->dtype, "U8"), "a");
        CHECK(b && b->offset == f.n - 32 && b->bytes == 24 && b->shape[0] == 2 && b->shape[1] == 3, "b");
        CHECK(x && x->ndim == 0 && x->bytes == 8, "x");
        CHECK(st.metadata && !strcmp(json_string_value(json_object_get(st.metadata, "layers")), "linear"), "metadata");
        safetensors_release(&st);
        CHECK(!st.count && !st.tensors && !st.metadata, "release leaves an empty file");
    }
    if (case_is("no tensor at all")) {
        blob f = { .n = 0 };
        st_file st = { 0 };
        put_safetensors(&f, "{}", 0);
        CHECK_OK(s, safetensors_open(s, save(&f, "a.safetensors"), &st));
        CHECK(st.count == 0 && !st.metadata, "%d tensors", st.count);
        safetensors_release(&st);
    }
}

static void bad(void)
{
    static const struct {
        const char *header;
        size_t data;
        const char *part;
    } all[] = {
        { "{" T("a", "F32", "[2,3]", "0", "24") "}", 23, "not within" },
        { "{" T("a", "F32", "[2,3]", "0", "24") "}", 25, "the tensors end" },
        { "{" T("a", "F32", "[2,3]", "4", "28") "}", 28, "hole" },
        { "{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "5", "9") "}", 9, "hole" },
        { "{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "2", "6") "}", 6, "overlaps" },
        { "{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "0", "4") "}", 4, "overlaps" },
        { "{" T("a", "U8", "[4]", "0", "4") "," T("a", "U8", "[4]", "4", "8") "}", 8, "duplicate" },
        { "{" T("a", "F32", "[2,3]", "0", "20") "}", 20, "make 24 bytes, its data_offsets 20" },
        { "{" T("a", "F32", "[2,3]", "24", "0") "}", 24, "not within" },
        { "{" T("a", "F32", "[2,3]", "-24", "0") "}", 24, "not within" },
        { "{" T("a", "F32", "[2,-3]", "0", "24") "}", 24, "no count" },
        { "{" T("a", "F32", "[2,3.0]", "0", "24") "}", 24, "no count" },
        { "{" T("a", "F32", "[2,\"3\"]", "0", "24") "}", 24, "no count" },
        { "{" T("a", "F32", "[2,1e999]", "0", "24") "}", 24, "JSON" },
        { "{" T("a", "F32", "[99999999999999999999]", "0", "24") "}", 24, "JSON" },
        { "{" T("a", "F32", "[4611686018427387904,4]", "0", "0") "}", 0, "overflows" },
        { "{" T("a", "F32", "[4294967296,4294967296]", "0", "0") "}", 0, "overflows" },
        { "{" T("a", "F32", "[4611686018427387904]", "0", "0") "}", 0, "overflows" },
        { "{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "at most 8" },
        { "{" T("a", "F32", "6", "0", "24") "}", 24, "at most 8" },
        { "{" T("a", "Q7", "[6]", "0", "24") "}", 24, "'Q7'" },
        { "{\"a\":{\"shape\":[6],\"data_offsets\":[0,24]}}", 24, "no dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}}", 24, "shape" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[6]}}", 24, "data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24,48]}}", 24, "data_offsets" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24.0]}}", 24, "data_offsets" },
        { "{\"a\":7}", 0, "no dtype" },
        { "{\"__metadata__\":[]}", 0, "no object" },
        { "{\"__metadata__\":{\"a\":1}}", 0, "no string" },
        { "[]", 0, "'{'" },
        { " {}", 0, "'{'" },
        { "{", 0, "JSON" },
        { "{} x", 0, "JSON" },
        { "{\"a\\u0000b\":{}}", 0, "JSON" },
        { "{\"\xff\":{}}", 0, "JSON" },
        { "", 0, "'{'" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("bad %s data=%zu", all[i].header, all[i].data)) continue;
        blob f = { .n = 0 };
        st_file st = { .count = 99 };
        put_safetensors(&f, all[i].header, all[i].data);
        CHECK_FAILS(s, safetensors_open(s, save(&f, "bad.safetensors"), &st), E_FORMAT, all[i].part);
        CHECK(strstr(sluice_error(s), "bad.safetensors'"), "the file is not named: %s", sluice_error(s));
        CHECK(st.count == 99, "out was written");
    }
}

static void frames(void)
{
    st_file st;
    blob f = { .n = 0 };
    if (case_is("every prefix fails")) {
        put_safetensors(&f, "{" T("a", "F32", "[2,3]", "0", "24") "}", 24);
        for (size_t n = 0; n < f.n; n++) {
            blob cut = f;
            cut.n = n;
            CHECK_FAILS(s, safetensors_open(s, save(&cut, "c.safetensors"), &st), E_FORMAT, "c.safetensors");
        }
    }
    if (case_is("lengths that lie")) {
        static const uint64_t lengths[] = { 3, 1000, 100000001, INT64_MAX, UINT64_MAX, UINT64_MAX - 7 };
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            f.n = 0;
            put_le(&f, lengths[i], 8);
            put_text(&f, "{}");
            CHECK_FAILS(s, safetensors_open(s, save(&f, "l.safetensors"), &st), E_FORMAT, i < 2 ? "promises" : "limit");
        }
    }
    if (case_is("deep nesting")) {
        static char deep[9001];
        memset(deep, '[', 9000);
        memcpy(deep, "{\"a\":", 5);
        f.n = 0;
        put_safetensors(&f, deep, 0);
        CHECK_FAILS(s, safetensors_open(s, save(&f, "d.safetensors"), &st), E_FORMAT, "JSON");
    }
}

static void arrays(void)
{
    static const struct {
        const char *header, *tensor;
        size_t data;
        sluice_status want;
        const char *part;
    } all[] = {
        { "{" T("f", "F16", "[2,3]", "0", "12") "}", NULL, 12, SLUICE_OK, "" },
        { "{" T("f", "F16", "[2,3]", "0", "12") "," T("g", "I64", "[1]", "12", "20") "}", NULL, 20, SLUICE_OK, "" },
        { "{" T("f", "F16", "[2,3]", "0", "12") "," T("g", "F16", "[2,2]", "12", "20") "}", "f", 20, SLUICE_OK, "" },
        { "{" T("f", "F16", "[2,3]", "0", "12") "," T("g", "F16", "[2,2]", "12", "20") "}", NULL, 20, SLUICE_E_USAGE,
          "--tensor" },
        { "{" T("f", "F16", "[2,3]", "0", "12") "}", "x", 12, SLUICE_E_MISSING, "no tensor 'x'" },
        { "{" T("f", "F16", "[6]", "0", "12") "," T("g", "F16", "[4]", "12", "20") "}", NULL, 20, SLUICE_E_SHAPE,
          "none of its 2" },
        { "{" T("f", "F16", "[1,2,3]", "0", "12") "}", NULL, 12, SLUICE_E_SHAPE, "3 dimensions" },
        { "{" T("f", "BOOL", "[2,3]", "0", "6") "}", NULL, 6, SLUICE_E_TYPE, "BOOL" },
        { "{" T("f", "F16", "[2,0]", "0", "0") "}", NULL, 0, SLUICE_E_SHAPE, "no elements" },
        { "{}", NULL, 0, SLUICE_E_SHAPE, "none of its 0" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!case_is("array %zu %s", i, all[i].header)) continue;
        blob f = { .n = 0 };
        array_facts a = { 0 };
        put_safetensors(&f, all[i].header, all[i].data);
        sluice_status st = array_open(s, save(&f, "a.safetensors"), all[i].tensor, &a);
        CHECK(st == all[i].want && strstr(sluice_error(s), all[i].part), "status %d: %s", st, sluice_error(s));
        if (st) continue;
        CHECK(a.type == SLUICE_F16 && a.ndim == 2 && a.shape[0] == 2 && a.shape[1] == 3 && a.stride == 6, "stride %zu",
              a.stride);
        CHECK(a.offset == f.n - all[i].data, "offset %zu", a.offset);
    }
    static const struct {
        const char *dtype;
        sluice_type type;
        int bytes;
    } kinds[] = { { "F32", SLUICE_F32, 4 },
                  { "BF16", SLUICE_BF16, 2 },
                  { "F64", SLUICE_F64, 8 },
                  { "I8", SLUICE_I8, 1 },
                  { "U8", SLUICE_U8, 1 } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!case_is("array of %s", kinds[i].dtype)) continue;
        blob f = { .n = 0 };
        array_facts a = { 0 };
        char header[128];
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[2,2,1,5],\"data_offsets\":[0,%d]}}",
                 kinds[i].dtype, 20 * kinds[i].bytes);
        put_safetensors(&f, header, (size_t)(20 * kinds[i].bytes));
        CHECK_OK(s, array_open(s, save(&f, "a.safetensors"), NULL, &a));
        CHECK(a.type == kinds[i].type && a.ndim == 4 && a.shape[3] == 5 && a.stride == 10 * (size_t)kinds[i].bytes,
              "type %d", a.type);
    }
}

static void writer(void)
{
    if (!case_is("written, read back, the same bytes twice")) return;
    static const uint8_t bytes[3] = { 1, 2, 3 };
    static const float w[6] = { 1, -2, 3.5f, 4, 5, 6 };
    static const int64_t ids[2] = { 7, -1 };
    st_tensor t[] = {
        { .name = "flags", .dtype = "U8", .ndim = 1, .shape = { 3 }, .bytes = 3, .data = bytes },
        { .name = "w \"quoted\" \xc3\xa9", .dtype = "F32", .ndim = 2, .shape = { 2, 3 }, .bytes = 24, .data = w },
        { .name = "ids", .dtype = "I64", .ndim = 1, .shape = { 2 }, .bytes = 16, .data = ids }
    };
    json_t *meta = json_pack("{s:s}", "layers", "linear");
    char *one = NULL, *two = NULL;
    int64_t n1 = 0, n2 = 0;
    const char *path = test_path("w.safetensors");
    st_file f = { 0 };
    CHECK_OK(s, safetensors_write(s, path, true, t, 3, meta));
    CHECK_OK(s, file_read(s, path, 1 << 20, &one, &n1));
    CHECK_OK(s, safetensors_write(s, path, true, t, 3, meta));
    CHECK_OK(s, file_read(s, path, 1 << 20, &two, &n2));
    CHECK(n1 == n2 && !memcmp(one, two, (size_t)n1), "%lld and %lld bytes", (long long)n1, (long long)n2);
    CHECK_OK(s, safetensors_open(s, path, &f));
    CHECK(f.count == 3 && f.metadata, "%d tensors", f.count);
    for (int i = 0; i < 3; i++) {
        char out[24];
        const st_tensor *r = safetensors_find(&f, t[i].name);
        CHECK(r && r->bytes == t[i].bytes && !memcmp(r->shape, t[i].shape, sizeof t[i].shape), "tensor %s", t[i].name);
        if (!r) continue;
        CHECK(r->offset % (i == 0 ? 1 : i == 1 ? 4 : 8) == 0, "'%s' at %zu", r->name, r->offset);
        CHECK_OK(s, safetensors_read(s, path, r, out));
        CHECK_SAME(out, t[i].data, t[i].bytes, "tensor %s", t[i].name);
    }
    safetensors_release(&f);
    mem_free(one), mem_free(two);

    t[1].bytes = 20;
    CHECK_FAILS(s, safetensors_write(s, path, true, t, 3, meta), E_SHAPE, "do not fit");
    t[1].bytes = 24, t[1].name = "ids";
    CHECK_FAILS(s, safetensors_write(s, path, true, t, 3, meta), E_DATA, "twice");
    t[1].name = "\xff";
    CHECK_FAILS(s, safetensors_write(s, path, true, t, 3, meta), E_DATA, "UTF-8");
    snprintf(t[0].dtype, sizeof t[0].dtype, "Z3");
    CHECK_FAILS(s, safetensors_write(s, path, true, t, 3, meta), E_TYPE, "Z3");
    json_decref(meta);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    good();
    bad();
    frames();
    arrays();
    writer();
    sluice_close(s);
    return test_end();
}
