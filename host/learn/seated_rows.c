/* seated_rows.c - see seated_rows.h.
 *
 * With several seats their execs are deferred, so that no device waits for another: results leave only when all seats have
 * their work, a copy to the host waits for its device. */
#include "seated_rows.h"
#include "backends.h"
#include "device.h"

sluice_exec row_seat_take(sluice *s, const row_seat *p)
{
    sluice_exec was = s->exec;
    s->exec = p->exec;
    return was;
}

static sluice_status seat_new(const seated_rows *r, row_seat *p)
{
    sluice_status st = SLUICE_OK;
    sluice *s = r->s;
    TRY_NEW(p->x, dev_seat(s, r->x, r->rows, sizeof(float) * (size_t)r->width));
    TRY_NEW(p->target, dev_seat(s, r->target, r->rows, sizeof(int32_t)));
    if (r->class_weight) TRY_NEW(p->class_weight, dev_seat_filled(s, r->class_weight, r->classes, sizeof(float)));
out:
    return st;
}

sluice_status seated_rows_init(seated_rows *r, sluice *s, int seats, float *x, int32_t *target, int64_t rows,
                               int64_t width, float *class_weight, int classes)
{
    sluice_status st = SLUICE_OK;
    *r = (seated_rows){ s, x, target, class_weight, rows, width, classes, 0, NULL };
    TRY_NEW(r->seat, NEW(s, seats, row_seat));
    for (int i = 0; i < seats; i++) {
        row_seat *p = &r->seat[i];
        if (i == 0) p->exec = s->exec;
        else TRY(exec_new(s, i, &p->exec));
        r->seats++;
        sluice_exec was = row_seat_take(s, p);
        st = seat_new(r, p);
        s->exec = was;
        if (st) goto out;
        p->exec.deferred = seats > 1;
    }
out:
    return st;
}

void seated_rows_release(seated_rows *r)
{
    for (int i = 0; i < r->seats; i++) {
        row_seat *p = &r->seat[i];
        sluice_exec was = row_seat_take(r->s, p);
        dev_unseat(r->s, p->x, r->x), dev_unseat(r->s, p->target, r->target);
        dev_unseat(r->s, p->class_weight, r->class_weight);
        r->s->exec = was;
        if (i > 0) exec_free(r->s, &p->exec);
    }
    mem_free(r->seat);
    *r = (seated_rows){ 0 };
}

sluice_status seated_rows_load(seated_rows *r, int64_t rows)
{
    sluice_status st = dev_copy(r->s, r->seat[0].x, r->x, (size_t)rows * sizeof(float) * (size_t)r->width);
    return st ? st : dev_copy(r->s, r->seat[0].target, r->target, (size_t)rows * sizeof(int32_t));
}

sluice_status seated_rows_share(seated_rows *r, int64_t rows)
{
    sluice_status st = SLUICE_OK;
    sluice_exec *exec[MAX_DEVICES];
    void *x[MAX_DEVICES], *target[MAX_DEVICES];
    if (r->seats == 1) return SLUICE_OK;
    for (int i = 0; i < r->seats; i++) exec[i] = &r->seat[i].exec, x[i] = r->seat[i].x, target[i] = r->seat[i].target;
    TRY(r->s->backend->broadcast(exec, r->seats, x, (size_t)rows * sizeof(float) * (size_t)r->width));
    TRY(r->s->backend->broadcast(exec, r->seats, target, (size_t)rows * sizeof(int32_t)));
out:
    return st;
}

sluice_status seated_rows_send(seated_rows *r, int64_t rows)
{
    sluice_status st = seated_rows_load(r, rows);
    return st ? st : seated_rows_share(r, rows);
}

sluice_status seated_rows_gather(const seated_rows *r, const void *const *from, void *const *to, size_t bytes)
{
    sluice_exec *exec[MAX_DEVICES];
    for (int i = 0; i < r->seats; i++) exec[i] = &r->seat[i].exec;
    return r->s->backend->gather(exec, r->seats, from, to, bytes);
}

sluice_status seated_rows_wait(const seated_rows *r, sluice_status st)
{
    for (int i = 0; i < r->seats && r->seats > 1; i++) {
        sluice_status late = r->s->backend->wait(&r->seat[i].exec);
        st = st ? st : late;
    }
    return st;
}
