"""Random drawn screens with exact ground truth: boxes, labels and the place of every character.

They look like no toolkit in particular and vary more than real ones: fonts, colours, spacing, corners.
"""

import glob
import random
import string

from PIL import Image, ImageDraw, ImageFont

from words import phrase

FACES = '''DejaVuSans.ttf DejaVuSans-Bold.ttf DejaVuSansMono.ttf DejaVuSansCondensed.ttf DejaVuSerif.ttf
LiberationSans-Regular LiberationSans-Bold LiberationMono-Regular LiberationSerif-Regular
LiberationSansNarrow-Regular Lato-Regular Lato-Bold Lato-Medium OpenSans-Regular OpenSans-SemiBold Roboto-Regular
Roboto-Medium NotoSans-Regular. NotoSans-Bold. NotoSerif-Regular. NotoSansMono-Regular Hack-Regular
FiraCode-Regular'''.split()
FONTS = [
    f
    for f in glob.glob('/usr/share/fonts/truetype/**/*.ttf', recursive=True)
    if 'Italic' not in f and 'Oblique' not in f and any(k in f for k in FACES)
]
FONTS += glob.glob('/usr/share/fonts/opentype/cantarell/*.otf')[:2]
ACCENTS = [(53, 132, 228), (0, 120, 215), (38, 162, 105), (192, 28, 40), (145, 65, 172), (230, 97, 0)]
WHITE = (255, 255, 255)
CH = {c: i + 1 for i, c in enumerate(string.ascii_letters + string.digits + string.punctuation)}
fonts, widths = {}, {}


def font(path, size):
    if (path, size) not in fonts:
        fonts[path, size] = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    return fonts[path, size]


def width(f, c):
    k = (id(f), c)
    if k not in widths:
        widths[k] = f.getlength(c)
    return widths[k]


def shade(c, k):
    return tuple(max(0, min(255, int(v + k))) for v in c)


