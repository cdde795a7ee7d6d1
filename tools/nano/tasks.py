"""Goals, histories and answers for a screen, in MiMo-VL's own prompt formats."""

from collections import Counter, namedtuple

from icons import PICTURE, picture
from words import FIELDS, WORDS, form_label, hard_value, path, phrase, value_for

SYS = (
    '<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n'
    '<|im_start|>user\n<|vision_start|>'
)
AGENT = '''You are a GUI agent. You will be provided with a screenshot, a goal, and your action history. \
You need to perform the next action to complete the task.

## Action Space
{"action": "click", "start_point": [x,y]}
{"action": "drag", "start_point": [x,y], "end_point": [x,y]}
{"action": "input", "text": "text"}
{"action": "press", "keys": [key1, key2, ...]}
{"action": "wait"}
{"action": "finished", "status": "status"}

## Goal
'''
AEND = '\n\nNow, output the next action in json format [{"action": "{action_name}"}, ...].'
LOC = 'Locate UI components that match the command: "'
LEND = '". Output a JSON in the format [{"bbox_2d": [...], "label": "{the_whole_command}"}, ...].'
TURN = '<|im_end|>\n<|im_start|>assistant\n'
FINISHED = '{"action": "finished", "status": "success"}'
KEYS = [
    ('Enter', 'enter'),
    ('Tab', 'tab'),
    ('Escape', 'esc'),
    ('Ctrl+S', 'ctrl s'),
    ('Ctrl+C', 'ctrl c'),
    ('Ctrl+V', 'ctrl v'),
    ('Ctrl+A', 'ctrl a'),
    ('Alt+F4', 'alt f4'),
    ('Delete', 'delete'),
    ('Backspace', 'backspace'),
    ('F5', 'f5'),
    ('Ctrl+Z', 'ctrl z'),
    ('Page Down', 'pagedown'),
    ('Down', 'down'),
    ('Up', 'up'),
    ('Left', 'left'),
    ('Right', 'right'),
    ('Home', 'home'),
    ('End', 'end'),
    ('Page Up', 'pageup'),
    ('Space', 'space'),
    ('Shift+Tab', 'shift tab'),
]
SUBMIT = ('OK', 'Save', 'Submit', 'Send')
# what people call a kind of control
SPOKEN = {
    'field': ['field', 'field', 'text field', 'entry', 'input', 'input field', 'box'],
    'item': ['item', 'row', 'entry', 'menu item'],
    'radio': ['radio button', 'option'],
    'checkbox': ['checkbox', 'checkbox', 'check box'],
    'combo box': ['drop-down', 'drop-down list', 'combo box'],
    'number field': ['number field', 'spin box'],
    'text area': ['text area', 'text box'],
    'scroll bar': ['scroll bar', 'scrollbar'],
    'column': ['column', 'column header'],
}
# what is said of a control {0}, also called {1}, beside "click {0}"
INTO = 'click into {0}|click into the {0} {1}|click into the {1} {0}|put the cursor in the {0} {1}|put the cursor into {0}'
INTO += '|focus the {0} {1}|focus {0}|click in the {1} {0}|go to the {0} {1}'
WAYS = {
    'checkbox': 'select {0}|check {0}|tick {0}|untick {0}|turn on {0}|enable {0}|toggle {0}|check the {0} {1}|toggle the {1} {0}|tick the {1} {0}',
    'radio': 'select {0}|choose {0}|pick {0}|choose the {1} {0}|select the {0} {1}|select the option {0}',
    'menu': 'open the {0} menu|open the {0} menu|open {0}|open the menu {0}|pull down the {0} menu',
    'combo box': 'open the {0} {1}|open the {0} {1}|open {0}|open the {1} {0}|pull down the {0} list',
    'tab': 'open the {0} tab|switch to the {0} tab|go to the {0} tab|select the {0} tab|switch to {0}|open the tab {0}',
    'item': 'select {0} in the list|choose {0} in the menu|choose {0} from the list|click {0} in the menu|pick {0}',
    'switch': 'toggle {0}|turn on {0}|turn off {0}|switch {0}|toggle the {1} {0}',
    'link': 'follow the link {0}|open the link {0}|follow {0}|go to {0}',
    'column': 'sort by {0}|click the column header {0}|sort the list by {0}|click the {0} column',
    'field': INTO,
    'number field': INTO,
    'text area': INTO,
}
VERBS = {
    'combo box': ['open', 'open'],
    'menu': ['open', 'open'],
    'tab': ['switch to', 'open'],
    'checkbox': ['toggle', 'check', 'tick'],
    'field': ['click into', 'click into', 'put the cursor in', 'focus'],
    'number field': ['click into', 'put the cursor in'],
    'text area': ['click into', 'click into', 'put the cursor in'],
}
# controls that mostly have no name
UNNAMED = ['combo box', 'text area', 'number field', 'slider', 'scroll bar', 'progress bar']
FRAME = ('close', 'maximize', 'minimize')
AFTER = ['to the right of', 'right of', 'after', 'next to']
NTH = 'first second third fourth fifth sixth seventh'.split()

