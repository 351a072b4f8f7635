/* unit_head.c - layer lines, folding, rows run through layers, the head file against hostile bytes, imported weights. */
#include "harness.h"
#include "head.h"
#include "exact.h"
#include "ref.h"

static char *const three[] = { "ant", "bee", "cat" };

/* ---- layer lines ---- */

static void good_lines(sluice *s)
{
    static const struct {
        const char *line;
        int64_t shape[3];
        int layers;
        int64_t features;
    } cases[] = {
        { "linear", { 7 }, 1, 7 },
        { "linear", { 4, 5, 2 }, 1, 40 },
        { "mlp:16,relu,drop:0.25,linear", { 7 }, 4, 16 },
        { "conv3:8,relu,pool2,conv5:4/2,relu,gap,linear", { 28, 28, 1 }, 7, 4 },
        { "conv1:3,pool3,linear", { 10, 7, 2 }, 3, 18 },
        { "conv3:2,linear", { 5, 6, 0 }, 2, 60 }, /* a picture without channels has one */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!case_is("line %s", cases[i].line)) continue;
        sluice_head *h = NULL;
        CHECK_OK(s, head_new(s, cases[i].line, cases[i].shape, 3, three, &h));
        if (!h) continue;
        CHECK(h->layer_count == cases[i].layers, "%d layers", h->layer_count);
        CHECK(head_feature_width(h) == cases[i].features, "%lld features", (long long)head_feature_width(h));
        CHECK(h->layers[h->layer_count - 1].out_width == 3, "%lld outputs",
              (long long)h->layers[h->layer_count - 1].out_width);
        CHECK(head_is_linear(h) == (cases[i].layers == 1), "is linear");
        CHECK(strcmp(sluice_head_class_name(h, 1), "bee") == 0 && !sluice_head_class_name(h, 3), "names");
        CHECK(strcmp(sluice_head_layers(h), cases[i].line) == 0, "%s", sluice_head_layers(h));
        sluice_head_free(h);
    }
}

static void bad_lines(sluice *s)
{
    static const struct {
        const char *line;
        int64_t shape[3];
        sluice_status want;
    } cases[] = {
        { "", { 7 }, SLUICE_E_USAGE },
        { "relu", { 7 }, SLUICE_E_USAGE },
        { "linear,linear", { 7 }, SLUICE_E_USAGE },
        { "linear,", { 7 }, SLUICE_E_USAGE },
        { "mlp,linear", { 7 }, SLUICE_E_USAGE },
        { "mlp:0,linear", { 7 }, SLUICE_E_USAGE },
        { "mlp:99999999999999999999,linear", { 7 }, SLUICE_E_USAGE },
        { "drop:1,linear", { 7 }, SLUICE_E_USAGE },
        { "drop:nan,linear", { 7 }, SLUICE_E_USAGE },
        { "conv2:4,linear", { 8, 8, 1 }, SLUICE_E_USAGE },
        { "conv3:4/9,linear", { 8, 8, 1 }, SLUICE_E_USAGE },
        { "conv3:4x,linear", { 8, 8, 1 }, SLUICE_E_USAGE },
        { "conv3:4,linear", { 7 }, SLUICE_E_SHAPE },
        { "gap,linear", { 7 }, SLUICE_E_SHAPE },
        { "pool8,pool8,linear", { 28, 28, 1 }, SLUICE_E_SHAPE },
        { "gap,conv3:4,linear", { 8, 8, 1 }, SLUICE_E_SHAPE },
        { "conv5:1048576,conv5:1048576,linear", { 8, 8, 1 }, SLUICE_E_SHAPE },
        { "linear", { 0 }, SLUICE_E_SHAPE },
        { "linear", { INT64_MAX, INT64_MAX, 4 }, SLUICE_E_SHAPE },
        { "linear", { -3, 2, 1 }, SLUICE_E_SHAPE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!case_is("bad line %zu '%s'", i, cases[i].line)) continue;
        sluice_head *h = NULL;
        sluice_status st = head_new(s, cases[i].line, cases[i].shape, 3, three, &h);
        CHECK(st == cases[i].want && !h && *sluice_error(s), "status %d: %s", st, sluice_error(s));
    }
    if (case_is("65 layers")) {
        char line[64 * 5 + 8] = "";
        for (int i = 0; i < 64; i++) strcat(line, "relu,");
        sluice_head *h = NULL;
        CHECK(head_new(s, strcat(line, "linear"), (int64_t[3]){ 7 }, 3, three, &h) == SLUICE_E_USAGE, "%s",
              sluice_error(s));
    }
    if (case_is("no class, too many classes")) {
        sluice_head *h = NULL;
        CHECK(head_new(s, "linear", (int64_t[3]){ 7 }, 0, three, &h) == SLUICE_E_SHAPE, "%s", sluice_error(s));
        CHECK(head_new(s, "linear", (int64_t[3]){ 7 }, INT32_MAX, three, &h) == SLUICE_E_SHAPE, "%s", sluice_error(s));
    }
}

