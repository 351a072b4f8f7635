"""Scores of a linear head over a pool in a GPU's memory and the top 1000 by margin, in torch's ways; the work of bench_scan
on a GPU, under its names.

usage: build/peers/bin/python bench/peers/torch_gpu.py [CASE]

Prints the seconds of each way, median of the runs by CUDA events, with and without the top, and how many of the top rows
are those of a product in double precision.  fast-... cases allow TF32, as --math fast does; f16 and bf16 rows have weights of
their type.  Without torch or without a GPU that torch can use it says so, measures nothing, and ends well.
"""
import sys

try:
    import torch
    from torch_scan import softmax_topk, two_max
except ImportError as why:
    print(f"torch_gpu: nothing is measured: {why} (bench/peers/setup.sh installs torch into build/peers)")
    sys.exit(0)

TOP = 1000
# name: rows, width, classes, type, TF32 allowed
CASES = {
    "few-f32": (1000000, 512, 10, torch.float32, False),
    "few-f16": (1000000, 512, 10, torch.float16, False),
    "few-bf16": (1000000, 512, 10, torch.bfloat16, False),
    "many-f32": (200000, 1280, 1000, torch.float32, False),
    "fast-few-f16": (1000000, 512, 10, torch.float16, True),
    "fast-many-f32": (200000, 1280, 1000, torch.float32, True),
    "fast-many-f16": (200000, 1280, 1000, torch.float16, True),
}
CACHED, ALL = 16384, 1 << 30  # rows at once: logits that stay in the second-level cache, or those of the whole pool


def ways():
    """name, scores of logits, rows at once; a compilation takes seconds and holds for one number of rows"""
    torch.compiler.reset()
    for name, scores in ("softmax + topk", softmax_topk), ("two maxima", two_max):
        yield name, scores, CACHED
        yield name, scores, ALL
        yield f"{name}, compiled", torch.compile(lambda z, scores=scores: scores(z), dynamic=False), ALL


def scan(x, w, b, chunk, scores):
    parts = [scores(torch.addmm(b, rows, w).float()) for rows in x.split(chunk)]
    return [torch.cat(column) for column in zip(*parts)]


def scan_and_top(x, w, b, chunk, scores):
    return scan(x, w, b, chunk, scores)[0].topk(min(TOP, len(x))).indices


def event_seconds(run, repeats=9):
    """Median of the repeats; the first two runs compile and fill caches."""
    run(), run()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for start, end in events:
        start.record()
        result = run()
        end.record()
    torch.cuda.synchronize()
    return sorted(start.elapsed_time(end) / 1e3 for start, end in events)[repeats // 2], result


def make(rows, width, classes, kind, device):
    """Values of unit size, logits of about unit size, as bench_scan has them."""
    torch.manual_seed(0)
    x = torch.empty(rows, width, dtype=kind, device=device)
    for part in x.split(65536):
        part.normal_()
    w = (torch.randn(width, classes, device=device) / width ** 0.5).to(kind)
    return x, w, torch.randn(classes, device=device).to(kind)


def reference_top(x, w, b):
    margin = [two_max(torch.addmm(b.double(), rows.double(), w.double()))[0] for rows in x.split(16384)]
    return set(torch.cat(margin).topk(min(TOP, len(x))).indices.tolist())


def measure(name, case, device, seconds):
    rows, width, classes, kind, tf32 = case
    torch.backends.cuda.matmul.allow_tf32 = tf32
    x, w, b = make(rows, width, classes, kind, device)
    want, best = reference_top(x, w, b), None
    print(f"{name}: {rows} x {width} {str(kind).split('.')[1]}, {classes} classes{', TF32 allowed' if tf32 else ''}")
    for way, scores, chunk in ways():
        try:
            alone, _ = seconds(lambda: scan(x, w, b, chunk, scores))
            with_top, picks = seconds(lambda: scan_and_top(x, w, b, chunk, scores))
        except Exception as why:  # no compiler for inductor, or no room: the other ways are still measured
            print(f"    matmul + {way}: not measured: {type(why).__name__}: {(str(why).splitlines() or [''])[0]}")
            continue
        shared = len(want & set(picks.tolist())) / len(want)
        print(f"    matmul + {way:24} {min(chunk, rows):8} rows at once: {with_top:.5f} s, {rows / with_top / 1e6:8.2f} Mrows/s; "
              f"no top {alone:.5f} s, {rows / alone / 1e6:8.2f} Mrows/s; top shared {shared:.1%}", flush=True)
        best = min(best or (alone, with_top), (alone, with_top))
    if best:
        print(f"    best: no top {best[0]:.5f} s, {rows / best[0] / 1e6:.2f} Mrows/s")


def main():
    if not torch.cuda.is_available():
        print(f"torch_gpu: nothing is measured: torch {torch.__version__} finds no GPU it can use")
        return
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    with torch.inference_mode():
        for name, case in CASES.items():
            if only in name:
                measure(name, case, "cuda", event_seconds)


if __name__ == "__main__":
    main()
