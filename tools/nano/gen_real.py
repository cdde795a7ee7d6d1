#!/usr/bin/python3
"""Render real GTK 3 windows under a running X server with openbox, one PNG and one JSON each.

The JSON holds every control's kind, label, box and value, and the horizontal centre of every printed
character, all in pixels of the saved window image (decoration included).  Run with the system Python,
which has PyGObject:

    xvfb-run -s "-screen 0 1024x768x24" sh -c 'openbox & python3 gen_real.py OUT SEED COUNT [forms | wide]'
"""

import json
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gtk_text import FONTS, Pango, between, characters, pump
from gtk_windows import Gdk, Gtk
from words import phrase, form_label, value_for, BUTTONS

THEMES = ['Adwaita'] * 6 + ['HighContrast', 'Raleigh']
# of forms, mixed windows, keypads
SHARES = {'': [0.7, 0.22, 0.08], 'forms': [0.9, 0.1, 0], 'wide': [0.25, 0.3, 0.45]}


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.controls = []

    def entry(self, label, filled):
        r = self.r
        e = Gtk.Entry()
        e.set_width_chars(r.choice([-1, -1, 12, 16, 20, 26]))
        v = value_for(r, label) if filled else ''
        e.set_text(v)
        self.controls.append((e, 'field', label, v))
        return e

    def focus(self):
        """After typing, the focus is on the entry typed last, the caret at its end."""
        r = self.r
        fields = [c[0] for c in self.controls if c[1] == 'field']
        filled = [e for e in fields if e.get_text()]
        if fields and r.random() < 0.8:
            e = filled[-1] if filled and r.random() < 0.8 else r.choice(fields)
            e.grab_focus_without_selecting()
            e.set_position(-1)

    def button(self, text):
        b = Gtk.Button(label=text)
        self.controls.append((b, 'button', text, ''))
        return b

    def form(self):
        """The layout of `zenity --forms`, and variations of it."""
        r = self.r
        w = Gtk.Dialog()
        w.set_title(phrase(r, 2) if r.random() < 0.7 else 'Add new entry')
        w.set_border_width(5)
        n = r.choice([1, 2, 3, 3, 3, 3, 4, 4, 5, 6])
        labels = []
        while len(labels) < n:
            t = form_label(r)
            if t.lower() not in [q.lower() for q in labels]:
                labels.append(t)
        k = r.randint(0, n)
        g = Gtk.Grid()
        g.set_row_spacing(r.choice([6, 6, 6, 3, 10]))
        g.set_column_spacing(r.choice([10, 10, 6, 16]))
        above = r.random() < 0.08
        for i, t in enumerate(labels):
            l = Gtk.Label(label=t + (':' if r.random() < 0.15 else ''))
            l.set_xalign(0 if r.random() < 0.85 else 1)
            e = self.entry(t, i < k)
            if r.random() < 0.3:
                e.set_hexpand(True)
            if above:
                g.attach(l, 0, 2 * i, 1, 1)
                g.attach(e, 0, 2 * i + 1, 1, 1)
            else:
                g.attach(l, 0, i, 1, 1)
                g.attach(e, 1, i, 1, 1)
        if r.random() < 0.3:
            for j in range(r.randint(1, 2)):
                t = phrase(r)
                c = Gtk.CheckButton(label=t)
                c.set_active(r.random() < 0.4)
                g.attach(c, 0, 2 * n + j, 2, 1)
                self.controls.append((c, 'checkbox', t, ''))
        box = w.get_content_area()
        if r.random() < 0.75:
            f = Gtk.Frame()
            l = Gtk.Label()
            t = phrase(r, 3) if r.random() < 0.7 else 'Forms dialog'
            (
                l.set_markup('<b>%s</b>' % t.replace('&', 'and').replace('<', ''))
                if r.random() < 0.8
                else l.set_text(t)
            )
            f.set_label_widget(l)
            m = r.choice([12, 12, 6])
            g.set_margin_start(m)
            g.set_margin_end(6)
            g.set_margin_top(m)
            g.set_margin_bottom(6)
            f.add(g)
            box.pack_start(f, True, True, 0)
        else:
            g.set_margin_bottom(8)
            box.pack_start(g, True, True, 0)
        a = w.get_action_area()
        names = ['Cancel', 'OK'] if r.random() < 0.6 else r.sample(BUTTONS, r.choice([1, 2, 2, 3]))
        for t in names:
            a.add(self.button(t))
        if r.random() < 0.25:
            w.set_default_size(r.randint(250, 480), r.randint(160, 380))
        return w

    def mixed(self):
        """A window with a menu bar, a few rows of controls and a button row."""
        r = self.r
        w = Gtk.Window()
        w.set_title(phrase(r, 2))
        v = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=r.choice([4, 6, 10]))
        if r.random() < 0.5:
            m = Gtk.MenuBar()
            for t in r.sample(
                [
                    'File',
                    'Edit',
                    'View',
                    'Tools',
                    'Help',
                    'Format',
                    'Insert',
                    'Window',
                    'Go',
                    'Search',
                ],
                r.randint(2, 5),
            ):
                i = Gtk.MenuItem(label=t)
                m.append(i)
                self.controls.append((i, 'menu', t, ''))
            v.pack_start(m, False, False, 0)
        for _ in range(r.randint(2, 5)):
            k = r.random()
            h = Gtk.Box(spacing=8)
            h.set_margin_start(8)
            h.set_margin_end(8)
            if k < 0.35:
                for _ in range(r.randint(1, 4)):
                    h.pack_start(self.button(phrase(r)), r.random() < 0.3, True, 0)
            elif k < 0.65:
                t = form_label(r)
                h.pack_start(Gtk.Label(label=t + r.choice(['', ':'])), False, False, 0)
                h.pack_start(self.entry(t, r.random() < 0.4), True, True, 0)
            elif k < 0.8:
                for _ in range(r.randint(1, 3)):
                    t = phrase(r)
                    c = Gtk.CheckButton(label=t)
                    c.set_active(r.random() < 0.4)
                    h.pack_start(c, False, False, 0)
                    self.controls.append((c, 'checkbox', t, ''))
            elif k < 0.9:
                t = phrase(r)
                c = Gtk.RadioButton(label=t)
                h.pack_start(c, False, False, 0)
                self.controls.append((c, 'radio', t, ''))
            else:
                l = Gtk.Label(label=phrase(r, 4))
                h.pack_start(l, False, False, 0)
            v.pack_start(h, False, False, 0)
        w.add(v)
        return w

    def keypad(self):
        r = self.r
        w = Gtk.Window()
        w.set_title(r.choice(['Calculator', 'galculator', 'Keypad', phrase(r, 1)]))
        v = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
        e = Gtk.Entry()
        e.set_text(str(r.randint(0, 99999)))
        v.pack_start(e, False, False, 2)
        g = Gtk.Grid()
        g.set_row_homogeneous(True)
        g.set_column_homogeneous(True)
        keys = [
            '7',
            '8',
            '9',
            '/',
            '4',
            '5',
            '6',
            '*',
            '1',
            '2',
            '3',
            '-',
            '0',
            '.',
            '=',
            '+',
            'C',
            'AC',
            '(',
            ')',
        ]
        if r.random() < 0.4:
            r.shuffle(keys)
        for i, t in enumerate(keys[: r.choice([16, 20])]):
            b = self.button(t)
            b.set_size_request(r.choice([36, 44, 54]), -1)
            g.attach(b, i % 4, i // 4, 1, 1)
        v.pack_start(g, True, True, 0)
        w.add(v)
        return w

    def calculator(self):
        """A keypad with a display, a menu and more kinds of keys, as calculators have them."""
        r, w = self.r, Gtk.Window()
        w.set_title(r.choice(['Calculator', 'calc', 'Adding machine', phrase(r, 1)]))
        v = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=r.choice([0, 4, 8]))
        if r.random() < 0.6:
            bar = Gtk.MenuBar()
            for t in r.sample(['File', 'Edit', 'View', 'Calculator', 'Help', 'Mode'], r.randint(2, 4)):
                i = Gtk.MenuItem(label=t)
                bar.append(i)
                self.controls.append((i, 'menu', t, ''))
            v.pack_start(bar, False, False, 0)
        e = Gtk.Entry() if r.random() < 0.5 else Gtk.Label()
        t = r.choice(['0', '0', str(r.randint(0, 99999)), '%g' % r.uniform(0, 999)])
        e.set_text(t)
        size = r.choice([10, 14, 18, 26])
        e.modify_font(Pango.FontDescription('%s %d' % (r.choice(FONTS), size)))
        if isinstance(e, Gtk.Entry):
            e.set_alignment(1)
        else:
            e.set_xalign(1)
        v.pack_start(e, False, False, 4)
        rows = r.choice(
            [
                ['789/', '456*', '123-', '0.=+'],
                ['789/', '456*', '123-', '.0=+'],
                ['789C', '456/', '123*', '0.-+', '()=%'],
                ['C()/', '789*', '456-', '123+', '0.%='],
                ['789*/', '456+-', '123()', '0.C%='],
            ]
        )
        more = 'MC MR M+ M- MS CE AC x^2 1/x sqrt +/- EXP mod pi e ans Inv sin cos tan log ln hyp <- C/E'
        more = r.sample(more.split(), 12)
        g = Gtk.Grid()
        g.set_row_homogeneous(True)
        g.set_column_homogeneous(True)
        g.set_row_spacing(r.choice([0, 2, 5, 8]))
        g.set_column_spacing(r.choice([0, 2, 5, 8]))
        left, top = r.choice([0, 0, 1, 2]), r.choice([0, 0, 1])
        wide, high = r.choice([-1, 34, 44, 60]), r.choice([-1, -1, 34, 44])
        cells = {(left + x, top + y): t for y, row in enumerate(rows) for x, t in enumerate(row)}
        for y in range(top + len(rows)):
            for x in range(left + len(rows[0])):
                if (x, y) not in cells and more and r.random() < 0.9:
                    cells[x, y] = more.pop()
        for (x, y), t in cells.items():
            b = self.button(t)
            b.set_size_request(wide, high)
            g.attach(b, x, y, 1, 1)
        v.pack_start(g, True, True, 0)
        w.add(v)
        return w


