"""Athena windows as lines for xaw_window.c, and what each widget is to a user."""

import random

from words import BUTTONS, FIRST, UI, WORDS, form_label, path, phrase, value_for

ADOBE = '-adobe-%s-%s-r-normal--%d-*-75-75-*-*-iso8859-1'
FONTS = (
    'fixed fixed fixed fixed 6x13 6x13 7x13 7x14 8x13 9x15 6x10 6x13bold 7x13bold 8x13bold 9x15bold'.split()
)
FONTS += [ADOBE % ('helvetica', w, s) for w in ('medium', 'bold') for s in (10, 12, 12, 14)]
FONTS += [ADOBE % ('courier', 'medium', s) for s in (12, 14)] + [ADOBE % ('times', 'medium', 14)]
FONTS += [ADOBE % ('new century schoolbook', 'medium', 12)]
FONTS += ['-b&h-lucida-%s-r-normal-sans-%d-*-75-75-*-*-iso8859-1' % q for q in (('medium', 12), ('bold', 10))]
FONTS += ['-b&h-lucidatypewriter-medium-r-normal-sans-12-*-75-75-*-*-iso8859-1']
# of the window, of what is pressed, of the letters
COLOURS = [('white', 'white', 'black')] * 6 + [
    ('grey', 'white', 'black'),
    ('grey85', 'grey85', 'black'),
    ('grey85', 'grey75', 'black'),
    ('#d9d9d9', 'ivory', 'black'),
    ('wheat', 'bisque', 'black'),
    ('light steel blue', 'white', 'navy'),
    ('light steel blue', 'light steel blue', 'black'),
    ('cadet blue', 'light blue', 'black'),
    ('dark slate gray', 'slate gray', 'white'),
    ('black', 'grey20', 'white'),
    ('navy', 'midnight blue', 'white'),
    ('#e8e4d8', '#f6f4ee', '#222222'),
    ('pale green', 'honeydew', 'black'),
    ('grey40', 'grey80', 'black'),
]
SHORT = [w for w in WORDS if len(w) <= 6]
SIGNS = '+ - * / = . ( ) % ^ < > , : ; ! ? # & |'.split()
HEX = list('ABCDEF')
KEYS = '''sin cos tan asin acos atan sqrt exp log ln log2 abs int frac mod div rem gcd x^2 x^y 10^x e^x 1/x n! nCr nPr pi e i M+ M- MR MC MS Min
STO RCL SUM EXC CE C AC CLR DEL BS <- -> << >> ENT EXE ANS INV HYP DEG RAD GRD HEX OCT BIN DEC AND OR XOR NOT SHL SHR ROL ROR NEG SGN +/- 00 000
EE EXP min max avg s^2 dx dy rnd ran 2nd 3rd F1 F2 F3 F4 A1 B1 Tab Esc Up Dn Lt Rt Ins PgUp PgDn Home End Shift Ctrl Alt on off x<>y Rv Lx dup drop
swap roll set get if then loop run step'''.split()
PALETTES = [
    list('abcdefghijklmnopqrstuvwxyz'),
    list('ABCDEFGHIJKLMNOPQRSTUVWXYZ'),
    [str(i) for i in range(1, 32)],
    ['F%d' % i for i in range(1, 25)],
    ['Ch %d' % i for i in range(1, 31)],
    [a + str(i) for a in 'ABCDEF' for i in range(1, 7)],
]


def sentence(r):
    ws = [r.choice(WORDS).lower() for _ in range(r.randint(2, 8))]
    t = ' '.join(ws)
    return t[0].upper() + t[1:] + r.choice(['.', '.', '?', '!', ''])


def escaped(t):
    return t.replace('\\', '\\\\').replace('\n', '\\n').replace('\t', ' ')


