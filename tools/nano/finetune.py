"""Teach the model a program: train a LoRA adapter (or everything) on steps in ms-swift's JSONL.

    python tools/nano/finetune.py TRAIN.jsonl OUT [--steps 400] [--full]

TRAIN.jsonl comes from `deskhand export --swift DIR` or finetune_record.py.  OUT is a folder as PEFT writes it, for
`deskhandd --lora OUT` (or --adapter), PEFT and ms-swift; with --full a whole checkpoint in Hugging Face layout.

Two things keep what the model can do already.  Between the steps to learn it rehearses: on drawn screens and on sentences
without a picture its answers must stay those of the model as it was (Kullback-Leibler divergence).  And of the way from
the model as it was to what was learned only half is gone in the end (--share; Wortsman et al., Robust fine-tuning of
zero-shot models): the program's steps stay right, on screens that were not learned from even more of them, and most of
what had been lost elsewhere comes back.  One row in ten is kept out and measured before and after.
"""

import argparse
import json
import math
import os
import sys

# large buffers that are kept instead of given back make a step several times as fast; glibc reads this at the start only
MALLOC = dict(MALLOC_MMAP_MAX_='0', MALLOC_TRIM_THRESHOLD_='20000000000', MALLOC_TOP_PAD_='268435456', MALLOC_ARENA_MAX='1')
if __name__ == '__main__' and not MALLOC.items() <= os.environ.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})

import random
import re
import shutil
import time
from types import SimpleNamespace

import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

import gen_drawn
import losses
import pack
import tasks
from model import Nano, half_precision

HERE = os.path.dirname(os.path.abspath(__file__))
# a regular expression over transformers' names, as PEFT takes it
TARGETS = (
    r'model\.language_model\.layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|o_proj)|mlp\.(gate_proj|up_proj|down_proj))'
    r'|model\.visual\.(blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(gate_proj|up_proj|down_proj))|merger\.mlp\.(0|2))'
)
# a row has a point only: the heads that point are told to look into a box around it, so many pixels to each side
REACH = 12
FILES = ('config.json', 'generation_config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json')


def options():
    a = argparse.ArgumentParser()
    a.add_argument('rows', help="ms-swift's JSONL")
    a.add_argument('out')
    a.add_argument('--model', default=HERE + '/../../data/nano')
    a.add_argument('--full', action='store_true', help='all weights instead of an adapter')
    a.add_argument('--steps', type=int, default=400)
    a.add_argument('--rank', type=int, default=16)
    a.add_argument('--alpha', type=int, default=32)
    a.add_argument('--lr', type=float, default=0.0, help='0: 5e-4 for an adapter, 1e-4 for all weights')
    a.add_argument('--share', type=float, default=0.5, help='of what was learned, to be kept')
    a.add_argument('--rehearse', type=float, default=0.4, help='share of the steps')
    a.add_argument('--threads', type=int, default=1, help='more pay only on an idle machine')
    a.add_argument('--seed', type=int, default=1)
    return a.parse_args()


class Lora(nn.Module):
    """A linear layer with a small product beside it."""

    on = True

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.a = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        y = self.base(x)
        return y + F.linear(F.linear(x, self.a.to(x.dtype)), self.b.to(x.dtype)) * self.scale if Lora.on else y


def published(name):
    """The name that transformers has for a module of ours."""
    return re.sub('^model\\.', 'model.language_model.', name) if name.startswith('model.') else 'model.' + name


def adapt(m, rank, alpha):
    """Puts a Lora in place of every layer that TARGETS names; returns them by transformers' names."""
    out = {}
    for name, layer in list(m.named_modules()):
        if isinstance(layer, nn.Linear) and re.fullmatch(TARGETS, published(name)):
            parent, _, last = name.rpartition('.')
            lora = Lora(layer, rank, alpha)
            parent = m.get_submodule(parent)
            if last.isdigit():
                parent[int(last)] = lora
            else:
                setattr(parent, last, lora)
            out[published(name)] = lora
    return out


