/* context.c - the context: opening, devices, the scratch block, cancelling. */
#include "backends.h"
#include "comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *exec_scratch(sluice_exec *x, size_t bytes)
{
    sluice *s = x->host;
    if (bytes > s->scratch_bytes) {
        mem_free(s->scratch);
        s->scratch_bytes = 0;
        s->scratch = bytes <= INT64_MAX ? mem_raw(s, (int64_t)bytes, 1) : NULL;
        if (!s->scratch) return NULL;
        s->scratch_bytes = bytes;
    }
    return s->scratch;
}

static sluice_status exec_fail(sluice_exec *x, sluice_status st, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sluice_fail(x->host, st, "%s", text);
}

sluice_status sluice_open(const sluice_options *o, sluice **out_s)
{
    sluice *s = calloc(1, sizeof *s);
    *out_s = s;
    if (!s) return SLUICE_E_MEMORY;
    if (o) memcpy(&s->opt, o, o->size < sizeof s->opt ? o->size : sizeof s->opt);
    s->exec = (sluice_exec){ .scratch = exec_scratch, .fail = exec_fail, .host = s };
    if (s->opt.threads < 0)
        return sluice_fail(s, SLUICE_E_USAGE, "the number of threads cannot be %d; 0 means as many as allowed",
                           s->opt.threads);
    int64_t mib = s->opt.mem_mib ? s->opt.mem_mib : 1024;
    if (mib < 1 || mib > INT64_MAX >> 20)
        return sluice_fail(s, SLUICE_E_USAGE, "the memory budget cannot be %lld MiB", (long long)mib);
    if (s->opt.device_mem_mib < 0 || s->opt.device_mem_mib > INT64_MAX >> 20)
        return sluice_fail(s, SLUICE_E_USAGE, "the device memory budget cannot be %lld MiB",
                           (long long)s->opt.device_mem_mib);
    if (s->opt.math && strcmp(s->opt.math, "fast") == 0) s->math = SLUICE_MATH_FAST;
    else if (s->opt.math && strcmp(s->opt.math, "exact") != 0)
        return sluice_fail(s, SLUICE_E_USAGE, "math is exact or fast, not '%s'", s->opt.math);
    s->mem_bytes = (size_t)mib << 20;
    s->threads = s->exec.threads = s->opt.threads ? s->opt.threads : cpu_threads();
    sluice_status st = s->opt.ranks ? comm_open(s) : SLUICE_OK;
    return st ? st : comm_agree(s, backend_pick(s));
}

void sluice_close(sluice *s)
{
    if (!s) return;
    comm_close(s);
    exec_free(s, &s->exec);
    mem_free(s->scratch);
    free(s);
}

void sluice_get_usage(const sluice *s, sluice_usage *out_usage)
{
    sluice_usage u = s->usage;
    u.size = out_usage->size < sizeof u ? out_usage->size : sizeof u;
    u.devices = s->devices > 1 ? s->devices : 1;
    memcpy(out_usage, &u, u.size);
}

const char *sluice_error(const sluice *s) { return s ? s->error : "out of memory"; }
void sluice_cancel(sluice *s)
{
    if (s) s->cancelled = 1;
}
const char *sluice_version(void) { return SLUICE_VERSION; }

static const struct {
    int exit_code;
    const char *text;
} statuses[] = {
#define X(name, exit_code, text) [SLUICE_##name] = { exit_code, text },
    SLUICE_STATUS_LIST(X)
#undef X
};

const char *sluice_status_text(sluice_status st)
{
    return (unsigned)st < sizeof statuses / sizeof *statuses ? statuses[st].text : "unknown status";
}

int sluice_exit_code(sluice_status st)
{
    return (unsigned)st < sizeof statuses / sizeof *statuses ? statuses[st].exit_code : 1;
}

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [SLUICE_F32] = { "f32", 4 }, [SLUICE_F16] = { "f16", 2 }, [SLUICE_BF16] = { "bf16", 2 },
    [SLUICE_F64] = { "f64", 8 }, [SLUICE_I8] = { "i8", 1 },   [SLUICE_U8] = { "u8", 1 },
};
size_t sluice_type_bytes(sluice_type t) { return types[t].bytes; }
const char *sluice_type_name(sluice_type t) { return types[t].name; }
