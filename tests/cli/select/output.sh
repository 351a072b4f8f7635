# Outputs that cannot be written, that exist, that are devices; nothing is left half written.
make npy pool.npy rows=3000 width=8
make labels labels.csv rows=3000 every=30
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
s() { sluice select pool.npy --head head.safetensors "$@"; }
f() { fails "$1" select pool.npy --head head.safetensors -k 2000 "${@:2}"; }
f 73 --out no/such/folder/picks.csv
f 73 --out head.safetensors/picks.csv
f 2 --out picks.parquet
mkdir folder
f 73 --out folder
f 2 --out /dev/full
[ -c /dev/full ] || echo "WRONG: /dev/full was replaced"
find /dev -maxdepth 1 -name "*manifest*" | grep . && echo "WRONG: a manifest in /dev"
limit=4 f 73 --out picks.csv
s -k 2000 >/dev/full; echo "exit $?"
s -k 2000 --quiet | head -n 1; echo "exit ${PIPESTATUS[0]}"
s -k 2000 >&-; echo "exit $?"
sluice strategies >/dev/full; echo "exit $?"
sluice eval pool.npy --head head.safetensors --labels labels.csv --json >/dev/full; echo "exit $?"
s -k 10 --out picks.csv
s -k 10 --out picks.csv; echo "exit $?"
f 73 --out picks.csv
s -k 2000 --out picks.csv --force; echo "exit $?"
rm picks.csv
s -k 2000 --out picks.csv; echo "exit $?"
ls
