# --sets: several data sets from one file, each in a folder of its own, and what they say together.
mkdir data
make npy data/pool.npy rows=200 width=8
make npy data/test.npy rows=100 first=1000 width=8
make labels data/test-labels.npy rows=100 first=1000 form=npy
make labels data/int.npy rows=200 form=npy
make npy data/narrow.npy rows=150 width=5
make npy data/narrow-test.npy rows=100 first=1000 width=5
make labels data/narrow-int.npy rows=150 form=npy
cat >data/sets.json <<'END'
[{"name": "wide", "pool": "pool.npy", "labels": "int.npy", "test": "test.npy", "test_labels": "test-labels.npy"},
 {"name": "narrow", "pool": ["narrow.npy"], "labels": "narrow-int.npy", "test": "narrow-test.npy",
  "test_labels": "test-labels.npy", "start": 20, "batch": 5, "rounds": 1}]
END
sets() { "$SLUICE" simulate --sets data/sets.json --strategy random,margin,kmeans --start-per-class 2 --batch 10 --rounds 2 --seeds 3 --quiet "$@"; }
sets --out all >table
identical table all/table.md
head -n 4 table | cut -d' ' -f1-30
ls all all/narrow
# Each set's folder is what a run of its own gives.
sluice simulate data/narrow.npy --labels data/narrow-int.npy --test data/narrow-test.npy --test-labels data/test-labels.npy \
    --strategy random,margin,kmeans --start 20 --batch 5 --rounds 1 --seeds 3 --quiet --out one >/dev/null
identical one/classes.csv all/narrow/classes.csv
diff -r one/picks all/narrow/picks
# Means, ranks and paired tests, by another program.
python3 - <<'END'
import itertools, json, math
both = [json.load(open(f"all/{n}/summary.json")) for n in ("wide", "narrow")]
joint = json.load(open("all/summary.json"))
names = [s["name"] for s in both[0]["strategies"]]
runs = {n: [a for b in both for a in b["strategies"][i]["areas"]] for i, n in enumerate(names)}
assert joint["sets"] == ["wide", "narrow"] and joint["seeds"] == 3 and len(runs["margin"]) == 6
page = open("all/report.html").read()
for s in joint["strategies"]:
    mine = runs[s["name"]]
    rank = sum(1 + sum((o[k] > mine[k]) + 0.5 * (o[k] == mine[k]) for n, o in runs.items() if n != s["name"]) for k in range(6)) / 6
    assert abs(s["area"] - sum(mine) / 6) < 1e-8 and abs(s["rank"] - rank) < 1e-8, s
    assert f"<td>{s['name']}</td><td>{s['rank']:.2f}</td><td>{s['area']:.4f}</td>" in page, s["name"]
assert len(joint["pairs"]) == 3
for p in joint["pairs"]:
    d = [x - y for x, y in zip(runs[p["a"]], runs[p["b"]])]
    mean = sum(d) / 6
    t = mean / (math.sqrt(sum((x - mean) ** 2 for x in d) / 5) / math.sqrt(6))
    # Student's t with 5 degrees of freedom has a closed form.
    a = math.atan(abs(t) / math.sqrt(5)); c = math.cos(a)
    tail = 1 - 2 / math.pi * (a + math.sin(a) * (c + 2 / 3 * c ** 3))
    assert abs(p["difference"] - mean) < 1e-8 and abs(p["p"] - tail) < 1e-6, (p, mean, tail)
END
# Finished sets are not computed again; one that is gone is.
stat -c %i all/wide/picks/* >before
rm -r all/narrow all/report.html
sets --out all | cmp - table
stat -c %i all/wide/picks/* | cmp - before
ls all/narrow/curve.csv all/report.html
# What cannot be meant.
fails 73 simulate --sets data/sets.json --start 6 --batch 5 --rounds 1 --out one
fails 2 simulate data/pool.npy --sets data/sets.json --start 6 --batch 5 --rounds 1 --out no
fails 2 simulate --sets data/sets.json --start 6 --out no
fails 66 simulate --sets gone.json --start 6 --batch 5 --rounds 1 --out no
bad() { echo "$1" >bad.json; fails "${2:-65}" simulate --sets bad.json --start 6 --batch 5 --rounds 1 --out no; }
bad '['
bad '[]'
bad '{"name": "a"}'
bad '[{"name": "a", "pool": "p", "labels": "l", "test": "t"}]'
bad '[{"name": "../a", "pool": "p"}]'
bad '[{"name": "run.json", "pool": "p"}]'
bad '[{"name": "a", "pols": "p"}]'
bad '[{"name": "a", "pool": 3}]'
bad '[{"name": "a", "rounds": -1}]'
bad '[{"name": "a", "pool": "p", "labels": "l", "test": "t", "test_labels": "u"}, {"name": "a", "pool": "p", "labels": "l", "test": "t", "test_labels": "u"}]'