/* ---- rows through a head ---- */

static sluice_head *random_head(sluice *s, const char *line, const int64_t shape[3], uint64_t seed)
{
    sluice_head *h = NULL;
    CHECK_OK(s, head_new(s, line, shape, 3, three, &h));
    CHECK_OK(s, head_tensors(s, h));
    for (int i = 0; i < h->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&h->layers[i], &rows, &cols);
        fill_normal(h->layers[i].w, rows * cols, seed + (uint64_t)i);
        fill_normal(h->layers[i].b, rows, seed + 50 + (uint64_t)i);
    }
    h->mean = mem_raw(s, h->in_width, sizeof(float));
    fill_normal(h->mean, h->in_width, seed + 99);
    h->scale = 1.7f, h->temperature = 2.5f;
    CHECK_OK(s, head_prepare(s, h));
    return h;
}

static void conv_by_definition(const layer *l, const double *x, double *y)
{
    const sluice_conv_shape *c = &l->conv;
    for (int64_t oy = 0; oy < c->out_h; oy++)
        for (int64_t ox = 0; ox < c->out_w; ox++)
            for (int64_t o = 0; o < c->cout; o++) {
                double sum = (double)l->b[o];
                for (int64_t ky = 0; ky < c->kernel; ky++)
                    for (int64_t kx = 0; kx < c->kernel; kx++)
                        for (int64_t i = 0; i < c->cin; i++) {
                            int64_t iy = oy * c->stride + ky - c->kernel / 2, ix = ox * c->stride + kx - c->kernel / 2;
                            if (iy < 0 || ix < 0 || iy >= c->h || ix >= c->w) continue;
                            sum += x[(iy * c->w + ix) * c->cin + i] *
                                   (double)l->w[((o * c->kernel + ky) * c->kernel + kx) * c->cin + i];
                        }
                y[(oy * c->out_w + ox) * c->cout + o] = sum;
            }
}

static void pool_by_definition(const layer *l, const double *x, double *y)
{
    int64_t h = l->in_shape[0], w = l->in_shape[1], c = l->in_shape[2], size = l->pool_size;
    for (int64_t oy = 0; oy < h / size; oy++)
        for (int64_t ox = 0; ox < w / size; ox++)
            for (int64_t i = 0; i < c; i++) {
                double top = -INFINITY;
                for (int64_t p = 0; p < size * size; p++)
                    top = fmax(top, x[((oy * size + p / size) * w + ox * size + p % size) * c + i]);
                y[(oy * (w / size) + ox) * c + i] = top;
            }
}

/* One row in double; out [classes]. */
static void head_by_definition(const sluice_head *h, const float *row, double *out)
{
    double a[4096], b[4096], *x = a, *y = b;
    for (int64_t k = 0; k < h->in_width; k++)
        x[k] = ((double)row[k] - (h->mean ? (double)h->mean[k] : 0)) / (double)h->scale;
    for (const layer *l = h->layers; l < h->layers + h->layer_count; l++) {
        for (int64_t j = 0; j < l->out_width; j++) y[j] = x[j];
        if (l->kind == LAYER_CONV) conv_by_definition(l, x, y);
        if (l->kind == LAYER_POOL) pool_by_definition(l, x, y);
        for (int64_t j = 0; j < l->out_width; j++) {
            if (l->kind == LAYER_RELU) y[j] = x[j] > 0 ? x[j] : 0;
            if (l->kind != LAYER_DENSE && l->kind != LAYER_GAP) continue;
            y[j] = l->kind == LAYER_DENSE ? (double)l->b[j] : 0;
            for (int64_t k = 0; l->kind == LAYER_DENSE && k < l->in_width; k++)
                y[j] += x[k] * (double)l->w[j * l->in_width + k];
            for (int64_t p = 0; l->kind == LAYER_GAP && p < l->in_shape[0] * l->in_shape[1]; p++)
                y[j] += x[p * l->in_shape[2] + j] / (double)(l->in_shape[0] * l->in_shape[1]);
        }
        double *swap = x;
        x = y, y = swap;
    }
    memcpy(out, x, (size_t)h->classes * sizeof *out);
}

