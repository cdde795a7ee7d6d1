"""Write data/nano/SKILL.md from what measure.sh measured: python skill.py OUT "the weights of 0123abc" > SKILL.md"""

import json
import re
import sys

# row of the table, category of `deskhand eval`
TARGETS = [
    ('by what is printed on it', 'text'),
    ('field by its label', 'field'),
    ('icon by its name', 'icon'),
    ('... in a theme that it has learned', 'known icon'),
    ('by its role', 'role'),
    ('by position or neighbour', 'relation'),
    ('absent: refused', 'absent'),
]
STEPS = [
    ('first step, all of it right', 'first step'),
    ('later step, all of it right', 'later step'),
    ('`finished` when it is', 'finished'),
    ('kind of the action', 'its kind'),
    ('point in its box', 'its point'),
    ('text copied exactly', 'its text, exact'),
]
KITS = ('gtk3', 'qt5', 'qt6', 'xaw', 'web', 'terminal')
# row of the table, key of evaluate.py
SMALL = [
    ('kind of the next action', 'kind of action'),
    ('think line (what the target is)', 'think line'),
    ('text copied exactly', 'text exact'),
    ('point inside a field', 'point in field'),
    ('point inside a button', 'point in button'),
    ('... anything else', 'point in other'),
    ('absent target refused', 'absent target refused'),
    ('**whole step**', 'whole step'),
    ('grounding prompt, middle of the box inside a field', 'grounding: middle of the box in field'),
    ('... a button', 'grounding: middle of the box in button'),
    ('... anything else', 'grounding: middle of the box in other'),
    ('... box with an overlap of at least 0.5', 'grounding: overlap 0.5'),
    ('... absent target: an empty list', 'grounding: absent target refused'),
    ('"is there ...?", answer yes', 'question: yes'),
    ('"is there ...?", answer no', 'question: no'),
    ('contents of a field read', 'question: reading'),
]
LARGE = [
    ('whole step', 'whole step'),
    ('think line', 'think line'),
    ('point inside its target', 'point in '),
    ('grounding prompt, middle of the box inside', 'grounding: middle of the box in '),
]
FORMS = [
    ('steps in order', 'order of steps'),
    ('field named in the think line', 'field named'),
    ('text copied exactly', 'text exact'),
    ('entries with the right text', 'entry'),
    ('form submitted', 'submitted'),
    ('**whole form filled and submitted correctly**', 'whole form'),
]


def scores(path):
    """{first word of the line: {key: (right, of)}} of evaluate.py's output"""
    found = {}
    with open(path) as f:
        for line in f:
            first, _, rest = line.partition(' ')
            if first in ('blind', 'drawn', 'forms', 'windows', 'zenity'):
                rows = re.findall(r'([^,]+) (\d+)/(\d+)', re.sub(r'^\d+x\d+ ', '', rest))
                found[first] = {k.strip(): (int(a), int(b)) for k, a, b in rows}
    return found


def share(s, key):
    """right/of; a key that ends in a space is the sum of all that begin so"""
    rows = [v for k, v in s.items() if k == key or key.endswith(' ') and k.startswith(key)]
    return f'{sum(a for a, b in rows)}/{sum(b for a, b in rows)}' if rows else ''


def table(head, rows):
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '---|' * len(head))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print()


def hits(section, key=None, between=False):
    c = section if key is None else section['categories'][key]
    s = f'{c["right"]}/{c["n"]}'
    return s + f' ({100 * c["low"]:.0f} to {100 * c["high"]:.0f} %)' if between else s


def sections(path):
    with open(path) as f:
        return json.load(f)['sections']