# one step of a task: how the goal says it, the think line, the action, its line in the history, its target, the controls
# whose points the think line has
Op = namedtuple('Op', 'say think action past el via', defaults=[()])
# what is asked of the model: the goal, the history, the answer, the target on the screen (or None), the labels in the goal,
# the controls whose points the think line has
Task = namedtuple('Task', 'goal history answer el labels via', defaults=[()])
# a control by its relation to others: how that is said, the think line, the controls whose points that has
Near = namedtuple('Near', 'say think via')
# a label that a sentence names: the control that has it (or None), whether it is anywhere on the screen
Label = namedtuple('Label', 'text el there')


def snap(a, b):
    """A whole number inside (a, b), near its middle and on the coarsest grid that has one: the middles of the
    model's 28 px cells, else of the 14 px patches, else of their quarters, else exact.  The digits of a point
    then follow from the cell.
    """
    m = (a + b) / 2
    for step, inset in ((28, 3), (14, 2), (7, 1)):
        g = step * round((m - step / 2) / step) + step // 2
        if a + inset <= g <= b - inset:
            return g
    return int(m)


def center(b):
    return snap(b[0], b[2]), snap(b[1], b[3])


def corner(b):
    """A box with its corners on the grid of patches, where it stays a box around the same middle."""
    g = [14 * round(v / 14) for v in b]
    mx, my = (b[0] + b[2]) / 2, (b[1] + b[3]) / 2
    ok = b[0] < (g[0] + g[2]) / 2 < b[2] and b[1] < (g[1] + g[3]) / 2 < b[3]
    return g if ok and g[0] < mx < g[2] and g[1] < my < g[3] else b


def count_kinds(s):
    """How many controls of each kind the screen has, those counted of which only a part is seen."""
    return Counter(e['kind'] for e in s.el + getattr(s, 'cut', []))


def only_ones(s):
    """The controls that have no other of their kind beside them."""
    count = count_kinds(s)
    return [e for e in s.el if count[e['kind']] == 1 and e['kind'] not in FRAME]


def usable(s):
    """The controls that can be named without doubt."""
    count = Counter(e['label'].lower() for e in s.el if e['label'])
    kinds = Counter(e['kind'] for e in s.el)
    return [e for e in s.el if (count[e['label'].lower()] == 1 if e['label'] else kinds[e['kind']] == 1)]


def some(r, els, n):
    """Up to n controls; of a kind that the screen has often, each is taken less often, and one without a label, which few
    screens have, more often."""

    def kind(e):
        return 'icon' if e.get('icon') else e['kind']

    count = Counter(map(kind, els))

    def power(e):
        return count[kind(e)] ** 0.5 * (1 if e['label'] or e['kind'] in FRAME else 0.3)

    return sorted(els, key=lambda e: r.random() ** power(e), reverse=True)[:n]


def named(e):
    """What a control is, in the line of thought."""
    return (
        f'{e["kind"]} "{e["label"]}"' if e['label'] else e['kind'] + (' button' if e['kind'] in FRAME else '')
    )


def spoken(r, e):
    return r.choice(SPOKEN.get(e['kind'], [e['kind']]))


