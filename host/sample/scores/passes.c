/* passes.c - how much answers differ: of M passes with parts of a head dropped (Gal & Ghahramani, ICML 2016), or of the M heads
 * of a committee (Seung, Opper & Sompolinsky, COLT 1992).  Pass m gives p_m, their mean is p.
 *
 *     bald             H(p) - mean of H(p_m), in nats: the passes are sure of different classes
 *                      Houlsby et al., arXiv:1112.5745, 2011; Gal, Islam & Ghahramani, ICML 2017
 *     variation-ratio  1 - share of the passes that agree with the most frequent answer         Freeman 1965
 *     flips            share of the passes whose answer is not that of the whole head            Gupte et al., TMLR 2024
 *
 * In a committee the whole head is the first, and every head keeps its temperature.
 *
 * Else a pass is a head whose weights carry a mask: a column of the next weights is dropped, or divided by 1 - rate.  Masks are those
 * of Philox (seed, pass, layer, feature), the same for all rows, and new ones in every round; so M passes of a linear head are
 * one product with M c columns.  Where a head has drop layers their own rates hold, and in front of a convolution whole channels
 * are dropped; a head without any drops its (standardised) input features at `rate`.
 *
 * BALD is never below 0: rounding makes it so where passes agree, and its logarithm would rank such rows first in a tool that
 * sorts NaN last.  Variation ratio and flips take at most M + 1 values: ties fall to the order of the hash.  M = 1 or rate = 0
 * leave bald and variation-ratio at 0. */
#include "device.h"
#include "exact.h"
#include "philox.h"
#include "scorer.h"

#include <assert.h>
#include <string.h>

typedef struct passes {
    int count, classes;
    const sluice_head *whole;
    const sluice_head **head; /* [count] */
    sluice_head **made;       /* [count] of them, those with parts dropped */
    bool last_only;           /* they differ in the last layer alone: one product does for all */
    float *packed, *bias;     /* then: of count * classes columns */
} passes;

/* ---- masks ---- */

static bool kept(const scorer_inputs *in, int pass, int layer, int64_t feature, double rate)
{
    uint32_t word[4], purpose = EX_PASSES ^ (uint32_t)(in->labelled & 0x7ffffff);
    ex_random4(in->refs->seed, purpose, (uint64_t)pass << 32 | (uint64_t)(layer + 1), (uint32_t)(feature / 4), word);
    return (double)(word[feature % 4] >> 8) * 0x1p-24 >= rate;
}

/* Drops inputs of the first weights behind layer i (-1: the head's input): column k is that of channel k % channels. */
static layer *drop(sluice_head *h, const scorer_inputs *in, int pass, int i, int64_t channels, double rate)
{
    int64_t rows, cols;
    layer *l = &h->layers[i + 1];
    while (l->kind != LAYER_DENSE && l->kind != LAYER_CONV) l++;
    layer_weights(l, &rows, &cols);
    for (int64_t k = 0; k < cols; k++) {
        bool keep = kept(in, pass, i, k % channels, rate);
        for (int64_t j = 0; j < rows; j++) {
            float *w = &l->w[j * cols + k];
            *w = keep ? (float)((double)*w / (1 - rate)) : 0;
        }
    }
    return l;
}

static sluice_status make_pass(sluice *s, passes *z, const scorer *q, const scorer_inputs *in, int pass)
{
    const sluice_head *h = z->whole;
    const layer *end = &h->layers[h->layer_count - 1];
    bool any = false;
    sluice_status st = head_copy(s, h, &z->made[pass]);
    sluice_head *to = z->made[pass];
    z->head[pass] = to;
    for (int i = 0; i < h->layer_count && !st; i++) {
        const layer *l = &h->layers[i];
        if (l->kind != LAYER_DROP) continue;
        int64_t channels = l->in_shape[2] ? l->in_shape[2] : l->in_width;
        any = true;
        z->last_only &= drop(to, in, pass, i, channels, (double)l->rate) - to->layers == end - h->layers;
    }
    if (!st && !any) z->last_only &= drop(to, in, pass, -1, h->in_width, q->value[1]) - to->layers == end - h->layers;
    return st ? st : head_prepare(s, to);
}

/* ---- fit ---- */

static sluice_status check_committee(sluice *s, const scorer *q)
{
    if (!strstr(q->name, "passes=") && !strstr(q->name, "rate=")) return SLUICE_OK;
    return sluice_hint(
        s, sluice_fail(s, SLUICE_E_USAGE, "'%s': a committee's heads take the place of dropout passes", q->name),
        "leave out passes and rate, or give one head");
}

