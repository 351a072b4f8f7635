/* unit_pool.c - what a list of paths becomes, and what stops a pool before any row is read. */
#include "files.h"
#include "pool.h"
#include "sources.h"
#include <sys/stat.h>

static sluice *s;

static sluice_status open_n(int n, const char *const *paths, const char *ids, const char *tensor, sluice_pool **out)
{
    return sluice_pool_open(
        s,
        &(sluice_pool_args){
            .size = sizeof(sluice_pool_args), .paths = paths, .path_count = n, .ids = ids, .tensor = tensor },
        out);
}
static sluice_status open_1(const char *path, sluice_pool **out) { return open_n(1, &path, NULL, NULL, out); }

/* An empty folder of this name. */
static const char *folder(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s", test_path(name));
    mkdir(path, 0777);
    return test_path(name);
}

/* Shard names joined by spaces. */
static const char *names(const sluice_pool *p)
{
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < p->shard_count && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", p->shards[i].name);
    return text;
}

static void natural(void)
{
    if (!case_is("natural order")) return;
    static const char *const sorted[] = {
        "a", "a1", "a01", "a2", "a10", "a10b", "a10b2", "a10b10", "a100000000000000000000", "b"
    };
    int n = sizeof sorted / sizeof *sorted;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int got = natural_order(sorted[i], sorted[j]);
            int want = i == 1 && j == 2   ? 1
                       : i == 2 && j == 1 ? -1
                       : i < j            ? -1
                                          : i > j; /* a01 < a1: equal numbers by bytes */
            CHECK((got > 0) - (got < 0) == want, "%s and %s: %d", sorted[i], sorted[j], got);
        }
}

static void one_file(void)
{
    sluice_pool *p = NULL;
    sluice_pool_info info;
    if (!case_is("one file")) return;
    const char *path = save_f32("one.npy", 5, 3);
    CHECK_OK(s, open_1(path, &p));
    if (!p) return;
    sluice_pool_get_info(p, &info);
    CHECK(info.rows == 5 && info.width == 3 && info.shards == 1 && info.type == SLUICE_F32 && !info.has_ids, "info");
    CHECK(info.shape[0] == 3 && !info.shape[1] && !info.shape[2] && info.bytes == 60, "bytes %g", info.bytes);
    CHECK(sluice_pool_id64(p, 4) == 4, "id of row 4");
    char text[8];
    CHECK(sluice_pool_id_text(p, 4, text, sizeof text) == 1 && !strcmp(text, "4"), "'%s'", text);
    CHECK(p->shards[0].file_bytes > 60 && p->shards[0].mtime_ns, "stamp");
    sluice_pool_free(p);
}

