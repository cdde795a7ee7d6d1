"""The screens of the evaluation set: which program, which window manager and theme, how the state comes about.

name     of the picture                     run / before / files / do   how it is started and what is done to it first
window   part of the window's title         gtk, icons, font, wm, qt    themes; none is in the training data, but `known` icons
boxes    atspi (default), dom, xaw, grid    tasks                       (goal, steps): done one step after another
"""

import http.server
import json
import os
import threading
import time

S, M, L, XL, W = (448, 336), (640, 480), (800, 600), (1024, 768), (1280, 800)
SCREENS = []


def add(name, size, toolkit, program, package, run, window, **more):
    SCREENS.append(dict(dict(name=name, size=size, toolkit=toolkit, program=program, package=package, run=run, window=window), **more))


def zenity(name, size, args, window, **more):
    add('zenity-' + name, size, 'gtk3', 'zenity', 'zenity', ['zenity', *args, '--title=' + window], window, **more)


zenity('question', S, ['--question', '--text=Delete the file report.odt?'], 'Question', gtk='Arc', wm='Onyx',
    tasks=[('Click No', [('click', 'button:No')])])
zenity('entry', S, ['--entry', '--text=New name of the folder:', '--entry-text=Untitled'], 'Rename', gtk='Arc-Dark', wm='Bear2')
zenity('password', S, ['--password', '--username'], 'Sign in', gtk='Arc', wm='Natura',
       tasks=[('Log in with Username marta and Password tulip88, then click OK',
               [('input', 'field:Username', 'marta'), ('input', 'field:Password', 'tulip88'), ('click', 'button:OK')])])
zenity('calendar', S, ['--calendar', '--text=Day of departure', '--day=12', '--month=5', '--year=2025'], 'Travel', gtk='Arc-Lighter', wm='Mikachu')
zenity('scale', S, ['--scale', '--text=Brightness of the panel', '--value=40'], 'Brightness', gtk='Arc', wm='Onyx-Citrus')
zenity('list', S, ['--list', '--radiolist', '--column=', '--column=Size', '--column=Price', 'TRUE', 'Small', '4', 'FALSE', 'Medium', '6',
                   'FALSE', 'Large', '9', '--width=320', '--height=260'], 'Coffee', gtk='Arc', wm='Orang',
    tasks=[('Select Large and click OK', [('click', 'cell:Large'), ('click', 'button:OK')])])
zenity('check', S, ['--list', '--checklist', '--column=', '--column=Package', '--column=Version', 'TRUE', 'kernel', '6.1', 'FALSE', 'firmware', '20230210',
                    'FALSE', 'grub', '2.06', 'TRUE', 'openssl', '3.0.11', '--width=380', '--height=280'], 'Updates', gtk='Arc-Dark', wm='Onyx')
zenity('info', S, ['--info', '--text=The backup is complete. 214 files were copied.'], 'Backup', gtk='HighContrast', wm='Bear2')
zenity('forms', S, ['--forms', '--text=Where to send it', '--add-entry=Street', '--add-entry=Town', '--add-entry=Postcode'], 'Delivery', gtk='Arc', wm='Bear2',
       tasks=[('Fill in the form: Street Elm Road 14, Town Ghent, Postcode 9000, then press OK',
               [('input', 'field:Street', 'Elm Road 14'), ('input', 'field:Town', 'Ghent'), ('input', 'field:Postcode', '9000'), ('click', 'button:OK')])])
zenity('forms-wide', M, ['--forms', '--text=Details of the guest', '--add-entry=Full name', '--add-entry=Room', '--width=420'], 'Reception', gtk='Arc-Dark', wm='Natura', icons='breeze', font='DejaVu Serif 11',
       tasks=[('Enter Ines Falk in Full name and 208 in Room, then click OK', [('input', 'field:Full name', 'Ines Falk'), ('input', 'field:Room', '208'), ('click', 'button:OK')])])
zenity('text', M, ['--text-info', '--filename=notes.txt', '--checkbox=I have read this', '--width=520', '--height=400'], 'Licence', gtk='Arc', wm='Natura',
       files={'notes.txt': 'Terms of use\n\n' + 'This program comes without any warranty.\n' * 12})
