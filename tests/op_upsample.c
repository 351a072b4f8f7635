/* op_upsample.c - the gradient of a pooling against its definition: MAX sends it to the first largest pixel, the means
 * share it out.  Eighths make ties common. */
#include "harness.h"

typedef struct shape {
    sluice_pooling kind;
    int64_t n, h, w, c, size;
} shape;

static void reference(const shape *k, const float *x, const float *g, float *out)
{
    bool global = k->kind == SLUICE_POOL_GLOBAL;
    int64_t sy = global ? k->h : k->size, sx = global ? k->w : k->size, oh = k->h / sy, ow = k->w / sx;
    for (int64_t i = 0; i < k->h * k->w * k->c; i++) out[i] = 0;
    for (int64_t o = 0; o < oh * ow * k->c; o++) {
        int64_t ch = o % k->c, y0 = o / k->c / ow * sy, x0 = o / k->c % ow * sx, best = -1;
        for (int64_t p = 0; p < sy * sx; p++) {
            int64_t at = ((y0 + p / sx) * k->w + x0 + p % sx) * k->c + ch;
            if (k->kind != SLUICE_POOL_MAX) out[at] = (float)((double)g[o] / (double)(sy * sx));
            else if (best < 0 || x[at] > x[best]) best = at;
        }
        if (k->kind == SLUICE_POOL_MAX) out[best] = g[o];
    }
}

static void one(shape k, size_t off)
{
    if (!case_is("kind=%d n=%d h=%d w=%d c=%d size=%d off=%zu", (int)k.kind, (int)k.n, (int)k.h, (int)k.w, (int)k.c,
                 (int)k.size, off))
        return;
    bool global = k.kind == SLUICE_POOL_GLOBAL;
    int64_t d = k.h * k.w * k.c, wide = (global ? 1 : (k.h / k.size) * (k.w / k.size)) * k.c;
    guarded x = guarded_new((size_t)(k.n * d) * 4, off), g = guarded_new((size_t)(k.n * wide) * 4, off),
            out = guarded_new((size_t)(k.n * d) * 4, off);
    float *want = calloc((size_t)(k.n * d) + 1, 4);
    fill_eighths(x.p, k.n * d, 5), fill_normal(g.p, k.n * wide, 6);
    for (int64_t i = 0; i < k.n; i++)
        reference(&k, (const float *)x.p + i * d, (const float *)g.p + i * wide, want + i * d);
    for (int t = 0; t < tier_count(); t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            sluice *s = tier_open(t, threads);
            sluice_op_upsample_args a = { .kind = k.kind, .h = k.h, .w = k.w, .c = k.c, .size = k.size };
            a.g = sluice_rows(g.p, SLUICE_F32, k.n, wide), a.out = sluice_rows(out.p, SLUICE_F32, k.n, d);
            if (k.kind == SLUICE_POOL_MAX) a.x = sluice_rows(x.p, SLUICE_F32, k.n, d);
            CHECK_OK(s, sluice_op_upsample(s, &a));
            for (int64_t i = 0; i < k.n * d; i++)
                CHECK_NEAR((double)((float *)out.p)[i], (double)want[i], 0, "%s, entry %d", tier_name(t), (int)i);
            CHECK(guarded_ok(&x) && guarded_ok(&g) && guarded_ok(&out), "wrote outside");
            sluice_close(s);
        }
    guarded_free(&x), guarded_free(&g), guarded_free(&out);
    free(want);
}

int main(int argc, char **argv)
{
    static const shape shapes[] = {
        { SLUICE_POOL_MAX, 1, 2, 2, 1, 2 },     { SLUICE_POOL_MAX, 5, 7, 9, 17, 2 },
        { SLUICE_POOL_MAX, 2, 9, 6, 32, 3 },    { SLUICE_POOL_MAX, 0, 4, 4, 3, 2 },
        { SLUICE_POOL_AVERAGE, 3, 8, 8, 5, 4 }, { SLUICE_POOL_AVERAGE, 2, 5, 6, 18, 2 },
        { SLUICE_POOL_GLOBAL, 1, 1, 1, 1, 0 },  { SLUICE_POOL_GLOBAL, 9, 4, 4, 33, 0 },
        { SLUICE_POOL_GLOBAL, 2, 7, 7, 16, 0 },
    };
    test_begin(argc, argv);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) one(shapes[i], i % 4 * 4);
    return test_end();
}
