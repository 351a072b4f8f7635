/* consumer.c - the smallest user of the installed library: trains on two rows, picks two of the others. */
#include <sluice.h>
#include <stdio.h>

static int fail(const sluice *s)
{
    fprintf(stderr, "%s\n", sluice_error(s));
    return 1;
}

int main(void)
{
    /* One feature: class 0 lives at -1, class 1 at +1; row 2 lies exactly between, row 0 next to it. */
    static const float rows[5][1] = { { 0.25f }, { -1 }, { 0 }, { 1 }, { -0.5f } };
    static const int32_t known[5] = { -1, 0, -1, 1, -1 };
    sluice *s = NULL;
    sluice_pool *pool = NULL;
    sluice_labels *labels = NULL;
    sluice_head *head = NULL;
    sluice_picks *picks = NULL;
    sluice_train_args train = { .size = sizeof train };
    sluice_select_args select = { .size = sizeof select, .strategies = "margin", .k = 2 };

    if (sluice_open(NULL, &s)) return fail(s);
    if (sluice_pool_from_rows(s, rows, SLUICE_F32, 5, 1, sizeof rows[0], NULL, &pool)) return fail(s);
    if (sluice_labels_from_array(s, pool, known, 2, &labels)) return fail(s);
    train.labels = labels;
    if (sluice_train(s, pool, &train, &head)) return fail(s);
    select.head = head;
    select.labels = labels;
    if (sluice_select(s, pool, &select, &picks)) return fail(s);
    const sluice_pick *p = sluice_picks_get(picks, 0);
    printf("picked rows %d %d\n", (int)p[0].row, (int)p[1].row);

    sluice_picks_free(picks);
    sluice_head_free(head);
    sluice_labels_free(labels);
    sluice_pool_free(pool);
    sluice_close(s);
    return 0;
}
