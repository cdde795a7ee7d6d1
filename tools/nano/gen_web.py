"""Render web forms and pages with a headless Chromium, in the format of gen_real.py.

    python gen_web.py OUT SEED COUNT [forms | pages | libraries NODE_MODULES]

`libraries`: pages as component libraries dress them, each sheet with one of web_libraries.py.

One call of the browser draws a sheet of them; a script in the page writes down every control's box and every
character's place, read from a second call's DOM.
"""

import html
import json
import os
import random
import re
import subprocess
import sys
import tempfile

from PIL import Image, ImageDraw, ImageFont

from web_libraries import LIBRARIES
from words import BUTTONS, form_label, phrase, value_for

FAMILIES = ['sans-serif'] * 4 + [
    'serif',
    'monospace',
    'Open Sans',
    'Lato',
    'Noto Sans',
    'Liberation Sans',
    'DejaVu Sans',
]
PER_SHEET = 40
FLAGS = '--headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 --disable-background-networking'
# what the page tells: for each cell its controls and, in lines, the characters of its texts and values
SCRIPT = '''
const out = [];
for (const cell of document.querySelectorAll('.cell')) {
  const o = cell.getBoundingClientRect(), el = [], words = [];
  const rel = r => [r.left - o.left, r.top - o.top, r.right - o.left, r.bottom - o.top];
  // as it is printed
  const upper = (e, t) => getComputedStyle(e).textTransform == 'uppercase' ? t.toUpperCase() : t;
  for (const e of cell.querySelectorAll('[data-kind]'))
    if (e.getClientRects().length == 1)  // not broken over two lines
      el.push({kind: e.dataset.kind, label: e.value === undefined || e.type == 'button' ? upper(e, e.dataset.label) : e.dataset.label, value: e.value || '', box: rel(e.getBoundingClientRect())});
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let n; n = walk.nextNode();) {
    let line = null, y = -1;
    for (let i = 0; i < n.data.length; i++) {
      range.setStart(n, i); range.setEnd(n, i + 1);
      const r = range.getBoundingClientRect();
      if (!r.width) continue;
      const my = (r.top + r.bottom) / 2 - o.top + 1;
      if (!line || Math.abs(my - y) > 4) words.push(line = ['', [], y = my]);
      line[0] += upper(n.parentElement, n.data[i]); line[1].push((r.left + r.right) / 2 - o.left);
    }
  }
  const c = document.createElement('canvas').getContext('2d');
  for (const e of cell.querySelectorAll('input[type=text]')) {
    const s = getComputedStyle(e), r = e.getBoundingClientRect(), xs = [];
    c.font = s.fontSize + ' ' + s.fontFamily;
    const left = r.left - o.left + parseFloat(s.borderLeftWidth) + parseFloat(s.paddingLeft);
    for (let i = 0; i < e.value.length; i++)
      xs.push(left + (c.measureText(e.value.slice(0, i)).width + c.measureText(e.value.slice(0, i + 1)).width) / 2);
    const keep = xs.filter(x => x < r.right - o.left - 3).length;
    if (keep) words.push([e.value.slice(0, keep), xs.slice(0, keep), (r.top + r.bottom) / 2 - o.top + 1]);
  }
  out.push({el, words});
}
const pre = document.createElement('pre'); pre.id = 'out'; pre.style.display = 'none';
pre.textContent = JSON.stringify(out); document.body.append(pre);
'''


