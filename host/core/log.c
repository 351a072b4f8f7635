/* log.c - log lines and progress go to the caller's functions; the library itself never prints. */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void log_line(sluice *s, sluice_level level, const char *format, ...)
{
    if (!s->opt.log) return;
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    s->opt.log(s->opt.user, level, text);
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(progress *g, const char *task, const char *unit, int64_t total)
{
    *g = (progress){ .p = { .task = task, .unit = unit, .total = total }, .began = clock_seconds() };
}

static void tell(sluice *s, progress *g, double now)
{
    g->p.seconds = now - g->began;
    g->told = now;
    if (s->opt.progress) s->opt.progress(s->opt.user, &g->p);
}

sluice_status progress_step(sluice *s, progress *g, int64_t done, double bytes)
{
    double now = clock_seconds();
    g->p.done = done;
    g->p.bytes = bytes;
    if (now - g->told >= 0.1) tell(s, g, now);
    if (s->cancelled)
        return sluice_fail(s, SLUICE_E_CANCELLED, "%s stopped after %lld of %lld %s", g->p.task, (long long)done,
                           (long long)g->p.total, g->p.unit);
    return SLUICE_OK;
}

void progress_end(sluice *s, progress *g)
{
    g->p.done = g->p.total;
    tell(s, g, clock_seconds());
}

sluice_status cancel_check(sluice *s, const char *what)
{
    return s->cancelled ? sluice_fail(s, SLUICE_E_CANCELLED, "%s stopped before the end", what) : SLUICE_OK;
}