class Screen:
    """el: controls; words: (text, x of each character, y); chars: (x, y, number of the character)."""

    blind = False

    def __init__(self, w, h, seed):
        r = self.r = random.Random(seed)
        self.w, self.h = w, h
        self.dark = r.random() < 0.3
        self.bg = self.grey(15, 110) if self.dark else self.grey(60, 255)
        self.win = self.grey(20, 70) if self.dark else self.grey(215, 255)
        self.fg = self.grey(200, 255) if self.dark else self.grey(0, 60)
        self.acc = r.choice(ACCENTS + [(60, 60, 60)])
        self.img = Image.new('RGB', (w, h), self.bg)
        self.d = ImageDraw.Draw(self.img)
        if r.random() < 0.35:
            self.d.fontmode = '1'
        self.fs = r.choice([11, 12, 12, 13, 13, 14, 14, 15, 16, 18])
        self.f = font(r.choice(FONTS), self.fs)
        self.lh = self.fs + r.randint(3, 6)
        self.rad = r.choice([0, 0, 2, 3, 4, 6, 8])
        self.pad = r.randint(4, 12)
        self.gap = r.randint(4, 12)
        self.el, self.chars, self.texts, self.words = [], [], [], []

    def grey(self, a, b):
        r = self.r
        if r.random() < 0.3:
            return tuple(r.randint(a, b) for _ in range(3))
        v = r.randint(a, b)
        return v, v, min(255, v + r.randint(0, 6))

    def away(self, light, dark):
        """The window's colour moved by `light` on light themes, `dark` on dark ones."""
        return shade(self.win, dark if self.dark else light)

    def tw(self, t, f=None):
        return sum(width(f or self.f, c) for c in t)

    def text(self, x, y, t, fill=None, f=None):
        f = f or self.f
        x, y = int(x), int(y)
        self.d.text((x, y), t, font=f, fill=fill or self.fg)
        middle, xs = y + f.getmetrics()[0] * 0.65, []
        for c in t:
            wide = width(f, c)
            xs.append(x + wide / 2)
            if c != ' ':
                self.chars.append((x + wide / 2, middle, CH.get(c, 0)))
            x += wide
        self.texts.append(t)
        self.words.append((t, xs, middle))

    def add(self, kind, label, box, **more):
        self.el.append(dict(kind=kind, label=label, box=tuple(int(v) for v in box), **more))

    def box(self, b, fill=None, outline=None, rad=None):
        rad = self.rad if rad is None else rad
        if b[2] <= b[0] or b[3] <= b[1]:
            return
        if rad:
            self.d.rounded_rectangle(b, rad, fill=fill, outline=outline)
        else:
            self.d.rectangle(b, fill=fill, outline=outline)

    # each control returns (width, height), or None where it does not fit

    def button(self, x, y, room):
        r, t = self.r, phrase(self.r)
        w, h = self.tw(t) + 2 * self.pad + r.randint(0, 16), self.lh + r.randint(4, 14)
        if w > room:
            return None
        primary = r.random() < 0.2
        fill = self.acc if primary else self.away(-r.randint(4, 30), r.randint(12, 40))
        if r.random() < 0.15 and not primary:
            fill = None
        bare = r.random() < 0.3 and fill
        self.box((x, y, x + w, y + h), fill=fill, outline=None if bare else self.away(-70, 60))
        self.text(x + (w - self.tw(t)) / 2, y + (h - self.fs) / 2 - 1, t, fill=WHITE if primary else None)
        self.add('button', t, (x, y, x + w, y + h))
        return w, h

    def check(self, x, y, room, radio):
        r, t, q = self.r, phrase(self.r), self.fs - 1
        w = q + 6 + self.tw(t)
        if w > room:
            return None
        on, b = r.random() < 0.4, (x, y + 2, x + q, y + 2 + q)
        fill = self.acc if on else shade(self.win, 12)
        if radio:
            self.d.ellipse(b, outline=self.fg, fill=fill)
            if on:
                self.d.ellipse((x + q * 0.3, y + 2 + q * 0.3, x + q * 0.7, y + 2 + q * 0.7), fill=WHITE)
        else:
            self.box(b, fill=fill, outline=self.fg, rad=min(2, self.rad))
            if on:
                tick = (x + 2, y + 2 + q * 0.5, x + q * 0.45, y + q - 1, x + q - 2, y + 5)
                self.d.line(tick, fill=WHITE, width=2)
        self.text(x + q + 6, y, t)
        self.add('radio' if radio else 'checkbox', t, (x, y, x + w, y + self.lh))
        return w, self.lh + 2

    def field(self, x, y, room, label_room):
        """An entry with its label above (label_room None) or to the left."""
        r = self.r
        t = phrase(r, r.choice([1, 1, 2]))
        label = t + (':' if r.random() < 0.5 else '')
        h = self.lh + r.randint(4, 10)
        if label_room is None:
            if self.tw(label) > room:
                return None
            w, top = min(room, r.randint(90, 260)), self.lh
            self.text(x, y, label)
            b = (x, y + top, x + w, y + top + h)
        else:
            w, top = min(room - label_room - 8, r.randint(80, 240)), 0
            if self.tw(label) > label_room or w < 40:
                return None
            left = x if r.random() < 0.6 else x + label_room - self.tw(label)
            self.text(left, y + (h - self.fs) / 2 - 1, label)
            b = (x + label_room + 8, y, x + label_room + 8 + w, y + h)
        self.box(b, fill=self.away(20, -12), outline=self.away(-80, 70), rad=min(4, self.rad))
        value = phrase(r) if r.random() < 0.4 else ''
        if value and self.tw(value) < w - 12:
            fill = shade(self.fg, -60 if self.dark else 60)
            self.text(b[0] + 5, b[1] + (h - self.fs) / 2 - 1, value, fill=fill)
        else:
            value = ''
        combo = r.random() < 0.2
        if combo:
            cx, cy = b[2] - 10, (b[1] + b[3]) / 2
            self.d.polygon([(cx - 4, cy - 2), (cx + 4, cy - 2), (cx, cy + 3)], fill=self.fg)
        self.add('combo box' if combo else 'field', t, b, value=value)
        return b[2] - x, top + h

    def label(self, x, y, room):
        t = phrase(self.r, self.r.choice([2, 3, 4]))
        if self.tw(t) > room:
            return None
        self.text(x, y, t)
        return self.tw(t), self.lh

    def link(self, x, y, room):
        t = phrase(self.r)
        w = self.tw(t)
        if w > room:
            return None
        c = (90, 160, 255) if self.dark else (20, 80, 200)
        self.text(x, y, t, fill=c)
        if self.r.random() < 0.6:
            self.d.line((x, y + self.fs + 1, x + w, y + self.fs + 1), fill=c)
        self.add('link', t, (x, y, x + w, y + self.lh))
        return w, self.lh

    def title_bar(self, x0, y0, x1):
        r, d = self.r, self.d
        h = self.lh + r.randint(4, 12)
        bar = self.acc if r.random() < 0.3 else self.away(-25, 20)
        d.rectangle((x0, y0, x1, y0 + h), fill=bar)
        t, c = phrase(r, 2), WHITE if sum(bar) < 380 else (20, 20, 20)
        if self.tw(t) < x1 - x0 - 80:
            left = x0 + 8 if r.random() < 0.5 else (x0 + x1 - self.tw(t)) / 2
            self.text(left, y0 + (h - self.fs) / 2 - 1, t, fill=c)
        q, cx, cy = r.randint(4, 6), x1 - 14, y0 + h / 2
        d.line((cx - q, cy - q, cx + q, cy + q), fill=c, width=2)
        d.line((cx - q, cy + q, cx + q, cy - q), fill=c, width=2)
        self.add('close', '', (cx - 9, y0, x1, y0 + h))
        if r.random() < 0.6:
            d.rectangle((cx - 24 - q, cy - q, cx - 24 + q, cy + q), outline=c)
            self.add('maximize', '', (cx - 33, y0, cx - 15, y0 + h))
            d.line((cx - 48 - q, cy + q - 1, cx - 48 + q, cy + q - 1), fill=c, width=2)
            self.add('minimize', '', (cx - 57, y0, cx - 39, y0 + h))
        return h

    def menu_bar(self, x0, y, x1):
        r, x, h = self.r, x0 + 4, self.lh + 4
        for _ in range(r.randint(2, 7)):
            t = phrase(r, 1)
            w = self.tw(t) + r.randint(10, 20)
            if x + w > x1:
                break
            self.text(x + 6, y + 2, t)
            self.add('menu', t, (x, y, x + w, y + h))
            x += w
        return h

    def tab_bar(self, x0, y, x1):
        r, x, h = self.r, x0 + 2, self.lh + 8
        front = r.randint(0, 3)
        for i in range(r.randint(2, 5)):
            t = phrase(r, 1)
            w = self.tw(t) + r.randint(14, 30)
            if x + w > x1:
                break
            fill = self.win if i == front else self.away(-20, 15)
            self.box((x, y + 2, x + w, y + h), fill=fill, outline=self.away(-60, 50), rad=0)
            self.text(x + (w - self.tw(t)) / 2, y + 5, t)
            self.add('tab', t, (x, y + 2, x + w, y + h))
            x += w
        return h

    # rows of a window return their height, or None where there is no more room

    def in_line(self, one, n, x, y, x1, gap):
        h = 0
        for _ in range(n):
            q = one(x, y, x1 - 6 - x)
            if not q:
                break
            x += q[0] + gap
            h = max(h, q[1])
        return h

    def row_of_buttons(self, x, y, x1, y1):
        r = self.r
        if r.random() < 0.3:
            x = x1 - int((x1 - x - 8) * r.uniform(0.4, 0.9))
        if y + self.lh + 16 > y1:
            return None
        return self.in_line(self.button, r.randint(1, 5), x, y, x1, self.gap)

    def row_of_links(self, x, y, x1, y1):
        return self.in_line(self.link, self.r.randint(1, 4), x, y, x1, self.gap + 8)

    def checks(self, x, y, x1, y1):
        r, h = self.r, 0
        radio, across = r.random() < 0.4, r.random() < 0.35
        for _ in range(r.randint(1, 4)):
            if y + h + self.lh + 2 > y1:
                break
            q = self.check(x, y if across else y + h, x1 - 6 - x, radio)
            if q and across:
                x += q[0] + self.gap + 6
                h = max(h, q[1])
            elif q:
                h += q[1] + 2
        return h

    def fields(self, x, y, x1, y1):
        r, h = self.r, 0
        label_room = r.choice([None, r.randint(60, 130)])
        for _ in range(r.randint(1, 4)):
            if y + h + 2 * self.lh + 12 > y1:
                break
            q = self.field(x, y + h, x1 - x - 8, label_room)
            if q:
                h += q[1] + self.gap
        return h

    def labels(self, x, y, x1, y1):
        h = 0
        for _ in range(self.r.randint(1, 3)):
            if y + h + self.lh > y1:
                break
            q = self.label(x, y + h, x1 - x - 8)
            if q:
                h += q[1]
        return h

    def items(self, x, y, x1, y1):
        r = self.r
        w, n, rh = min(x1 - x - 8, r.randint(120, 300)), r.randint(3, 8), self.lh + r.randint(0, 6)
        n = min(n, int((y1 - 4 - y) // rh))
        if n < 2:
            return None
        self.box((x, y, x + w, y + n * rh), fill=shade(self.win, 12), outline=self.away(-60, 50), rad=0)
        picked = r.randint(0, 12)
        for i in range(n):
            t, top = phrase(r), y + i * rh
            if self.tw(t) > w - 10:
                continue
            if i == picked:
                self.d.rectangle((x + 1, top, x + w - 1, top + rh), fill=self.acc)
            self.text(x + 6, top + (rh - self.fs) / 2 - 1, t, fill=WHITE if i == picked else None)
            self.add('item', t, (x, top, x + w, top + rh))
        return n * rh

    def window(self, x0, y0, x1, y1):
        r = self.r
        self.box((x0, y0, x1, y1), fill=self.win, outline=self.away(-90, 50), rad=0)
        y = y0
        for bar, share in ((self.title_bar, 0.75), (self.menu_bar, 0.4), (self.tab_bar, 0.25)):
            if r.random() < share:
                y += bar(x0, y, x1)
        y += r.randint(6, 14)
        rows = [
            self.row_of_buttons,
            self.checks,
            self.fields,
            self.labels,
            self.items,
            self.row_of_links,
            None,
        ]
        while y < y1 - self.lh - 10:
            row = r.choices(rows, [4, 3, 4, 2, 1.5, 1.5, 1])[0]
            if row is None:
                y += r.randint(6, 30)
                continue
            h = row(x0 + r.randint(8, 24), y, x1, y1)
            if h is None:
                break
            y += h + self.gap

    def cover(self, b):
        """Forget what a window at b hides."""

        def apart(e):
            return e[2] < b[0] or e[0] > b[2] or e[3] < b[1] or e[1] > b[3]

        def free(x, y):
            return not (b[0] <= x <= b[2] and b[1] <= y <= b[3])

        self.el = [e for e in self.el if apart(e['box'])]
        self.chars = [c for c in self.chars if free(c[0], c[1])]
        self.words = [q for q in self.words if not q[1] or free(q[1][len(q[1]) // 2], q[2])]

    def render(self):
        r = self.r
        if self.w < 320 or r.random() < 0.3:
            a, b, c, d = (r.randint(-4, 10) for _ in range(4))
            self.window(a, b, self.w - c, self.h - d)
        else:
            for _ in range(r.choice([1, 1, 2])):
                w = r.randint(int(self.w * 0.45), int(self.w * 0.95))
                h = r.randint(int(self.h * 0.45), int(self.h * 0.95))
                x, y = r.randint(0, self.w - w), r.randint(0, self.h - h)
                self.cover((x - 1, y - 1, x + w + 1, y + h + 1))
                self.window(x, y, x + w, y + h)

        def on_screen(b):
            return 2 <= (b[0] + b[2]) / 2 < self.w - 2 and 2 <= (b[1] + b[3]) / 2 < self.h - 2

        self.el = [e for e in self.el if on_screen(e['box'])]
        return self


class Page(Screen):
    """Dense text in many fonts, sizes and colours: cheap lessons in reading."""

    def render(self):
        self.split(0, 0, self.w, self.h)
        return self

    def split(self, x0, y0, x1, y1):
        r, w, h = self.r, x1 - x0, y1 - y0
        if (w <= 170 and h <= 130) or r.random() >= 0.92:
            self.fill(x0, y0, x1, y1)
        elif (w > h * 1.2 or h < 90) and w > 120:
            m = int(x0 + w * r.uniform(0.35, 0.65))
            self.split(x0, y0, m, y1)
            self.split(m, y0, x1, y1)
        else:
            m = int(y0 + h * r.uniform(0.35, 0.65))
            self.split(x0, y0, x1, m)
            self.split(x0, m, x1, y1)

    def near(self, v, plain):
        if self.r.random() < plain:
            return v, v, v
        return tuple(max(0, min(255, v + self.r.randint(-25, 25))) for _ in range(3))

    def fill(self, x0, y0, x1, y1):
        r = self.r
        dark = r.random() < 0.4
        bg = self.near(r.randint(15, 110) if dark else r.randint(150, 255), 0.5)
        fg = self.near(r.randint(190, 255) if dark else r.randint(0, 80), 0.6)
        if r.random() < 0.12:
            bg, fg = r.choice(ACCENTS), WHITE
        self.d.rectangle((x0, y0, x1, y1), fill=bg)
        self.d.fontmode = '1' if r.random() < 0.3 else 'L'
        f = font(r.choice(FONTS), r.choice([10, 11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 18, 20]))
        step, y = f.size + r.randint(1, 9), y0 + r.randint(0, 14)
        while y + f.size < y1 - 1:
            x = x0 + r.randint(0, 20)
            while True:
                t = self.something()
                w = self.tw(t, f)
                if x + w > x1 - 1:
                    break
                self.text(x, y, t, fill=fg, f=f)
                x += w + r.randint(5, 30)
            y += step

    def something(self):
        r = self.r
        v = r.random()
        if v < 0.75:
            return phrase(r)
        if v < 0.85:
            return str(r.randint(0, 99999))
        alphabet = string.ascii_letters + string.digits + string.punctuation
        return ''.join(r.choice(alphabet) for _ in range(r.randint(2, 8)))


class Terminal(Screen):
    """A terminal window: a title, lines in a monospaced face, a prompt.  Nothing to click."""

    def render(self):
        r = self.r
        f = font(
            r.choice([q for q in FONTS if 'Mono' in q or 'Hack' in q or 'Fira' in q]),
            r.choice([10, 11, 12, 13, 14]),
        )
        w, h = r.randint(self.w // 2, self.w), r.randint(self.h // 2, self.h)
        x, y = r.choice([(0, 0), ((self.w - w) // 2, (self.h - h) // 2)])
        self.dark = r.random() < 0.5
        self.win = (0, 0, 0) if self.dark else WHITE
        fg = r.choice([WHITE, (220, 220, 220), (80, 220, 80)]) if self.dark else (0, 0, 0)
        self.d.rectangle((x, y, x + w, y + h), fill=self.win)
        top = y + self.title_bar(x, y, x + w) + 2
        prompt = r.choice(['$', '$', '#', '~$', phrase(r, 1).lower() + ':~$', '>'])
        for i in range(r.choice([1, 1, 1, 2, 4, 8])):
            t = prompt if i % 2 == 0 else phrase(r)
            if r.random() < 0.4 and i % 2 == 0:
                t += ' ' + phrase(r)
            if top + f.size + 4 < y + h and self.tw(t, f) < w - 8:
                self.text(x + 3, top, t, fill=fg, f=f)
            top += f.size + 4
        self.el = []
        return self
