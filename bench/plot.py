"""Learning curves of `sluice simulate` as an SVG: mean accuracy over labels, with a band of one standard deviation.

usage: python3 bench/plot.py DIR/curve.csv out.svg
"""
import csv
import statistics
import sys
from collections import defaultdict

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 120, 16, 44
COLOURS = ["#4c566a", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]


def read(path):
    """{strategy: {labels: [accuracy of each seed]}}, the `full` row apart."""
    curves, full = defaultdict(lambda: defaultdict(list)), []
    for row in csv.DictReader(open(path, newline="")):
        if row["strategy"] == "full":
            full.append(float(row["accuracy"]))
        else:
            curves[row["strategy"]][int(row["labels"])].append(float(row["accuracy"]))
    return curves, full


def main():
    curves, full = read(sys.argv[1])
    values = [a for c in curves.values() for accs in c.values() for a in accs] + full
    low, high = min(values) - 0.01, max(values) + 0.01
    most = max(n for c in curves.values() for n in c)

    def x(n):
        return LEFT + n / most * (WIDTH - LEFT - RIGHT)

    def y(a):
        return HEIGHT - BOTTOM - (a - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    step = 0.05
    tick = (int(low / step) + 1) * step
    while tick < high:
        out.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#e5e9f0"/>'
                   f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:.0f}%</text>')
        tick += step
    for n in range(0, most + 1, max(1, most // 5)):
        out.append(f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{n}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">labels</text>')
    if full:
        a = statistics.mean(full)
        out.append(f'<path d="M{LEFT} {y(a):.1f}H{WIDTH - RIGHT}" stroke="#888" stroke-dasharray="4 4"/>'
                   f'<text x="{WIDTH - RIGHT + 8}" y="{y(a) + 4:.1f}" fill="#666">all labels</text>')
    for colour, (name, curve) in zip(COLOURS, curves.items()):
        points = [(n, statistics.mean(a), statistics.stdev(a) if len(a) > 1 else 0) for n, a in sorted(curve.items())]
        band = [f"{x(n):.1f},{y(m + d):.1f}" for n, m, d in points] + [f"{x(n):.1f},{y(m - d):.1f}" for n, m, d in points[::-1]]
        line = " ".join(f"{x(n):.1f},{y(m):.1f}" for n, m, _ in points)
        out.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.15"/>'
                   f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{WIDTH - RIGHT + 8}" y="{y(points[-1][1]) + 4:.1f}" fill="{colour}">{name}</text>')
    open(sys.argv[2], "w").write("\n".join(out + ["</svg>"]) + "\n")


main()
