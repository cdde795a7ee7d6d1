#!/usr/bin/python3
"""Render GTK 4 windows under a running X server, in the format of gen_real.py.

    xvfb-run -s "-screen 0 1280x900x24" sh -c 'openbox & python3 gen_gtk4.py OUT SEED COUNT [adw]'

`adw`: with libadwaita's style sheet and rows, as GNOME's programs look.  GTK 4 draws title bars itself; a button there that is
known by its picture only has "icon": true.
"""

import json
import os
import random
import re
import subprocess
import sys
import time

os.environ.update(GDK_BACKEND='x11', GSK_RENDERER='cairo', GTK_A11Y='none')
import gi

for part, version in (('Gtk', '4.0'), ('Gdk', '4.0'), ('GdkX11', '4.0'), ('Adw', '1')):
    gi.require_version(part, version)
from gi.repository import Adw, Gdk, Gio, Gtk
from PIL import ImageGrab

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gtk_text import FONTS, between, characters, pump
from icons import ICONS, ICON_THEMES
from words import BUTTONS, UI, form_label, phrase, value_for

# none of the evaluation set's
THEMES = '''Adwaita Adwaita Adwaita-dark Default Default Materia Materia-dark Materia-light-compact Yaru Yaru-dark YaruOk Menta BlueMenta
TraditionalOk Greybird Greybird-dark HighContrast'''.split()
# controls that GTK makes by itself
MADE = dict(
    GtkModelButton='item', GtkPopoverMenuBarItem='menu', GtkColumnViewTitle='column', GtkColumnViewCell='item'
)
ORDER = dict(field=0, checkbox=1, button=2)


def children(q):
    q = q.get_first_child()
    while q:
        yield q
        q = q.get_next_sibling()


def below(q):
    for c in children(q):
        yield c
        yield from below(c)


