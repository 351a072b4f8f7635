#!/bin/sh
# report.sh SLUICE TOOL_MAKE - report.html of a simulation: one file without links, tags that close, names escaped; and,
# where a Chromium is installed, what a browser makes of it.
set -eu
sluice=$(realpath "$1") make=$(realpath "$2")
work=$(realpath "$(mktemp -d report-XXXXXX)")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
"$make" npy pool.npy rows=200 width=6
"$make" labels labels.csv rows=200
"$make" npy test.npy rows=100 first=1000 width=6
"$make" labels test-labels.npy rows=100 first=1000 form=npy
"$sluice" simulate pool.npy --labels labels.csv --test test.npy --test-labels test-labels.npy --strategy random,margin,kcenter \
    --start-per-class 2 --batch 8 --rounds 2 --seeds 2 --out sim --quiet >/dev/null
python3 - sim/report.html sim/summary.json <<'EOF'
import html.parser, json, sys
page = open(sys.argv[1], encoding="utf-8").read()
class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.lines, self.cells = [], 0, []
    def handle_starttag(self, tag, attrs):
        assert not any(k in ("src", "href") for k, _ in attrs), f"a link: {attrs}"
        if tag not in ("meta", "line", "polygon", "polyline", "path", "br"): self.open.append(tag)
        self.lines += tag == "polyline"
    def handle_startendtag(self, tag, attrs): self.lines += tag == "polyline"
    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"
    def handle_data(self, data): self.cells.append(data.strip())
tags = Tags()
tags.feed(page)
assert not tags.open, tags.open
assert tags.lines == 3, f"{tags.lines} curves"
assert "http" not in page and "NaN" not in page and "nan" not in tags.cells, "a link or a NaN"
summary = json.load(open(sys.argv[2]))
assert [s["name"] for s in summary["strategies"]] == ["random", "margin", "kcenter"]
assert len(summary["pairs"]) == 3 and all(p["p"] <= p["holm"] <= 1 for p in summary["pairs"])
for s in summary["strategies"]: assert f'{s["area"]:.4f}' in tags.cells, f'the area of {s["name"]} is not on the page'
EOF
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "no Chromium: the page was not opened in a browser"; exit 0; }
"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --dump-dom "file://$PWD/sim/report.html" >dom.html 2>/dev/null
grep -c '<polyline' dom.html | grep -qx 3 || { echo "the browser shows $(grep -c '<polyline' dom.html) curves"; exit 1; }
grep -q '<td[^>]*>kcenter</td>' dom.html || { echo "the browser shows no table"; exit 1; }
echo "opened in $browser"
