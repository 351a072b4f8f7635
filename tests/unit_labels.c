/* unit_labels.c - labels from texts and integers, class names, groups. */
#include "files.h"
#include "pool.h"

static sluice *s;
static sluice_pool *named, *plain; /* five rows: ids a b c d e, and none */

static void open_pools(void)
{
    const char *path = save_f32("p.npy", 5, 2);
    sluice_pool_args a = { .size = sizeof a, .paths = &path, .path_count = 1 };
    CHECK_OK(s, sluice_pool_open(s, &a, &plain));
    a.ids = save_text("a\nb\nc\nd\ne\n", "five.txt");
    CHECK_OK(s, sluice_pool_open(s, &a, &named));
}

/* "row:class ..." with the names behind "|". */
static const char *flat(const sluice_labels *l)
{
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (int64_t i = 0; i < l->count && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%lld:%d ", (long long)l->row[i], l->target[i]);
    for (int j = 0; j < l->classes && n < sizeof text; j++)
        n += (size_t)snprintf(text + n, sizeof text - n, "|%s", l->names[j]);
    return text;
}

static void csv_labels(void)
{
    static const struct {
        const char *text, *classes, *want;
    } good[] = {
        { "id,label\nc,dog\na,cat\ne,dog\n", NULL, "0:0 2:1 4:1 |cat|dog" },
        { "label,id,source\ndog,c,alice\ncat,a,bob\n", NULL, "0:0 2:1 |cat|dog" },
        { "id,label\na,B\nb,a\nc,\xc3\xa9\n", NULL, "0:0 1:1 2:2 |B|a|\xc3\xa9" },
        { "id,label\nb,2\na,0\n", NULL, "0:0 1:2 |0|1|2" },
        { "id,label\nb,02\na,0\n", NULL, "0:0 1:1 |0|02" },
        { "id,label\nb,10\na,9\nc,x\n", NULL, "0:1 1:0 2:2 |10|9|x" },
        { "id,label\n", NULL, "" },
        { "id,label\na,dog\n", "cat\ndog\neel\n", "0:1 |cat|dog|eel" },
        { "id,label\na,2\nb,0\n", "cat\ndog\neel\n", "0:2 1:0 |cat|dog|eel" },
        { "id,label\na,1\nb,0\n", "1\n0\n", "0:0 1:1 |1|0" }, /* names come before indices */
        { "id,label\n", "cat\ndog\n", "|cat|dog" },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!case_is("good csv %zu", i)) continue;
        sluice_labels *l = NULL;
        const char *classes = good[i].classes ? save_text(good[i].classes, "classes.txt") : NULL;
        CHECK_OK(s, sluice_labels_load(s, named, save_text(good[i].text, "l.csv"), classes, &l));
        if (!l) continue;
        CHECK(!strcmp(flat(l), good[i].want), "'%s', want '%s'", flat(l), good[i].want);
        CHECK(l->fingerprint == named->fingerprint && sluice_labels_count(l) == l->count &&
                  sluice_labels_classes(l) == l->classes,
              "facts");
        sluice_labels_free(l);
    }
    static const struct {
        const char *text, *classes, *part;
        sluice_status want;
    } bad[] = {
        { "", NULL, "empty", SLUICE_E_FORMAT },
        { "a,cat\nb,dog\n", NULL, "hint: the first line names the columns: id,label", SLUICE_E_FORMAT },
        { "id,class\na,cat\n", NULL, "no column 'label'", SLUICE_E_FORMAT },
        { "id,label\na,cat\nz,dog\ny,dog\n", NULL, "line 3: id 'z' is not in the pool, nor are 1 others of 3",
          SLUICE_E_DATA },
        { "id,label\na,cat\nb,dog\na,dog\n", NULL, "lines 2 and 4 name the same row 0", SLUICE_E_DATA },
        { "id,label\na,cat\nb,dog\na,cat\n", NULL, "lines 2 and 4", SLUICE_E_DATA },
        { "id,label\na,cat\nb,\n", NULL, "line 3: the label is empty", SLUICE_E_DATA },
        { "id,label\na,1\nb,-1\n", NULL, "line 3: label -1 is negative", SLUICE_E_DATA },
        { "id,label\na,1\nb,1048576\n", NULL, "line 3: label 1048576 is above", SLUICE_E_DATA },
        { "id,label\na,1\nb,99999999999\n", NULL, "line 3", SLUICE_E_DATA },
        { "id,label\na,cat\nb,cow\n", "cat\ndog\n", "line 3: label 'cow' is no class of", SLUICE_E_DATA },
        { "id,label\na,1\nb,2\n", "cat\ndog\n", "above the 2 classes", SLUICE_E_DATA },
        { "id,label\na,cat\n", "cat\ndog\ncat\n", "'cat' twice", SLUICE_E_DATA },
        { "id,label\na,cat\n", "", "names 0 classes", SLUICE_E_FORMAT },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!case_is("bad csv %zu", i)) continue;
        sluice_labels *l = NULL;
        const char *classes = bad[i].classes ? save_text(bad[i].classes, "classes.txt") : NULL;
        sluice_status st = sluice_labels_load(s, named, save_text(bad[i].text, "l.csv"), classes, &l);
        CHECK(st == bad[i].want && strstr(sluice_error(s), bad[i].part) && !l, "status %d: %s", st, sluice_error(s));
    }
    if (case_is("row numbers where the pool has no ids")) {
        sluice_labels *l = NULL;
        CHECK_OK(s, sluice_labels_load(s, plain, save_text("id,label\n4,x\n0,y\n", "l.csv"), NULL, &l));
        CHECK(l && !strcmp(flat(l), "0:1 4:0 |x|y"), "%s", flat(l));
        sluice_labels_free(l);
        CHECK_FAILS(s, sluice_labels_load(s, plain, save_text("id,label\n5,x\n", "l.csv"), NULL, &l), E_DATA,
                    "hint: the pool has no ids");
    }
}

