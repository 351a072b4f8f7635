# Values differ between machines, so only the names of the lines are expected.
sluice devices | sed 's/ .*//'
sluice devices --json | sed 's/:.*//'
sluice devices --threads 3 | grep -o 'threads  3;'
SLUICE_CPU=scalar "$SLUICE" devices | grep -o 'backend  cpu/scalar'
SLURM_CPUS_PER_TASK=1 "$SLUICE" devices | grep -o 'threads  1;'
OMP_NUM_THREADS=1 "$SLUICE" devices | grep -o 'threads  1;'
SLUICE_CPU=avx1024 "$SLUICE" devices 2>&1 | sed 's/; this machine.*//'
fails 2 devices --devices gpu
for list in all cuda:0 cuda:0,cuda:1; do "$SLUICE" devices --devices $list 2>&1 | sed 's/loaded: .*/loaded/'; done
fails 2 devices --math precise