class Maker:
    def __init__(self, seed, icons, adw):
        self.r, self.icons, self.adw = random.Random(seed), icons, adw
        self.controls = {}  # widget: (kind, label, value, icon)
        self.keep = []

    def control(self, w, kind, label, value='', icon=False):
        self.controls[w] = kind, label, value, icon
        return w

    def box(self, across=False, space=None):
        way = Gtk.Orientation.HORIZONTAL if across else Gtk.Orientation.VERTICAL
        return Gtk.Box(orientation=way, spacing=self.r.choice([4, 6, 12]) if space is None else space)

    def many(self, make, low, high):
        b = self.box(True)
        for _ in range(self.r.randint(low, high)):
            b.append(make())
        return b

    def button(self, t=None):
        t = t or phrase(self.r)
        b = Gtk.Button(label=t)
        look = self.r.choice(['', '', '', 'suggested-action', 'destructive-action', 'flat', 'pill'])
        if look:
            b.add_css_class(look)
        return self.control(b, 'button', t)

    def entry(self, t):
        r, e = self.r, Gtk.Entry()
        v = value_for(r, t) if r.random() < 0.4 else ''
        e.set_text(v)
        e.set_width_chars(r.choice([-1, 8, 12, 20]))
        return self.control(e, 'field', t, v)

    def choices(self):
        r, b = self.r, self.box(self.r.random() < 0.4)
        first = None
        radio = r.random() < 0.4
        for _ in range(r.randint(1, 4)):
            t = phrase(r)
            w = Gtk.CheckButton(label=t, active=r.random() < 0.4)
            if radio:
                w.set_group(first or Gtk.CheckButton())
                first = first or w
            b.append(self.control(w, 'radio' if radio else 'checkbox', t))
        return b

    def drop_down(self, label=''):
        v = phrase(self.r)
        return self.control(Gtk.DropDown.new_from_strings([v, phrase(self.r)]), 'combo box', label, v)

    def spin(self, label=''):
        s = Gtk.SpinButton.new_with_range(0, 9999, 1)
        s.set_value(self.r.randint(0, 500))
        return self.control(s, 'number field', label, '%d' % s.get_value())

    def slider(self, label=''):
        w = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0, 100, 1)
        w.set_value(self.r.randint(0, 100))
        w.set_size_request(140, -1)
        return self.control(w, 'slider', label)

    def icon_button(self):
        r = self.r
        for _ in range(30):
            n = r.choice(list(ICONS))
            if self.icons.has_icon(n):
                b = Gtk.Button.new_from_icon_name(n + r.choice(['', '-symbolic', '-symbolic']))
                b.set_has_frame(r.random() < 0.4)
                return self.control(b, 'button', r.choice(ICONS[n].split('|')), icon=True)
        return self.button()

    def menu(self):
        m = Gio.Menu()
        for _ in range(self.r.randint(2, 7)):
            m.append(phrase(self.r), 'win.none')
        return m

    def menu_bar(self):
        r, m = self.r, Gio.Menu()
        usual = 'File Edit View Insert Format Tools Go Bookmarks Search Options Window Help'.split()
        for t in [t for t in usual if r.random() < 0.4] or ['File']:
            m.append_submenu(t, self.menu())
        return Gtk.PopoverMenuBar.new_from_model(m)

    def tool_bar(self):
        b = self.many(self.icon_button, 3, 9)
        b.add_css_class('toolbar')
        return b

    def rows(self):
        r, g = self.r, Gtk.Grid(row_spacing=self.r.choice([4, 6, 10]), column_spacing=self.r.choice([6, 12]))
        colon = r.choice(['', ':'])
        for i, t in enumerate({form_label(r): 0 for _ in range(r.randint(1, 5))}):
            l = Gtk.Label(label=t + colon, xalign=r.choice([0, 0, 1]))
            w = r.choices([self.entry, self.drop_down, self.spin, self.slider], [5, 2, 1, 1])[0](t)
            w.set_hexpand(r.random() < 0.6)
            g.attach(l, 0, i, 1, 1)
            g.attach(w, 1, i, 1, 1)
        return g

    def list(self):
        r, l = self.r, Gtk.ListBox()
        if r.random() < 0.5:
            l.add_css_class(r.choice(['boxed-list', 'frame', 'rich-list']))
        for _ in range(r.randint(2, 6)):
            t = phrase(r)
            row = Gtk.ListBoxRow()
            row.set_child(Gtk.Label(label=t, xalign=0))
            l.append(self.control(row, 'item', t))
        return l

    def table(self):
        r, n, names = (
            self.r,
            self.r.randint(1, 3),
            Gtk.StringList.new([phrase(self.r) for _ in range(self.r.randint(3, 8))]),
        )
        view = Gtk.ColumnView(model=Gtk.SingleSelection(model=names))
        for j in range(n):
            factory = Gtk.SignalListItemFactory()
            factory.connect('setup', lambda _, item: item.set_child(Gtk.Label(xalign=0)))
            other = [str(r.randint(0, 9999)) for _ in range(9)]

            def bind(_, item, j=j, other=other):
                text = other[item.get_position()] if j else item.get_item().get_string()
                item.get_child().set_text(text)

            factory.connect('bind', bind)
            view.append_column(Gtk.ColumnViewColumn(title=phrase(r, 1), factory=factory, expand=j == 0))
            self.keep.append(factory)
        s = Gtk.ScrolledWindow(child=view, has_frame=r.random() < 0.6)
        s.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        s.set_size_request(-1, r.randint(90, 220))
        return s

    def text(self):
        v = Gtk.TextView()
        s = Gtk.ScrolledWindow(child=v, has_frame=True)
        s.set_size_request(-1, self.r.randint(50, 160))
        return self.control(s, 'text area', '')

    def odd(self):
        r, b = self.r, self.box(True)
        u = r.random()
        if u < 0.25:
            t = phrase(r, 2)
            b.append(Gtk.Label(label=t))
            b.append(self.control(Gtk.Switch(active=r.random() < 0.5, valign=3), 'switch', t))
        elif u < 0.4:
            b.append(
                self.control(Gtk.ProgressBar(fraction=r.random(), hexpand=True, valign=3), 'progress bar', '')
            )
        elif u < 0.55:
            t = phrase(r)
            b.append(self.control(Gtk.LinkButton(uri='http://example.org', label=t), 'link', t))
        elif u < 0.75:
            b.append(self.control(Gtk.SearchEntry(hexpand=r.random() < 0.5), 'field', 'Search'))
        elif u < 0.9:
            b.append(self.slider())
        else:
            b.append(Gtk.Label(label=phrase(r, 4)))
        return b

    def buttons(self):
        b = self.many(self.button, 1, 4)
        b.set_halign(self.r.choice([Gtk.Align.START, Gtk.Align.END, Gtk.Align.CENTER]))
        return b

    def group(self):
        """libadwaita's rows: a name and its control in one."""
        r = self.r
        g = Adw.PreferencesGroup(title=phrase(r, 2) if r.random() < 0.6 else '')
        for _ in range(r.randint(1, 5)):
            t, u = form_label(r), r.random()
            if u < 0.35:
                v = value_for(r, t) if r.random() < 0.4 else ''
                row = Adw.EntryRow(title=t, text=v)
                self.control(row, 'field', t, v)
            elif u < 0.6:
                row = Adw.ActionRow(title=t)
                row.add_suffix(self.control(Gtk.Switch(active=r.random() < 0.5, valign=3), 'switch', t))
            elif u < 0.8:
                v = phrase(r, 1)
                row = Adw.ComboRow(title=t, model=Gtk.StringList.new([v]))
                self.control(row, 'combo box', t, v)
            else:
                row = Adw.ActionRow(title=t, activatable=True)
                if r.random() < 0.5:
                    row.set_subtitle(phrase(r, 3))
                self.control(row, 'item', t)
            g.add(row)
        return g

    def tabs(self, page):
        r, n = self.r, Gtk.Notebook()
        count = r.randint(2, 5)
        front = r.randrange(count)
        for i in range(count):
            t = phrase(r, 1)
            l = self.control(Gtk.Label(label=t), 'tab', t)
            n.append_page(page if i == front else Gtk.Label(), l)
        n.set_current_page(front)
        return n

    def switcher(self, page):
        """GTK 4's other tabs: a row of buttons above a stack."""
        r, stack, b = self.r, Gtk.Stack(), self.box()
        count = r.randint(2, 4)
        front = r.randrange(count)
        for i in range(count):
            stack.add_titled(page if i == front else Gtk.Label(), str(i), phrase(r, 1))
        stack.set_visible_child_name(str(front))
        switcher = Gtk.StackSwitcher(stack=stack, halign=r.choice([Gtk.Align.CENTER, Gtk.Align.START]))
        b.append(switcher)
        b.append(stack)
        return b

    def header(self):
        r, h = self.r, Gtk.HeaderBar()
        for pack in [h.pack_start] * r.randint(0, 2) + [h.pack_end] * r.randint(0, 2):
            pack(self.icon_button() if r.random() < 0.5 else self.button(phrase(r, 1)))
        if r.random() < 0.6:
            self.main = Gtk.MenuButton(icon_name='open-menu-symbolic', menu_model=self.menu())
            h.pack_end(self.control(self.main, 'button', 'menu', icon=True))
        return h

    def window(self):
        r, w = self.r, Gtk.Window(title=phrase(self.r, self.r.choice([1, 2, 3])))
        self.main = None
        if r.random() < 0.7:
            w.set_titlebar(self.header())
        v, body = self.box(space=0), self.box()
        if r.random() < 0.3:
            v.append(self.menu_bar())
        if r.random() < 0.35:
            v.append(self.tool_bar())
        for side in ('top', 'bottom', 'start', 'end'):
            body.set_property('margin-' + side, r.choice([6, 12, 18]))
        parts = [self.rows, self.choices, self.buttons, self.odd, self.list, self.table, self.text]
        parts, share = parts + [self.group] * self.adw, [3, 2, 3, 2, 1, 1, 1] + [5] * self.adw
        for _ in range(r.randint(1, 5)):
            body.append(r.choices(parts, share)[0]())
        if r.random() < 0.3:
            body = r.choice([self.tabs, self.switcher])(body)
        body.set_vexpand(True)
        v.append(body)
        if r.random() < 0.45:
            names = r.choice(
                [['Cancel', 'OK'], ['Close'], ['Yes', 'No'], r.sample(BUTTONS, 2), r.sample(UI, 3)]
            )
            b = self.box(True)
            for t in names:
                b.append(self.button(t))
            b.set_halign(r.choice([Gtk.Align.END, Gtk.Align.END, Gtk.Align.CENTER]))
            for side in ('top', 'bottom', 'start', 'end'):
                b.set_property('margin-' + side, 8)
            v.append(b)
        w.set_child(v)
        size = r.choice([None, None, (420, 300), (440, 310), (600, 430), (630, 440), (780, 540)])
        if size:
            w.set_default_size(*(z - r.randint(0, 60) for z in size))
        return w


