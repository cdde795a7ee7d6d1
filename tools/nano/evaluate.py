"""Measure a checkpoint: a folder in Hugging Face layout, or a training state.

    python evaluate.py CHECKPOINT [--real DIR] [--n 40] [--zenity 20] [--size WxH] [--screen WxH]

drawn    unseen drawn screens
windows  windows of a real toolkit held out from training
blind    sentences and histories without a picture
zenity   stock `zenity --forms` under Xvfb and openbox: every step is a screenshot, a forward pass and an xdotool
         action; a form counts when zenity's own output holds exactly the values of the sentence.
Decoding is greedy and free, without the engine's grammar.
"""

import argparse
import os
import random
import re
import subprocess
import time

import torch
import torch.nn.functional as F
from PIL import Image, ImageGrab

import gen_drawn
import pack
import screens
import tasks
import words
from model import C, Nano
from pack import EOS, IMG, POST, PRE, T, encode, norm


def load(path):
    m = Nano()
    if os.path.isdir(path):
        from safetensors.torch import load_file

        sd = load_file(path + '/model.safetensors')
    else:
        c = torch.load(path)
        sd = {k: v.bfloat16() for k, v in c.get('ema', c['m']).items()}
    m.load_state_dict({k: v.float() for k, v in sd.items()}, strict=False)
    return m.eval()


@torch.no_grad()
def generate(m, img, text, limit=110):
    """The greedy answer to one user turn (picture, text); a picture of None leaves a tiny plain one."""
    blind = img is None
    img = img or Image.new('RGB', (56, 56))
    w, h = img.size
    gh, gw, p = h // 28, w // 28, len(PRE)
    ids = torch.tensor([PRE + [IMG] * (gh * gw) + POST + encode(text + tasks.TURN)])
    n = ids.shape[1]
    pos = [[i] * 3 for i in range(p)] + [[p, p + r, p + c] for r in range(gh) for c in range(gw)]
    start = p + (16 if blind else max(gh, gw))
    pos += [[start + k] * 3 for k in range(n - len(pos))]
    at = pos[-1][0] + 1
    feat, _ = m.visual(norm(img)[None])
    x = m.model.embed_tokens(ids).masked_scatter((ids == IMG)[..., None], feat)
    caches = [[] for _ in range(C.l)]
    causal = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
    h, _ = m.lm(x, torch.tensor(pos).T[:, None].float(), causal, caches)
    out = []
    while len(out) < limit:
        z = int(F.linear(h[0, -1], m.model.embed_tokens.weight).argmax())
        if z == EOS:
            break
        out.append(z)
        x = m.model.embed_tokens(torch.tensor([[z]]))
        h, _ = m.lm(x, torch.full((3, 1, 1), float(at)), None, caches)
        at += 1
    return T.decode(out, skip_special_tokens=False)


def agent_text(goal, hist):
    return tasks.AGENT + goal + '\n\n## Previous Actions\n' + hist + tasks.AEND


def parse(t):
    """(action, point, text, keys)"""
    a = re.search(r'"action": "(\w+)"', t)
    p = re.search(r'"start_point": \[(\d+), ?(\d+)\]', t)
    x = re.search(r'"text": "(.*)"\}', t)
    k = re.search(r'"keys": \[(.*?)\]', t)
    return a and a[1], p and (int(p[1]), int(p[2])), x and x[1], k and k[1]


def inside(p, b):
    return p is not None and b[0] <= p[0] <= b[2] and b[1] <= p[1] <= b[3]


class Score(dict):
    def note(self, key, ok):
        r = self.setdefault(key, [0, 0])
        r[0] += bool(ok)
        r[1] += 1

    def __str__(self):
        return ', '.join(f'{k} {a}/{b}' for k, (a, b) in self.items())


