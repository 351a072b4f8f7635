make npy pool.npy rows=60 width=6
make npy bad.npy rows=60 width=6 nan=7,9
make labels labels.csv rows=60 every=2
sluice info pool.npy
sluice info pool.npy --json
sluice info bad.npy pool.npy --check
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice info head.safetensors | sed 's/^training .*/training .../; s/^C .*/C .../; s/^temperature .*/temperature .../'
sluice select pool.npy --head head.safetensors -k 5 --out picks.csv --quiet
sluice info picks.csv
sluice info labels.csv
sluice select pool.npy --head head.safetensors -k 5 --strategy margin,entropy --out picks --quiet
sluice info picks
echo >>picks.csv
sluice info picks.csv; echo "exit $?"
rm picks/margin.csv
sluice info picks >/dev/null; echo "exit $?"
head -c 300 pool.npy >cut.npy
fails 65 info cut.npy
fails 66 info gone.npy
