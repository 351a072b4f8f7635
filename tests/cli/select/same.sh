# The same inputs are names, sizes and bytes; where a file lies and when it was touched is no input.
make npy pool.npy rows=3000 width=8
make labels labels.csv rows=3000 every=30
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice select pool.npy --head head.safetensors -k 10 --out picks.csv
mkdir copy
cp pool.npy copy/
touch -d 2001-02-03 copy/pool.npy
sluice select copy/pool.npy --head head.safetensors -k 10 --out picks.csv
printf '\1' | dd of=copy/pool.npy bs=1 seek=$(($(stat -c %s copy/pool.npy) - 4)) conv=notrunc status=none
fails 73 select copy/pool.npy --head head.safetensors -k 10 --out picks.csv
