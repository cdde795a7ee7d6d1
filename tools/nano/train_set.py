"""Screens of the training as an evaluation set:  python train_set.py WINDOWS OUT [N]

What the model gets right of these and not of other programs' it has learned by heart; what it misses of both it has not
been taught well enough, or is too small for.  `deskhand eval OUT/targets.json --agent --looks 1` counts, by category:
targets named by what is printed on them, fields, icons, by neighbour or place in a row, and the only ones of a kind.
"""

import json
import os
import sys

import screens
import tasks

SIZES = ((448, 336), (644, 476), (560, 420), (812, 588))
FIELDS = ('field', *tasks.UNNAMED)


def category(e, near):
    if near:
        return 'relation' if near.via or near.think != e['kind'] else f'only {e["kind"]}'
    return 'known icon' if e.get('icon') else 'field' if e['kind'] in FIELDS else 'text'


def targets(s, name):
    """One or two of a category."""
    r, count = s.r, {}
    els = [e for e in tasks.usable(s) if e['kind'] not in tasks.FRAME]
    r.shuffle(els)
    for e in els:
        near = tasks.related(s, e) if not e['label'] or r.random() < 0.5 else None
        if not near and not e['label']:
            continue
        of = category(e, near)
        group = of.split()[0]
        if count.get(group, 0) == (2 if group == 'text' else 1):
            continue
        count[group] = count.get(group, 0) + 1
        say = f'{tasks.verb(r, e)} {near.say}' if near else f'click {e["label"]}'
        if of == 'field':
            say = f'click the {e["label"]} {tasks.spoken(r, e)}'
        x, y, right, bottom = (int(v) for v in e['box'])
        box = [x, y, right - x, bottom - y]
        yield dict(img_filename=name, bbox=box, instruction=say, data_type=of, size=f'{s.w}x{s.h}')


def main(windows, out, n='240'):
    os.makedirs(out + '/images', exist_ok=True)
    real, rows = screens.Real(windows), []
    for i in range(int(n)):
        s = screens.Composite(*SIZES[i % len(SIZES)], 9 * 10**6 + i, real, 0.0, 0.3, 0.0, 1.0)
        s.img.save(f'{out}/images/{i}.png')
        rows += targets(s, f'{i}.png')
    with open(out + '/targets.json', 'w') as f:
        json.dump(rows, f)
    print(len(rows), 'targets')


if __name__ == '__main__':
    main(*sys.argv[1:])
