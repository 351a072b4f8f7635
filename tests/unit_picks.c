/* unit_picks.c - what is written: csv, jsonl, npy, manifest; outputs that are there already; outputs that cannot be. */
#include "sampling.h"
#include "picks.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static sluice *s;

/* Four rows of two logits; row 2 is a tie. */
static const float logits[] = { 3, 0, 0, 1, 2, 2, -1, 8 };

static char *slurp(const char *path)
{
    char *text = NULL;
    int64_t bytes;
    CHECK_OK(s, file_read(s, path, INT64_MAX, &text, &bytes));
    return text ? text : calloc(1, 1);
}

static int files_in(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* The pool x.npy [4, 2] is its own logits; ids are awkward texts. */
static sluice_pool *awkward_pool(void)
{
    const char *path = test_path("x, 1.npy");
    static const char ids[] = "plain\na,b\nsay \"hi\"\n\xc3\xa9t\xc3\xa9\n";
    write_npy(path, "<f4", logits, 4, 2, 4);
    write_file(test_path("x, 1.npy.ids.txt"), ids, sizeof ids - 1);
    write_file(test_path("x, 1.ids.txt"), ids, sizeof ids - 1);
    sluice_pool *pool = NULL;
    CHECK_OK(s, sluice_pool_open(s,
                                 &(sluice_pool_args){ .size = sizeof(sluice_pool_args),
                                                      .paths = (const char *[]){ path },
                                                      .path_count = 1,
                                                      .ids = test_path("x, 1.ids.txt") },
                                 &pool));
    return pool;
}

static sluice_picks *ratio_picks(const sluice_pool *pool, const char *out)
{
    return pick(s, pool, (sluice_select_args){ .logits = pool, .strategies = "ratio", .k = 4, .out = out });
}

static void forms(void)
{
    if (!case_is("csv, jsonl, npy")) return;
    sluice_pool *pool = awkward_pool();
    sluice_picks *p = ratio_picks(pool, NULL);
    CHECK_OK(s, sluice_picks_write(s, p, test_path("p.csv"), 0));
    CHECK_OK(s, sluice_picks_write(s, p, test_path("p2.jsonl"), 0));
    CHECK_OK(s, sluice_picks_write(s, p, test_path("p3.npy"), 0));

    /* p2/p1 = e^0, e^-1, e^-3, e^-9; confidence 1 / (1 + e^-gap) */
    char *csv = slurp(test_path("p.csv")), *line = csv;
    static const char *const start[] = { "rank,id,shard,row,score,prediction,confidence",
                                         "1,\"say \"\"hi\"\"\",\"x, 1.npy\",2,1,0,0.5",
                                         "2,\"a,b\",\"x, 1.npy\",1,0.3678794", "3,plain,\"x, 1.npy\",0,0.0497870",
                                         "4,\xc3\xa9t\xc3\xa9,\"x, 1.npy\",3,0.000123409" };
    static const double gap[] = { 0, 0, 1, 3, 9 };
    for (int i = 0; i < 5; i++) {
        char *end = strchr(line, '\n');
        CHECK(end && strncmp(line, start[i], strlen(start[i])) == 0, "line %d: '%.*s'", i, end ? (int)(end - line) : 0,
              line);
        if (!end) break;
        *end = 0;
        if (i) CHECK_NEAR(atof(strrchr(line, ',') + 1), 1 / (1 + exp(-gap[i])), 1e-6, "line %d", i);
        line = end + 1;
    }
    CHECK(*line == 0, "more: '%s'", line);

    char *jsonl = slurp(test_path("p2.jsonl"));
    line = jsonl;
    for (int i = 0; i < 4; i++) {
        static const char *const id[] = { "say \"hi\"", "a,b", "plain", "\xc3\xa9t\xc3\xa9" };
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        json_t *j = json_loads(line, 0, NULL);
        CHECK(j && json_integer_value(json_object_get(j, "rank")) == i + 1, "'%s'", line);
        CHECK(j && strcmp(json_string_value(json_object_get(j, "id")), id[i]) == 0, "'%s'", line);
        CHECK_NEAR(j ? json_number_value(json_object_get(j, "score")) : -1, exp(-gap[i + 1]), 1e-6, "rank %d", i + 1);
        json_decref(j);
        line = end ? end + 1 : line + strlen(line);
    }

    char *npy = slurp(test_path("p3.npy"));
    size_t head = 10 + (size_t)(unsigned char)npy[8];
    CHECK(strstr(npy + 10, "'<u8'") && strstr(npy + 10, "(4,)") && head % 64 == 0, "%.*s", (int)head - 10, npy + 10);
    uint64_t id64[4];
    memcpy(id64, npy + head, sizeof id64);
    for (int i = 0; i < 4; i++)
        CHECK(id64[i] == sluice_pool_id64(pool, sluice_picks_get(p, 0)[i].row), "rank %d", i + 1);
    mem_free(csv), mem_free(jsonl), mem_free(npy);
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void manifest(void)
{
    if (!case_is("manifest")) return;
    sluice_pool *pool = awkward_pool();
    sluice_picks *p = pick(s, pool,
                           (sluice_select_args){ .logits = pool,
                                                 .strategies = "power-margin:beta=2",
                                                 .k = 2,
                                                 .seed = 18446744073709551615u,
                                                 .exclude = (int64_t[]){ 0 },
                                                 .exclude_count = 1 });
    CHECK_OK(s, sluice_picks_write(s, p, test_path("m.csv"), 0));
    char *csv = slurp(test_path("m.csv")), hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_bytes(csv, strlen(csv), 0));
    json_t *m = json_load_file(test_path("m.manifest.json"), 0, NULL), *in = json_object_get(m, "inputs"), *out;
    out = json_object_get(json_object_get(m, "outputs"), "m.csv");
    CHECK(m && in && out, "parts are missing");
    CHECK(strcmp(json_string_value(json_object_get(out, "xxh3")), hash) == 0, "hash of the csv");
    CHECK(strcmp(json_string_value(json_object_get(m, "math")), "exact") == 0, "math");
    CHECK(strcmp(json_string_value(json_object_get(in, "seed")), "18446744073709551615") == 0, "seed");
    CHECK(json_integer_value(json_object_get(in, "k")) == 2, "k");
    CHECK(strcmp(json_string_value(json_array_get(json_object_get(in, "strategies"), 0)), "power-margin:beta=2") == 0,
          "strategy");
    CHECK(json_integer_value(json_object_get(json_object_get(m, "counts"), "excluded")) == 1, "excluded");
    json_t *shard = json_array_get(json_object_get(json_object_get(in, "pool"), "shards"), 0);
    CHECK(strcmp(json_string_value(json_object_get(shard, "name")), "x, 1.npy") == 0 &&
              json_integer_value(json_object_get(shard, "bytes")) == 128 + 32,
          "shard");
    CHECK(json_object_get(json_object_get(m, "run"), "seconds") &&
              json_object_get(json_object_get(m, "run"), "backend"),
          "run");
    json_decref(m);
    mem_free(csv);
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void again(void)
{
    if (!case_is("an output that is there")) return;
    sluice_pool *pool = awkward_pool();
    const char *path = test_path("again.csv");
    sluice_picks *p = ratio_picks(pool, path);
    sluice_picks_info info;
    CHECK_OK(s, sluice_picks_write(s, p, path, 0));
    CHECK_OK(s, sluice_picks_write(s, p, path, 0));
    sluice_picks_free(p);
    p = ratio_picks(pool, path);
    sluice_picks_get_info(p, &info);
    CHECK(info.done && info.scanned == 0, "the same inputs are scanned again");
    CHECK_OK(s, sluice_picks_write(s, p, path, 0));
    sluice_picks_free(p);

    sluice_select_args other = { .logits = pool, .strategies = "ratio", .k = 3, .out = path };
    expect_fail(s, pool, other, SLUICE_E_WRITE, "again.csv|other inputs|--force");
    other.force = 1;
    p = pick(s, pool, other);
    CHECK(sluice_picks_write(s, p, path, 0) == SLUICE_E_WRITE, "other picks written over it");
    CHECK_OK(s, sluice_picks_write(s, p, path, 1));
    sluice_picks_free(p);

    /* A csv that was edited, or whose manifest came alone, is made again. */
    write_file(path, "rank\n", 5);
    other.force = 0;
    p = pick(s, pool, other);
    sluice_picks_get_info(p, &info);
    CHECK(!info.done && info.scanned == 4, "an edited output passes as whole");
    CHECK_OK(s, sluice_picks_write(s, p, path, 0));
    sluice_picks_free(p);
    char *csv = slurp(path);
    CHECK(strncmp(csv, "rank,id", 7) == 0, "'%.20s'", csv);
    mem_free(csv);

    /* A csv of somebody else. */
    write_file(test_path("theirs.csv"), "a,b\n", 4);
    other.out = test_path("theirs.csv");
    expect_fail(s, pool, other, SLUICE_E_WRITE, "theirs.csv|--force");
    sluice_pool_free(pool);
}

static void several(void)
{
    if (!case_is("several strategies")) return;
    sluice_pool *pool = awkward_pool();
    const char *folder = test_path("several");
    sluice_select_args a = {
        .logits = pool, .strategies = "margin,entropy,power-margin:beta=2", .k = 2, .out = folder
    };
    sluice_picks *p = pick(s, pool, a);
    CHECK_OK(s, sluice_picks_write(s, p, folder, 0));
    CHECK(files_in(folder) == 4, "%d files", files_in(folder));
    static const char *const name[] = { "several/margin.csv", "several/entropy.csv",
                                        "several/power-margin:beta=2.csv" };
    for (int i = 0; i < 3; i++) {
        char *csv = slurp(test_path(name[i])), id[32];
        sluice_pool_id_text(pool, sluice_picks_get(p, i)[0].row, id, sizeof id);
        CHECK(strncmp(csv, "rank,id,shard,row,score,prediction,confidence\n1,", 48) == 0, "%s: '%.60s'", name[i], csv);
        mem_free(csv);
    }
    json_t *m = json_load_file(test_path("several/manifest.json"), 0, NULL);
    CHECK(json_array_size(json_object_get(m, "lists")) == 3 && json_object_size(json_object_get(m, "outputs")) == 3,
          "manifest");
    json_decref(m);
    sluice_picks_free(p);
    p = pick(s, pool, a);
    sluice_picks_info info;
    sluice_picks_get_info(p, &info);
    CHECK(info.done, "the same inputs are scanned again");
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void mix_names_its_parts(void)
{
    if (!case_is("mix")) return;
    sluice_pool *pool = awkward_pool();
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .logits = pool, .mix = "ratio:1,random:1", .k = 2 });
    CHECK_OK(s, sluice_picks_write(s, p, test_path("mix.csv"), 0));
    char *csv = slurp(test_path("mix.csv"));
    CHECK(strstr(csv, "confidence,strategy\n") && strstr(csv, ",ratio\n2,") && strstr(csv, ",random\n"), "%s", csv);
    mem_free(csv);
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void nothing_to_pick(void)
{
    if (!case_is("k = 0")) return;
    sluice_pool *pool = awkward_pool();
    sluice_picks *p = pick(s, pool, (sluice_select_args){ .logits = pool, .strategies = "ratio", .k = 0 });
    CHECK_OK(s, sluice_picks_write(s, p, test_path("none.csv"), 0));
    char *csv = slurp(test_path("none.csv"));
    CHECK(strcmp(csv, "rank,id,shard,row,score,prediction,confidence\n") == 0, "'%s'", csv);
    mem_free(csv);
    sluice_picks_free(p), sluice_pool_free(pool);
}

static void cannot_write(void)
{
    if (!case_is("cannot write")) return;
    sluice_pool *pool = awkward_pool();
    sluice_picks *p = ratio_picks(pool, NULL);
    const char *folder = test_path("locked");
    mkdir(folder, 0777);
    CHECK(sluice_picks_write(s, p, test_path("missing/p.csv"), 0) == SLUICE_E_WRITE, "%s", sluice_error(s));
    CHECK(strstr(sluice_error(s), "missing/p") != NULL, "%s", sluice_error(s));
    CHECK(sluice_picks_write(s, p, test_path("p.txt"), 0) == SLUICE_E_USAGE, "%s", sluice_error(s));
    chmod(folder, 0555);
    if (geteuid() != 0)
        CHECK(sluice_picks_write(s, p, test_path("locked/p.csv"), 0) == SLUICE_E_WRITE, "%s", sluice_error(s));
    CHECK(files_in(folder) == 0, "%d files were left", files_in(folder));
    chmod(folder, 0777);
    CHECK(symlink("/dev/full", test_path("locked/full.csv")) == 0, "symlink");
    CHECK(sluice_picks_write(s, p, test_path("locked/full.csv"), 1) == SLUICE_E_WRITE, "a full disk: %s",
          sluice_error(s));
    CHECK(files_in(folder) == 1, "%d files beside the link", files_in(folder));
    sluice_picks_free(p), sluice_pool_free(pool);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    s = tier_open(0, 1);
    forms();
    manifest();
    again();
    several();
    mix_names_its_parts();
    nothing_to_pick();
    cannot_write();
    sluice_close(s);
    return test_end();
}
