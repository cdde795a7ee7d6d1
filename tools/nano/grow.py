"""More blocks for the vision tower or layers for the decoder:

    python grow.py FROM NEW.pt visual.blocks 1 3 4
    python grow.py FROM NEW.pt model.layers 1 3

Behind each of these comes a copy of it that adds nothing yet: what it writes is zero, so that the network answers as
before and the new one learns from where its neighbour is.  `model.C` says how many there are then: `vl` with `full`, or
`l` with `states`.  FROM is a training state, whose optimiser goes along (the new ones' part of it is fresh), or an
exported model.safetensors.
"""

import re
import sys

import torch

from model import C, Nano
from train import groups, state_of

SILENT = tuple(
    'attn.proj.weight attn.proj.bias self_attn.o_proj.weight mlp.down_proj.weight mlp.down_proj.bias'.split()
)
COUNT = {'visual.blocks': 'vl', 'model.layers': 'l'}  # of C


def names(c):
    """The parameters' names by the optimiser's groups, in the order of its numbers."""
    m = Nano(c)
    of = {id(p): n for n, p in m.named_parameters()}
    return [[of[id(p)] for p in ps] for ps in groups(m).values()]


def main(src, dst, stack, *after):
    s, after, count = state_of(src), [int(i) for i in after], COUNT[stack]
    n_old = getattr(C, count) - len(after)
    layers = [(i, copy) for i in range(n_old) for copy in [False] + [True] * (i in after)]
    Old = type('Old', (C,), {count: n_old})

    def grown(values, of_copy):
        """By name, the new ones' too: of_copy(name, value of the one before)."""
        out = {}
        for n, v in values.items():
            m = re.match(re.escape(stack) + r'\.(\d+)\.(.*)', n)
            if not m:
                out[n] = v
                continue
            for new, (old, copy) in enumerate(layers):
                if old == int(m[1]):
                    out[f'{stack}.{new}.{m[2]}'] = of_copy(m[2], v) if copy else v
        return out

    def weight(n, v):
        return torch.zeros_like(v) if n in SILENT else v.clone()

    def fresh(n, v):
        return {k: torch.zeros_like(z) for k, z in v.items()}

    s.update((k, grown(s[k], weight)) for k in ('m', 'ema') if k in s)
    if 'o' in s:
        was = {n: s['o']['state'][i] for i, n in enumerate(sum(names(Old), []))}
        now, state, param_groups = grown(was, fresh), {}, []
        for g, ns in zip(s['o']['param_groups'], names(C)):
            numbers = range(len(state), len(state) + len(ns))
            state.update(zip(numbers, (now[n] for n in ns)))
            param_groups.append(dict(g, params=list(numbers)))
        s['o'] = dict(state=state, param_groups=param_groups)
    torch.save(s, dst)


if __name__ == '__main__':
    main(*sys.argv[1:])
