"""The losses.  Next-token prediction, and beside it what the inside of the network should look at.

A small network finds out by itself only slowly that a label must be searched in the picture, so each step of
that circuit is asked for directly: characters in the patches, icons in the visual tokens, rows and columns and
words there, label tokens looking at their print, copied words looking at their source, the point looking at its
cell, and the cell's place behind that (`C.states` says after which layers).  `attend` asks it of a real attention
head, so that what is looked at also flows on; the `*q`/`*k` heads of the model ask that queries and keys be ready there.
"""

import torch
import torch.nn.functional as F

from model import C
from pack import (
    IMG,
    INSIDE,
    N_KINDS,
    NEXT,
    NOWHERE,
    PRE,
    VALUE,
    WAY,
    W_BOX,
    W_COPIED,
    W_DECIDED,
    W_DIGIT,
    W_RELATED,
    W_TEXT,
)

_, FOUND, _, ARRIVED = C.states
# (layer index, head) of the attention heads that are told where to look
HEAD_TOK = ((FOUND, 0, 0.5), (FOUND + 1, 0, 0.2))
HEAD_COPY = (FOUND + 1, 2)
HEAD_BOX = (ARRIVED, 2)


def right(score, want):
    return (score.argmax(-1) == want).float()


def weighted(score, want, w):
    """Cross entropy of [..., classes], each worth w."""
    loss = F.cross_entropy(score.flatten(0, -2), want.flatten(), reduction='none')
    return (loss * w.flatten()).sum() / w.sum()


def patches(head, classes, aux, want, nothing):
    """What the vision tower's patches show, read by a head; 0 is nothing, which is worth less."""
    feat, pos, ok = aux
    n, keep = feat.shape[0], ok.flatten()
    rc = pos.long().flatten(1)[:, keep]
    want = want[:, rc[0], rc[1]].reshape(-1)
    score = head(feat.reshape(n, -1, feat.shape[-1])[:, keep]).reshape(-1, classes).float()
    loss = weighted(score, want, torch.where(want > 0, 1.0, nothing))
    return loss, right(score, want)[want > 0].mean()


def chars(m, aux, want):
    """Characters per half patch."""
    return patches(m.ocr, 96, aux, want, 0.15)


def kinds(m, aux, want):
    """The kind of control at every patch."""
    return patches(m.kinds, N_KINDS, aux, want, 0.3)


def spots(m, state, points):
    """Which cells have a control's point, of what kind, and where in the cell it is, read from the visual tokens."""
    n, cells, _ = state.shape
    score = m.spot(unit(state)).float()
    i, cell, kind, x, y = points.unbind(1)
    want = torch.zeros(n, cells, dtype=torch.long)
    want[i, cell] = kind
    which = score[..., :N_KINDS]
    loss = weighted(which, want, torch.where(want > 0, 1.0, 0.2))
    at = score[i, cell, N_KINDS:].view(-1, 2, 28)
    xy = torch.stack((x, y), 1)
    loss = loss + F.cross_entropy(at.transpose(1, 2), xy)
    return loss, right(which, want)[want > 0].mean(), right(at, xy).mean()


def unit(z):
    return F.rms_norm(z.float(), z.shape[-1:])


def numbers(head, state):
    """Scores of two numbers below 64, read from a state."""
    return head(state).float().view(-1, 2, 64)


def place(head, state, row, col):
    """Row and column, read from a state."""
    s, want = numbers(head, state), torch.stack((row, col), 1).clamp(max=63)
    return 2 * F.cross_entropy(s.transpose(1, 2), want), right(s, want).mean()


def within(head, state, at):
    """Where in the cell looked at the point is, read from a state; others than middles weigh three times as much."""
    s, want = numbers(head, state), (at + 18).clamp(0, 63)  # a box' corner may lie a little outside its cell
    aside = at != 14
    return weighted(s, want, torch.where(aside, 3.0, 1.0)), right(s, want)[aside].mean()


def page(m, img, want):
    """Reading alone."""
    return chars(m, m.visual(img)[1], want)


def icons(m, tokens, pictures):
    """Which icon is in a cell, read from the visual tokens."""
    i, cell, which = pictures.unbind(1)
    score = m.icons(unit(tokens[i, cell])).float()
    return F.cross_entropy(score, which), right(score, which).mean()


def sight(m, img, printed, controls, pictures):
    """The vision tower alone: reading, telling controls apart, and icons."""
    (tokens, aux), measure = m.visual(img), {}
    loss, measure['chars'] = chars(m, aux, printed)
    l, measure['kinds'] = kinds(m, aux, controls)
    loss = loss + 0.2 * l
    if len(pictures):
        l, measure['icons'] = icons(m, tokens, pictures)
        loss = loss + 0.5 * l
    return loss, measure


def scores(q, k, i):
    """Products of queries [n,d] with all keys [B,S,d] of their rows i, which are in order."""
    counts = torch.bincount(i, minlength=len(k)).tolist()
    return torch.cat([z @ k[j].T for j, z in enumerate(q.split(counts))]) / q.shape[-1] ** 0.5


