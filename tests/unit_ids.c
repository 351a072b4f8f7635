/* unit_ids.c - ids of rows from every kind of file, duplicates, and lists of rows by id. */
#include "files.h"
#include "pool.h"
#include <xxhash.h>

static sluice *s;

static sluice_status open_ids(int rows, const char *ids, sluice_pool **out)
{
    const char *path = save_f32("ids-pool.npy", rows, 2);
    return sluice_pool_open(
        s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = &path, .path_count = 1, .ids = ids }, out);
}

static void texts(void)
{
    sluice_pool *p = NULL;
    char text[16];
    if (case_is("texts are hashed, integers among them too")) {
        CHECK_OK(s, open_ids(3, save_text("cat/1.jpg\n7\nd\xc3\xb6g.png\n", "i.txt"), &p));
        CHECK(p->id_text && sluice_pool_id64(p, 0) == XXH3_64bits("cat/1.jpg", 9) &&
                  sluice_pool_id64(p, 1) == XXH3_64bits("7", 1),
              "hash");
        CHECK(pool_find(s, p, "7") == 1 && pool_find(s, p, "cat/1.jpg") == 0 && pool_find(s, p, "cat") == -1 &&
                  pool_find(s, p, "1") == -1,
              "find");
        CHECK(sluice_pool_id_text(p, 0, text, 4) == 9 && !strcmp(text, "cat"), "cut to '%s'", text);
        CHECK(sluice_pool_id_text(p, 2, text, sizeof text) == 8 && !strcmp(text, "d\xc3\xb6g.png"), "'%s'", text);
        sluice_pool_free(p);
    }
    if (case_is("all canonical integers are the ids")) {
        CHECK_OK(s, open_ids(3, save_text("18446744073709551615\n0\n42\n", "i.txt"), &p));
        CHECK(!p->id_text && sluice_pool_id64(p, 0) == UINT64_MAX && sluice_pool_id64(p, 2) == 42, "values");
        CHECK(sluice_pool_id_text(p, 0, text, sizeof text) == 20 && pool_find(s, p, "18446744073709551615") == 0,
              "text");
        CHECK(pool_find(s, p, "cat") == -1 && pool_find(s, p, "042") == -1 && pool_find(s, p, "1") == -1, "find");
        sluice_pool_free(p);
        CHECK_OK(s, open_ids(2, save_text("01\n2\n", "i.txt"), &p));
        CHECK(p->id_text && sluice_pool_id64(p, 1) == XXH3_64bits("2", 1), "a leading zero makes all of them texts");
        sluice_pool_free(p);
    }
    if (case_is("csv and npy")) {
        CHECK_OK(s, open_ids(2, save_text("label,id\nx,\"a,b\"\ny,c\n", "i.csv"), &p));
        CHECK(pool_find(s, p, "a,b") == 0 && pool_find(s, p, "c") == 1, "csv");
        sluice_pool_free(p);
        CHECK_OK(s, open_ids(2, save_ints("i.npy", "<u8", (int64_t[]){ -1, 3 }, 2), &p));
        CHECK(!p->id_text && sluice_pool_id64(p, 0) == UINT64_MAX && pool_find(s, p, "3") == 1, "npy");
        sluice_pool_free(p);
        CHECK_OK(s, open_ids(2, save_ints("i.npy", "<i2", (int64_t[]){ 300, 3 }, 2), &p));
        CHECK(sluice_pool_id64(p, 0) == 300, "16-bit");
        sluice_pool_free(p);
    }
    if (case_is("beside the file")) {
        save_text("x\ny\n", "ids-pool.ids.txt");
        CHECK_OK(s, open_ids(2, NULL, &p));
        CHECK(pool_find(s, p, "y") == 1, "found");
        sluice_pool_free(p);
        const char *both[] = { save_f32("without.npy", 2, 2), save_f32("ids-pool.npy", 2, 2) };
        sluice_pool_args a = { .size = sizeof a, .paths = both, .path_count = 2 };
        CHECK_FAILS(s, sluice_pool_open(s, &a, &p), E_MISSING, "without.npy");
        save_text("1\n2\n", "without.ids.txt");
        CHECK_OK(s, sluice_pool_open(s, &a, &p)); /* integers beside one shard, texts beside the other: all are texts */
        CHECK(p->id_text && pool_find(s, p, "2") == 1 && pool_find(s, p, "x") == 2, "two files");
        sluice_pool_free(p);
        remove(test_path("ids-pool.ids.txt"));
    }
    if (case_is("no rows")) {
        CHECK_OK(s, open_ids(0, save_text("", "i.txt"), &p));
        CHECK(pool_find(s, p, "0") == -1, "find");
        sluice_pool_free(p);
    }
}

