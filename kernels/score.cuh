/* score.cuh - the reduction over classes of logits in device memory, as a launch: score.cu and the second half of
 * scan.cu. */
#ifndef SCORE_CUH
#define SCORE_CUH

#include "reduce.cuh"

/* Scores rows of z into rows first_row + i of w's columns. */
void score_rows(op_run &r, const sluice_view &z, const scorer &w, int64_t first_row);

#endif
