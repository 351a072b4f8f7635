"""Scores of a linear head over a pool in memory and the top 1000 by margin, in torch's ways; the work of bench_scan.

usage: build/peers/bin/python bench/peers/torch_scan.py [rows] [width] [classes]

Prints the seconds of each way (median of the runs) and checks that they pick the same rows.
"""
import sys
import time

import torch


def softmax_topk(logits):
    """The textbook way: all four scores from the probabilities."""
    p = torch.softmax(logits, 1)
    top = p.topk(2, 1).values
    margin = 1 - (top[:, 0] - top[:, 1])
    entropy = -(p * torch.log(p.clamp_min(1e-38))).sum(1)
    return margin, 1 - top[:, 0], top[:, 1] / top[:, 0], entropy


def two_max(logits):
    """Two maxima instead of topk, sums relative to the largest logit."""
    z1, best = logits.max(1)
    d = logits - z1[:, None]
    e = d.exp()
    s = e.sum(1)
    z2 = d.scatter(1, best[:, None], -torch.inf).max(1).values
    ratio = z2.exp()
    return 1 - (1 - ratio) / s, 1 - 1 / s, ratio, s.log() - (e * d).sum(1) / s


def scan(x, w, b, k, chunk, scores):
    parts = [scores(torch.addmm(b, rows, w)) for rows in x.split(chunk)]
    margin, least, ratio, entropy = (torch.cat(p) for p in zip(*parts))
    return [score.topk(k).indices for score in (margin, least, ratio, entropy)]


def timed(run, repeats=5):
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        picks = run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2], picks


def main():
    n, d, c = (int(a) for a in (sys.argv[1:] + ["1000000", "512", "10"][len(sys.argv) - 1:]))
    torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
    torch.manual_seed(0)
    x = torch.empty(n, d)
    for rows in x.split(65536):
        rows.normal_()
    w, b, k = torch.randn(d, c) / d ** 0.5, torch.randn(c), min(1000, n)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {n} x {d} f32, {c} classes, four scores, top {k}")
    ways = {"matmul + softmax + topk": softmax_topk, "matmul + two maxima": two_max}
    try:
        ways["torch.compile(two maxima)"] = torch.compile(two_max)
        ways["torch.compile(two maxima)"](x[:64] @ w)
    except Exception as why:  # a machine without a compiler for inductor still measures the others
        print(f"torch.compile: not measured ({type(why).__name__})")
        ways.pop("torch.compile(two maxima)", None)
    best, reference = None, None
    with torch.inference_mode():
        for name, scores in ways.items():
            for chunk in (4096, 65536):
                seconds, picks = timed(lambda: scan(x, w, b, k, chunk, scores))
                margin = set(picks[0].tolist())
                reference = reference or margin
                same = len(margin & reference) / k
                print(f"{name:28} chunk {chunk:6}: {seconds:7.3f} s  {n / seconds / 1e6:6.2f} Mrows/s  (margin picks shared: {same:.1%})")
                best = min(best or seconds, seconds)
    print(f"best: {best:.3f} s, {n / best / 1e6:.2f} Mrows/s")


if __name__ == "__main__":
    main()