def line_of(e, els, axis):
    """The controls of its kind in its row (axis 0) or its column (axis 1), in order."""
    o = 1 - axis
    m = (e['box'][o] + e['box'][o + 2]) / 2
    return sorted(
        (q for q in els if q['kind'] == e['kind'] and q['box'][o] <= m <= q['box'][o + 2]),
        key=lambda q: q['box'][axis],
    )


def at(e):
    return '[{}, {}]'.format(*center(e['box']))


def related(s, e):
    """A control by its neighbour, by its place in a row or a column, or as the only one of its kind (a Near); None where
    that would not be plain.  The line of thought goes there step by step: it has the point of the neighbour, or of all
    that come before in the row."""
    r, out = s.r, []
    cut = getattr(s, 'cut', [])  # controls of which only a part is seen
    win = [q for q in s.el + cut if q.get('win') == e.get('win')]
    labels = Counter(q['label'].lower() for q in s.el)
    kind = count_kinds(s)[e['kind']]
    name = spoken(r, e)
    if kind == 1 and e['kind'] not in FRAME:
        only = Near(f'the {name}', e['kind'], [])
        if e['kind'] in UNNAMED and r.random() < 0.6:
            return only
        out += [only] * 2
    for axis, before, after, end in (
        (0, ('left of', ['to the left of', 'left of', 'before']), ('right of', AFTER), 'left'),
        (1, ('above', ['above', 'over']), ('below', ['below', 'under', 'beneath']), 'top'),
    ):
        line = line_of(e, win, axis)
        if len(line) < 2 or any(a['box'][axis + 2] > b['box'][axis] + 3 for a, b in zip(line, line[1:])):
            continue
        if any(q is c for q in line for c in cut):
            continue
        i = next(j for j, q in enumerate(line) if q is e)
        for j, (side, words) in ((i - 1, after), (i + 1, before)):
            if 0 <= j < len(line) and line[j]['label'] and labels[line[j]['label'].lower()] == 1:
                q = line[j]
                say = f'the {name} {r.choice(words)} {quoted(r, q["label"])}'
                out.append(Near(say, f'{e["kind"]} {side} "{q["label"]}" {at(q)}', [q]))
        if kind == len(line) <= 7:
            say = f'the {NTH[i]} {name}' + r.choice(['', f' from the {end}', f' from the {end}'])
            think = ' '.join([e['kind'], str(i + 1)] + [at(q) for q in line[:i]])
            out.append(Near(say, think, line[:i]))
            if i == len(line) - 1:
                out.append(Near(f'the last {name}', f'{e["kind"]} last', []))
    return r.choice(out) if out else None


def verb(r, e):
    return r.choice(['click', 'click', 'press', 'click on', 'select', 'choose'] + VERBS.get(e['kind'], []))


def if_absent(s, label):
    """The label if the screen does not have it, nor an icon that is called so, else None."""
    there = ' '.join([t.lower() for t in s.texts] + [f'{e["kind"]} {e["label"].lower()}' for e in s.el])
    is_icon = PICTURE.get(label.lower(), 'none') in map(picture, s.el)
    return label if label.lower() not in there and not is_icon else None


def missing(s, kind):
    """A label that the screen does not have, or None: mostly one of another window's, of a control of that kind.  What a
    label is like must not tell whether it is there."""
    r, named = s.r, [e for e in getattr(s, 'elsewhere', ()) if len(e['label']) > 1 and '"' not in e['label']]
    if not named or r.random() < 0.3:
        return if_absent(s, r.choice([form_label, phrase, phrase])(r))
    return if_absent(s, r.choice([e for e in named if e['kind'] == kind] or named)['label'])


def quoted(r, t, p=0.15):
    return f'"{t}"' if r.random() < p else t


def cap(r, q):
    return q[0].upper() + q[1:] if r.random() < 0.6 else q


def answer(think, action):
    return f'<think>\n{think}\n</think>\n\n{action}'


def hist(lines):
    return ''.join(f'Step {j}: {h}.' for j, h in enumerate(lines)) or 'None'


def input_op(e, v, say='', near=None):
    return Op(
        say,
        near.think if near else named(e),
        f'{{"action": "input", "start_point": {at(e)}, "text": "{v}"}}',
        f'{{"action_name": "input", "text": "{v}"}}',
        e,
        near.via if near else (),
    )