static sluice_status check(sluice *s, const scorer *q, const scorer_inputs *in)
{
    const sluice_head *h = in->src->head;
    bool drops = false;
    if (in->src->committee_count) return check_committee(s, q);
    if (!h) return sluice_fail(s, SLUICE_E_USAGE, "'%s' drops parts of a head: give --head", q->name);
    if (!(q->value[0] >= 1 && q->value[0] <= MOST_PASSES) || q->value[0] != (double)(int)q->value[0])
        return sluice_fail(s, SLUICE_E_USAGE, "'%s': passes is a whole number, 1 to %d", q->name, MOST_PASSES);
    if (!(q->value[1] < 1)) return sluice_fail(s, SLUICE_E_USAGE, "'%s': rate is below 1", q->name);
    for (int i = 0; i < h->layer_count; i++) drops |= h->layers[i].kind == LAYER_DROP;
    for (int i = 0; i < h->layer_count && !drops; i++)
        if (h->layers[i].kind == LAYER_CONV)
            return sluice_hint(
                s, sluice_fail(s, SLUICE_E_USAGE, "'%s': a head of convolutions has nothing to drop", q->name),
                "train it with a drop layer, for example gap,drop:0.5,linear");
    return SLUICE_OK;
}

/* The last layers of all passes as one; a packed weight (j, k) is at [j / 16][k][j % 16]. */
static sluice_status join(sluice *s, passes *z)
{
    sluice_status st = SLUICE_OK;
    int64_t c = z->classes, d = head_feature_width(z->whole), columns = z->count * c;
    float *w = NULL;
    TRY_NEW(w, mem_raw(s, columns, (size_t)d * sizeof *w));
    TRY_NEW(z->packed, RAW(s, (int64_t)sluice_packed_floats(columns, d), float));
    TRY_NEW(z->bias, RAW(s, columns, float));
    for (int64_t i = 0; i < columns; i++) {
        const sluice_head *h = z->head[i / c];
        int64_t j = i % c;
        z->bias[i] = h->scan_bias[j];
        for (int64_t k = 0; k < d; k++) w[i * d + k] = h->scan_packed[(j / 16 * d + k) * 16 + j % 16];
    }
    TRY(sluice_op_pack(s, &(sluice_op_pack_args){ .w = sluice_rows(w, SLUICE_F32, columns, d), .out = z->packed }));
out:
    mem_free(w);
    return st;
}

static void seat_committee(passes *z, const source *src)
{
    z->head[0] = src->head;
    for (int m = 1; m < z->count; m++) z->head[m] = src->committee[m - 1];
    for (int m = 0; m < z->count; m++) z->last_only &= head_is_linear(z->head[m]);
}

static sluice_status fit(sluice *s, scorer *q, const scorer_inputs *in)
{
    sluice_status st = SLUICE_OK;
    passes *z;
    TRY(check(s, q, in));
    assert(in->src->head);
    TRY_NEW(z, NEW(s, 1, passes));
    q->state = z;
    int members = in->src->committee_count;
    *z = (passes){ .count = members ? members + 1 : (int)q->value[0], .whole = in->src->head, .last_only = true };
    z->classes = z->whole->classes;
    TRY_NEW(z->head, NEW(s, z->count, const sluice_head *));
    TRY_NEW(z->made, NEW(s, z->count, sluice_head *));
    if (members) seat_committee(z, in->src);
    for (int m = 0; m < z->count && !members; m++) TRY(make_pass(s, z, q, in, m));
    if (z->last_only) TRY(join(s, z));
    q->facts[0] = (int64_t)z->count * z->classes;
    q->scratch = !z->last_only ? z->classes : head_is_linear(z->whole) ? 0 : head_feature_width(z->whole);
out:
    return st;
}

/* ---- begin ---- */

static sluice_status all_passes(sluice *s, const scorer *q, const scorer_piece *p)
{
    sluice_status st = SLUICE_OK;
    const passes *z = q->state;
    sluice_view x = p->x;
    float *packed, *bias;
    TRY_NEW(packed, dev_keep(s, q->serial, 0, z->packed,
                             sluice_packed_floats(q->facts[0], head_feature_width(z->whole)) * sizeof *packed));
    TRY_NEW(bias, dev_keep(s, q->serial, 1, z->bias, (size_t)q->facts[0] * sizeof *bias));
    if (!head_is_linear(z->whole)) {
        TRY(head_features(s, z->whole, x, p->scratch));
        x = sluice_rows(p->scratch, SLUICE_F32, x.rows, head_feature_width(z->whole));
    }
    TRY(sluice_op_forward(
        s, &(sluice_op_forward_args){ .x = x,
                                      .packed = packed,
                                      .bias = bias,
                                      .c = q->facts[0],
                                      .out = sluice_rows(p->facts[0], SLUICE_F32, x.rows, q->facts[0]) }));
out:
    return st;
}

