/* fuzz_pool.c - pool.json over two small shards; what opens has all its rows in one shard each. */
#include "fuzz.h"

static void put_shard(const char *name, int rows)
{
    char text[256] = "\x93NUMPY\1\0v\0";
    int n = 10 +
            snprintf(text + 10, sizeof text - 10, "{'descr': '|i1', 'fortran_order': False, 'shape': (%d, 2), }", rows);
    memset(text + n, ' ', sizeof text - (size_t)n);
    fuzz_file(name, text, 128 + 2 * (size_t)rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    sluice_pool *p = NULL;
    put_shard("a.npy", 3), put_shard("b.npy", 2);
    fuzz_file("ids.txt", "p\nq\nr\ns\nt\n", 10);
    const char *path = fuzz_file("pool.json", data, size);
    sluice_status st = sluice_pool_open(
        s, &(sluice_pool_args){ .size = sizeof(sluice_pool_args), .paths = &path, .path_count = 1 }, &p);
    if (st) {
        must_explain(s, st);
        return 0;
    }
    MUST(p->width == 2 && p->shard_count > 0);
    for (int64_t r = 0; r < p->rows; r++) {
        const shard *sh = pool_shard_of(p, r);
        MUST(r >= sh->first_row && r - sh->first_row < sh->rows);
    }
    MUST(!p->ids || (p->rows == 5 && pool_find(s, p, "q") == 1));
    sluice_pool_free(p);
    return 0;
}