static const struct {
    const char *line;
    int64_t shape[3];
} heads[] = {
    { "linear", { 37 } },
    { "mlp:19,relu,drop:0.5,linear", { 37 } },
    { "conv3:5,relu,pool2,conv5:4/2,relu,gap,linear", { 9, 10, 2 } },
    { "relu,conv1:3,linear", { 6, 5, 3 } },
};
enum { HEADS = sizeof heads / sizeof *heads, ROWS = 45, BAD_ROW = 3, BAD_ROW_2 = 44 };

/* Column f of scores in `o`, in the order of the names below. */
static const char *const score_names[] = { "least-confidence", "margin", "ratio", "entropy", "energy", "confidence" };

static void run_head(sluice *s, int i, const float *x, float *z, float *score)
{
    sluice_head *h = random_head(s, heads[i].line, heads[i].shape, 40 + (uint64_t)i);
    sluice_view v = sluice_rows(x, SLUICE_F32, ROWS, h->in_width);
    CHECK_OK(s, head_logits(s, h, v, z));

    float *f = score, again[ROWS * 3], alone[3];
    sluice_scores o = { f, f + ROWS, f + 2 * ROWS, f + 3 * ROWS, f + 4 * ROWS, f + 5 * ROWS, f + 6 * ROWS };
    CHECK_OK(s, head_scan(s, h, v, &o, again));
    CHECK_SAME(z, again, sizeof again, "logits of scan");
    for (int r = 0; r < ROWS; r += 11) {
        CHECK_OK(s, head_logits(s, h, sluice_rows(x + r * h->in_width, SLUICE_F32, 1, h->in_width), alone));
        CHECK_SAME(alone, z + 3 * r, sizeof alone, "row %d alone", r);
    }
    if (!head_is_linear(h)) {
        float *features = calloc((size_t)(ROWS * head_feature_width(h)), sizeof *features);
        CHECK_OK(s, head_features(s, h, v, features));
        CHECK(ex_bits(features[BAD_ROW * head_feature_width(h)]) == 0x7fc00000, "features of a bad row");
        free(features);
    }
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, 0, h->in_width), NULL));
    CHECK(head_logits(s, h, sluice_rows(x, SLUICE_F32, 1, h->in_width - 1), alone) == SLUICE_E_SHAPE, "another width");
    sluice_head_free(h);
}

static void check_rows(sluice *s, int i, const float *x, const float *z, const float *score)
{
    sluice_head *h = random_head(s, heads[i].line, heads[i].shape, 40 + (uint64_t)i);
    for (int r = 0; r < ROWS; r++) {
        double want[3], top = 0;
        bool bad = r == BAD_ROW || r == BAD_ROW_2;
        head_by_definition(h, x + r * h->in_width, want);
        for (int j = 0; j < 3; j++) top = fmax(top, fabs(want[j]));
        for (int j = 0; j < 3 && !bad; j++)
            CHECK_NEAR((double)z[3 * r + j], want[j], 1e-4 * (top + 1), "row %d class %d", r, j);
        for (int j = 0; j < 3 && bad; j++) CHECK(ex_bits(z[3 * r + j]) == 0x7fc00000, "row %d class %d", r, j);
        for (int f = 0; f < 6; f++) {
            double zd[3] = { (double)z[3 * r], (double)z[3 * r + 1], (double)z[3 * r + 2] };
            if (bad) CHECK(ex_bits(score[f * ROWS + r]) == 0x7fc00000, "row %d %s", r, score_names[f]);
            else
                CHECK_NEAR((double)score[f * ROWS + r], ref_score(score_names[f], zd, 3, 2.5), 1e-5, "row %d %s", r,
                           score_names[f]);
        }
    }
    sluice_head_free(h);
}

