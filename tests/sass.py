#!/usr/bin/env python3
"""sass.py - what nvcc made of the hot kernels, held against the claims in their sources.

    sass.py [--markdown] [--only WORD]... [--tools FOLDER] [--arch sm_90] OBJECTS SOURCE...

A claim is a comment of a .cu or .cuh file, right before the kernel:

    /* sass: kernel=tile<float> registers<=128 shared<=49152 local=0 ffma>=88% hmma ldg128 */

    kernel=     a __global__ function; with <..., only the instantiations whose arguments begin so
    registers<= of a thread
    shared<=    bytes of static shared memory, without the 1,024 that CUDA takes of a block that uses any
    local=0     neither stack nor spills
    ffma>=      share of FFMA among the instructions of the main loop: of the loops with FFMAs that hold no other such
                loop, the one with the most FFMAs
    fp32>=      likewise of FFMA, FADD and FMUL: where a term is more than one operation
    hmma        a loop has tensor core instructions
    ldg128      it reads global memory 16 bytes at a time

Each holds for every instantiation in OBJECTS/<source>.o, those of a .cuh in the objects of all sources.
Exit 0: all hold; 1: some do not; 77: no disassembler.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
CUDAS_OWN = 1024


# ---- claims -----------------------------------------------------------------------------------------------

class Claim:
    WORDS = {
        'registers': re.compile(r'registers<=(\d+)$'),
        'shared': re.compile(r'shared<=(\d+)$'),
        'local': re.compile(r'local=(0)$'),
        'ffma': re.compile(r'ffma>=(\d+)%$'),
        'fp32': re.compile(r'fp32>=(\d+)%$'),
        'hmma': re.compile(r'(hmma)$'),
        'ldg128': re.compile(r'(ldg128)$'),
    }

    def __init__(self, source, text):
        self.source, self.limits = source, {}
        words = [w for w in text.split() if w != '*']
        if not words or not words[0].startswith('kernel='):
            raise SystemExit(f'{source}: a claim begins with kernel=: {text.strip()}')
        self.kernel = words[0][len('kernel='):]
        for word in words[1:]:
            for name, pattern in self.WORDS.items():
                if match := pattern.match(word):
                    self.limits[name] = int(match[1]) if match[1].isdigit() else True
                    break
            else:
                raise SystemExit(f"{source}: kernel={self.kernel}: '{word}' is no claim")
        if not self.limits:
            raise SystemExit(f'{source}: kernel={self.kernel} claims nothing')

    def covers(self, kernel):
        name, _, arguments = self.kernel.partition('<')
        return kernel.name == name and kernel.arguments.replace(' ', '').startswith(arguments.rstrip('>'))


def claims_of(source):
    return [Claim(source, text) for text in re.findall(r'sass:\s+(kernel=.*?)\*/', source.read_text(), re.S)]


# ---- kernels ----------------------------------------------------------------------------------------------

class Kernel:
    def __init__(self, demangled, usage, code):
        signature = demangled.replace('(anonymous namespace)::', '').replace('void ', '', 1)
        head = re.match(r'(?:\w+::)*(\w+)(<.*>)?\(', signature)
        self.name = head[1] if head else signature
        self.arguments = re.sub(r'\(\w+\)', '', head[2][1:-1]).strip() if head and head[2] else ''
        self.registers, self.shared = usage['REG'], max(usage['SHARED'] - CUDAS_OWN, 0)
        self.code = code                                     # [(address, opcode, target of a branch or None)]
        self.local = max(usage['STACK'], usage['LOCAL'], self.count('LDL', 'STL'))

    def title(self):
        return f'{self.name}<{self.arguments}>' if self.arguments else self.name

    def count(self, *opcodes, code=None):
        return sum(op.split('.')[0] in opcodes for _, op, _ in (self.code if code is None else code))

    def loops(self):
        ends = [(target, at) for at, _, target in self.code if target is not None and target < at]
        return [[i for i in self.code if first <= i[0] <= last] for first, last in ends]

    def main_loop(self):
        products = self.tensors if self.tensors(self.code) else self.ffmas
        loops = [loop for loop in self.loops() if products(loop)]
        inner = [a for a in loops if not any(b is not a and len(b) < len(a) and b[0][0] >= a[0][0] and
                                             b[-1][0] <= a[-1][0] for b in loops)]
        return max(inner, key=products, default=[])

    def ffmas(self, code):
        return self.count('FFMA', 'FFMA2', code=code)

    def tensors(self, code):
        return self.count('HMMA', 'HGMMA', 'UTCHMMA', code=code)

    def share(self, count=None):
        loop = self.main_loop()
        return 100 * (count or self.ffmas)(loop) / len(loop) if loop else 0.0

    def fp32(self):
        return self.share(lambda code: self.ffmas(code) + self.count('FADD', 'FADD2', 'FMUL', 'FMUL2', code=code))

    def wide_loads(self):
        return sum(op.split('.')[0] in ('LDG', 'LDGSTS') and '128' in op.split('.') or op.startswith('UBLKCP')
                   for _, op, _ in self.code)

    def tensor(self):
        return self.tensors(self.main_loop())


def parse_code(text):
    code = []
    for line in text.splitlines():
        match = re.match(r'\s+/\*([0-9a-f]{4,6})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*?);', line)
        if not match:
            continue
        opcode, target = match[2], None
        if opcode.split('.')[0] == 'BRA':
            label = re.search(r'0x([0-9a-f]+)\s*$', match[3])
            target = int(label[1], 16) if label else None
        code.append((int(match[1], 16), opcode, target))
    return code


def run(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def kernels_of(tool, arch, thing):
    text = run(tool, '-arch', arch, '-res-usage', '-sass', thing)
    usage = {name: {k: int(v) for k, v in re.findall(r'([A-Z]+):(\d+)', line)}
             for name, line in re.findall(r'Function (\S+):\s*\n\s*(REG:.*)', text)}
    parts = re.split(r'\n\s*Function : (\S+)', text)[1:]
    code = dict(zip(parts[::2], map(parse_code, parts[1::2])))
    names = sorted(usage)
    plain = run('c++filt', text='\n'.join(names)).splitlines() if names else []
    return [Kernel(d, usage[n], code.get(n, [])) for n, d in zip(names, plain)]


# ---- the check --------------------------------------------------------------------------------------------

def broken(claim, kernel):
    """What the claim says of the kernel and is not so."""
    has = {'registers': kernel.registers, 'shared': kernel.shared, 'local': kernel.local}
    for name, limit in claim.limits.items():
        if name in has and has[name] > limit:
            yield f'{name} {has[name]}, claimed at most {limit}'
    if kernel.share() < claim.limits.get('ffma', 0):
        yield f"ffma {kernel.share():.1f}%, claimed at least {claim.limits['ffma']}%"
    if kernel.fp32() < claim.limits.get('fp32', 0):
        yield f"fp32 {kernel.fp32():.1f}%, claimed at least {claim.limits['fp32']}%"
    if 'hmma' in claim.limits and not kernel.tensor():
        yield 'hmma claimed, no loop of tensor core instructions found'
    if 'ldg128' in claim.limits and not kernel.wide_loads():
        yield 'ldg128 claimed, no 16-byte load found'


def check(tool, arch, objects, sources):
    """Yields (claim, kernel, failures); kernel is None where a claim covers nothing."""
    kernels = {}

    def of(stem):
        if stem not in kernels:
            kernels[stem] = kernels_of(tool, arch, objects / (stem + '.o'))
        return kernels[stem]

    for source in sources:
        stems = [source.stem] if source.suffix == '.cu' else [s.stem for s in sources if s.suffix == '.cu']
        for claim in claims_of(source):
            covered = {k.title(): k for stem in stems for k in of(stem) if claim.covers(k)}
            for kernel in covered.values():
                yield claim, kernel, list(broken(claim, kernel))
            if not covered:
                yield claim, None, [f'no such kernel in {" ".join(stems)} for {arch}']


def find_tool(folder):
    """cuobjdump with nvdisasm beside it: in folder, in PATH, or beside nvcc."""
    nvcc = shutil.which('nvcc')
    places = [*(folder and sorted(Path(folder).glob('lib/python*/site-packages/nvidia/*/bin'))),
              *map(Path, os.environ.get('PATH', '').split(':')), *([Path(nvcc).parent] if nvcc else []),
              Path('/usr/local/cuda/bin')]
    for place in places:
        if (place / 'cuobjdump').exists() and (place / 'nvdisasm').exists():
            os.environ['PATH'] = f"{place}:{os.environ['PATH']}"      # cuobjdump calls nvdisasm
            return place / 'cuobjdump'
    return None


HEAD = ('file', 'kernel', 'registers', 'shared', 'local', 'loop', 'FFMA', 'HMMA', '16-byte loads')


def row(claim, k):
    loop = k.main_loop()
    return (claim.source.name, k.title(), k.registers, k.shared, k.local, len(loop) or '-',
            f'{k.share():.1f}%' if loop and not k.tensor() else '-', k.tensor() or '-', k.wide_loads() or '-')


def print_table(rows, markdown):
    rows = [HEAD, *[tuple(map(str, r)) for r in rows]]
    if markdown:
        rows.insert(1, ('---',) * len(HEAD))
        for r in rows:
            print('| ' + ' | '.join(f'`{c}`' if '<' in c else c for c in r) + ' |')
        return
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEAD))]
    for r in rows:
        print('  '.join(c.ljust(w) for c, w in zip(r, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--only', action='append', default=[], help='lines of the table that hold this')
    parser.add_argument('--tools', default='')
    parser.add_argument('--arch', default='sm_90')
    parser.add_argument('objects', type=Path)
    parser.add_argument('sources', type=Path, nargs='+')
    o = parser.parse_args()
    tool = find_tool(o.tools)
    if not tool:
        print('skipped: no cuobjdump and nvdisasm here (cmake/deps.sh sass installs them from PyPI)')
        return SKIPPED
    results = list(check(tool, o.arch, o.objects, o.sources))
    if not results:
        raise SystemExit('no claim in any source')
    rows = dict.fromkeys(row(c, k) for c, k, _ in results if k)        # a kernel may have several claims
    print_table([r for r in rows if not o.only or any(w in r[1] for w in o.only)], o.markdown)
    failed = [(c, k, why) for c, k, reasons in results for why in reasons]
    for claim, kernel, why in failed:
        print(f'FAIL: {claim.source.name}: {kernel.title() if kernel else claim.kernel}: {why}')
    if not o.markdown:
        bad = sum(bool(reasons) for _, _, reasons in results)
        print(f'{len(results) - bad} passed, {bad} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
