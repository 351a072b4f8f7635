/* backends.c - which backend runs the ops: the CPU, or the plug-in libsluice_cuda.so, opened at run time.
 *
 *     auto               every GPU that the plug-in has code for, the CPU where there is none or no plug-in
 *     cpu                the CPU
 *     all                every such GPU; an error where there is none
 *     cuda:0,cuda:2      these GPUs */
#include "backends.h"
#include "comm.h"
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sluice_status backend_cuda(const sluice *s, sluice_backend *out, char *why, size_t why_bytes)
{
    sluice_backend_open_fn *open;
    *(void **)&open = plugin_entry("libsluice_cuda.so", "sluice_backend_open", why, why_bytes);
    if (!open) return SLUICE_E_UNSUPPORTED;
    sluice_host host = { .abi = sluice_backend_abi(), .device_bytes = (size_t)s->opt.device_mem_mib << 20 };
    return open(&host, out, why, why_bytes);
}

/* ---- the devices asked for ---- */

static sluice_status use_cpu(sluice *s)
{
    s->backend = s->cpu;
    s->devices = 1;
    return SLUICE_OK;
}

static sluice_status add_device(sluice *s, int device)
{
    if (device >= s->plugin.devices)
        return sluice_fail(s, SLUICE_E_USAGE, "there is no device 'cuda:%d' here, the last is cuda:%d", device,
                           s->plugin.devices - 1);
    char why[256];
    if (!s->plugin.usable(device, why, sizeof why))
        return sluice_fail(s, SLUICE_E_USAGE, "device 'cuda:%d' cannot be used: %s", device, why);
    for (int i = 0; i < s->devices; i++)
        if (s->device[i] == device) return sluice_fail(s, SLUICE_E_USAGE, "device 'cuda:%d' is named twice", device);
    if (s->devices == MAX_DEVICES) return sluice_fail(s, SLUICE_E_USAGE, "more than %d devices", (int)MAX_DEVICES);
    s->device[s->devices++] = device;
    return SLUICE_OK;
}

static sluice_status name_devices(sluice *s, const char *list)
{
    sluice_status st = SLUICE_OK;
    if (strcmp(list, "all") == 0 || strcmp(list, "auto") == 0 || strcmp(list, "cuda") == 0) {
        sluice_status last = SLUICE_OK;
        for (int i = 0; i < s->plugin.devices && s->devices < MAX_DEVICES; i++)
            if ((st = add_device(s, i))) last = st;
        if (s->devices) s->error[0] = 0;
        return s->devices ? SLUICE_OK : last;
    }
    for (const char *p = list; *p && st == SLUICE_OK;) {
        size_t length = strcspn(p, ",");
        char name[32];
        int64_t device;
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), p);
        if (strncmp(name, "cuda:", 5) != 0 || !parse_i64(name + 5, &device) || device < 0 || device >= 1 << 20)
            return sluice_hint(s, sluice_fail(s, SLUICE_E_USAGE, "there is no device '%s' here", name),
                               "devices: auto, cpu, all, or a list like cuda:0,cuda:1");
        st = add_device(s, (int)device);
        p += length;
        if (*p == ',' && !*++p) return sluice_fail(s, SLUICE_E_USAGE, "the devices end in a comma");
    }
    return st;
}

static bool all_devices(const char *list)
{
    return strcmp(list, "auto") == 0 || strcmp(list, "all") == 0 || strcmp(list, "cuda") == 0;
}

/* Ranks that see the same GPUs share them: each takes its part, or one where there are more ranks.  GPUs that were named are
 * meant for every rank. */
static sluice_status share_devices(sluice *s, const char *list)
{
    sluice_status st = SLUICE_OK;
    uint64_t mine = 0;
    void *all = NULL;
    int count = s->devices, same = 0, before = 0, kept = 0;
    char text[2048];
    if (comm_size(s) == 1) return SLUICE_OK;
    for (int i = 0; s->backend->describe && all_devices(list) && i < count; i++) {
        s->backend->describe(s->device[i], text, sizeof text);
        mine = hash_bytes(text, strlen(text), mine + 1);
    }
    TRY(comm_share(s, &mine, sizeof mine, &all, NULL));
    for (int i = 0; i < comm_size(s) && mine; i++) {
        bool sees = ((const uint64_t *)all)[i] == mine;
        same += sees, before += sees && i < comm_rank(s);
    }
    if (same < 2) goto out;
    for (int i = before % count; i < count; i += same) s->device[kept++] = s->device[i];
    s->devices = kept;
out:
    mem_free(all);
    return st;
}

static sluice_status choose(sluice *s, const char *list)
{
    const char *unfit = NULL;
    char why[512] = "";
    s->cpu = cpu_backend(getenv("SLUICE_CPU"), &unfit);
    if (!s->cpu) return sluice_fail(s, SLUICE_E_USAGE, "%s", unfit);
    bool automatic = strcmp(list, "auto") == 0;
    bool named = automatic || strcmp(list, "all") == 0 || strncmp(list, "cuda", 4) == 0;
    if (strcmp(list, "cpu") == 0) return use_cpu(s);
    if (named && backend_cuda(s, &s->plugin, why, sizeof why) != SLUICE_OK) {
        if (automatic) return use_cpu(s);
        return sluice_hint(s, sluice_fail(s, SLUICE_E_USAGE, "there is no device '%s' here: %s", list, why),
                           "`sluice devices` shows what can run here");
    }
    sluice_status st = name_devices(s, list);
    if (st && automatic) {
        s->error[0] = 0;
        return use_cpu(s);
    }
    if (!st) s->backend = &s->plugin;
    return st;
}

sluice_status backend_pick(sluice *s)
{
    const char *list = s->opt.devices && *s->opt.devices ? s->opt.devices : "auto";
    sluice_status st = choose(s, list);
    if (!st) st = share_devices(s, list);
    if (st || !s->backend->exec_open) return st;
    s->exec.device = s->device[0];
    return s->backend->exec_open(&s->exec);
}

/* ---- execs ---- */

sluice_status exec_new(sluice *s, int i, sluice_exec *out_x)
{
    *out_x = s->exec;
    out_x->state = NULL;
    out_x->device = s->device[i % s->devices];
    return s->backend->exec_open ? s->backend->exec_open(out_x) : SLUICE_OK;
}

void exec_free(sluice *s, sluice_exec *x)
{
    if (!s->backend || !s->backend->exec_close || !x->state) return;
    dev_forget(s, x);
    s->backend->exec_close(x);
}

sluice_status exec_wait(sluice *s, sluice_status st)
{
    return st || !s->exec.deferred ? st : s->backend->wait(&s->exec);
}

/* ---- places ---- */

place place_here(const sluice *s) { return (place){ s->backend, s->exec }; }

place place_cpu(const sluice *s)
{
    place p = { s->cpu, s->exec };
    p.exec.state = NULL, p.exec.device = 0, p.exec.deferred = 0;
    return p;
}

place place_go(sluice *s, const place *to)
{
    place was = place_here(s);
    s->backend = to->backend, s->exec = to->exec;
    return was;
}

place place_go_cpu(sluice *s)
{
    place cpu = place_cpu(s);
    return place_go(s, &cpu);
}

sluice_status place_with_room(sluice *s, sluice_status (*work)(sluice *s, void *user), void *user)
{
    sluice_status st = work(s, user);
    if (st != SLUICE_E_MEMORY || !on_device(s)) return st;
    log_line(s, SLUICE_DEBUG, "computing on the CPU instead: %s", s->error);
    s->error[0] = 0;
    place was = place_go_cpu(s);
    st = work(s, user);
    place_back(s, was);
    return st;
}
