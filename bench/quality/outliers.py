#!/usr/bin/env python3
"""Outlier scores on rows of another data set that are hidden in a pool.

    bench/peers/setup.sh
    build/peers/bin/python bench/quality/outliers.py build/release/sluice DATA [--seeds 5]

DATA holds imagenette_train_features.npy, imagenette_train_labels.npy and foreign500_features.npy.  The foreign rows stand
behind the others; a head is trained on 1,000 random labels; every unlabelled row is scored.  Prints the share of the
foreign rows among as many rows of the largest scores, and the area under the ROC curve, mean and standard deviation.
Exit code 1 if an outlier score is below 0.5, of=all apart, which is inverted.
"""
import argparse, os, subprocess, sys, tempfile
import numpy as np

SCORES = ["outlier", "outlier-knn", "outlier-mahalanobis", "outlier-vim", "outlier-relative", "outlier-rank",
          "outlier-rank:of=all", "energy", "least-confidence"]
LABELS = 1000


def area(score, foreign):
    """Area under the ROC curve: mean rank of the foreign rows, ties shared."""
    value, at, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[at]
    n, m = foreign.sum(), (~foreign).sum()
    return (rank[foreign].sum() - n * (n + 1) / 2) / (n * m)


def one_seed(program, folder, pool, y, foreign, seed):
    path = lambda name: os.path.join(folder, name)
    labels = np.full(len(foreign), -1, np.int32)
    known = np.random.default_rng(seed).choice(len(y), LABELS, replace=False)
    labels[known] = y[known]
    np.save(path("labels.npy"), labels)
    run = lambda *a: subprocess.run([program, *a, "--seed", str(seed), "--force", "--quiet"], check=True)
    run("train", pool, "--labels", path("labels.npy"), "--out", path("head.safetensors"))
    run("score", pool, "--head", path("head.safetensors"), "--labels", path("labels.npy"), "--score", ",".join(SCORES),
        "--out", path("scores.npy"))
    scores, left = np.load(path("scores.npy")), labels < 0
    k = foreign.sum()
    return [(foreign[left][np.argsort(-v[left], kind="stable")[:k]].mean(), area(v[left], foreign[left]))
            for v in scores.T]


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("program"), cli.add_argument("data"), cli.add_argument("--seeds", type=int, default=5)
    a = cli.parse_args()
    load = lambda name: np.load(os.path.join(a.data, name))
    x, y, other = (load(f) for f in ("imagenette_train_features.npy", "imagenette_train_labels.npy",
                                     "foreign500_features.npy"))
    foreign = np.arange(len(x) + len(other)) >= len(x)
    with tempfile.TemporaryDirectory() as folder:
        pool = os.path.join(folder, "pool.npy")
        np.save(pool, np.concatenate([x, other.astype(x.dtype)]))
        found = np.array([one_seed(a.program, folder, pool, y, foreign, seed) for seed in range(a.seeds)])
    print(f"| score | precision at {len(other)} | AUROC |\n|---|---|---|")
    mean, sd = found.mean(axis=0), found.std(axis=0, ddof=1)
    for i, name in enumerate(SCORES):
        print(f"| {name} | {mean[i, 0]:.3f} ± {sd[i, 0]:.3f} | {mean[i, 1]:.4f} ± {sd[i, 1]:.4f} |")
    sys.exit(any(m < 0.5 for m, name in zip(mean[:, 1], SCORES) if name.startswith("outlier") and "all" not in name))


if __name__ == "__main__":
    main()
