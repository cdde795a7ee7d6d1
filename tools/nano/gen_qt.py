#!/usr/bin/python3
"""Render Qt 5 or 6 windows under a running X server with openbox, in the format of gen_real.py.

xvfb-run -s "-screen 0 1280x900x24" sh -c 'openbox & python3 gen_qt.py OUT SEED COUNT [apps] [6]'

`apps`: windows with menus, tool bars, tabs, tables; a control known by its picture only has "icon": true.
"""

import json
import os
import random
import sys
import time
from importlib import import_module

VERSION = 6 if '6' in sys.argv[4:] else 5
Core, Gui, Widgets = (import_module(f'PyQt{VERSION}.Qt{part}') for part in ('Core', 'Gui', 'Widgets'))
Qt = Core.Qt

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from icons import ICONS, ICON_THEMES
from words import BUTTONS, form_label, phrase, value_for

FAMILIES = ['Sans'] * 4 + ['Noto Sans', 'DejaVu Sans', 'Liberation Sans', 'Open Sans', 'Roboto', 'Lato']


def dark():
    p = Gui.QPalette()
    for role, c in (
        (Gui.QPalette.ColorRole.Window, '#353535'),
        (Gui.QPalette.ColorRole.WindowText, '#ffffff'),
        (Gui.QPalette.ColorRole.Base, '#232323'),
        (Gui.QPalette.ColorRole.AlternateBase, '#353535'),
        (Gui.QPalette.ColorRole.Text, '#ffffff'),
        (Gui.QPalette.ColorRole.Button, '#404040'),
        (Gui.QPalette.ColorRole.ButtonText, '#ffffff'),
        (Gui.QPalette.ColorRole.Highlight, '#2a82da'),
    ):
        p.setColor(role, Gui.QColor(c))
    return p


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.seen = []  # (widget, kind or None, label, value, text, where the text is)

    def put(self, w, kind, label, text, where, value=''):
        self.seen.append((w, kind, label, value, text, where))
        return w

    def label(self, t):
        return self.put(Widgets.QLabel(t), None, t, t, 'label')

    def entry(self, label, filled):
        e, v = Widgets.QLineEdit(), value_for(self.r, label) if filled else ''
        e.setText(v)
        if self.r.random() < 0.4:
            e.setMinimumWidth(self.r.choice([140, 180, 220, 260]))
        return self.put(e, 'field', label, v, 'entry', v)

    def button(self, t):
        return self.put(Widgets.QPushButton(t), 'button', t, t, 'middle')

    def check(self, t, radio=False):
        w = (Widgets.QRadioButton if radio else Widgets.QCheckBox)(t)
        w.setChecked(self.r.random() < 0.4)
        return self.put(w, 'radio' if radio else 'checkbox', t, t, 'right')

    def combo(self, label, value):
        w = Widgets.QComboBox()
        w.addItem(value)
        return self.put(w, 'combo box', label, value, 'entry', value)

    def menu_bar(self, names):
        bar = Widgets.QMenuBar()
        for t in names:
            self.put((bar, bar.addMenu(t).menuAction()), 'menu', t, t, 'part')
        return bar

    def tabs(self, n):
        tabs = Widgets.QTabBar()
        for i in range(n):
            t = phrase(self.r, 1)
            tabs.addTab(t)
            self.put((tabs, i), 'tab', t, t, 'part')
        return tabs

    def labels(self, n):
        out = []
        while len(out) < n:
            t = form_label(self.r)
            if t.lower() not in [q.lower() for q in out]:
                out.append(t)
        return out

    def buttons(self, box):
        r, h = self.r, Widgets.QHBoxLayout()
        names = ['OK', 'Cancel'] if r.random() < 0.5 else r.sample(BUTTONS, r.choice([1, 2, 2, 3]))
        left, right = r.choice([(1, 0), (1, 0), (0, 1), (1, 1)])
        if left:
            h.addStretch(1)
        for t in names:
            h.addWidget(self.button(t))
        if right:
            h.addStretch(1)
        box.addLayout(h)

    def form(self, w):
        r, box = self.r, Widgets.QVBoxLayout(w)
        n = r.choice([1, 2, 2, 3, 3, 3, 4, 4, 5])
        k, colon = r.randint(0, n), r.choice(['', '', ':'])
        f, inside = Widgets.QFormLayout(), None
        f.setLabelAlignment(r.choice([Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight]))
        f.setVerticalSpacing(r.choice([4, 6, 8, 12]))
        entries = []
        for i, t in enumerate(self.labels(n)):
            l = self.label(t + colon)
            entries.append(self.entry(t, i < k))
            f.addRow(l, entries[-1])
        if r.random() < 0.3:
            inside = Widgets.QGroupBox(phrase(r, 2))
            inside.setLayout(f)
            box.addWidget(inside)
        else:
            box.addLayout(f)
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            box.addWidget(self.check(phrase(r)))
        if r.random() < 0.3:
            box.addStretch(1)
        self.buttons(box)
        if r.random() < 0.8:
            (entries[max(0, k - 1)] if r.random() < 0.8 else r.choice(entries)).setFocus()

    def mixed(self, w):
        r, box = self.r, Widgets.QVBoxLayout(w)
        if r.random() < 0.5:
            names = 'File Edit View Tools Help Format Insert Window Go Search Settings'.split()
            box.setMenuBar(self.menu_bar(r.sample(names, r.randint(2, 6))))
        if r.random() < 0.3:
            box.addWidget(self.tabs(r.randint(2, 4)))
        for _ in range(r.randint(2, 6)):
            h, v = Widgets.QHBoxLayout(), r.random()
            if v < 0.35:
                for _ in range(r.randint(1, 4)):
                    h.addWidget(self.button(phrase(r)))
                if r.random() < 0.5:
                    h.addStretch(1)
            elif v < 0.6:
                t = form_label(r)
                h.addWidget(self.label(t + r.choice(['', ':'])))
                h.addWidget(self.entry(t, r.random() < 0.4))
            elif v < 0.75:
                radio = r.random() < 0.4
                for _ in range(r.randint(1, 3)):
                    h.addWidget(self.check(phrase(r), radio))
                h.addStretch(1)
            elif v < 0.85:
                q, n = Widgets.QListWidget(), r.randint(3, 6)
                for i in range(n):
                    t = phrase(r)
                    q.addItem(t)
                    self.put((q, i), 'item', t, t, 'part')
                h.addWidget(q)
            elif v < 0.92:
                t, v = form_label(r), phrase(r)
                h.addWidget(self.label(t))
                h.addWidget(self.combo(t, v))
                h.addStretch(1)
            else:
                h.addWidget(self.label(phrase(r, 4)))
            box.addLayout(h)
        if r.random() < 0.5:
            self.buttons(box)

    def keypad(self, w):
        r, box, g = self.r, Widgets.QVBoxLayout(w), Widgets.QGridLayout()
        e = Widgets.QLineEdit(str(r.randint(0, 99999)))
        e.setAlignment(Qt.AlignmentFlag.AlignRight)
        box.addWidget(e)
        keys = list('789/456*123-0.=+') + ['C', '(', ')', 'CE', '%', 'MR', 'M+', 'x^2']
        wide = r.choice([4, 4, 5, 6])
        if r.random() < 0.4:
            r.shuffle(keys)
        g.setSpacing(r.choice([2, 4, 6]))
        for i, t in enumerate(keys[: r.choice([16, 20, 24])]):
            b = self.button(t)
            b.setMinimumWidth(r.choice([20, 30, 40]))
            g.addWidget(b, i // wide, i % wide)
        box.addLayout(g)

    def tool_bar(self):
        r, h, used = self.r, Widgets.QHBoxLayout(), set()
        h.setSpacing(r.choice([0, 2, 4]))
        size = r.choice([16, 22, 22, 24, 32])
        for _ in range(r.randint(3, 10)):
            n = r.choice(list(ICONS))
            t = r.choice(ICONS[n].split('|'))
            if n in used or t in used or not Gui.QIcon.hasThemeIcon(n):
                continue
            used |= {n, t}
            b = Widgets.QToolButton()
            b.setAutoRaise(r.random() < 0.8)
            b.setIcon(Gui.QIcon.fromTheme(n))
            b.setIconSize(Core.QSize(size, size))
            h.addWidget(self.put(b, 'icon', t, '', 'middle'))
        h.addStretch(1)
        return h

    def table(self):
        r, rows, n = self.r, self.r.randint(3, 9), self.r.choice([1, 2, 2, 3])
        q = Widgets.QTableWidget(rows, n)
        q.verticalHeader().setVisible(r.random() < 0.15)
        q.setShowGrid(r.random() < 0.5)
        names = [phrase(r, 1) for _ in range(n)]
        q.setHorizontalHeaderLabels(names)
        q.horizontalHeader().setStretchLastSection(r.random() < 0.6)
        for j, t in enumerate(names):
            self.put((q, j), 'column', t, t, 'part')
        for i in range(rows):
            for j in range(n):
                t = phrase(r) if j == 0 or r.random() < 0.5 else str(r.randint(0, 9999))
                q.setItem(i, j, Widgets.QTableWidgetItem(t))
                self.put((q, (i, j)), 'item', t, t, 'part')
        q.resizeColumnsToContents()
        return q

    def rows(self):
        r, f = self.r, Widgets.QFormLayout()
        f.setLabelAlignment(r.choice([Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight]))
        colon = r.choice(['', ':', ':'])
        for t in self.labels(r.randint(1, 4)):
            u = r.random()
            if u < 0.6:
                w = self.entry(t, r.random() < 0.4)
            elif u < 0.82:
                w = self.combo(t, phrase(r))
            elif u < 0.9:
                w = Widgets.QSlider(Qt.Orientation.Horizontal)
                w.setValue(r.randint(0, 99))
                self.put(w, 'slider', t, '', 'entry')
            else:
                w = Widgets.QSpinBox()
                w.setMaximum(9999)
                w.setValue(r.randint(0, 500))
                self.put(w, 'number field', t, w.text(), 'entry', w.text())
            f.addRow(self.label(t + colon), w)
        return f

    def app(self, w):
        r, box = self.r, Widgets.QVBoxLayout(w)
        if r.random() < 0.6:
            usual = 'File Edit View Insert Format Tools Go Bookmarks Search Options Window Help'.split()
            box.setMenuBar(self.menu_bar([t for t in usual if r.random() < 0.5] or ['File']))
        if r.random() < 0.6:
            box.addLayout(self.tool_bar())
        if r.random() < 0.4:
            box.addWidget(self.tabs(r.randint(2, 6)))
        for _ in range(r.randint(1, 4)):
            u = r.random()
            if u < 0.25:
                box.addWidget(self.table())
            elif u < 0.5:
                f = self.rows()
                if r.random() < 0.4:
                    g = Widgets.QGroupBox(phrase(r, 2))
                    g.setLayout(f)
                    box.addWidget(g)
                else:
                    box.addLayout(f)
            elif u < 0.65:
                h = Widgets.QVBoxLayout() if r.random() < 0.6 else Widgets.QHBoxLayout()
                radio = r.random() < 0.4
                for _ in range(r.randint(1, 4)):
                    h.addWidget(self.check(phrase(r), radio))
                h.addStretch(1)
                box.addLayout(h)
            elif u < 0.8:
                h = Widgets.QHBoxLayout()
                for _ in range(r.randint(1, 4)):
                    h.addWidget(self.button(phrase(r)))
                h.addStretch(1)
                box.addLayout(h)
            elif u < 0.88:
                t = Widgets.QPlainTextEdit()
                box.addWidget(self.put(t, 'text area', '', '', 'entry'))
            elif u < 0.94:
                q = Widgets.QSlider(Qt.Orientation.Horizontal)
                q.setValue(r.randint(0, 99))
                box.addWidget(self.put(q, 'slider', '', '', 'entry'))
            else:
                q = Widgets.QProgressBar()
                q.setTextVisible(False)
                q.setValue(r.randint(5, 95))
                box.addWidget(self.put(q, 'progress bar', '', '', 'entry'))
        if r.random() < 0.5:
            self.buttons(box)
        if r.random() < 0.7:
            wide, high = r.choice([(420, 310), (600, 430), (630, 440), (640, 450), (780, 560)])
            w.resize(wide - r.randint(0, 60), high - r.randint(0, 60))

    def found(self, window):
        """Controls and words, in pixels from the window's inner corner."""
        els, words = [], []
        for w, kind, label, value, text, where in self.seen:
            if where == 'part':
                w, i = w
                if isinstance(w, Widgets.QTabBar):
                    rect = w.tabRect(i)
                elif isinstance(w, Widgets.QMenuBar):
                    rect = w.actionGeometry(i)
                elif isinstance(w, Widgets.QTableWidget) and kind == 'column':
                    w = w.horizontalHeader()
                    rect = w.rect()
                    rect.setLeft(w.sectionViewportPosition(i))
                    rect.setWidth(w.sectionSize(i))
                    rect = rect.intersected(w.rect())
                elif isinstance(w, Widgets.QTableWidget):
                    rect = w.visualItemRect(w.item(*i)).intersected(w.viewport().rect())
                    w = w.viewport()
                else:
                    rect = w.visualItemRect(w.item(i)).intersected(w.viewport().rect())
                    w = w.viewport()
            else:
                rect = w.rect()
            if rect.height() < 8 or rect.width() < 8 or not w.isVisible():
                continue
            at = w.mapTo(window, Core.QPoint(0, 0))
            x, y, wide, high = at.x() + rect.x(), at.y() + rect.y(), rect.width(), rect.height()
            m = Gui.QFontMetricsF(w.font())
            whole, middle = m.horizontalAdvance(text), y + (high - m.height()) / 2 + m.ascent() - 4
            left = x + (wide - whole) / 2
            if where == 'entry':
                left = x + 5
            elif where == 'label':
                left = x + (wide - whole if w.alignment() & Qt.AlignmentFlag.AlignRight else 0)
            elif where == 'right':
                o = Widgets.QStyleOptionButton()
                w.initStyleOption(o)
                part = (
                    Widgets.QStyle.SubElement.SE_RadioButtonContents
                    if kind == 'radio'
                    else Widgets.QStyle.SubElement.SE_CheckBoxContents
                )
                left = x + w.style().subElementRect(part, o, w).x()
                wide = min(wide, left - x + whole + 4)
            elif kind == 'item':
                left = x + 3
            run = m.horizontalAdvance
            xs = [left + run(text[:i]) + run(c) / 2 for i, c in enumerate(text)]
            n = sum(v < x + wide - 2 for v in xs)
            if n:
                words.append((text[:n], xs[:n], middle))
            if kind:
                box = [int(x), int(y), int(x + wide), int(y + high)]
                els.append(dict(kind='button' if kind == 'icon' else kind, label=label, box=box, value=value))
                if kind == 'icon':
                    els[-1]['icon'] = True
        order = dict(field=0, checkbox=1, button=2)
        els.sort(key=lambda e: order.get(e['kind'], 3))
        return els, words


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    app = Widgets.QApplication(['qt'])
    usual, screen = app.palette(), app.primaryScreen()
    apps = 'apps' in sys.argv[4:]
    themes = [t for t in ICON_THEMES if os.path.isdir('/usr/share/icons/' + t)] or ['hicolor']
    room = screen.geometry()
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json'):
            continue
        m = Maker(seed * 100000 + k)
        r = m.r
        style = r.choice(['Fusion', 'Fusion', 'Fusion', 'Windows'])
        Gui.QIcon.setThemeName(r.choice(themes))
        app.setStyle(Widgets.QStyleFactory.create(style))
        light = usual if style == 'Windows' else app.style().standardPalette()
        app.setPalette(dark() if r.random() < 0.25 else light)
        app.setFont(Gui.QFont(r.choice(FAMILIES), r.choice([8, 9, 9, 10, 10, 11, 12])))
        w = Widgets.QWidget()
        w.setWindowTitle(phrase(r, 2))
        m.app(w) if apps else r.choices([m.form, m.mixed, m.keypad], [0.6, 0.32, 0.08])[0](w)
        if r.random() < 0.3:
            w.resize(r.randint(240, 1000), r.randint(160, 640))
        w.show()
        end = time.time() + 0.09
        while time.time() < end:
            app.processEvents()
            time.sleep(0.003)
        f, inner = w.frameGeometry(), w.geometry()
        f = f.intersected(room)
        dx, dy = inner.x() - f.x(), inner.y() - f.y()
        els, words = m.found(w)
        for e in els:
            b = e['box']
            e['box'] = [b[0] + dx, b[1] + dy, b[2] + dx, b[3] + dy]
        words = [(t, [v + dx for v in xs], y + dy) for t, xs, y in words]
        screen.grabWindow(0, f.x(), f.y(), f.width(), f.height()).save(name + '.png')
        with open(name + '.json', 'w') as out_file:
            json.dump(dict(w=f.width(), h=f.height(), el=els, words=words), out_file)
        w.close()
        w.deleteLater()
        app.processEvents()


main()