def walk(w, f):
    f(w)
    if isinstance(w, Gtk.Container):
        w.forall(lambda c: walk(c, f))


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    mode = (sys.argv[4:] or [''])[0]
    os.makedirs(out, exist_ok=True)
    st = Gtk.Settings.get_default()
    st.set_property('gtk-enable-animations', False)
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json'):
            continue
        m = Maker(seed * 100000 + k)
        r = m.r
        plain = r.random() < 0.5
        st.set_property('gtk-theme-name', 'Adwaita' if plain else r.choice(THEMES))
        st.set_property('gtk-application-prefer-dark-theme', (not plain) and r.random() < 0.3)
        st.set_property(
            'gtk-font-name',
            '%s %d' % (('Sans', 10) if plain else (r.choice(FONTS), r.choice([9, 10, 10, 11, 12]))),
        )
        w = r.choices([m.form, m.mixed, m.calculator if mode == 'wide' else m.keypad], SHARES[mode])[0]()
        if mode == 'wide' and r.random() < 0.4:
            w.set_default_size(r.randint(300, 1000), r.randint(240, 700))
        w.show_all()
        w.present()
        m.focus()
        pump(0.07)
        gw = w.get_window()
        fe = gw.get_frame_extents()
        _, ox, oy = gw.get_origin()
        root = Gdk.get_default_root_window()
        x0, y0 = max(0, fe.x), max(0, fe.y)
        x1, y1 = min(root.get_width(), fe.x + fe.width), min(root.get_height(), fe.y + fe.height)
        dx, dy = ox - x0, oy - y0
        words, els = [], []

        def see(q):
            if not q.get_mapped():
                return
            if isinstance(q, Gtk.Label) and q.get_text():
                x, y = q.get_layout_offsets()
                # label offsets are relative to the widget's own window
                tx, ty = q.translate_coordinates(w, 0, 0)
                a = q.get_allocation()
                c = characters(q.get_layout(), tx + (x - a.x) + dx, ty + (y - a.y) + dy)
                if c:
                    words.append(c)
            elif isinstance(q, Gtk.Entry) and q.get_text():
                tx, ty = q.translate_coordinates(w, 0, 0)
                a = q.get_allocation()
                x, y = q.get_layout_offsets()
                c = characters(q.get_layout(), tx + x + dx, ty + y + dy)
                c = c and between(c, tx + dx + 4, tx + dx + a.width - 4)
                if c and c[1]:
                    words.append(c)

        walk(w, see)
        for q, kind, label, value in m.controls:
            if not q.get_mapped():
                continue
            a = q.get_allocation()
            tx, ty = q.translate_coordinates(w, 0, 0)
            els.append(
                dict(
                    kind=kind,
                    label=label,
                    box=[tx + dx, ty + dy, tx + dx + a.width, ty + dy + a.height],
                    value=value,
                )
            )
        pb = Gdk.pixbuf_get_from_window(root, x0, y0, x1 - x0, y1 - y0)
        pb.savev(name + '.png', 'png', [], [])
        json.dump(
            dict(w=x1 - x0, h=y1 - y0, title=[w.get_title(), dy], el=els, words=words),
            open(name + '.json', 'w'),
        )
        w.destroy()
        pump(0.01)


main()