/* relu and pooling would hide the infinities, were the features not looked at. */
static void rows_through_heads(void)
{
    static float x[ROWS * 200], z[ROWS * 3], score[7 * ROWS], first_z[ROWS * 3], first_score[7 * ROWS];
    for (int i = 0; i < HEADS; i++)
        for (int t = 0; t < tier_count(); t++)
            for (int threads = 1; threads <= 3; threads += 2) {
                if (!case_is("%s %s threads=%d", heads[i].line, tier_name(t), threads)) continue;
                sluice *s = tier_open(t, threads);
                int64_t width = heads[i].shape[0] * (heads[i].shape[1] ? heads[i].shape[1] * heads[i].shape[2] : 1);
                fill_normal(x, ROWS * width, 8);
                x[BAD_ROW * width + 1] = -INFINITY, x[BAD_ROW_2 * width + width - 1] = NAN;
                run_head(s, i, x, z, score);
                if (t == 0 && threads == 1) {
                    check_rows(s, i, x, z, score);
                    memcpy(first_z, z, sizeof z), memcpy(first_score, score, sizeof score);
                }
                CHECK_SAME(z, first_z, sizeof z, "logits");
                CHECK_SAME(score, first_score, sizeof score, "scores");
                sluice_close(s);
            }
}

/* Rows that are too many for one piece. */
static void many_rows(sluice *s)
{
    if (!case_is("pieces")) return;
    int64_t n = 3000, width = 12 * 12 * 4;
    sluice_head *h = random_head(s, "conv3:4,relu,gap,linear", (int64_t[3]){ 12, 12, 4 }, 4);
    float *x = malloc((size_t)(n * width) * sizeof *x), *z = malloc((size_t)n * 3 * sizeof *z), alone[3];
    fill_eighths(x, n * width, 2);
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, n, width), z));
    for (int64_t r = 0; r < n; r += 97) {
        CHECK_OK(s, head_logits(s, h, sluice_rows(x + r * width, SLUICE_F32, 1, width), alone));
        CHECK_SAME(alone, z + 3 * r, sizeof alone, "row %lld", (long long)r);
    }
    free(x), free(z), sluice_head_free(h);
}

/* The definition of a linear head's logits, to the bit: fused multiply-adds over folded weights. */
static void folded(sluice *s)
{
    if (!case_is("folded weights")) return;
    sluice_head *h = random_head(s, "linear", (int64_t[3]){ 37 }, 6);
    float x[37], z[3];
    fill_normal(x, 37, 77);
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, 1, 37), z));
    for (int j = 0; j < 3; j++) {
        float w[37];
        double shift = 0;
        for (int k = 0; k < 37; k++) {
            w[k] = (float)((double)h->layers[0].w[j * 37 + k] / (double)h->scale);
            shift += (double)h->mean[k] * (double)w[k];
        }
        float acc = (float)((double)h->layers[0].b[j] - shift);
        for (int k = 0; k < 37; k++) acc = fmaf(x[k], w[k], acc);
        CHECK(z[j] == acc + 0.0f, "class %d: %.9g, not %.9g", j, (double)z[j], (double)acc);
    }
    sluice_head_free(h);
}

/* ---- the file ---- */

static sluice_head *trained_head(sluice *s, const char *line, const int64_t shape[3])
{
    sluice_head *h = random_head(s, line, shape, 9);
    h->train_count = 4, h->held_count = 5;
    h->train_ids = mem_new(s, 4, 8), h->train_row_hash = mem_new(s, 4, 8);
    h->held_logits = mem_new(s, 15, 4), h->held_target = mem_new(s, 5, 4);
    for (int i = 0; i < 4; i++) h->train_ids[i] = 1ull << (16 * i), h->train_row_hash[i] = ~0ull - (uint64_t)i;
    fill_normal(h->held_logits, 15, 3);
    h->held_target[4] = 2;
    h->pool_fingerprint = 0xfedcba9876543210u;
    h->l2 = 0.1;
    h->trained = mem_text(s, "{\"method\":\"test\"}");
    return h;
}

