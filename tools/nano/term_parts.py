"""What full-screen text programs are made of, drawn on a grid of characters: menu bars, key bars, panels, buttons, fields."""

from words import BUTTONS, FIELDS, FIRST, LAST, UI, WORDS, form_label, path, phrase, value_for

LINES = {'single': '┌┐└┘─│', 'double': '╔╗╚╝═║', 'round': '╭╮╰╯─│', 'ascii': '++++-|'}
# colours of letters and ground, the ground last
DARK = '''37;44 97;44 1;37;44 93;44 37;40 97;40 92;40 97;45 97;41 97;42 37;48;5;236 97;48;5;24 97;48;5;237
38;5;222;48;5;235'''.split()
LIGHT = '30;47 34;47 30;46 30;42 30;43 30;106 30;48;5;250 30;48;5;255 31;47 38;5;18;48;5;153'.split()
EXTENSIONS = ['.txt', '.c', '.h', '.py', '.log', '.conf', '.png', '.odt', '.tar.gz', '.sh', '.md', '', '']
MENUS = '''File Edit View Search Tools Options Help Window Document Block Session Message Folder Print Go Format Run
Debug'''.split()
COLUMNS = '''Name Size Date Type Owner State Count Price Kind Path Time From Subject To Version PID CPU Memory User Rate
Length Title'''.split()


def name_of_file(r):
    return (
        r.choice(WORDS).lower()
        + r.choice(['', '', '_' + r.choice(WORDS).lower(), str(r.randint(1, 99))])
        + r.choice(EXTENSIONS)
    )


def different(make, n):
    out = {}
    for _ in range(20 * n):
        t = make()
        if t.lower() not in out:
            out[t.lower()] = t
        if len(out) == n:
            break
    return list(out.values())


def ground(attr):
    return attr.split(';')[-1]


