#!/usr/bin/python3
"""Render xterm windows with full-screen text programs under a running X server with openbox, in gen_real.py's format.

Screens are drawn here (menus, panels, key bars, framed dialogs, forms, tables, texts), or by whiptail, whose output goes to
xterm and to pyte, which knows the grid of characters.  xterm runs as a display only (option -S) and says itself when it has
drawn everything and how large a character is:

    xvfb-run -s "-screen 0 1280x900x24" sh -c 'openbox & python3 gen_term.py OUT SEED COUNT'
"""

import os
import pty
import random
import re
import select
import subprocess
import sys
import time
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from term_screens import Screen
from term_whiptail import Whiptail
from words import FIRST, WORDS, phrase
from x_windows import Window, forget_focus, save, wait_for_focus

CORE = 'fixed 6x13 6x10 7x13 7x14 8x13 8x16 9x15 9x18 10x20 6x12'.split()
CELLS = dict(fixed=(6, 13))
FACES = 'DejaVu Sans Mono,Liberation Mono,Noto Mono,Noto Sans Mono,Nimbus Mono PS,Hack,Fira Code'.split(',')
# of the ground and of the letters
SHEETS = '''black white,black white,black white,white black,white black,white black,white black,white black,#fdf6e3 #586e75,
#002b36 #93a1a1,#2e3436 #eeeeec,#300a24 #eeeeec,#ffffdd black,#1e1e2e #cdd6f4,black green,black #ffb000,navy white,
#f0f0f0 #202020'''.split(
    ','
)
PALETTES = [''] * 4 + [
    '2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf 555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec',
    '073642 dc322f 859900 b58900 268bd2 d33682 2aa198 eee8d5 657b83 cb4b16 93a1a1 e0c060 839496 6c71c4 93e1e1 fdf6e3',
    '000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff',
]
RULES = '─│┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╟╢╭╮╰╯▒░█▄▀▓'
RUN = re.compile(rf'[^\s{RULES}]+(?: [^\s{RULES}]+)*')


