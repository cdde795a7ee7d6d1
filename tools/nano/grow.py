"""More layers for the vision tower:  python grow.py STATE.pt NEW.pt 1 3 4

Behind each of these blocks comes a copy of it that adds nothing yet: what it writes is zero, so that the network answers
as before and the new block learns from where its neighbour is.  `model.C` says how many there are then, and which see the
whole picture.  The optimiser's state goes along; the new blocks' is fresh.
"""

import re
import sys

import torch

from model import C, Nano
from train import groups

SILENT = ('attn.proj.weight', 'attn.proj.bias', 'mlp.down_proj.weight', 'mlp.down_proj.bias')


def names(c):
    """The parameters' names by the optimiser's groups, in the order of its numbers."""
    m = Nano(c)
    of = {id(p): n for n, p in m.named_parameters()}
    return [[of[id(p)] for p in ps] for ps in groups(m).values()]


def main(src, dst, *after):
    s, after = torch.load(src), [int(i) for i in after]
    blocks = [(i, copy) for i in range(C.vl - len(after)) for copy in [False] + [True] * (i in after)]

    class Old(C):
        vl = C.vl - len(after)

    def grown(values, of_copy):
        """By name, the new blocks' too: of_copy(name, value of the block before)."""
        out = {}
        for n, v in values.items():
            m = re.match(r'visual\.blocks\.(\d+)\.(.*)', n)
            if not m:
                out[n] = v
                continue
            for new, (old, copy) in enumerate(blocks):
                if old == int(m[1]):
                    out[f'visual.blocks.{new}.{m[2]}'] = of_copy(m[2], v) if copy else v
        return out

    def weight(n, v):
        return torch.zeros_like(v) if n in SILENT else v.clone()

    def fresh(n, v):
        return {k: torch.zeros_like(z) for k, z in v.items()}

    was = {n: s['o']['state'][i] for i, n in enumerate(sum(names(Old), []))}
    now, state, param_groups = grown(was, fresh), {}, []
    for g, ns in zip(s['o']['param_groups'], names(C)):
        numbers = range(len(state), len(state) + len(ns))
        state.update(zip(numbers, (now[n] for n in ns)))
        param_groups.append(dict(g, params=list(numbers)))
    m, ema = (grown(s[k], weight) for k in ('m', 'ema'))
    torch.save(dict(s, m=m, ema=ema, o=dict(state=state, param_groups=param_groups)), dst)


if __name__ == '__main__':
    main(*sys.argv[1:])