def read_rows(path):
    """Rows as dict(image, user, answer with scaled points, box of the first point or None)."""
    out, pictures = [], {}
    for number, line in enumerate(open(path), 1):
        row = json.loads(line)
        turns = row['messages']
        if [t['role'] for t in turns] != ['user', 'assistant'] or len(row['images']) != 1:
            raise SystemExit(f'{path}, line {number}: expected one picture, one question and one answer')
        name = row['images'][0] if isinstance(row['images'][0], str) else row['images'][0]['path']
        name = os.path.join(os.path.dirname(path), name)
        if name not in pictures:
            im = Image.open(name).convert('RGB')
            w, h = (max(56, round(v / 28) * 28) for v in im.size)
            pictures[name] = im.resize((w, h), Image.BICUBIC), im.size
        im, (w, h) = pictures[name]
        answer, box = turns[1]['content'], None
        for p in row.get('objects', {}).get('bbox', []):
            q = [round(v * s) for v, s in zip(p, (im.width / w, im.height / h) * 2)]
            middle = ((q[0] + q[-2]) / 2, (q[1] + q[-1]) / 2)
            box = box or [middle[0] - REACH, middle[1] - REACH, middle[0] + REACH, middle[1] + REACH]
            answer = answer.replace('<bbox>', '[' + ', '.join(map(str, q)) + ']', 1)
        user = turns[0]['content']
        if not user.startswith('<image>'):
            raise SystemExit(f'{path}, line {number}: the question does not begin with <image>')
        out.append(dict(name=name, image=im, user=user[7:] + tasks.TURN, answer=answer + '<|im_end|>', box=box))
    return out


def packed(rows):
    """One sequence for questions about one picture."""
    r = random.Random(0)
    agent = all(q['user'].startswith(tasks.AGENT) for q in rows)
    im = rows[0]['image']
    scr = SimpleNamespace(r=r, w=im.width, h=im.height, img=im, words=[], chars=[], el=[], blind=True)
    p = pack.Pack(scr, 'agent' if agent else 'ask')
    for q in rows:
        label = re.match(r'<think>\n[a-z ]+ "(.*)"\n', q['answer'])
        el = q['box'] and dict(box=q['box'], label=label[1] if label else '')
        p.add(q['user'].removeprefix(tasks.AGENT) if agent else q['user'], q['answer'], el, True)
    return p


def groups(rows, most=4):
    """Rows of one picture together, few enough for one pass."""
    by = {}
    for q in rows:
        by.setdefault(q['name'], []).append(q)
    return [v[i : i + most] for v in by.values() for i in range(0, len(v), most)]


def states(m, b):
    feat, _ = m.visual(b['img'])
    im = b['ids'] == pack.IMG
    x = m.model.embed_tokens(b['ids']).masked_scatter(im[..., None], feat.float())
    x = x.to(torch.bfloat16 if torch.is_autocast_enabled('cpu') else torch.float32)
    return m.lm(x, b['pos'], b['blocks'])[0]


def scores(m, b):
    """Scores of the next tokens that are answers, the tokens, their weights."""
    h = states(m, b)[:, :-1]
    want = b['lab'][:, 1:].reshape(-1)
    at = (want >= 0).nonzero().squeeze(1)
    s = F.linear(h.reshape(-1, h.shape[-1])[at], m.model.embed_tokens.weight).float()
    return s, want[at], b['wt'][:, 1:].reshape(-1)[at]


def learn(m, b):
    """Next token, and where the heads look that copy and that point."""
    s, want, w = scores(m, b)
    loss = (F.cross_entropy(s, want, reduction='none') * w).sum() / w.sum()
    attend = losses.Attention(m, b['mask'])
    if len(b['copy']):
        loss = loss + 0.3 * F.cross_entropy(attend(*losses.HEAD_COPY, b['copy']), b['copy'][:, 2])
    if len(b['look']):
        cells = int((b['ids'][0] == pack.IMG).sum())
        first = len(pack.PRE)
        lp = F.log_softmax(attend(*losses.HEAD_BOX, b['look']), -1)[:, first : first + cells]
        loss = loss - 0.5 * (b['look_spot'] * lp).sum(-1).mean()
    return loss


def rehearse(m, r, sizes):
    """How far the answers have moved from those of the model as it was."""
    if r.random() < 0.4:
        p = pack.pack_blind(r.randrange(10**9), 4)
    else:
        p = pack.pack_screen(gen_drawn.Screen(*r.choice(sizes), r.randrange(10**9)).render())
    b = pack.collate([p])
    if not (b['lab'] >= 0).any():
        return None
    with torch.no_grad(), before(m):
        was = F.log_softmax(scores(m, b)[0], -1)
    return F.kl_div(F.log_softmax(scores(m, b)[0], -1), was, log_target=True, reduction='batchmean')


class before:
    """The model as it was: without its adapter, or the copy that --full keeps."""

    def __init__(self, m):
        self.m = m

    def __enter__(self):
        Lora.on = False
        if hasattr(self.m, 'kept'):
            self.now = {k: v.detach().clone() for k, v in self.m.state_dict().items()}
            self.m.load_state_dict(self.m.kept)

    def __exit__(self, *_):
        Lora.on = True
        if hasattr(self.m, 'kept'):
            self.m.load_state_dict(self.now)


