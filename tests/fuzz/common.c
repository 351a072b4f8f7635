/* common.c - the context and the files of a fuzz target. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static char folder[64];

sluice *fuzz_context(void)
{
    static sluice *s;
    if (!s && sluice_open(NULL, &s)) {
        fprintf(stderr, "%s\n", sluice_error(s));
        exit(1);
    }
    return s;
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/dev/shm/sluice-fuzz-XXXXXX");
    if (!mkdtemp(folder)) { /* no /dev/shm */
        snprintf(folder, sizeof folder, "/tmp/sluice-fuzz-XXXXXX");
        if (!mkdtemp(folder)) exit(1);
    }
    atexit(fuzz_clean);
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    static char paths[8][128];
    static int turn;
    if (!folder[0]) make_folder();
    char *path = paths[turn = (turn + 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size)) exit(1);
    close(fd);
    return path;
}

void fuzz_clean(void)
{
    DIR *d = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d) closedir(d);
    if (folder[0]) rmdir(folder);
    folder[0] = 0;
}
