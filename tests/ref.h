/* ref.h - every op by its definition, in double, plain loops, none of our code.  Each op's test may keep its reference
 * here or in its own file; what two tests share lives here. */
#ifndef REF_H
#define REF_H

#include <stdint.h>

void ref_forward(const double *x, const double *w, const double *b, int64_t n, int64_t d, int64_t c, double *z);
/* One of "least-confidence" "margin" "ratio" "entropy" "energy" "confidence" of logits z / temperature. */
double ref_score(const char *name, const double *z, int64_t c, double temperature);

#endif
