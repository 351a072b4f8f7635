/* fuzz_head.c - head files: what loads can be run, and saving and loading it again gives the same bytes. */
#include "fuzz.h"
#include "exact.h"
#include "head.h"

enum { WIDEST = 1 << 16 };

static void run_row(sluice *s, const sluice_head *h)
{
    float *x = calloc((size_t)h->in_width, sizeof *x), *z = calloc((size_t)h->classes, sizeof *z);
    MUST(x && z && head_logits(s, h, sluice_rows(x, SLUICE_F32, 1, h->in_width), z) == SLUICE_OK);
    for (int j = 0; j < h->classes; j++) MUST(ex_finite(z[j]) || ex_bits(z[j]) == 0x7fc00000);
    free(x), free(z);
}

static char *saved(sluice *s, const sluice_head *h, int64_t *out_bytes)
{
    const char *path = fuzz_file("saved.safetensors", "", 0);
    char *text = NULL;
    MUST(sluice_head_save(s, h, path, 1) == SLUICE_OK && file_read(s, path, 1 << 26, &text, out_bytes) == SLUICE_OK);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice *s = fuzz_context();
    sluice_head *h = NULL, *again = NULL;
    sluice_status st = sluice_head_load(s, fuzz_file("f.safetensors", data, size), &h);
    if (st) {
        must_explain(s, st);
        MUST(!h);
        return 0;
    }
    MUST(h->layer_count >= 1 && h->in_width >= 1 && h->layers[h->layer_count - 1].out_width == h->classes);
    MUST(h->temperature > 0 && h->scale > 0);
    bool small = true;
    for (int i = 0; i < h->layer_count; i++)
        small = small && h->layers[i].in_width <= WIDEST && h->layers[i].out_width <= WIDEST;
    if (small) run_row(s, h);
    int64_t n, m;
    char *first = saved(s, h, &n);
    MUST(sluice_head_load(s, fuzz_file("saved.safetensors", first, (size_t)n), &again) == SLUICE_OK);
    char *second = saved(s, again, &m);
    MUST(n == m && !memcmp(first, second, (size_t)n));
    mem_free(first), mem_free(second);
    sluice_head_free(h), sluice_head_free(again);
    return 0;
}
