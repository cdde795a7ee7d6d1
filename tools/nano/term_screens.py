"""Screens as full-screen text programs have them: file managers, editors, dialogs, settings, tables, menus, a shell."""

from term_parts import LINES, Grid, different, name_of_file
from words import FIRST, UI, WORDS, form_label, path, phrase, scramble


class Screen(Grid):
    def dialog(self):
        """A framed box, over nothing or over another screen."""
        r = self.r
        kind = r.choice(['message', 'message', 'list', 'list', 'fields', 'fields', 'choices', 'choices'])
        w = r.randint(min(26, self.cols - 2), min(self.cols - 2, 60))
        n = r.randint(2, max(2, min(8, self.rows - 9)))
        text = r.choice([0, 1, 1, 2])
        h = 2 + text + (n if kind != 'message' else 1) + 3
        if h > self.rows:
            n, text = max(1, n - (h - self.rows)), 0
            h = 2 + (n if kind != 'message' else 1) + 3
        x, y = (self.cols - w) // 2, (self.rows - h) // 2
        if r.random() < 0.2:
            x, y = r.randint(0, self.cols - w), r.randint(0, self.rows - h)
        a = self.win if self.win != '0' else '7' if r.random() < 0.3 else '0'
        self.cover(x, y, w + 2, h + 1)
        self.cursor = None
        if r.random() < 0.6:  # a shadow
            for i in range(h):
                self.put(x + w, y + 1 + i, '  ', '40')
            self.put(x + 2, y + h, ' ' * w, '40')
        self.frame(x, y, w, h, a, phrase(r, 2)[: w - 8] if r.random() < 0.8 else '')
        for i in range(text):
            t = ' '.join(r.choice(WORDS).lower() for _ in range(r.randint(2, 6)))
            t = t if len(t) <= w - 4 else t[: w - 4].rsplit(' ', 1)[0]
            self.put(
                x + 2,
                y + 1 + i,
                t[0].upper() + t[1:] + ('?' if i == text - 1 and r.random() < 0.4 and len(t) < w - 5 else ''),
            )
        top, iw = y + 1 + text, w - 4
        if kind == 'list':
            tags = r.choice([None, 'numbers', 'letters', 'words'])
            items = different(lambda: phrase(r, r.choice([1, 2, 3]))[: iw - 10], n)
            on, indent = r.randrange(n), r.choice([0, 1, 2, 5])
            for i, t in enumerate(items):
                tag = {
                    None: '',
                    'numbers': str(i + 1),
                    'letters': 'abcdefghij'[i],
                    'words': r.choice(WORDS).lower()[:6].ljust(6),
                }[tags]
                tag += ' ' * (len(tag) > 0) * r.choice([1, 1, 1])
                self.put(
                    x + 2 + indent,
                    top + i,
                    (tag + t).ljust(iw - 2 * indent)[: iw - indent],
                    self.apart(a, self.press) if i == on else a,
                )
                self.add('item', t, x + 2 + indent + len(tag), top + i, len(t))
        elif kind == 'fields':
            self.fields(x + 2, top, iw, n, a)
        elif kind == 'choices':
            self.choices(x + 2 + r.choice([0, 1, 3]), top, iw - 3, n, a)
        by = y + h - 2
        if r.random() < 0.4:
            q = LINES[self.line]
            self.put(x + 1, by - 1, q[4] * (w - 2), a)
        self.buttons(x + 1, by, w - 2, a)

    def manager(self):
        r, y, menus = self.r, 0, []
        if r.random() < 0.65:
            menus, y = self.menu_bar(), 1
        bottom = self.rows - (self.key_bar(self.rows - 1) if r.random() < 0.8 else 0)
        extra = r.choice([0, 0, 1, 2])
        if extra:
            self.put(
                0, bottom - 1, r.choice(['$ ', '# ', '> ', '%s: ' % phrase(r, 1), phrase(r, 4)])[: self.cols]
            )
            bottom -= extra
        two = self.cols >= 44 and r.random() < 0.6
        framed = r.random() < 0.8
        first = (
            self.cols // 2
            if two and r.random() < 0.6
            else r.randint(16, self.cols - 20) if two else self.cols
        )
        self.panel(0, y, first, bottom - y, framed)
        if two:
            self.panel(first, y, self.cols - first, bottom - y, framed, False)
        if menus and r.random() < 0.4:
            self.pull_down(*r.choice([(x, 1, t) for x, t in menus]))
        elif r.random() < 0.25:
            self.dialog()

    def editor(self):
        r, y = self.r, 0
        if r.random() < 0.6:
            self.fill(0, 0, self.cols, 1, self.bar)
            t = r.choice(WORDS).capitalize() + r.choice(
                ['', ' %d.%d' % (r.randint(0, 9), r.randint(0, 9)), ': ' + name_of_file(r)]
            )
            self.put(r.choice([0, 1, (self.cols - len(t)) // 2]), 0, t)
            y = 1
        elif r.random() < 0.6:
            menus, y = self.menu_bar(), 1
            if r.random() < 0.3:
                self.text_lines(0, 2, self.cols - 2, self.rows - 5)
                self.key_bar(self.rows - 1)
                self.pull_down(*r.choice([(x, 1, t) for x, t in menus]))
                return
        lines = 1
        if r.random() < 0.4:
            lines = self.key_bar(self.rows - 1)
        else:
            start = self.rows - 2
            lines = 2 if self.key_bar(start) == 2 else 1
            if lines == 1:
                self.ch[start + 1], self.at[start + 1] = self.ch[start], self.at[start]
                self.ch[start], self.at[start] = [' '] * self.cols, [self.base] * self.cols
                for e in self.el:
                    if e[3] == start:
                        e[3] += 1
        last = self.rows - lines
        if r.random() < 0.5:
            last -= 1
            t = r.choice(
                [
                    '[ Read %d lines ]' % r.randint(1, 300),
                    phrase(r, 3),
                    '%s:' % phrase(r, 2),
                    'Line %d, col %d' % (r.randint(1, 99), r.randint(1, 80)),
                ]
            )
            a = r.choice([self.bar, self.base])
            if r.random() < 0.5:
                self.fill(0, last, self.cols, 1, a)
            self.put(r.choice([0, max(0, (self.cols - len(t)) // 2)]), last, t, a)
        x = 0
        if r.random() < 0.2:
            for i in range(last - y):
                self.put(0, y + i, '%3d ' % (i + 1))
            x = 4
        self.text_lines(x, y + (r.random() < 0.3), self.cols - x, max(1, last - y - 1))
        self.add('text area', '', 0, y, self.cols, last - y)
        self.cursor = (x + r.randrange(8), r.randrange(y, last))

    def settings(self):
        r, y = self.r, 0
        if r.random() < 0.5:
            t = phrase(r, 3)[: self.cols - 2]
            if r.random() < 0.6:
                self.fill(0, 0, self.cols, 1, self.bar)
            self.put(r.choice([0, 1, (self.cols - len(t)) // 2]), 0, t)
            y = 1
        if r.random() < 0.45:
            self.tabs(y + r.choice([0, 1]))
            y += 2
        bottom = self.rows - self.key_bar(self.rows - 1) if r.random() < 0.5 else self.rows
        x, w = r.choice([1, 2, 4]), self.cols - 6
        a = self.base
        if r.random() < 0.3:
            self.frame(0, y, self.cols, bottom - y, a, phrase(r, 2)[: self.cols - 8])
            y, bottom = y + 1, bottom - 1
        y += r.choice([0, 1])
        end = bottom - 2
        while y < end:
            room = min(end - y, 6)
            part = r.choice(['fields', 'fields', 'choices', 'text'])
            n = r.randint(1, room)
            if part == 'fields':
                step = 2 if r.random() < 0.3 and n * 2 <= room else 1
                self.fields(x, y, w, n, a, step)
                n *= step
            elif part == 'choices':
                if r.random() < 0.5 and n < room:
                    self.put(x, y, form_label(r)[: w - 1] + ':')
                    y += 1
                self.choices(x + r.choice([0, 2]), y, w - 4, n, a)
            else:
                n = 1
                self.put(x, y, phrase(r, 4)[:w])
            y += n + r.choice([0, 1])
            if r.random() < 0.25:
                break
        if r.random() < 0.75:
            self.buttons(x, bottom - 1, w, a)

    def table(self):
        r, y = self.r, 0
        if r.random() < 0.5:
            self.fill(0, 0, self.cols, 1, self.bar)
            self.put(
                1, 0, r.choice([phrase(r, 3), 'q:%s  ?:%s' % (r.choice(UI), r.choice(UI))])[: self.cols - 1]
            )
            y = 1
        elif r.random() < 0.4:
            self.tabs(0)
            y = 1
        bottom = self.rows - self.key_bar(self.rows - 1) if r.random() < 0.75 else self.rows
        if bottom - y > 10 and r.random() < 0.3:
            cut = r.randint(4, bottom - y - 5)
            self.panel(0, y, self.cols, cut, r.random() < 0.4)
            self.text_lines(1, y + cut + 1, self.cols - 2, bottom - y - cut - 2)
        else:
            self.panel(0, y, self.cols, bottom - y, r.random() < 0.4)
        if r.random() < 0.15:
            self.dialog()

    def menu_page(self):
        """A plain page of choices with numbers."""
        r = self.r
        t = phrase(r, 3)[: self.cols - 4]
        self.put((self.cols - len(t)) // 2, r.choice([0, 1]), t, r.choice([None, self.bar, self.base + ';1']))
        y, x, step = 3, r.choice([2, 4, 8]), r.choice([1, 1, 2])
        n = min(9, (self.rows - 6) // step)
        on = r.randrange(n) if r.random() < 0.6 else -1
        form = r.choice(['{}) {}', '{}. {}', '[{}] {}', '{}  {}', '({}) {}', '{}: {}'])
        tag = r.choice(['123456789', 'abcdefghi', 'ABCDEFGHI'])
        for i, t in enumerate(self.labels(n, self.cols - x - 6)):
            s = form.format(tag[i], t)
            self.put(x, y + i * step, s, self.sel if i == on else None)
            self.add('item', t, x, y + i * step, len(s))
        p = r.choice(['Your choice: ', 'Choice [1]: ', '> ', 'Select: ', 'Enter a number: '])
        self.cursor = (self.put(x, self.rows - 2, p), self.rows - 2)

    def shell(self):
        r, y = self.r, 0
        u = r.choice(FIRST).lower()
        prompt = r.choice(
            [
                '$ ',
                '# ',
                '%s@%s:~$ ' % (u, r.choice(WORDS).lower()),
                '[%s@%s ~]$ ' % (u, r.choice(WORDS).lower()),
                '> ',
            ]
        )
        while y < self.rows - 2 and r.random() < 0.93:
            self.put(
                0,
                y,
                prompt
                + r.choice(
                    [
                        'ls',
                        'cat ' + name_of_file(r),
                        'cd ' + path(r),
                        'grep -n %s *' % r.choice(WORDS).lower(),
                        './run',
                        'make',
                        'df',
                    ]
                )[: self.cols - len(prompt)],
            )
            y += 1
            for _ in range(r.randint(0, 4)):
                if y < self.rows - 2:
                    t = r.choice(
                        [
                            name_of_file(r),
                            path(r),
                            phrase(r, 4),
                            '%8d %s' % (r.randint(0, 10**6), name_of_file(r)),
                            scramble(r, '0123456789abcdef', 8, 20),
                        ]
                    )
                    self.put(0, y, t[: self.cols])
                    y += 1
        self.cursor = (self.put(0, y, prompt), y)

    def draw(self):
        r = self.r
        whole = [
            self.manager,
            self.editor,
            self.dialog,
            self.settings,
            self.table,
            self.menu_page,
            self.shell,
        ]
        p = r.choices(whole, [22, 17, 25, 18, 10, 5, 3])[0]
        if p == self.dialog:
            u = r.random()
            if u < 0.25:
                self.text_lines(0, 0, self.cols, self.rows)
                self.cursor = None
            if u > 0.7:
                self.menu_bar()
            if u > 0.85 or u < 0.1:
                self.key_bar(self.rows - 1)
            if 0.25 < u < 0.5 and r.random() < 0.5:
                t = phrase(r, 3)[: self.cols - 2]
                self.put(1, 0, t)
                self.put(0, 1, LINES[self.line][4] * self.cols)
        p()
