# What a run would take, before anything is written; what cannot be done fails here.
make npy pool.npy rows=1000 width=8
make labels labels.csv rows=1000 every=10
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
# Numbers of this machine: what is free, how fast it is.
machine() { sed -E 's/^(memory +)[0-9.]+ MiB of each process, [0-9]+/\1M MiB of each process, F/; s/[0-9]+ are free/F are free/; s/^rate.*/rate R/; s/^(time +)[0-9.]+/\1T/'; }
plan() { sluice select pool.npy --head head.safetensors --labels labels.csv -k 10 --dry-run "$@"; }
plan --strategy margin,entropy --out picks | machine
plan --strategy random | machine
plan --strategy kcenter,badge --out picks | machine
plan --strategy margin --json --out picks.csv | tee plan.json |
    sed -E 's/("(memory_bytes|memory_free|disk_free|read_bytes_per_s|scan_rows_per_s|seconds)": )[0-9.]+/\1N/'
python3 -c 'import json; p = json.load(open("plan.json")); assert p["read_bytes_per_s"] > 0 and p["scan_rows_per_s"] > 0 and p["memory_bytes"] > 32000' ||
    echo "WRONG: the plan as JSON"
rm plan.json
sluice score pool.npy --head head.safetensors --score margin,logits --out scores.npy --dry-run | machine
fails 2 select pool.npy --head head.safetensors -k 10 --json
fails 73 select pool.npy --head head.safetensors -k 10 --dry-run --out missing/picks.csv
# More than any disk has: the scores of a pool that is a hole.
printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '|i1', 'fortran_order': False, 'shape': (8000000000000, 1), }" >huge.npy
truncate -s 8000000000128 huge.npy
"$SLUICE" score huge.npy --score random --out scores.npy --dry-run 2>&1 | sed -E 's/disk has [0-9]+/disk has F/'
echo "exit code ${PIPESTATUS[0]}"
rm huge.npy
ls
