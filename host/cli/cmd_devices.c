/* cmd_devices.c - sluice devices: what this machine and this build can run, and what limits them. */
#include "cli.h"
#include "backends.h"
#include "comm.h"
#include "reader.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool json;
} o;

static const cli_opt opts[] = {
    { "json", 0, CLI_FLAG, NULL, &o.json, "as JSON" },
    { 0 },
};

typedef struct limits {
    char cpus[16], memory[32], group[4200]; /* of the control group: CPUs, MiB; "" for none */
    int affinity;
    long long memory_mib;
} limits;

static bool read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "r");
    bool ok = f && fgets(line, size, f);
    if (f) fclose(f);
    if (ok) line[strcspn(line, "\n")] = 0;
    return ok;
}

/* The tightest limit of any level of this process's control group (version 2). */
static void read_group(limits *l)
{
    char line[4096], folder[4200], path[4300];
    double cpus = 0, bytes = 0;
    FILE *f = fopen("/proc/self/cgroup", "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) found = strncmp(line, "0::/", 4) == 0;
    if (f) fclose(f);
    if (!found) return;
    line[strcspn(line, "\n")] = 0;
    snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
    for (size_t root = strlen("/sys/fs/cgroup"); strlen(folder) >= root; *strrchr(folder, '/') = 0) {
        double quota, period, limit;
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        if (read_line(path, line, sizeof line) && sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0 &&
            (cpus == 0 || quota / period < cpus))
            cpus = quota / period;
        snprintf(path, sizeof path, "%s/memory.max", folder);
        if (read_line(path, line, sizeof line) && sscanf(line, "%lf", &limit) == 1 && (bytes == 0 || limit < bytes))
            bytes = limit;
    }
    if (cpus > 0) snprintf(l->cpus, sizeof l->cpus, "%.2f", cpus);
    if (bytes > 0) snprintf(l->memory, sizeof l->memory, "%.0f", bytes / 1048576);
}

static limits read_limits(void)
{
    limits l = { 0 };
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) l.affinity = CPU_COUNT(&set);
    l.memory_mib = (long long)sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
    read_group(&l);
    return l;
}

/* What the plug-in has, whether or not this run uses it. */
typedef struct gpus {
    sluice_backend backend; /* devices 0: none, and why */
    char why[512];
} gpus;

static gpus find_gpus(cli *c)
{
    gpus g = { 0 };
    if (backend_cuda(c->s, &g.backend, g.why, sizeof g.why) != SLUICE_OK) g.backend.devices = 0;
    return g;
}

static bool is_used(const sluice *s, int device)
{
    for (int i = 0; on_device(s) && i < s->devices; i++)
        if (s->device[i] == device) return true;
    return false;
}

static bool is_usable(const gpus *g, int device, char *why, size_t bytes)
{
    return g->backend.usable(device, why, bytes) != 0;
}

static long long free_mib(const gpus *g, int device) { return (long long)(g->backend.memory(device) >> 20); }

static void put_gpus(cli *c, const gpus *g)
{
    char text[2048], why[256];
    if (g->backend.devices == 0) printf("cuda     not used: %s\n", g->why);
    for (int i = 0; i < g->backend.devices; i++) {
        g->backend.describe(i, text, sizeof text);
        printf("cuda:%-3d %s; ", i, text);
        if (!is_usable(g, i, why, sizeof why)) printf("not used: %s\n", why);
        else if (!is_used(c->s, i)) printf("not used: --devices %s\n", common.devices);
        else printf("used, %lld MiB to take (--device-mem-mib)\n", free_mib(g, i));
    }
}

static void put_gpu_json(cli *c, const gpus *g, int i)
{
    char text[2048], why[256];
    bool usable = is_usable(g, i, why, sizeof why), used = is_used(c->s, i);
    g->backend.describe(i, text, sizeof text);
    printf("\n    { \"name\": \"cuda:%d\", \"what\": ", i);
    put_json_text(stdout, text);
    printf(", \"free_mib\": %lld, \"used\": %s, \"why\": ", usable ? free_mib(g, i) : 0, used ? "true" : "false");
    if (!usable) put_json_text(stdout, why);
    else fputs(used ? "null" : "\"--devices\"", stdout);
    fputs(" }", stdout);
}

