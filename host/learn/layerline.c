/* layerline.c - parses a layer line against the shape of a row (grammar: head.h). */
#include "head.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 64, MAX_UNITS = 1 << 20 };
static const int64_t MAX_ELEMENTS = (int64_t)1 << 40; /* of one layer's weights or one row's activations */

typedef struct line_state {
    sluice *s;
    const char *line;
    int classes;
    int64_t shape[3], width; /* what flows between the layers */
    layer *layers;
    int count;
} line_state;

static bool product_fits(int64_t a, int64_t b) { return a >= 0 && b >= 0 && (b == 0 || a <= MAX_ELEMENTS / b); }

static void flatten(int64_t shape[3], int64_t width) { shape[0] = width, shape[1] = shape[2] = 0; }

static sluice_status need_image(const line_state *p, const char *word)
{
    if (p->shape[1] > 0) return SLUICE_OK;
    return sluice_fail(p->s, SLUICE_E_SHAPE,
                       "layer '%s' needs rows of shape height x width x channels, here they are %lld values", word,
                       (long long)p->shape[0]);
}

/* A decimal integer from lo to hi at *at, which moves behind it. */
static bool take_int(const char **at, int64_t lo, int64_t hi, int64_t *out)
{
    const char *c = *at;
    int64_t v = 0;
    if (*c < '0' || *c > '9') return false;
    for (; *c >= '0' && *c <= '9'; c++)
        if ((v = v * 10 + (*c - '0')) > hi) return false;
    *at = c, *out = v;
    return v >= lo;
}

static sluice_status bad_word(const line_state *p, const char *word, const char *rule)
{
    return sluice_fail(p->s, SLUICE_E_USAGE, "layer '%s' of '%s': %s", word, p->line, rule);
}

/* "3:32" or "3:32/2", after "conv". */
static sluice_status parse_conv(line_state *p, const char *word, const char *rest, layer *l)
{
    static const char rule[] = "a convolution is convK:N or convK:N/S, K 1, 3 or 5, N kernels, stride S 1 to 4";
    int64_t k, n, stride = 1;
    if (!take_int(&rest, 1, 5, &k) || k % 2 == 0 || *rest++ != ':' || !take_int(&rest, 1, MAX_UNITS, &n))
        return bad_word(p, word, rule);
    if (*rest == '/' && (rest++, !take_int(&rest, 1, 4, &stride))) return bad_word(p, word, rule);
    if (*rest) return bad_word(p, word, rule);
    sluice_status st = need_image(p, word);
    if (st) return st;

    sluice_conv_shape *c = &l->conv;
    c->h = p->shape[0], c->w = p->shape[1], c->cin = p->shape[2], c->cout = n;
    c->kernel = k, c->stride = stride, c->pad = k / 2;
    c->out_h = (c->h - 1) / stride + 1, c->out_w = (c->w - 1) / stride + 1; /* as h + 2 pad - k = h - 1 */
    l->kind = LAYER_CONV;
    p->shape[0] = c->out_h, p->shape[1] = c->out_w, p->shape[2] = n;
    return SLUICE_OK;
}

static sluice_status parse_pool(line_state *p, const char *word, const char *rest, layer *l)
{
    int64_t size;
    if (!take_int(&rest, 2, 8, &size) || *rest) return bad_word(p, word, "a pooling is pool2 to pool8");
    sluice_status st = need_image(p, word);
    if (st) return st;
    if (p->shape[0] < size || p->shape[1] < size)
        return sluice_fail(p->s, SLUICE_E_SHAPE, "layer '%s' of '%s' has only %lld x %lld values left to pool", word,
                           p->line, (long long)p->shape[0], (long long)p->shape[1]);
    l->kind = LAYER_POOL, l->pool_size = size;
    p->shape[0] /= size, p->shape[1] /= size;
    return SLUICE_OK;
}

static sluice_status parse_gap(line_state *p, const char *word, layer *l)
{
    sluice_status st = need_image(p, word);
    if (st) return st;
    l->kind = LAYER_GAP;
    flatten(p->shape, p->shape[2]);
    return SLUICE_OK;
}

static sluice_status parse_drop(const line_state *p, const char *word, const char *rest, layer *l)
{
    double rate;
    if (!parse_f64(rest, &rate) || !(rate > 0 && rate < 1))
        return bad_word(p, word, "a dropout is drop:RATE, 0 < RATE < 1");
    l->kind = LAYER_DROP, l->rate = (float)rate;
    return SLUICE_OK;
}

