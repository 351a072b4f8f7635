# Every way of calling it wrongly: exit 2, one line that says what, mostly one that helps.
fails 2 selct
fails 2 --help-me
fails 2 -k 3
fails 2 frobnicate
fails 2 select p.npy
fails 2 select -k
fails 2 select p.npy -k 3 --stratgy entropy
fails 2 select p.npy -k 3 --features-pool x
fails 2 select p.npy -k 3 --mem-mbi 3
fails 2 select p.npy -k 3 -z
fails 2 select p.npy -k 3 --quiet=1
fails 2 select p.npy -k 3 --head=
fails 2 select p.npy -k 3 --log xml
fails 2 select p.npy -k 3 --log text,json
fails 2 select p.npy -k 3 --head a --logits b
fails 2 select -k 3
fails 2 train p.npy
fails 2 train p.npy --labels l.csv
fails 2 train --labels l.csv --out h.safetensors
fails 2 train p.npy --labels
fails 2 strategies margin
fails 2 simulate p.npy --labels l --test t --test-labels tl --batch 5 --rounds 1 --out sim
fails 2 simulate p.npy --labels l --test t --test-labels tl --batch 5 --rounds 1 --out sim --start 3 --start-per-class 1
fails 2 convert p.npy --to npz --out x.npz
fails 2 convert p.npy --to npy --out x.bin
fails 2 convert a b --to head --out x.safetensors
