/* limits.c - how much memory this process may take. */
#include "core.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "NAME number" in a file of such lines; 0: not there. */
static double value_of(const char *path, const char *name)
{
    char line[256], format[64];
    double value = 0;
    FILE *f = fopen(path, "r");
    snprintf(format, sizeof format, "%s %%lf", name);
    while (f && value == 0 && fgets(line, sizeof line, f)) sscanf(line, format, &value);
    if (f) fclose(f);
    return value;
}

static double number_in(const char *path) { return value_of(path, ""); }

/* What a control group leaves of its limit; pages of files count as free, they are given back when memory is short. */
static double left_in(const char *folder)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    double most = number_in(path); /* "max" is no number */
    if (most == 0) return 0;
    snprintf(path, sizeof path, "%s/memory.current", folder);
    double used = number_in(path);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    used -= value_of(path, "file");
    return most - used > 1 ? most - used : 1;
}

size_t memory_available(void)
{
    const size_t root = sizeof "/sys/fs/cgroup" - 1;
    double least = 1024 * value_of("/proc/meminfo", "MemAvailable:");
    char line[4096] = "", folder[4200];
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "0::/", 4) != 0) line[0] = 0;
    if (f) fclose(f);
    if (least == 0) least = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    line[strcspn(line, "\n")] = 0;
    if (!line[0]) return (size_t)least;
    snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
    for (; strlen(folder) >= root; *strrchr(folder, '/') = 0) {
        double left = left_in(folder);
        if (left > 0 && left < least) least = left;
    }
    return (size_t)least;
}
