/* fuzz_npy.c - .npy as features and as integers. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    const char *path = fuzz_file("f.npy", data, size);
    array_facts a = { 0 };
    sluice_status st = npy_open(s, path, NULL, &a);
    int64_t *v = NULL, n = 0;
    bool wide = false;
    if (st) {
        must_explain(s, st);
        return 0;
    }
    must_fit(&a, size);
    MUST(a.offset + (size_t)a.shape[0] * a.stride == size);
    st = ints_load(s, path, &v, &n, &wide);
    if (st) must_explain(s, st);
    else MUST(n == a.shape[0]);
    mem_free(v);
    return 0;
}
