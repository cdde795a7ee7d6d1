#!/usr/bin/python3
"""Render GTK 3 application windows (menus, tool bars, tabs, lists, texts, dialogs) under a running X server with openbox.

The format is gen_real.py's; besides, a control known by its picture only has "icon": true.  Many GTK and icon themes,
those that are installed of THEMES and ICON_THEMES.  Run with the system Python, which has PyGObject:

    xvfb-run -s "-screen 0 1280x900x24" sh -c 'openbox & python3 gen_app.py OUT SEED COUNT'
"""

import json
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gtk_text import FONTS, between, characters, pump
from gtk_windows import Gdk, Gtk
from icons import ICONS, ICON_THEMES
from words import BUTTONS, UI, form_label, phrase, value_for

# none of the evaluation set's
THEMES = '''Adwaita Adwaita Adwaita Adwaita-dark Raleigh HighContrast HighContrastInverse Greybird Greybird-dark Numix Materia Materia-dark
Materia-light-compact Blackbird Bluebird Breeze Breeze-Dark Menta BlueMenta BlackMATE TraditionalOk GreenLaguna Blue-Submarine DarkMint
Clearlooks-3.4 YaruOk'''.split()
FAMILIES = ['Sans'] + FONTS + ['Nimbus Sans', 'DejaVu Serif', 'Liberation Serif', 'DejaVu Sans Condensed']