@torch.no_grad()
def measure(m, parts):
    """(answers all of whose tokens are right, answers, mean loss)"""
    right = total = 0
    loss = []
    for part in parts:
        for q in part:
            s, want, _ = scores(m, pack.collate([packed([q])]))
            loss.append(float(F.cross_entropy(s, want)))
            right += bool((s.argmax(-1) == want).all())
            total += 1
    return right, total, sum(loss) / max(1, len(loss))


def keep(m, layers, share):
    """Only so much of what was learned."""
    with torch.no_grad():
        for layer in (layers or {}).values():
            layer.b *= share
        if hasattr(m, 'kept'):
            now = m.state_dict()
            m.load_state_dict({k: v.lerp(now[k], share) for k, v in m.kept.items()})


def save_adapter(a, layers):
    os.makedirs(a.out, exist_ok=True)
    out = {}
    for name, layer in layers.items():
        for part, t in (('lora_A', layer.a), ('lora_B', layer.b)):
            out[f'base_model.model.{name}.{part}.weight'] = t.detach().contiguous()
    save_file(out, a.out + '/adapter_model.safetensors', metadata={'format': 'pt'})
    with open(a.out + '/adapter_config.json', 'w') as f:
        config = dict(peft_type='LORA', task_type='CAUSAL_LM', base_model_name_or_path=os.path.basename(os.path.realpath(a.model)),
                      r=a.rank, lora_alpha=a.alpha, lora_dropout=0.0, bias='none', target_modules=TARGETS, inference_mode=True,
                      use_rslora=False, use_dora=False, modules_to_save=None, rank_pattern={}, alpha_pattern={}, fan_in_fan_out=False)
        json.dump(config, f, indent=1)


def save_whole(a, m):
    """Over a copy of the checkpoint, so that only tensors it has are written."""
    os.makedirs(a.out, exist_ok=True)
    now, out = m.state_dict(), {}
    for k, v in load_file(a.model + '/model.safetensors').items():
        t = now[k]
        if k.endswith('patch_embed.proj.weight'):  # a picture is a frame doubled
            t = t.sum(2, keepdim=True).div(2).repeat(1, 1, 2, 1, 1)
        out[k] = t.to(v.dtype).contiguous()
    save_file(out, a.out + '/model.safetensors', metadata={'format': 'pt'})
    for f in FILES:
        shutil.copy(f'{a.model}/{f}', f'{a.out}/{f}')


def main():
    a = options()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    r = random.Random(a.seed)
    m = Nano()
    m.load_state_dict({k: v.float() for k, v in load_file(a.model + '/model.safetensors').items()}, strict=False)
    rows = read_rows(a.rows)
    names = sorted({q['name'] for q in rows})
    r.shuffle(names)
    held = set(names[: len(names) // 10])
    train, test = groups([q for q in rows if q['name'] not in held]), groups([q for q in rows if q['name'] in held])
    layers = None
    if a.full:
        m.kept = {k: v.clone() for k, v in m.state_dict().items()}
        params = [p for n, p in m.named_parameters() if n.startswith(('visual.', 'model.'))]
    else:
        for p in m.parameters():
            p.requires_grad = False
        layers = adapt(m, a.rank, a.alpha)
        params = [p for layer in layers.values() for p in (layer.a, layer.b)]
    lr = a.lr or (1e-4 if a.full else 5e-4)
    opt = torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    print(f'{len(rows)} steps on {len(names)} screens, {sum(p.numel() for p in params)} parameters, {len(test)} screens kept out', flush=True)
    print('before: %d of %d answers kept out exactly right, loss %.3f' % measure(m, test), flush=True)
    m.train()
    sizes = sorted({(q['image'].width, q['image'].height) for q in rows})
    start, step, shown, seen = time.time(), 0, 0.0, dict(learn=[], rehearse=[])
    while step < a.steps:
        share = step / a.steps
        for g in opt.param_groups:
            g['lr'] = lr * min(1, (step + 1) / 20) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * share)))
        again = r.random() < a.rehearse
        with half_precision():
            loss = rehearse(m, r, sizes) if again else learn(m, pack.collate([packed(r.choice(train))]))
        if loss is None:
            continue
        opt.zero_grad()
        (loss * (2.0 if again else 1.0)).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        step += 1
        seen['rehearse' if again else 'learn'].append(float(loss.detach()))
        if time.time() - shown > 20:
            shown = time.time()
            text = ', '.join(f'{k} {sum(v[-30:]) / len(v[-30:]):.3f}' for k, v in seen.items() if v)
            print(f'{shown - start:.0f} s, step {step}: {text}', flush=True)
    m.eval()
    keep(m, layers, a.share)
    print('after:  %d of %d answers kept out exactly right, loss %.3f' % measure(m, test))
    if a.full:
        save_whole(a, m)
    else:
        save_adapter(a, layers)
    print(a.out)


if __name__ == '__main__':
    main()
