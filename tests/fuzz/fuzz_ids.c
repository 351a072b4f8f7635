/* fuzz_ids.c - ids, as .txt or .csv by the first byte, of a pool with as many rows as the second says; every id leads
 * back to its row. */
#include "fuzz.h"
#include "ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    if (size < 2) return 0;
    char *path = mem_text(s, fuzz_file(data[0] & 1 ? "ids.csv" : "ids.txt", data + 2, size - 2));
    sluice_pool *pool = NULL;
    static float none[256];
    MUST(sluice_pool_from_rows(s, none, SLUICE_F32, data[1], 1, 4, NULL, &pool) == SLUICE_OK);
    sluice_status st = ids_load(s, pool, &(id_part){ path, 0, data[1] }, 1);
    if (st) must_explain(s, st);
    for (int64_t r = 0; !st && r < pool->rows; r++) {
        char text[32], *whole = text;
        size_t n = sluice_pool_id_text(pool, r, text, sizeof text);
        if (n >= sizeof text) MUST((whole = malloc(n + 1)) && sluice_pool_id_text(pool, r, whole, n + 1) == n);
        MUST(strlen(whole) == n && pool_find(s, pool, whole) == r);
        if (whole != text) free(whole);
    }
    sluice_pool_free(pool);
    mem_free(path);
    return 0;
}
