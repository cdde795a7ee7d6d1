"""What the generators of plain X windows share: a window's frame, its picture once nothing changes, the files of it."""

import json
import os
import select
import time

import gi

gi.require_version('Gdk', '3.0')
gi.require_version('GdkX11', '3.0')
from gi.repository import Gdk, GdkX11

ROOT = Gdk.get_default_root_window()
ACTIVE = Gdk.Atom.intern('_NET_ACTIVE_WINDOW', False)
ORDER = dict(field=0, checkbox=1, button=2)


def forget_focus():
    """The window manager goes on naming a window that is gone, and the next program's may have the same number."""
    Gdk.property_delete(ROOT, ACTIVE)
    Gdk.Display.get_default().sync()


def wait_for_focus(xid, most=2.0):
    """Until the window manager has given a window the focus, and so has framed and placed it."""
    end, screen = time.time() + most, Gdk.Screen.get_default()
    while time.time() < end:
        while Gdk.events_pending():
            Gdk.Event.get()
        w = screen.get_active_window()
        if w and w.get_xid() == xid:
            return
        select.select([], [], [], 0.005)


class Window:
    """A window of another program with its decoration, as far as it is on the screen."""

    def __init__(self, xid):
        self.gdk = GdkX11.X11Window.foreign_new_for_display(Gdk.Display.get_default(), xid)
        f = self.gdk.get_frame_extents()
        _, self.x, self.y = self.gdk.get_origin()
        _, _, self.wide, self.high = self.gdk.get_geometry()  # asked now: numbers of windows come back
        self.x0, self.y0 = max(0, f.x), max(0, f.y)
        self.x1 = min(ROOT.get_width(), f.x + f.width)
        self.y1 = min(ROOT.get_height(), f.y + f.height)
        self.w, self.h = self.x1 - self.x0, self.y1 - self.y0

    def grab(self):
        return Gdk.pixbuf_get_from_window(ROOT, self.x0, self.y0, self.w, self.h)

    def still(self, pause=0.02, most=1.0):
        """Its picture, once it stays as it is for a moment: clients and window manager have drawn."""
        end, old = time.time() + most, self.grab()
        while time.time() < end:
            select.select([], [], [], pause)
            new = self.grab()
            if new.get_pixels() == old.get_pixels():
                break
            old = new
        return old


def inside(word, box):
    """Those characters of (text, middles, y) that are printed in a box, or None."""
    text, xs, y = word
    keep = [i for i, x in enumerate(xs) if box[0] + 1 <= x <= box[2] - 1]
    if not keep or not box[1] < y < box[3]:
        return None
    text = ''.join(text[i] for i in keep)
    return [text, [xs[i] for i in keep], y] if text.strip() else None


def shifted(el, words, dx, dy):
    """From the screen's pixels to the picture's; the order is that of the other generators."""
    el = [dict(e, box=[e['box'][0] - dx, e['box'][1] - dy, e['box'][2] - dx, e['box'][3] - dy]) for e in el]
    el.sort(key=lambda e: ORDER.get(e['kind'], 3))
    return el, [[t, [x - dx for x in xs], y - dy] for t, xs, y in words]


def save(name, picture, window, title, el, words):
    """The picture first and the description at once, so that a training that runs never sees half of them."""
    el, words = shifted(el, words, window.x0, window.y0)
    picture.savev(name + '.png', 'png', [], [])
    with open(name + '.part', 'w') as f:
        json.dump(dict(w=window.w, h=window.h, title=[title, window.y - window.y0], el=el, words=words), f)
    os.replace(name + '.part', name + '.json')
