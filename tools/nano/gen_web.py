"""Render web forms with a headless Chromium, in the format of gen_real.py.

    python gen_web.py OUT SEED COUNT [chromium]

One call of the browser draws a sheet of forms; a script in the page writes down every control's box and every
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
  for (const e of cell.querySelectorAll('[data-kind]'))
    el.push({kind: e.dataset.kind, label: e.dataset.label, value: e.value || '', box: rel(e.getBoundingClientRect())});
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let n; n = walk.nextNode();) {
    let line = null, y = -1;
    for (let i = 0; i < n.data.length; i++) {
      range.setStart(n, i); range.setEnd(n, i + 1);
      const r = range.getBoundingClientRect();
      if (!r.width) continue;
      const my = (r.top + r.bottom) / 2 - o.top + 1;
      if (!line || Math.abs(my - y) > 4) words.push(line = ['', [], y = my]);
      line[0] += n.data[i]; line[1].push((r.left + r.right) / 2 - o.left);
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


def sheet(out, seed, browser):
    r = random.Random(seed)
    sizes = [(r.randint(300, 446), r.randint(140, 310)) for _ in range(PER_SHEET)]
    cells = [cell(r, w, h) for w, h in sizes]
    page = (
        '<!doctype html><meta charset=utf-8><style>body{margin:0}</style>'
        + ''.join(cells)
        + f'<script>{SCRIPT}</script>'
    )
    height = sum(h for _, h in sizes)
    with tempfile.TemporaryDirectory() as tmp:
        with open(tmp + '/p.html', 'w') as f:
            f.write(page)
        base = [browser, *FLAGS.split(), f'--user-data-dir={tmp}/u', f'--window-size=460,{height}']
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
        sheet(out, seed * 1000 + k, sys.argv[4] if len(sys.argv) > 4 else 'chromium')


if __name__ == '__main__':
    main()
