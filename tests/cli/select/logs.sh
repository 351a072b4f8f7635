# --log json: one object a line; --quiet: nothing.
make npy pool.npy rows=100 width=4
sluice select pool.npy --strategy random -k 3 --log json --out picks.csv
sluice select pool.npy --strategy random -k 3 --log json --out picks.csv
sluice select pool.npy --strategy random -k 300 --log json --out all.csv
"$SLUICE" select pool.npy --strategy rndom -k 3 --log json
"$SLUICE" select 'no"such
file.npy' --strategy random -k 3 --log json
sluice select pool.npy --strategy random -k 3 --quiet --out quiet.csv
