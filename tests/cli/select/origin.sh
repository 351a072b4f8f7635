# Files made for another pool are refused, so that a grown folder never shifts ids silently.
mkdir pool
make npy pool/a.npy rows=50 width=4
sluice select pool --strategy random -k 5 --out picks.csv --quiet
sluice select pool --strategy random -k 5 --exclude picks.csv --quiet | wc -l
make npy pool/b.npy rows=50 first=50 width=4
fails 65 select pool --strategy random -k 5 --exclude picks.csv
sluice select pool --strategy random -k 5 --exclude picks.csv --same-ids --quiet | wc -l
make labels labels.csv rows=50
sluice train pool/a.npy --labels labels.csv --out head.safetensors --quiet
# A head may go anywhere.  On its own pool the rows it was trained on are left out, and it says so.
sluice select pool/b.npy --head head.safetensors -k 3 --quiet | wc -l
sluice select pool/a.npy --head head.safetensors -k 3
