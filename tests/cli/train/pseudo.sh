# Self-training: recorded in the head, the same bytes on tiers and threads, whether the pool is named twice or known by its ids.
make npy pool.npy rows=400 width=12
make npy other.npy rows=300 first=2000 width=12
make labels labels.csv rows=400 every=8
sluice train pool.npy --labels labels.csv --out plain.safetensors --quiet
sluice train pool.npy --labels labels.csv --pseudo pool.npy --pseudo-threshold 0.7 --out self.safetensors 2>&1 | grep self-training | numbers
for tier in $(tiers); do
    for threads in 1 2; do
        SLUICE_CPU=$tier "$SLUICE" train pool.npy --labels labels.csv --pseudo ./pool.npy --pseudo-threshold 0.7 --out "$tier-$threads.safetensors" --threads $threads --quiet
        identical self.safetensors "$tier-$threads.safetensors"
    done
done
sluice train pool.npy --labels labels.csv --pseudo other.npy --out other.safetensors --quiet
python3 - <<'EOF'
import json, struct
def read(path):
    b = open(path, "rb").read(); n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + n]); m = h.pop("__metadata__")
    return m, {k: b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]] for k, v in h.items()}
plain, was = read("plain.safetensors")
for name in ("self", "other"):
    meta, tensors = read(name + ".safetensors")
    assert [k for k in was if was[k] != tensors[k]] == ["layer.0.weight", "layer.0.bias"], name
    trained, before = json.loads(meta["trained"]), json.loads(plain["trained"])
    own = trained.pop("pseudo")
    assert trained == before and meta["temperature"] == plain["temperature"] and own["C"] == before["C"] / 100, own
    assert 0 < own["rows"] == own["confident"] <= (350 if name == "self" else 300), own
    assert own["threshold"] == (0.7 if name == "self" else 0.8), own
    assert (own["pool"] == meta["pool_fingerprint"]) == (name == "self"), own
EOF
make npy wide.npy rows=10 width=13
fails 65 train pool.npy --labels labels.csv --pseudo wide.npy --out no.safetensors --quiet
fails 2 train pool.npy --labels labels.csv --pseudo pool.npy --layers mlp:8,relu,linear --out no.safetensors --quiet
fails 2 train pool.npy --labels labels.csv --pseudo pool.npy --pseudo-threshold 1.5 --out no.safetensors --quiet
fails 2 train pool.npy --labels labels.csv --pseudo-threshold 0.9 --out no.safetensors --quiet
fails 66 train pool.npy --labels labels.csv --pseudo gone.npy --out no.safetensors --quiet