def grounding(m, s, score):
    """One control by the official grounding prompt, named as users do, and one question."""
    for task in tasks.locate(s, 1):
        e, t = task.el, generate(m, s.img, tasks.LOC + task.goal)
        if e is None:
            score.note('grounding: absent target refused', 'bbox' not in t)
            continue
        b = re.search(r'\[(\d+), (\d+), (\d+), (\d+)\]', t)
        b = b and [int(b[k]) for k in range(1, 5)]
        middle = b and ((b[0] + b[2]) // 2, (b[1] + b[3]) // 2)
        kind = e['kind'] if e['kind'] in ('field', 'button') else 'other'
        score.note(f'grounding: middle of the box in {kind}', middle and inside(middle, e['box']))
        score.note('grounding: overlap 0.5', b and overlap(b, e['box']) >= 0.5)
    for task in tasks.ask(s, 1):
        kind = task.answer if task.answer in ('yes', 'no') else 'reading'
        score.note('question: ' + kind, generate(m, s.img, task.goal) == task.answer)


def overlap(a, b):
    """Intersection over union."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both or 1)


def steps(m, make, n, show):
    score = Score()
    for i in range(n):
        s = make(i)
        task = tasks.agent(s)
        if not task:
            continue
        goal, hist, want, el = task[:4]
        got = generate(m, None if s.blind else s.img, agent_text(goal, hist))
        (act, point, text, keys), (act2, point2, text2, keys2) = parse(got), parse(want)
        if i < show:
            print('  ', goal, '|', repr(got), '| want', repr(want), el and el['box'])
        score.note('kind of action', act == act2)
        score.note('think line', got.split('</think>')[0] == want.split('</think>')[0])
        aimed = el and point2 and not s.blind
        if aimed:
            b, kind = el['box'], el['kind'] if el['kind'] in ('field', 'button') else 'other'
            score.note('point in ' + kind, inside(point, b))
            if point and kind == 'field':
                score.note('field row', b[1] <= point[1] <= b[3])
                score.note('field column', b[0] <= point[0] <= b[2])
        if text2 is not None:
            score.note('text exact', text == text2)
        if '"call_user"' in want:
            score.note('absent target refused', act == 'call_user')
        elif not s.blind:
            score.note('not refused', act != 'call_user')
        same = act == act2 and text == text2 and keys == keys2
        score.note('whole step', same and (not aimed or inside(point, el['box'])))
        if not s.blind:
            grounding(m, s, score)
    return score


def resized(img):
    w, h = img.size
    return img.resize((max(56, round(w / 28) * 28), max(56, round(h / 28) * 28)), Image.BICUBIC)


class Desktop:
    """Xvfb with openbox."""

    def __init__(self, w, h, display):
        self.w, self.h, self.display = w, h, display
        self.env = dict(os.environ, DISPLAY=f':{display}')
        quiet = dict(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.procs = [subprocess.Popen(['Xvfb', f':{display}', '-screen', '0', f'{w}x{h}x24'], **quiet)]
        time.sleep(1)
        self.procs.append(subprocess.Popen(['openbox'], env=self.env, **quiet))
        time.sleep(1)

    def close(self):
        for p in reversed(self.procs):
            p.kill()
            p.wait()

    def grab(self):
        return resized(ImageGrab.grab(xdisplay=f':{self.display}').convert('RGB'))

    def xdotool(self, *args):
        subprocess.run(['xdotool', *args], env=self.env)

    def click(self, point, size):
        x, y = round(point[0] * self.w / size[0]), round(point[1] * self.h / size[1])
        self.xdotool('mousemove', str(x), str(y), 'click', '1')
        time.sleep(0.15)


def form_of(r, i):
    """Labels, values, sentence, title and text of form i; the first one is always the same."""
    if i == 0:
        labels, vals = ['First name', 'Last name', 'Email'], ['Ada', 'Lovelace', 'ada@example.com']
    else:
        labels = r.sample(words.FIELDS, 3)
        vals = [words.value_for(r, l) for l in labels]
    goal = 'Fill in the form: ' + ', '.join(f'{l} {v}' for l, v in zip(labels, vals)) + ', then press OK'
    title, text = ('New entry', 'Enter the data') if i % 2 == 0 else (words.phrase(r, 2), words.phrase(r, 3))
    return labels, vals, goal, title, text


def zenity(m, n, w, h, display, seed=4242, out=None, show=3):
    score, desk = Score(), Desktop(w, h, display)
    try:
        for i in range(n):
            labels, vals, goal, title, text = form_of(random.Random(seed + i), i)
            z = subprocess.Popen(
                ['zenity', '--forms', '--title=' + title, '--text=' + text]
                + ['--add-entry=' + l for l in labels],
                env=desk.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(1.2)
            hist = []
            for k in range(5):
                img = desk.grab()
                if out:
                    img.save(f'{out}/z{i}_{k}.png')
                t = generate(m, img, agent_text(goal, tasks.hist(hist)))
                act, point, typed, _ = parse(t)
                if i < show:
                    print('  ', goal if k == 0 else '', repr(t))
                score.note('order of steps', act == ('input' if k < 3 else 'click' if k == 3 else 'finished'))
                if k < 3:
                    score.note('text exact', typed == vals[k])
                    score.note('field named', f'field "{labels[k]}"' in t)
                if k == 4 or act not in ('input', 'click', 'press'):
                    break
                if point:
                    desk.click(point, img.size)
                if act == 'input':
                    desk.xdotool('type', '--delay', '8', typed or '')
                    hist.append(f'{{"action_name": "input", "text": "{typed}"}}')
                elif act == 'click':
                    x, y = point or (0, 0)
                    hist.append(f'{{"action_name": "click", "start_point": [{x}, {y}]}}')
                else:
                    desk.xdotool('key', 'Return')
                    hist.append('{"action_name": "press", "keys": ["enter"]}')
                time.sleep(0.35)
            time.sleep(0.2)
            said = None
            if z.poll() is None:
                z.kill()
                z.wait()
            else:
                said = z.stdout.read().decode().strip().split('|')
                for l, v in zip(said, vals):
                    score.note('entry', l == v)
                if i < show or said != vals:
                    print('   zenity said', said, 'of', vals)
            score.note('submitted', z.returncode == 0)
            score.note('whole form', z.returncode == 0 and said == vals)
    finally:
        desk.close()
    return score


def main():
    a = argparse.ArgumentParser()
    a.add_argument('checkpoint')
    a.add_argument('--real', default='')
    a.add_argument('--n', type=int, default=40)
    a.add_argument('--zenity', type=int, default=20)
    a.add_argument('--size', default='448x336')
    a.add_argument('--screen', default='448x336')
    a.add_argument('--display', type=int, default=79)
    a.add_argument('--seed', type=int, default=4242, help='of the zenity forms')
    a.add_argument('--save', default='', help='folder for the screenshots')
    a.add_argument('--show', type=int, default=3)
    a.add_argument('--drawn', type=int, default=1)
    a = a.parse_args()
    torch.set_num_threads(1)
    m = load(a.checkpoint)
    w, h = map(int, a.size.split('x'))

    def drawn(i):
        return gen_drawn.Screen(w, h, 5 * 10**8 + i).render()

    if a.n:
        print('blind', steps(m, lambda i: pack.Blind(7 * 10**8 + i), a.n, a.show), flush=True)
    if a.n and a.drawn:
        print('drawn', a.size, steps(m, drawn, a.n, 0), flush=True)
    if a.n and a.real:
        real = screens.Real(a.real, 'test')
        for forms in (1.0, 0.0):
            make = lambda i: screens.Composite(w, h, 6 * 10**8 + i, real, forms=forms)
            print('forms' if forms else 'windows', a.size, steps(m, make, a.n, a.show), flush=True)
    if a.zenity:
        sw, sh = map(int, a.screen.split('x'))
        s = zenity(m, a.zenity, sw, sh, a.display, a.seed, a.save or None, a.show)
        print('zenity', a.screen, s, flush=True)


if __name__ == '__main__':
    main()