def cell(r, w, h):
    """The HTML of one form."""
    dark = r.random() < 0.12
    bg, fg = (
        ('#2b2b2b', '#eeeeee')
        if dark
        else (r.choice(['#ffffff'] * 5 + ['#f4f4f4', '#eef3fb', '#fffbe8']), '#000000')
    )
    size, size_in = r.choice([13, 14, 15, 16, 16, 16, 18]), r.choice(['', '', '13.333px', '15px', '16px'])
    style = f'font:{size}px {r.choice(FAMILIES)};color:{fg};background:{bg};width:{w}px;height:{h}px'
    field = f'width:{r.choice([120, 150, 170, 170, 200])}px;' + (f'font-size:{size_in};' if size_in else '')
    round_ = r.choice(['', '', '', 'border:1px solid #999;border-radius:4px;padding:4px 6px;'])
    above, grid = r.random() < 0.2, r.random() < 0.35
    n, labels = r.choice([1, 1, 2, 2, 3, 3, 4]), []
    while len(labels) < n:
        t = form_label(r)
        if t.lower() not in [q.lower() for q in labels]:
            labels.append(t)
    k, rows = r.randint(0, n), []
    colon, gap = r.choice(['', '', ':']), r.choice([4, 8, 12, 16])
    for i, t in enumerate(labels):
        v = html.escape(value_for(r, t), True) if i < k else ''
        box = f'<input type=text data-kind=field data-label="{t}" value="{v}" style="{field}{round_}">'
        wide = 'display:inline-block;width:110px;' if grid else ''
        rows.append(f'<label><span style="{wide}">{t}{colon}</span>{"<br>" if above else " "}{box}</label>')
    if r.random() < 0.2:
        t = html.escape(phrase(r))
        rows.append(
            f'<label data-kind=checkbox data-label="{t}"><input type=checkbox {r.choice(["", "checked"])}> {t}</label>'
        )
    names = r.sample(BUTTONS, r.choice([1, 1, 1, 2, 2, 3]))
    rows.append(
        ' '.join(
            f'<button data-kind=button data-label="{t}" style="{round_ and "padding:5px 14px"}">{t}</button>'
            for t in names
        )
    )
    if r.random() < 0.2:
        t = html.escape(phrase(r))
        rows.append(f'<a href="#" data-kind=link data-label="{t}">{t}</a>')
    if n == 1 and r.random() < 0.6:
        body = ' '.join(rows)
    else:
        body = ''.join(f'<div style="margin-bottom:{gap}px">{q}</div>' for q in rows)
    head = f'<h3 style="margin:0 0 {gap}px">{html.escape(phrase(r, 3))}</h3>' if r.random() < 0.4 else ''
    bar = ''
    if r.random() < 0.25:
        line = r.choice(['You are using an unsupported command-line flag:...', html.escape(phrase(r, 4))])
        bar = f'<div style="background:#fff;color:#222;font:14px sans-serif;padding:18px 16px;border-bottom:2px solid #ccc">{line}</div>'
    pad = f'padding:{r.randint(4, 44)}px {r.randint(4, 44)}px'
    return f'<div class=cell style="position:relative;overflow:hidden;{style}">{bar}<div style="{pad}">{head}{body}</div></div>'