def main(folder, before_is):
    small, again, large = (scores(f'{folder}/{n}.txt') for n in ('448', '777', '640'))
    was = [scores(f'{folder}/before_{n}.txt')['zenity'] for n in ('4242', '777', '640')]
    now, one, old = (sections(f'{folder}/{n}.json') for n in ('heldout', 'one_look', 'before'))
    with open(folder + '/hf.txt') as f:
        same = f.read().strip().splitlines()[-1]

    print('# What the model can do, measured\n')
    print(
        '`sh tools/nano/measure.sh` measures it and `tools/nano/skill.py` writes this page. The first three tables are'
    )
    print(
        "`evaluate.py`'s: greedy, without the engine's grammar, on windows of the training's generators that were kept out of it.\n"
    )
    parts = ('drawn', 'forms', 'windows', 'blind')
    rows = [(t, *(share(small.get(p, {}), k) for p in parts)) for t, k in SMALL]
    head = 'drawn, unseen', 'forms, held out', 'all windows, held out', 'no picture'
    table(('screens of 448x336', *head), rows)
    rows = [(t, share(large['forms'], k), share(large['windows'], k)) for t, k in LARGE]
    table(('screens of 644x476', *head[1:3]), rows)
    forms = [s['zenity'] for s in (small, again, large)]
    seeds = '448x336, seed 4242', '448x336, seed 777', '640x480, seed 4242'
    table(
        ('stock `zenity --forms`, end to end', *seeds), [(t, *(share(s, k) for s in forms)) for t, k in FORMS]
    )
    print(f'Whole forms with {before_is}: {", ".join(share(s, "whole form") for s in was)}.\n')
    print(
        'A zenity task: three entries with random labels, random values (words, names, mail addresses, numbers), half of them with'
    )
    print('random title and text, one sentence, at most five steps.\n')
    print(f'Beside transformers (`check_hf.py`): {same}\n')

    print('## Real programs held out, measured\n')
    print('    deskhand eval tests/eval --model data/nano\n')
    ground = now['grounding prompt']
    print(
        'The set is [tests/eval](../../tests/eval/README.md): stock programs, pages, GTK, icon and window-manager themes that'
    )
    print(
        f'training never saw (but for the icon themes of one row); {ground["n"]} targets, {now["next step"]["n"]} steps of tasks, {now["questions"]["n"]} questions.'
    )
    print(
        "Hits of all, and between which shares the true one lies with 95 %. Greedy, the engine's grammar, a screen larger than"
    )
    print(
        f'448x336 cut to the window with the focus, as the daemon does. "One look": `--looks 1`. "Before": {before_is}.\n'
    )
    sizes = [k for k in ground['categories'] if k.startswith('at ')]
    rows = TARGETS + [('on ' + k, 'on ' + k) for k in KITS]
    rows += [(k, k) for k in sorted(sizes, key=lambda k: [int(n) for n in k[3:].split('x')])]
    rows.append(('**all**', None))
    prompts = "agent's prompt", 'grounding prompt'
    columns = [(s[p], s is now) for p in prompts for s in (now, one, old)]
    head = 'targets', prompts[0], 'one look', 'before', prompts[1], 'one look', 'before'
    table(head, [(t, *(hits(s, k, b) for s, b in columns)) for t, k in rows])
    columns = [(s['next step'], s is now) for s in (now, one, old)]
    rows = STEPS + [('**all**', None)]
    head = 'next step of a task', '', 'one look', 'before'
    table(head, [(t, *(hits(s, k, b) for s, b in columns)) for t, k in rows])
    print('How often it is right, by how sure its looks at the screen are (`sure_below` of a policy):\n')
    asked = *prompts, 'next step'
    rows = sorted({k for a in asked for k in now[a]['categories'] if k.startswith('sure: ')})
    rows = [(k[6:], *(hits(now[a], k) if k in now[a]['categories'] else '' for a in asked)) for k in rows]
    table(('sure', *asked), rows)
    columns = (now['questions'], True), (old['questions'], False)
    rows = [(k, k) for k in ('yes/no', 'reading')]
    table(('questions', '', 'before'), [(t, *(hits(s, k, b) for s, b in columns)) for t, k in rows])


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
