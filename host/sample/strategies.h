/* strategies.h - what can be asked for by name, and how the score column of a block of rows is filled. */
#ifndef STRATEGIES_H
#define STRATEGIES_H

#include "core.h"

/* The columns that a source computes for a block, in the order of sluice_scores. */
typedef enum column {
    COLUMN_LEAST_CONFIDENCE,
    COLUMN_MARGIN,
    COLUMN_RATIO,
    COLUMN_ENTROPY,
    COLUMN_ENERGY,
    COLUMN_CONFIDENCE,
    COLUMN_PREDICTION,
    COLUMN_COUNT
} column;
#define READS(column) (1u << (column))
#define READS_ITS_SCORE (1u << COLUMN_COUNT) /* power-SCORE: what SCORE reads */

/* Why a row is not scored. */
enum {
    ROW_BAD = 1,     /* its own values hold a NaN or an infinity */
    ROW_UNSCORED = 2 /* they do not, but its logits do, or its probabilities are no distribution */
};

/* What a strategy sees of a block. */
typedef struct block_facts {
    int64_t first_row, rows;
    const uint64_t *ids;               /* [rows], or NULL: id = row */
    const float *column[COLUMN_COUNT]; /* [rows] each; NULL: not computed */
    const float *const *fitted;        /* [scorers][rows] */
    const uint8_t *bad;                /* [rows] ROW_BAD, ROW_UNSCORED or 0; NULL: not looked at */
    uint64_t seed;
    int64_t labelled; /* rows labelled so far: a new round draws anew */
    int threads;
} block_facts;

typedef struct strategy strategy;
typedef void strategy_fill(const strategy *st, const block_facts *b, float *out); /* out [rows], NaN: never picked */

/* What a rule's vectors are. */
typedef enum space {
    SPACE_UNIT, /* features divided by their length */
    SPACE_HEAD  /* what the head's last layer gets: standardised features of a linear head */
} space;

/* What a rule needs beyond its candidates. */
enum {
    NEEDS_SAMPLE = 1,        /* the reference sample */
    NEEDS_LOGITS = 2,        /* a head: the candidates' logits */
    NEEDS_TARGETS = 4,       /* the classes of labelled rows */
    NEEDS_SAMPLE_WEIGHT = 8, /* the sample's rows have weights, not the candidates */
    NEEDS_CLASSES = 16       /* how many there are: of the head, the labels or a parameter */
};

struct scorer_kind;
typedef struct scorer_kind scorer_kind; /* scorer.h */
struct batch;
typedef struct strategy_rule {
    /* candidates: the first max(times * k, least) by the score that fill gives */
    double times;
    int64_t least;
    unsigned weight; /* READS() of the column that weighs candidates; 0: all weights are 1 */
    sluice_status (*run)(sluice *s, struct batch *b); /* NULL: the candidates are the picks */
    space space;
    unsigned needs;
} strategy_rule;

typedef struct strategy_kind {
    sluice_strategy shown; /* name, parameters, texts */
    unsigned reads;        /* READS() of columns */
    strategy_fill *fill;
    strategy_rule rule;
    const scorer_kind *scorer; /* what fill copies was fitted by; NULL: nothing was */
} strategy_kind;

enum { STRATEGY_PARAMETERS = 4 };
struct strategy {
    const strategy_kind *kind;
    const strategy_kind *of;           /* power-SCORE: the score's kind; else NULL */
    double value[STRATEGY_PARAMETERS]; /* in the order of kind's parameters */
    int scorer;                        /* which of a scan's scorers fills its column */
    char text[128];                    /* as asked for */
};

/* "margin,power-margin:beta=2".  E_USAGE: unknown name or parameter, bad value, one asked for twice. */
sluice_status strategies_parse(sluice *s, const char *text, strategy **out_list, int *out_count);
sluice_status strategy_parse(sluice *s, const char *text, size_t length, strategy *out);
unsigned strategy_reads(const strategy *st);              /* columns of the scan, for its filter */
bool strategy_is_column(const strategy *st, column *out); /* its score is a column of the scan as it is */
bool strategy_needs_head(const strategy *st);
/* "auto" becomes the strategy that it stands for; its text stays.  classes 0: not known, then labels are few. */
void strategy_resolve(strategy *st, int64_t labelled, int classes, bool has_scores);
/* Candidates for each of k picks, 1 where the strategy has no rule; apart: a score needs more too, since its picks stay
 * apart. */
double strategy_times(const strategy *st, int64_t k, bool apart);
/* Candidates for k picks of `left` rows.  Both are functions of their arguments alone. */
int64_t strategy_candidates(const strategy *st, int64_t k, int64_t left, bool apart);

const strategy_kind *strategy_scores_by(const strategy *st); /* power-SCORE: the score's kind */
void strategy_score_values(const strategy *st, double *out); /* its parameters; power-SCORE: the score's defaults */

strategy_fill fill_column, fill_fitted, fill_random, fill_power; /* strategies.c, scores/random.c, scores/power.c */
static inline uint64_t block_id(const block_facts *b, int64_t i)
{
    return b->ids ? b->ids[i] : (uint64_t)(b->first_row + i);
}

#endif
