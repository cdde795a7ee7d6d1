"""The toolkit of the generators of GTK 3 windows, whose version is chosen before it is imported."""

import gi

gi.require_version('Gtk', '3.0')
gi.require_version('Gdk', '3.0')
from gi.repository import Gdk, Gtk
