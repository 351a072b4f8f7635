// consumer.cpp - the library from C++: the same picks as consumer.c.
#include <sluice.h>
#include <cstdio>
#include <memory>
#include <stdexcept>

int main()
try {
    const float rows[5] = { 0.25f, -1, 0, 1, -0.5f };
    const int32_t known[5] = { -1, 0, -1, 1, -1 };
    sluice *raw = nullptr;
    sluice_status opened = sluice_open(nullptr, &raw);
    std::unique_ptr<sluice, decltype(&sluice_close)> s(raw, sluice_close);
    auto check = [&](sluice_status st) {
        if (st != SLUICE_OK) throw std::runtime_error(sluice_error(raw));
    };
    check(opened);

    sluice_pool *pool = nullptr;
    sluice_labels *labels = nullptr;
    sluice_head *head = nullptr;
    sluice_picks *picks = nullptr;
    check(sluice_pool_from_rows(raw, rows, SLUICE_F32, 5, 1, sizeof(float), nullptr, &pool));
    std::unique_ptr<sluice_pool, decltype(&sluice_pool_free)> free_pool(pool, sluice_pool_free);
    check(sluice_labels_from_array(raw, pool, known, 2, &labels));
    std::unique_ptr<sluice_labels, decltype(&sluice_labels_free)> free_labels(labels, sluice_labels_free);
    sluice_train_args train = {};
    train.size = sizeof train;
    train.labels = labels;
    check(sluice_train(raw, pool, &train, &head));
    std::unique_ptr<sluice_head, decltype(&sluice_head_free)> free_head(head, sluice_head_free);
    sluice_select_args select = {};
    select.size = sizeof select;
    select.head = head;
    select.labels = labels;
    select.strategies = "margin";
    select.k = 2;
    check(sluice_select(raw, pool, &select, &picks));
    std::unique_ptr<sluice_picks, decltype(&sluice_picks_free)> free_picks(picks, sluice_picks_free);
    const sluice_pick *p = sluice_picks_get(picks, 0);
    std::printf("picked rows %d %d\n", int(p[0].row), int(p[1].row));
} catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