static void bad(void)
{
    sluice_pool *p = NULL;
    if (!case_is("bad ids")) return;
    CHECK_FAILS(s, open_ids(3, save_text("a\nb\n", "i.txt"), &p), E_SHAPE, "holds 2 ids for 3 rows");
    CHECK_FAILS(s, open_ids(3, save_text("a\nb\na\n", "i.txt"), &p), E_DATA, "rows 0 and 2 have the same id 'a'");
    CHECK_FAILS(s, open_ids(3, save_text("5\n3\n5\n", "i.txt"), &p), E_DATA, "rows 0 and 2 have the same id 5");
    CHECK_FAILS(s, open_ids(2, save_text("a\n\n", "i.txt"), &p), E_FORMAT, "line 2 is empty");
    CHECK_FAILS(s, open_ids(1, save_text("name\na\n", "i.csv"), &p), E_FORMAT, "no column 'id'");
    CHECK_FAILS(s, open_ids(1, save_text("id,x\n,1\n", "i.csv"), &p), E_FORMAT, "line 2: the id is empty");
    CHECK_FAILS(s, open_ids(1, save_ints("i.npy", "<i4", (int64_t[]){ -3 }, 1), &p), E_DATA, "row 0 is -3");
    CHECK_FAILS(s, open_ids(1, save_f32("f.npy", 1, 1), &p), E_TYPE, "integers");
    CHECK_FAILS(s, open_ids(1, test_path("gone.txt"), &p), E_MISSING, "gone.txt");
}

/* One duplicate among many ids is found wherever it is. */
static void duplicates(void)
{
    enum { N = 3000 };
    static uint64_t ids[N];
    static float rows[N];
    for (int kind = 0; kind < 4; kind++) {
        if (!case_is("duplicates among many, kind %d", kind)) continue;
        sluice_pool *p = NULL;
        rng r = { 11 };
        for (int i = 0; i < N; i++)
            ids[i] = kind == 0   ? rng_u64(&r)
                     : kind == 1 ? (uint64_t)(N - i)
                     : kind == 2 ? (uint64_t)i << 52 | (uint64_t)i
                                 : (uint64_t)i;
        CHECK_OK(s, sluice_pool_from_rows(s, rows, SLUICE_F32, N, 1, 4, ids, &p));
        int64_t found[3];
        CHECK_OK(s, pool_find_ids(s, p, (uint64_t[]){ ids[N - 1], ids[0], ids[N - 1] }, 3, found));
        CHECK(found[0] == N - 1 && found[1] == 0 && found[2] == N - 1, "%lld", (long long)found[0]);
        sluice_pool_free(p);
        ids[2900] = ids[17];
        CHECK_FAILS(s, sluice_pool_from_rows(s, rows, SLUICE_F32, N, 1, 4, ids, &p), E_DATA, "rows 17 and 2900");
    }
}

static void row_lists(void)
{
    sluice_pool *p = NULL, *plain = NULL;
    int64_t *row = NULL, n = 0;
    if (!case_is("lists of rows")) return;
    CHECK_OK(s, open_ids(4, NULL, &plain));
    CHECK_OK(s, open_ids(4, save_text("a\nb\nc\nd\n", "i.txt"), &p));
    CHECK_OK(s, rows_load(s, p, save_text("d\nb\nd\n", "x.txt"), &row, &n));
    CHECK(n == 2 && row[0] == 1 && row[1] == 3, "%lld rows", (long long)n);
    mem_free(row);
    CHECK_OK(s, rows_load(s, p, save_text("rank,id\n0,c\n1,a\n", "x.csv"), &row, &n));
    CHECK(n == 2 && row[0] == 0 && row[1] == 2, "%lld rows", (long long)n);
    mem_free(row);
    CHECK_OK(s, rows_load(s, plain, save_ints("x.npy", "<u8", (int64_t[]){ 3, 0 }, 2), &row, &n));
    CHECK(n == 2 && row[0] == 0 && row[1] == 3, "%lld rows", (long long)n);
    mem_free(row);
    CHECK_OK(s, rows_load(s, p, save_ints("x.npy", "<u8", (int64_t[]){ (int64_t)XXH3_64bits("c", 1) }, 1), &row, &n));
    CHECK(n == 1 && row[0] == 2, "by id64");
    mem_free(row);
    CHECK_OK(s, rows_load(s, p, save_text("", "x.txt"), &row, &n));
    CHECK(n == 0, "%lld rows", (long long)n);
    mem_free(row);
    CHECK_FAILS(s, rows_load(s, p, save_text("a\nz\n", "x.txt"), &row, &n), E_DATA,
                "line 2: id 'z' is not in the pool");
    CHECK_FAILS(s, rows_load(s, plain, save_text("3\n4\n", "x.txt"), &row, &n), E_DATA, "line 2: id '4'");
    CHECK_FAILS(s, rows_load(s, plain, save_text("03\n", "x.txt"), &row, &n), E_DATA, "line 1: id '03'");
    CHECK_FAILS(s, rows_load(s, p, save_text("name\na\n", "x.csv"), &row, &n), E_FORMAT, "no column 'id'");
    CHECK_FAILS(s, rows_load(s, plain, save_ints("x.npy", "<i8", (int64_t[]){ 0, -1 }, 2), &row, &n), E_DATA,
                "entry 1: id -1");
    CHECK_FAILS(s, rows_load(s, p, test_path("gone.txt"), &row, &n), E_MISSING, "gone.txt");
    sluice_pool_free(p), sluice_pool_free(plain);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    texts();
    bad();
    duplicates();
    row_lists();
    sluice_close(s);
    return test_end();
}