class Page:
    """The HTML of a page: navigation, tabs, tables, cards, inputs of all kinds, in a style of its own."""

    def __init__(self, r, w, h):
        self.r, self.w, self.h = r, w, h
        dark = r.random() < 0.25
        hue, soft = r.randint(0, 359), r.randint(20, 90)
        self.bg = f'hsl({hue},{r.choice([0, 0, 10, 25])}%,{r.randint(8, 22) if dark else r.choice([100, 100, 97, 94])}%)'
        self.fg = f'hsl({hue},10%,{r.randint(80, 96) if dark else r.randint(0, 25)}%)'
        self.line = f'hsl({hue},12%,{r.randint(30, 45) if dark else r.randint(65, 88)}%)'
        self.panel = (
            f'hsl({hue},{r.choice([0, 15, 30])}%,{r.randint(14, 28) if dark else r.randint(90, 99)}%)'
        )
        self.accent = f'hsl({r.randint(0, 359)},{soft}%,{r.randint(30, 52)}%)'
        self.link = f'hsl({r.choice([210, 220, 240, hue])},80%,{70 if dark else 40}%)'
        self.size, self.family = r.choice([12, 13, 14, 14, 15, 16, 17]), r.choice(FAMILIES)
        self.round, self.gap = r.choice([0, 0, 2, 4, 6, 10, 20]), r.choice([4, 6, 8, 12, 16])
        self.plain = r.random() < 0.2  # the browser's own controls
        self.frame = f'border:1px solid {self.line};border-radius:{self.round}px;'

    def tag(self, name, kind, label, text, style='', more=''):
        q = html.escape(label, True)
        return (
            f'<{name} data-kind="{kind}" data-label="{q}" style="{style}" {more}>{html.escape(text)}</{name}>'
        )

    def anchor(self, t, style, kind='link'):
        return self.tag('a', kind, t, t, style, 'href="#"')

    def heading(self):
        h = 'h' + self.r.choice('234')
        return f'<{h} style="margin:0 0 {self.gap}px">{html.escape(phrase(self.r, 3))}</{h}>'

    def button(self, t=None):
        r, t = self.r, t or phrase(self.r)
        if self.plain:
            return self.tag('button', 'button', t, t)
        fill = r.choice(
            [
                f'background:{self.accent};color:#fff;border:0',
                f'background:{self.panel};color:{self.fg};border:1px solid {self.line}',
                f'background:transparent;color:{self.fg};border:1px solid {self.fg}',
            ]
        )
        up = 'text-transform:uppercase;letter-spacing:.5px;' if r.random() < 0.08 else ''
        t = t.upper() if up else t
        return self.tag(
            'button',
            'button',
            t,
            t,
            f'{fill};border-radius:{self.round}px;padding:{r.randint(3, 10)}px {r.randint(8, 20)}px;{up}font:inherit',
        )

    def field(self, t, value=''):
        box = (
            ''
            if self.plain
            else f'{self.frame}background:{self.panel};color:{self.fg};padding:{self.r.randint(2, 7)}px 6px;font:inherit'
        )
        v = html.escape(value, True)
        return f'<input type=text data-kind=field data-label="{html.escape(t, True)}" value="{v}" style="width:{self.r.randint(90, 240)}px;{box}">'

    def select(self, t, value):
        box = (
            ''
            if self.plain
            else f'{self.frame}background:{self.panel};color:{self.fg};padding:3px;font:inherit'
        )
        return self.tag('select', 'combo box', t, '', box).replace(
            '></select>', f'><option>{html.escape(value)}</option></select>'
        )

    def nav(self):
        r = self.r
        fill = r.choice(
            [
                f'background:{self.accent};color:#fff',
                f'background:{self.panel};border-bottom:1px solid {self.line}',
                f'border-bottom:2px solid {self.accent}',
            ]
        )
        kind = r.choice(['link', 'link', 'menu'])
        links = ''.join(
            self.anchor(t, f'color:inherit;margin:0 {r.randint(5, 12)}px;text-decoration:none', kind)
            for t in (phrase(r, 1) for _ in range(r.randint(2, 6)))
        )
        name = (
            f'<b style="margin-right:{r.randint(10, 40)}px">{html.escape(phrase(r, 2))}</b>'
            if r.random() < 0.6
            else ''
        )
        end = self.field('Search') + self.button('Search') if r.random() < 0.25 else ''
        return f'<div style="{fill};padding:{r.randint(4, 12)}px 10px;white-space:nowrap">{name}{links}{end}</div>'

    def tabs(self):
        r, front = self.r, self.r.randint(0, 3)
        out = ''
        for i, t in enumerate(phrase(r, 1) for _ in range(r.randint(2, 5))):
            on = f'border-bottom:3px solid {self.accent};' if i == front else ''
            out += self.tag(
                'span', 'tab', t, t, f'display:inline-block;padding:6px {r.randint(8, 16)}px;{on}'
            )
        return f'<div style="border-bottom:1px solid {self.line}">{out}</div>'

    def control(self, t):
        """Something to fill in, called t."""
        r, u = self.r, self.r.random()
        v = value_for(r, t) if r.random() < 0.35 else ''
        if u < 0.68:
            return self.field(t, v)
        if u < 0.84:
            return self.select(t, phrase(r))
        if u < 0.92:
            return self.tag('textarea', 'text area', t, v, 'width:180px;height:44px')
        return self.tag('input', 'slider', t, '', f'width:{r.randint(90, 260)}px', 'type=range').replace(
            '</input>', ''
        )

    def rows(self):
        """Names and what they name: side by side, one above the other, in columns, or in a table with lines."""
        r = self.r
        way = r.choice(['beside', 'beside', 'above', 'columns', 'table'])
        colon, bold = r.choice(['', '', ':']), r.choice(['', '', 'font-weight:bold;'])
        named = [form_label(r) for _ in range(r.randint(1, 5))]
        if way == 'table':
            cell = f'border:{r.choice([0, 1, 1])}px solid {self.line};padding:{r.randint(2, 8)}px;'
            out = ''
            for t in named:
                out += f'<tr><td style="{cell}{bold}text-align:{r.choice(["left", "center", "right"])}">{html.escape(t)}{colon}</td>'
                out += f'<td style="{cell}">{self.control(t)}</td></tr>'
            return f'<table style="border-collapse:collapse">{out}</table>'
        wide = r.choice([0, 90, 120, 150]) if way == 'beside' else 0
        whole = way != 'beside' and r.random() < 0.5
        out = []
        for t in named:
            name = f'<span style="{bold}{f"display:inline-block;width:{wide}px;" if wide else ""}">{html.escape(t)}{colon}</span>'
            q = self.control(t)
            if whole:
                q = re.sub(r'width:\d+px', 'width:100%;box-sizing:border-box', q)
            out.append(
                f'<div style="margin-bottom:{self.gap}px">{name}{" " if way == "beside" else "<br>"}{q}</div>'
            )
        if way == 'columns':
            shares = [r.choice([1, 1, 1, 2]) for _ in out]
            out = [q.replace('style="', f'style="flex:{s};min-width:0;', 1) for q, s in zip(out, shares)]
            two = [
                f'<div style="display:flex;gap:{r.randint(6, 20)}px">{"".join(out[k : k + 2])}</div>'
                for k in range(0, len(out), 2)
            ]
            return ''.join(two)
        return ''.join(out)

    def checks(self):
        r, kind = self.r, self.r.choice(['checkbox', 'checkbox', 'radio'])
        br = r.choice(['<br>', ' '])
        out = []
        for _ in range(r.randint(1, 4)):
            t = phrase(r)
            on = r.choice(['', 'checked'])
            out.append(
                f'<label data-kind={kind} data-label="{html.escape(t, True)}"><input type={kind} {on}> {html.escape(t)}</label>'
            )
        return br.join(out)

    def buttons(self):
        r = self.r
        names = [r.choice(BUTTONS) if r.random() < 0.4 else phrase(r) for _ in range(r.randint(1, 4))]
        return (
            f'<div style="text-align:{r.choice(["left", "left", "right", "center"])}">'
            + ' '.join(self.button(t) for t in names)
            + '</div>'
        )

    def text(self):
        r = self.r
        words = ' '.join(phrase(r, 4) for _ in range(r.randint(1, 6)))
        links = self.anchor(phrase(r), f'color:{self.link}') if r.random() < 0.6 else ''
        return f'<p style="margin:0">{html.escape(words)} {links}</p>'

    def table(self):
        r, n = self.r, self.r.randint(2, 4)
        pad = f'padding:{r.randint(2, 7)}px 8px;text-align:left;border-bottom:1px solid {self.line}'
        head = ''.join(self.tag('th', 'column', t, t, pad) for t in (phrase(r, 1) for _ in range(n)))
        body, kind = '', r.choice(['item', 'item', 'link'])
        for _ in range(r.randint(2, 6)):
            t = phrase(r)
            cells = (
                self.tag('td', 'item', t, t, pad)
                if kind == 'item'
                else f'<td style="{pad}">' + self.anchor(t, f'color:{self.link}') + '</td>'
            )
            for _ in range(n - 1):
                cells += f'<td style="{pad}">{html.escape(phrase(r) if r.random() < 0.4 else str(r.randint(1, 9999)))}</td>'
            body += f'<tr>{cells}</tr>'
        return f'<table style="border-collapse:collapse;width:{r.choice(["100%", "auto"])}"><tr>{head}</tr>{body}</table>'

    def cards(self):
        r, out = self.r, ''
        for _ in range(r.randint(2, 3)):
            t = html.escape(phrase(r, 2))
            out += f'<div style="flex:1;{self.frame}background:{self.panel};padding:8px"><b>{t}</b><br>{html.escape(phrase(r, 3))}<br>{self.button()}</div>'
        return f'<div style="display:flex;gap:{self.gap}px">{out}</div>'

    def list(self):
        r, out = self.r, ''
        for _ in range(r.randint(3, 7)):
            t = phrase(r)
            out += self.tag(
                'div', 'item', t, t, f'padding:{r.randint(2, 8)}px 8px;border-bottom:1px solid {self.line}'
            )
        return f'<div style="{self.frame}width:{r.choice([160, 200, 260])}px">{out}</div>'

    def body(self, most, shares):
        """Two to `most` of the parts, so often each."""
        parts = [self.rows, self.checks, self.buttons, self.text, self.table, self.cards, self.list]
        out = ''
        for _ in range(self.r.randint(2, most)):
            out += f'<div style="margin-bottom:{self.gap}px">{self.r.choices(parts, shares)[0]()}</div>'
        return out

    def html(self):
        r = self.r
        top = self.nav() if r.random() < 0.6 else ''
        head = self.heading() if r.random() < 0.5 else ''
        tabs = self.tabs() if r.random() < 0.3 else ''
        body = self.body(6, [4, 2, 3, 2, 2, 1, 1])
        if r.random() < 0.25:
            side = ''.join(
                self.anchor(
                    t, f'display:block;padding:{r.randint(3, 8)}px;color:{self.link};text-decoration:none'
                )
                for t in (phrase(r) for _ in range(r.randint(3, 7)))
            )
            body = f'<div style="display:flex;gap:14px"><div style="background:{self.panel};min-width:110px">{side}</div><div style="flex:1">{body}</div></div>'
        pad = f'padding:{r.randint(4, 30)}px {r.randint(6, 40)}px'
        style = f'font:{self.size}px {self.family};color:{self.fg};background:{self.bg};width:{self.w}px;height:{self.h}px'
        return f'<div class=cell style="position:relative;overflow:hidden;{style}">{top}<div style="{pad}">{head}{tabs}{body}</div></div>'


