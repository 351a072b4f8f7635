/* fuzz_fvecs.c - the first byte chooses the ending, the rest is the file. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    array_facts a = { 0 };
    if (!size) return 0;
    sluice_status st = fvecs_open(s, fuzz_file(data[0] & 1 ? "f.bvecs" : "f.fvecs", data + 1, size - 1), NULL, &a);
    if (st) {
        must_explain(s, st);
        return 0;
    }
    must_fit(&a, size - 1);
    MUST((size_t)a.shape[0] * a.stride == size - 1 && a.shape[0] > 0);
    return 0;
}
