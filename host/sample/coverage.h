/* coverage.h - greedy coverage of the reference sample, shared by the rules herd and cover: again and again the candidate
 * that adds most to
 *
 *     sum over covered rows y of weight(y) max over x labelled or picked of k(x, y)
 *
 * Gains are integers (the op gain) and never grow as picks are made, so a gain of an earlier pick is an upper bound:
 * lazy evaluation (Minoux 1978) measures only those that lead, and takes the same row as measuring all. */
#ifndef COVERAGE_H
#define COVERAGE_H

#include "batch.h"

enum { COVERED_ROWS = 8192 }; /* of the sample, those of lowest hash: nothing costs the square of the candidates */

/* Takes candidates into b, each with its gain as score, until k are picked or no open one gains anything. */
sluice_status cover_greedily(sluice *s, batch *b, sluice_kernel kernel, float scale, const float *weight);

static inline int64_t covered_rows(const batch *b) { return b->r < COVERED_ROWS ? b->r : COVERED_ROWS; }

#endif