class Xterm:
    """An xterm that shows what is written to a terminal of ours."""

    def __init__(self, r, cols, rows, font, border, title):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_inheritable(self.master, True)
        bg, fg = r.choice(SHEETS).split()
        self.bar = r.random() < 0.1
        args = [
            'xterm',
            f'-S{os.path.basename(os.ttyname(self.slave))}/{self.master}',
            '-u8',
            '-geometry',
            f'{cols}x{rows}',
            '-b',
            str(border),
        ]
        args += [
            '-bg',
            bg,
            '-fg',
            fg,
            '-title',
            title,
            '-xrm',
            '*allowWindowOps: true',
            '-xrm',
            '*cursorBlink: false',
        ]
        args += ['-fn', font] if isinstance(font, str) else ['-fa', font[0], '-fs', str(font[1])]
        args += ['-sb'] if self.bar else ['+sb']
        for i, c in enumerate(r.choice(PALETTES).split()):
            args += ['-xrm', f'*color{i}: #{c}']
        if r.random() < 0.5:
            args += ['-xrm', '*boldMode: false']
        forget_focus()
        self.process = subprocess.Popen(args, pass_fds=[self.master], stderr=subprocess.DEVNULL)
        self.rest = b''
        self.xid = int(self.until(rb'([0-9a-f]+)\n')[1], 16)

    def until(self, pattern, most=10.0):
        end = time.time() + most
        while not (m := re.search(pattern, self.rest)):
            left = end - time.time()
            if left < 0 or not select.select([self.slave], [], [], left)[0]:
                raise RuntimeError(f'xterm answers {self.rest!r}, expected {pattern!r} within {most:.0f} s')
            self.rest += os.read(self.slave, 4096)
        self.rest = self.rest[m.end() :]
        return m

    def write(self, data):
        while data:
            data = data[os.write(self.slave, data[:2000]) :]

    def cell(self):
        self.write(b'\033[16t')
        m = self.until(rb'\033\[6;(\d+);(\d+)t')
        return int(m[2]), int(m[1])

    def drawn(self):
        """After everything written so far."""
        self.write(b'\033[6n')
        self.until(rb'\033\[\d+;\d+R')

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def shape(r, font):
    """Columns and rows for a window of an ordinary size."""
    u = r.random()
    w, h = (
        (r.randint(250, 440), r.randint(170, 310))
        if u < 0.68
        else (
            (r.randint(420, 632), r.randint(280, 452))
            if u < 0.93
            else (r.randint(600, 790), r.randint(430, 570))
        )
    )
    if isinstance(font, str):
        cw, ch = CELLS.get(font) or map(int, font.split('x'))
    else:
        cw, ch = CELLS.get(font) or (round(font[1] * 0.85), round(font[1] * 1.75))
    return max(34, w // cw), max(11, h // ch)


def spans_of(screen, rows):
    """Where labels and values stand: (line, column, length)."""
    out = [(y, x, n) for y, x, n in screen.spans if x + n <= screen.cols]
    for kind, label, x, y, w, h, value in screen.el:
        text, y = (value if kind == 'field' else label), y + h // 2
        i = rows[y].find(text, x) if text else -1
        if 0 <= i <= x + w - len(text):
            out.append((y, i, len(text)))
    return out


def words_of(rows, spans, x, y, cw, ch):
    """What is printed: labels by themselves, and runs of text between gaps, lines and labels."""
    out = []
    for j, row in enumerate(rows):
        left, found = list(row), []
        for _, i, n in [q for q in spans if q[0] == j]:
            found.append((i, row[i : i + n]))
            left[i : i + n] = '│' * n
        rest = re.sub(r'__+|-{3,}|[+|]-+|-+[+|]|[|]', lambda m: '│' * len(m[0]), ''.join(left))
        found += [(m.start(), m[0]) for m in RUN.finditer(rest)]
        for i, t in found:
            out.append([t, [x + (i + n + 0.5) * cw for n in range(len(t))], y + (j + 0.56) * ch])
    return out


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json'):
            continue
        for attempt in range(20):
            r = random.Random(seed * 100000 + k + attempt * 10**8)
            font = (
                r.choice(CORE)
                if r.random() < 0.45
                else (r.choice(FACES[:1] * 2 + FACES), r.choice([7, 8, 8, 9, 9, 10, 10, 11, 12]))
            )
            cols, rows = shape(r, font)
            screen = (Whiptail if r.random() < 0.33 else Screen)(r, cols, rows)
            if screen.draw() is not False:
                break
        title = r.choice(
            [
                'xterm',
                'Terminal',
                'Terminal',
                r.choice(FIRST).lower() + '@' + r.choice(WORDS).lower(),
                phrase(r, 2),
            ]
        )
        border = r.choice([0, 1, 2, 2, 2, 4, 8])
        x = Xterm(r, cols, rows, font, border, title)
        try:
            cw, ch = CELLS[font] = x.cell()
            x.write(screen.bytes())
            x.drawn()
            wait_for_focus(x.xid)
            w = Window(x.xid)
            picture, text = w.still(), screen.text()
            # the text is to the right of a scroll bar
            ox, oy = w.x + w.wide - border - cols * cw, w.y + border
            el = [
                dict(
                    kind=kind,
                    label=label,
                    box=[ox + a * cw, oy + b * ch, ox + (a + n) * cw, oy + (b + m) * ch],
                    value=value,
                )
                for kind, label, a, b, n, m, value in screen.el
            ]
            if x.bar:
                el.append(
                    dict(kind='scroll bar', label='', box=[w.x, w.y, ox - border, w.y + w.high], value='')
                )
            save(name, picture, w, title, el, words_of(text, spans_of(screen, text), ox, oy, cw, ch))
        finally:
            x.close()


main()
