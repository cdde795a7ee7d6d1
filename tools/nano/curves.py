"""Draw training logs: python curves.py OUT.png LOG...

Names are those of losses.py and, for old logs, the ones used before.
"""

import re
import sys

from PIL import Image, ImageDraw

CURVES = [
    (('box',), 'box pointing', (200, 0, 0)),
    (('att_box', 'abox'), 'attention on box', (230, 140, 0)),
    (('tok',), 'token pointing', (0, 120, 0)),
    (('src_inside', 'copy'), 'copy pointing', (0, 0, 200)),
    (('copied', 'own'), 'copied tokens', (120, 0, 160)),
    (('digit', 'dig'), 'digits', (0, 0, 0)),
    (('bdigit',), 'digits of boxes', (130, 130, 130)),
    (('read',), 'read-aloud', (0, 150, 160)),
    (('nowhere1', 'nowhere3'), 'nothing matches', (150, 110, 60)),
    (('decided',), 'kind, yes or no', (240, 90, 180)),
    (('kinds',), 'controls in patches', (110, 190, 60)),
    (('spots',), 'controls in tokens', (90, 90, 90)),
    (('see_icons',), 'icons of collages', (255, 120, 60)),
]
LEFT, TOP, RIGHT, BOTTOM = 40, 20, 630, 350


def rows(files):
    """(step, measures) of all logs, each going on where the one before was left"""
    out = []
    for name in files:
        new = []
        for line in open(name):
            if re.match(r'^\d+s step', line):
                d = {k: float(v) for k, v in re.findall(r'(\w+) ([\d.]+)', line)}
                new.append((int(d['step']), d))
        if new:
            out = [q for q in out if q[0] < new[0][0]] + new
    return out


def main(target, files):
    data = rows(files)
    last = max(s for s, _ in data)
    im = Image.new('RGB', (760, 380), 'white')
    d = ImageDraw.Draw(im)
    for i in range(6):
        y = BOTTOM - (BOTTOM - TOP) * i / 5
        d.line((LEFT, y, RIGHT, y), fill=(220, 220, 220))
        d.text((8, y - 6), '%.1f' % (i / 5), fill='black')
    every = max(500, last // 3000 * 500)
    for s in range(0, last + 1, every):
        d.text((LEFT + (RIGHT - LEFT) * s / last - 10, BOTTOM + 6), str(s), fill='black')
    for i, (names, title, colour) in enumerate(CURVES):
        line = []
        for s, v in data:
            k = next((k for k in names if k in v), None)
            if k:
                line.append((LEFT + (RIGHT - LEFT) * s / last, BOTTOM - (BOTTOM - TOP) * v[k]))
        if len(line) > 1:
            d.line(line, fill=colour, width=2)
        d.text((645, 30 + 18 * i), title, fill=colour)
    im.save(target)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