zenity('progress', S, ['--progress', '--text=Copying pictures', '--percentage=35'], 'Copy', gtk='Arc-Darker', wm='Nightmare')
zenity('open', M, ['--file-selection'], 'Choose a file', gtk='Arc', wm='Onyx', before=['mkdir Reports Scans; touch budget.csv letter.txt plan.odt'])


def gtk(name, size, program, run, window, **more):
    add(name, size, 'gtk3', program, more.pop('package', program), run, window, **more)


gtk('galculator', (448, 448), 'galculator', ['galculator'], 'galculator', gtk='Arc', wm='Onyx',
    tasks=[('Click 8, click -, click 3 and click =', [('click', 'toggle:' + k) for k in '8-3='])])
gtk('galculator-dark', M, 'galculator', ['galculator'], 'galculator', gtk='Arc-Dark', wm='Bear2')
TEXT = 'Shopping\nbread\nmilk\napples\n'
gtk('mousepad', S, 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Onyx', files={'list.txt': TEXT},
    tasks=[('Open the Edit menu and choose Select All', [('click', 'menu:Edit'), ('click', 'item:Select All')])])
gtk('mousepad-file', M, 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Natura', files={'list.txt': TEXT}, do=[('key', 'alt+f')])
gtk('mousepad-edit', S, 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc-Dark', wm='Orang', files={'list.txt': TEXT}, do=[('key', 'alt+s')])
gtk('mousepad-find', M, 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Mikachu', files={'list.txt': TEXT}, do=[('key', 'ctrl+f')])
gtk('mousepad-replace', M, 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Onyx', files={'list.txt': TEXT}, do=[('key', 'ctrl+r')],
    tasks=[('Type milk in Search for and cheese in Replace with, then click Replace', [('input', 'combo:Search for', 'milk'), ('input', 'combo:Replace with', 'cheese'), ('click', 'button:Replace')])])
gtk('mousepad-prefs', M, 'mousepad', ['mousepad', '--preferences'], 'Preferences', gtk='Arc', wm='Onyx')
gtk('gucharmap', L, 'gucharmap', ['gucharmap'], 'Character Map', quota=dict(icon=0), gtk='Arc', wm='Bear2')
gtk('file-roller', M, 'file-roller', ['file-roller', '~/photos.tar.gz'], 'photos', gtk='Arc', wm='Onyx', icons='breeze',
    before=['mkdir trip; echo a > trip/beach.jpg; echo b > trip/tower.jpg; echo c > readme.txt; tar czf photos.tar.gz trip readme.txt'])
gtk('appearance', M, 'xfce4-appearance-settings', ['xfce4-appearance-settings'], 'Appearance', package='xfce4-settings', gtk='Arc', wm='Natura')
gtk('appearance-fonts', L, 'xfce4-appearance-settings', ['xfce4-appearance-settings'], 'Appearance', package='xfce4-settings', gtk='Arc-Dark', wm='Onyx', do=[('click', 'tab:Fonts')])
gtk('mouse', M, 'xfce4-mouse-settings', ['xfce4-mouse-settings'], 'Mouse', package='xfce4-settings', gtk='Arc', wm='Bear2')
gtk('keyboard', M, 'xfce4-keyboard-settings', ['xfce4-keyboard-settings'], 'Keyboard', package='xfce4-settings', gtk='Arc', wm='Onyx',
    tasks=[('Open the Layout tab and click Close', [('click', 'tab:Layout'), ('click', 'button:Close')])])
gtk('accessibility', M, 'xfce4-accessibility-settings', ['xfce4-accessibility-settings'], 'Accessibility', package='xfce4-settings', gtk='Arc-Darker', wm='Orang')
gtk('appfinder', M, 'xfce4-appfinder', ['xfce4-appfinder'], 'Application Finder', gtk='Arc', wm='Onyx')
gtk('qalculate', XL, 'qalculate-gtk', ['qalculate-gtk'], 'Qalculate', quota=dict(icon=0), gtk='Arc', wm='Onyx')
gtk('gedit', M, 'gedit', ['gedit', '~/list.txt'], 'list.txt', gtk='Arc', wm='Bear2', files={'list.txt': TEXT})
gtk('gedit-replace', L, 'gedit', ['gedit', '~/list.txt'], 'list.txt', gtk='Arc', wm='Onyx', files={'list.txt': TEXT}, do=[('key', 'ctrl+h')],
    tasks=[('Type bread in Find and rolls in Replace with, then click Replace All', [('input', 'combo:Find', 'bread'), ('input', 'combo:Replace with', 'rolls'), ('click', 'button:Replace All')])])
gtk('catfish', L, 'catfish', ['catfish'], 'Catfish', gtk='Arc', wm='Natura', icons='breeze')
gtk('atril', L, 'atril', ['atril'], 'Atril', gtk='Arc', wm='Onyx')
gtk('xarchiver', M, 'xarchiver', ['xarchiver'], 'Xarchiver', gtk='Arc', wm='Bear2')
gtk('ristretto', M, 'ristretto', ['ristretto'], 'Image Viewer', gtk='Arc', wm='Onyx')
gtk('l3afpad', S, 'l3afpad', ['l3afpad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Nightmare-01', files={'list.txt': TEXT}, do=[('key', 'alt+e')])


def qt(name, size, program, run, window, **more):
    add(name, size, more.pop('toolkit', 'qt5'), program, more.pop('package', program), run, window, **more)


qt('qt5ct', M, 'qt5ct', ['qt5ct'], 'Qt5 Configuration', wm='Onyx',
    tasks=[('Open the Fonts tab, then the Interface tab', [('click', 'tab:Fonts'), ('click', 'tab:Interface')])])
qt('qt6ct', L, 'qt6ct', ['qt6ct'], 'Qt6 Configuration', toolkit='qt6', wm='Bear2')
qt('speedcrunch', M, 'speedcrunch', ['speedcrunch'], 'SpeedCrunch', wm='Natura')
qt('featherpad', M, 'featherpad', ['featherpad', '~/list.txt'], 'list.txt', wm='Onyx', files={'list.txt': TEXT})
qt('qpdfview', L, 'qpdfview', ['qpdfview'], 'qpdfview', wm='Mikachu')
qt('assistant', L, 'assistant', ['assistant'], 'Qt Assistant', package='qttools5-dev-tools', wm='Onyx')
qt('lximage', M, 'lximage-qt', ['lximage-qt'], 'Image Viewer', wm='Bear2')


# Programs that the training does not have, with icon themes that it has: only icons of its names are asked for
KNOWN = dict(text=0, field=0, icon=12, role=0, relation=0, absent=0)


def known(make, name, size, icons, program, run, window, **more):
    make('icons-' + name, size, program, run, window, icons=icons, quota=KNOWN, icon='known icon', questions=False, **more)


PICTURES = ['''/usr/bin/python3 -c "from PIL import Image; [Image.linear_gradient('L').save(f'{i}.png') for i in (1, 2, 3)]"''']
known(gtk, 'mousepad', M, 'elementary-xfce', 'mousepad', ['mousepad', '~/list.txt'], 'list.txt', gtk='Arc', wm='Onyx', files={'list.txt': TEXT},
      before=['gsettings set org.xfce.mousepad.preferences.window toolbar-visible true'])
known(gtk, 'geany', L, 'Tango', 'geany', ['geany', '~/list.txt'], 'list.txt', gtk='Arc', wm='Bear2', files={'list.txt': TEXT})
known(gtk, 'pluma', M, 'mate', 'pluma', ['pluma', '~/list.txt'], 'list.txt', gtk='Arc', wm='Natura', files={'list.txt': TEXT})
known(gtk, 'eom', M, 'gnome', 'eom', ['eom', '~/1.png'], '1.png', gtk='Arc', wm='Bear2', before=PICTURES)
known(gtk, 'xarchiver', M, 'gnome', 'xarchiver', ['xarchiver'], 'Xarchiver', gtk='Arc', wm='Onyx')
known(gtk, 'thunar', M, 'elementary-xfce', 'thunar', ['thunar'], 'Thunar', gtk='Arc', wm='Bear2', before=['mkdir Reports Scans'])
known(gtk, 'abiword', L, 'gnome', 'abiword', ['abiword'], 'Untitled', gtk='Arc', wm='Onyx')
known(gtk, 'parole', M, 'elementary-xfce-dark', 'parole', ['parole'], 'Parole', gtk='Arc-Dark', wm='Bear2')
known(qt, 'featherpad', M, 'oxygen', 'featherpad', ['featherpad', '~/list.txt'], 'list.txt', wm='Onyx', files={'list.txt': TEXT})
known(qt, 'qpdfview', L, 'Tango', 'qpdfview', ['qpdfview'], 'qpdfview', wm='Bear2')
known(qt, 'lximage', M, 'oxygen', 'lximage-qt', ['lximage-qt', '~/1.png'], '1.png', wm='Natura', before=PICTURES)


# Xaw: the nth X window of a program, in the order of making, is this control
def xaw(name, size, program, run, window, widgets, **more):
    add(name, size, 'xaw', program, more.pop('package', 'x11-apps'), run, window, boxes='xaw', widgets=widgets, **more)


def terminal(name, size, program, command, widgets, **more):
    font = more.pop('points', 10)
    run = ['xterm', '-fa', 'DejaVu Sans Mono', '-fs', str(font), '-title', 'Terminal', '-geometry', more.pop('cells', '54x15')]
    run += more.pop('colours', []) + ['-e', 'tmux', '-S', '~/tmux', '-f', '/dev/null', 'set', '-g', 'status', 'off', ';', 'new', command]
    add(name, size, 'terminal', program, more.pop('package', program), run, 'Terminal', boxes='grid', widgets=widgets, **more)


# Chromium: pages in eval_set_pages, and hypertext that Debian ships
def web(name, size, page, window, **more):
    add('web-' + name, size, 'web', 'chromium', 'chromium', [], window, boxes='dom', page=page, **more)


PROBE = '''
const kinds = e => {
  const t = e.tagName, y = (e.type || '').toLowerCase(), r = e.getAttribute('role');
  if (r == 'tab') return 'tab';
  if (r == 'switch') return 'switch';
  if (t == 'BUTTON' || t == 'INPUT' && /submit|button|reset/.test(y)) return 'button';
  if (t == 'A') return 'link';
  if (t == 'SELECT') return 'combo';
  if (t == 'TEXTAREA') return 'area';
  if (y == 'checkbox' || y == 'radio' || y == 'range') return y == 'range' ? 'slider' : y;
  return t == 'INPUT' ? 'field' : t == 'TD' ? 'cell' : 'heading';
};
function look(dx, dy) {
  const out = [];
  for (const e of document.querySelectorAll('button,input,a[href],select,textarea,[role=tab],td,h1,h2,h3')) {
    const k = kinds(e), label = e.labels && e.labels[0];
    const rects = [...(k == 'link' ? e.getClientRects() : [e.getBoundingClientRect()])];
    if (rects.length != 1) continue; // a link over two lines has no single box
    let {left, top, right, bottom} = rects[0];
    const x = (left + right) / 2, y = (top + bottom) / 2, hit = document.elementFromPoint(x, y);
    if (!hit || !(e.contains(hit) || label && label.contains(hit))) continue;
    if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight) continue;
    if (label && /checkbox|radio/.test(k)) {
      const l = label.getBoundingClientRect();
      left = Math.min(left, l.left); top = Math.min(top, l.top); right = Math.max(right, l.right); bottom = Math.max(bottom, l.bottom);
    }
    const shown = (label || e).innerText.trim() || (k == 'button' && e.value || '');
    const name = (e.getAttribute('aria-label') || shown || '').replace(/\\s+/g, ' ');
    out.push({kind: k, name, text: !!shown, value: e.value || '', states: [e.checked ? 'CHECKED' : '', document.activeElement == e ? 'FOCUSED' : ''].filter(Boolean),
              box: [left + dx, top + dy, right + dx, bottom + dy].map(Math.round)});
  }
  return out;
}
addEventListener('mousemove', e => fetch('/boxes', {method: 'POST', body: JSON.stringify(look(e.screenX - e.clientX, e.screenY - e.clientY))}));
'''


class Page:
    """Serves one page to a Chromium on the desk; the page itself tells where its controls are."""

    def __init__(self, folder, spec):
        self.spec, self.got = spec, None
        path = spec['page'] if spec['page'].startswith('/') else f'{folder}/{spec["page"]}'
        root, me = os.path.dirname(path), self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *a):
                super().__init__(*a, directory=root)

            def log_message(self, *a):
                pass

            def do_GET(self):
                if self.path == '/page':
                    with open(path, 'rb') as f:
                        self.answer(f.read() + b'<script>' + PROBE.encode() + b'</script>', 'text/html; charset=utf-8')
                elif self.path == '/bootstrap.css':
                    with open('/usr/share/bootstrap-html/css/bootstrap.min.css', 'rb') as f:
                        self.answer(f.read(), 'text/css')
                else:
                    super().do_GET()

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                me.got = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                self.answer(b'', 'text/plain')

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def browser(self, desk):
        address = f'http://127.0.0.1:{self.server.server_port}/page'
        kind = ['--kiosk', address] if self.spec.get('kiosk') else ['--app=' + address]
        return ['chromium', '--no-sandbox', '--test-type', '--disable-gpu', '--no-first-run', '--disable-background-networking',
                '--disable-component-update', '--disable-sync', '--password-store=basic', '--disable-lcd-text', '--force-device-scale-factor=1',
                '--disable-features=Translate', f'--user-data-dir={desk.tmp.name}/chromium',
                f'--window-size={desk.w},{desk.h - 24}', '--window-position=0,0', *kind]

    def look(self, desk):
        self.got = None
        for _ in range(60):
            if self.got is not None:
                break
            desk.xdotool('mousemove', desk.w // 2, desk.h // 2, 'mousemove', desk.w // 2 + 1, desk.h // 2)
            time.sleep(0.2)
        desk.xdotool('mousemove', desk.w - 1, desk.h - 1)
        if self.got is None:
            raise RuntimeError('the page does not tell its boxes')
        return self.got

    def close(self):
        self.server.shutdown()


CALC = """1/x x² √ CE/C AC INV sin cos tan DRG e EE log ln y^x not and or xor trunc π x! ( ) base shl D E F shr mod A B C ÷
STO 7 8 9 * RCL 4 5 6 - SUM 1 2 3 + EXC 0 . +/- =""".split()
xaw('xcalc', S, 'xcalc', ['xcalc', '-title', 'Calculator', '-geometry', '+40+10'], 'Calculator',
    [(55 - k, 'button', t, '') for k, t in enumerate(CALC)], wm='Onyx', quota=dict(text=6),
    tasks=[('Click 7, then *, then 6 and then =', [('click', 'button:' + k) for k in '7*6='])])
xaw('xmessage', S, 'xmessage', ['xmessage', '-center', '-buttons', 'Keep,Discard,Ask later', 'Unsaved changes in chapter 3.'], 'xmessage',
    [(3, 'button', 'Keep', ''), (2, 'button', 'Discard', ''), (1, 'button', 'Ask later', '')], wm='Bear2', tasks=[('Click Ask later', [('click', 'button:Ask later')])])
xaw('xman', S, 'xman', ['xman', '-geometry', '+60+40'], 'xman', [(3, 'button', 'Help', ''), (2, 'button', 'Quit', ''), (1, 'button', 'Manual Page', '')], wm='Natura')
xaw('xfontsel', M, 'xfontsel', ['xfontsel', '-title', 'xfontsel', '-geometry', '+10+30'], 'xfontsel',
    [(4, 'button', 'quit', ''), (3, 'button', 'select', '')] + [(32 - 2 * k, 'menu', t, '') for k, t in enumerate(
        'fndry fmly wght slant sWdth adstyl pxlsz ptSz resx resy spc avgWdth rgstry encdng'.split())], wm='Onyx')
xaw('xclipboard', S, 'xclipboard', ['xclipboard', '-title', 'xclipboard', '-geometry', '+10+30'], 'xclipboard',
    [(8 - k, 'button', t, '') for k, t in enumerate('Quit Delete New Save Next Prev'.split())] + [(1, 'area', '', '')], wm='Mikachu')

OK, CANCEL = ('button', 'OK', '<  OK  >', 0), ('button', 'Cancel', '<Cancel>', 0)
terminal('dialog-menu', M, 'dialog', "dialog --title Backup --menu 'What to do?' 13 46 4 1 'Back up now' 2 'Restore files' 3 'Change the schedule' 4 'Show the log'",
         [OK, CANCEL] + [('item', t, t, 0) for t in ('Back up now', 'Restore files', 'Change the schedule', 'Show the log')], wm='Onyx', cells='70x22',
         tasks=[('Press Down and then press Enter', [('key', 'Down', 'down'), ('key', 'Return', 'enter')])])
terminal('dialog-form', M, 'dialog', "dialog --title Network --form 'Address of the printer' 13 50 3 Host 1 1 '' 1 12 20 0 Port 2 1 '' 2 12 8 0 Queue 3 1 '' 3 12 20 0",
         [OK, CANCEL], wm='Natura', cells='70x22',
         tasks=[('Type laser7.lan, press Down, type 9100 and press Enter', [('type', 'laser7.lan'), ('key', 'Down', 'down'), ('type', '9100'), ('key', 'Return', 'enter')])])
terminal('dialog-yesno', S, 'dialog', "dialog --title Restart --yesno 'Restart the server now?' 7 40",
         [('button', 'Yes', '< Yes >', 0), ('button', 'No', '< No  >', 0)], wm='Bear2', points=9)
terminal('mc', M, 'mc', 'mc --nosubshell', [('menu', t, t, 0) for t in ('Left', 'File', 'Command', 'Options', 'Right')] +
         [('button', t, t, 0) for t in ('Help', 'View', 'Edit', 'Copy', 'Mkdir', 'Quit')] + [('row', t, t, 0) for t in ('Letters', 'Music', 'song.ogg')],
         wm='Onyx', cells='76x24', before=['mkdir Music Letters; touch a.txt song.ogg'])
terminal('nano', S, 'nano', 'nano list.txt', [('button', t, t, 0) for t in ('Help', 'Exit', 'Write Out', 'Where Is', 'Replace', 'Cut', 'Paste')],
         wm='Mikachu', points=9, cells='56x16', files={'list.txt': TEXT}, colours=['-bg', '#20242c', '-fg', '#dddddd'],
         tasks=[('Press Ctrl+X', [('key', 'ctrl+x', 'ctrl', 'x')])])
for name, size, goal, command, more in [
    ('shell', S, 'Type ls -l /var/log and press Enter', 'ls -l /var/log', dict(wm='Onyx', points=9, cells='60x17')),
    ('shell-wide', M, 'Run the command mkdir Backup2', 'mkdir Backup2', dict(wm='Bear2', cells='72x24', colours=['-bg', 'black', '-fg', 'green'])),
    ('shell-light', S, 'Type cp notes.txt /tmp/q7rK.bak and press Enter', 'cp notes.txt /tmp/q7rK.bak', dict(wm='Natura', points=9, cells='60x17', colours=['-bg', '#fdf6e3', '-fg', '#073642'])),
]:
    terminal(name, size, 'dash', 'env PS1="$ " sh', [], package='dash', targets=False, tasks=[(goal, [('type', command), ('key', 'Return', 'enter')])], **more)

for page, size, title, more in [
    ('checkout', M, 'Checkout', dict(kiosk=True, tasks=[('Fill in the form: Given name Lena, Family name Okafor, Voucher SPRING24, then click Place order', [
        ('input', 'field:Given name', 'Lena'), ('input', 'field:Family name', 'Okafor'), ('input', 'field:Voucher', 'SPRING24'), ('click', 'button:Place order')])])), ('login', S, 'Sign in', dict(tasks=[('Type ida@fjord.no in Mail address and birch-77 in Passphrase, then click Sign in', [
        ('input', 'field:Mail address', 'ida@fjord.no'), ('input', 'field:Passphrase', 'birch-77'), ('click', 'button:Sign in')])])), ('settings', L, 'Settings', dict(wm='Onyx', tasks=[('Turn on Two-step login and click Save changes', [('click', 'checkbox:Two-step login'), ('click', 'button:Save changes')])])),
    ('mail', XL, 'Mail', dict(wm='Bear2')), ('survey', M, 'Survey', dict(tasks=[('Click Punctual, then Comfortable, then type 41 in Seat number and click Hand in', [
        ('click', 'radio:Punctual'), ('click', 'radio:Comfortable'), ('input', 'field:Seat number', '41'), ('click', 'button:Hand in')])])), ('booking', S, 'Booking', dict(kiosk=True, tasks=[('Set Arrival to 14 July, Nights to 3 and Beds to 5, then click Ask for a place', [
        ('input', 'field:Arrival', '14 July'), ('input', 'field:Nights', '3'), ('input', 'field:Beds', '5'), ('click', 'button:Ask for a place')])])),
    ('player', M, 'Player', dict(wm='Natura')), ('shop', W, 'Garden', dict(wm='Onyx')),
]:
    web(page, size, page + '.html', title, **more)
web('nano-faq', M, '/usr/share/doc/nano/faq.html', 'nano', wm='Onyx')
web('libffi', L, '/usr/share/doc/libffi8/html/index.html', 'libffi', wm='Bear2')
