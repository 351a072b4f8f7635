/* candidates.c - see candidates.h. */
#include "candidates.h"
#include "backends.h"
#include "exact.h"
#include "top_state.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16, ROOM_OF_OP = 64 };

bool entry_before(const sluice_entry *a, const sluice_entry *b)
{
    if (a->key != b->key) return a->key > b->key;
    return a->hash != b->hash ? a->hash < b->hash : a->id < b->id;
}

static int compare(const void *x, const void *y)
{
    const sluice_entry *a = x, *b = y;
    return entry_before(a, b) ? -1 : entry_before(b, a);
}

void entries_sort(sluice_entry *e, int64_t n) { qsort(e, (size_t)n, sizeof *e, compare); }

bool candidates_are_top(const candidates *c) { return !c->rules.group && !c->rules.classes; }
static bool keeps_all(const candidates *c) { return c->rules.group && c->rules.classes; }

static sluice_status resize(sluice *s, candidates *c, int64_t capacity)
{
    sluice_status st = SLUICE_OK;
    sluice_entry *more;
    TRY_NEW(more, RAW(s, capacity, sluice_entry));
    if (c->top.entries) memcpy(more, c->top.entries, (size_t)c->top.count * sizeof *more);
    mem_free(c->top.entries);
    c->top.entries = more;
    c->top.capacity = capacity;
    if (!c->rules.classes) return SLUICE_OK;
    mem_free(c->order);
    mem_free(c->start);
    c->start = NULL;
    TRY_NEW(c->order, RAW(s, capacity, sluice_entry));
    TRY_NEW(c->start, RAW(s, capacity + 1, int64_t));
out:
    return st;
}

sluice_status candidates_init(sluice *s, candidates *c, const pick_rules *rules)
{
    sluice_status st = SLUICE_OK;
    *c = (candidates){ .rules = *rules, .top = { .k = rules->k, .seed = rules->seed } };
    if (c->rules.room <= 0) c->rules.room = ROOM;
    int64_t room = c->rules.room;
    if (candidates_are_top(c) && room < ROOM_OF_OP) room = ROOM_OF_OP;
    if (rules->k > (INT64_MAX - room) / 2)
        return sluice_fail(s, SLUICE_E_MEMORY, "%lld picks do not fit in memory", (long long)rules->k);
    TRY(resize(s, c, (candidates_are_top(c) ? 2 * rules->k : rules->k) + room));
    if (rules->group) TRY_NEW(c->taken, NEW(s, rules->group_count, int64_t));
    if (rules->classes) {
        TRY_NEW(c->turn, NEW(s, rules->classes, int64_t));
        TRY_NEW(c->floor, NEW(s, rules->classes, sluice_entry));
    }
out:
    if (st) candidates_release(c);
    return st;
}

void candidates_release(candidates *c)
{
    mem_free(c->top.entries);
    mem_free(c->order);
    mem_free(c->start);
    mem_free(c->taken);
    mem_free(c->turn);
    mem_free(c->floor);
    *c = (candidates){ 0 };
}

/* What a row must beat from now on. */
static void set_bar(candidates *c)
{
    sluice_top_state *top = &c->top;
    top->full = top->count == top->k && top->k > 0 && !keeps_all(c);
    if (!top->full) return;
    top->worst = top->entries[top->count - 1];
    if (!c->rules.classes) return;
    for (int64_t i = 0; i < top->count; i++) c->floor[top->entries[i].tag - 1] = top->entries[i];
    c->last_turn = c->turn[top->worst.tag - 1];
}

static void reduce(candidates *c, bool last)
{
    sluice_top_state *top = &c->top;
    entries_sort(top->entries, top->count);
    if (c->rules.group)
        top->count = group_filter(&c->rules, c->taken, top->entries, top->count, c->rules.classes ? -1 : top->k);
    if (c->rules.classes && (last || !keeps_all(c)))
        top->count = balance_order(&c->rules, c->turn, top->entries, top->count, top->k, c->order, c->start);
    set_bar(c);
}

/* No later row can bring e back: k rows before it stay before it. */
static bool hopeless(const candidates *c, const sluice_entry *e)
{
    if (!c->top.full) return false;
    if (!c->rules.classes) return !entry_before(e, &c->top.worst);
    int64_t kept = c->turn[e->tag - 1];
    if (kept && entry_before(e, &c->floor[e->tag - 1])) return false;
    return kept >= c->last_turn || (kept + 1 == c->last_turn && !entry_before(e, &c->top.worst));
}

static sluice_status add_one(sluice *s, candidates *c, const sluice_entry *e)
{
    if (hopeless(c, e)) return SLUICE_OK;
    if (c->top.count == c->top.capacity) {
        reduce(c, false);
        if (c->top.count > c->top.capacity - (c->rules.room + 1) / 2) {
            sluice_status st = c->top.capacity > INT64_MAX / 2 ? SLUICE_E_MEMORY : resize(s, c, 2 * c->top.capacity);
            if (st) return st;
        }
        if (hopeless(c, e)) return SLUICE_OK;
    }
    c->top.entries[c->top.count++] = *e;
    return SLUICE_OK;
}

/* Scores and state lie in host memory. */
static sluice_status top_op(sluice *s, const sluice_op_top_args *a)
{
    place cpu = place_cpu(s), was = place_go(s, &cpu);
    sluice_status st = sluice_op_top(s, a);
    place_back(s, was);
    return st;
}

sluice_status candidates_add(sluice *s, candidates *c, const float *score, const float *prediction, const uint64_t *ids,
                             int64_t n, int64_t first_row, const uint64_t *skip)
{
    if (candidates_are_top(c))
        return top_op(s, &(sluice_op_top_args){ .count = 1,
                                                .score = &score,
                                                .ids = ids,
                                                .n = n,
                                                .first_row = first_row,
                                                .skip = skip,
                                                .state = &c->top });
    for (int64_t i = 0; i < n; i++) {
        int64_t row = first_row + i;
        sluice_entry e = { .row = row, .id = ids ? ids[i] : (uint64_t)row, .key = ex_order_key(score[i]) };
        if (e.key == 0 || (skip && skip[row / 64] >> (row % 64) & 1)) continue;
        if (c->rules.classes) {
            if (!(prediction[i] >= 0)) continue; /* random scores rows whose logits are not finite */
            e.tag = (uint32_t)prediction[i] + 1;
        }
        e.hash = ex_hash64(c->rules.seed, e.id);
        sluice_status st = add_one(s, c, &e);
        if (st) return st;
    }
    return SLUICE_OK;
}

sluice_status candidates_offer(sluice *s, candidates *c, const sluice_entry *e)
{
    if (!candidates_are_top(c)) return add_one(s, c, e);
    if (c->top.k > 0) top_add(&c->top, *e);
    return SLUICE_OK;
}

sluice_status candidates_settle(sluice *s, candidates *c)
{
    if (candidates_are_top(c)) return top_op(s, &(sluice_op_top_args){ .count = 1, .state = &c->top, .finish = 1 });
    reduce(c, false);
    return SLUICE_OK;
}

sluice_status candidates_finish(sluice *s, candidates *c)
{
    if (candidates_are_top(c)) return candidates_settle(s, c);
    reduce(c, true);
    if (c->top.count > c->top.k) c->top.count = c->top.k;
    return SLUICE_OK;
}