static void many_files(void)
{
    sluice_pool *p = NULL, *q = NULL;
    char a[512], b[512], c[512];
    snprintf(a, sizeof a, "%s", save_f32("m2.npy", 2, 3));
    snprintf(b, sizeof b, "%s", save_f32("m10.npy", 0, 3));
    snprintf(c, sizeof c, "%s", save_f32("m3.npy", 4, 3));
    if (case_is("several files keep their order, empty ones count nothing")) {
        CHECK_OK(s, open_n(3, (const char *[]){ a, b, c }, NULL, NULL, &p));
        CHECK(p->rows == 6 && !strcmp(names(p), "m2.npy m10.npy m3.npy"), "%s", names(p));
        for (int64_t r = 0; r < 6; r++)
            CHECK(pool_shard_of(p, r) == &p->shards[r < 2 ? 0 : 2], "row %lld", (long long)r);
        CHECK_OK(s, open_n(3, (const char *[]){ c, b, a }, NULL, NULL, &q));
        CHECK(p->fingerprint != q->fingerprint, "the order is part of the fingerprint");
        sluice_pool_free(p), sluice_pool_free(q);
    }
    if (case_is("glob")) {
        char pattern[512];
        snprintf(pattern, sizeof pattern, "%s/m*.npy", test_folder());
        CHECK_OK(s, open_1(pattern, &p));
        CHECK(!strcmp(names(p), "m2.npy m3.npy m10.npy"), "%s", names(p));
        sluice_pool_free(p);
        snprintf(pattern, sizeof pattern, "%s/nothing*.npy", test_folder());
        CHECK_FAILS(s, open_1(pattern, &p), E_MISSING, "no file matches");
    }
    if (case_is("list, relative to its folder")) {
        CHECK_OK(s, open_1(save_text("m3.npy\nm2.npy\r\n", "list.txt"), &p));
        CHECK(!strcmp(names(p), "m3.npy m2.npy"), "%s", names(p));
        sluice_pool_free(p);
        CHECK_FAILS(s, open_1(save_text("m3.npy\nmissing.npy\n", "list.list"), &p), E_MISSING, "missing.npy");
        CHECK_FAILS(s, open_1(save_text("", "list.list"), &p), E_MISSING, "lists no files");
    }
    if (case_is("width and shape differ")) {
        snprintf(b, sizeof b, "%s", save_f32("wide.npy", 2, 4));
        CHECK_FAILS(s, open_n(2, (const char *[]){ a, b }, NULL, NULL, &p), E_SHAPE, "has width 4");
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1, 3)}", 24);
        snprintf(b, sizeof b, "%s", save(&f, "image.npy"));
        CHECK_FAILS(s, open_n(2, (const char *[]){ a, b }, NULL, NULL, &p), E_SHAPE, "1 x 1 x 3");
    }
    if (case_is("a short shard is named before any work")) {
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 20);
        snprintf(b, sizeof b, "%s", save(&f, "short.npy"));
        CHECK_FAILS(s, open_n(2, (const char *[]){ a, b }, NULL, NULL, &p), E_FORMAT, "short.npy");
    }
    if (case_is("no paths")) CHECK_FAILS(s, open_n(0, NULL, NULL, NULL, &p), E_USAGE, "no pool");
    if (case_is("rows of several types")) {
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3)}", 12);
        snprintf(b, sizeof b, "%s", save(&f, "half.npy"));
        CHECK_OK(s, open_n(2, (const char *[]){ a, b }, NULL, NULL, &p));
        CHECK(p->shards[0].type == SLUICE_F32 && p->shards[1].type == SLUICE_F16, "types");
        sluice_pool_free(p);
    }
}

static void folders(void)
{
    sluice_pool *p = NULL;
    if (case_is("folder: natural order, other files, labels and scales left alone")) {
        folder("pool");
        save_f32("pool/part-10.npy", 1, 3), save_f32("pool/part-9.npy", 2, 3), save_f32("pool/.hidden.npy", 9, 9);
        save_text("hello", "pool/README.md"), save_text("x", "pool/x.pt");
        save_ints("pool/labels.npy", "<i8", (int64_t[]){ 1, 2, 3 }, 3);
        save_ints("pool/part-9.scale.npy", "<i8", (int64_t[]){ 1, 2 }, 2);
        CHECK_OK(s, open_1(test_path("pool"), &p));
        CHECK(!strcmp(names(p), "part-9.npy part-10.npy") && p->rows == 3, "%s", names(p));
        sluice_pool_free(p);
        p = NULL;
        CHECK_OK(s, open_1(test_path("pool/"), &p));
        sluice_pool_free(p);
    }
    if (case_is("folder without an array, and with 1-d arrays only")) {
        const char *path = folder("empty");
        CHECK_FAILS(s, open_1(path, &p), E_MISSING, "holds no array");
        save_ints("empty/labels.npy", "<i8", (int64_t[]){ 1 }, 1);
        CHECK_FAILS(s, open_1(path, &p), E_MISSING, "only 1-d arrays");
    }
    if (case_is("a 1-d file named by itself, wide integers, floats of one dimension")) {
        CHECK_FAILS(s, open_1(save_ints("l.npy", "<i8", (int64_t[]){ 1 }, 1), &p), E_SHAPE, "one dimension");
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3)}", 48);
        CHECK_FAILS(s, open_1(save(&f, "i.npy"), &p), E_TYPE, "8-byte integers");
    }
    if (case_is("formats that are refused")) {
        static const char *const files[] = { "x.pt", "x.pth", "x.parquet", "x.h5", "x.hdf5", "x.npz" };
        for (int i = 0; i < 6; i++)
            CHECK_FAILS(s, open_1(save_text("PK", files[i]), &p), E_FORMAT, "hint: python -c \"import numpy");
        CHECK_FAILS(s, open_1(save_text("?", "x.what"), &p), E_FORMAT, "its ending is none of");
        CHECK_FAILS(s, open_1(test_path("nothing.npy"), &p), E_MISSING, "nothing.npy");
    }
    if (case_is("a .npy without its ending is known by its magic")) {
        char to[512];
        snprintf(to, sizeof to, "%s", test_path("features"));
        rename(save_f32("moved.npy", 2, 3), to);
        CHECK_OK(s, open_1(to, &p));
        sluice_pool_free(p);
    }
}