static void int_labels(void)
{
    static const char *const types[] = { "|i1", "<i2", "<i4", "<i8" };
    sluice_labels *l = NULL;
    for (int i = 0; i < 4; i++) {
        if (!case_is("npy of %s", types[i])) continue;
        CHECK_OK(
            s, sluice_labels_load(s, named, save_ints("l.npy", types[i], (int64_t[]){ 2, -1, 0, 2, -1 }, 5), NULL, &l));
        CHECK(l && !strcmp(flat(l), "0:2 2:0 3:2 |0|1|2"), "%s", flat(l));
        sluice_labels_free(l);
        l = NULL;
    }
    if (case_is("none is labelled")) {
        CHECK_OK(
            s, sluice_labels_load(s, named, save_ints("l.npy", "<i8", (int64_t[]){ -1, -1, -1, -1, -1 }, 5), NULL, &l));
        CHECK(l->count == 0 && l->classes == 0, "%d classes", l->classes);
        sluice_labels_free(l);
        l = NULL;
    }
    if (case_is("names from a file")) {
        const char *classes = save_text("cat\ndog\n", "classes.txt");
        CHECK_OK(s,
                 sluice_labels_load(s, named, save_ints("l.npy", "|u1", (int64_t[]){ 1, 0, 1, 1, 0 }, 5), classes, &l));
        CHECK(!strcmp(flat(l), "0:1 1:0 2:1 3:1 4:0 |cat|dog"), "%s", flat(l));
        sluice_labels_free(l);
        l = NULL;
        CHECK_FAILS(
            s, sluice_labels_load(s, named, save_ints("l.npy", "|u1", (int64_t[]){ 1, 0, 2, 1, 0 }, 5), classes, &l),
            E_DATA, "row 2 has label 2");
    }
    if (case_is("idx")) {
        blob f = { .n = 0 };
        put_be(&f, 0x0801, 4), put_be(&f, 5, 4), put(&f, "\3\0\0\1\3", 5);
        CHECK_OK(s, sluice_labels_load(s, named, save(&f, "l-ubyte"), NULL, &l));
        CHECK(!strcmp(flat(l), "0:3 1:0 2:0 3:1 4:3 |0|1|2|3"), "%s", flat(l));
        sluice_labels_free(l);
        l = NULL;
    }
    if (case_is("bad integers")) {
        CHECK_FAILS(s, sluice_labels_load(s, named, save_ints("l.npy", "<i8", (int64_t[]){ 1, 2, 3, 4 }, 4), NULL, &l),
                    E_SHAPE, "4 labels for 5 rows");
        CHECK_FAILS(s,
                    sluice_labels_load(s, named, save_ints("l.npy", "<i8", (int64_t[]){ 1, 2, -2, 4, 5 }, 5), NULL, &l),
                    E_DATA, "row 2 has label -2");
        CHECK_FAILS(s,
                    sluice_labels_load(s, named, save_ints("l.npy", "<u8", (int64_t[]){ 1, 2, -1, 4, 5 }, 5), NULL, &l),
                    E_DATA, "row 2");
        CHECK_FAILS(
            s, sluice_labels_load(s, named, save_ints("l.npy", "<i8", (int64_t[]){ 1, 2, 1 << 20, 4, 5 }, 5), NULL, &l),
            E_DATA, "1048576");
        CHECK_FAILS(s, sluice_labels_load(s, named, save_f32("l.npy", 5, 1), NULL, &l), E_TYPE, "integers");
        CHECK_FAILS(s, sluice_labels_load(s, named, test_path("gone.npy"), NULL, &l), E_MISSING, "gone.npy");
        blob f = { .n = 0 };
        put_npy(&f, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 2)}", 10);
        CHECK_FAILS(s, sluice_labels_load(s, named, save(&f, "l.npy"), NULL, &l), E_SHAPE, "one integer a row");
    }
    if (case_is("from an array")) {
        CHECK_OK(s, sluice_labels_from_array(s, named, (int32_t[]){ -1, 2, 0, -1, 1 }, 4, &l));
        CHECK(!strcmp(flat(l), "1:2 2:0 4:1 |0|1|2|3"), "%s", flat(l));
        sluice_labels_free(l);
        l = NULL;
        CHECK_FAILS(s, sluice_labels_from_array(s, named, (int32_t[]){ -1, 4, 0, -1, 1 }, 4, &l), E_DATA,
                    "row 1 has label 4");
        CHECK_FAILS(s, sluice_labels_from_array(s, named, (int32_t[]){ -1, 0, 0, -5, 1 }, 4, &l), E_DATA,
                    "row 3 has label -5");
        CHECK_FAILS(s, sluice_labels_from_array(s, named, (int32_t[]){ 0 }, -1, &l), E_USAGE, "-1 classes");
        sluice_labels_free(NULL);
    }
}

static void groups(void)
{
    int32_t *g = NULL;
    if (!case_is("groups")) return;
    CHECK_OK(s, groups_load(s, named, save_text("id,group\ne,clip2\na,clip10\nb,clip2\nc,\n", "g.csv"), &g));
    CHECK(g && g[0] == 0 && g[1] == 1 && g[2] == -1 && g[3] == -1 && g[4] == 1, "groups");
    mem_free(g);
    CHECK_FAILS(s, groups_load(s, named, save_text("id,label\na,1\n", "g.csv"), &g), E_FORMAT, "no column 'group'");
    CHECK_FAILS(s, groups_load(s, named, save_text("id,group\na,1\nz,1\n", "g.csv"), &g), E_DATA, "line 3: id 'z'");
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    open_pools();
    csv_labels();
    int_labels();
    groups();
    sluice_pool_free(named), sluice_pool_free(plain);
    sluice_close(s);
    return test_end();
}
