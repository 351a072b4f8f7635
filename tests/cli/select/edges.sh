# Nothing to pick is no error: a file with its header line and exit 0.
make npy pool.npy rows=30 width=4
make npy none.npy rows=0 width=4
make labels labels.csv rows=30
sluice select pool.npy --strategy random -k 0
sluice select none.npy --strategy random -k 5
sluice select pool.npy --strategy random -k 5 --labels labels.csv
sluice select pool.npy --strategy random -k 100 | wc -l
sluice select pool.npy --strategy random -k 9223372036854775807 --quiet | wc -l
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice select none.npy --head head.safetensors -k 5 --quiet
sluice score none.npy --head head.safetensors --score margin --out none-scores.npy --quiet
# Rows with NaN are never picked, too many are an error.
make npy bad.npy rows=30 width=4 nan=1,5,29
fails 65 select bad.npy --head head.safetensors -k 5
sluice select bad.npy --head head.safetensors -k 30 --max-bad 0.2 >picks.csv
wc -l <picks.csv
cut -d, -f2 picks.csv | grep -xE '1|5|29' && echo "WRONG: a bad row was picked"
fails 65 select bad.npy --head head.safetensors -k 5 --max-bad 0.09
head -c 0 /dev/null >zero.npy
fails 65 select zero.npy --strategy random -k 5