def click_op(e, say='', near=None):
    act = f'click", "start_point": {at(e)}}}'
    think, via = (near.think, near.via) if near else (named(e), ())
    return Op(say, think, '{"action": "' + act, '{"action_name": "' + act, e, via)


def key_op(key, say=''):
    name, keys = key
    act = 'press", "keys": [' + ', '.join(f'"{t}"' for t in keys.split(' ')) + ']}'
    return Op(say, f'key {name}', '{"action": "' + act, '{"action_name": "' + act, None)


def type_op(text):
    act = f'input", "text": "{text}"}}'
    return Op('', 'type', '{"action": "' + act, '{"action_name": "' + act, None)


def typed(r):
    v = r.random()
    w = r.choice(WORDS).lower()
    if v < 0.35:
        return w
    if v < 0.55:
        return w + ' ' + r.choice(WORDS).lower()
    if v < 0.7:
        return str(r.randint(0, 99999))
    if v < 0.85:
        return w + '@' + r.choice(['example.com', 'mail.org', 'test.io'])
    return w.capitalize() + ' ' + r.choice(WORDS).capitalize()


def single(s, e):
    """One control of any kind, used on its own."""
    r, kind, label = s.r, e['kind'], e['label']
    if kind in FRAME:
        return click_op(e, r.choice([f'{kind} the window', f'click the {kind} button']))
    by_others = 0.4 if s.blind or kind in UNNAMED else 0.3
    near = related(s, e) if not label or r.random() < by_others else None
    if near:
        if kind == 'field' and label and r.random() < 0.5:
            t = typed(r)
            v = quoted(r, t, 0.4)
            return input_op(e, t, r.choice(['type {} in {}', 'enter {} into {}']).format(v, near.say), near)
        return click_op(e, f'{verb(r, e)} {near.say}', near)
    if not label:
        return click_op(e, f'{verb(r, e)} the {spoken(r, e)}')
    l = quoted(r, label if r.random() < 0.75 else label.lower(), 0.3)
    if kind == 'field' and r.random() < 0.55:
        t = typed(r)
        v = quoted(r, t, 0.4)
        say = r.choice(
            [
                f'type {v} in the {l} field',
                f'type {v} into {l}',
                f'enter {v} in {l}',
                f'fill {l} with {v}',
                f'set {l} to {v}',
                f'write {v} in the {l} box',
            ]
        )
        return input_op(e, t, say)
    name = spoken(r, e)
    if e.get('icon') and r.random() < 0.6:
        name = 'icon'
    if kind in WAYS and r.random() < 0.55:
        say = r.choice(WAYS[kind].split('|')).format(l, name)
    elif r.random() < 0.15:
        say = f'{verb(r, e)} the {name} {l}'
    elif r.random() < 0.5:
        say = r.choice(['click', 'click on', 'press', 'select', 'choose']) + ' ' + l
    else:
        say = f'{r.choice(["click", "press", "go to", "click on"])} the {l} {name}'
    return click_op(e, say)


def form_goal(r, pairs, button, blind=False):
    """One sentence for a whole form; without a picture, where an unknown label ends must be plain."""
    P = [(quoted(r, l if blind or r.random() < 0.9 else l.lower()), quoted(r, v)) for l, v in pairs]
    v = r.random()
    if blind and v < 0.3 and any(l not in FIELDS for l, _ in pairs):
        v = r.uniform(0.3, 1)
    if not blind and v > 0.3 and r.random() < 0.25:
        v = 0
    if v < 0.3:
        heads = ['Fill in the form: '] * 2 + ['Fill the form: ', 'Fill in: ', 'Form: ']
        s = r.choice(heads + ['Fill out the form with ']) + ', '.join(f'{l} {x}' for l, x in P)
    elif v < 0.45:
        s = r.choice(['Fill in the form: ', 'Fill in ', '']) + ', '.join(f'{l}: {x}' for l, x in P)
    elif v < 0.65:
        s = 'Set ' + r.choice([' and ', ', ']).join(f'{l} to {x}' for l, x in P)
    elif v < 0.8:
        s = r.choice(['Enter ', 'Type ', 'Put '])
        where = r.choice(['in {}', 'into {}', 'in {}', 'into {}', 'in the {} field', 'into the {} box'])
        s += ', '.join(f'{x} {where.format(l)}' for l, x in P)
    elif v < 0.9:
        s = 'Fill ' + ', '.join(f'{l} with {x}' for l, x in P)
    else:
        s = 'Enter ' + ', '.join(f'{x} as {l}' for l, x in P)
    if button:
        links = [', then press ', ' and press ', ' and click ', ', then click ', '. Then press ']
        s += r.choice(links + [', press ', ' and then click ']) + quoted(r, button)
    return s + ('.' if r.random() < 0.2 else '')


