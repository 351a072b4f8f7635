/* unit_identity.c - which run a file belongs to: the first difference is named; and a sealed file is whole or refused. */
#include "files.h"
#include "identity.h"

static json_t *run(const char *version, const char *strategy, int64_t k, const char *shard)
{
    return json_pack("{s:s, s:s, s:{s:{s:s, s:[{s:s, s:I}]}, s:[s], s:I, s:f}, s:i}", "sluice", version, "task",
                     "select", "inputs", "pool", "fingerprint", "0123", "shards", "name", shard, "bytes",
                     (json_int_t)4096, "strategies", strategy, "k", (json_int_t)k, "max_bad", 0.01, "part", 2);
}

static void differs(sluice *s, json_t *theirs, const char *want)
{
    if (!case_is("%s", want)) return;
    json_t *mine = run("0.1.0", "margin", 10, "a.npy");
    CHECK_FAILS(s, identity_check(s, "x.s", theirs, mine), E_DATA, "'x.s' belongs to another run: its ");
    CHECK_FAILS(s, identity_check(s, "x.s", theirs, mine), E_DATA, want);
    json_decref(mine), json_decref(theirs);
}

static void same(sluice *s)
{
    if (!case_is("the same, and what only they say")) return;
    json_t *mine = run("0.1.0", "margin", 10, "a.npy"), *theirs = run("0.1.0", "margin", 10, "a.npy");
    json_object_set_new(theirs, "note", json_string("anything"));
    CHECK_OK(s, identity_check(s, "x.s", theirs, mine));
    json_object_set_new(mine, "parts", json_integer(3));
    CHECK_FAILS(s, identity_check(s, "x.s", theirs, mine), E_DATA, "its parts is none, here it is 3");
    CHECK_FAILS(s, identity_check(s, "x.s", NULL, mine), E_FORMAT, "does not say what it belongs to");
    json_t *more = run("0.1.0", "margin", 10, "a.npy");
    json_object_set_new(json_object_get(more, "inputs"), "balance", json_true());
    json_object_del(mine, "parts");
    CHECK_FAILS(s, identity_check(s, "x.s", more, mine), E_DATA, "its balance is true, here it is none");
    json_decref(mine), json_decref(theirs), json_decref(more);
}

/* Every byte counts: any other value of it, and any other length, is refused. */
static void sealed_files(sluice *s)
{
    if (!case_is("a sealed file")) return;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("sealed"));
    json_t *id = run("0.1.0", "margin", 10, "a.npy");
    CHECK_OK(s, sealed_write(s, path, id, "the body", 8));
    sealed f = { 0 };
    CHECK_OK(s, sealed_read(s, path, &f));
    CHECK(f.bytes == 8 && memcmp(f.body, "the body", 8) == 0 && json_equal(f.identity, id), "%zu bytes", f.bytes);
    sealed_release(&f);
    char *text;
    int64_t size;
    CHECK_OK(s, file_read(s, path, 1 << 20, &text, &size));
    for (int64_t i = 0; i < size; i++) {
        text[i] ^= 4;
        write_file(path, text, (size_t)size);
        CHECK_FAILS(s, sealed_read(s, path, &f), E_FORMAT, path);
        text[i] ^= 4;
        write_file(path, text, (size_t)i);
        CHECK_FAILS(s, sealed_read(s, path, &f), E_FORMAT, path);
    }
    CHECK(!f.identity && !f.file, "something was read");
    CHECK_FAILS(s, sealed_read(s, test_path("missing"), &f), E_MISSING, "missing");
    mem_free(text), json_decref(id);
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 1);
    differs(s, run("0.2.0", "margin", 10, "a.npy"), "sluice is \"0.2.0\", here it is \"0.1.0\"");
    differs(s, run("0.1.0", "entropy", 10, "a.npy"), "strategies 0 is \"entropy\", here it is \"margin\"");
    differs(s, run("0.1.0", "margin", 11, "a.npy"), "k is 11, here it is 10");
    differs(s, run("0.1.0", "margin", 10, "b.npy"), "pool shards 0 name is \"b.npy\", here it is \"a.npy\"");
    differs(s, json_object(), "sluice is none, here it is \"0.1.0\"");
    same(s);
    sealed_files(s);
    sluice_close(s);
    return test_end();
}
