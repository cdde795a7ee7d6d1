#!/usr/bin/python3
"""Render Athena (Xaw) windows under a running X server with openbox, in the format of gen_real.py.

Keypads, messages, rows of commands, forms, texts, lists and menus, described here and shown by xaw_window.c, which
is compiled into the folder of temporary files:

    xvfb-run -s "-screen 0 1280x900x24" sh -c 'openbox & python3 gen_xaw.py OUT SEED COUNT'
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from xaw_layouts import Maker
from x_windows import Window, inside, save

# black and white, one line a picture, its rows in hexadecimal digits of eleven bits
BITS = {
    'menu': '7ff 401 5fd 401 5fd 401 5fd 401 7ff',
    'checkbox0': '7ff 401 401 401 401 401 401 401 401 401 7ff',
    'checkbox1': '7ff 603 505 489 451 421 451 489 505 603 7ff',
    'radio0': '0f8 104 202 401 401 401 401 401 202 104 0f8',
    'radio1': '0f8 104 202 471 4f9 4f9 4f9 471 202 104 0f8',
}


def write_bitmaps(folder):
    """Pictures of a menu, of boxes and of buttons, as X bitmap files; their names."""
    out = {}
    for name, rows in BITS.items():
        out[name] = f'{folder}/{name}.xbm'
        rows = [f'{int(q, 16):011b}' for q in rows.split()]
        data = ', '.join(f'0x{int(b[::-1], 2):02x}' for q in rows for b in (q[:8], q[8:]))
        with open(out[name], 'w') as f:
            f.write(f'#define b_width 11\n#define b_height {len(rows)}\n')
            f.write(f'static unsigned char b_bits[] = {{\n{data}}};\n')
    return out


def meet(a, b):
    return [max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]


def read(m, shown, menu):
    """Controls and words in pixels of the screen, from what xaw_window.c says of its widgets."""
    el, words = [], []
    clips = {}

    def clip(name):
        if name not in clips:
            base, up = name.split('/')[0], None
            up = base if '/' in name else m.parent.get(base)
            box = shown[name]['box'] if name in shown else [0, 0, 9999, 9999]
            clips[name] = meet(box, clip(up)) if up in shown and m.cls.get(up) != 'MenuButton' else box
        return clips[name]

    hidden = shown[menu[0]]['box'] if menu and menu[0] in shown else None

    def free(name, box):
        if not hidden or m.parent.get(name) == menu[0]:
            return True
        return box[2] <= hidden[0] or box[0] >= hidden[2] or box[3] <= hidden[1] or box[1] >= hidden[3]

    for name, q in shown.items():
        if not isinstance(q, dict):
            continue
        for w in q['words']:
            w = inside(w, clip(name))
            if w and free(name, [w[1][0] - 2, w[2] - 3, w[1][-1] + 2, w[2] + 3]):
                words.append(w)
        if name.endswith('/bar') and free(name, q['box']):
            el.append(dict(kind='scroll bar', label='', box=q['box'], value=''))
    for name, kind, label, value in m.seen:
        if name not in shown:
            continue
        q = shown[name]
        if kind == 'list':
            for t, (_, xs, y) in zip(label, q['words']):
                wide, high = q['cell']
                x = xs[0] - 5
                box = meet([x, y - high / 2, x + wide, y + high / 2], clip(name))
                if box[3] - box[1] > high * 0.7 and box[2] > xs[-1] and free(name, box):
                    el.append(dict(kind='item', label=t, box=[round(v) for v in box], value=''))
            continue
        box = meet(q['box'], clip(name))
        if kind == 'field' and value and q['words']:  # the part that is shown
            shown_part = inside(q['words'][0], box)
            value = shown_part[0] if shown_part else ''
        if box[2] - box[0] > 4 and box[3] - box[1] > 4 and free(name, box):
            el.append(dict(kind=kind, label=label, box=box, value=value))
    return el, words


class Shower:
    """xaw_window at work; a new one after some windows, as resources of the old ones stay in its data base."""

    def __init__(self, program):
        self.program, self.process, self.n = program, None, 0

    def show(self, m):
        if self.process and self.n >= 100:
            self.end()
        if not self.process:
            self.process = subprocess.Popen(
                [self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.n = 0
        self.n += 1
        self.process.stdin.write('\n'.join(['window\t' + m.title, *m.lines, 'show', '']))
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit('xaw_window ended, expected its answer to these lines:\n' + '\n'.join(m.lines))
        return json.loads(line)

    def close(self):
        self.process.stdin.write('close\n')
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process = None


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        program, bitmaps = tmp + '/xaw_window', write_bitmaps(tmp)
        libraries = ['-lXaw', '-lXmu', '-lXt', '-lX11']
        subprocess.run(['cc', '-O1', '-o', program, HERE + '/xaw_window.c', *libraries], check=True)
        shower = Shower(program)
        for k in range(count):
            name = '%s/%07d' % (out, seed * 100000 + k)
            if os.path.exists(name + '.json'):
                continue
            for attempt in range(20):
                m = Maker(seed * 100000 + k + attempt * 10**8, bitmaps)
                menu = m.window()
                shown = shower.show(m)
                w = Window(shown['id'])
                most = (800, 600) if k % 8 == 0 else (640, 480) if k % 3 == 0 else (448, 336)
                picture = w.still() if w.w <= most[0] and w.h <= most[1] else None
                if picture:
                    if menu and menu[0] in shown:
                        b = shown[menu[0]]['box']
                        w.x1, w.y1 = max(w.x1, b[2]), max(w.y1, b[3])
                        w.w, w.h = w.x1 - w.x0, w.y1 - w.y0
                        picture = w.grab()
                    save(name, picture, w, m.title, *read(m, shown, menu))
                shower.close()
                if picture:
                    break
        if shower.process:
            shower.end()


main()
