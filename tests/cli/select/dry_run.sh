make npy pool.npy rows=1000 width=8
make labels labels.csv rows=1000 every=10
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice select pool.npy --head head.safetensors --strategy margin,entropy --labels labels.csv -k 10 --out picks --dry-run
ls