class Seen:
    """Where everything is, in pixels of the saved picture."""

    def __init__(self, m, size):
        self.m, (self.w, self.h) = m, size
        self.el, self.words = [], []
        self.clip = 0, 0, self.w, self.h

    def tree(self, root, dx, dy):
        """A window's or a popover's widgets; dx, dy: where its surface is."""
        tx, ty = root.get_surface_transform()
        self.root, self.dx, self.dy = root, dx + tx, dy + ty
        self.walk(root)

    def at(self, q):
        _, b = q.compute_bounds(self.root)
        x, y = b.get_x() + self.dx, b.get_y() + self.dy
        return x, y, x + b.get_width(), y + b.get_height()

    def word(self, w, left, right):
        if w:
            w = between(w, max(self.clip[0], left), min(self.clip[2], right))
            if w[0].strip() and self.clip[1] <= w[2] < self.clip[3]:
                self.words.append(w)

    def box(self, b, kind, label, value='', icon=False):
        b = [int(z) for z in meet(b, self.clip)]
        if b[2] - b[0] >= 6 and b[3] - b[1] >= 9:
            icon = {'icon': True} if icon else {}
            self.el.append(dict(kind=kind, label=label, box=b, value=value, **icon))

    def walk(self, q):
        if not q.get_mapped() or q.get_opacity() == 0:
            return
        kind = type_name(q)
        if q in self.m.controls:
            b, (what, *rest) = self.at(q), self.m.controls[q]
            pad = 6 if what == 'tab' else 0
            self.box((b[0] - pad, b[1] - pad / 2, b[2] + pad, b[3] + pad / 2), what, *rest)
        elif kind in MADE:
            text = next((c.get_text() for c in below(q) if isinstance(c, Gtk.Label) and c.get_text()), '')
            if text:
                self.box(self.at(q), MADE[kind], text)
        elif kind == 'GtkToggleButton' and type_name(q.get_parent()) == 'GtkStackSwitcher':
            self.box(self.at(q), 'tab', next(c.get_text() for c in below(q) if isinstance(c, Gtk.Label)))
        elif isinstance(q, Gtk.Button) and type_name(q.get_parent()) == 'GtkWindowControls':
            for what in ('close', 'maximize', 'minimize'):
                if q.has_css_class(what):
                    self.box(self.at(q), what, '')
        b = self.at(q)
        # libadwaita draws the name above an entry row's text elsewhere than its bounds say
        small = q.has_css_class('subtitle') and type_name(q.get_parent()) == 'AdwGizmo'
        if isinstance(q, Gtk.Label) and q.get_text() and not small:
            lx, ly = q.get_layout_offsets()
            self.word(characters(q.get_layout(), b[0] + lx, b[1] + ly), b[0], b[2])
        elif isinstance(q, Gtk.Text) and q.get_text():
            text = q.get_text()
            xs = [q.compute_cursor_extents(i)[0].get_x() + b[0] for i in range(len(text) + 1)]
            middles = [(a + z) / 2 for a, z in zip(xs, xs[1:])]
            self.word([text, middles, (b[1] + b[3]) / 2 + 1], b[0], b[2])
        whole = self.clip
        if isinstance(q, Gtk.ScrolledWindow):
            self.clip = meet(b, self.clip)
        for c in children(q):
            if not isinstance(c, Gtk.Popover):
                self.walk(c)
        self.clip = whole

    def forget(self, b):
        """What a popover hides."""
        self.words = [
            w for w in self.words if not (b[1] <= w[2] <= b[3] and any(b[0] <= x <= b[2] for x in w[1]))
        ]
        self.el = [
            e
            for e in self.el
            if e['box'][2] <= b[0] or e['box'][0] >= b[2] or e['box'][3] <= b[1] or e['box'][1] >= b[3]
        ]


