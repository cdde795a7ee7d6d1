"""From the controls on a screen to questions about it: ScreenSpot's targets, and reading.

Six kinds of target: text (a control by what is printed on it), field (an input by its label), icon (a control with a picture
only, by its name), role (the only one of its kind), relation (by order or neighbours), absent (a plausible control that this
screen does not have).  A target is asked for only where a person could not mean another control: its name stands once on the
screen, the role once.  Everything is drawn with a seed that is the screen's name, so that a screen's questions do not change
when another screen does.
"""

import random
import re

import icons

CLICKED = {
    'button': ['click {}', 'press the {} button', 'click on {}'], 'toggle': ['click {}', 'press the {} button'],
    'menu': ['open the {} menu', 'click the {} menu'], 'item': ['choose {}', 'click {} in the menu'], 'tab': ['open the {} tab', 'switch to the {} tab'],
    'checkbox': ['toggle the checkbox {}', 'click {}'], 'radio': ['choose {}', 'select the option {}'], 'switch': ['toggle {}'],
    'link': ['follow the link {}', 'click {}'], 'cell': ['select {} in the list', 'click {}'], 'row': ['select {}'], 'header': ['sort by {}', 'click the column header {}'],
    'combo': ['open the drop-down list {}', 'click the {} drop-down'],
}
FIELDS = ['click the {} field', 'put the cursor in the {} field', 'click into the text field {}']
ICONS = ['click the {} icon', 'click the icon for "{}"', 'press the {} button']
ROLES = {
    'combo': ['open the drop-down list'], 'slider': ['click the slider'], 'spin': ['click the number field'], 'area': ['click into the text area'],
    'field': ['click the text field', 'click the input field'], 'checkbox': ['click the checkbox'], 'calendar': ['click the calendar'], 'progress': ['click the progress bar'],
    'scrollbar': ['click the scroll bar'],
}
NTH = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh']
NOUN = {'button': 'button', 'toggle': 'button', 'menu': 'menu', 'item': 'menu item', 'tab': 'tab', 'checkbox': 'checkbox', 'radio': 'radio button',
        'link': 'link', 'row': 'row', 'field': 'field', 'combo': 'drop-down list'}
# what the model calls a control in the line before its answer
THINK = {'toggle': 'button', 'combo': 'field', 'spin': 'field', 'area': 'field', 'cell': 'item', 'row': 'item'}
MISSING = ['Eject', 'Subscribe', 'Rotate left', 'Pay now', 'Bluetooth', 'Compile', 'Add bookmark', 'Empty trash', 'Encrypt', 'Translate', 'Shuffle', 'Call back',
           'Publish', 'Sync now', 'Mute', 'Crop', 'Roll back', 'Scan', 'Gallery', 'Sign out', 'Unzip', 'Reboot', 'Airplane mode', 'Blood type', 'Tax number', 'Nickname']
# how many of each kind a screen gives at most
QUOTA = {'text': 3, 'field': 2, 'icon': 2, 'role': 1, 'relation': 2, 'absent': 1}
NAME = re.compile(r"[\w(%+&' /.,:=*<√-]{1,34}$")


def inside(b, w, h):
    return b[0] >= 0 and b[1] >= 0 and b[2] <= w and b[3] <= h and b[2] - b[0] >= 6 and b[3] - b[1] >= 6


def clean(name):
    return name.replace('…', '').removesuffix('...').strip()


def seen(c):
    """Could somebody say its name after a look at the screen?"""
    return c['text'] and clean(c['name']) and NAME.match(clean(c['name']))


def row_of(c, found):
    """The controls of its kind beside it, from left to right."""
    y = (c['box'][1] + c['box'][3]) / 2
    return sorted((q for q in found if q['kind'] == c['kind'] and q['box'][1] <= y <= q['box'][3]), key=lambda q: q['box'][0])


def column_of(c, found):
    return sorted((q for q in found if q['kind'] == c['kind'] and abs(q['box'][0] - c['box'][0]) < 6), key=lambda q: q['box'][1])


