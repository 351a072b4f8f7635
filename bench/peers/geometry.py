"""Nearest neighbours and k-means in faiss, scikit-learn and torch: the work of bench_nearest and bench_kmeans.

usage: build/peers/bin/python bench/peers/geometry.py [nearest] [kmeans] [--scale S]

nearest: the 10 nearest of 5,000 references to each of 200,000 rows, 512 wide.  kmeans: seconds of one of Lloyd's iterations
over 1,000,000 rows, 128 wide, with 1,000 centroids, from the difference of a run of three iterations and one of one.
--scale 0.1 takes a tenth of the rows.  Prints the seconds of each (median of three, one warm-up) and how many neighbours
agree.
"""
import os
import sys
import time
import warnings

import faiss
import numpy as np
import sklearn
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

THREADS = len(os.sched_getaffinity(0))
K, CELLS = 10, 1000


def timed(run, repeats=3):
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[repeats // 2], result


def faiss_nearest(x, y):
    index = faiss.IndexFlatL2(y.shape[1])
    index.add(y)
    return index.search(x, K)[1]


def sklearn_nearest(x, y):
    return NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=THREADS).fit(y).kneighbors(x, return_distance=False)


def torch_nearest(x, y, chunk=4096):
    y = torch.from_numpy(y)
    norms = (y * y).sum(1)
    parts = [torch.addmm(norms, rows, y.T, alpha=-2).topk(K, 1, largest=False).indices
             for rows in torch.from_numpy(x).split(chunk)]
    return torch.cat(parts).numpy()


def nearest(rng, scale):
    x = rng.standard_normal((int(200000 * scale), 512), dtype=np.float32)
    y = rng.standard_normal((5000, 512), dtype=np.float32)
    ways = {"faiss": faiss_nearest, "scikit-learn": sklearn_nearest, "torch": torch_nearest}
    reference = None
    for name, way in ways.items():
        seconds, found = timed(lambda: way(x, y))
        reference = found if reference is None else reference
        same = np.mean(np.sort(found, 1) == np.sort(reference, 1))
        print(f"nearest  {name:14} {seconds:8.3f} s   {len(x) / seconds / 1e6:7.3f} Mrows/s   neighbours as faiss: {same:.2%}", flush=True)


def faiss_kmeans(x, start, iterations):
    k = faiss.Kmeans(x.shape[1], CELLS, niter=iterations, max_points_per_centroid=1 << 30, min_points_per_centroid=1)
    k.train(x, init_centroids=start)
    return k.centroids


def sklearn_kmeans(x, start, iterations):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(CELLS, init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(x).cluster_centers_


def torch_kmeans(x, start, iterations, chunk=16384):
    centroid = torch.from_numpy(start.copy())
    rows = torch.from_numpy(x)
    for _ in range(iterations):
        norms = (centroid * centroid).sum(1)
        cell = torch.cat([torch.addmm(norms, r, centroid.T, alpha=-2).argmin(1) for r in rows.split(chunk)])
        total = torch.zeros_like(centroid).index_add_(0, cell, rows)
        centroid = total / torch.bincount(cell, minlength=CELLS).clamp_min(1)[:, None]
    return centroid.numpy()


def kmeans(rng, scale):
    x = rng.standard_normal((int(1000000 * scale), 128), dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ways = {"faiss": faiss_kmeans, "scikit-learn": sklearn_kmeans, "torch": torch_kmeans}
    for name, way in ways.items():
        one, _ = timed(lambda: way(x, x[:CELLS].copy(), 1), 1)
        three, _ = timed(lambda: way(x, x[:CELLS].copy(), 3), 1)
        print(f"kmeans   {name:14} {(three - one) / 2:8.3f} s an iteration", flush=True)


def main():
    words = sys.argv[1:]
    scale = float(words[words.index("--scale") + 1]) if "--scale" in words else 1.0
    works = {"nearest": nearest, "kmeans": kmeans}
    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    print(f"faiss {faiss.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__}, {THREADS} threads, "
          f"scale {scale:g}")
    with torch.inference_mode():
        for name, work in works.items():
            if name in words or not any(w in works for w in words):
                work(np.random.default_rng(0), scale)


if __name__ == "__main__":
    main()
