# Several tasks and nothing that connects them: refused before anything is read; each alone when asked.
export SLURM_STEP_ID=0 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0
fails 2 select no-such-pool.npy --head none -k 5
export PMIX_RANK=0 SLUICE_PLUGIN_DIR=/nowhere
fails 2 select no-such-pool.npy --head none -k 5
fails 2 score no-such-pool.npy --head none --out scores.npy
echo 'no plug-in' >libsluice_mpi.so
SLUICE_PLUGIN_DIR=. fails 2 select no-such-pool.npy --head none -k 5
fails 66 select no-such-pool.npy --strategy random -k 5 --ranks off
# Of several tasks the first speaks.
SLURM_PROCID=1 "$SLUICE" select no-such-pool.npy --head none -k 5
echo "exit $?"
SLURM_PROCID=1 "$SLUICE" select --no-such-option
echo "exit $?"
# No task of a step: a shell that salloc gave 4 tasks; a step of one task.
unset SLURM_STEP_ID PMIX_RANK
fails 66 select no-such-pool.npy --strategy random -k 5
SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 fails 66 select no-such-pool.npy --strategy random -k 5
# What devices says of it.
for by in 'OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=2' 'PMI_SIZE=3 PMI_RANK=1' 'SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=5 SLURM_PROCID=3'; do
    env $by "$SLUICE" devices | sed -n 's/^ranks.*; //p'
done