static void same_head(const sluice_head *a, const sluice_head *b)
{
    CHECK(strcmp(a->line, b->line) == 0 && a->classes == b->classes && strcmp(a->trained, b->trained) == 0, "texts");
    CHECK(a->scale == b->scale && a->temperature == b->temperature && a->l2 == b->l2, "numbers");
    CHECK(a->pool_fingerprint == b->pool_fingerprint, "fingerprint");
    CHECK(a->train_count == b->train_count && a->held_count == b->held_count, "counts");
    CHECK_SAME(a->in_shape, b->in_shape, sizeof a->in_shape, "shape");
    CHECK_SAME(a->mean, b->mean, (size_t)a->in_width * 4, "mean");
    CHECK_SAME(a->train_ids, b->train_ids, 32, "ids");
    CHECK_SAME(a->train_row_hash, b->train_row_hash, 32, "hashes");
    CHECK_SAME(a->held_logits, b->held_logits, 60, "held-out logits");
    CHECK_SAME(a->held_target, b->held_target, 20, "held-out targets");
    for (int j = 0; j < a->classes; j++) CHECK(strcmp(a->names[j], b->names[j]) == 0, "class %d", j);
    for (int i = 0; i < a->layer_count; i++) {
        int64_t rows, cols;
        layer_weights(&a->layers[i], &rows, &cols);
        if (rows) CHECK_SAME(a->layers[i].w, b->layers[i].w, (size_t)(rows * cols) * 4, "layer %d", i);
        if (rows) CHECK_SAME(a->layers[i].b, b->layers[i].b, (size_t)rows * 4, "bias %d", i);
    }
}

static void round_trip(sluice *s)
{
    for (int i = 0; i < HEADS; i++) {
        if (!case_is("file of %s", heads[i].line)) continue;
        sluice_head *h = trained_head(s, heads[i].line, heads[i].shape), *back = NULL;
        mem_free(h->names[1]);
        h->names[1] = mem_text(s, "b\"\xc3\xa9\n,e");
        CHECK_OK(s, sluice_head_save(s, h, test_path("a.safetensors"), 1));
        CHECK_OK(s, sluice_head_load(s, test_path("a.safetensors"), &back));
        if (back) {
            same_head(h, back);
            CHECK_OK(s, sluice_head_save(s, back, test_path("b.safetensors"), 1));
            char *a = NULL, *b = NULL;
            int64_t na, nb;
            CHECK_OK(s, file_read(s, test_path("a.safetensors"), 1 << 20, &a, &na));
            CHECK_OK(s, file_read(s, test_path("b.safetensors"), 1 << 20, &b, &nb));
            CHECK(na == nb && memcmp(a, b, (size_t)na) == 0, "%lld and %lld bytes", (long long)na, (long long)nb);
            mem_free(a), mem_free(b);
        }
        sluice_head_free(h), sluice_head_free(back);
    }
    if (case_is("a name that is not UTF-8")) {
        sluice_head *h = trained_head(s, "linear", (int64_t[3]){ 7 });
        h->names[0][0] = (char)0xff;
        CHECK(sluice_head_save(s, h, test_path("c.safetensors"), 1) == SLUICE_E_DATA, "%s", sluice_error(s));
        sluice_head_free(h);
    }
}

/* The text of a small head's file with one passage replaced by another, the header's length set anew. */
static void write_edited(sluice *s, const char *from, const char *to, const char *path)
{
    char *text = NULL, *out = malloc(1 << 16);
    int64_t n, used = 8;
    size_t cut = strlen(from);
    CHECK_OK(s, file_read(s, test_path("good.safetensors"), 1 << 16, &text, &n));
    uint64_t header;
    memcpy(&header, text, 8);
    char *hit = memmem(text, 8 + (size_t)header, from, cut);
    CHECK(hit != NULL, "the file has no %s", from);
    if (hit) {
        memcpy(out, text, (size_t)(hit - text)), used = hit - text;
        memcpy(out + used, to, strlen(to)), used += (int64_t)strlen(to);
        memcpy(out + used, hit + cut, (size_t)(text + n - hit) - cut), used += text + n - hit - (int64_t)cut;
        header += strlen(to) - cut;
        memcpy(out, &header, 8);
    }
    write_file(path, out, (size_t)used);
    mem_free(text), free(out);
}

