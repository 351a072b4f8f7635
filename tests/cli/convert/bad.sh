make npy pool.npy rows=10 width=4
fails 2 convert pool.npy --to fbin --type f16 --out x.fbin
fails 2 convert pool.npy --to npy --type bf16 --out x.npy
fails 2 convert pool.npy --to safetensors --type i8 --out x.safetensors
fails 2 convert pool.npy --to npy --type f31 --out x.npy
fails 2 convert pool.npy --to npy --out x.npy --prefix fc.
fails 66 convert gone.npy --to npy --out x.npy
fails 73 convert pool.npy --to npy --out no/x.npy
fails 73 convert pool.npy --to fbin --out /dev/full.fbin/x.fbin
# 1e30 is no f16.
{ hex 01 00 00 00 02 00 00 00; hex ca f2 49 71 00 00 80 3f; } >huge.fbin
fails 65 convert huge.fbin --to npy --type f16 --out x.npy
sluice convert huge.fbin --to safetensors --type bf16 --out x.safetensors --quiet && echo fine
make npy big.npy rows=3000 width=4
limit=8 fails 73 convert big.npy --to npy --out full.npy
ls