class Maker:
    """The lines for xaw_window.c, and what each widget is to a user."""

    def __init__(self, seed, bitmaps):
        r = self.r = random.Random(seed)
        self.bitmaps = bitmaps
        self.title = phrase(r, r.choice([1, 2, 3])) if r.random() < 0.8 else r.choice(WORDS).lower()
        self.lines, self.seen, self.parent, self.cls = [], [], {}, {}
        self.n = 0
        self.menus = []  # (name of the menu, name of its button, names of its items)
        self.font, self.face = r.choice(FONTS), r.choice(FONTS)
        self.bg, self.press, self.fg = r.choice(COLOURS)
        self.border = r.choice([1, 1, 1, 1, 2, 0]) if self.press != self.bg else r.choice([1, 1, 1, 2])
        self.round = r.random() < 0.22
        self.pad = r.choice([(4, 2), (4, 2), (4, 2), (8, 4), (2, 1), (12, 3), (6, 6)])
        self.gap = r.choice([4, 4, 4, 2, 1, 6, 10])
        self.high = r.choice([2, 2, 0, 1])  # of the frame that Command keeps for the pointer
        self.out = 'paper' if r.random() < 0.5 else 'plain'

    def add(self, cls, parent, kind=None, label='', value='', /, **res):
        self.n += 1
        name = 'q%d' % self.n
        self.parent[name], self.cls[name] = parent, cls
        base = dict(background=self.bg, foreground=self.fg, borderColor=self.fg)
        if cls in ('Command', 'Toggle', 'MenuButton'):
            base.update(background=self.press, font=self.font, borderWidth=self.border)
            base.update(internalWidth=self.pad[0], internalHeight=self.pad[1])
            if cls != 'MenuButton':
                base.update(highlightThickness=self.high)
                if self.round:
                    base.update(shapeStyle='roundedRectangle', cornerRoundPercent=self.r.choice([20, 30, 45]))
        elif cls in ('Label', 'Dialog', 'List', 'SmeBSB'):
            base.update(font=self.font)
        elif cls == 'AsciiText':
            paper = 'white' if self.out == 'paper' and self.fg != 'white' else self.press
            base.update(background=paper, font=self.face)
        if cls in ('Form', 'Box', 'Label', 'Dialog'):
            base.update(borderWidth=0)
        if cls in ('SmeBSB', 'SmeLine'):
            base.pop('borderColor')
        base.update(res)
        parts = ['add', cls, name, parent]
        for k, v in base.items():
            if v is not None and str(v) != '':
                parts += [k, escaped(str(v))]
        self.lines.append('\t'.join(parts))
        if kind:
            self.seen.append((name, kind, label, value))
        return name

    def beside(self, left=None, above=None, gap=None):
        """Where in a Form: right of one and below another."""
        gap = self.gap if gap is None else gap
        q = dict(horizDistance=gap, vertDistance=gap)
        if left:
            q['fromHoriz'] = left
        if above:
            q['fromVert'] = above
        return q

    def command(self, parent, t, **res):
        return self.add('Command', parent, 'button', t, label=t, **res)

    # sections: each returns the name of what it added to the window's Form, below what is there

    def keypad(self, top, above):
        r = self.r
        form = self.add('Form', top, defaultDistance=self.gap, **self.beside(above=above))
        cols, rows = r.choice([4, 4, 5, 5, 6, 7, 8]), r.choice([4, 5, 5, 6, 7, 8])
        u = r.random()
        cells = {}
        if u < 0.8:
            order = r.choice(['789456123', '789456123', '123456789', '987654321'])
            left, up = r.randint(0, cols - 3), r.randint(0, rows - 4)
            for i, t in enumerate(order):
                cells[left + i % 3, up + i // 3] = t
            cells[left + r.choice([0, 0, 1]), up + 3] = '0'
            more = r.sample(KEYS, min(len(KEYS), r.choice([20, 40]))) + (HEX if r.random() < 0.3 else [])
            more = list(dict.fromkeys(more))
            r.shuffle(more)
            signs = r.sample(SIGNS[:7], 7) if r.random() < 0.7 else r.sample(SIGNS, 10)
            more = signs + more if r.random() < 0.6 else r.sample(more + signs, len(more + signs))
        else:
            more = list(r.choice(PALETTES)) if u < 0.93 else r.sample(SHORT, 30)
            if r.random() < 0.3:
                r.shuffle(more)
            rows = min(rows, (len(more) + cols - 1) // cols)
        more = list(dict.fromkeys(more))
        wide = r.choice([24, 28, 30, 34, 34, 40, 40, 46, 56])
        if u >= 0.93 or r.random() < 0.3:
            wide = max(wide, 8 * max(len(t) for t in more) + 6)
        high = r.choice([None, None, 18, 22, 26, 32])
        gap = r.choice([0, 1, 2, 3, 4, 4, 6, 8])
        full = r.random() < 0.75
        own = dict(internalWidth=r.choice([1, 2, 4]), highlightThickness=r.choice([0, 1, 2]))
        used, before, line_above, toggles = set(cells.values()), None, None, r.random() < 0.12
        for y in range(rows):
            before, first = None, None
            for x in range(cols):
                t = cells.get((x, y))
                while not t and more:
                    t = more.pop(0)
                    t = None if t in used else t
                if not t or not full and (x, y) not in cells and r.random() < 0.12:
                    continue
                used.add(t)
                w = (
                    wide * 2 + gap
                    if t == '0' and x + 1 < cols and (x + 1, y) not in cells and r.random() < 0.1
                    else wide
                )
                place = dict(self.beside(before, line_above, gap), horizDistance=gap)
                if not before:
                    place['horizDistance'] = gap + x * (wide + gap + 2 * self.border)
                before = self.add(
                    'Toggle' if toggles else 'Command',
                    form,
                    'button',
                    t,
                    label=t,
                    width=w,
                    height=high,
                    **own,
                    **place,
                )
                first = first or before
            line_above = first or line_above
        return form

    def display(self, top, above):
        r = self.r
        t = r.choice(
            ['0', '0', '0.', str(r.randint(0, 99999)), '%.4g' % r.uniform(0, 999), '-%d' % r.randint(1, 99)]
        )
        wide = r.randint(100, 250)
        q = dict(self.beside(above=above), width=wide, borderWidth=r.choice([1, 1, 0, 2]))
        if r.random() < 0.4:
            return self.add('AsciiText', top, string=t, editType='edit', insertPosition=len(t), **q)
        return self.add(
            'Label', top, label=t, justify=r.choice(['right', 'right', 'left']), font=self.face, **q
        )

    def message(self, top, above):
        r = self.r
        n = r.choice([1, 1, 1, 2, 3])
        t = '\n'.join(sentence(r) for _ in range(n))
        if r.random() < 0.3:
            return self.add(
                'AsciiText',
                top,
                string=t,
                editType='read',
                width=r.randint(150, 330),
                height=r.randint(30, 90),
                displayCaret='False',
                wrap='word',
                **self.beside(above=above),
            )
        return self.add(
            'Label',
            top,
            label=t,
            justify=r.choice(['left', 'left', 'center']),
            borderWidth=r.choice([0, 0, 1]),
            **self.beside(above=above),
        )

    def names(self, n):
        r, u, out = self.r, self.r.random(), []
        for _ in range(40):
            t = r.choice(BUTTONS) if u < 0.3 else r.choice(UI) if u < 0.55 else phrase(r, r.choice([1, 1, 2]))
            t = t.lower() if u > 0.9 else t
            if t.lower() not in [q.lower() for q in out]:
                out.append(t)
            if len(out) == n:
                break
        return out

    def commands(self, top, above, n=None, menus=0.0):
        """A row or a column of commands, menu buttons among them or alone."""
        r = self.r
        n = n or r.choice([1, 2, 2, 3, 3, 4, 5, 6, 7, 8])
        gap = r.choice([0, 1, 2, 4, 4, 4, 8, 12])
        down = r.random() < 0.15 and n < 7
        if r.random() < 0.4:
            box = self.add(
                'Box',
                top,
                orientation='vertical' if down else 'horizontal',
                hSpace=gap,
                vSpace=r.choice([0, 2, 4]),
                borderWidth=r.choice([0, 0, 1]),
                **self.beside(above=above),
            )
        else:
            box = self.add(
                'Form',
                top,
                defaultDistance=gap,
                borderWidth=r.choice([0, 0, 0, 1]),
                **self.beside(above=above),
            )
        last, all_menus, same = None, r.random() < 0.5, r.choice([None, None, None, r.randint(70, 110)])
        for t in self.names(n):
            place = (
                {}
                if self.cls[box] == 'Box'
                else self.beside(None if down else last, last if down else None, gap)
            )
            if r.random() < menus and (all_menus or r.random() < 0.4):
                menu = 'm%d' % (self.n + 1)
                last = self.add(
                    'MenuButton',
                    box,
                    'menu',
                    t,
                    label=t,
                    menuName=menu,
                    leftBitmap=r.choice([None, None, self.bitmaps['menu']]),
                    **place,
                )
                self.menus.append((menu, last))
            else:
                last = self.command(box, t, width=same, **place)
        return box

    def toggles(self, top, above):
        """Switches: with a picture of their state, or the chosen one inverted."""
        r = self.r
        form = self.add('Form', top, defaultDistance=self.gap, **self.beside(above=above))
        radio, down, last = r.random() < 0.5, r.random() < 0.5, None
        if r.random() < 0.4:
            t = form_label(r)
            last = self.add('Label', form, label=t + r.choice(['', ':']))
        first, on = None, r.randint(0, 2)
        drawn = r.random() < 0.5
        for i, t in enumerate(self.names(r.randint(2, 5))):
            state = i == on if radio else r.random() < 0.4
            place = self.beside(None if down else last, last if down else None)
            kind = 'radio' if radio else 'checkbox'
            picture = self.bitmaps[kind + ('1' if state else '0')] if drawn else None
            last = self.add(
                'Toggle',
                form,
                kind,
                t,
                label=t,
                state=str(state and not drawn),
                leftBitmap=picture,
                radioGroup=first if radio else None,
                borderWidth=0 if drawn and r.random() < 0.6 else self.border,
                shapeStyle=None,
                cornerRoundPercent=None,
                **place,
            )
            first = first or last
        return form

    def form(self, top, above):
        r = self.r
        form = self.add('Form', top, defaultDistance=self.gap, **self.beside(above=above))
        n = r.choice([1, 1, 2, 2, 3, 3, 4, 5])
        labels = []
        while len(labels) < n:
            t = form_label(r)
            if t.lower() not in [q.lower() for q in labels]:
                labels.append(t)
        filled, row, over = r.randint(0, n), None, r.random() < 0.15
        same = r.randint(70, 120) if r.random() < 0.7 else None
        right, colon = r.choice(['left', 'left', 'right']), r.choice(['', ':', ':'])
        wide = r.randint(90, 220)
        fields = []
        for i, t in enumerate(labels):
            l = self.add(
                'Label',
                form,
                label=t + colon,
                width=None if over else same,
                justify=right,
                **self.beside(above=row),
            )
            v = value_for(r, t) if i < filled else ''
            place = self.beside(None if over else l, l if over else row)
            row = self.add(
                'AsciiText',
                form,
                'field',
                t,
                v,
                string=v,
                editType='edit',
                width=wide,
                insertPosition=len(v),
                borderWidth=r.choice([1, 1, 1, 2]) if i == 0 else None,
                **place,
            )
            fields.append(row)
        if r.random() < 0.75:
            self.lines.append(
                'focus\t' + (fields[max(0, filled - 1)] if r.random() < 0.7 else r.choice(fields))
            )
        return form

    def text(self, top, above):
        r = self.r
        u = r.random()
        if u < 0.2:
            t = ''
        elif u < 0.5:
            t = '\n'.join(phrase(r, 3) for _ in range(r.randint(1, 12)))
        elif u < 0.7:
            t = '\n'.join(path(r) for _ in range(r.randint(2, 9)))
        else:
            t = '\n'.join(
                ' '.join(sentence(r) for _ in range(r.randint(1, 3))) for _ in range(r.randint(1, 6))
            )
        return self.add(
            'AsciiText',
            top,
            'text area',
            '',
            string=t,
            editType='edit',
            width=r.randint(160, 400),
            height=r.randint(50, 190),
            scrollVertical=r.choice(['never', 'always', 'always', 'whenNeeded']),
            wrap=r.choice(['never', 'word', 'line']),
            **self.beside(above=above),
        )

    def list(self, top, above):
        r = self.r
        u, n = r.random(), r.choice([3, 4, 5, 6, 8, 10, 14])
        items = {}
        while len(items) < n:
            t = (
                phrase(r)
                if u < 0.5
                else (
                    path(r)
                    if u < 0.65
                    else (
                        r.choice(FIRST)
                        if u < 0.8
                        else r.choice(WORDS).lower() + r.choice(['.c', '.txt', '.ps', '/', ''])
                    )
                )
            )
            items[t] = 0
        q = dict(
            list='\n'.join(items),
            defaultColumns=r.choice([1, 1, 1, 2, 3]),
            forceColumns=r.choice(['True', 'True', 'False']),
            verticalList=r.choice(['True', 'False']),
            rowSpacing=r.choice([2, 2, 4, 6]),
            columnSpacing=r.choice([6, 6, 14]),
        )
        if q['verticalList'] == 'True':
            q['forceColumns'] = 'True'  # libXaw 1.0.14 divides by zero else
        if r.random() < 0.35:
            port = self.add(
                'Viewport',
                top,
                allowVert='True',
                forceBars=r.choice(['True', 'False']),
                useRight=r.choice(['True', 'False']),
                width=r.randint(120, 260),
                height=r.randint(50, 130),
                borderWidth=1,
                **self.beside(above=above),
            )
            name = self.add('List', port, **q)
            above = port
        else:
            above = name = self.add('List', top, borderWidth=1, **q, **self.beside(above=above))
        self.seen.append((name, 'list', list(items), ''))
        return above

    def scale(self, top, above):
        r = self.r
        form = self.add('Form', top, defaultDistance=self.gap, **self.beside(above=above))
        t = phrase(r, 2)
        l = self.add('Label', form, label=t)
        self.add(
            'Scrollbar',
            form,
            'scroll bar',
            t,
            orientation='horizontal',
            length=r.randint(80, 200),
            thickness=r.choice([10, 14, 18]),
            topOfThumb='%.2f' % r.uniform(0, 0.8),
            shown='%.2f' % r.uniform(0.05, 0.3),
            **self.beside(l),
        )
        return form

    def question(self, top, above):
        """Xaw's own Dialog: a label, a field, commands."""
        r = self.r
        t = phrase(r, 3) + r.choice(['', ':', '?'])
        v = value_for(r) if r.random() < 0.5 else ' '
        paints = {
            'label.font': self.font,
            'label.foreground': self.fg,
            'label.background': self.bg,
            'value*font': self.face,
        }
        d = self.add(
            'Dialog',
            top,
            label=t,
            value=v if r.random() < 0.8 else None,
            **paints,
            **self.beside(above=above),
        )
        self.seen.append((d + '/value', 'field', t.rstrip(':?'), v.strip()))
        for b in self.names(r.choice([1, 2, 2, 3])):
            self.command(d, b)
        return d

    def window(self):
        r = self.r
        top = self.add('Form', '-', defaultDistance=self.gap)
        plans = {
            'keypad': (34, [self.display, self.keypad]),
            'message': (14, [self.message, lambda t, a: self.commands(t, a, r.choice([1, 2, 2, 3, 4]))]),
            'tools': (10, [lambda t, a: self.commands(t, a, r.randint(3, 8), 0.4)]),
            'form': (14, [self.form, self.commands]),
            'text': (10, [lambda t, a: self.commands(t, a, r.randint(2, 7), 0.3), self.text]),
            'question': (5, [self.question]),
            'any': (16, []),
        }
        names = list(plans)
        kind = r.choices(names, [plans[k][0] for k in names])[0]
        parts = list(plans[kind][1])
        parts_of_any = [
            self.message,
            self.form,
            self.text,
            self.list,
            self.toggles,
            self.commands,
            self.scale,
            lambda t, a: self.commands(t, a, None, 0.5),
        ]
        if kind == 'any':
            parts = [r.choices(parts_of_any, [2, 3, 2, 4, 4, 4, 1, 3])[0] for _ in range(r.randint(2, 5))]
        elif kind == 'keypad':
            if r.random() < 0.25:
                parts = parts[1:]
            elif r.random() < 0.1:
                parts.reverse()
            if r.random() < 0.2:
                parts.insert(
                    r.choice([0, len(parts)]), lambda t, a: self.commands(t, a, r.randint(1, 4), 0.3)
                )
        elif kind in ('text', 'form', 'tools'):
            if r.random() < 0.35:
                parts.insert(
                    r.randint(0, len(parts)), r.choice([self.toggles, self.message, self.list, self.text])
                )
            if kind == 'text' and r.random() < 0.3:
                parts.reverse()
        above = None
        for p in parts:
            above = p(top, above)
        shown = r.choice(self.menus) if self.menus and r.random() < 0.45 else None
        for menu in self.menus:
            if menu is shown:
                self.open(*menu)
        return shown

    def open(self, menu, button):
        r = self.r
        left, space = r.choice([4, 4, 16]), r.choice([25, 25, 50])
        self.lines.append(
            '\t'.join(
                [
                    'add',
                    'SimpleMenu',
                    menu,
                    button,
                    'background',
                    self.press,
                    'borderColor',
                    self.fg,
                    'borderWidth',
                    '1',
                ]
            )
        )
        self.parent[menu], self.cls[menu] = '-', 'SimpleMenu'
        if r.random() < 0.15:
            self.add('SmeBSB', menu, label=phrase(r), background=None, font=self.face)
            self.add('SmeLine', menu, background=None)
        for t in self.names(r.randint(2, 9)):
            self.add('SmeBSB', menu, 'item', t, label=t, leftMargin=left, background=None, vertSpace=space)
            if r.random() < 0.1:
                self.add('SmeLine', menu, background=None)
        self.lines.append('\t'.join(['popup', menu, button]))
