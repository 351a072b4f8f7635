/* error.c - one recorded message a context: "what was attempted: the reason, with values", perhaps a hint line. */
#include "core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* File names and file contents reach terminals through here: no control characters. */
static void mask(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 32 || *p == 127) *p = '?';
}

static sluice_status record(sluice *s, sluice_status st, const char *suffix, const char *format, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, ap);
    mask(text);
    snprintf(s->error, sizeof s->error, "%s%s%s", text, suffix ? ": " : "", suffix ? suffix : "");
    return st;
}

sluice_status sluice_fail(sluice *s, sluice_status st, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    record(s, st, NULL, format, ap);
    va_end(ap);
    return st;
}

sluice_status sluice_fail_errno(sluice *s, sluice_status st, const char *format, ...)
{
    char why[128];
    const char *text = strerror_r(errno, why, sizeof why);
    va_list ap;
    va_start(ap, format);
    record(s, st, text, format, ap);
    va_end(ap);
    return st;
}

sluice_status sluice_note(sluice *s, sluice_status st, const char *format, ...)
{
    char text[512], old[sizeof s->error];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    mask(text);
    memcpy(old, s->error, sizeof old);
    snprintf(s->error, sizeof s->error, "%s: %.*s", text, (int)(sizeof s->error - sizeof text - 4), old);
    return st;
}

sluice_status sluice_hint(sluice *s, sluice_status st, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    mask(text);
    size_t n = strlen(s->error);
    snprintf(s->error + n, sizeof s->error - n, "\nhint: %s", text);
    return st;
}
