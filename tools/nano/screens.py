"""Compose training screens: windows of real toolkits (rendered by gen_real.py) pasted on random desktops."""

import glob
import io
import json
import os
import random
from collections import Counter

from PIL import Image, ImageOps

import gen_drawn
from icons import PICTURE

# series of gen_xaw.py and gen_term.py: few windows that look like no others, taken more often
RARE = '81', '82'
ICONIC = 0.2  # share of windows with icons that is taken besides those that come by chance
DESKTOPS = [(0, 0, 0), (0, 0, 0), (68, 68, 68), (0, 0, 60), (59, 66, 82)]


def form_state(d):
    """(number of entries, number filled) of a window that is a form, else None"""
    f = [e for e in d['el'] if e['kind'] == 'field']
    rest = d['el'][len(f) :]
    if not f or d['el'][: len(f)] != f or not {e['kind'] for e in rest} <= {'checkbox', 'button'}:
        return None
    return len(f), sum(1 for e in f if e['value'])


class Real:
    """The rendered windows; one in fifty is kept out of training."""

    def __init__(self, folder, part='train'):
        names = sorted(n[:-5] for n in glob.glob(folder + '/*.json'))
        names = [n for n in names if (int(n[-3:]) % 50 == 0) == (part == 'test')]
        self.names, self.cache, self.forms, self.rich, self.iconic = [], {}, {}, [], []
        for n in names:
            with open(n + '.json') as f:
                d = json.load(f)
            if min(d['w'], d['h']) < 56 or 'title' in d and d['title'][1] > d['h'] / 2:
                continue  # taken before a busy machine had drawn it
            self.names.append(n)
            if sum(e.get('icon', False) for e in d['el']) > 2:
                self.iconic.append(n)
            k = form_state(d)
            if k:
                self.forms.setdefault(k, []).append(n)
            elif len({e['kind'] for e in d['el']}) > 2:
                self.rich.append(n)
        self.rare = [n for n in self.names if os.path.basename(n)[:2] in RARE]

    def pick(self, r, forms=0.0):
        """The name of a random window; with probability `forms` a form, every number of filled entries equally likely, else
        mostly one with many kinds of controls."""
        n = r.choice(self.names)
        if r.random() < 0.6 and self.rich:
            n = r.choice(self.rich)
        if self.rare and r.random() < 0.18:
            n = r.choice(self.rare)
        elif self.iconic and r.random() < ICONIC:
            n = r.choice(self.iconic)
        elif r.random() < forms:
            k = r.choice([1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 5])
            n = r.choice(self.forms.get((k, r.randint(0, k)), self.names))
        return n

    def load(self, n):
        if n not in self.cache:
            with open(n + '.json') as f, open(n + '.png', 'rb') as im:
                self.cache[n] = im.read(), json.load(f)  # not the pixels: they would fill the memory
        return self.cache[n]

    def open(self, n):
        im, d = self.load(n)
        return Image.open(io.BytesIO(im)).convert('RGB'), d

    def get(self, r, forms=0.0):
        return self.open(self.pick(r, forms))

    def controls(self, r, forms=0.0):
        """Those of a random window."""
        return self.load(self.pick(r, forms))[1]['el']

    def icons(self, r):
        """A random window with icons."""
        return self.open(r.choice(self.iconic))


def clip(b, w, h):
    return max(b[0], 0), max(b[1], 0), min(b[2], w), min(b[3], h)


def scaled(r, im, d, w, h):
    """A window, one in four larger or smaller, as other densities of the screen would show it."""
    f = min(r.uniform(0.9, 1.6), w / d['w'], h / d['h'])
    if r.random() > 0.25 or not 0.9 <= f <= 1.6:
        return im, d
    el = [dict(e, box=[round(v * f) for v in e['box']]) for e in d['el']]
    words = [(t, [x * f for x in xs], y * f) for t, xs, y in d['words']]
    d = dict(w=int(d['w'] * f), h=int(d['h'] * f), el=el, words=words)
    return im.resize((d['w'], d['h']), Image.BICUBIC), d