static void put_gpus_json(cli *c, const gpus *g)
{
    fputs(",\n  \"cuda_plugin\": ", stdout);
    fputs(g->backend.devices ? "true,\n  \"cuda_why\": null" : "false,\n  \"cuda_why\": ", stdout);
    if (!g->backend.devices) put_json_text(stdout, g->why);
    fputs(",\n  \"gpus\": [", stdout);
    for (int i = 0; i < g->backend.devices; i++) {
        if (i) fputc(',', stdout);
        put_gpu_json(c, g, i);
    }
    fputs(g->backend.devices ? "\n  ]" : "]", stdout);
}

static const char *reads_why(void)
{
#ifdef SLUICE_HAVE_URING
    return strcmp(reader_backend(), "io_uring") == 0 ? "liburing"
                                                     : "built with liburing, but the kernel forbids io_uring";
#else
    return "built without liburing";
#endif
}

static const char *variable(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : "unset";
}

static void put_ranks(void)
{
    char text[512];
    launch l = launch_find();
    printf("ranks    %s: %s; ", comm_describe(text, sizeof text) ? "MPI" : "none", text);
    if (l.by) printf("started by %s as task %d of %d\n", l.by, l.rank, l.size);
    else puts("not started by mpirun or srun");
}

static void put_ranks_json(void)
{
    char text[512];
    launch l = launch_find();
    bool there = comm_describe(text, sizeof text);
    fputs(there ? ",\n  \"mpi\": " : ",\n  \"mpi\": null,\n  \"mpi_why\": ", stdout);
    put_json_text(stdout, text);
    printf(",\n  \"rank\": %d,\n  \"ranks\": %d", l.rank, l.size);
}

static void put_json(cli *c, const limits *l, const gpus *g)
{
    fputs("{\n  \"backend\": ", stdout);
    put_json_text(stdout, c->s->backend->name);
    fputs(",\n  \"cpu_tiers\": ", stdout);
    put_json_text(stdout, cpu_tier_names());
    printf(",\n  \"threads\": %d,\n  \"affinity\": %d,\n  \"cgroup_cpus\": %s,\n", c->s->threads, l->affinity,
           *l->cpus ? l->cpus : "null");
    printf("  \"memory_mib\": %lld,\n  \"cgroup_memory_mib\": %s,\n  \"buffers_mib\": %lld,\n", l->memory_mib,
           *l->memory ? l->memory : "null", (long long)common.mem_mib);
    fputs("  \"reads\": ", stdout);
    put_json_text(stdout, reader_backend());
    fputs(",\n  \"reads_why\": ", stdout);
    put_json_text(stdout, reads_why());
    put_ranks_json();
    put_gpus_json(c, g);
    fputs("\n}\n", stdout);
}

static sluice_status run(cli *c)
{
    limits l = read_limits();
    gpus g = find_gpus(c);
    if (o.json) {
        put_json(c, &l, &g);
        return SLUICE_OK;
    }
    printf("backend  %s; tiers that run here: %s (SLUICE_CPU=%s)\n", c->s->backend->name, cpu_tier_names(),
           variable("SLUICE_CPU"));
    printf("threads  %d; affinity %d, control group %s, --threads %lld, SLURM_CPUS_PER_TASK %s, OMP_NUM_THREADS %s\n",
           c->s->threads, l.affinity, *l.cpus ? l.cpus : "unlimited", (long long)common.threads,
           variable("SLURM_CPUS_PER_TASK"), variable("OMP_NUM_THREADS"));
    printf("memory   %lld MiB for buffers (--mem-mib); machine %lld MiB, control group %s%s\n",
           (long long)common.mem_mib, l.memory_mib, *l.memory ? l.memory : "unlimited", *l.memory ? " MiB" : "");
    printf("reads    %s; %s\n", reader_backend(), reads_why());
    put_ranks();
    put_gpus(c, &g);
    return SLUICE_OK;
}

const cli_command cli_devices = {
    "devices",   "show what can run here and what limits it",
    "[options]", "sluice devices --json",
    opts,        NULL,
    NULL,        0,
    0,           run,
};
