# --log json: one object a line; --quiet: nothing.
make npy pool.npy rows=100 width=4
sluice select pool.npy --strategy random -k 3 --log json --out picks.csv
sluice select pool.npy --strategy random -k 3 --log json --out picks.csv
sluice select pool.npy --strategy random -k 300 --log json --out all.csv
"$SLUICE" select pool.npy --strategy rndom -k 3 --log json
"$SLUICE" select 'no"such
file.npy' --strategy random -k 3 --log json
sluice select pool.npy --strategy random -k 3 --quiet --out quiet.csv
# Every line of a job's log names it; a heartbeat while nothing is said, a summary at the end.
make npy wide.npy rows=200000 width=8
make labels labels.csv rows=200000 every=1000
sluice train wide.npy --labels labels.csv --l2 1 --out head.safetensors --quiet
SLURM_JOB_ID=77 SLUICE_HEARTBEAT_S=0.01 sluice score wide.npy --head head.safetensors --score margin,bald:passes=10 --out scores.npy --log json 2>log
python3 -c '
import json
lines = [json.loads(line) for line in open("log")]
assert all(x["job"] == "77" and x["rank"] == 0 and x["ranks"] == 1 for x in lines)
assert any(x["event"] == "heartbeat" for x in lines), "no heartbeat"
s = [x for x in lines if x["event"] == "summary"]
assert len(s) == 1 and s[0]["rows"] == 200000 and s[0]["bytes"] == 6400000
assert s[0]["rows_per_s"] > 0 and s[0]["storage_bytes_per_s"] > 0 and s[0]["storage_share"] >= 0
assert s[0]["stall_seconds"] >= 0 and len(s[0]["busy"]) == 1 and 0 < s[0]["busy"][0] <= 1' || echo "WRONG: the log of a job"