def undecorated(r, im, d):
    """A window, one in five without its title bar, as maximised and small windows are under many window managers."""
    if 'title' not in d or r.random() > 0.2:
        return im, d
    top = int(d['title'][1])
    el = [dict(e, box=[e['box'][0], e['box'][1] - top, e['box'][2], e['box'][3] - top]) for e in d['el']]
    words = [(t, xs, y - top) for t, xs, y in d['words']]
    d = dict(
        w=d['w'], h=d['h'] - top, el=[e for e in el if e['box'][1] >= 0], words=[q for q in words if q[2] > 0]
    )
    return im.crop((0, top, d['w'], top + d['h'])), d


def colours(r, im):
    """Other themes: one in ten inverted, one in three with other tones."""
    if r.random() < 0.1:
        im = ImageOps.invert(im)
    if r.random() < 0.33:
        curves = []
        for _ in range(3):
            gamma, top, low = r.uniform(0.7, 1.4), r.uniform(0.8, 1), r.uniform(0, 0.15)
            curves += [int(255 * (low + (top - low) * (v / 255) ** gamma)) for v in range(256)]
        im = im.point(curves)
    return im


class Composite:
    """Has the attributes of gen_drawn.Screen that tasks.py and pack.py need."""

    blind = False
    over = 1.2  # windows may be larger than the screen by this, and cut
    close = 0.2  # share of small screens that are a part of one, enlarged, as a second look sees it

    def __init__(self, w, h, seed, real, blur=0.4, forms=0.0, far=0.0, plain=0.0):
        r = self.r = random.Random(seed)
        self.w, self.h = w, h
        as_rendered = r.random() < plain
        blur, close = (0, 0) if as_rendered else (blur, self.close)
        # the screen may have been resized to the grid by up to half a cell
        sw, sh = (w, h) if r.random() > blur else (w + r.randint(-13, 13), h + r.randint(-13, 13))
        over = self.over
        if w < 500 and r.random() < close:
            f = r.uniform(1.3, 1.7)
            sw, sh, over = int(w / f), int(h / f), 3
        self.img = self.desktop(sw, sh, seed)
        self.el, self.words = [], []
        windows = 1 if w < 500 or r.random() < (0.85 if w < 700 else 0.5) else 2
        for i in range(windows):
            fits = []
            for _ in range(20):
                im, d = undecorated(r, *real.get(r, forms))
                if d['w'] <= sw * over and d['h'] <= sh * over:
                    fits.append((im, d))
                    if len(fits) == (1 if w < 500 or r.random() < 0.5 else 4):
                        break
            if fits:
                best = max(fits, key=lambda q: q[1]['w'] * q[1]['h'])
                self.paste(*(best if as_rendered else scaled(r, *best, sw, sh)), sw, sh, i)
        if not as_rendered:
            self.img = colours(r, self.img)
        if (sw, sh) != (w, h):
            self.resize(sw, sh)

        def on_screen(b):
            return 2 <= (b[0] + b[2]) / 2 < w - 2 and 2 <= (b[1] + b[3]) / 2 < h - 2

        printed = {q[0].rstrip(':') for q in self.words}
        self.words = [q for q in self.words if 0 <= q[2] < h and q[1] and 0 <= min(q[1]) and max(q[1]) < w]
        gone = printed - {q[0].rstrip(':') for q in self.words}
        there, self.el, self.cut = self.el, [], []
        for e in there:
            b = clip(e['box'], w, h)
            if on_screen(e['box']) and e['label'] not in gone:
                self.el.append(dict(e, box=b))
            elif b[0] < b[2] and b[1] < b[3]:
                self.cut.append(dict(e, box=b))
        self.texts = [q[0] for q in self.words]
        self.chars = [
            (x, y, gen_drawn.CH.get(c, 0)) for t, xs, y in self.words for c, x in zip(t, xs) if c != ' '
        ]
        self.elsewhere = real.controls(r, forms)  # what a user may ask for in vain
        if r.random() < far:
            self.cut_out()
        front = [e for e in self.el if e['win'] == windows - 1]
        self.form = [e for e in front if e['kind'] == 'field']
        self.keys = [e for e in front if e['kind'] == 'button' and len(e['label']) == 1]
        if len(self.keys) < 10 or sum(e['label'].isdigit() for e in self.keys) < 9:
            self.keys = []

    def cut_out(self):
        """Be a part of a larger screen, by the positions alone: what a large picture teaches for a small one's price."""
        r, cw, ch = self.r, self.w // 28, self.h // 28
        aw, ah = r.choice([(18, 14), (23, 17), (23, 17), (29, 21), (29, 21), (37, 27), (46, 29)])
        aw, ah = max(aw, cw), max(ah, ch)
        left, top = r.randint(0, aw - cw), r.randint(0, ah - ch)
        if r.random() < 0.4:
            left, top = (aw - cw) // 2, (ah - ch) // 2
        self.part = left, top, aw, ah
        x, y = 28 * left, 28 * top
        for e in self.el + self.cut:
            b = e['box']
            e['box'] = b[0] + x, b[1] + y, b[2] + x, b[3] + y

    def desktop(self, w, h, seed):
        r = self.r
        v = r.random()
        if v < 0.45:
            return Image.new('RGB', (w, h), r.choice(DESKTOPS))
        if v < 0.8:
            return Image.new('RGB', (w, h), tuple(r.randint(0, 255) for _ in range(3)))
        if v < 0.9:
            a = Image.new('RGB', (2, 2))
            a.putdata([tuple(r.randint(0, 255) for _ in range(3)) for _ in range(4)])
            return a.resize((w, h), Image.BICUBIC)
        return gen_drawn.Page(w, h, seed + 1).render().img

    def paste(self, im, d, sw, sh, win):
        """A window, in the middle or anywhere, a larger one with one of its controls in the middle; what it hides is
        forgotten."""
        r, dx, dy = self.r, sw - d['w'], sh - d['h']
        u = r.random()
        if min(dx / sw, dy / sh) < 1 - self.over and d['el']:
            b = r.choice(d['el'])['box']
            x, y = (sw - b[0] - b[2]) // 2, (sh - b[1] - b[3]) // 2
            x, y = min(max(x, min(dx, 0)), max(dx, 0)), min(max(y, min(dy, 0)), max(dy, 0))
        elif u < 0.3:
            x, y = dx // 2, dy // 2
        elif u < 0.45:
            x, y = 0, 0
        else:
            x, y = r.randint(min(0, dx), max(0, dx)), r.randint(min(0, dy), max(0, dy))
        x1, y1 = x + d['w'], y + d['h']

        def hidden(b):
            return not (b[2] < x or b[0] > x1 or b[3] < y or b[1] > y1)

        self.el = [e for e in self.el if not hidden(e['box'])]
        self.words = [q for q in self.words if not (y <= q[2] <= y1 and any(x <= u <= x1 for u in q[1]))]
        self.img.paste(im, (x, y))
        for e in d['el']:
            b = e['box']
            self.el.append(dict(e, box=(b[0] + x, b[1] + y, b[2] + x, b[3] + y), win=win))
        self.words += [(t, [u + x for u in xs], my + y) for t, xs, my in d['words']]

    def resize(self, sw, sh):
        self.img = self.img.resize((self.w, self.h), Image.BICUBIC)
        fx, fy = self.w / sw, self.h / sh
        for e in self.el:
            b = e['box']
            e['box'] = tuple(int(round(v)) for v in (b[0] * fx, b[1] * fy, b[2] * fx, b[3] * fy))
        self.words = [(t, [u * fx for u in xs], y * fy) for t, xs, y in self.words]