static sluice_status parse_dense(line_state *p, const char *word, const char *rest, layer *l)
{
    int64_t n;
    if (!take_int(&rest, 1, MAX_UNITS, &n) || *rest) return bad_word(p, word, "a dense layer is mlp:UNITS");
    l->kind = LAYER_DENSE;
    flatten(p->shape, n);
    return SLUICE_OK;
}

static sluice_status parse_word(line_state *p, const char *word, bool last)
{
    layer *l = &p->layers[p->count];
    memcpy(l->in_shape, p->shape, sizeof l->in_shape);
    l->in_width = p->width;

    sluice_status st = SLUICE_OK;
    if (last != (strcmp(word, "linear") == 0))
        return bad_word(p, word, last ? "the last layer is 'linear'" : "'linear' comes last, once");
    if (last) l->kind = LAYER_DENSE, flatten(p->shape, p->classes);
    else if (strncmp(word, "conv", 4) == 0) st = parse_conv(p, word, word + 4, l);
    else if (strncmp(word, "pool", 4) == 0) st = parse_pool(p, word, word + 4, l);
    else if (strncmp(word, "drop:", 5) == 0) st = parse_drop(p, word, word + 5, l);
    else if (strncmp(word, "mlp:", 4) == 0) st = parse_dense(p, word, word + 4, l);
    else if (strcmp(word, "gap") == 0) st = parse_gap(p, word, l);
    else if (strcmp(word, "relu") == 0) l->kind = LAYER_RELU;
    else st = bad_word(p, word, "the layers are convK:N relu poolN gap drop:RATE mlp:UNITS linear");
    if (st) return st;

    int64_t image = p->shape[1] > 0 ? p->shape[1] : 1, channels = p->shape[1] > 0 ? p->shape[2] : 1, rows, cols;
    bool fits = product_fits(p->shape[0], image) && product_fits(p->shape[0] * image, channels);
    memcpy(l->out_shape, p->shape, sizeof l->out_shape);
    l->out_width = p->width = fits ? p->shape[0] * image * channels : 0;
    if (fits) layer_weights(l, &rows, &cols), fits = product_fits(rows, cols);
    if (!fits) return sluice_fail(p->s, SLUICE_E_SHAPE, "layer '%s' of '%s' is too large", word, p->line);
    p->count++;
    return SLUICE_OK;
}

void layer_weights(const layer *l, int64_t *out_rows, int64_t *out_cols)
{
    *out_rows = *out_cols = 0;
    if (l->kind == LAYER_DENSE) *out_rows = l->out_width, *out_cols = l->in_width;
    if (l->kind == LAYER_CONV) *out_rows = l->conv.cout, *out_cols = l->conv.kernel * l->conv.kernel * l->conv.cin;
}

/* [d,0,0] or [h,w,c]; a picture without channels, [h,w,0], has one. */
static sluice_status set_shape(line_state *p, const int64_t in[3])
{
    int64_t h = in[0], w = in[1], c = in[1] > 0 && in[2] == 0 ? 1 : in[2];
    bool flat = w == 0 && c == 0;
    if (h < 1 || w < 0 || c < 0 || (!flat && (w < 1 || c < 1)) || !product_fits(h, flat ? 1 : w) ||
        (!flat && !product_fits(h * w, c)))
        return sluice_fail(p->s, SLUICE_E_SHAPE, "rows of shape %lld x %lld x %lld cannot feed a head",
                           (long long)in[0], (long long)in[1], (long long)in[2]);
    p->shape[0] = h, p->shape[1] = w, p->shape[2] = c;
    p->width = flat ? h : h * w * c;
    return SLUICE_OK;
}

sluice_status layer_line_parse(sluice *s, const char *line, const int64_t in_shape[3], int classes, layer **out_layers,
                               int *out_count)
{
    sluice_status st = SLUICE_OK;
    line_state p = { .s = s, .line = line, .classes = classes };
    char *words = NULL;
    TRY(set_shape(&p, in_shape));
    TRY_NEW(words, mem_text(s, line));
    TRY_NEW(p.layers, NEW(s, MAX_LAYERS, layer));
    for (char *word = words, *next; word; word = next) {
        next = strchr(word, ',');
        if (next) *next++ = 0;
        if (p.count == MAX_LAYERS) FAIL(E_USAGE, "'%.60s...' has more than %d layers", line, MAX_LAYERS);
        TRY(parse_word(&p, word, !next));
    }
    *out_layers = p.layers, p.layers = NULL;
    *out_count = p.count;
out:
    mem_free(p.layers);
    mem_free(words);
    return st;
}
