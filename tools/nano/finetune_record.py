#!/usr/bin/python3
"""Show a program how it is used, and write the steps down: training and evaluation rows with exact truth.

    nice python3 tools/nano/finetune_record.py SPEC.json OUT

SPEC is one screen as eval_set_screens.py has it, or a list of such: which program, on what screen, and "tasks", each a goal and
its steps, for example ["Click 7 and click =", [["click", "toggle:7"], ["click", "toggle:="]]].  The program is started on an Xvfb of
its own for each task, its controls are found through AT-SPI, every step is done for real, and the picture before it is kept.
OUT gets steps.jsonl (for deskhand eval) and train.jsonl (ms-swift's rows, for finetune.py), with the same pictures.
Run with the system's Python, as eval_set.py.
"""

import json
import os
import sys

from PIL import Image

import eval_set
from tasks import AEND, AGENT

HERE = os.path.dirname(os.path.abspath(__file__))


def part(window, w, h, least):
    """What the daemon shows of a screen larger than the model was trained on: bench/eval_row.c has the same."""
    if not window or (w <= least[0] and h <= least[1]):
        return 0, 0, w, h
    x, y, pw, ph = window
    gw, gh = min(max(pw, least[0]), w), min(max(ph, least[1]), h)
    x, y = (max(0, min(a + b // 2 - c // 2, whole - c)) for a, b, c, whole in ((x, pw, gw, w), (y, ph, gh, h)))
    return x, y, gw, gh


def snap(low, high):
    """A point that training uses: the middle of a 28 px cell well inside, else of a 14 px patch, else the middle."""
    middle = (low + high) / 2
    for step, inset in ((28, 3), (14, 2)):
        g = step * round((middle - step / 2) / step) + step // 2
        if low + inset <= g <= high - inset:
            return g
    return int(middle)


def past(a, x, y, scale):
    """A line of the official history, its points in the picture as the model sees it; an input has none."""
    a = {('action_name' if k == 'action' else k): v for k, v in a.items() if not (k == 'start_point' and a['action'] == 'input')}
    if 'start_point' in a:
        a['start_point'] = [round((v - o + 0.5) * s - 0.5) for v, o, s in zip(a['start_point'], (x, y), scale)]
    return json.dumps(a)


def answer(row, x, y):
    """(the model's words, its point in the part that it sees or None)"""
    e, point = row['expect'], None
    action = dict(action=e['action'])
    if 'bbox' in e:
        b = e['bbox']
        point = [snap(b[0] - x, b[0] - x + b[2]), snap(b[1] - y, b[1] - y + b[3])]
        action['start_point'] = '<bbox>'
    action.update({k: e[k] for k in ('text', 'keys') if k in e})
    if e['action'] == 'finished':
        think, action['status'] = 'done', 'success'
    elif e['action'] == 'press':
        think = 'key ' + '+'.join(k.capitalize() for k in e['keys'])
    else:
        think = row.get('target', 'type')
    return f'<think>\n{think}\n</think>\n\n' + json.dumps(action).replace('"<bbox>"', '<bbox>'), point


def swift(row, out, least):
    """A row for training; the part of the picture that the model sees is kept beside the whole."""
    im = Image.open(f'{out}/images/{row["img_filename"]}')
    x, y, w, h = part(row.get('window'), *im.size, least)
    name = 'images/seen-' + row['img_filename']
    eval_set.save(im.convert('RGB').crop((x, y, x + w, y + h)), f'{out}/{name}')
    said, point = answer(row, x, y)
    scale = [max(56, round(v / 28) * 28) / v for v in (w, h)]  # to whole cells, as Qwen2.5-VL's processor resizes
    history = ''.join(f'Step {i}: {past(a, x, y, scale)}.' for i, a in enumerate(row['history'])) or 'None'
    user = '<image>' + AGENT + row['goal'] + '\n\n## Previous Actions\n' + history + AEND
    turns = [dict(role='user', content=user), dict(role='assistant', content=said)]
    objects = dict(objects=dict(ref=[], bbox=[point], bbox_type='real')) if point else {}
    return dict(messages=turns, images=[name], **objects)


def main():
    specs, out = json.load(open(sys.argv[1])), sys.argv[2]
    with open(HERE + '/../../data/nano/preprocessor_config.json') as f:
        seen = json.load(f)
    least = seen['trained_screen_width'], seen['trained_screen_height']
    maker = eval_set.Maker(out)
    for spec in specs if isinstance(specs, list) else [specs]:
        for i, task in enumerate(spec['tasks']):
            one = dict(spec, name=f'{spec["name"]}-{i}', size=tuple(spec['size']), tasks=[task], targets=False)
            maker.run(one)
            print(one['name'], len(maker.steps), flush=True)
    with open(out + '/steps.jsonl', 'w') as f, open(out + '/train.jsonl', 'w') as g:
        for row in maker.steps:
            f.write(json.dumps(row) + '\n')
            g.write(json.dumps(swift(row, out, least)) + '\n')


if __name__ == '__main__':
    main()