/* Replacements that keep the file whole as a .safetensors but lie about the head. */
static void hostile(sluice *s)
{
    static const struct {
        const char *from, *to;
        sluice_status want;
        const char *says;
    } cases[] = {
        { "\"sluice-head\"", "\"pt\"", SLUICE_E_FORMAT, "not a head" },
        { "\"version\":\"1\"", "\"version\":\"2\"", SLUICE_E_FORMAT, "version" },
        { "\"version\":\"1\"", "\"other\":\"1\"", SLUICE_E_FORMAT, "no 'version'" },
        { "\"layers\":\"linear\"", "\"layers\":\"gap,linear\"", SLUICE_E_SHAPE, "gap" },
        { "\"layers\":\"linear\"", "\"layers\":\"lstm,linear\"", SLUICE_E_FORMAT, "lstm" },
        { "\"layers\":\"linear\"", "\"layers\":\"mlp:5,linear\"", SLUICE_E_SHAPE, "layer.0.weight" },
        { "\"layers\":\"linear\"", "\"layers\":\"relu,linear\"", SLUICE_E_FORMAT, "'layer.1.weight' is missing" },
        { "\"[7]\"", "\"[8]\"", SLUICE_E_SHAPE, "layer.0.weight" },
        { "\"[7]\"", "\"[]\"", SLUICE_E_FORMAT, "'shape'" },
        { "\"[7]\"", "\"[-7]\"", SLUICE_E_FORMAT, "'shape'" },
        { "\"[7]\"", "\"[7,1]\"", SLUICE_E_FORMAT, "'shape'" },
        { "\"[7]\"", "\"seven\"", SLUICE_E_FORMAT, "'shape'" },
        { "\"[7]\"", "\"[9223372036854775807,3,3]\"", SLUICE_E_SHAPE, "shape" },
        { "[\\\"ant\\\",\\\"bee\\\",\\\"cat\\\"]", "[\\\"ant\\\",\\\"bee\\\"]", SLUICE_E_SHAPE, "layer.0.weight" },
        { "[\\\"ant\\\",\\\"bee\\\",\\\"cat\\\"]", "[\\\"ant\\\",\\\"bee\\\",\\\"ant\\\"]", SLUICE_E_FORMAT,
          "two classes" },
        { "[\\\"ant\\\",\\\"bee\\\",\\\"cat\\\"]", "[\\\"ant\\\",\\\"bee\\\",3]", SLUICE_E_FORMAT, "class 2" },
        { "[\\\"ant\\\",\\\"bee\\\",\\\"cat\\\"]", "[]", SLUICE_E_FORMAT, "classes" },
        { "\"temperature\":\"2.5\"", "\"temperature\":\"0\"", SLUICE_E_FORMAT, "'temperature'" },
        { "\"temperature\":\"2.5\"", "\"temperature\":\"nan\"", SLUICE_E_FORMAT, "'temperature'" },
        { "\"temperature\":\"2.5\"", "\"temperature\":\"1e300\"", SLUICE_E_FORMAT, "'temperature'" },
        { "\"scale\":\"1.70000005\"", "\"scale\":\"-1\"", SLUICE_E_FORMAT, "'scale'" },
        { "\"fedcba9876543210\"", "\"fedcba987654321\"", SLUICE_E_FORMAT, "pool_fingerprint" },
        { "\"{\\\"method\\\":\\\"test\\\"}\"", "\"[\"", SLUICE_E_FORMAT, "'trained'" },
        { "\"mean\"", "\"meen\"", SLUICE_OK, "" }, /* unknown tensors do no harm */
        { "\"layer.0.bias\"", "\"layer.0.bios\"", SLUICE_E_FORMAT, "'layer.0.bias' is missing" },
        { "\"train.ids\"", "\"train.idz\"", SLUICE_E_FORMAT, "train.row_hash" },
        { "\"held.target\"", "\"held.targot\"", SLUICE_E_FORMAT, "held.logits" },
        { "\"dtype\":\"U64\"", "\"dtype\":\"I64\"", SLUICE_E_TYPE, "train." },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!case_is("hostile %zu: %s", i, cases[i].to)) continue;
        sluice_head *h = NULL;
        write_edited(s, cases[i].from, cases[i].to, test_path("bad.safetensors"));
        sluice_status st = sluice_head_load(s, test_path("bad.safetensors"), &h);
        CHECK(st == cases[i].want, "status %d: %s", st, sluice_error(s));
        CHECK(strstr(sluice_error(s), cases[i].says) && (!st || strstr(sluice_error(s), "bad.safetensors")), "%s",
              sluice_error(s));
        sluice_head_free(h);
    }
}

