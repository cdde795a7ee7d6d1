"""Draw training logs: python curves.py OUT.png LOG..."""
import re, sys
from PIL import Image, ImageDraw

NAMES = dict(box=('box pointing', (200, 0, 0)), abox=('attention on box', (230, 140, 0)), tok=('token pointing', (0, 120, 0)), copy=('copy pointing', (0, 0, 200)),
             own=('copied tokens', (120, 0, 160)), dig=('digits', (0, 0, 0)), read=('read-aloud', (0, 150, 160)))
rows = []
for f in sys.argv[2:]:
    for l in open(f):
        if re.match(r'^\d+s step', l):
            d = dict(re.findall(r'(\w+) ([\d.]+)', l))
            rows.append((int(d['step']), {k: float(v) for k, v in d.items() if k in NAMES}))
im = Image.new('RGB', (760, 380), 'white'); d = ImageDraw.Draw(im)
x0, y0, x1, y1 = 40, 20, 630, 350
m = max(s for s, _ in rows)
for i in range(6):
    y = y1 - (y1 - y0) * i / 5
    d.line((x0, y, x1, y), fill=(220, 220, 220)); d.text((8, y - 6), '%.1f' % (i / 5), fill='black')
for s in range(0, m + 1, 500):
    d.text((x0 + (x1 - x0) * s / m - 10, y1 + 6), str(s), fill='black')
for i, (k, (n, c)) in enumerate(NAMES.items()):
    p = [(x0 + (x1 - x0) * s / m, y1 - (y1 - y0) * v[k]) for s, v in rows if k in v]
    if len(p) > 1: d.line(p, fill=c, width=2)
    d.text((645, 30 + 18 * i), n, fill=c)
im.save(sys.argv[1])