def form_plan(s, form, buttons):
    """The entries of a form, then a button or a key.  With a picture the steps done are mostly those that it shows."""
    r, n, done = s.r, len(form), 0
    while done < n and form[done].get('value'):
        done += 1
    u = r.random()
    if u < 0.2:
        part, done = r.sample(form, r.randint(1, n)), None
    else:
        part = form[: n if r.random() < 0.7 else r.randint(max(done, 1), n)]
        done = None if s.blind or u < 0.35 else min(done, len(part))
    shown = done is not None
    pairs = []
    for e in part:
        v = hard_value(r) if r.random() < (0.35 if s.blind else 0.2) else value_for(r, e['label'])
        pairs.append((e['label'], e['value'] if shown and e.get('value') else v))
    button = r.choice(buttons) if buttons and r.random() < 0.85 else None
    if button and r.random() < 0.5:
        button = next((e for e in buttons if e['label'] in SUBMIT), button)
    ops = [input_op(e, v) for e, (_, v) in zip(part, pairs)]
    goal = form_goal(r, pairs, button and button['label'], s.blind)
    if button:
        ops.append(click_op(button))
    elif r.random() < 0.3:
        key = r.choice(KEYS[:3])
        ops.append(key_op(key))
        goal += f', then press {key[0]}'
    if done == len(part) and r.random() < 0.4:
        done = len(ops)
    return goal, ops, done


def keypad_plan(s):
    """Keys of a calculator, one after another; a sum may be all that is said."""
    r, by = s.r, {e['label']: e for e in s.keys}
    digits, signs = [k for k in by if k in '0123456789'], [k for k in by if k in '+-*/']
    v = r.random()
    if v < 0.7 and signs and '=' in by:
        a, b = ([r.choice(digits) for _ in range(r.choice([1, 1, 2, 3]))] for _ in range(2))
        seq = a + [r.choice(signs)] + b + ['=']
        if r.random() < 0.15:
            seq = seq[:-1]
    else:
        seq = [r.choice(list(by)) for _ in range(r.randint(1, 5))]
    if v < 0.15 and seq[-1] == '=':
        t = r.choice(['', ' ']).join([''.join(a), seq[len(a)], ''.join(b)]) + r.choice(['', '', ' ='])
        goal = r.choice(['Compute ', 'Calculate ', 'Work out ', 'Enter ']) + t
        ops = [click_op(by[k]) for k in seq]
        if goal.startswith('Enter') and '=' not in goal:
            ops.pop()
        return goal, ops, None
    verb = r.choice(['click', 'click', 'click', 'press', 'press', 'click on', 'push'])
    said = [quoted(r, k, 0.1) for k in seq]
    every = r.random() < 0.65
    say = [f'{verb} {k}' if every or i == 0 else k for i, k in enumerate(said)]
    if r.random() < 0.1:
        say = [f'{verb} the {k} {r.choice(["button", "key"])}' for k in said]
    goal = r.choice([', ', ', ', ', ', ', then ', ' then ', ' and ']).join(say[:-1] or say)
    if len(say) > 1:
        goal += r.choice([' and ', ', then ', ', ', ' and then ']) + say[-1]
    return cap(r, goal) + ('.' if r.random() < 0.1 else ''), [click_op(by[k]) for k in seq], None


