/* comm_mpi.c - libsluice_mpi.so: comm_plugin.h over MPI-3, Open MPI or MPICH, whichever its compiler wrapper belongs to.
 *
 * MPI libraries wait by spinning.  Here whoever waits looks for a millisecond and then sleeps between looks: a rank that
 * waits for another must not take the CPU that the other computes on. */
#include "comm_plugin.h"

#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE = 1 << 30 }; /* MPI counts are int */
enum { SPIN_US = 1000, SLEEP_US = 200 };

static MPI_Comm world = MPI_COMM_NULL; /* our own: no message of a program around us gets in */
static int initialised;                /* by us */

/* ---- waiting ---- */

typedef struct patience {
    double since;
} patience;

static void wait_a_little(patience *p)
{
    double now = MPI_Wtime();
    if (p->since == 0) p->since = now;
    if (now - p->since < SPIN_US * 1e-6) return;
    nanosleep(&(struct timespec){ .tv_nsec = SLEEP_US * 1000L }, NULL);
}

/* code: of the call that made the request. */
static int finish(int code, MPI_Request *request)
{
    patience p = { 0 };
    int done = 0;
    while (!code && !done && MPI_Request_get_status(*request, &done, MPI_STATUS_IGNORE) == 0)
        if (!done) wait_a_little(&p);
    int waited = MPI_Wait(request, MPI_STATUS_IGNORE);
    return code ? code : waited;
}

/* ---- the table ---- */

/* NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker): requests are waited for in finish() */
static int exchange(const void *mine, void *all, int bytes)
{
    MPI_Request r = MPI_REQUEST_NULL;
    return finish(MPI_Iallgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, world, &r), &r);
}

static int piece_of(size_t bytes, size_t at) { return (int)(bytes - at < PIECE ? bytes - at : PIECE); }

static int broadcast(void *data, size_t bytes, int from)
{
    int code = 0;
    for (size_t at = 0; at < bytes && !code; at += PIECE) {
        MPI_Request r = MPI_REQUEST_NULL;
        code = finish(MPI_Ibcast((char *)data + at, piece_of(bytes, at), MPI_BYTE, from, world, &r), &r);
    }
    return code;
}

static int sum(int64_t *values, size_t count)
{
    int code = 0;
    for (size_t at = 0; at < count && !code; at += PIECE) {
        MPI_Request r = MPI_REQUEST_NULL;
        code =
            finish(MPI_Iallreduce(MPI_IN_PLACE, values + at, piece_of(count, at), MPI_INT64_T, MPI_SUM, world, &r), &r);
    }
    return code;
}

static int send(int to, int tag, const void *data, size_t bytes)
{
    int code = 0;
    for (size_t at = 0; at < bytes && !code; at += PIECE) {
        MPI_Request r = MPI_REQUEST_NULL;
        code = finish(MPI_Isend((const char *)data + at, piece_of(bytes, at), MPI_BYTE, to, tag, world, &r), &r);
    }
    return code;
}

static int receive(int from, int tag, void *data, size_t bytes)
{
    int code = 0;
    for (size_t at = 0; at < bytes && !code; at += PIECE) {
        MPI_Request r = MPI_REQUEST_NULL;
        code = finish(MPI_Irecv((char *)data + at, piece_of(bytes, at), MPI_BYTE, from, tag, world, &r), &r);
    }
    return code;
}

/* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */

static int probe(int tag, int wait, int *out_from)
{
    patience p = { 0 };
    for (;;) {
        int there = 0;
        MPI_Status of;
        int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, world, &there, &of);
        *out_from = !code && there ? of.MPI_SOURCE : -1;
        if (code || there || !wait) return code;
        wait_a_little(&p);
    }
}

static void text(int code, char *out, size_t bytes)
{
    char why[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (MPI_Error_string(code, why, &length)) snprintf(why, sizeof why, "MPI error %d", code);
    snprintf(out, bytes, "%s", why);
}

static void close_mpi(void)
{
    MPI_Comm_free(&world);
    if (initialised) MPI_Finalize();
    initialised = 0;
}

/* ---- opening ---- */

/* Whether this library can be told of the other processes by what started them: asked without knowing, it ends the process. */
static int can_be_reached(char *why, size_t why_bytes)
{
#ifdef OMPI_MAJOR_VERSION
    if (getenv("PMIX_RANK") || getenv("OMPI_COMM_WORLD_RANK")) return 1;
    snprintf(why, why_bytes, "the plug-in was built with Open MPI: start with its mpirun, or srun --mpi=pmix");
#else
    if (getenv("PMI_RANK") || getenv("PMI_FD")) return 1;
    snprintf(why, why_bytes, "the plug-in was built with MPICH: start with its mpirun, or srun --mpi=pmi2");
#endif
    return 0;
}

/* We are loaded with RTLD_LOCAL, but Open MPI's components look for the symbols of their library among the global ones. */
static void show_to_components(void)
{
    Dl_info where;
    if (dladdr(*(void **)&(int (*[])(int *, char ***)){ MPI_Init }[0], &where) && where.dli_fname)
        dlopen(where.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

static void name_library(char *out, size_t bytes)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "MPI";
    int length;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = 0;
    for (char *p = version; *p; p++)
        if (*p == '\t') *p = ' ';
    snprintf(out, bytes, "%s", version);
}

static int refuse(int code, char *why, size_t why_bytes)
{
    text(code, why, why_bytes);
    return -1;
}

static int join(comm_table *out, char *why, size_t why_bytes)
{
    int already = 0, level, code = MPI_Initialized(&already);
    if (!already && !can_be_reached(why, why_bytes)) return -1;
    if (!already && !code) code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    if (code) return refuse(code, why, why_bytes);
    initialised = !already;
    if ((code = MPI_Comm_dup(MPI_COMM_WORLD, &world))) return refuse(code, why, why_bytes);
    MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world, &out->rank), MPI_Comm_size(world, &out->size);
    return 0;
}

__attribute__((visibility("default"))) int sluice_comm_open(uint64_t abi, comm_table *out, char *why, size_t why_bytes);

int sluice_comm_open(uint64_t abi, comm_table *out, char *why, size_t why_bytes)
{
    if (abi != comm_abi()) {
        snprintf(why, why_bytes, "the plug-in belongs to another build of sluice");
        return -1;
    }
    show_to_components();
    if (!out) {
        name_library(why, why_bytes);
        return 0;
    }
    *out = (comm_table){ .abi = abi,
                         .exchange = exchange,
                         .broadcast = broadcast,
                         .sum = sum,
                         .send = send,
                         .receive = receive,
                         .probe = probe,
                         .text = text,
                         .close = close_mpi };
    name_library(out->library, sizeof out->library);
    return join(out, why, why_bytes);
}