class Attention:
    """Scores of one head of one layer, at (batch index, token) rows."""

    def __init__(self, m, mask):
        self.m, self.mask = m, mask

    def __call__(self, layer, head, rows):
        q, k = self.m.model.layers[layer].self_attn.qk
        i, t = rows[:, 0], rows[:, 1]
        s = scores(q[:, head][i, t].float(), k[:, head // (q.shape[1] // k.shape[1])].float(), i)
        seen = torch.zeros(s.shape, dtype=torch.bool)
        for j, (b, a) in enumerate(zip(i.tolist(), t.tolist())):
            row = self.mask[b][a]
            seen[j, : len(row)] = row
        return s.masked_fill(~seen, -1e4)


def whole(m, b, still=False):
    """(loss, measures) of a batch from pack.collate; a `still` step leaves the vision tower as it is."""
    n, length = b['ids'].shape
    with torch.set_grad_enabled(not still):
        feat, aux = m.visual(b['img'])
    im = b['ids'] == IMG
    x = m.model.embed_tokens(b['ids']).masked_scatter(im[..., None], feat.float())
    x = x.to(torch.bfloat16 if torch.is_autocast_enabled('cpu') else torch.float32)
    h, (read, found, aimed, arrived) = m.lm(x, b['pos'], b['blocks'])
    embed = m.model.embed_tokens.weight
    measure = {}

    want = b['lab'][:, 1:].reshape(-1)
    at = (want >= 0).nonzero().squeeze(1)
    w = b['wt'][:, 1:].reshape(-1)[at]
    score = F.linear(h[:, :-1].reshape(-1, h.shape[-1])[at], embed).float()
    loss = weighted(score, want[at], w)
    measure['lm'] = loss.detach()
    hit = right(score, want[at])
    for name, z in (
        ('digit', W_DIGIT),
        ('bdigit', W_BOX),
        ('copied', W_COPIED),
        ('text', W_TEXT),
        ('decided', W_DECIDED),
        ('related', W_RELATED),
    ):
        measure[name] = hit[w == z].mean()

    attend = Attention(m, b['mask'])
    if len(b['copy']):
        rows = b['copy']
        i, t, src, which = rows.unbind(1)
        own = (b['seg'][i] == b['seg'][i, t][:, None]) & (torch.arange(length)[None] <= t[:, None])
        s = scores(m.cq(found[i, t]).float(), m.ck(found).float(), i).masked_fill(~own, -1e4)
        loss = loss + 0.3 * F.cross_entropy(s, src)
        s = attend(*HEAD_COPY, rows)
        loss = loss + 0.5 * F.cross_entropy(s, src)
        ok = right(s, src)
        for name, z in (('inside', INSIDE), ('next', NEXT), ('value', VALUE), ('way', WAY)):
            measure['src_' + name] = ok[which == z].mean()
    if b['blind']:
        return loss, measure

    if not still:
        l, measure['chars'] = chars(m, aux, b['chars'])
        loss = loss + 0.5 * l
        l, measure['kinds'] = kinds(m, aux, b['kinds'])
        loss = loss + 0.3 * l
        if len(b['pictures']):
            l, measure['icons'] = icons(m, feat, b['pictures'])
            loss = loss + 0.3 * l
    first, cells, wide = len(PRE), int(im[0].sum()), b['img'].shape[-1] // 28
    r, c = (b['pos'][1][im] - first).long(), (b['pos'][2][im] - first).long()
    l, measure['place'] = place(m.place_read, read[im], r, c)
    loss = loss + 0.15 * l
    l, measure['place_aimed'] = place(m.place_aimed, unit(aimed[im]), r, c)
    loss = loss + 0.15 * l

    def visual(z):
        return z[im].view(n, -1, z.shape[-1])

    if len(b['points']):
        l, measure['spots'], measure['offset'] = spots(m, visual(aimed), b['points'])
        loss = loss + 0.4 * l
    if len(b['look']):
        lp = F.log_softmax(attend(*HEAD_BOX, b['look']), -1)[:, first : first + cells]
        loss = loss - 0.5 * (b['look_spot'] * lp).sum(-1).mean()
        measure['att_box'] = (lp.exp() * (b['look_cover'] > 0)).sum(-1).mean().detach()
        got, want = lp.argmax(-1), b['look_spot'].argmax(-1)
        measure['att_spot'] = (got == want).float().mean()
        i, t = b['look'].unbind(1)
        at = b['pos'][1:, i, first + want].long() - first
        state = unit(arrived[i, t])
        l, measure['arrived'] = place(m.place_arrived, state, at[0], at[1])
        loss = loss + 0.5 * l
        l, measure['aside'] = within(m.within_arrived, state, b['look_within'])
        loss = loss + 0.5 * l
        measure['att_row'] = (got // wide == want // wide).float().mean()
        i, t = b['ends'].unbind(1)
        s = scores(m.pq(aimed[i, t]).float(), m.pk(visual(aimed)).float(), i)
        goal = 0.25 * b['ends_cover'] + 0.75 * b['ends_spot']
        loss = loss - 0.7 * (goal * F.log_softmax(s, -1)).sum(-1).mean()
        measure['box'] = (b['ends_cover'].gather(1, s.argmax(-1, keepdim=True)) > 0).float().mean()
    if len(b['tok']):
        there = b['tok'][:, 2] != NOWHERE
        i, t, cell = b['tok'][there].unbind(1)
        if len(i):
            s = scores(m.tq(found[i, t]).float(), m.tk(visual(found)).float(), i)
            loss = loss + 0.5 * F.cross_entropy(s, cell)
            measure['tok'] = right(s, cell).mean()
        at = torch.where(there, b['tok'][:, 2] + first, 0)
        for k, (layer, head, weight) in enumerate(HEAD_TOK):
            s = attend(layer, head, b['tok'])
            loss = loss + 0.5 * weight * F.cross_entropy(s, at)
            measure[f'att_tok{k}'] = right(s, at)[there].mean()
            measure[f'nowhere{k}'] = right(s, at)[~there].mean()
    if len(b['read']):
        i, cell, word = b['read'].unbind(1)
        s = F.linear(m.rd(visual(read)[i, cell]), embed).float()
        loss = loss + 0.4 * F.cross_entropy(s, word)
        measure['read'] = right(s, word).mean()
    return loss, measure