def command_plan(r):
    """Type something where the focus is."""
    t = value_for(r)
    if r.random() < 0.7:
        programs = ['touch', 'ls', 'echo', 'mkdir', 'cat', 'rm', 'cd', 'ls -l', 'vi', 'python3', 'sh']
        t = r.choice(programs) + ' ' + (path(r) if r.random() < 0.6 else r.choice(WORDS).lower())
    v = quoted(r, t)
    goal = r.choice(
        [
            f'type {v} and press Enter',
            f'type {v}, then press Enter',
            f'run the command {v}',
            f'enter {v} and hit Enter',
            f'type {v}',
        ]
    )
    ops = [type_op(t)] + ([key_op(KEYS[0])] if 'Enter' in goal or 'run' in goal else [])
    return cap(r, goal), ops, None


def some_key(r):
    """A key or a chord as people write it, and as an action has it."""
    u = r.random()
    if u < 0.6:
        return r.choice(KEYS)
    if u < 0.7:
        n = r.randint(1, 12)
        return f'F{n}', f'f{n}'
    held = r.choice(['Ctrl', 'Ctrl', 'Ctrl', 'Alt', 'Ctrl+Shift'])
    k = r.choice('abcdefghijklmnopqrstuvwxyz')
    return f'{held}+{k.upper()}', f'{held.lower().replace("+", " ")} {k}'


def typed_plan(r):
    """Texts and keys in turn, where the focus is."""
    ops = []
    for i in range(r.randint(2, 5)):
        if i % 2 == 0:
            t = value_for(r) if r.random() < 0.6 else typed(r)
            ops.append(type_op(t)._replace(say=f'{r.choice(["type", "type", "enter"])} {quoted(r, t)}'))
        else:
            k = r.choice(KEYS[:3] + KEYS[-10:]) if r.random() < 0.8 else some_key(r)
            ops.append(key_op(k, f'{r.choice(["press", "press", "hit"])} {k[0]}'))
    return said(r, ops), ops, None


def said(r, ops):
    """One sentence for all of them."""
    goal = ops[0].say
    for o in ops[1:-1]:
        goal += r.choice([', then ', ', ', ' then ', '; ']) + o.say
    if len(ops) > 1:
        goal += r.choice([' and ', ', then ', ' and then ', ', and ', '; ']) + ops[-1].say
    return cap(r, goal) + ('.' if r.random() < 0.25 else '')


def keys_plan(r):
    """Keys and nothing else."""
    keys = [some_key(r) for _ in range(r.choice([1, 1, 1, 2, 2, 3]))]
    way = r.choice(['press {}', 'press {}', 'press {}', 'hit {}', 'press the {} key', 'press the key {}'])
    goal = r.choice([' and then ', ', then ', ' and ', ', ']).join(way.format(k[0]) for k in keys)
    return cap(r, goal) + ('.' if r.random() < 0.1 else ''), [key_op(k) for k in keys], None


def mixed_plan(s, els):
    """One to four controls, perhaps a key at the end."""
    r = s.r
    ops = [single(s, e) for e in some(r, els, r.choice([1, 1, 2, 2, 3, 4]))]
    if r.random() < 0.12:
        key = some_key(r)
        ops.append(key_op(key, r.choice([f'press {key[0]}', f'hit {key[0]}'])))
    return said(r, ops), ops, None


def plan(s):
    """(goal, ops, how many are done or None where anything goes), or None"""
    els, v = usable(s), s.r.random()
    if s.r.random() < 0.08:
        return keys_plan(s.r)
    if s.r.random() < (0.1 if s.blind else 0.03):
        return typed_plan(s.r)
    if getattr(s, 'keys', None) and s.r.random() < 0.8:
        return keypad_plan(s)
    form = [e for e in getattr(s, 'form', []) if e in els]
    if form and v < (0.5 if s.blind else 0.85 if len(form) > 1 else 0.5):
        return form_plan(s, form, [e for e in els if e['kind'] == 'button'])
    if s.blind and v < 0.58 or not els or s.r.random() < 0.12:
        return command_plan(s.r)
    return mixed_plan(s, els)


def misspell(r, line):
    """A line of the history with a letter of its text changed."""
    t = line.find('"text": "') + 9
    if t <= 9 or len(line) - t <= 4:
        return line
    i = r.randrange(t, len(line) - 2)
    return line[:i] + r.choice('abcdefghijklmnoprstuvwxyz') + line[i + 1 :]


