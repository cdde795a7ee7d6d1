"""What all generators of GTK windows share: letting it draw, fonts, and where the characters of a Pango layout are."""

import time

import gi

gi.require_version('Pango', '1.0')
from gi.repository import GLib, Pango

FONTS = [
    'Sans',
    'Noto Sans',
    'DejaVu Sans',
    'Cantarell',
    'Liberation Sans',
    'Open Sans',
    'Roboto',
    'Lato',
]


def pump(seconds):
    end, context = time.time() + seconds, GLib.MainContext.default()
    while time.time() < end:
        while context.iteration(False):
            pass
        time.sleep(0.002)


def characters(layout, x0, y0):
    """(text, middle of each character, height of the middle of the line) of a layout's first line"""
    text, xs, b = layout.get_text().split('\n')[0], [], 0
    for c in text:
        p = layout.index_to_pos(b)
        xs.append(x0 + (p.x + p.width / 2) / Pango.SCALE)
        b += len(c.encode())
    return [text, xs, y0 + layout.get_baseline() / Pango.SCALE - 4] if xs else None


def between(word, left, right):
    """Those of its characters that are printed from left to right."""
    text, xs, y = word
    keep = [i for i, x in enumerate(xs) if left <= x < right]
    return [''.join(text[i] for i in keep), [xs[i] for i in keep], y]
