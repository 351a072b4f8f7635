/* unit_folds.c - a row's fold is a function of seed and id. */
#include "harness.h"
#include "learn.h"

enum { M = 20000, FOLDS = 5 };

int main(int argc, char **argv)
{
    test_begin(argc, argv);
    static uint64_t ids[M], turned[M];
    static int32_t fold[M], other[M];
    int64_t count[FOLDS] = { 0 }, same = 0;
    for (int i = 0; i < M; i++) ids[i] = (uint64_t)i * 3, turned[M - 1 - i] = ids[i];
    fold_assign(1, ids, M, FOLDS, fold);

    if (case_is("folds are even")) {
        for (int i = 0; i < M; i++) {
            CHECK(fold[i] >= 0 && fold[i] < FOLDS, "row %d in fold %d", i, fold[i]);
            count[fold[i]]++;
        }
        for (int f = 0; f < FOLDS; f++)
            CHECK(llabs(count[f] - M / FOLDS) < 300, "fold %d has %lld rows", f, (long long)count[f]);
    }
    if (case_is("neighbours do not matter")) {
        fold_assign(1, turned, M, FOLDS, other);
        for (int i = 0; i < M; i++) CHECK(other[M - 1 - i] == fold[i], "row %d", i);
        fold_assign(1, ids + 7, 1, FOLDS, other);
        CHECK(other[0] == fold[7], "a row alone");
    }
    if (case_is("the seed matters")) {
        fold_assign(2, ids, M, FOLDS, other);
        for (int i = 0; i < M; i++) same += other[i] == fold[i];
        CHECK(llabs(same - M / FOLDS) < 300, "%lld rows of %d in the same fold", (long long)same, M);
    }
    return test_end();
}
