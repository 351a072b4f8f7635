make npy pool.npy rows=60 width=6
make labels labels.csv rows=60
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
fails 2 score pool.npy --head head.safetensors --score entropie --out x.npy
fails 2 score pool.npy --head head.safetensors --score entropy,,margin --out x.npy
fails 2 score pool.npy --head head.safetensors --score entropy,entropy --out x.npy
fails 2 score pool.npy --score entropy --out x.npy
fails 2 score --head head.safetensors --score entropy --out x.npy
fails 2 score pool.npy --head head.safetensors --score entropy --out x.csv
fails 73 score pool.npy --head head.safetensors --score entropy --out no/x.npy
make npy big.npy rows=600 width=6
limit=1 fails 73 score big.npy --head head.safetensors --score entropy,margin --out x.npy
ls
