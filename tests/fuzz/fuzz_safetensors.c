/* fuzz_safetensors.c - the container, its tensors one by one, and the one that a pool would read. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    const char *path = fuzz_file("f.safetensors", data, size);
    st_file f = { 0 };
    array_facts a = { 0 };
    sluice_status st = safetensors_open(s, path, &f);
    if (st) {
        must_explain(s, st);
        return 0;
    }
    size_t end = 0;
    for (int i = 0; i < f.count; i++) {
        const st_tensor *t = &f.tensors[i];
        char *out = malloc(t->bytes ? t->bytes : 1);
        MUST(t->ndim <= 8 && t->name && (!i || t->offset == end));
        MUST(safetensors_find(&f, t->name) == t);
        end = t->offset + t->bytes;
        MUST(end <= size);
        MUST(out && safetensors_read(s, path, t, out) == SLUICE_OK && !memcmp(out, data + t->offset, t->bytes));
        free(out);
    }
    MUST(!f.count || end == size);
    safetensors_release(&f);
    st = safetensors_array_open(s, path, NULL, &a);
    if (st) must_explain(s, st);
    else must_fit(&a, size);
    return 0;
}
