#!/usr/bin/env python3
"""Linear heads of sluice against scikit-learn's LogisticRegression on feature files.

    bench/peers/setup.sh
    build/peers/bin/python bench/quality/linear_sklearn.py build/release/sluice DATA [--seeds 5]

DATA holds <set>_train_features.npy, _train_labels.npy, _val_features.npy and _val_labels.npy (or _test_), for the sets
imagenette and dogfood224, of which either may be absent.  For each number of labels, the same random rows train
  sluice        C chosen out of fold, mean and scale of the labelled rows
  sklearn       the same standardised rows and the same C
and both are judged on the whole validation split.  Exit code 1 if a bound below is missed.
"""
import argparse, json, os, struct, subprocess, sys, tempfile, time
import numpy as np
from sklearn.linear_model import LogisticRegression

SETS = {"imagenette": ("val", [25, 50, 100, 275, 1000]), "dogfood224": ("test", [10, 20, 40, 160])}
ALL_LABELS = {"imagenette": 98.4}   # accuracy to reach with every label
COMPARED = {"imagenette": 275}      # mean accuracy within BOUND points of scikit-learn's
BOUND = 0.3


def read_head(path):
    """Metadata and the mean of a head file."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        begin, end = header["mean"]["data_offsets"]
        f.seek(8 + size + begin)
        return header["__metadata__"], np.frombuffer(f.read(end - begin), "<f4")


def sluice_head(program, folder, features, labels, seed):
    path, rows = os.path.join(folder, "head.safetensors"), os.path.join(folder, "labels.npy")
    np.save(rows, labels.astype(np.int32))
    began = time.time()
    subprocess.run([program, "train", features, "--labels", rows, "--seed", str(seed), "--out", path, "--force"],
                   check=True, stderr=subprocess.DEVNULL)
    return path, time.time() - began


def sluice_accuracy(program, head, features, labels):
    out = subprocess.run([program, "eval", features, "--head", head, "--labels", labels, "--json"], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return 100 * json.loads(out)["accuracy"]


def sklearn_accuracy(head, x, y, test_x, test_y):
    meta, mean = read_head(head)
    scale = float(meta["scale"])
    fit = LogisticRegression(C=float(meta["l2"]), tol=1e-5, max_iter=5000).fit((x - mean) / scale, y)
    return 100 * fit.score((test_x - mean) / scale, test_y), float(meta["l2"])


def one_set(a, name, folder):
    split, budgets = SETS[name]
    path = {k: os.path.join(a.data, f"{name}_{k}.npy") for k in
            ("train_features", "train_labels", f"{split}_features", f"{split}_labels")}
    if not all(map(os.path.exists, path.values())):
        print(f"{name}: not in {a.data}, skipped")
        return True
    x, y = np.load(path["train_features"]).astype(np.float32), np.load(path["train_labels"])
    test_x, test_y = np.load(path[f"{split}_features"]).astype(np.float32), np.load(path[f"{split}_labels"])
    good = True
    print(f"\n{name}: {len(y)} rows, {len(test_y)} to judge by; accuracy in per cent, mean ± sd of {a.seeds} seeds")
    print(f"{'labels':>7} {'sluice':>14} {'sklearn':>14} {'difference':>10} {'C':>24} {'seconds':>8}")
    for m in budgets + [len(y)]:
        ours, theirs, chosen, seconds = [], [], [], []
        for seed in range(a.seeds if m < len(y) else 1):
            rows = np.sort(np.random.default_rng(seed).choice(len(y), m, replace=False))
            labels = np.full(len(y), -1)
            labels[rows] = y[rows]
            head, took = sluice_head(a.program, folder, path["train_features"], labels, seed)
            ours.append(sluice_accuracy(a.program, head, path[f"{split}_features"], path[f"{split}_labels"]))
            other, c = sklearn_accuracy(head, x[rows], y[rows], test_x, test_y)
            theirs.append(other), chosen.append(c), seconds.append(took)
        difference = np.mean(ours) - np.mean(theirs)
        sd = [np.std(v, ddof=1) if len(v) > 1 else 0 for v in (ours, theirs)]
        print(f"{m:7} {np.mean(ours):8.2f} ± {sd[0]:4.2f} {np.mean(theirs):8.2f} ± {sd[1]:4.2f} {difference:+10.2f} "
              f"{' '.join(f'{c:g}' for c in chosen):>24} {np.mean(seconds):8.2f}", flush=True)
        if m == len(y) and np.mean(ours) < ALL_LABELS.get(name, 0):
            print(f"MISSED: {ALL_LABELS[name]} with all labels"), (good := False)
        if m == COMPARED.get(name) and abs(difference) > BOUND:
            print(f"MISSED: within {BOUND} of scikit-learn"), (good := False)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program"), p.add_argument("data"), p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--sets", nargs="*", default=list(SETS))
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [one_set(a, name, folder) for name in a.sets]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
