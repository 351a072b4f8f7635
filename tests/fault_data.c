/* fault_data.c - pools, ids, labels and containers while the n-th allocation fails, jansson's included: a status with a
 * message, no object, no file, nothing leaked (the address sanitizer watches). */
#include "failing.h"
#include "files.h"
#include "pool.h"

#include <sys/stat.h>
#include <unistd.h>

static void *json_malloc(size_t bytes) { return fails() ? NULL : malloc(bytes); }

static sluice_pool *five; /* rows with ids a b c d e */

static sluice_status open_path(sluice *s, const char *path, const char *ids)
{
    sluice_pool *p = NULL;
    sluice_pool_args a = { .size = sizeof a, .paths = &path, .path_count = 1, .ids = ids };
    sluice_status st = sluice_pool_open(s, &a, &p);
    CHECK(!st == !!p, "status %d and pool %p", st, (void *)p);
    sluice_pool_free(p);
    return st;
}

static sluice_status pool_json(sluice *s) { return open_path(s, test_path("j/pool.json"), NULL); }
static sluice_status pool_folder(sluice *s) { return open_path(s, test_path("plain"), test_path("ids.csv")); }
static sluice_status pool_list(sluice *s) { return open_path(s, test_path("list.txt"), NULL); }
static sluice_status pool_tensor(sluice *s) { return open_path(s, test_path("w.safetensors"), NULL); }

static sluice_status pool_memory(sluice *s)
{
    static const float rows[5];
    static const uint64_t ids[5] = { 5, 3, 1, 2, 4 };
    sluice_pool *p = NULL;
    sluice_status st = sluice_pool_from_rows(s, rows, SLUICE_F32, 5, 1, 4, ids, &p);
    CHECK(!st == !!p, "status %d and pool %p", st, (void *)p);
    sluice_pool_free(p);
    return st;
}

static sluice_status labels_of(sluice *s, const char *path, const char *classes)
{
    sluice_labels *l = NULL;
    sluice_status st = sluice_labels_load(s, five, path, classes, &l);
    CHECK(!st == !!l, "status %d and labels %p", st, (void *)l);
    sluice_labels_free(l);
    return st;
}

static sluice_status labels_csv(sluice *s) { return labels_of(s, test_path("l.csv"), NULL); }
static sluice_status labels_named(sluice *s) { return labels_of(s, test_path("l.csv"), test_path("classes.txt")); }
static sluice_status labels_npy(sluice *s) { return labels_of(s, test_path("l.npy"), NULL); }

static sluice_status lists(sluice *s)
{
    int64_t *rows = NULL, n = 0;
    int32_t *group = NULL;
    sluice_status st = rows_load(s, five, test_path("l.csv"), &rows, &n);
    if (!st) st = groups_load(s, five, test_path("g.csv"), &group);
    mem_free(rows), mem_free(group);
    return st;
}

static sluice_status write_container(sluice *s, const char *path)
{
    static const float w[6];
    st_tensor t[] = { { .name = "w", .dtype = "F32", .ndim = 2, .shape = { 2, 3 }, .bytes = 24, .data = w } };
    return safetensors_write(s, path, false, t, 1, NULL);
}

static sluice_status container_write(sluice *s)
{
    const char *path = test_path("out.safetensors");
    unlink(path);
    sluice_status st = write_container(s, path);
    CHECK(!st == !access(path, F_OK), "status %d, and the file is%s there", st, access(path, F_OK) ? " not" : "");
    return st;
}

/* Every allocation in turn; jansson's failures may show as another status, never as success. */
static void each_refused(sluice *s, const char *name, attempt *f)
{
    if (!case_is("%s", name)) return;
    int64_t tried = 0;
    bool failed = true;
    for (; failed; tried++) {
        sluice_status st = fail_once(s, f, tried, &failed);
        CHECK(failed ? st != SLUICE_OK && sluice_error(s)[0] : st == SLUICE_OK, "allocation %lld: status %d, '%s'",
              (long long)tried, st, sluice_error(s));
    }
    CHECK(tried > 4, "only %lld allocations were seen", (long long)tried - 1);
}

static void make_files(sluice *s)
{
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("j"));
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s", test_path("plain"));
    mkdir(path, 0777);
    blob f = { .n = 0 };
    put_npy(&f, 1, "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3)}", 6);
    save(&f, "j/q.npy");
    f.n = 0;
    put_npy(&f, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8);
    save(&f, "j/q.scale.npy");
    save_text("x\ny\n", "j/ids.txt");
    save_text(
        "{\"shards\": [{\"path\": \"q.npy\", \"rows\": 2, \"type\": \"i8\", \"width\": 3}], \"ids\": \"ids.txt\"}",
        "j/pool.json");
    save_f32("plain/a1.npy", 2, 3), save_f32("plain/a2.npy", 3, 3);
    save_text("id,x\nb,1\n\"a\",2\nc,\ne,\nd,\n", "ids.csv");
    save_text("plain/a2.npy\nplain/a1.npy\n", "list.txt");
    save_text("id,label\na,dog\nb,cat\n", "l.csv");
    save_text("id,group\na,1\nb,2\n", "g.csv");
    save_text("cat\ndog\n", "classes.txt");
    save_ints("l.npy", "<i8", (int64_t[]){ 1, 0, -1, 1, 0 }, 5);
    CHECK_OK(s, write_container(s, test_path("w.safetensors")));
    const char *folder = test_path("plain"), *ids = test_path("five.txt");
    save_text("a\nb\nc\nd\ne\n", "five.txt");
    CHECK_OK(s, sluice_pool_open(s,
                                 &(sluice_pool_args){
                                     .size = sizeof(sluice_pool_args), .paths = &folder, .path_count = 1, .ids = ids },
                                 &five));
}

int main(int argc, char **argv)
{
    sluice *s;
    test_begin(argc, argv);
    sluice_open(NULL, &s);
    json_set_alloc_funcs(json_malloc, free);
    make_files(s);
    each_refused(s, "pool.json", pool_json);
    each_refused(s, "a folder with ids", pool_folder);
    each_refused(s, "a list", pool_list);
    each_refused(s, "a tensor", pool_tensor);
    each_refused(s, "rows in memory", pool_memory);
    each_refused(s, "labels csv", labels_csv);
    each_refused(s, "labels with class names", labels_named);
    each_refused(s, "labels npy", labels_npy);
    each_refused(s, "rows and groups", lists);
    each_refused(s, "a container written", container_write);
    sluice_pool_free(five);
    sluice_close(s);
    return test_end();
}
