/* peak.c - peak LIMIT_MIB COMMAND...: runs the command, says on stderr how much memory it held at most (resident, mapped
 * pages included), and fails when that is more than LIMIT_MIB or the command fails. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long limit = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (limit <= 0) {
        fprintf(stderr, "usage: peak LIMIT_MIB COMMAND...\n");
        return 2;
    }
    pid_t child = fork();
    if (child < 0) return perror("peak: fork"), 1;
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) < 0) return perror("peak: wait"), 1;
    long mib = used.ru_maxrss / 1024; /* Linux counts KiB */
    fprintf(stderr, "peak %ld MiB, limit %ld MiB\n", mib, limit);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr, "peak: the command ended with status %d\n",
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        return 1;
    }
    return mib > limit;
}
