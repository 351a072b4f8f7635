/* dry_run.c - what --dry-run prints, as text and as JSON. */
#include "cli.h"

static void put_text(const sluice_pool_info *pi, const sluice_plan *p)
{
    printf("rows        %lld of %lld x %s in %d shards\n", (long long)pi->rows, (long long)pi->width,
           sluice_type_name(pi->type), pi->shards);
    printf("read        %.0f bytes in %d pass%s, %.0f of %lld chosen rows\n", p->bytes, p->passes,
           p->passes == 1 ? "" : "es", p->gathered_bytes, (long long)p->gathered);
    printf("memory      %.1f MiB of each process, %.0f MiB can be had\n", p->memory / 1048576,
           p->memory_free / 1048576);
    if (p->devices) printf("device      %.1f MiB and the head on each of %d\n", p->device_memory / 1048576, p->devices);
    if (p->disk_free >= 0)
        printf("disk        %.0f bytes, as temporary files at first, %.0f are free\n", p->written, p->disk_free);
    else printf("output      %.0f bytes\n", p->written);
    if (p->read_rate > 0)
        printf("rate        %.2f GB/s read, %.3g rows/s read and scored, measured by a short read\n",
               p->read_rate * 1e-9, p->scan_rate);
    printf("time        %.1f s to read and score\n", p->seconds);
}

static void put_json(const sluice_pool_info *pi, const sluice_plan *p)
{
    printf("{\n  \"rows\": %lld,\n  \"width\": %lld,\n  \"type\": \"%s\",\n  \"shards\": %d,\n", (long long)pi->rows,
           (long long)pi->width, sluice_type_name(pi->type), pi->shards);
    printf("  \"scanned\": %lld,\n  \"passes\": %d,\n  \"bytes\": %.0f,\n", (long long)p->rows, p->passes, p->bytes);
    printf("  \"gathered\": %lld,\n  \"gathered_bytes\": %.0f,\n", (long long)p->gathered, p->gathered_bytes);
    printf("  \"memory_bytes\": %.0f,\n  \"memory_free\": %.0f,\n", p->memory, p->memory_free);
    printf("  \"devices\": %d,\n  \"device_bytes\": %.0f,\n", p->devices, p->device_memory);
    printf("  \"written_bytes\": %.0f,\n  \"temporary_bytes\": %.0f,\n", p->written, p->written);
    if (p->disk_free >= 0) printf("  \"disk_free\": %.0f,\n", p->disk_free);
    printf("  \"read_bytes_per_s\": %.0f,\n  \"scan_rows_per_s\": %.0f,\n  \"seconds\": %.3f", p->read_rate,
           p->scan_rate, p->seconds);
}

void put_plan(const sluice_pool *pool, const sluice_plan *p, const sluice_picks *picks, int64_t k, bool json)
{
    sluice_pool_info pi;
    sluice_picks_info info = { 0 };
    sluice_pool_get_info(pool, &pi);
    if (json) put_json(&pi, p);
    else put_text(&pi, p);
    if (picks) {
        sluice_picks_get_info(picks, &info);
        int64_t left = pi.rows - info.excluded, n = k < left ? k : left;
        int lists = sluice_picks_lists(picks);
        if (json)
            printf(",\n  \"excluded\": %lld,\n  \"lists\": %d,\n  \"picks\": %lld", (long long)info.excluded, lists,
                   (long long)n);
        else
            printf("excluded    %lld rows\npicks       %lld for each of %d strategies\n", (long long)info.excluded,
                   (long long)n, lists);
    }
    if (json) puts("\n}");
}