class Collage:
    """Words of many windows, or now and then icons, cut out with what is around them: more to read, and more to know
    by its picture, than any screen has."""

    iconic = 0.65  # share of those with icons

    def __init__(self, w, h, seed, real):
        r = self.r = random.Random(seed)
        self.w, self.h, self.el, self.chars = w, h, [], []
        self.img = Image.new('RGB', (w, h), tuple(r.randint(0, 255) for _ in range(3)))
        iconic = real.iconic and r.random() < self.iconic
        x = y = tall = 0
        for _ in range(30):
            if y >= h:
                break
            im, d = real.icons(r) if iconic else real.get(r)
            im, d = scaled(r, im, d, 2 * d['w'], 2 * d['h'])
            im = colours(r, im)
            parts = self.icons(d) if iconic else self.lines(d)
            for part in r.sample(parts, min(len(parts), 12 if iconic else 16)):
                part = [int(v) for v in clip(part, d['w'], d['h'])]
                if min(part[2] - part[0], part[3] - part[1]) < 16:
                    continue
                if x + part[2] - part[0] > w:
                    x, y, tall = 0, y + tall, 0
                self.add(im, d, part, x, y)
                x, tall = x + part[2] - part[0], max(tall, part[3] - part[1])

    def lines(self, d):
        """Where to cut to have one word or label each."""
        rnd = self.r.randint
        return [
            (min(xs) - rnd(8, 20), y - rnd(11, 20), max(xs) + rnd(8, 20), y + rnd(11, 20))
            for _, xs, y in d['words']
            if xs
        ]

    def icons(self, d):
        """The same for icons."""
        rnd = self.r.randint
        boxes = [e['box'] for e in d['el'] if e.get('icon')]
        return [(a - rnd(0, 10), b - rnd(0, 10), p + rnd(0, 10), q + rnd(0, 10)) for a, b, p, q in boxes]

    def add(self, im, d, part, x, y):
        self.img.paste(im.crop(part), (x, y))
        dx, dy = x - part[0], y - part[1]
        for t, xs, my in d['words']:
            if part[1] + 5 <= my <= part[3] - 5:
                seen = [(u, c) for u, c in zip(xs, t) if part[0] + 3 <= u <= part[2] - 3 and c != ' ']
                self.chars += [(u + dx, my + dy, gen_drawn.CH.get(c, 0)) for u, c in seen]
        for e in d['el']:
            a, b, p, q = e['box']
            c = max(a, part[0]), max(b, part[1]), min(p, part[2]), min(q, part[3])
            if c[0] < c[2] and c[1] < c[3] and (c[2] - c[0]) * (c[3] - c[1]) > 0.6 * (p - a) * (q - b):
                box = clip((c[0] + dx, c[1] + dy, c[2] + dx, c[3] + dy), self.w, self.h)
                if box[0] < box[2] and box[1] < box[3]:
                    self.el.append(dict(e, box=box))


class Board(Collage):
    """Icons of many windows, none twice, as a screen with tasks: a tool bar has too few to learn their names soon."""

    blind = False
    iconic = 1

    def __init__(self, w, h, seed, real):
        self.had = set()
        super().__init__(w, h, seed, real)
        self.words, self.texts, self.form, self.keys, self.cut = [], [], [], [], []
        self.elsewhere = real.icons(self.r)[1]['el']
        count = Counter(known_as(e) for e in self.el)
        self.el = [dict(e, label='' if count[known_as(e)] > 1 else e['label']) for e in self.el]

    def icons(self, d):
        fresh = [e for e in d['el'] if e.get('icon') and known_as(e) not in self.had]
        self.had |= {known_as(e) for e in fresh}
        return super().icons(dict(el=fresh))


def known_as(e):
    """The same for all names of one picture."""
    return PICTURE.get(e['label'].lower(), e['label'])
