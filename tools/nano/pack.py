"""Training sequences: one picture, then many short independent questions about it.

A sequence is  prefix, visual tokens, optionally the official agent header, segments.  Every segment sees the
picture and itself, `full` ones the header too, never each other (see `batch` for the mask), so that one pass
through the vision tower teaches a dozen answers.  Beside the next-token labels a Pack records, by token
position, what the auxiliary losses of losses.py ask for.
"""

import os
import random
import re
from collections import namedtuple

import numpy as np
import torch
from tokenizers import Tokenizer

import gen_drawn
import icons
import model
import screens
import tasks
import words

HERE = os.path.dirname(os.path.abspath(__file__))
T = Tokenizer.from_file(
    os.environ.get('NANO_TOKENIZER', os.path.join(HERE, '../../data/nano/tokenizer.json'))
)
IMG = T.token_to_id('<|image_pad|>')
EOS = T.token_to_id('<|im_end|>')
DIGITS = {T.token_to_id(str(i)) for i in range(10)}


def encode(text):
    return T.encode(text).ids


PRE = encode(tasks.SYS)
POST = encode('<|vision_end|>')
HEAD = {
    'agent': encode(tasks.AGENT),
    'short': encode('## Goal\n'),
    'locate': encode(tasks.LOC),
    'ask': [],
}
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
# kinds of label, told apart by their weight in the loss
W_TEXT, W_COPIED, W_DIGIT, W_BOX, W_DECIDED, W_RELATED = 0.5, 2.0, 4.0, 3.0, 5.0, 2.5
# the longest distance between the picture and a short segment
FAR = 320
# which copied token: inside a word, the first of the target's name, the first of a typed text, a relation
INSIDE, NEXT, VALUE, WAY = 0, 1, 2, 3
# the words of a goal that a relation in the line of thought stands for
WAYS = dict(
    left=['left', 'before'],
    right=['right', 'after', 'next'],
    above=['above', 'over'],
    below=['below', 'under', 'beneath'],
    last=['last'],
)
# the cell of what is not there
NOWHERE = -1
# share of boards of icons among the real windows
BOARDS = 0.12
# kinds of control, for the losses that ask what is where; 0 is none, the last is any other
KINDS = (
    'button field item menu tab column checkbox link radio switch slider close maximize minimize icon'.split()
    + ['combo box', 'text area', 'number field', 'scroll bar', 'progress bar']
)
KIND = {k: i for i, k in enumerate(KINDS, 1)}
N_KINDS = model.C.kinds
assert N_KINDS == len(KINDS) + 2
assert model.C.icons == len(icons.ICONS)

# a token looks at a box; `at` is the point meant by it
Point = namedtuple('Point', 'token box at')
Tokens = namedtuple('Tokens', 'ids offsets')
Copy = namedtuple('Copy', 'token source which')


