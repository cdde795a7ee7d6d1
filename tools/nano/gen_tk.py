#!/usr/bin/python3
"""Render Tk windows under a running X server with openbox, in the format of gen_real.py.

xvfb-run -s "-screen 0 1024x768x24" sh -c 'openbox & python3 gen_tk.py OUT SEED COUNT'
"""

import json
import os
import random
import re
import subprocess
import sys
import time
import tkinter as tk
from tkinter import font as tkfont
from tkinter import ttk

import gi

gi.require_version('Gdk', '3.0')
from gi.repository import Gdk

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from words import BUTTONS, form_label, phrase, value_for

FAMILIES = ['TkDefaultFont'] * 4 + ['DejaVu Sans', 'Liberation Sans', 'Open Sans', 'Lato', 'Noto Sans']
GREYS = ['#d9d9d9'] * 5 + ['#eeeeee', '#f5f5f5', '#c8c8c8', '#ffffff', '#dce4ec', '#333333']


class Maker:
    def __init__(self, root, seed):
        self.r = random.Random(seed)
        self.root = root
        self.seen = []  # (widget, kind, label, value, text, where the text is)
        r = self.r
        family = r.choice(FAMILIES)
        size = r.choice([9, 10, 10, 11, 12])
        self.font = (
            tkfont.Font(family=family, size=size) if family != 'TkDefaultFont' else tkfont.nametofont(family)
        )
        self.new = r.random() < 0.35  # ttk
        self.bg = r.choice(GREYS)
        self.fg = '#ffffff' if self.bg == '#333333' else '#000000'
        root.configure(bg='#d9d9d9' if self.new else self.bg)
        root.title(phrase(r, 2) if r.random() < 0.8 else 'tk')
        if self.new:
            ttk.Style().configure('.', font=self.font)

    def plain(self, kind, parent, **more):
        if self.new:
            return getattr(ttk, kind)(parent, **more, **(dict(font=self.font) if kind == 'Entry' else {}))
        w = getattr(tk, kind)(parent, font=self.font, **more)
        if kind != 'Entry':
            w.configure(bg=self.bg, fg=self.fg, highlightthickness=self.r.choice([0, 1]))
        return w

    def label(self, parent, text):
        w = self.plain('Label', parent, text=text)
        self.seen.append((w, None, text, '', text, 'left'))
        return w

    def entry(self, parent, label, filled):
        r = self.r
        w = self.plain('Entry', parent, width=r.choice([12, 16, 20, 24, 24]))
        v = value_for(r, label) if filled else ''
        w.insert(0, v)
        self.seen.append((w, 'field', label, v, v, 'entry'))
        return w

    def button(self, parent, text):
        w = self.plain('Button', parent, text=text)
        self.seen.append((w, 'button', text, '', text, 'middle'))
        return w

    def check(self, parent, text):
        w = self.plain('Checkbutton', parent, text=text)
        self.seen.append((w, 'checkbox', text, '', text, 'right'))
        return w

    def form(self):
        r, root = self.r, self.root
        n = r.choice([1, 1, 2, 2, 3, 3, 4, 5])
        labels = []
        while len(labels) < n:
            t = form_label(r)
            if t.lower() not in [q.lower() for q in labels]:
                labels.append(t)
        k, pad = r.randint(0, n), r.choice([2, 4, 6, 8, 10])
        above, colon, stick = r.random() < 0.15, r.choice(['', '', ':']), r.choice(['', 'w', 'e'])
        entries, row = [], 0
        if r.random() < 0.25:
            self.label(root, phrase(r, 3)).grid(row=0, column=0, columnspan=2, padx=pad, pady=pad)
            row = 1
        for i, t in enumerate(labels):
            l, e = self.label(root, t + colon), self.entry(root, t, i < k)
            entries.append(e)
            l.grid(row=row, column=0, padx=pad, pady=0 if above else pad, sticky=stick)
            row += above
            e.grid(row=row, column=0 if above else 1, padx=pad, pady=pad)
            row += 1
        if r.random() < 0.25:
            self.check(root, phrase(r)).grid(row=row, column=0, columnspan=2, padx=pad, sticky='w')
            row += 1
        names = r.sample(BUTTONS, r.choice([1, 1, 2, 2, 3])) if r.random() < 0.6 else ['OK', 'Cancel']
        if len(names) == 1 and r.random() < 0.6:
            self.button(root, names[0]).grid(row=row, column=0, columnspan=2, pady=pad)
        else:
            bar = tk.Frame(root, bg=root['bg'])
            bar.grid(row=row, column=0, columnspan=2, pady=pad, padx=pad, sticky=r.choice(['', 'e', 'w']))
            for t in names:
                self.button(bar, t).pack(side='left', padx=r.choice([2, 4, 8]))
        if r.random() < 0.7:
            e = entries[max(0, k - 1)] if r.random() < 0.7 else r.choice(entries)
            e.focus_force()
            e.icursor('end')

    def keypad(self):
        r, root = self.r, self.root
        keys = list('789/456*123-0.=+') + ['C', '(', ')', 'AC']
        if r.random() < 0.4:
            r.shuffle(keys)
        for i, t in enumerate(keys[: r.choice([12, 16, 20])]):
            b = self.button(root, t)
            b.configure(width=r.choice([3, 4, 5]))
            b.grid(row=i // 4, column=i % 4, padx=2, pady=2)

    def words(self, ox, oy):
        """Where every character is, from the font's measures."""
        f, out = self.font, []
        up, line = f.metrics('ascent'), f.metrics('linespace')
        for w, _, _, _, text, where in self.seen:
            if not text:
                continue
            x, y, wide, high = w.winfo_rootx() - ox, w.winfo_rooty() - oy, w.winfo_width(), w.winfo_height()
            whole = f.measure(text)
            if where == 'entry':
                first = w.index('@0')  # scrolled to the right when the text is long
                xs = [
                    x + 3 + f.measure(text[first:i]) + f.measure(text[i]) / 2 for i in range(first, len(text))
                ]
                xs = [v for v in xs if v < x + wide - 3]
                out.append((text[first : first + len(xs)], xs, y + (high - line) / 2 + up - 4))
                continue
            left = x + (wide - whole) / 2 if where == 'middle' or not self.new and where == 'left' else x + 1
            if where == 'right':
                left = x + wide - whole - 3
            xs = [left + (f.measure(text[:i]) + f.measure(text[: i + 1])) / 2 for i in range(len(text))]
            out.append((text, xs, y + (high - line) / 2 + up - 4))
        return out


def frame(root):
    """Left, right, top, bottom of the decoration."""
    out = subprocess.run(
        ['xprop', '-id', root.wm_frame(), '_NET_FRAME_EXTENTS'], capture_output=True, text=True
    ).stdout
    n = [int(v) for v in re.findall(r'\d+', out)]
    return n if len(n) == 4 else None


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    screen, deco = Gdk.get_default_root_window(), None
    root = tk.Tk()
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json'):
            continue
        for c in root.winfo_children():
            c.destroy()
        root.geometry('')
        m = Maker(root, seed * 100000 + k)
        (m.keypad if m.r.random() < 0.12 else m.form)()
        end = time.time() + 0.12
        while time.time() < end:
            root.update()
            time.sleep(0.004)
        x, y, w, h = root.winfo_rootx(), root.winfo_rooty(), root.winfo_width(), root.winfo_height()
        deco = deco or frame(root) or [1, 1, 22, 5]
        x0, y0 = max(0, x - deco[0]), max(0, y - deco[2])
        x1, y1 = min(screen.get_width(), x + w + deco[1]), min(screen.get_height(), y + h + deco[3])
        els = []
        for q, kind, label, value, _, _ in m.seen:
            if kind:
                a, b = q.winfo_rootx() - x0, q.winfo_rooty() - y0
                els.append(
                    dict(
                        kind=kind,
                        label=label,
                        box=[a, b, a + q.winfo_width(), b + q.winfo_height()],
                        value=value,
                    )
                )
        order = dict(field=0, checkbox=1, button=2)
        els.sort(key=lambda e: order[e['kind']])
        Gdk.pixbuf_get_from_window(screen, x0, y0, x1 - x0, y1 - y0).savev(name + '.png', 'png', [], [])
        with open(name + '.json', 'w') as f:
            json.dump(dict(w=x1 - x0, h=y1 - y0, el=els, words=m.words(x0, y0)), f)


main()
