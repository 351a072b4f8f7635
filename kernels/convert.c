/* convert.c - rows of one type into another, standardised or L2-normalised on the way.  Contract: sluice_backend.h.
 *
 * 16 rows at a time pass through a thread's scratch as floats: read, standardise, normalise, write.  The sum of squares
 * is one ascending chain a row, so the rows are transposed and 16 chains run side by side.  Whatever NaN comes in,
 * 7fc00000 goes out (rounded to the type): the NaN of arithmetic differs between processors. */
#include "rows.h"
#include "uncertainty.h" /* ex_or_nan */

#include <string.h> /* memcpy: rows may start at any byte */

typedef struct job {
    const sluice_op_convert_args *a;
    float *scratch; /* 16 rows of pitch floats a thread */
    int64_t pitch;  /* a multiple of 16; values beyond a row are zero */
} job;

static void read_f64(const char *p, int64_t d, float *out)
{
    for (int64_t k = 0; k < d; k++) {
        double v;
        memcpy(&v, p + (size_t)k * sizeof v, sizeof v);
        out[k] = (float)v;
    }
}

static void read_row(const sluice_view *x, int64_t i, float *out)
{
    if (x->type == SLUICE_F64) read_f64(view_row(x, i), x->cols, out);
    else row_widen(view_row(x, i), x->type, 0, x->cols, out);
    if (!row_is_integer(x->type) || !x->scale) return;
    for (int64_t k = 0; k < x->cols; k++) out[k] = x->scale[i] * out[k];
}

static void standardise(const sluice_op_convert_args *a, float *row)
{
    if (a->mean)
        for (int64_t k = 0; k < a->x.cols; k++) row[k] = row[k] - a->mean[k];
    if (a->divisor != 0.0f)
        for (int64_t k = 0; k < a->x.cols; k++) row[k] = row[k] / a->divisor;
    for (int64_t k = 0; k < a->x.cols; k++) row[k] = ex_or_nan(row[k]);
}

/* Sums of squares of 16 rows; the zeros after a row add nothing. */
static v16 squares(const float *rows, int64_t pitch)
{
    v16 sum = v16_zero();
    for (int64_t k = 0; k < pitch; k += 16) {
        v16 v[16];
        for (int r = 0; r < 16; r++) v[r] = v16_load(rows + r * pitch + k);
        v16_transpose(v);
        for (int i = 0; i < 16; i++) sum = v16_fma(v[i], v[i], sum);
    }
    return sum;
}

static void normalise(float *rows, int64_t pitch, int64_t n)
{
    float sum[16], length[16];
    v16 s = squares(rows, pitch);
    v16_store(sum, s);
    v16_store(length, v16_sqrt(s));
    for (int64_t r = 0; r < n; r++)
        for (int64_t k = 0; k < pitch; k += 16) {
            float *p = rows + r * pitch + k;
            v16_store(p, sum[r] == 0.0f ? v16_zero() : v16_or_nan(v16_div(v16_load(p), v16_set1(length[r]))));
        }
}

/* The largest magnitude, NaN if a value is not finite.  Magnitudes order as their bits do. */
static float largest(const float *row, int64_t d)
{
    uint32_t most = 0;
    for (int64_t k = 0; k < d; k++) {
        uint32_t v = ex_bits(row[k]) & 0x7fffffffu;
        most = v > most ? v : most;
    }
    return most < 0x7f800000u ? ex_float(most) : ex_nan();
}

static void write_i8(const float *row, int64_t d, int8_t *out, float *out_scale)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float scale = largest(row, d) / 127.0f;
    int ok = scale > 0.0f; /* neither 0 nor NaN */
    *out_scale = scale == scale ? scale : ex_nan();
    for (int64_t k = 0; k < d; k++) {
        float q = ok ? row[k] / scale : 0.0f;
        q = q > 127.0f ? 127.0f : q; /* a subnormal scale is coarse */
        q = q < -127.0f ? -127.0f : q;
        out[k] = (int8_t)((q + shift) - shift);
    }
}

static void write_half(const float *row, int64_t d, char *out, sluice_type type)
{
    for (int64_t k = 0; k < d; k++) {
        uint16_t h = type == SLUICE_F16 ? ex_f32_to_f16(row[k]) : ex_f32_to_bf16(row[k]);
        memcpy(out + 2 * (size_t)k, &h, 2);
    }
}

static void write_row(const sluice_op_convert_args *a, int64_t i, const float *row)
{
    char *out = (char *)a->out.data + (size_t)i * a->out.stride;
    switch (a->out.type) {
    case SLUICE_F16: write_half(row, a->out.cols, out, SLUICE_F16); break;
    case SLUICE_BF16: write_half(row, a->out.cols, out, SLUICE_BF16); break;
    case SLUICE_I8: write_i8(row, a->out.cols, (int8_t *)out, &a->out_scale[i]); break;
    default: memcpy(out, row, (size_t)a->out.cols * sizeof *row); break;
    }
}

static void convert_rows(void *arg, int64_t first, int64_t last, int thread)
{
    const job *w = arg;
    float *rows = w->scratch + (size_t)thread * 16 * (size_t)w->pitch;
    for (int64_t i = first; i < last; i += 16) {
        int64_t n = cpu_min(16, last - i), d = w->a->x.cols;
        for (int64_t r = 0; r < 16; r++) {
            float *row = rows + r * w->pitch;
            if (r < n) read_row(&w->a->x, i + r, row), standardise(w->a, row);
            memset(row + (r < n ? d : 0), 0, (size_t)(w->pitch - (r < n ? d : 0)) * sizeof *row);
        }
        if (w->a->normalise) normalise(rows, w->pitch, n);
        for (int64_t r = 0; r < n; r++) write_row(w->a, i + r, rows + r * w->pitch);
    }
}

sluice_status TIER_FN(op_convert)(sluice_exec *x, const sluice_op_convert_args *a)
{
    job w = { a, NULL, (a->x.cols + 15) / 16 * 16 + 16 }; /* + 16: no power of two between rows */
    w.scratch = x->scratch(x, (size_t)x->threads * 16 * (size_t)w.pitch * sizeof *w.scratch);
    if (!w.scratch) return SLUICE_E_MEMORY;
    cpu_parallel(x, a->x.rows, cpu_grain(x, a->x.rows, 16, 256), convert_rows, &w);
    return SLUICE_OK;
}