def norm(im):
    return torch.from_numpy(((np.asarray(im, np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1))


def taken(answer):
    """(start, end, is it the target's name) of the words in an answer that come from the goal"""
    m = re.match(r'<think>\n[a-z ]+ "(.*?)"( \[[^\n]*)?\n', answer)
    if m:
        yield m.start(1), m.end(1), True
    for m in re.finditer(r'"(?:text|label)": "(.*)"\}', answer):
        yield m.start(1), m.end(1), False


def only(word, goal):
    """Where a word stands in the goal, if it does so once."""
    found = [f.start() for f in re.finditer(r'(?<!\w)' + re.escape(word) + r'(?!\w)', goal)]
    return found[0] if word and len(found) == 1 else None


def aligned(ae, ue, answer, goal):
    """The answer's tokens, its copied words cut up as the goal has them: " Lovelace" is " L" "ove" "lace", so "Lovelace"
    becomes "L" "ove" "lace" whatever the tokenizer would do.  To copy is then to repeat tokens."""
    ids, offsets = list(ae.ids), list(ae.offsets)
    for x0, x1, _ in reversed(list(taken(answer))):
        at = only(answer[x0:x1], goal)
        mine = [j for j, (a, b) in enumerate(offsets) if a < x1 and b > x0]
        if at is None or offsets[mine[0]][0] != x0 or offsets[mine[-1]][1] != x1:
            continue
        end = at + x1 - x0
        source = [j for j, (a, b) in enumerate(ue.offsets) if a < end and b > at]
        (a, b), last = ue.offsets[source[0]], ue.offsets[source[-1]][1]
        first = ue.ids[source[0]]
        if a == at - 1 and ue.tokens[source[0]][0] == '\u0120':  # the byte-level alphabet's space
            first, a = T.token_to_id(ue.tokens[source[0]][1:]), at
        if first is None or a != at or last != end or b == at:
            continue
        ids[mine[0] : mine[-1] + 1] = [first] + [ue.ids[j] for j in source[1:]]
        shift = x0 - at
        cut = [(at, b)] + [ue.offsets[j] for j in source[1:]]
        offsets[mine[0] : mine[-1] + 1] = [(p + shift, q + shift) for p, q in cut]
    return Tokens(ids, offsets)


class Pack:
    """One sequence under construction."""

    def __init__(self, scr, head):
        self.scr = scr
        self.gh, self.gw = scr.h // 28, scr.w // 28
        # a part of a larger screen: its cells have the positions that they have there
        self.left, self.top, all_w, all_h = getattr(scr, 'part', (0, 0, self.gw, self.gh))
        n, p, hd = self.gh * self.gw, len(PRE), HEAD[head]
        start = p + max(all_h, all_w)
        self.ids = list(PRE) + [IMG] * n + POST + hd
        self.pos = [[i] * 3 for i in range(p)]
        rows, columns = range(self.top, self.top + self.gh), range(self.left, self.left + self.gw)
        self.pos += [[p, p + r, p + c] for r in rows for c in columns]
        self.pos += [[start + k] * 3 for k in range(1 + len(hd))]
        self.seg = [0] * (p + n + 1) + [1] * len(hd)
        self.short_at, self.full_at = start + 1, start + 1 + len(hd)
        self.lab = [-100] * len(self.ids)
        self.wt = [0.0] * len(self.ids)
        self.full = [False] * len(self.ids)
        self.next_seg = 2
        self.ends = []  # the end of a label, and the [ before coordinates, look at a box
        self.digits = []  # so do the digits
        self.tok = []  # a label's token looks at the cell where it is printed
        self.copies = []  # a token about to be copied looks at its source
        self.read = self.read_aloud()
        self.printed = {t for _, t in self.read} | {t for w in scr.words for t in encode(w[0])}
        where = {}
        for text, xs, y in scr.words:
            k = text.rstrip(':')
            where[k] = None if k in where else (xs, y)
        self.where = {k: v for k, v in where.items() if v}

    def cell(self, x, y):
        r, c = int(y // 28), int(x // 28)
        return r * self.gw + c if 0 <= r < self.gh and 0 <= c < self.gw else None

    def corner(self, x, y):
        """The cell there, as a box."""
        x, y = min(max(x, 0), self.gw * 28 - 1) // 28 * 28, min(max(y, 0), self.gh * 28 - 1) // 28 * 28
        return x, y, x + 28, y + 28

    def read_aloud(self):
        """(cell, token) for all tokens of all printed words"""
        out = []
        for text, xs, y in self.scr.words:
            en = T.encode(' ' + text)
            for tid, (a, b) in zip(en.ids, en.offsets):
                q = [xs[z - 1] for z in range(max(a, 1), b) if 0 <= z - 1 < len(xs)]
                c = self.cell(sum(q) / len(q), y) if q else None
                if c is not None:
                    out.append((c, tid))
        for e in self.scr.el:
            if e.get('icon'):
                out += [(self.middle(e), tid) for tid in encode(' ' + e['label'])]
        return [q for q in out if q[0] is not None]

    def middle(self, e):
        """The cell in the middle of a control."""
        b = e['box']
        return self.cell((b[0] + b[2]) / 2 - self.left * 28, (b[1] + b[3]) / 2 - self.top * 28)

    def add(self, user, answer, el, full, labels=(), via=(), learn=True, only_coords=False, blind=False):
        """A segment: the user's words after the header, the answer, the element it points at (or None), those whose points
        come before in the line of thought."""
        ue, ae = T.encode(user), T.encode(answer)
        end = next((z for z in ('\n\n## Prev', tasks.LEND) if z in user), None) if full else None
        goal = user.split(end)[0] if end else None
        if goal:
            ae = aligned(ae, ue, answer, goal)
        o, nu, na = len(self.ids), len(ue.ids), len(ae.ids)
        base = self.full_at if full else self.short_at + self.scr.r.randint(0, FAR)
        self.ids += ue.ids + ae.ids
        self.pos += [[base + k] * 3 for k in range(nu + na)]
        self.seg += [self.next_seg] * (nu + na)
        self.full += [full] * (nu + na)
        self.next_seg += 1
        pointed = '_point' in answer or 'bbox' in answer
        # (the [ before coordinates, the token that ends them, whose they are)
        opened = [m.end() for m in re.finditer(r'"(?:start_point|end_point|bbox_2d)": \[', answer)][-1:]
        thought = [m.end() for m in re.finditer(r' \[', answer.split('</think>')[0])]
        opened = thought[len(thought) - len(via) :] + opened if pointed else []
        brackets = [next(j for j, (b, e) in enumerate(ae.offsets) if b < q <= e) for q in opened]
        numbers = [(j, closing(ae.ids, j), e) for j, e in zip(brackets, [*via, el])]
        ulab, uwt, alab, awt = [-100] * nu, [0.0] * nu, [-100] * na, [0.0] * na
        for j, z in enumerate(ae.ids):
            of = next((q for q in numbers if q[0] <= j <= q[1]), None)  # the [, too
            digit = of and z in DIGITS
            if learn and (of or not only_coords) and not (digit and blind):
                alab[j] = z
            box = of == numbers[-1] and 'bbox' in answer if of else False
            awt[j] = (W_BOX if box else W_DIGIT) if digit else W_TEXT
        if goal:
            self.copied(user, goal.lower(), answer, ue, ae, o, ulab, uwt, awt)
        if full and not blind:
            # yes or no; what kind of control the target is, or that it is not there
            start = len('<think>\n') if answer.startswith('<think>') else 0
            first = next((j for j, (_, e) in enumerate(ae.offsets) if e > start), 0)
            awt[first] = W_DECIDED
        if full and answer.startswith('<think>'):
            self.way(answer, goal, ue, ae, numbers, o, awt)
        self.lab += ulab + alab
        self.wt += uwt + awt
        if not numbers and el is not None:
            self.pointing(user, answer, ae, o + nu, None, None, el)
        for bracket, last, e in numbers if el is not None else ():
            self.pointing(user, answer, ae, o + nu, bracket, last, e, e is el)
        for l in {q.text.lower(): q for q in labels if q.text}.values():
            self.mentioned(goal or user, ue, o, l)

    def way(self, answer, goal, ue, ae, numbers, o, awt):
        """What follows the kind of the target in the line of thought: its name, how it lies to its neighbour, its number in
        the row, or nothing more; the word that says so looks at that of the goal.  And whether there are more points.
        """
        m = re.match(
            r'<think>\n[a-z ]+?(?: (left|right) of "| (above|below) "| (last)\n| (\d)\b| "|\n)', answer
        )
        if not m:
            return
        first = next((v for v in m.groups() if v), None)
        start = m.end() - 1 if not first else answer.index(first, len('<think>\n'))
        for j, (b, e) in enumerate(ae.offsets):
            if b < m.end() and e > start or any(j == q[1] for q in numbers[:-1]):
                awt[j] = W_RELATED
        said = [
            w
            for w in WAYS.get(first, [tasks.NTH[int(first) - 1]] if first and first.isdigit() else [])
            if only(w, goal or '') is not None
        ]
        if len(said) == 1:
            at = only(said[0], goal) + len(said[0]) - 1  # the word's last token knows the whole word
            to = next((i for i, (c, d) in enumerate(ue.offsets) if c <= at < d), None)
            j = next((j for j, (b, e) in enumerate(ae.offsets) if b <= start < e), None)
            if to is not None and j:
                self.copies.append(Copy(o + len(ue.ids) + j - 1, o + to, WAY))

    def copied(self, user, goal, answer, ue, ae, o, ulab, uwt, awt):
        """Every word that comes from the goal, in the answer and, for practice, in the history."""
        spans = [(True, x0, x1, NEXT if named else VALUE) for x0, x1, named in taken(answer)]
        spans += [(False, m.start(1), m.end(1), VALUE) for m in re.finditer(r'"text": "([^"]*)"\}', user)]
        for is_answer, x0, x1, which in spans:
            text, en = (answer, ae) if is_answer else (user, ue)
            found = only(text[x0:x1].lower(), goal)
            if found is None:
                continue
            for j, (x, y) in enumerate(en.offsets):
                # an answer's closing quote counts too; where the history goes on is chance
                if not (y > x0 and x < x1 + is_answer):
                    continue
                if is_answer:
                    awt[j] = W_COPIED
                else:
                    ulab[j], uwt[j] = ue.ids[j], W_COPIED
                x = max(x, x0)
                if x < x1:
                    q = found + x - x0
                    q = next((i for i, (c, d) in enumerate(ue.offsets) if c <= q < d), None)
                    at = o + j - 1 + (len(ue.ids) if is_answer else 0)
                    if q is not None:
                        self.copies.append(Copy(at, o + q, which))
                    which = INSIDE

    def pointing(self, user, answer, ae, o, bracket, last, el, target=True):
        x, y = self.left * 28, self.top * 28
        box, label = [v - d for v, d in zip(el['box'], (x, y, x, y))], el['label']
        if bracket is not None:
            # the numbers of a box look at the cells of its corners
            to = [(box, tasks.center(box))] * 2
            if 'bbox' in answer and target:
                b = tasks.corner(box)
                to = [(self.corner(box[0] + 6, box[1] + 6), b[:2])] * 2
                to += [(self.corner(box[2] - 6, box[3] - 6), b[2:])] * 2
            self.ends.append(Point(o + bracket, *to[0]))
            number = 0
            for j in range(bracket + 1, last):
                number += ae.ids[j] not in DIGITS and ae.ids[j - 1] in DIGITS
                if ae.ids[j + 1] in DIGITS or ae.ids[j] in DIGITS:
                    self.digits.append(Point(o + j, *to[number]))
        a = answer.find('"' + label + '"')
        if not label or a < 0:
            return
        b = a + 1 + len(label)
        for j, (x, y) in enumerate(ae.offsets):
            unsaid = user and label.lower() not in user.lower()
            if x <= b < y <= b + 3 or unsaid and x <= a < y:
                self.ends.append(Point(o + j, box, tasks.center(box)))
        self.search(ae, o, a + 1, label, el)

    def search(self, en, o, a, label, el, there=True):
        """The tokens of a label, at `a` in a text, look at the cells where they are printed, or at their icon; where the
        screen has no such label, those that stand nowhere look at the first token of all (NOWHERE)."""
        printed, b = self.where.get(label), a + len(label)
        icon = self.middle(el) if el is not None and el.get('icon') and not printed else None
        for j, (x, y) in enumerate(en.offsets):
            if not (x >= a - 1 and a < y <= b):
                continue
            c = icon
            if printed:
                xs = [printed[0][z - a] for z in range(max(a, x), y) if 0 <= z - a < len(printed[0])]
                c = self.cell(sum(xs) / len(xs), printed[1]) if xs else None
            elif not there and en.ids[j] not in self.printed:
                c = NOWHERE
            if c is not None:
                self.tok.append((o + j, c))

    def mentioned(self, text, ue, o, label):
        """A label in a goal or a question is searched already there."""
        at = only(label.text.lower(), text.split(tasks.LEND)[0].lower())
        if at is not None:
            self.search(ue, o, at, label.text, label.el, label.there)


def closing(ids, bracket):
    """The token that ends the coordinates, or the last one."""
    return next((j for j in range(bracket + 1, len(ids)) if ']' in T.decode([ids[j]])), len(ids) - 1)


IMAGINED = 'checkbox menu radio button item link tab column switch'.split() + tasks.UNNAMED


class Blind:
    """No picture (a plain 56x56 one): only the sentence, the history and the words of the answer."""

    blind = True

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.w = self.h = 56
        self.img = np.full((56, 56, 3), self.r.randint(0, 255), np.uint8)
        self.words, self.chars, self.texts = [], [], []
        self.again()

    def again(self):
        """Another imagined form."""
        r = self.r
        labels, n = [], r.choice([1, 2, 3, 3, 3, 3, 4, 4, 5])
        while len(labels) < n:
            t = words.form_label(r)
            if t.lower() not in [q.lower() for q in labels]:
                labels.append(t)

        rows = {}

        def somewhere(kind='field'):
            """In the row or the column of its kind."""
            x, y, dx, dy = rows.get(kind) or (
                r.randint(5, 300),
                r.randint(5, 200),
                *r.choice([(60, 0), (0, 30)]),
            )
            rows[kind] = x + dx, y + dy, dx, dy
            return x, y, x + 40, y + 20

        self.form = [dict(kind='field', label=t, box=somewhere(), value='') for t in labels]
        buttons = ['OK', 'Cancel'] if r.random() < 0.6 else r.sample(words.BUTTONS, 2)
        self.el = self.form + [dict(kind='button', label=b, box=somewhere('button')) for b in buttons]
        for kind in r.sample(IMAGINED, 3):
            for _ in range(r.choice([1, 1, 2, 3, 5])):
                unnamed = kind in tasks.UNNAMED and r.random() < 0.6
                label = words.phrase(r) if r.random() < 0.7 else words.odd_label(r)
                self.el.append(dict(kind=kind, label='' if unnamed else label, box=somewhere(kind)))
        self.keys = []
        if r.random() < 0.08:
            self.keys = [dict(kind='button', label=k, box=somewhere('key')) for k in '0123456789+-*/.=C()']


def pack_blind(seed, segments=8, longest=1200):
    scr = Blind(seed)
    head = scr.r.choice(['agent', 'agent', 'short', 'locate'])
    p = Pack(scr, head)
    shift = scr.r.randint(8, 24)  # where text begins behind pictures of usual sizes
    p.full_at += shift
    p.short_at += shift
    for _ in range(segments):
        t = tasks.agent(scr) if head != 'locate' else next(iter(tasks.locate(scr, 1)), None)
        if t and len(p.ids) < longest and 'not found' not in t.answer:
            user = t.goal + tasks.TURN if head == 'locate' else agent_user(t)
            p.add(user, t.answer + '<|im_end|>', None, True, via=t.via, blind=True)
        scr.again()
    return p


def agent_user(t):
    return t.goal + '\n\n## Previous Actions\n' + t.history + tasks.AEND + tasks.TURN


def pack_screen(scr, other=0.03):
    """`other`: share of pictures with grounding prompts and plain questions instead of the agent's."""
    r = scr.r
    u = r.random()
    head = r.choice(['locate', 'locate', 'ask']) if u < other else r.choice(['agent', 'short'])
    p = Pack(scr, head)
    els = tasks.some(r, tasks.usable(scr), 10)
    only = tasks.some(r, tasks.only_ones(scr), 3)
    agents = head in ('agent', 'short')
    if agents:
        whole = [t for t in (tasks.agent(scr), tasks.agent(scr)) if t]
    else:
        whole = tasks.locate(scr, 4) if head == 'locate' else tasks.ask(scr, 5)
    half = [] if head == 'ask' else tasks.decide(scr, 4, not agents)
    for t, end in [(t, '<|im_end|>') for t in whole] + [(t, '') for t in half]:
        user = agent_user(t) if agents else t.goal + tasks.TURN
        p.add(user, t.answer + end, t.el, True, t.labels, t.via)
    pointed = [(e, None) for e in els[:4]]
    pointed += [(e, near) for e, near in ((e, tasks.related(scr, e)) for e in els[4:9]) if near]
    pointed += [(e, tasks.Near('', e['kind'], [])) for e in only]
    thought = set()
    for e, near in pointed:
        op = tasks.input_op(e, '', '', near) if e['kind'] == 'field' else tasks.click_op(e, '', near)
        if op.think in thought:
            continue  # twice in the same words: as the only one of its kind
        thought.add(op.think)
        said = tasks.answer(op.think, op.action.split(', "text')[0])
        if head == 'locate':
            said = tasks.located(e, '', op.think).split(', "label')[0]
        p.add('', said, e, False, via=op.via, only_coords=True)
    for e in els[4:]:
        if all(e is not q for q, _ in pointed):
            p.add('', f'<think>\n{tasks.named(e)}\n', e, False, learn=False)
    return p


def spot(box, gh, gw):
    """The cell of the point that is the answer."""
    x, y = tasks.center(box)
    m = torch.zeros(gh, gw)
    m[min(max(y // 28, 0), gh - 1), min(max(x // 28, 0), gw - 1)] = 1
    return m.flatten()


def within(q):
    """Where a point is, from the upper left corner of the cell looked at."""
    return [v - z // 28 * 28 for v, z in zip(q.at, tasks.center(q.box))]


def cover(box, gh, gw):
    """How much of the box is in each cell, summing to one."""

    def overlap(z, a, b):
        return (torch.clamp(z + 28, max=float(b)) - torch.clamp(z, min=float(a))).clamp(min=0)

    rows = overlap(torch.arange(gh) * 28.0, box[1], box[3])
    m = (rows[:, None] * overlap(torch.arange(gw) * 28.0, box[0], box[2])[None]).flatten()
    return m / m.sum().clamp(min=1e-6)


def printed(scr):
    """The characters in the left and the right half of every 14 px patch."""
    m = torch.zeros(scr.h // 14, scr.w // 14, 2, dtype=torch.long)
    for x, y, c in scr.chars:
        i, j = int(y // 14), int(x // 14)
        if 0 <= i < m.shape[0] and 0 <= j < m.shape[1]:
            m[i, j, int(x % 14 >= 7)] = c
    return m


def on_picture(scr):
    """The controls, the largest first, each with its box in the picture's pixels."""
    left, top = getattr(scr, 'part', (0, 0))[:2]

    def size(e):
        b = e['box']
        return (b[2] - b[0]) * (b[3] - b[1])

    for e in sorted(scr.el, key=size, reverse=True):
        yield [v - 28 * d for v, d in zip(e['box'], (left, top) * 2)], e


def kind_of(e):
    return KIND.get(e['kind'], N_KINDS - 1)


def kinds(scr):
    """The kind of control in the middle of every 14 px patch, the smallest that has it."""
    m = torch.zeros(scr.h // 14, scr.w // 14, dtype=torch.long)
    for b, e in on_picture(scr):
        i, j = ([int(max(v, 0) + 6) // 14 for v in q] for q in ((b[1], b[3]), (b[0], b[2])))
        m[i[0] : i[1], j[0] : j[1]] = kind_of(e)
    return m


def pointed_at(scr):
    """(cell, x and y in the cell, the control) of the points of the controls that are on the picture."""
    for b, e in on_picture(scr):
        x, y = tasks.center(b)
        if 0 <= x < scr.w and 0 <= y < scr.h:
            yield y // 28 * (scr.w // 28) + x // 28, x % 28, y % 28, e


def points(scr):
    """For every cell with a control's point (cell, kind, x and y of the point in the cell), the smallest's."""
    found = {cell: (kind_of(e), x, y) for cell, x, y, e in pointed_at(scr)}
    return [(c, *v) for c, v in found.items()]


def pictures(scr):
    """(cell, which picture) of the icons."""
    found = [(cell, icons.picture(e)) for cell, _, _, e in pointed_at(scr)]
    return [(cell, which) for cell, which in found if which is not None]


def seen(seed, w, h, n, real):
    """What the vision tower alone learns from: pictures, their characters, controls and icons."""
    all_of = [screens.Collage(w, h, (seed * 7919 + i) * 1009, real) for i in range(n)]
    return (
        torch.stack([norm(s.img) for s in all_of]),
        torch.stack([printed(s) for s in all_of]),
        torch.stack([kinds(s) for s in all_of]),
        torch.tensor([(i, *q) for i, s in enumerate(all_of) for q in pictures(s)]),
    )


def masks(packs):
    """For each sequence, which token sees which."""
    out = []
    for p in packs:
        seg, full, k = torch.tensor(p.seg), torch.tensor(p.full), torch.arange(len(p.ids))
        seen = (seg[None, :] == 0) | (seg[None, :] == seg[:, None])
        seen |= (seg[None, :] == 1) & full[:, None]
        out.append((k[None, :] <= k[:, None]) & seen)
    return out


def blocks(packs, mask, about=128):
    """The same for model.Blocks: the prefix, then groups of whole segments."""
    out = []
    for i, (p, m) in enumerate(zip(packs, mask)):
        add = torch.zeros(m.shape, dtype=torch.bfloat16).masked_fill_(~m, -1e4)
        n = len(p.ids)
        prefix = p.seg.index(2) if 2 in p.seg else n
        out.append((i, 0, prefix, 0, add[:prefix, :prefix]))
        a = prefix
        for e in range(prefix + 1, n + 1):
            if e == n or p.seg[e] != p.seg[e - 1] and e - a >= about:
                out.append((i, a, e, prefix, torch.cat((add[a:e, :prefix], add[a:e, a:e]), 1)))
                a = e
    return out


def collate(packs):
    """Tensors of a batch; the packs have pictures of one size."""
    n = len(packs)
    length = (max(len(p.ids) for p in packs) + 15) // 16 * 16
    b = dict(
        ids=torch.zeros(n, length, dtype=torch.long),
        pos=torch.zeros(3, n, length),
        seg=torch.full((n, length), -1),
        lab=torch.full((n, length), -100),
        wt=torch.zeros(n, length),
        full=torch.zeros(n, length, dtype=torch.bool),
    )
    for i, p in enumerate(packs):
        m = len(p.ids)
        b['pos'][:, i, :m] = torch.tensor(p.pos).T.float()
        for k in ('ids', 'seg', 'lab', 'wt', 'full'):
            b[k][i, :m] = torch.tensor(getattr(p, k))
    b['blind'] = all(p.scr.blind for p in packs)
    b['mask'] = masks(packs)
    b['blocks'] = blocks(packs, b['mask'])
    b['img'] = torch.stack([norm(p.scr.img) for p in packs])
    b['chars'] = torch.stack([printed(p.scr) for p in packs])
    b['kinds'] = torch.stack([kinds(p.scr) for p in packs])
    b['points'] = torch.tensor([(i, *q) for i, p in enumerate(packs) for q in points(p.scr)])
    b['pictures'] = torch.tensor([(i, *q) for i, p in enumerate(packs) for q in pictures(p.scr)])

    def rows(of):
        """[batch index, ...] of all packs' records"""
        return [(i, *map(int, q)) for i, p in enumerate(packs) for q in of(p)]

    def cells(f, of):
        return torch.stack([f(q.box, p.gh, p.gw) for p in packs for q in of(p)])

    b['copy'] = torch.tensor(rows(lambda p: p.copies))
    b['tok'] = torch.tensor(rows(lambda p: p.tok))
    b['read'] = torch.tensor(rows(lambda p: p.read))

    def looks(p):
        return p.ends + p.digits

    for name, of in (('ends', lambda p: p.ends), ('look', looks)):
        b[name] = torch.tensor([(i, q.token) for i, p in enumerate(packs) for q in of(p)])
        if len(b[name]):
            b[name + '_spot'], b[name + '_cover'] = cells(spot, of), cells(cover, of)
    b['look_within'] = torch.tensor([within(q) for p in packs for q in looks(p)])
    return b


def batch(kind, seed, w, h, n, real=None, share=0.95, forms=0.75, other=0.03, far=0.0, plain=0.0):
    """`kind`: blind (one sequence) or screens (n pictures, `share` of them with real windows, `far` as if they
    were cut out of a larger screen, `plain` as rendered)."""
    if kind == 'blind':
        return collate([pack_blind(seed)])
    packs = []
    for i in range(n):
        u = random.Random(seed * 7919 + i).random()
        if u > 0.98:
            scr = gen_drawn.Terminal(w, h, seed * 1009 + i).render()
        elif real and u < share:
            if real.iconic and u < share * BOARDS:
                scr = screens.Board(w, h, seed * 1009 + i, real)
            else:
                scr = screens.Composite(w, h, seed * 1009 + i, real, forms=forms, far=far, plain=plain)
        else:
            scr = gen_drawn.Screen(w, h, seed * 1009 + i).render()
        packs.append(pack_screen(scr, other))
    return collate(packs)
