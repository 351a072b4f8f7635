#!/usr/bin/env python3
"""sass_unit.py TOOLS NVCC - the checker itself: planted kernels must fail where their claims are wrong, and only there."""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import sass

EXPECTED = {
    'honest': [],
    'greedy': ['registers'],
    'spilled': ['local'],
    'roomy': ['shared'],
    'narrow': ['ffma', 'hmma', 'ldg128'],
    'absent': ['no'],
}


def main():
    tools, nvcc = sys.argv[1:]
    tool = sass.find_tool(tools)
    if not tool:
        print('skipped: no cuobjdump and nvdisasm here (cmake/deps.sh sass installs them from PyPI)')
        return sass.SKIPPED
    source = Path(__file__).with_name('sass_planted.cu')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([nvcc, '-O3', '-arch=sm_90', '-c', source, '-o', Path(folder) / 'sass_planted.o'], check=True)
        found = list(sass.check(tool, 'sm_90', Path(folder), [source]))
    failed = 0
    for claim, _, reasons in found:
        name = claim.kernel.partition('<')[0]
        wanted = EXPECTED.pop(name)
        got = sorted(r.split()[0] for r in reasons)
        if got != wanted:
            print(f'FAIL: {name}: expected failures {wanted}, found {reasons}')
            failed += 1
    for name in EXPECTED:
        print(f'FAIL: {name}: its claim was not read')
    failed += len(EXPECTED)
    for bad in ('kernel=k registers<128', 'registers<=128', 'kernel=k'):
        try:
            sass.Claim(source, bad)
            print(f"FAIL: '{bad}' was taken for a claim")
            failed += 1
        except SystemExit:
            pass
    print(f'{len(found) + 3 - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