static void manifests(void)
{
    sluice_pool *p = NULL;
    folder("j");
    save_f32("j/b.npy", 2, 3), save_f32("j/a.npy", 3, 3);
    if (case_is("pool.json: append order, ids, hash; a folder with one is that pool")) {
        save_text("five\nfour\nthree\ntwo\none\n", "j/names.txt");
        save_text("{\"shards\": [{\"path\": \"b.npy\", \"rows\": 2, \"type\": \"f32\", \"width\": 3, \"hash\": "
                  "\"00000000000000ff\"},"
                  "{\"path\": \"a.npy\", \"rows\": 3, \"type\": \"f32\", \"shape\": [3]}], \"ids\": \"names.txt\"}",
                  "j/pool.json");
        CHECK_OK(s, open_1(test_path("j"), &p));
        CHECK(!strcmp(names(p), "b.npy a.npy") && p->rows == 5, "%s", names(p));
        CHECK(p->shards[0].has_hash && p->shards[0].hash == 255 && !p->shards[1].has_hash, "hash");
        CHECK(pool_find(s, p, "three") == 2 && pool_find(s, p, "3") == -1, "ids");
        sluice_pool_free(p);
        p = NULL;
        CHECK_OK(s, open_1(test_path("j/pool.json"), &p));
        sluice_pool_free(p);
        p = NULL;
        CHECK_OK(s, open_n(1, (const char *[]){ test_path("j") }, save_text("1\n2\n3\n4\n5\n", "other.txt"), NULL,
                           &p)); /* --ids wins */
        CHECK(pool_find(s, p, "3") == 2, "ids given");
        sluice_pool_free(p);
    }
    if (case_is("scales of i8 rows")) {
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3)}", 6);
        save(&f, "j/q.npy");
        f.n = 0;
        put_npy(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 0);
        put(&f, (float[]){ 0.5f, 0.25f }, 8);
        save(&f, "j/q.scale.npy"), save(&f, "j/other.npy");
        CHECK_OK(s, open_1(test_path("j/q.npy"), &p));
        CHECK(p->shards[0].scale && p->shards[0].scale[1] == 0.25f, "beside");
        sluice_pool_free(p);
        p = NULL;
        CHECK_OK(s, open_1(save_text("{\"shards\": [{\"path\": \"q.npy\", \"rows\": 2, \"type\": \"i8\", \"width\": 3, "
                                     "\"scale\": \"other.npy\"}]}",
                                     "j/q.json"),
                           &p));
        CHECK(p->shards[0].scale && p->shards[0].scale[0] == 0.5f, "named");
        sluice_pool_free(p);
        memcpy(f.b + f.n - 4, &(float){ NAN }, 4);
        save(&f, "j/q.scale.npy");
        CHECK_FAILS(s, open_1(test_path("j/q.npy"), &p), E_DATA, "row 1 is not finite");
        f.n = 0;
        put_npy(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 12);
        save(&f, "j/q.scale.npy");
        CHECK_FAILS(s, open_1(test_path("j/q.npy"), &p), E_SHAPE, "f32 [2]");
    }