def agent(s):
    """A Task, or None where the screen has nothing to use."""
    r = s.r
    p = plan(s)
    if not p:
        return None
    goal, ops, k = p
    if k is None:
        k = r.randint(0, len(ops))
    past = [o.past for o in ops[:k]]
    if past and r.random() < 0.08:
        j = r.randrange(k)  # what is next does not change
        past[j] = misspell(r, past[j])
    if k == len(ops):
        return Task(goal, hist(past), answer('done', FINISHED), None, [])
    o = ops[k]
    target = o.el['label'] if o.el else ''
    labels = [] if s.blind else labels_in(s, goal) + [Label(o.el['label'], o.el, True) for o in ops if o.el]
    if not s.blind and r.random() < 0.2:
        l = missing(s, o.el['kind']) if target else None
        if l and goal.count(target) == 1:
            user = answer(f'not found "{l}"', '{"action": "call_user"}')
            labels = [q for q in labels if q.text not in target] + [Label(l, None, False)]
            return Task(goal.replace(target, l), hist(past), user, None, labels)
    if r.random() < 0.03:
        n = r.choice([1, 1, 2])
        past += [r.choice(['No effect. ', 'No effect. ', 'Refused. ']) + o.past] * n
        if n == 2:
            user = answer(f'not found "{target}"', '{"action": "call_user"}')
            return Task(goal, hist(past), user, None, labels)
    return Task(goal, hist(past), answer(o.think, o.action), o.el, labels, o.via)


def mistaken(s, label):
    """A label that the screen does not have but that looks like this one, or None."""
    r = s.r
    words = label.split()
    i = r.randrange(len(words))
    if len(words) > 1 and r.random() < 0.5:
        words[i] = phrase(r).split()[0]
    elif len(words[i]) > 3:
        j = r.randrange(1, len(words[i]))
        words[i] = words[i][:j] + phrase(r).split()[0].lower()[: r.randint(2, 6)]
    return if_absent(s, ' '.join(words))


def decide(s, n, locating):
    """Tasks of one step, in the agent's or the grounding prompt, whose answer ends with the line of thought, before any
    point: what the target is, how it is found, or that it is not there."""
    r, out = s.r, []
    els = [e for e in usable(s) if e['label'].strip()]
    for e in some(r, els, n):
        goal, near = command(s, e) if locating else spelt(s, e)
        goal, label, end = goal.replace('"', "'") if locating else goal, e['label'], LEND if locating else ''
        think, via = (near.think, near.via) if near else (named(e), ())
        if think == named(e) and r.random() < 0.27 and goal.count(label) == 1:
            l = missing(s, e['kind']) if r.random() < 0.6 else mistaken(s, label)
            if l:
                said = f'<think>\nnot found "{l}"\n</think>'
                out.append(Task(goal.replace(label, l) + end, 'None', said, None, [Label(l, None, False)]))
                continue
        head, point, _ = think.partition(' [')
        seen = via[0] if via and '"' in head else e
        said = '<think>\n' + head + ('' if point else '\n</think>')
        out.append(Task(goal + end, 'None', said, seen, labels_in(s, goal)))
    return out


def spelt(s, e):
    """What a user says to have a control used, and how it is found."""
    op = single(s, e)
    return cap(s.r, op.say), Near(op.say, op.think, op.via)


def command(s, e):
    """What a user says to have a control found, and the Near where it is found by others."""
    r, kind, label = s.r, e['kind'], e['label']
    if kind in FRAME:
        return r.choice(['the {} button', '{} button', '{} the window']).format(kind), None
    near = related(s, e) if not label or r.random() < (0.5 if kind in UNNAMED else 0.4) else None
    if near:
        return r.choice(['', 'find ', *[verb(r, e) + ' '] * 4]) + near.say, near
    if not label or r.random() < 0.45:
        return spelt(s, e)
    name = spoken(r, e)
    if e.get('icon') and r.random() < 0.7:
        name = 'icon'
    l = label if r.random() < 0.8 else label.lower()
    v = r.random()
    if v < 0.3:
        return l, None
    if v < 0.65:
        return r.choice(['the {} {}', 'the {} {}', '{} {}']).format(l, name), None
    if v < 0.8:
        return r.choice(['the {1} "{0}"', 'the "{0}" {1}', '"{0}"', '{1} "{0}"']).format(l, name), None
    verbs = ['type into', 'fill in', 'click'] if kind == 'field' else ['click', 'press', 'Click on', 'find']
    return f'{r.choice(verbs)} the {l} {name}', None


