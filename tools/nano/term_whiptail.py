"""Screens of whiptail: its bytes, and the grid that they make by way of pyte."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pyte

from term_parts import different
from words import BUTTONS, UI, WORDS, form_label, phrase, value_for

NEWT = [''] * 4 + [
    'root=,black window=,black border=white,black textbox=white,black button=black,white title=white,black label=white,black listbox=white,black '
    'actlistbox=black,white actsellistbox=black,white checkbox=white,black actcheckbox=black,white entry=black,lightgray compactbutton=white,black',
    'root=,magenta window=,lightgray border=black,lightgray button=white,magenta actbutton=white,magenta shadow=,black title=magenta,lightgray',
    'root=,green window=,white textbox=black,white border=black,white title=green,white button=white,green compactbutton=black,white listbox=black,white '
    'actlistbox=white,green actsellistbox=white,green checkbox=black,white actcheckbox=white,green entry=white,green label=black,white',
    'root=,cyan window=,blue border=white,blue textbox=white,blue title=yellow,blue button=black,cyan compactbutton=white,blue listbox=white,blue '
    'actlistbox=black,cyan actsellistbox=black,cyan checkbox=white,blue actcheckbox=black,cyan entry=black,cyan label=white,blue',
]


class Whiptail:
    """whiptail on a terminal of its own; its bytes, the grid that they make, and what there is to use."""

    def __init__(self, r, cols, rows):
        self.r, self.cols, self.rows = r, cols, rows
        self.el, self.spans, self.data = [], [], b''
        self.grid = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.grid)

    def text(self):
        return self.grid.display

    def bytes(self):
        return b'\033[H\033[2J' + self.data

    def read(self, fd, wanted, most=2.0):
        """Until these texts are there and nothing more comes."""
        end = time.time() + most
        while time.time() < end:
            there = all(t in '\n'.join(self.grid.display) for t in wanted)
            if not select.select([fd], [], [], 0.03 if there else 0.5)[0]:
                if there:
                    return True
                continue
            try:
                new = os.read(fd, 65536)
            except OSError:
                return False
            if not new:
                return False
            self.data += new
            self.stream.feed(new)
        return False

    def command(self):
        r = self.r
        w, h = r.randint(min(30, self.cols - 2), min(self.cols - 2, 64)), r.randint(
            min(10, self.rows - 1), min(self.rows - 1, 18)
        )
        text = phrase(r, 4) + r.choice(['', '?', '.', ':'])
        while len(text) > w - 6:
            text = phrase(r, 2)
        args, self.want = ['whiptail'], []
        if r.random() < 0.75:
            args += ['--title', phrase(r, 2)[: w - 8]]
        if r.random() < 0.2:
            args += ['--backtitle', phrase(r, 3)[: self.cols - 2]]
        self.full = r.random() < 0.12
        if self.full:
            args += ['--fullbuttons']
        kind = r.choice(
            ['menu'] * 5
            + ['checklist'] * 4
            + ['radiolist'] * 3
            + ['inputbox'] * 4
            + ['passwordbox', 'yesno', 'yesno', 'yesno', 'yesno', 'msgbox', 'msgbox', 'gauge']
        )
        self.names = (
            ['Yes', 'No']
            if kind == 'yesno'
            else [] if kind == 'gauge' else ['Ok'] if kind == 'msgbox' else ['Ok', 'Cancel']
        )
        if self.names and r.random() < 0.5:
            self.names = different(
                lambda: (r.choice(BUTTONS + UI) if r.random() < 0.6 else phrase(r, 1))[:12], len(self.names)
            )
            options = (
                ['--yes-button', '--no-button'] if kind == 'yesno' else ['--ok-button', '--cancel-button']
            )
            for o, t in zip(options, self.names):
                args += [o, t]
        if kind == 'yesno' and r.random() < 0.3:
            args += ['--defaultno']
        self.kind, self.text_shown, self.value, self.items = kind, text, '', []
        if kind in ('menu', 'checklist', 'radiolist'):
            n = max(2, min(r.randint(2, 9), h - 8))
            no_tags = r.random() < 0.25
            if no_tags:
                args += ['--notags']
            tags = r.choice(['numbers', 'numbers', 'words', 'letters'])
            names = different(lambda: phrase(r, r.choice([1, 2, 3]))[: w - 22].strip(), n)
            words = {
                'numbers': [str(i + 1) for i in range(n)],
                'letters': list('abcdefghij'),
                'words': different(lambda: r.choice(WORDS).lower()[:8], n),
            }[tags]
            args += ['--' + kind, text, str(h), str(w), str(len(names))]
            on = r.randrange(n)
            for i, t in enumerate(names):
                args += [words[i], t]
                if kind != 'menu':
                    args += ['ON' if (i == on if kind == 'radiolist' else r.random() < 0.4) else 'OFF']
            self.items = names
            self.want = names + [f'<{t}>' for t in self.names if not self.full]
        elif kind in ('inputbox', 'passwordbox'):
            label = form_label(r)[: w - 8]
            self.text_shown = label
            self.value = value_for(r, label)[: w - 10] if r.random() < 0.5 else ''
            args += [
                '--' + kind,
                label + r.choice(['', ':']),
                str(min(h, r.choice([8, 9, 10]))),
                str(w),
                self.value,
            ]
            self.want = [label]
        elif kind == 'gauge':
            args += ['--gauge', text, str(min(h, r.choice([6, 7, 8]))), str(w), str(r.randint(0, 100))]
            self.want = [text, '%']
        else:
            text = '\n'.join(
                ' '.join(r.choice(WORDS).lower() for _ in range(r.randint(1, 5)))[: w - 6].capitalize()
                for _ in range(r.randint(1, max(1, min(4, h - 8))))
            )
            args += ['--' + kind, text, str(h if r.random() < 0.5 else min(h, text.count('\n') + 9)), str(w)]
            self.want = text.split('\n')[:1] + [f'<{t}>' for t in self.names if not self.full]
        return args

    def draw(self):
        r = self.r
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', self.rows, self.cols, 0, 0))
        env = dict(
            os.environ,
            TERM='xterm',
            LANG='C.UTF-8',
            LC_ALL='C.UTF-8',
            NEWT_COLORS=r.choice(NEWT).replace(' ', '\n'),
        )
        args = self.command()

        def own():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        feed = subprocess.PIPE if self.kind == 'gauge' else slave
        p = subprocess.Popen(
            args, stdin=feed, stdout=slave, stderr=subprocess.DEVNULL, env=env, preexec_fn=own
        )
        try:
            ok = self.read(master, self.want)
            if ok and self.kind != 'gauge':
                keys = r.choice([b'', b'', b'\t', b'\t\t', b'\033[B', b'\033[B\033[B', b' '])
                if self.kind == 'msgbox' or self.kind == 'yesno' and b' ' in keys:
                    keys = b''
                if keys:
                    os.write(master, keys)
                    ok = self.read(master, self.want)
        finally:
            p.kill()
            p.wait()
            if p.stdin:
                p.stdin.close()
            os.close(master)
            os.close(slave)
        return ok and self.find()

    def find(self):
        """The controls by their texts on the grid."""
        rows, out = self.grid.display, self.el
        kind = {'menu': 'item', 'checklist': 'checkbox', 'radiolist': 'radio'}.get(self.kind)
        for t in self.items:
            # the last line that has it: above the list stands the question
            hit = [
                (y, m.start())
                for y, q in enumerate(rows)
                for m in re.finditer(r'(?<![\w])' + re.escape(t) + r'(?=\s|$)', q)
            ]
            if not hit:
                return False
            y, x = (
                hit[-1]
                if len(hit) == 1
                else next(
                    (h for h in hit if kind == 'item' or re.search(r'[\[(].[\])]', rows[h[0]][: h[1]])),
                    hit[-1],
                )
            )
            if kind == 'item':
                out.append(['item', t, x, y, len(t), 1, ''])
            else:
                m = re.search(r'[\[(].[\])]', rows[y])
                if not m:
                    return False
                out.append([kind, t, m.start(), y, x + len(t) - m.start(), 1, ''])
        for t in self.names:
            shown = t if self.full else f'<{t}>'
            hit = [(y, q.rfind(shown)) for y, q in enumerate(rows) if shown in q]
            if not hit:
                return False
            y, x = hit[-1]
            out.append(
                ['button', t, x - 2, y - 1, len(t) + 4, 3, '']
                if self.full
                else ['button', t, x, y, len(shown), 1, '']
            )
        if self.kind in ('inputbox', 'passwordbox'):
            hit = [(y, m) for y, q in enumerate(rows) for m in [re.search(r'[^ │]?[^│]*_{2,}', q)] if m]
            if not hit:
                return False
            y, m = hit[-1]
            x = m.start() + len(m[0]) - len(m[0].lstrip())
            value = '*' * len(self.value) if self.kind == 'passwordbox' else self.value
            out.append(['field', self.text_shown, x, y, m.end() - x, 1, value])
        if self.kind == 'gauge':
            y, q = next(
                ((y, q) for y, q in reversed(list(enumerate(rows))) if re.search(r'\d+%', q)), (None, '')
            )
            if y is None:
                return False
            edges = [i for i, c in enumerate(q) if c in '│|x']
            if len(edges) < 2:
                return False
            out.append(['progress bar', '', edges[0] + 2, y, edges[-1] - edges[0] - 3, 1, ''])
        return True
