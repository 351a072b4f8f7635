/* text.c - small files, paths, numbers, hashes. */
#include "core.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

sluice_status file_read(sluice *s, const char *path, int64_t limit, char **out_text, int64_t *out_bytes)
{
    sluice_status st = SLUICE_OK;
    char *text = NULL;
    int64_t used = 0, room = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL_ERRNO(E_MISSING, "cannot open '%s'", path);
    for (;;) {
        if (used == room) {
            room = room ? room * 2 : 1 << 16;
            char *more;
            TRY_NEW(more, mem_grow(s, text, room + 1, 1));
            text = more;
        }
        ssize_t n = read(fd, text + used, (size_t)(room - used));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_ERRNO(E_IO, "cannot read '%s'", path);
        if (n == 0) break;
        used += n;
        if (used > limit) FAIL(E_FORMAT, "'%s' is larger than %lld bytes", path, (long long)limit);
    }
    text[used] = 0;
    *out_text = text, text = NULL;
    *out_bytes = used;
out:
    mem_free(text);
    if (fd >= 0) close(fd);
    return st;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool path_ends(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed) { return XXH3_64bits_withSeed(data, bytes, seed); }

bool parse_i64(const char *text, int64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1]))) return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || errno) return false;
    *out = v;
    return true;
}

bool parse_f64(const char *text, double *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && !strchr("+-.", text[0])) return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double v = strtod_l(text, &end, c);
    freelocale(c);
    if (*end || end == text || !isfinite(v)) return false;
    *out = v;
    return true;
}