class LibraryPage(Page):
    """A page whose controls are those of a component library."""

    def __init__(self, r, w, h, library):
        super().__init__(r, w, h)
        self.lib, self.dark = library, r.random() < 0.3 and library.dark
        self.wide = r.choice(['', '', f'width:{r.randint(120, 260)}px;max-width:100%'])

    def data(self, kind, label, style='width:fit-content'):
        return f'data-kind="{kind}" data-label="{html.escape(label, True)}" style="{style}"'

    def fill(self, template, kind, t, **more):
        return template.format(data=self.data(kind, t), text=html.escape(t), **more)

    def button(self, t=None):
        t = t or phrase(self.r)
        return f'<button type=button class="{self.r.choice(self.lib.buttons)}" {self.data("button", t, "")}>{html.escape(t)}</button>'

    def field(self, t, value=''):
        return f'<input type=text class="{self.lib.field}" value="{html.escape(value, True)}" {self.data("field", t, self.wide)}>'

    def select(self, t, value):
        return self.lib.select.format(data=self.data('combo box', t, ''), text=html.escape(value))

    def control(self, t):
        r, u = self.r, self.r.random()
        if u < 0.72:
            return self.field(t, value_for(r, t) if r.random() < 0.35 else '')
        if u < 0.9:
            return self.select(t, phrase(r))
        return f'<textarea class="{self.lib.area}" {self.data("text area", t, "height:60px")}></textarea>'

    def rows(self):
        r = self.r
        named = {form_label(r): 0 for _ in range(r.randint(1, 4))}
        out = [self.lib.row.format(name=html.escape(t), control=self.control(t)) for t in named]
        if len(out) > 1 and r.random() < 0.3:
            return '<div style="display:flex;gap:12px;flex-wrap:wrap">' + ''.join(out) + '</div>'
        return ''.join(out)

    def checks(self):
        r, kind = self.r, self.r.choice(['checkbox', 'checkbox', 'radio'])
        several = [phrase(r) for _ in range(r.randint(1, 4))]
        out = [self.fill(self.lib.check, kind, t, type=kind, on=r.choice(['', 'checked'])) for t in several]
        return r.choice(['<br>', ' ']).join(out) if self.lib.check.startswith('<label') else ''.join(out)

    def nav(self):
        r = self.r
        kind = r.choice(['link', 'link', 'menu'])
        links = ''.join(self.fill(self.lib.link, kind, phrase(r, 1)) for _ in range(r.randint(2, 5)))
        return self.lib.nav.format(name=html.escape(phrase(r, 2)), links=links)

    def tabs(self):
        r, front = self.r, self.r.randint(0, 2)
        tabs = [
            self.fill(self.lib.tab, 'tab', phrase(r, 1), on=self.lib.chosen if i == front else '')
            for i in range(r.randint(2, 5))
        ]
        return self.lib.tabs.format(tabs=''.join(tabs))

    def table(self):
        r, n = self.r, self.r.randint(2, 4)
        head = ''.join(self.tag('th', 'column', t, t) for t in (phrase(r, 1) for _ in range(n)))
        body = ''
        for _ in range(r.randint(2, 5)):
            t = phrase(r)
            first = self.tag('td', 'item', t, t) if r.random() < 0.6 else f'<td>{self.anchor(t, "")}</td>'
            body += f'<tr>{first}{"".join(f"<td>{r.randint(1, 9999)}</td>" for _ in range(n - 1))}</tr>'
        return f'<table class="{self.lib.table}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def cards(self):
        out = ''
        for _ in range(self.r.randint(1, 3)):
            name, text = html.escape(phrase(self.r, 2)), html.escape(phrase(self.r, 4))
            out += f'<div style="flex:1">{self.lib.card.format(name=name, text=text, button=self.button())}</div>'
        return f'<div style="display:flex;gap:{self.gap}px">{out}</div>'

    def list(self):
        items = ''.join(self.fill(self.lib.item, 'item', phrase(self.r)) for _ in range(self.r.randint(2, 6)))
        return f'<div style="max-width:280px">{self.lib.list.format(items=items)}</div>'

    def html(self):
        r = self.r
        top = self.nav() if r.random() < 0.6 else ''
        head = self.heading() if r.random() < 0.4 else ''
        tabs = self.tabs() if r.random() < 0.35 else ''
        body = self.body(5, [4, 2, 3, 1, 2, 1, 1])
        attr, bg, fg = self.dark or ('', '#fff', '#222')
        style = (
            f'position:relative;overflow:hidden;width:{self.w}px;height:{self.h}px;background:{bg};color:{fg}'
        )
        pad = f'padding:{r.randint(6, 24)}px {r.randint(8, 32)}px'
        return f'<div class="cell" {attr} style="{style}">{top}<div class="{self.lib.page}" style="{pad}">{head}{tabs}{body}</div></div>'