/* Values that lie: written by us, so that only the value is wrong. */
static void hostile_values(sluice *s)
{
    static const char *const what[] = { "layer.0.weight", "layer.0.bias", "mean", "held.logits", "held.target" };
    for (int i = 0; i < 5; i++) {
        if (!case_is("bad value in %s", what[i])) continue;
        sluice_head *h = trained_head(s, "linear", (int64_t[3]){ 7 }), *back = NULL;
        float *const at[] = { h->layers[0].w + 20, h->layers[0].b + 2, h->mean + 6, h->held_logits + 14 };
        if (i < 4) *at[i] = i % 2 ? INFINITY : NAN;
        else h->held_target[0] = 3;
        CHECK_OK(s, sluice_head_save(s, h, test_path("bad.safetensors"), 1));
        sluice_status st = sluice_head_load(s, test_path("bad.safetensors"), &back);
        CHECK(st == SLUICE_E_DATA && strstr(sluice_error(s), what[i]), "status %d: %s", st, sluice_error(s));
        sluice_head_free(h), sluice_head_free(back);
    }
}

static void files(sluice *s)
{
    sluice_head *h = trained_head(s, "linear", (int64_t[3]){ 7 });
    CHECK_OK(s, sluice_head_save(s, h, test_path("good.safetensors"), 1));
    sluice_head_free(h);
    round_trip(s);
    hostile(s);
    hostile_values(s);
    if (case_is("no such file")) {
        h = NULL;
        CHECK(sluice_head_load(s, test_path("none.safetensors"), &h) == SLUICE_E_MISSING && !h, "%s", sluice_error(s));
    }
}

/* ---- weights of other programs ---- */

static void write_tensors(const char *path, const char *header, const void *data, size_t bytes)
{
    char buffer[4096];
    uint64_t n = strlen(header);
    memcpy(buffer, &n, 8), memcpy(buffer + 8, header, n), memcpy(buffer + 8 + n, data, bytes);
    write_file(path, buffer, 8 + n + bytes);
}

static void check_import(sluice *s, const char *path, const char *bias, const char *prefix, const float *w,
                         const float *b)
{
    sluice_head *h = NULL;
    CHECK_OK(s, head_import(s, path, bias, prefix, NULL, 0, &h));
    if (!h) return;
    CHECK(h->classes == 2 && h->in_width == 3 && h->scale == 1 && h->temperature == 1 && !h->mean, "%d x %lld",
          h->classes, (long long)h->in_width);
    CHECK_SAME(h->layers[0].w, w, 24, "weight");
    CHECK_SAME(h->layers[0].b, b, 8, "bias");
    CHECK(strcmp(h->names[1], "1") == 0, "%s", h->names[1]);
    float x[3] = { 1, 2, 4 }, z[2];
    CHECK_OK(s, head_logits(s, h, sluice_rows(x, SLUICE_F32, 1, 3), z));
    CHECK_NEAR((double)z[1], (double)(w[3] + 2 * w[4] + 4 * w[5] + b[1]), 0, "logit");
    sluice_head_free(h);
}

