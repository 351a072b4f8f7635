/* calibrate.c - negative log-likelihood of logits, and the temperature that makes it smallest
 * (Guo et al., "On calibration of modern neural networks", ICML 2017). */
#include "learn.h"
#include "dmath.h"

enum { BLOCK_ROWS = 4096, MIN_ROWS = 50, MIN_CLASS_ROWS = 5 };

/* NLL of one row at logits * beta and its derivatives by beta.  With a = z - max: E[a] - a_target and Var[a]. */
typedef struct nll_part {
    double value, slope, curvature;
} nll_part;

static nll_part row_nll(const float *z, int32_t target, int c, double beta)
{
    double top = (double)z[0], sum = 0, first = 0, second = 0;
    for (int j = 1; j < c; j++) top = (double)z[j] > top ? (double)z[j] : top;
    for (int j = 0; j < c; j++) {
        double a = (double)z[j] - top, e = dm_exp(a * beta);
        sum += e, first += e * a, second += e * a * a;
    }
    double mean = first / sum, a = (double)z[target] - top;
    return (nll_part){ dm_log(sum) - a * beta, mean - a, second / sum - mean * mean };
}

static nll_part nll_at(const float *logits, const int32_t *target, int64_t m, int c, double beta)
{
    nll_part all = { 0 };
    for (int64_t from = 0; from < m; from += BLOCK_ROWS) {
        nll_part block = { 0 };
        for (int64_t i = from; i < m && i < from + BLOCK_ROWS; i++) {
            nll_part r = row_nll(logits + i * c, target[i], c, beta);
            block.value += r.value, block.slope += r.slope, block.curvature += r.curvature;
        }
        all.value += block.value, all.slope += block.slope, all.curvature += block.curvature;
    }
    return all;
}

double nll_sum(const float *logits, const int32_t *target, int64_t m, int c, float temperature)
{
    return nll_at(logits, target, m, c, 1 / (double)temperature).value;
}

static bool enough_rows(const int32_t *target, int64_t m, int c)
{
    if (m < MIN_ROWS || c < 2) return false;
    for (int j = 0; j < c; j++) {
        int seen = 0;
        for (int64_t i = 0; i < m && seen < MIN_CLASS_ROWS; i++) seen += target[i] == j;
        if (seen < MIN_CLASS_ROWS) return false;
    }
    return true;
}

/* The NLL is convex in beta = 1/T, so the root of its slope is bracketed and Newton's step is taken where it stays
 * inside the bracket.  Where every held-out row is right the slope has no root: T ends at 1/16. */
float calibrate_temperature(const float *logits, const int32_t *target, int64_t m, int c)
{
    double low = 1.0 / 16, high = 16, beta = 1;
    if (!enough_rows(target, m, c)) return 1;
    if (nll_at(logits, target, m, c, low).slope >= 0) return (float)(1 / low);
    if (nll_at(logits, target, m, c, high).slope <= 0) return (float)(1 / high);
    for (int i = 0; i < 60; i++) {
        nll_part f = nll_at(logits, target, m, c, beta);
        if (f.slope > 0) high = beta;
        else low = beta;
        double next = f.curvature > 0 ? beta - f.slope / f.curvature : 0;
        if (!(next > low && next < high)) next = 0.5 * (low + high);
        double step = next > beta ? next - beta : beta - next;
        beta = next;
        if (step <= 1e-9 * beta) break;
    }
    return (float)(1 / beta);
}
