#!/usr/bin/python3
"""Print the controls on the present screen, read through AT-SPI, as JSON: the evaluation set's eyes.

A control is dict(kind, name, box, text, value, states): `box` is [x1, y1, x2, y2] on the screen, `text` says whether its name is
printed on it (else it is a picture), and the kinds are ours.  Runs on the session bus of the environment.
"""

import json
import sys

import gi

gi.require_version('Atspi', '2.0')
from gi.repository import Atspi

KINDS = {
    'push button': 'button', 'toggle button': 'toggle', 'check box': 'checkbox', 'radio button': 'radio', 'text': 'field',
    'entry': 'field', 'password text': 'field', 'combo box': 'combo', 'spin button': 'spin', 'slider': 'slider', 'menu': 'menu',
    'menu item': 'item', 'check menu item': 'item', 'radio menu item': 'item', 'page tab': 'tab', 'label': 'label',
    'table cell': 'cell', 'list item': 'row', 'tree item': 'cell', 'link': 'link', 'table column header': 'header', 'column header': 'header',
    'scroll bar': 'scrollbar', 'calendar': 'calendar', 'icon': 'iconcell', 'progress bar': 'progress', 'switch': 'switch',
    'paragraph': 'area', 'terminal': 'area', 'image': 'image', 'button': 'button',
}
WORDY = ('checkbox', 'radio', 'label', 'menu', 'item', 'tab', 'cell', 'row', 'link', 'header')
STATES = ['CHECKED', 'FOCUSED', 'SENSITIVE', 'MULTI_LINE', 'SELECTED', 'EDITABLE', 'EXPANDED']


def read(call, *args):
    try:
        return call(*args)
    except Exception:  # a program may answer with errors for single objects
        return None


def label_of(o):
    for r in read(o.get_relation_set) or []:
        if r.get_relation_type() == Atspi.RelationType.LABELLED_BY:
            return (read(r.get_target(0).get_name) or '').strip()
    return ''


def text_of(o):
    t = read(o.get_text_iface)
    n = read(Atspi.Text.get_character_count, t) if t else 0
    return (read(Atspi.Text.get_text, t, 0, n) or '') if n else ''


def walk(o, depth, out, parent=''):
    states = read(o.get_state_set)
    role = read(o.get_role_name) or ''
    if depth > 40 or states is None:
        return
    if depth > 1 and not states.contains(Atspi.StateType.SHOWING) and role not in ('menu bar', 'filler'):
        return
    kind, e = KINDS.get(role), read(Atspi.Component.get_extents, o, Atspi.CoordType.SCREEN)
    if kind and e and e.width > 1 and e.height > 1 and states.contains(Atspi.StateType.SHOWING):
        name, value = (read(o.get_name) or '').strip(), ''
        if kind in ('field', 'spin', 'area'):
            value = text_of(o)
            name = label_of(o) or name
        if kind == 'field' and (states.contains(Atspi.StateType.MULTI_LINE) or role == 'text' and e.height > 60):
            kind = 'area'
        if kind == 'checkbox' and len(name) > 2 and e.width < 1.3 * e.height:
            kind = 'toggle'  # of a tool bar
        if kind == 'item' and parent == 'menu bar':
            kind = 'menu'
        if kind in ('combo', 'slider', 'toggle') and not name:
            name = label_of(o)
        if not name and kind in ('button', 'toggle'):
            name = (read(o.get_description) or '').strip()
        b = [e.x, e.y, e.x + e.width, e.y + e.height]
        # a short box, hardly wider than high, has no room for a word
        small = kind in ('button', 'toggle') and len(name) > 2 and e.width < 1.3 * e.height
        printed = not small and (kind in WORDY or e.width > 6 * len(name) + 8)
        out.append(dict(kind=kind, name=name, box=b, text=bool(name) and printed, value=value,
                        states=[s for s in STATES if states.contains(getattr(Atspi.StateType, s))]))
    if role in ('combo box',) and not states.contains(Atspi.StateType.EXPANDED):
        return
    for i in range(min(read(o.get_child_count) or 0, 400)):
        c = read(o.get_child_at_index, i)
        if c is not None:
            walk(c, depth + 1, out, role)


def beside(field, labels):
    """The text of the label left of a field in its row, else of the one right above it."""
    b, y = field['box'], (field['box'][1] + field['box'][3]) / 2
    left = [q for q in labels if q['box'][1] <= y <= q['box'][3] and -2 <= b[0] - q['box'][2] < 160]
    above = [q for q in labels if abs(q['box'][0] - b[0]) < 24 and 0 <= b[1] - q['box'][3] < 14]
    best = max(left, key=lambda q: q['box'][2], default=None) or max(above, key=lambda q: q['box'][3], default=None)
    return best['name'] if best and len(best['name']) < 40 else ''


def main():
    desktop, out = Atspi.get_desktop(0), []
    for i in range(desktop.get_child_count()):
        app = read(desktop.get_child_at_index, i)
        if app is not None:
            walk(app, 0, out)
    labels = [c for c in out if c['kind'] == 'label' and c['name']]
    for c in out:
        if c['kind'] in ('field', 'spin', 'combo', 'slider') and (not c['name'] or c['kind'] == 'combo'):
            c['name'] = beside(c, labels) or c['name']
        c['name'] = c['name'].rstrip(':')
    json.dump(out, sys.stdout)


main()
