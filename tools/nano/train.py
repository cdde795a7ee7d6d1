"""Train nano: single-thread processes, each with its own data, parameters averaged every few steps.

    python train.py NAME MINUTES LR SIZES [--init FILE.pt] [--procs 2] ...

NAME.pt (model, optimiser, averaged weights) is written every few minutes and at the end; a run goes on from
any such file with --init FILE.pt --opt.  Exported weights (--init FOLDER/model.safetensors) have no auxiliary
heads: --heads MINUTES fits new ones before the network learns.  The rate is constant unless --floor says how
far a cosine brings it down; what to ship are the averaged weights, which export.py takes.
"""

import argparse
import math
import os
import random
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file

import gen_drawn
import losses
import pack
import screens
from model import AUX, Nano, half_precision


def options():
    a = argparse.ArgumentParser()
    a.add_argument('name')
    a.add_argument('minutes', type=float)
    a.add_argument('lr', type=float)
    a.add_argument('sizes', help='WxH,WxH,... picked at random; multiples of 28')
    a.add_argument('--init', default='', help="a state, or an exported model.safetensors")
    a.add_argument('--heads', type=float, default=0.0, help='minutes in which only the auxiliary heads learn')
    a.add_argument('--opt', action='store_true', help="take the state's optimiser too")
    a.add_argument('--real', default='', help='folder of gen_real.py')
    a.add_argument('--procs', type=int, default=2)
    a.add_argument('--port', type=int, default=29511)
    a.add_argument('--every', type=int, default=8, help='steps between averagings')
    a.add_argument('--budget', type=int, default=1600, help='patches a step, in whole pictures')
    a.add_argument('--seed', type=int, default=1)
    a.add_argument('--warm', type=int, default=40)
    a.add_argument('--floor', type=float, default=1.0)
    a.add_argument('--vlr', type=float, default=0.5, help="the vision tower's share of the rate")
    a.add_argument('--ema', type=float, default=0.97, help='of the averaged weights, per averaging')
    a.add_argument('--save', type=float, default=3.0, help='minutes')
    a.add_argument(
        '--still', type=float, default=0.0, help='share of steps that leave the vision tower as it is'
    )
    a.add_argument('--page', type=float, default=0.03, help='share of steps that only read pages')
    a.add_argument(
        '--sight', type=float, default=0.0, help='share of steps for the vision tower alone, on windows'
    )
    a.add_argument('--blind', type=float, default=0.4, help='share of steps without a picture')
    a.add_argument('--share', type=float, default=0.95, help='of real windows among the screens')
    a.add_argument('--forms', type=float, default=0.75, help='of forms among the real windows')
    a.add_argument('--far', type=float, default=0.0, help='share of screens placed in a larger one')
    a.add_argument('--plain', type=float, default=0.0, help='share of screens with windows as rendered')
    a.add_argument('--other', type=float, default=0.03, help='of grounding prompts and questions')
    return a.parse_args()


def groups(m):
    """The parameters by (of the vision tower, with weight decay)."""
    out = {}
    for n, p in m.named_parameters():
        out.setdefault((n.startswith('visual.'), p.dim() >= 2), []).append(p)
    return out


def optimiser(m, a):
    return torch.optim.AdamW(
        [
            dict(params=ps, weight_decay=0.05 if matrix else 0, k=a.vlr if vision else 1.0)
            for (vision, matrix), ps in groups(m).items()
        ],
        lr=a.lr,
        betas=(0.9, 0.98),
    )


def adopt(opt, old):
    """Take over an optimiser's state; heads added since then, last in their groups, start fresh."""
    new, state = opt.state_dict(), {}
    for was, now in zip(old['param_groups'], new['param_groups']):
        state.update((b, old['state'][a]) for a, b in zip(was['params'], now['params']))
    opt.load_state_dict(dict(state=state, param_groups=new['param_groups']))


def average(params, procs, number):
    """Average the parameters, and a number, over the processes."""
    flat = torch.cat([p.data.view(-1) for p in params] + [torch.tensor([number])])
    dist.all_reduce(flat)
    flat /= procs
    o = 0
    for p in params:
        p.data.copy_(flat[o : o + p.numel()].view_as(p))
        o += p.numel()
    return float(flat[-1])


def save(name, m, opt, step, ema):
    d = dict(m=m.state_dict(), o=opt.state_dict(), step=step)
    if ema:
        d['ema'] = ema
    torch.save(d, name + '.tmp')
    os.replace(name + '.tmp', name + '.pt')