def title_bar(r, im):
    """The picture below a window title, and its height."""
    h = 22
    out = Image.new('RGB', (im.width + 2, im.height + h + 1), (90, 90, 90))
    d = ImageDraw.Draw(out)
    for y in range(h - 1):
        k = y / h
        d.line((1, y + 1, im.width, y + 1), fill=(int(168 - 50 * k), int(192 - 40 * k), int(228 - 24 * k)))
    f = ImageFont.truetype('/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf', 11)
    t = phrase(r, 2)
    d.text(((im.width - d.textlength(t, font=f)) / 2, 4), t, font=f, fill=(255, 255, 255))
    out.paste(im, (1, h))
    return out, 1, h


def sheet(out, seed, mode, modules):
    r, styles = random.Random(seed), ''
    if mode != 'forms':
        sizes = [(r.randint(320, 445), r.randint(240, 310)) for _ in range(PER_SHEET)]
        sizes[::2] = [(r.randint(480, 640), r.randint(330, 450)) for _ in sizes[::2]]
        sizes[::5] = [(r.randint(640, 800), r.randint(400, 560)) for _ in sizes[::5]]
        if mode == 'libraries':
            library = r.choice(LIBRARIES)
            styles = ''.join(
                f'<link rel=stylesheet href="file://{os.path.abspath(modules)}/{f}">' for f in library.css
            )
            cells = [LibraryPage(r, w, h, library).html() for w, h in sizes]
        else:
            cells = [Page(r, w, h).html() for w, h in sizes]
    else:
        sizes = [(r.randint(300, 446), r.randint(140, 310)) for _ in range(PER_SHEET)]
        cells = [cell(r, w, h) for w, h in sizes]
    page = (
        f'<!doctype html><meta charset=utf-8>{styles}<style>body{{margin:0;padding:0}}</style>'
        + ''.join(cells)
        + f'<script>{SCRIPT}</script>'
    )
    height = sum(h for _, h in sizes)
    with tempfile.TemporaryDirectory() as tmp:
        with open(tmp + '/p.html', 'w') as f:
            f.write(page)
        base = ['chromium', *FLAGS.split(), f'--user-data-dir={tmp}/u', f'--window-size=820,{height}']
        quiet = dict(stderr=subprocess.DEVNULL)
        subprocess.run(
            base + [f'--screenshot={tmp}/p.png', f'file://{tmp}/p.html'], stdout=subprocess.DEVNULL, **quiet
        )
        dom = subprocess.run(
            base + ['--dump-dom', f'file://{tmp}/p.html'], stdout=subprocess.PIPE, text=True, **quiet
        ).stdout
        told = json.loads(html.unescape(re.search(r'<pre id="out"[^>]*>(.*?)</pre>', dom, re.S)[1]))
        im = Image.open(tmp + '/p.png').convert('RGB')
    y = 0
    for i, ((w, h), d) in enumerate(zip(sizes, told)):
        part, dx, dy = im.crop((0, y, w, y + h)), 0, 0
        y += h
        if r.random() < 0.6:
            part, dx, dy = title_bar(r, part)
        els = []
        for e in d['el']:
            b = [int(round(v)) for v in e['box']]
            if b[2] < w and b[3] < h and b[2] - b[0] > 4:
                els.append(dict(e, box=[b[0] + dx, b[1] + dy, b[2] + dx, b[3] + dy]))
        ws = []
        for t, xs, my in d['words']:
            cut = len(t) - len(t.lstrip())
            t, xs = t.strip(), xs[cut : cut + len(t.strip())]
            if t and my < h and xs[-1] < w:
                ws.append((t, [x + dx for x in xs], my + dy))
        name = '%s/%07d' % (out, seed * PER_SHEET + i)
        part.save(name + '.png')
        with open(name + '.json', 'w') as f:
            json.dump(dict(w=part.width, h=part.height, el=els, words=ws), f)


def main():
    out, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    for k in range(count // PER_SHEET):
        sheet(out, seed * 1000 + k, *(sys.argv[4:] + ['forms', ''])[:2])


if __name__ == '__main__':
    main()