def relations(found, unique):
    out = []
    for c in found:
        noun = NOUN.get(c['kind'])
        if not noun:
            continue
        row, column = row_of(c, found), column_of(c, found)
        i, j = row.index(c), column.index(c)
        if len(row) > 1 and all(row[k]['box'][2] <= row[k + 1]['box'][0] + 2 for k in range(len(row) - 1)):
            if i and seen(row[i - 1]) and unique(row[i - 1]) and row[i]['box'][0] - row[i - 1]['box'][2] < 90:
                out.append((c, f'click the {noun} to the right of {clean(row[i - 1]["name"])}'))
            if i + 1 < len(row) and seen(row[i + 1]) and unique(row[i + 1]) and row[i + 1]['box'][0] - row[i]['box'][2] < 90:
                out.append((c, f'click the {noun} to the left of {clean(row[i + 1]["name"])}'))
        if 1 < len(column) <= 7 and len(column) == sum(q['kind'] == c['kind'] for q in found):
            out.append((c, f'click the {NTH[j]} {noun} from the top'))
            if j and seen(column[j - 1]) and unique(column[j - 1]):
                out.append((c, f'click the {noun} below {clean(column[j - 1]["name"])}'))
        elif 1 < len(row) <= 7 and len(row) == sum(q['kind'] == c['kind'] for q in found):
            out.append((c, f'click the {NTH[i]} {noun} from the left'))
    return out


def targets(spec, found, w, h):
    """(category, instruction, box or None)"""
    r, out = random.Random(spec['name']), []
    drop = re.compile(spec.get('drop', 'evalset-|page-label'))
    found = [c for c in found if c['kind'] not in ('label', 'image', 'iconcell', 'heading') and inside(c['box'], w, h) and not drop.search(f'{c["kind"]}:{c["name"]}')]
    found = [c for k, c in enumerate(found) if c['box'] not in [q['box'] for q in found[:k]]]
    names = [clean(c['name']).lower() for c in found]

    def unique(c):
        return names.count(clean(c['name']).lower()) == 1

    text = [c for c in found if c['kind'] in CLICKED and c['kind'] != 'combo' and seen(c) and unique(c)]
    field = [c for c in found if c['kind'] in ('field', 'spin', 'combo', 'slider') and NAME.match(clean(c['name'])) and clean(c['name']) and unique(c)]
    icon = [c for c in found if c['kind'] in ('button', 'toggle') and not c['text'] and NAME.match(clean(c['name'])) and clean(c['name']) and unique(c)]
    if spec.get('icon') == 'known icon':
        named = [c for c in icon if clean(c['name']).lower() in icons.PICTURE]
        icon = [c for c in named if clean(c['name']) not in ('Close', 'Menu')]  # the frame has one, too; an arrow
    kinds = [c['kind'] for c in found]
    role = [c for c in found if c['kind'] in ROLES and kinds.count(c['kind']) == 1 and (c['kind'] != 'field' or not {'area', 'spin'} & set(kinds))]
    near = relations(found, unique)
    for group in (text, field, icon, role, near):
        r.shuffle(group)
    quota = dict(QUOTA, **spec.get('quota', {}))
    for c in text[: quota['text']]:
        out.append(('text', r.choice(CLICKED[c['kind']]).format(clean(c['name'])), c['box']))
    for c in field[: quota['field']]:
        say = FIELDS if c['kind'] == 'field' else CLICKED['combo'] if c['kind'] == 'combo' else ['click the {} slider'] if c['kind'] == 'slider' else ['click the number field {}']
        out.append(('field', r.choice(say).format(clean(c['name'])), c['box']))
    for c in icon[: quota['icon']]:
        out.append((spec.get('icon', 'icon'), r.choice(ICONS).format(clean(c['name']).lower()), c['box']))
    for c in role[: quota['role']]:
        out.append(('role', r.choice(ROLES[c['kind']]), c['box']))
    for c, say in near[: quota['relation']]:
        out.append(('relation', say, c['box']))
    for name in r.sample([m for m in MISSING if m.lower() not in ' '.join(names)], quota['absent']):
        say = r.choice(['click {}', 'press the {} button', 'open the {} menu'] if name not in MISSING[-3:] else ['click the {} field'])
        out.append(('absent', say.format(name), None))
    return out


def questions(spec, found):
    """(category, question, answers of which one is right)"""
    r, out = random.Random(spec['name'] + '?'), []
    shown = [c for c in found if c['kind'] in ('button', 'menu', 'tab', 'item', 'link', 'checkbox') and seen(c)]
    everything = ' '.join(c['name'] + ' ' + c['value'] for c in found).lower()
    if shown:
        out.append(('yes/no', f'Is there a "{clean(r.choice(shown)["name"])}" on the screen? Answer yes or no.', ['yes']))
        missing = r.choice([m for m in MISSING if m.lower() not in everything])
        out.append(('yes/no', f'Is there a "{missing}" on the screen? Answer yes or no.', ['no']))
    filled = [c for c in found if c['kind'] == 'field' and c['name'] and c['value'] and len(c['value']) < 40 and '*' not in c['value'] and '●' not in c['value']]
    for c in filled[:2]:
        out.append(('reading', f'What is in the {c["name"]} field?', [c['value']]))
    return out