class Grid:
    """A grid of characters that is drawn here, and what there is to use on it, in cells."""

    def __init__(self, r, cols, rows):
        self.r, self.cols, self.rows = r, cols, rows
        self.el, self.spans, self.cursor = [], [], None  # spans: (line, column, length) of other labels
        self.mono = r.random() < 0.2
        self.base = '0' if self.mono or r.random() < 0.55 else r.choice(DARK + LIGHT)
        self.bar, self.sel, self.win = (
            ('7', '7', '0') if self.mono else (self.pair(), self.pair(self.base), self.pair(self.base))
        )
        self.press = '7' if self.mono else self.pair(self.win)
        self.hot = '1' if self.mono else r.choice(['33', '93', '31', '1', '4'])
        self.line = r.choice(['single'] * 5 + ['double', 'round', 'ascii'])
        self.ch = [[' '] * cols for _ in range(rows)]
        self.at = [[self.base] * cols for _ in range(rows)]

    def pair(self, other=''):
        """Colours whose ground is not that of others."""
        return self.r.choice([q for q in DARK + LIGHT if ground(q) != ground(other)])

    def apart(self, attr, *wanted):
        """The first colours wanted that stand out from these, else others that do."""
        return next((q for q in wanted if ground(q) != ground(attr)), None) or self.pair(attr)

    def put(self, x, y, text, attr=None):
        for i, c in enumerate(text):
            if 0 <= x + i < self.cols and 0 <= y < self.rows:
                self.ch[y][x + i] = c
                if attr is not None:
                    self.at[y][x + i] = attr
        return x + len(text)

    def fill(self, x, y, w, h, attr, c=' '):
        for i in range(h):
            self.put(x, y + i, c * w, attr)

    def add(self, kind, label, x, y, w, h=1, value=''):
        if 0 <= x and x + w <= self.cols and 0 <= y and y + h <= self.rows:
            self.el.append([kind, label, x, y, w, h, value])

    def cover(self, x, y, w, h):
        """Forgets what something new hides."""
        self.el = [
            e for e in self.el if e[2] >= x + w or e[2] + e[4] <= x or e[3] >= y + h or e[3] + e[5] <= y
        ]
        self.spans = [q for q in self.spans if not y <= q[0] < y + h]

    def frame(self, x, y, w, h, attr, title=''):
        r, q = self.r, LINES[self.line]
        self.fill(x, y, w, h, attr)
        self.put(x, y, q[0] + q[4] * (w - 2) + q[1], attr)
        self.put(x, y + h - 1, q[2] + q[4] * (w - 2) + q[3], attr)
        for i in range(1, h - 1):
            self.put(x, y + i, q[5], attr)
            self.put(x + w - 1, y + i, q[5], attr)
        if title:
            t = r.choice([' {} ', '┤ {} ├', ' {} ', '[{}]', '{}']).format(title)[: w - 4]
            self.put(x + r.choice([2, (w - len(t)) // 2]), y, t, attr + (';1' if r.random() < 0.3 else ''))

    def bytes(self):
        out = ['\033[?7l\033[?25l\033[0m\033[H']
        for y in range(self.rows):
            out.append(f'\033[{y + 1};1H')
            last = None
            for c, a in zip(self.ch[y], self.at[y]):
                if a != last:
                    out.append(f'\033[0;{a}m')
                    last = a
                out.append(c)
        out.append('\033[0m')
        if self.cursor:
            out.append('\033[%d;%dH\033[?25h' % (self.cursor[1] + 1, self.cursor[0] + 1))
        return ''.join(out).encode()

    def text(self):
        return [''.join(q) for q in self.ch]

    # parts

    def labels(self, n, most=12):
        r = self.r
        u = r.random()

        def one():
            for _ in range(9):
                t = (
                    r.choice(BUTTONS)
                    if u < 0.3
                    else r.choice(UI) if u < 0.6 else phrase(r, r.choice([1, 1, 2]))
                )
                if len(t) <= most:
                    break
            return t[:most].strip()

        return different(one, n)

    def menu_bar(self, y=0):
        """Names along the top, one perhaps open."""
        r = self.r
        self.fill(0, y, self.cols, 1, self.bar)
        names = (
            [t for t in MENUS if r.random() < 0.35]
            if r.random() < 0.7
            else different(lambda: phrase(r, 1)[:9], r.randint(3, 6))
        )
        names = names or ['File']
        x, gap, hot, at = r.choice([0, 1, 2, 3]), r.choice([2, 2, 3, 5, 8]), r.random() < 0.5, []
        for t in names:
            if x + len(t) >= self.cols:
                break
            self.put(x, y, t, self.bar)
            if hot:
                self.put(x, y, t[0], self.bar + ';' + self.hot)
            self.add('menu', t, x, y, len(t))
            at.append((x, t))
            x += len(t) + gap
        return at

    def pull_down(self, x, y, title):
        r = self.r
        items = self.labels(r.randint(3, 9), 16)
        keys = [
            (
                ''
                if r.random() < 0.5
                else r.choice(
                    [
                        'Ctrl-%s' % r.choice('ABCDEFGHKLNOPQRSVWXYZ'),
                        'F%d' % r.randint(2, 12),
                        'M-%s' % r.choice('abcdefg'),
                    ]
                )
            )
            for _ in items
        ]
        w = max(len(t) for t in items) + max(map(len, keys)) + r.choice([4, 6])
        h = len(items) + 2
        if y + h > self.rows or w > self.cols:
            return
        sel = self.apart(self.bar, self.sel)
        self.put(x, y - 1, title, sel)
        x = max(0, min(x - 1, self.cols - w))
        self.cover(x, y, w, h)
        self.line, old = r.choice(['single', 'single', 'double']), self.line
        self.frame(x, y, w, h, self.bar)
        self.line = old
        on = r.randrange(len(items))
        for i, t in enumerate(items):
            a = sel if i == on else self.bar
            self.put(x + 1, y + 1 + i, (' ' + t).ljust(w - 2), a)
            self.put(x + w - 2 - len(keys[i]), y + 1 + i, keys[i], a)
            self.add('item', t, x + 2, y + 1 + i, len(t))

    def key_bar(self, y):
        """What the keys do; one or two lines; returns how many."""
        r = self.r
        style = r.randrange(7)
        lines = 2 if style in (1, 2) and r.random() < 0.5 else 1
        n = r.randint(3, 10)
        wide = max(7 if style == 0 else 11, self.cols // n)
        n = self.cols // wide
        labels = self.labels(n * lines, wide - (2 if style == 0 else 5))
        letters = r.sample('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 26)
        loud = r.choice([self.bar, self.sel, '7', self.base + ';1'])
        if style in (0, 3, 5):
            self.fill(0, y, self.cols, lines, self.bar if r.random() < 0.6 else self.base)
        digits = r.choice(['{}', '{}', 'F{}'])
        sep = r.choice(['', '', ' ', ':', '=', '-'])
        x0 = r.choice([0, 0, 1])
        x, row = x0, 0
        for i, t in enumerate(labels):
            if i == n:
                x, row = x0, 1
            if style == 0:  # a number, then the label on a ground of its own
                key = digits.format(i % n + 1)
                if x + wide > self.cols + 1:
                    break
                self.put(x, y + row, key, self.base)
                self.put(x + len(key), y + row, t.ljust(wide - len(key) - r.choice([0, 1])), self.bar)
                width = len(key) + len(t)
            else:
                key = [
                    '',
                    '^' + letters[i],
                    r.choice(['M-', 'C-']) + letters[i].lower(),
                    f'F{i + 1}',
                    f'[{letters[i]}]',
                    letters[i].lower(),
                    f'<F{i + 1}>',
                ][style]
                gap = sep if style in (3, 5) else ' '
                if style == 5 and not gap:
                    gap = ':'
                width = len(key) + len(gap) + len(t)
                if x + width > self.cols:
                    break
                self.put(x, y + row, key, loud)
                self.put(x + len(key), y + row, gap + t)
            self.add('button', t, x, y + row, width)
            x += wide if lines == 2 or style == 0 or r.random() < 0.5 else width + 2
        return lines

    def tabs(self, y):
        r = self.r
        x, style = r.choice([0, 1, 2]), r.randrange(3)
        names = self.labels(r.randint(2, 6), 12)
        front = r.randrange(len(names))
        for i, t in enumerate(names):
            shown = (
                f' {t} '
                if style == 0
                else f'[{t}]' if style == 1 and i == front else f' {t} ' if style == 1 else f' {t} │'
            )
            if x + len(shown) > self.cols:
                break
            self.put(
                x,
                y,
                shown,
                (self.sel if style != 1 or r.random() < 0.5 else self.base + ';1') if i == front else None,
            )
            self.add('tab', t, x + 1, y, len(t))
            x += len(shown) + r.choice([0, 1])

    def cell(self, column):
        r = self.r
        return r.choice(
            [
                str(r.randint(0, 99999)),
                '%d.%dM' % (r.randint(0, 99), r.randint(0, 9)),
                '%02d:%02d' % (r.randint(0, 23), r.randint(0, 59)),
                '%04d-%02d-%02d' % (r.randint(1990, 2030), r.randint(1, 12), r.randint(1, 28)),
                r.choice(WORDS).lower(),
            ]
        )

    def panel(self, x, y, w, h, framed=True, active=True):
        """A list with columns: files, mails, processes."""
        r = self.r
        a = self.win if framed else self.base
        sel = self.apart(a, self.sel)
        if framed:
            self.frame(x, y, w, h, a, path(r)[: w - 6] if r.random() < 0.5 else phrase(r, 2)[: w - 6])
            x, y, w, h = x + 1, y + 1, w - 2, h - 2
        n = 1 if w < 16 else 2 if w < 28 else r.choice([1, 2, 3, 3])
        others = [r.choice([6, 8, 10]) for _ in range(n - 1)]
        first = w - sum(others) - len(others)
        if first < 8:
            first, others = w, []
        ruled = r.random() < 0.5
        widths = [first] + others
        head = r.random() < 0.7
        names = different(lambda: r.choice(COLUMNS), len(widths))
        if head:
            cx = x
            if r.random() < 0.4:
                self.fill(x, y, w, 1, self.bar if r.random() < 0.5 else a + ';1')
            for t, cw in zip(names, widths):
                t = t[: cw - 1]
                at = cx + (r.choice([0, (cw - len(t)) // 2]) if ruled else 0)
                self.put(at, y, t)
                self.add('column', t, at, y, len(t))
                cx += cw + 1
            y, h = y + 1, h - 1
        u = r.random()
        make = (
            (lambda: name_of_file(r))
            if u < 0.6
            else (lambda: phrase(r)) if u < 0.9 else (lambda: r.choice(FIRST) + ' ' + r.choice(LAST))
        )
        lines = different(lambda: make()[: first - 2], r.randint(max(1, h // 3), h))
        mark = r.choice(['', ' ', ' ', '/']) if u < 0.6 else r.choice(['', ' '])
        on = r.randrange(len(lines)) if active else -1
        cells = [[self.cell(t)[: cw - 1] for t, cw in zip(names[1:], others)] for _ in lines]
        for i, t in enumerate(lines):
            row = a if i != on else sel
            self.fill(x, y + i, w, 1, row)
            left = mark if mark != '/' or i < len(lines) // 2 else ' '
            self.put(x, y + i, left + t)
            self.add('item', t, x + len(left), y + i, len(t))
            cx = x + first
            for c, cw in zip(cells[i], others):
                self.put(cx, y + i, LINES[self.line][5] if ruled else ' ')
                self.put(cx + 1 + (cw - len(c) if c[0].isdigit() else 0), y + i, c)
                cx += cw + 1
        if ruled:
            for j in range(len(lines), h):
                cx = x + first
                for cw in others:
                    self.put(cx, y + j, LINES[self.line][5])
                    cx += cw + 1
        if framed and r.random() < 0.2 and h > 3:
            self.fill(x + w, y, 1, h, a, '▒' if self.line != 'ascii' else ':')
            self.put(x + w, y + r.randrange(h), '█' if self.line != 'ascii' else '#', a)
            self.add('scroll bar', '', x + w, y, 1, h)

    def buttons(self, x, y, w, attr, names=None):
        """A row of them in a width."""
        r = self.r
        press = self.apart(attr, self.press)
        style = r.choice(['< {} >', '<{}>', '[ {} ]', '[{}]', ' {} ', '<  {}  >', '( {} )', '[< {} >]'])
        names = names or (
            r.choice([['OK', 'Cancel'], ['Yes', 'No'], ['OK'], ['Save', 'Cancel'], ['Ok', 'Cancel']])
            if r.random() < 0.45
            else self.labels(r.choice([1, 2, 2, 3, 3, 4]), 11)
        )
        shown = [style.format(t) for t in names]
        if r.random() < 0.4:
            m = max(map(len, names))
            shown = [style.format(t.center(m)) for t in names]
        while len(shown) > 1 and sum(map(len, shown)) + len(shown) > w:
            shown.pop()
        room = w - sum(map(len, shown))
        gap = max(1, min(r.choice([1, 2, 3, 6, 10]), room // (len(shown) + 1)))
        start = r.choice([(room - gap * (len(shown) - 1)) // 2] * 3 + [1, room - gap * (len(shown) - 1) - 1])
        cx, on = x + max(0, start), r.randrange(len(shown)) if r.random() < 0.85 else -1
        for i, (t, s) in enumerate(zip(names, shown)):
            if style == ' {} ' and i != on:
                self.put(cx, y, s, self.apart(attr, self.bar))
            else:
                self.put(cx, y, s, press if i == on else attr)
            self.add('button', t, cx, y, len(s))
            cx += len(s) + gap

    def choices(self, x, y, w, n, attr):
        r = self.r
        sel = self.apart(attr, self.sel)
        radio = r.random() < 0.4
        off, on = (
            ('( )', r.choice(['(*)', '(X)', '(o)'])) if radio else ('[ ]', r.choice(['[x]', '[X]', '[*]']))
        )
        chosen, over = r.randrange(n), r.randrange(n) if r.random() < 0.6 else -1
        for i, t in enumerate(self.labels(n, w - 6)):
            s = (on if (i == chosen if radio else r.random() < 0.4) else off) + ' ' + t
            self.put(x, y + i, s, sel if i == over and r.random() < 0.7 else attr)
            self.add('radio' if radio else 'checkbox', t, x, y + i, len(s))

    def fields(self, x, y, w, n, attr, step=1):
        """Labels and what was typed beside them."""
        r = self.r
        labels = different(lambda: (r.choice(FIELDS) if r.random() < 0.6 else form_label(r))[: w // 2 - 2], n)
        colon, right = r.choice([':', ':', '', ' :']), r.random() < 0.3
        left = max(map(len, labels)) + len(colon) + r.choice([1, 2])
        wide = min(w - left, r.choice([10, 14, 18, 24, 40]))
        style = r.choice(['ground', 'ground', 'ground', 'under', 'brackets', 'line'])
        filled = r.randint(0, n)
        paper = {
            'ground': self.apart(attr, *r.sample([self.bar, self.press], 2)),
            'under': attr,
            'brackets': attr,
            'line': attr + ';4',
        }[style]
        for i, t in enumerate(labels):
            yy, start = y + i * step, x + left - len(t) - len(colon) - 1 if right else x
            self.put(start, yy, t + colon, attr)
            self.spans.append((yy, start, len(t)))
            v = value_for(r, t)[: wide - 3] if i < filled else ''
            shown = (
                '[' + v.ljust(wide - 2, r.choice(['_', '_', ' ', '.'])) + ']'
                if style == 'brackets'
                else v.ljust(wide, '_' if style == 'under' else ' ')
            )
            self.put(x + left, yy, shown, paper)
            self.add('field', t, x + left, yy, wide, 1, v)
            if i == max(0, filled - 1):
                self.cursor = (x + left + (style == 'brackets') + len(v), yy)

    def text_lines(self, x, y, w, h, attr=None):
        r, kind = self.r, self.r.random()
        for i in range(r.randint(1, h)):
            if kind < 0.4:
                t = ' '.join(r.choice(WORDS).lower() for _ in range(w // 4))
            elif kind < 0.7:
                t = phrase(r, 3)
            else:
                t = r.choice(['', '    ', '  ']) + r.choice(
                    ['{} = {}', '{}: {}', '# {} {}', '{}({})', 'set {} {}']
                ).format(r.choice(WORDS).lower(), value_for(r))
            if len(t) > w:
                t = t[:w].rsplit(' ', 1)[0][:w]
            self.put(x, y + i, t, attr)