class Maker:
    def __init__(self, seed, icon_theme):
        self.r = random.Random(seed)
        self.icons = icon_theme
        self.controls = []  # (widget, kind, label, value, icon)
        self.views, self.combos, self.menus = [], [], []

    def control(self, w, kind, label, value='', icon=False):
        self.controls.append((w, kind, label, value, icon))
        return w

    def label(self, t):
        return Gtk.Label(label=t)

    def button(self, t=None):
        t = t or phrase(self.r)
        return self.control(Gtk.Button(label=t), 'button', t)

    def entry(self, t):
        r, e = self.r, Gtk.Entry()
        e.set_width_chars(r.choice([-1, 8, 12, 20, 26]))
        v = value_for(r, t) if r.random() < 0.4 else ''
        e.set_text(v)
        return self.control(e, 'field', t, v)

    def check(self, t=None, group=None):
        r, t = self.r, t or phrase(self.r)
        if group is not None:
            w = Gtk.RadioButton.new_with_label_from_widget(group or None, t)
        else:
            w = Gtk.CheckButton(label=t)
            w.set_active(r.random() < 0.4)
        return self.control(w, 'checkbox' if group is None else 'radio', t)

    def combo(self, label=''):
        r, c = self.r, Gtk.ComboBoxText()
        v = phrase(r)
        c.append_text(v)
        c.set_active(0)
        self.combos.append((c, v))
        return self.control(c, 'combo box', label, v)

    def spin(self, label=''):
        r, s = self.r, Gtk.SpinButton.new_with_range(0, 9999, 1)
        s.set_value(r.randint(0, 500))
        return self.control(s, 'number field', label, '%d' % s.get_value())

    def slider(self, label=''):
        w = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0, 100, 1)
        w.set_value(self.r.randint(0, 100))
        w.set_draw_value(self.r.random() < 0.6)
        w.set_size_request(140, -1)
        return self.control(w, 'slider', label)

    def one_icon(self):
        """(icon name, what it is called), one that the theme has."""
        r = self.r
        for _ in range(30):
            n = r.choice(list(ICONS))
            if self.icons.has_icon(n):
                return n, r.choice(ICONS[n].split('|'))
        return None

    def menu_bar(self):
        r, bar = self.r, Gtk.MenuBar()
        usual = 'File Edit View Insert Format Tools Go Bookmarks Search Options Window Help'.split()
        names = [t for t in usual if r.random() < 0.5] or ['File']
        if r.random() < 0.3:
            names = list({phrase(r, 1): 0 for _ in range(r.randint(2, 7))})
        for t in names:
            i = Gtk.MenuItem(label=t)
            bar.append(i)
            self.control(i, 'menu', t)
            self.menus.append(i)
        return bar

    def open_menu(self, item):
        """A menu below the item, open."""
        r, m, icons = self.r, Gtk.Menu(), self.r.random() < 0.3
        for _ in range(r.randint(2, 9)):
            u = r.random()
            if u < 0.12 and m.get_children():
                m.append(Gtk.SeparatorMenuItem())
                continue
            t = phrase(r)
            i = Gtk.CheckMenuItem(label=t) if u < 0.25 else Gtk.MenuItem(label=t)
            if icons and u > 0.4:
                found = self.one_icon()
                i = Gtk.ImageMenuItem(label=t)
                if found:
                    i.set_image(Gtk.Image.new_from_icon_name(found[0], Gtk.IconSize.MENU))
                    i.set_always_show_image(True)
            elif r.random() < 0.4:
                keys, mods = r.choice([(Gdk.KEY_s, 4), (Gdk.KEY_o, 4), (Gdk.KEY_z, 5), (Gdk.KEY_F5, 0)])
                child = i.get_child()
                child.set_accel(keys, Gdk.ModifierType(mods))
            m.append(i)
            self.control(i, 'item', t)
        m.show_all()
        m.popup_at_widget(item, Gdk.Gravity.SOUTH_WEST, Gdk.Gravity.NORTH_WEST, None)
        return m

    def tool_bar(self):
        r, h = self.r, Gtk.Toolbar()
        h.set_show_arrow(False)
        words, size = r.random() < 0.2, r.choice([Gtk.IconSize.SMALL_TOOLBAR, Gtk.IconSize.LARGE_TOOLBAR])
        h.set_style(
            r.choice([Gtk.ToolbarStyle.BOTH, Gtk.ToolbarStyle.BOTH_HORIZ])
            if words
            else Gtk.ToolbarStyle.ICONS
        )
        h.set_icon_size(size)
        symbolic, used = r.random() < 0.25, set()
        for _ in range(r.randint(3, 11)):
            if used and r.random() < 0.15:
                h.insert(Gtk.SeparatorToolItem(), -1)
            n = self.one_icon()
            if not n or n[0] in used or n[1] in used:
                continue
            used |= set(n)
            t = n[1].capitalize() if words else n[1]
            image = Gtk.Image.new_from_icon_name(n[0] + ('-symbolic' if symbolic else ''), size)
            b = Gtk.ToolButton.new(image, t)
            b.set_is_important(True)
            h.insert(b, -1)
            self.control(b, 'button', t, icon=not words)
        return h

    def header_bar(self, title):
        """A title bar that the program draws itself, with buttons in it."""
        r, h = self.r, Gtk.HeaderBar()
        h.set_title(title)
        if r.random() < 0.4:
            h.set_subtitle(phrase(r, 2))
        h.set_show_close_button(True)
        for pack in [h.pack_start] * r.randint(0, 3) + [h.pack_end] * r.randint(0, 3):
            found = self.one_icon() if r.random() < 0.5 else None
            if found:
                b = Gtk.Button()
                b.add(Gtk.Image.new_from_icon_name(found[0], Gtk.IconSize.LARGE_TOOLBAR))
                pack(self.control(b, 'button', found[1], icon=True))
            else:
                pack(self.button(phrase(r, 1)))
        return h

    def icon_buttons(self):
        r, h = self.r, Gtk.Box(spacing=self.r.choice([0, 2, 6]))
        for _ in range(r.randint(1, 5)):
            n = self.one_icon()
            if n:
                b = Gtk.Button.new_from_icon_name(
                    n[0], r.choice([Gtk.IconSize.BUTTON, Gtk.IconSize.LARGE_TOOLBAR])
                )
                h.pack_start(self.control(b, 'button', n[1], icon=True), False, False, 0)
        return h

    def table(self):
        r = self.r
        n, rows = r.choice([1, 1, 2, 2, 3, 4]), r.randint(3, 14)
        store = Gtk.ListStore(*[str] * n)
        data = [
            [phrase(r) if i == 0 or r.random() < 0.5 else str(r.randint(0, 9999)) for i in range(n)]
            for _ in range(rows)
        ]
        for d in data:
            store.append(d)
        v = Gtk.TreeView(model=store)
        v.set_headers_visible(n > 1 or r.random() < 0.3)
        for i in range(n):
            t = phrase(r, 1)
            c = Gtk.TreeViewColumn(t, Gtk.CellRendererText(), text=i)
            c.set_resizable(True)
            v.append_column(c)
            if v.get_headers_visible():
                self.control(c.get_button(), 'column', t)
        self.views.append((v, data))
        if r.random() < 0.6:
            v.set_cursor(Gtk.TreePath.new_from_indices([r.randrange(rows)]), None, False)
        s = Gtk.ScrolledWindow()
        s.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        s.set_overlay_scrolling(False)
        s.set_shadow_type(Gtk.ShadowType.IN)
        s.set_size_request(-1, r.randint(70, 240))
        s.add(v)
        self.control(s.get_vscrollbar(), 'scroll bar', '')
        return s

    def text(self):
        r, v = self.r, Gtk.TextView()
        v.set_wrap_mode(Gtk.WrapMode.WORD)
        v.get_buffer().set_text(
            '\n'.join(phrase(r, r.choice([2, 4])) for _ in range(r.choice([0, 0, 1, 3, 6])))
        )
        if r.random() < 0.2:
            v.set_monospace(True)
        s = Gtk.ScrolledWindow()
        s.set_shadow_type(Gtk.ShadowType.IN)
        s.set_size_request(-1, r.randint(50, 220))
        s.add(v)
        return self.control(s, 'text area', '')

    def rows(self):
        """Labels and inputs."""
        r, g = self.r, Gtk.Grid()
        g.set_row_spacing(r.choice([3, 6, 10]))
        g.set_column_spacing(r.choice([6, 12]))
        for i in range(r.randint(1, 5)):
            t = form_label(r)
            l = self.label(t + r.choice(['', ':']))
            l.set_xalign(r.choice([0, 0, 1]))
            w = r.choices([self.entry, self.combo, self.spin, self.slider], [5, 2, 1, 1])[0](t)
            w.set_hexpand(r.random() < 0.5)
            g.attach(l, 0, i, 1, 1)
            g.attach(w, 1, i, 1, 1)
        return g

    def choices(self):
        r = self.r
        across = r.random() < 0.4
        b = Gtk.Box(
            orientation=Gtk.Orientation.HORIZONTAL if across else Gtk.Orientation.VERTICAL,
            spacing=r.choice([2, 6]),
        )
        radio, first = r.random() < 0.4, False
        for _ in range(r.randint(1, 3 if across else 5)):
            w = self.check(group=first) if radio else self.check()
            first = first or (w if radio else False)
            b.pack_start(w, False, False, 0)
        if r.random() < 0.3:
            f = Gtk.Frame(label=phrase(r, 2))
            f.add(b)
            return f
        return b

    def odd(self):
        r, h = self.r, Gtk.Box(spacing=8)
        u = r.random()
        if u < 0.2:
            w = self.slider()
        elif u < 0.35:
            t = phrase(r, 2)
            h.pack_start(self.label(t), False, False, 0)
            w = self.control(Gtk.Switch(), 'switch', t)
            w.set_active(r.random() < 0.5)
        elif u < 0.5:
            w = Gtk.ProgressBar()
            w.set_fraction(r.random())
            self.control(w, 'progress bar', '')
        elif u < 0.65:
            t = phrase(r)
            w = self.control(Gtk.LinkButton.new_with_label('http://example.org', t), 'link', t)
        elif u < 0.8:
            w = self.combo()
        elif u < 0.9:
            w = self.control(Gtk.SearchEntry(), 'field', 'Search', '')
            w.set_placeholder_text('Search')
        else:
            w = self.spin()
        h.pack_start(w, u < 0.2 or 0.35 <= u < 0.5, True, 0)
        return h

    def button_row(self):
        r, h = self.r, Gtk.Box(spacing=self.r.choice([2, 6, 10]))
        for _ in range(r.randint(1, 5)):
            h.pack_start(self.button(), r.random() < 0.2, True, 0)
        h.set_halign(r.choice([Gtk.Align.START, Gtk.Align.END, Gtk.Align.CENTER, Gtk.Align.FILL]))
        return h

    def body(self, depth=0):
        r = self.r
        v = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=r.choice([4, 8, 12]))
        v.set_border_width(r.choice([0, 6, 10]))
        parts = [self.table, self.text, self.rows, self.choices, self.odd, self.button_row, self.icon_buttons]
        for _ in range(r.randint(1, 4) if depth else r.randint(1, 6)):
            w = r.choices(parts, [2, 1, 3, 2, 2, 3, 1])[0]()
            v.pack_start(w, isinstance(w, Gtk.ScrolledWindow), True, 0)
        if depth < 1 and r.random() < 0.35:
            return self.tabs(v)
        if depth < 1 and r.random() < 0.25:
            p = Gtk.Paned()
            a, b = self.table(), v
            p.pack1(a, True, False)
            p.pack2(b, True, False)
            return p
        return v

    def tabs(self, page):
        r, n = self.r, Gtk.Notebook()
        count, front = r.randint(2, 6), r.choice([0, 0, 1, 2])
        for i in range(count):
            t = phrase(r, 1)
            l = self.label(t)
            n.append_page(page if i == min(front, count - 1) else self.label(''), l)
            self.control(l, 'tab', t)
        n.show_all()
        n.set_current_page(min(front, count - 1))
        return n

    def window(self):
        r, w = self.r, Gtk.Window()
        w.set_title(phrase(r, r.choice([1, 2, 3])))
        v = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        if r.random() < 0.15:
            w.set_titlebar(self.header_bar(w.get_title()))
        elif r.random() < 0.65:
            v.pack_start(self.menu_bar(), False, False, 0)
        if r.random() < 0.5:
            v.pack_start(self.tool_bar(), False, False, 0)
        v.pack_start(self.body(), True, True, 0)
        if r.random() < 0.4:
            names = r.choice(
                [
                    ['Cancel', 'OK'],
                    ['Close'],
                    ['Help', 'Cancel', 'OK'],
                    ['Yes', 'No'],
                    r.sample(BUTTONS, 2),
                    r.sample(UI, 3),
                ]
            )
            h = Gtk.ButtonBox()
            h.set_layout(
                r.choice(
                    [
                        Gtk.ButtonBoxStyle.END,
                        Gtk.ButtonBoxStyle.END,
                        Gtk.ButtonBoxStyle.START,
                        Gtk.ButtonBoxStyle.EXPAND,
                    ]
                )
            )
            h.set_border_width(6)
            h.set_spacing(6)
            for t in names:
                h.add(self.button(t))
            v.pack_start(h, False, False, 0)
        if r.random() < 0.3:
            l = self.label(phrase(r, 3))
            l.set_xalign(0)
            v.pack_start(l, False, False, 2)
        w.add(v)
        size = r.choice([None, None, (420, 320), (440, 300), (600, 440), (636, 440), (636, 450), (780, 560)])
        if size:
            w.set_default_size(*(z - r.randint(0, 60) for z in size))
        return w

    def dialog(self):
        """A message or a question."""
        r, w = self.r, Gtk.Window()
        w.set_title(phrase(r, 2))
        v, h = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10), Gtk.Box(spacing=12)
        v.set_border_width(r.choice([6, 12, 18]))
        found = self.one_icon()
        if found and r.random() < 0.6:
            h.pack_start(Gtk.Image.new_from_icon_name(found[0], Gtk.IconSize.DIALOG), False, False, 0)
        h.pack_start(self.label('\n'.join(phrase(r, 4) for _ in range(r.choice([1, 1, 2])))), False, False, 0)
        v.pack_start(h, True, True, 0)
        if r.random() < 0.4:
            v.pack_start(self.entry(''), False, False, 0)
        if r.random() < 0.3:
            v.pack_start(self.check(), False, False, 0)
        h = Gtk.ButtonBox()
        h.set_layout(r.choice([Gtk.ButtonBoxStyle.END, Gtk.ButtonBoxStyle.CENTER, Gtk.ButtonBoxStyle.EXPAND]))
        h.set_spacing(r.choice([0, 6, 12]))
        for _ in range(r.randint(1, 4)):
            h.add(self.button(r.choice(UI) if r.random() < 0.6 else phrase(r)))
        v.pack_start(h, False, False, 0)
        w.add(v)
        return w