def located(e, label, think=''):
    """A box as the grounding prompt asks for it; what it is is said first."""
    b = ', '.join(str(v) for v in corner(e['box']))
    return answer(think or named(e), f'```json\n[{{"bbox_2d": [{b}], "label": "{label}"}}]\n```')


def locate(s, n):
    """Tasks for up to n controls and one more, in the official grounding prompt: the goal is the rest of the prompt, without history"""
    r, out, els = s.r, [], usable(s)
    picked = some(r, els, n)
    # one that has no name of its own can still be next to another
    rest = [e for e in s.el if all(e is not q for q in els)]
    picked += r.sample(rest, min(len(rest), r.choice([0, 1, 1])))
    for i, e in enumerate(picked):
        q, near = command(s, e) if i < min(n, len(els)) else ('', related(s, e))
        if not q:
            if not near:
                continue
            q = verb(r, e) + ' ' + near.say
        q, l = q.replace('"', "'"), None
        if r.random() < 0.21 and e['label'] and q.count(e['label']) == 1:
            l = missing(s, e['kind'])
        if l:
            q = q.replace(e['label'], l)
            none = answer(f'not found "{l}"', '```json\n[]\n```')
            out.append(Task(q + LEND, '', none, None, [Label(l, None, False)]))
        else:
            said = located(e, q, near and near.think)
            out.append(Task(q + LEND, '', said, e, labels_in(s, q), near.via if near else ()))
    return out


def labels_in(s, text):
    """The controls whose labels a text has."""
    low = text.lower()
    return [Label(e['label'], e, True) for e in s.el if len(e['label']) > 1 and e['label'].lower() in low]


def ask(s, n):
    """Tasks: questions about what is on the screen"""
    r, out = s.r, []
    els = usable(s)
    r.shuffle(els)
    labels = {e['label'].lower() for e in s.el} | {t.lower().rstrip(':') for t in s.texts}
    fields = [e for e in els if e['kind'] == 'field' and e['label'] and 'value' in e]
    kinds = ['button', 'button', 'field', 'checkbox', 'link', 'menu', 'tab', 'item', 'icon']
    for _ in range(n):
        if fields and r.random() < 0.35:
            e = fields.pop()
            l = quoted(r, e['label'], 0.3)
            q = [f'What is in the {l} field?', f'Read the {l} field.', f'What is the value of {l}?']
            q += [f'What does the {l} field contain?', f'What text is in {l}?', f'what is in {l}']
            out.append(Task(r.choice(q), '', e['value'] or 'empty', e, [Label(e['label'], e, True)]))
            continue
        kind = r.choice(kinds)
        e = None
        if els and r.random() < 0.5:
            e = els.pop()
            l, kind = e['label'] or e['kind'] + ' button', e['kind']
        else:
            l = missing(s, kind) or phrase(r)
            near = r.choice(s.el)['label'] if s.el and r.random() < 0.25 else ''
            if len(near) > 4:
                i = r.randrange(1, len(near) - 1)
                l = near[:i] + r.choice('abcdefghiklmnoprstuw') + near[i + 1 :]
        yes = l.lower() in labels or l.endswith(' button')
        if not yes and any(l.lower() in t for t in labels):
            continue
        a = 'an' if l[:1].lower() in 'aeiou' else 'a'
        q = [f'Is "{l}" visible?', f'Does the screen show "{l}"?', f'Is there a "{l}" on the screen?']
        if not l.endswith(' button'):
            q += [f'Is there {a} {l} {kind}?'] * 3 + [
                f'Is there a {kind} "{l}"?',
                f'Is there {a} "{l}" {kind}?',
            ]
            q += [f'Do you see the {l} {kind}?', f'is {l} on the screen?', f'Is the {l} {kind} there?']
        q = r.choice(q) + r.choice(['', ' Answer yes or no.'])
        out.append(Task(q, '', 'yes' if yes else 'no', e, [Label(l, e, yes)]))
    return out
