#!/usr/bin/env python3
"""Strategies of sluice against an independent implementation, by the accuracy of the heads that their picks train.

    bench/peers/setup.sh
    build/peers/bin/python bench/quality/strategies.py build/release/sluice DATA --out FOLDER [--seeds 10]

DATA holds the sets of linear_sklearn.py.  FOLDER gets a simulation of each; what is there already is not computed
again.  reference.csv holds means and standard deviations of a numpy and scikit-learn implementation, written from the
papers (L2-regularised logistic regression, C = 0.1, 5 seeds; auto stands beside a TypiClust start followed by margin).
A strategy is worse where Welch's one-sided test says so at 0.01 after Holm's correction over the whole table.  Exit
code 1 if one is.
"""
import argparse, csv, os, subprocess, sys
from collections import defaultdict
import numpy as np
from scipy.stats import ttest_ind_from_stats

#      set           test split, start, batch, rounds
SETS = {"imagenette": ("val", 25, 25, 10), "dogfood224": ("test", 10, 10, 15)}
LEVEL = 0.01


def simulate(a, name, strategies):
    """Accuracies in per cent, one a seed, by (strategy, labels)."""
    split, start, batch, rounds = SETS[name]
    path = lambda kind: os.path.join(a.data, f"{name}_{kind}.npy")
    out = os.path.join(a.out, name)
    subprocess.run([a.program, "simulate", path("train_features"), "--labels", path("train_labels"),
                    "--test", path(f"{split}_features"), "--test-labels", path(f"{split}_labels"),
                    "--strategy", ",".join(strategies), "--start", str(start), "--batch", str(batch),
                    "--rounds", str(rounds), "--seeds", str(a.seeds), "--threads", str(a.threads), "--out", out,
                    "--quiet"], check=True, stdout=subprocess.DEVNULL)
    accuracy = defaultdict(list)
    with open(os.path.join(out, "curve.csv")) as f:
        for row in csv.DictReader(f):
            accuracy[row["strategy"], int(row["labels"])].append(100 * float(row["accuracy"]))
    return accuracy


def holm(p):
    """Adjusted p-values."""
    adjusted, largest = np.empty(len(p)), 0.0
    for i, at in enumerate(np.argsort(p)):
        largest = max(largest, min(1.0, (len(p) - i) * p[at]))
        adjusted[at] = largest
    return adjusted


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("program"), cli.add_argument("data"), cli.add_argument("--out", required=True)
    cli.add_argument("--seeds", type=int, default=10), cli.add_argument("--threads", type=int, default=0)
    a = cli.parse_args()
    with open(os.path.join(os.path.dirname(__file__), "reference.csv")) as f:
        rows = list(csv.DictReader(f))
    ours = {name: simulate(a, name, [r["strategy"] for r in rows if r["set"] == name]) for name in SETS}
    p = []
    for r in rows:
        r["ours"] = v = np.array(ours[r["set"]][r["strategy"], int(r["labels"])])
        p.append(ttest_ind_from_stats(v.mean(), v.std(ddof=1), len(v), float(r["mean"]), float(r["sd"]),
                                      int(r["seeds"]), equal_var=False, alternative="less").pvalue)
    worse = 0
    print(f"| set | labels | strategy | sluice, {a.seeds} seeds | reference, 5 seeds | difference | p (Holm) |\n|---|---|---|---|---|---|---|")
    for r, q in zip(rows, holm(np.array(p))):
        worse += q < LEVEL
        print(f"| {r['set']} | {r['labels']} | {r['strategy']} | {r['ours'].mean():.2f} ± {r['ours'].std(ddof=1):.2f} | "
              f"{float(r['mean']):.2f} ± {float(r['sd']):.2f} | {r['ours'].mean() - float(r['mean']):+.2f} | "
              f"{q:.3f}{' WORSE' if q < LEVEL else ''} |")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
