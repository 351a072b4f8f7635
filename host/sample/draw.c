/* draw.c - see draw.h.
 *
 * Nearly all keys are never computed: of the chance m 2^e, m < 2, and the random bits, whose z leading zeros are followed by
 * a one, so that u = bits 2^-64 >= 2^-(z + 1), it is known that
 *
 *     log(chance) < (e + 1) log 2,    G = -log(-log(1 - u)) <= -log u <= (z + 1) log 2
 *
 * and a row whose bound is below the largest key so far cannot be drawn.  The functions err by 2 units in the last place of
 * values below 128, under 10^-4 together: far less than `margin`. */
#include "draw.h"

#include "philox.h"

static const double log_2 = 0.69314718055994531, margin = 1e-3;

typedef struct best {
    int64_t row; /* -1: none */
    float key;
} best;

/* No less than log(chance) + G; the chance is positive. */
static double key_bound(float chance, uint64_t bits)
{
    int exponent = (int)(ex_bits(chance) >> 23) - 127, zeros = bits ? __builtin_clzll(bits) : 63;
    return exponent == 128 ? (double)ex_inf() : (exponent + zeros + 2) * log_2 + margin;
}

static void look_at(const draw *q, int64_t i, best *b)
{
    float chance = (q->weight ? q->weight[i] : 1.0f) * (q->square ? q->square[i] : 1.0f), key = -ex_inf();
    if (q->open[i] != 1) return;
    if (chance > 0) {
        uint32_t word[4];
        ex_random4(q->seed, q->purpose, q->entry[i].id, q->turn, word);
        uint64_t bits = (uint64_t)word[1] << 32 | word[0];
        if (b->row >= 0 && key_bound(chance, bits) < (double)b->key) return;
        key = ex_log(chance) + ex_gumbel(bits);
    }
    if (b->row < 0 || key > b->key) *b = (best){ i, key };
}

int64_t draw_row(const sluice *s, const draw *q)
{
    best all = { -1, 0 };
#pragma omp parallel num_threads(s->threads)
    {
        best b = { -1, 0 };
        fp_state fp = fp_enter();
#pragma omp for schedule(static)
        for (int64_t i = 0; i < q->n; i++) look_at(q, i, &b);
        fp_leave(fp);
#pragma omp critical
        if (b.row >= 0 && (all.row < 0 || b.key > all.key || (b.key == all.key && b.row < all.row))) all = b;
    }
    return all.row;
}
