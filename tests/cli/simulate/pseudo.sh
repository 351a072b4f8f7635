# --pseudo-threshold: a second column of self-trained heads; batches and the first column stay what they are without.
make npy pool.npy rows=300 width=8
make labels int.npy rows=300 form=npy
make npy test.npy rows=100 first=1000 width=8
make labels test-labels.npy rows=100 first=1000 form=npy
sim() { "$SLUICE" simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --strategy random,margin --start-per-class 3 --batch 10 --rounds 2 --seeds 2 --quiet "$@"; }
sim --out plain >plain.md
sim --pseudo-threshold 0.7 --out both >both.md
diff -r plain/picks both/picks
cmp <(cut -d, -f1-8 plain/curve.csv) <(cut -d, -f1-8 both/curve.csv)
head -n 1 both/curve.csv
head -n "$(wc -l <plain.md)" both.md | cmp - plain.md
grep '^Accuracy after' both.md
labels_column <both.md
# A head of its own command says the same.
cat >labels.py <<'EOF'
import csv, struct, sys
pool = open("int.npy", "rb").read(); at = 10 + struct.unpack("<H", pool[8:10])[0]
y = struct.unpack("<300i", pool[at:])
known = {int(r["row"]) for f in sys.argv[1:] for r in csv.DictReader(open(f))}
open("some.npy", "wb").write(pool[:at] + struct.pack("<300i", *(v if i in known else -1 for i, v in enumerate(y))))
EOF
sim --start-per-class 0 --start 0 --out cold --pseudo-threshold 0.7 >/dev/null
python3 labels.py cold/picks/random-1-{0,1,2}.csv
sluice train pool.npy --labels some.npy --seed 1 --pseudo pool.npy --pseudo-threshold 0.7 --out head.safetensors --quiet
sluice eval test.npy --head head.safetensors --labels test-labels.npy --json --quiet >eval.json
python3 - <<'EOF'
import csv, json
rows = [r for r in csv.DictReader(open("cold/curve.csv")) if (r["strategy"], r["seed"], r["round"]) == ("random", "1", "2")]
assert len(rows) == 1 and abs(float(rows[0]["self_trained"]) - json.load(open("eval.json"))["accuracy"]) < 1e-6, rows
curve = list(csv.DictReader(open("both/curve.csv")))
for s in json.load(open("both/summary.json"))["strategies"]:
    last = [float(r["self_trained"]) for r in curve if r["strategy"] == s["name"] and r["round"] == "2"]
    assert len(last) == 2 and abs(s["self_trained"] - sum(last) / 2) < 1e-6, s
    assert f"{sum(last) / 2:.4f}" in open("both/table.md").read().split("after self-training")[1], s
assert any(r["self_trained"] != r["accuracy"] for r in curve)
assert "Accuracy after self-training" in open("both/report.html").read()
assert "self" not in open("plain/report.html").read() + open("plain/summary.json").read() + open("plain/curve.csv").read()
EOF
