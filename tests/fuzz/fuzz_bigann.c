/* fuzz_bigann.c - the first byte chooses the ending, the rest is the file. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "f.fbin", "f.f16bin", "f.u8bin", "f.i8bin" };
    sluice *s = fuzz_context();
    array_facts a = { 0 };
    if (!size) return 0;
    sluice_status st = bigann_open(s, fuzz_file(names[data[0] % 4], data + 1, size - 1), NULL, &a);
    if (st) must_explain(s, st);
    else must_fit(&a, size - 1);
    return 0;
}
