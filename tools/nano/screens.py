"""Compose training screens: windows of real toolkits (rendered by gen_real.py) pasted on random desktops."""
import glob, json, os, random
from PIL import Image, ImageDraw
import gen_drawn

class Real:
    def __init__(self, folder, part='train'):
        self.names = sorted(n[:-5] for n in glob.glob(folder + '/*.json'))
        self.names = [n for n in self.names if (int(n[-3:]) % 50 == 0) == (part == 'test')]
        self.cache = {}

    def get(self, r):
        n = r.choice(self.names)
        if n not in self.cache:
            self.cache[n] = (Image.open(n + '.png').convert('RGB'), json.load(open(n + '.json')))
        return self.cache[n]

class Composite:
    """Has the attributes of gen_drawn.Screen that tasks.py needs."""
    def __init__(self, w, h, seed, real, blur=0.4):
        r = self.r = random.Random(seed); self.w, self.h = w, h
        # the screen may have been resized to the grid by up to half a cell
        sw, sh = (w, h) if r.random() > blur else (w + r.randint(-13, 13), h + r.randint(-13, 13))
        v = r.random(); self.el = []; self.words = []; self.texts = []
        if v < .45: img = Image.new('RGB', (sw, sh), r.choice([(0, 0, 0), (0, 0, 0), (68, 68, 68), (0, 0, 60), (59, 66, 82)]))
        elif v < .8: img = Image.new('RGB', (sw, sh), tuple(r.randint(0, 255) for _ in range(3)))
        elif v < .9:
            a = Image.new('RGB', (2, 2)); a.putdata([tuple(r.randint(0, 255) for _ in range(3)) for _ in range(4)]); img = a.resize((sw, sh), Image.BICUBIC)
        else: img = gen_drawn.Page(sw, sh, seed + 1).render().img
        n = 1 if r.random() < .85 or w < 500 else 2
        for i in range(n):
            for _ in range(20):
                im, d = real.get(r)
                if d['w'] <= sw + 4 and d['h'] <= sh + 4: break
            else: continue
            if r.random() < .3: x, y = (sw - d['w']) // 2, (sh - d['h']) // 2
            else: x, y = r.randint(min(0, sw - d['w']), max(0, sw - d['w'])), r.randint(min(0, sh - d['h']), max(0, sh - d['h']))
            B = (x, y, x + d['w'], y + d['h'])
            hit = lambda b: not (b[2] < B[0] or b[0] > B[2] or b[3] < B[1] or b[1] > B[3])
            self.el = [e for e in self.el if not hit(e['box'])]
            self.words = [q for q in self.words if not any(B[0] <= u <= B[2] for u in q[1]) or not B[1] <= q[2] <= B[3]]
            img.paste(im, (x, y)); self.order = d
            for e in d['el']:
                b = e['box']; self.el.append(dict(e, box=(b[0] + x, b[1] + y, b[2] + x, b[3] + y), win=i))
            for t, xs, my in d['words']: self.words.append((t, [u + x for u in xs], my + y))
        if (sw, sh) != (w, h):
            img = img.resize((w, h), Image.BICUBIC); fx, fy = w / sw, h / sh
            for e in self.el: b = e['box']; e['box'] = tuple(int(round(q)) for q in (b[0] * fx, b[1] * fy, b[2] * fx, b[3] * fy))
            self.words = [(t, [u * fx for u in xs], my * fy) for t, xs, my in self.words]
        self.img = img
        self.el = [e for e in self.el if 2 <= (e['box'][0] + e['box'][2]) / 2 < w - 2 and 2 <= (e['box'][1] + e['box'][3]) / 2 < h - 2]
        self.texts = [q[0] for q in self.words]
        self.chars = [(x, my, gen_drawn.CH.get(c, 0)) for t, xs, my in self.words for c, x in zip(t, xs) if c != ' ']
        self.form = [e for e in self.el if e['kind'] == 'field' and e['win'] == n - 1]