class Average:
    """Running means of the measures, NaN where a batch had none."""

    def __init__(self):
        self.v = {}

    def add(self, prefix, measures):
        for k, x in measures.items():
            k, x = prefix + k, float(x)
            if x == x:
                self.v[k] = self.v[k] * 0.95 + x * 0.05 if k in self.v else x

    def __str__(self):
        return ' '.join(f'{k} {x:.3f}' for k, x in self.v.items())


def state_of(path):
    """A training state, or exported weights as one."""
    return dict(m=load_file(path)) if path.endswith('.safetensors') else torch.load(path)


def worker(rank, a):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if a.procs > 1:
        at = f'tcp://127.0.0.1:{a.port}'
        dist.init_process_group('gloo', init_method=at, rank=rank, world_size=a.procs)
    m = Nano()
    opt = optimiser(m, a)
    step, ema = 0, None
    if a.init:
        c = state_of(a.init)
        missing = m.load_state_dict(c['m'], strict=False)
        step = c.get('step', 0)
        if a.opt and 'o' in c:
            adopt(opt, c['o'])
            ema = c.get('ema')
        if rank == 0:
            print(a.init, 'step', step, missing, flush=True)
    params = list(m.parameters())
    network = [p for n, p in m.named_parameters() if not n.startswith(AUX)]
    sizes = [tuple(map(int, z.split('x'))) for z in a.sizes.split(',')]
    real = screens.Real(a.real) if a.real else None
    start = saved = shown = time.time()
    first, measures = step, Average()
    whole = None  # the step from which the whole network learns
    for p in network:
        p.requires_grad_(False)
    while True:
        n, elapsed = step - first, time.time() - start
        if n % a.every == 0 and n:
            if a.procs > 1:
                elapsed = average(params, a.procs, elapsed)
            if elapsed > a.minutes * 60:
                break
            if whole is not None and (n - whole > 100 or ema):
                now = m.state_dict()
                if ema is None:
                    ema = {k: v.detach().clone() for k, v in now.items()}
                for k in now:
                    ema[k] = ema[k].lerp(now[k], 1 - a.ema) if k in ema else now[k].clone()
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1, elapsed / (a.minutes * 60)))
        if n % a.every == 0 and whole is None and elapsed >= a.heads * 60:
            whole = n
            for p in network:
                p.requires_grad_(True)
        rate = a.lr * min(1, (n - (whole or 0) + 1) / a.warm) * (a.floor + (1 - a.floor) * cosine)
        for g in opt.param_groups:
            g['lr'] = rate * g['k']
        # the kind of step is the same in all processes, so that none waits for another
        r = random.Random(a.seed * 10**6 + step)
        w, h = r.choice(sizes)
        u, seed = r.random(), (a.seed * 10**6 + step) * a.procs + rank
        pictures = max(1, int(a.budget / (w * h / 196) + 0.5))
        with half_precision():
            if u < a.page:
                ss = [gen_drawn.Page(w, h, seed * 1009 + i).render() for i in range(pictures)]
                img = torch.stack([pack.norm(s.img) for s in ss])
                loss, ok = losses.page(m, img, torch.stack([pack.printed(s) for s in ss]))
                measures.add('page_', dict(chars=ok))
            elif u < a.page + a.sight and real:
                loss, got = losses.sight(m, *pack.seen(seed, w, h, pictures, real))
                measures.add('see_', got)
            else:
                blind = u > 1 - a.blind and whole is not None
                kind = 'blind' if blind else 'screens'
                far = a.far if pictures > 1 else 0
                b = pack.batch(kind, seed, w, h, pictures, real, a.share, a.forms, a.other, far, a.plain)
                loss, got = losses.whole(m, b, r.random() < a.still)
                measures.add('b_' if blind else '', got)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        step += 1
        if rank == 0 and step % 25 == 0:
            now = time.time()
            print(f'{elapsed:.0f}s step {step} {(now - shown) / 25:.2f}s/step {measures}', flush=True)
            shown = now
        if rank == 0 and time.time() - saved > a.save * 60:
            save(a.name, m, opt, step, ema)
            saved = time.time()
    if rank == 0:
        save(a.name, m, opt, step, ema)
        print('saved', a.name, step)


if __name__ == '__main__':
    args = options()
    if args.procs > 1:
        mp.spawn(worker, args=(args,), nprocs=args.procs)
    else:
        worker(0, args)
