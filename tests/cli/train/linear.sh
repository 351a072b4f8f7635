# A linear head has the same bytes on every tier and thread count; a finished job runs again without a change.
make npy pool.npy rows=400 width=12
make labels labels.csv rows=400 every=4
sluice train pool.npy --labels labels.csv --out head.safetensors
for tier in $(tiers); do
    for threads in 1 2; do
        SLUICE_CPU=$tier "$SLUICE" train pool.npy --labels labels.csv --out "$tier-$threads.safetensors" --threads $threads --quiet
        identical head.safetensors "$tier-$threads.safetensors"
    done
done
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet && echo again
fails 73 train pool.npy --labels labels.csv --out head.safetensors --l2 1 --quiet
sluice train pool.npy --labels labels.csv --out head.safetensors --l2 1 --quiet --force && echo forced
cmp -s head.safetensors scalar-1.safetensors && echo "WRONG: --force and --l2 changed nothing"
sluice eval pool.npy --head head.safetensors --labels labels.csv | numbers