static sluice_status one_pass(sluice *s, const scorer *q, const scorer_piece *p, int m)
{
    const passes *z = q->state;
    sluice_status st = head_scan(s, z->head[m], p->x, &(sluice_scores){ 0 }, p->scratch);
    sluice_view from = sluice_rows(p->scratch, SLUICE_F32, p->x.rows, z->classes), to = from;
    to.data = p->facts[0] + m * z->classes;
    to.stride = (size_t)q->facts[0] * sizeof(float);
    return st ? st : sluice_op_convert(s, &(sluice_op_convert_args){ .x = from, .out = to });
}

static sluice_status begin(sluice *s, const scorer *q, const scorer_piece *p)
{
    const passes *z = q->state;
    sluice_status st = SLUICE_OK;
    if (z->last_only) return all_passes(s, q, p);
    for (int m = 0; m < z->count && !st; m++) st = one_pass(s, q, p, m);
    return st;
}

/* ---- end ---- */

static int answer(const float *z, int c)
{
    int best = 0;
    for (int j = 1; j < c; j++)
        if (z[j] > z[best]) best = j;
    return best;
}

static bool finite_row(const float *z, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        if (!ex_finite(z[j])) return false;
    return true;
}

static double entropy_term(double p) { return p > 0 ? p * (double)ex_log((float)p) : 0; }

/* z becomes its softmax; returns its entropy, as a float: means of equal ones are then exact, and passes that agree in full
 * give 0. */
static float softmax(float *z, int c, float temperature)
{
    float most = z[answer(z, c)] / temperature;
    double sum = 0, entropy = 0;
    for (int j = 0; j < c; j++) {
        z[j] = ex_exp(z[j] / temperature - most);
        sum += (double)z[j];
    }
    for (int j = 0; j < c; j++) {
        z[j] = (float)((double)z[j] / sum);
        entropy -= entropy_term((double)z[j]);
    }
    return (float)entropy;
}

static float bald(const passes *z, float *logits)
{
    double mean = 0, all = 0;
    for (int m = 0; m < z->count; m++)
        mean += (double)softmax(logits + m * z->classes, z->classes, z->head[m]->temperature);
    for (int j = 0; j < z->classes; j++) {
        double p = 0;
        for (int m = 0; m < z->count; m++) p += (double)logits[m * z->classes + j];
        all -= entropy_term(p / z->count);
    }
    double score = (double)(float)all - mean / z->count;
    return score > 0 ? (float)score : 0;
}

static float variation_ratio(const passes *z, float *logits)
{
    int given[MOST_PASSES], most = 0;
    for (int m = 0; m < z->count; m++) given[m] = answer(logits + m * z->classes, z->classes);
    for (int m = 0; m < z->count; m++) {
        int same = 0;
        for (int i = 0; i < z->count; i++) same += given[i] == given[m];
        if (same > most) most = same;
    }
    return 1 - (float)most / (float)z->count;
}

static float flips(const passes *z, const float *logits, float prediction)
{
    int other = 0;
    for (int m = 0; m < z->count; m++) other += (float)answer(logits + m * z->classes, z->classes) != prediction;
    return prediction == prediction ? (float)other / (float)z->count : ex_nan();
}

static void end_bald(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    for (int64_t i = first; i < last; i++) {
        float *z = r->facts[0] + i * q->facts[0];
        out[i] = finite_row(z, q->facts[0]) ? bald(q->state, z) : ex_nan();
    }
}

static void end_variation_ratio(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    for (int64_t i = first; i < last; i++) {
        float *z = r->facts[0] + i * q->facts[0];
        out[i] = finite_row(z, q->facts[0]) ? variation_ratio(q->state, z) : ex_nan();
    }
}

static void end_flips(const scorer *q, const scorer_rows *r, int64_t first, int64_t last, float *out)
{
    for (int64_t i = first; i < last; i++) {
        const float *z = r->facts[0] + i * q->facts[0];
        out[i] = finite_row(z, q->facts[0]) ? flips(q->state, z, r->column[COLUMN_PREDICTION][i]) : ex_nan();
    }
}

static void release(scorer *q)
{
    passes *z = q->state;
    for (int m = 0; z->made && m < z->count; m++) sluice_head_free(z->made[m]);
    mem_free(z->head), mem_free(z->made), mem_free(z->packed), mem_free(z->bias);
}

const scorer_kind scorer_bald = { WANTS_PASSES, true, fit, begin, end_bald, release };
const scorer_kind scorer_variation_ratio = { WANTS_PASSES, true, fit, begin, end_variation_ratio, release };
const scorer_kind scorer_flips = { WANTS_PASSES, true, fit, begin, end_flips, release };