#define SHARD(rest) "{\"shards\": [{\"path\": \"b.npy\", " rest "}]}"
    static const struct {
        const char *text, *part;
        sluice_status want;
    } bad[] = {
        { "{", "line 1", SLUICE_E_FORMAT },
        { "[]", "lists no", SLUICE_E_FORMAT },
        { "{\"shards\": []}", "lists no", SLUICE_E_FORMAT },
        { "{\"shards\": [7]}", "has no path", SLUICE_E_FORMAT },
        { "{\"shards\": [], \"shards\": []}", "duplicate", SLUICE_E_FORMAT },
        { SHARD("\"type\": \"f32\", \"width\": 3"), "count of rows", SLUICE_E_FORMAT },
        { SHARD("\"rows\": -2, \"type\": \"f32\", \"width\": 3"), "count of rows", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"f32\""), "width", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"f32\", \"width\": 0"), "width", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"f32\", \"shape\": [9223372036854775807, 4]"), "width", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"q4\", \"width\": 3"), "no type", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"f32\", \"width\": 3, \"scale\": \"x.npy\""), "only i8", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 2, \"type\": \"f32\", \"width\": 3, \"hash\": \"0xff\""), "hash", SLUICE_E_FORMAT },
        { SHARD("\"rows\": 3, \"type\": \"f32\", \"width\": 3"), "pool.json says 3", SLUICE_E_SHAPE },
        { SHARD("\"rows\": 2, \"type\": \"f32\", \"width\": 4"), "says 2 of 4", SLUICE_E_SHAPE },
        { SHARD("\"rows\": 2, \"type\": \"f16\", \"width\": 3"), "f16", SLUICE_E_SHAPE },
        { "{\"shards\": [{\"path\": \"gone.npy\", \"rows\": 2, \"type\": \"f32\", \"width\": 3}]}", "gone.npy",
          SLUICE_E_MISSING },
        { "{\"shards\": [{\"path\": \"b.npy\", \"rows\": 2, \"type\": \"f32\", \"width\": 3}], \"ids\": 7}", "no path",
          SLUICE_E_FORMAT },
        { "{\"shards\": [{\"path\": \"b.npy\", \"rows\": 2, \"type\": \"f32\", \"width\": 3}], \"ids\": \"gone.txt\"}",
          "gone.txt", SLUICE_E_MISSING },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!case_is("bad pool.json %s", bad[i].text)) continue;
        sluice_status st = open_1(save_text(bad[i].text, "j/bad.json"), &p);
        CHECK(st == bad[i].want && strstr(sluice_error(s), bad[i].part), "status %d: %s", st, sluice_error(s));
    }
}

static void from_rows(void)
{
    sluice_pool *p = NULL;
    sluice_pool_info info;
    static const float rows[12] = { 0 };
    static const uint64_t ids[3] = { 7, 5, 9 }, twice[3] = { 7, 5, 7 };
    if (!case_is("from rows")) return;
    CHECK_OK(s, sluice_pool_from_rows(s, rows, SLUICE_F32, 3, 3, 16, ids, &p));
    sluice_pool_get_info(p, &info);
    CHECK(info.rows == 3 && info.width == 3 && info.has_ids && sluice_pool_id64(p, 2) == 9, "info");
    CHECK(pool_find(s, p, "5") == 1 && pool_find(s, p, "6") == -1 && pool_find(s, p, "05") == -1, "find");
    CHECK(p->shards[0].memory == (const uint8_t *)rows && !p->shards[0].owns_memory, "borrowed");
    sluice_pool_free(p);
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, 3, 3, 16, twice, &p), E_DATA,
                "rows 0 and 2 have the same id 7");
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, 3, 3, 8, NULL, &p), E_SHAPE, "stride of 8");
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, -1, 3, 12, NULL, &p), E_SHAPE, "-1 x 3");
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, 3, 0, 12, NULL, &p), E_SHAPE, "3 x 0");
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, (sluice_type)9, 3, 3, 12, NULL, &p), E_TYPE, "type 9");
    CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, INT64_MAX, 3, 16, NULL, &p), E_SHAPE, "stride");
    CHECK_OK(s, sluice_pool_from_rows(s, NULL, SLUICE_F32, 0, 3, 12, NULL, &p));
    sluice_pool_free(p);
    sluice_pool_free(NULL);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    natural();
    one_file();
    many_files();
    folders();
    manifests();
    from_rows();
    sluice_close(s);
    return test_end();
}
