# Several --head: a committee in place of dropout passes.  The first predicts, the manifest names all, rows of any are out.
make npy pool.npy rows=400 width=8
make labels one.csv rows=400 every=20
make labels two.csv rows=400 every=13
make npy wide.npy rows=400 width=9
make labels few.csv rows=400 every=20 classes=2
sluice train pool.npy --labels one.csv --out a.safetensors --quiet
sluice train pool.npy --labels two.csv --l2 1 --out b.safetensors --quiet
sluice train pool.npy --labels two.csv --layers mlp:8,relu,linear --epochs 3 --out c.safetensors --quiet
sluice train wide.npy --labels one.csv --out wide.safetensors --quiet
sluice train pool.npy --labels few.csv --out few.safetensors --quiet
sluice select pool.npy --head a.safetensors --head b.safetensors --head c.safetensors --strategy bald,variation-ratio,flips,dropquery,margin -k 300 --out picks --quiet
sluice score pool.npy --head a.safetensors --head b.safetensors --head c.safetensors --score bald,variation-ratio,flips,prediction --out scores.npy --quiet
for n in a b c; do sluice score pool.npy --head $n.safetensors --score logits --out $n.npy --quiet; done
python3 - <<'EOF'
import csv, json, math, struct
def npy(path):
    b = open(path, "rb").read(); at = 10 + struct.unpack("<H", b[8:10])[0]
    shape = eval(b[10:at])["shape"]
    v = struct.unpack(f"<{shape[0] * shape[1]}f", b[at:])
    return [v[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]
def facts(path):
    b = open(path, "rb").read(); n = struct.unpack("<Q", b[:8])[0]
    return json.loads(b[8:8 + n])["__metadata__"]
logits = [npy(n + ".npy") for n in "abc"]
heat = [float(facts(n + ".safetensors")["temperature"]) for n in "abc"]
names = json.loads(facts("a.safetensors")["classes"])
entropy = lambda p: -sum(q * math.log(q) for q in p if q > 0)
for i, (bald, ratio, flips, prediction) in enumerate(npy("scores.npy")):
    passes = []
    for z, t in zip(logits, heat):
        e = [math.exp((v - max(z[i])) / t) for v in z[i]]
        passes.append([v / sum(e) for v in e])
    mean = [sum(p) / 3 for p in zip(*passes)]
    said = [z[i].index(max(z[i])) for z in logits]
    assert abs(bald - (entropy(mean) - sum(map(entropy, passes)) / 3)) < 1e-5, i
    assert abs(ratio - (1 - max(map(said.count, said)) / 3)) < 1e-6, i
    assert abs(flips - sum(a != said[0] for a in said) / 3) < 1e-6 and prediction == said[0], i
known = {r["id"] for f in ("one.csv", "two.csv") for r in csv.DictReader(open(f))}
for name in ("bald", "dropquery", "margin"):
    rows = list(csv.DictReader(open(f"picks/{name}.csv")))
    assert len(rows) == 300 and not known & {r["id"] for r in rows}, name
    first = [logits[0][int(r["id"])] for r in rows]
    assert [r["prediction"] for r in rows] == [names[z.index(max(z))] for z in first], name
inputs = json.load(open("picks/manifest.json"))["inputs"]
assert len({h["xxh3"] for h in [inputs["head"]] + inputs["committee"]}) == 3 and len(inputs["committee"]) == 2
EOF
echo "a committee that always agrees:"
sluice select pool.npy --head a.safetensors --head a.safetensors --strategy bald -k 2 --log json 2>&1 >/dev/null | grep -o 'bald: every row[^"]*'
fails 65 select pool.npy --head a.safetensors --head wide.safetensors --strategy bald -k 2
fails 65 select pool.npy --head a.safetensors --head few.safetensors --strategy flips -k 2
fails 2 select pool.npy --head a.safetensors --head b.safetensors --strategy margin -k 2
fails 2 select pool.npy --head a.safetensors --head b.safetensors --strategy bald:passes=4 -k 2
fails 2 score pool.npy --head a.safetensors --head b.safetensors --score margin,prediction --out no.npy
fails 66 select pool.npy --head a.safetensors --head gone.safetensors --strategy bald -k 2
fails 2 select pool.npy --head a.safetensors --head b.safetensors --logits a.npy --strategy bald -k 2