class Seen:
    """Where everything is, in pixels of the saved picture."""

    def __init__(self, m, root, dx, dy, size):
        self.m, self.root, self.dx, self.dy, self.size = m, root, dx, dy, size
        self.words, self.el = [], []

    def at(self, q, x=0, y=0):
        top = q.get_toplevel()
        tx, ty = q.translate_coordinates(top, x, y)
        if top is not self.root:
            _, ox, oy = top.get_window().get_origin()
            _, rx, ry = self.root.get_window().get_origin()
            tx, ty = tx + ox - rx, ty + oy - ry
        return tx + self.dx, ty + self.dy

    def word(self, w):
        if w and w[0].strip():
            w = between(w, 0, self.size[0])
            if w[1] and 0 <= w[2] < self.size[1]:
                self.words.append(w)

    def box(self, kind, label, b, value='', icon=False):
        b = [max(0, int(b[0])), max(0, int(b[1])), min(self.size[0], int(b[2])), min(self.size[1], int(b[3]))]
        if b[2] - b[0] >= 6 and b[3] - b[1] >= 6:
            self.el.append(
                dict(kind=kind, label=label, box=b, value=value, **({'icon': True} if icon else {}))
            )

    def walk(self, q):
        if not q.get_mapped():
            return
        if isinstance(q, (Gtk.Label, Gtk.Entry)) and q.get_text() and q.get_opacity() > 0:
            a, (lx, ly) = q.get_allocation(), q.get_layout_offsets()
            if isinstance(q, Gtk.Label):
                lx, ly = lx - a.x, ly - a.y
            tx, ty = self.at(q)
            w = characters(q.get_layout(), tx + lx, ty + ly)
            if w and isinstance(q, Gtk.Entry):
                w = between(w, tx + 3, tx + a.width - 3)
            self.word(w)
        elif isinstance(q, Gtk.TextView):
            self.text_view(q)
        if isinstance(q, Gtk.Container):
            q.forall(self.walk)

    def text_view(self, q):
        b = q.get_buffer()
        i, line = b.get_start_iter(), None
        run, xs = '', []
        high = q.get_allocated_height()
        while not i.is_end():
            c, z = i.get_char(), q.get_iter_location(i)
            x, y = q.buffer_to_window_coords(
                Gtk.TextWindowType.WIDGET, z.x + z.width // 2, z.y + z.height // 2
            )
            if y != line or c == '\n':
                if run.strip():
                    self.word([run, xs, self.at(q, 0, line)[1]])
                run, xs, line = '', [], y
            if c != '\n' and 0 < y < high:
                run += c
                xs.append(self.at(q, x, 0)[0])
            i.forward_char()
        if run.strip():
            self.word([run, xs, self.at(q, 0, line)[1]])

    def table(self, v, data):
        a = v.get_visible_rect()
        for i, row in enumerate(data):
            for j, t in enumerate(row):
                c = v.get_cell_area(Gtk.TreePath.new_from_indices([i]), v.get_column(j))
                if c.y < 0 or c.y + c.height > a.height:
                    continue
                x, y = v.convert_bin_window_to_widget_coords(c.x, c.y)
                x, y = self.at(v, x, y)
                l = v.create_pango_layout(t)
                w = characters(l, x + 2, y + (c.height - l.get_pixel_size()[1]) / 2)
                if w:
                    shown = between(w, x, x + c.width)
                    self.word(shown)
                    if len(shown[0]) == len(t):
                        self.box('item', t, (x, y, x + c.width, y + c.height))

    def all(self):
        self.walk(self.root)
        for c, v in self.m.combos:
            if c.get_mapped():
                x, y = self.at(c)
                l, h = c.create_pango_layout(v), c.get_allocated_height()
                self.word(characters(l, x + 10, y + (h - l.get_pixel_size()[1]) / 2))
        for v, data in self.m.views:
            if v.get_mapped():
                self.table(v, data)
        for q, kind, label, value, icon in self.m.controls:
            if not q.get_mapped():
                continue
            (x, y), a = self.at(q), q.get_allocation()
            pad = 6 if kind == 'tab' else 0
            self.box(
                kind, label, (x - pad, y - pad // 2, x + a.width + pad, y + a.height + pad // 2), value, icon
            )
        order = dict(field=0, checkbox=1, button=2)
        self.el.sort(key=lambda e: order.get(e['kind'], 3))


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    st, icons = Gtk.Settings.get_default(), Gtk.IconTheme.get_default()
    st.set_property('gtk-enable-animations', False)
    st.set_property('gtk-menu-bar-popup-delay', 0)
    themes = [
        t
        for t in THEMES
        if t in ('Adwaita', 'Raleigh', 'HighContrast', 'HighContrastInverse')
        or os.path.isdir(f'/usr/share/themes/{t}/gtk-3.0')
    ]
    icon_themes = [t for t in ICON_THEMES if os.path.isdir('/usr/share/icons/' + t)]
    root = Gdk.get_default_root_window()
    for k in range(count):
        name = '%s/%07d' % (out, seed * 100000 + k)
        if os.path.exists(name + '.json'):
            continue
        m = Maker(seed * 100000 + k, icons)
        r = m.r
        st.set_property('gtk-theme-name', r.choice(themes))
        st.set_property('gtk-icon-theme-name', r.choice(icon_themes))
        st.set_property(
            'gtk-font-name', '%s %d' % (r.choice(FAMILIES), r.choice([8, 9, 10, 10, 10, 11, 12, 14]))
        )
        st.set_property('gtk-xft-antialias', 0 if r.random() < 0.06 else 1)
        w = m.dialog() if r.random() < 0.2 else m.window()
        w.show_all()
        w.present()
        pump(0.09)
        menu = None
        if m.menus and r.random() < 0.3:
            menu = m.open_menu(r.choice(m.menus))
            pump(0.08)
        f = w.get_window().get_frame_extents()
        _, ox, oy = w.get_window().get_origin()
        x0, y0 = max(0, f.x), max(0, f.y)
        x1, y1 = min(root.get_width(), f.x + f.width), min(root.get_height(), f.y + f.height)
        s = Seen(m, w, ox - x0, oy - y0, (x1 - x0, y1 - y0))
        s.all()
        if menu and menu.get_mapped():
            hide(s, menu)
        pixels = Gdk.pixbuf_get_from_window(root, x0, y0, x1 - x0, y1 - y0)
        pixels.savev(name + '.png', 'png', [], [])
        with open(name + '.json', 'w') as out_file:
            json.dump(
                dict(w=x1 - x0, h=y1 - y0, title=[w.get_title(), oy - y0], el=s.el, words=s.words), out_file
            )
        if menu:
            menu.popdown()
            menu.destroy()
        w.destroy()
        pump(0.01)


def hide(s, menu):
    """What the open menu hides is forgotten; its own words and items are read."""
    x, y = s.at(menu)
    a = menu.get_allocation()
    x1, y1 = x + a.width, y + a.height
    own = {id(i) for i in menu.get_children()}
    s.words = [w for w in s.words if not (y <= w[2] <= y1 and any(x <= v <= x1 for v in w[1]))]
    s.walk(menu)
    mine = [c for c in s.m.controls if id(c[0]) in own]
    inside = []
    for q, kind, label, _, _ in mine:
        (qx, qy), qa = s.at(q), q.get_allocation()
        inside.append((label, qx, qy))
    labels = {(l, max(0, int(qx)), max(0, int(qy))) for l, qx, qy in inside}

    def free(e):
        b = e['box']
        return (e['label'], b[0], b[1]) in labels or b[2] <= x or b[0] >= x1 or b[3] <= y or b[1] >= y1

    s.el = [e for e in s.el if free(e)]


main()