static void imports(sluice *s)
{
    static const float v[8] = { 1, -2, 0.5f, 3, 0, -0.25f, 7, -8 }, zero[2] = { 0 };
    static const uint16_t bf16[8] = { 0x3f80, 0xc000, 0x3f00, 0x4040, 0, 0xbe80, 0x40e0, 0xc100 };
    static const uint16_t f16[8] = { 0x3c00, 0xc000, 0x3800, 0x4200, 0, 0xb400, 0x4700, 0xc800 };
    const char *path = test_path("import.safetensors");
    if (case_is("fc of a state dict, f32")) {
        write_tensors(path,
                      "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                      "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}",
                      v, 32);
        check_import(s, path, NULL, NULL, v, v + 6);
    }
    if (case_is("a prefix, bf16, no bias")) {
        write_tensors(path, "{\"net.1.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]}}", bf16,
                      12);
        check_import(s, path, NULL, "net.1", v, zero);
        sluice_head *h = NULL;
        CHECK(head_import(s, path, NULL, NULL, NULL, 0, &h) == SLUICE_E_FORMAT, "no known prefix");
        CHECK(strstr(sluice_error(s), "--prefix"), "%s", sluice_error(s));
    }
    if (case_is("classifier, f16")) {
        write_tensors(path,
                      "{\"classifier.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                      "\"classifier.bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[12,16]}}",
                      f16, 16);
        check_import(s, path, NULL, NULL, v, v + 6);
        sluice_head *h = NULL;
        CHECK(head_import(s, path, NULL, NULL, three, 3, &h) == SLUICE_E_SHAPE, "three names: %s", sluice_error(s));
    }
    if (case_is("shapes that are no linear layer")) {
        sluice_head *h = NULL;
        write_tensors(path, "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", v, 24);
        CHECK(head_import(s, path, NULL, NULL, NULL, 0, &h) == SLUICE_E_SHAPE, "%s", sluice_error(s));
        write_tensors(path,
                      "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                      "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]}}",
                      v, 32);
        CHECK(head_import(s, path, NULL, NULL, NULL, 0, &h) == SLUICE_E_SHAPE, "%s", sluice_error(s));
        write_tensors(path, "{\"fc.weight\":{\"dtype\":\"I32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", v, 24);
        CHECK(head_import(s, path, NULL, NULL, NULL, 0, &h) == SLUICE_E_TYPE, "%s", sluice_error(s));
        static const float nan_weight[4] = { 1, NAN, 2, 3 };
        write_tensors(path, "{\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", nan_weight,
                      16);
        CHECK(head_import(s, path, NULL, NULL, NULL, 0, &h) == SLUICE_E_DATA, "%s", sluice_error(s));
    }
}

static void write_npy(const char *path, const char *shape, const float *v, int n)
{
    char file[256];
    memset(file, ' ', 128);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    int used = 10 + sprintf(file + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    file[used] = ' ', file[127] = '\n';
    memcpy(file + 128, v, (size_t)n * 4);
    write_file(path, file, 128 + (size_t)n * 4);
}

static void npy_imports(sluice *s)
{
    static const float v[8] = { 1, -2, 0.5f, 3, 0, -0.25f, 7, -8 }, zero[2] = { 0 };
    char w[512], b[512];
    snprintf(w, sizeof w, "%s", test_path("w.npy")), snprintf(b, sizeof b, "%s", test_path("b.npy"));
    if (!case_is("npy weight and bias")) return;
    write_npy(w, "(2, 3)", v, 6), write_npy(b, "(2,)", v + 6, 2);
    check_import(s, w, b, NULL, v, v + 6);
    check_import(s, w, NULL, NULL, v, zero);
    sluice_head *h = NULL;
    CHECK(head_import(s, b, NULL, NULL, NULL, 0, &h) == SLUICE_E_SHAPE, "a bias for a weight: %s", sluice_error(s));
    CHECK(head_import(s, w, w, NULL, NULL, 0, &h) == SLUICE_E_SHAPE, "a weight for a bias: %s", sluice_error(s));
    CHECK(head_import(s, w, b, "fc.", NULL, 0, &h) == SLUICE_E_USAGE, "a prefix: %s", sluice_error(s));
}

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    sluice *s = tier_open(0, 2);
    good_lines(s);
    bad_lines(s);
    folded(s);
    many_rows(s);
    files(s);
    imports(s);
    npy_imports(s);
    sluice_close(s);
    rows_through_heads();
    return test_end();
}