def type_name(q):
    return q.__gtype__.name if q else ''


def meet(a, b):
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def told(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout


def place(surface):
    """Where a surface is on the screen, and how far its frame goes beyond it: left, top, right, bottom."""
    xid = str(surface.get_xid())
    x, y, w, h = (
        int(re.search(what + r': +(-?\d+)', told('xwininfo', '-id', xid))[1])
        for what in ('Absolute upper-left X', 'Absolute upper-left Y', 'Width', 'Height')
    )
    frame = re.search(r'= (\d+), (\d+), (\d+), (\d+)', told('xprop', '-id', xid, '_NET_FRAME_EXTENTS'))
    left, right, top, bottom = map(int, frame.groups()) if frame else (0, 0, 0, 0)
    return (x, y, x + w, y + h), (left, top, right, bottom)


def still(most=1.0):
    """The screen, once it stays as it is for a moment."""
    end, old = time.time() + most, ImageGrab.grab(xdisplay='')
    while time.time() < end:
        pump(0.02)
        new = ImageGrab.grab(xdisplay='')
        if new.tobytes() == old.tobytes():
            break
        old = new
    return old


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    adw = sys.argv[4:] == ['adw']
    os.makedirs(out, exist_ok=True)
    Adw.init() if adw else Gtk.init()
    st = Gtk.Settings.get_default()
    icons, room = Gtk.IconTheme.get_for_display(Gdk.Display.get_default()), still().size
    st.set_property('gtk-enable-animations', False)
    st.set_property('gtk-cursor-blink', False)
    themes = [t for t in THEMES if t.startswith('Default') or os.path.isdir(f'/usr/share/themes/{t}/gtk-4.0')]
    icon_themes = [t for t in ICON_THEMES if os.path.isdir('/usr/share/icons/' + t)]
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json') or os.path.exists(name + '.part'):
            continue  # done, or one that GTK crashed with
        open(name + '.part', 'w').close()
        m = Maker(seed * 100000 + k, icons, adw)
        r = m.r
        if adw:
            scheme = Adw.ColorScheme.FORCE_DARK if r.random() < 0.3 else Adw.ColorScheme.FORCE_LIGHT
            Adw.StyleManager.get_default().set_color_scheme(scheme)
        else:
            st.set_property('gtk-theme-name', r.choice(themes))
            st.set_property('gtk-application-prefer-dark-theme', r.random() < 0.25)
        st.set_property('gtk-icon-theme-name', r.choice(icon_themes))
        st.set_property(
            'gtk-font-name', '%s %d' % (r.choice(FONTS), r.choice([8, 9, 10, 10, 11, 11, 12, 14]))
        )
        w = m.window()
        w.present()
        pump(0.12)
        (x0, y0, x1, y1), frame = place(w.get_surface())
        shown = meet((x0 - frame[0], y0 - frame[1], x1 + frame[2], y1 + frame[3]), (0, 0, *room))
        x, y = shown[:2]
        s = Seen(m, (shown[2] - x, shown[3] - y))
        s.tree(w, x0 - x, y0 - y)
        popover = None
        bars = [q for q in below(w) if type_name(q) == 'GtkPopoverMenuBarItem' and q.get_mapped()]
        if m.main and r.random() < 0.3:
            popover = m.main.get_popover()
        elif bars and r.random() < 0.3:
            popover = next(c for c in below(r.choice(bars)) if isinstance(c, Gtk.Popover))
        if popover:
            popover.popup()
            pump(0.1)
            (px, py, pw, ph), _ = place(popover.get_surface())
            s.forget((px - x, py - y, pw - x, ph - y))
            s.tree(popover, px - x, py - y)
        screen = still().crop(shown)
        s.el.sort(key=lambda e: ORDER.get(e['kind'], 3))
        screen.convert('RGB').save(name + '.png')
        about = dict(w=screen.width, h=screen.height, el=s.el, words=s.words)
        if frame[1]:
            about['title'] = [w.get_title(), y0 - y]
        with open(name + '.part', 'w') as f:
            json.dump(about, f)
        os.replace(name + '.part', name + '.json')
        if popover:
            popover.popdown()
            pump(0.05)
        w.set_visible(False)
        pump(0.02)
        w.destroy()
        pump(0.02)


main()
