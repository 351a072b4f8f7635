/* launch.c - who started this process, by its environment.
 *
 *     mpirun (Open MPI)          OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_RANK
 *     mpirun, srun --mpi=pmi2    PMI_SIZE, PMI_RANK                              (MPICH, Intel MPI)
 *     srun                       SLURM_STEP_ID with SLURM_STEP_NUM_TASKS, SLURM_PROCID; a batch script has no step id of a task
 *     srun --mpi=pmix            the same with PMIX_RANK
 *
 * A shell under salloc carries SLURM_NTASKS, and is no task of a step with that many: only steps count. */
#include "comm.h"

#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise)
{
    int64_t value;
    const char *text = getenv(name);
    return text && parse_i64(text, &value) && value >= 0 && value < 1 << 30 ? (int)value : otherwise;
}

launch launch_find(void)
{
    launch l = { .size = 1 };
    if (number("OMPI_COMM_WORLD_SIZE", 0) > 0)
        return (launch){ "mpirun", number("OMPI_COMM_WORLD_RANK", 0), number("OMPI_COMM_WORLD_SIZE", 1), true };
    if (number("SLURM_STEP_ID", -1) >= 0 && getenv("SLURM_PROCID")) {
        l = (launch){ "srun", number("SLURM_PROCID", 0), number("SLURM_STEP_NUM_TASKS", number("SLURM_NTASKS", 1)),
                      getenv("PMIX_RANK") || getenv("PMI_RANK") };
        if (l.size > 1) return l;
    }
    if (number("PMI_SIZE", 0) > 0) return (launch){ "mpirun", number("PMI_RANK", 0), number("PMI_SIZE", 1), true };
    return l.size > 0 ? l : (launch){ .size = 1 };
}
