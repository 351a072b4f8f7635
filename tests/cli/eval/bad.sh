make npy pool.npy rows=60 width=6
make npy wide.npy rows=60 width=7
make labels labels.csv rows=60
make labels five.csv rows=60 classes=5
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
fails 65 eval wide.npy --head head.safetensors --labels labels.csv
# Classes that the head has never heard of count as wrong.
sluice eval pool.npy --head head.safetensors --labels five.csv --json | grep '^  "n"'
fails 66 eval pool.npy --head nothing.safetensors --labels labels.csv
fails 65 eval pool.npy --head pool.npy --labels labels.csv
fails 65 eval pool.npy --head labels.csv --labels labels.csv
for cut in 0 4 8 100 2000; do
    head -c $cut head.safetensors >cut.safetensors
    fails 65 eval pool.npy --head cut.safetensors --labels labels.csv | numbers
done
# A class that the head knows may be absent here: names decide, not positions.
grep -v 'kind 0' labels.csv >no0.csv
sluice eval pool.npy --head head.safetensors --labels no0.csv --json | sed -n '/per_class/,$p' | sed 's/, "correct.*//'
