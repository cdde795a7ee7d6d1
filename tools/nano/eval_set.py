#!/usr/bin/python3
"""Make the evaluation set in tests/eval: real stock programs of Debian, their screens and exact boxes.

    nice python3 tools/nano/eval_set.py OUT [ONLY]...     all screens, or those whose name starts with ONLY

Every screen gets its own Xvfb, session bus, window manager and home folder, so that nobody's settings are in it.
Boxes come from AT-SPI (GTK 3, Qt 5, Qt 6), from the DOM (Chromium), from the X windows of Xaw's widgets and from tmux' grid
of characters; nobody draws one.  eval_set_screens.py lists the screens and tasks, eval_set_targets.py makes the questions.
Run with the system's Python, which has PyGObject.  Writes targets.json and icons.json (ScreenSpot's layout), steps.jsonl,
questions.jsonl and images/; the answers need no program to be replayed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from PIL import Image, ImageGrab

import eval_set_screens
import eval_set_targets

TARGETS = 'targets', 'icons'  # the files of targets
HERE = os.path.dirname(os.path.abspath(__file__))
QUIET = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait(what, seconds, ready):
    """Polls until ready() says something true, and returns it.  Counts polls: this process may be stopped for a while."""
    for _ in range(int(seconds * 20)):
        got = ready()
        if got:
            return got
        time.sleep(0.05)
    raise TimeoutError(f'{what}: not there after {seconds} s')


class Desk:
    """One screen's X server, session bus, window manager and home."""

    def __init__(self, spec):
        self.w, self.h = spec['size']
        self.tmp = tempfile.TemporaryDirectory(prefix='evalset-')
        home, self.procs = self.tmp.name, []
        self.env = {
            'PATH': os.environ['PATH'],
            'HOME': home,
            'XDG_CONFIG_HOME': home + '/.config',
            'XDG_RUNTIME_DIR': home,
            'LANG': 'C.UTF-8',
            'GTK_MODULES': 'gail:atk-bridge',
            'QT_LINUX_ACCESSIBILITY_ALWAYS_ON': '1',
            'QT_QPA_PLATFORMTHEME': 'qt6ct' if spec['toolkit'] == 'qt6' else 'qt5ct',
            'QT_STYLE_OVERRIDE': spec.get('qt', 'Fusion'),
            'NO_AT_BRIDGE': '0',
            'TERM': 'xterm-256color',
        }
        if spec.get('gtk'):
            self.env['GTK_THEME'] = spec['gtk']
        self.settings(home, spec)
        self.bus = 0
        try:
            self.begin(spec)
        except BaseException:
            self.close()
            raise

    def begin(self, spec):
        self.env['DISPLAY'] = self.display = self.server()
        bus = subprocess.run(
            ['dbus-daemon', '--session', '--fork', '--print-address=1', '--print-pid=1'],
            env=self.env, capture_output=True, text=True,
        ).stdout.split()
        self.env['DBUS_SESSION_BUS_ADDRESS'], self.bus = bus[0], int(bus[1])
        self.start(['/usr/libexec/at-spi-bus-launcher', '--launch-immediately', '--a11y=1'])
        subprocess.run(['xsetroot', '-solid', spec.get('desk', '#3c5a6e')], env=self.env, **QUIET)
        if spec.get('wm', 'Onyx'):
            self.start(['openbox', '--config-file', self.tmp.name + '/rc.xml'])
            wait('the window manager', 5, lambda: 'window id' in self.out(['xprop', '-root', '_NET_SUPPORTING_WM_CHECK']))

    def server(self):
        r, w = os.pipe()
        os.set_inheritable(w, True)
        argv = ['Xvfb', '-displayfd', str(w), '-screen', '0', f'{self.w}x{self.h}x24', '-nolisten', 'tcp', '-noreset']
        self.start(argv, pass_fds=[w])
        os.close(w)
        with os.fdopen(r) as f:
            return ':' + f.readline().strip()

    def settings(self, home, spec):
        os.makedirs(home + '/.config/gtk-3.0')
        with open(home + '/.config/gtk-3.0/settings.ini', 'w') as f:
            f.write('[Settings]\ngtk-enable-animations=false\ngtk-cursor-blink=false\n')
            f.write(f'gtk-icon-theme-name={spec.get("icons", "Papirus")}\ngtk-font-name={spec.get("font", "Noto Sans 10")}\n')
        for n in ('5', '6'):
            os.makedirs(home + f'/.config/qt{n}ct')
            with open(home + f'/.config/qt{n}ct/qt{n}ct.conf', 'w') as f:
                f.write(f'[Appearance]\nicon_theme={spec.get("icons", "Papirus")}\nstyle=Fusion\n')
        with open('/etc/xdg/openbox/rc.xml') as f:
            rc = f.read()
        with open(home + '/rc.xml', 'w') as f:
            f.write(re.sub(r'<name>Clearlooks</name>', f'<name>{spec.get("wm", "Onyx")}</name>', rc, count=1))

    def start(self, argv, **more):
        p = subprocess.Popen(argv, env=self.env, cwd=self.tmp.name, start_new_session=True, **{**QUIET, **more})
        self.procs.append(p)
        return p

    def out(self, argv):
        return subprocess.run(argv, env=self.env, capture_output=True, text=True).stdout

    def xdotool(self, *args):
        return self.out(['xdotool', *map(str, args)])

    def grab(self):
        return ImageGrab.grab(xdisplay=self.display).convert('RGB')

    def settled(self, seconds=8):
        """A picture that has stayed the same for 0.7 s; where something goes on blinking, the last one."""
        last, same = None, 0
        for _ in range(int(seconds * 10)):
            im = self.grab()
            now = im.tobytes()
            same = same + 1 if now == last else 0
            if same == 7:
                break
            last = now
            time.sleep(0.1)
        return im

    def close(self):
        if os.path.exists(self.tmp.name + '/tmux'):  # its server has left our group
            self.out(['tmux', '-S', self.tmp.name + '/tmux', 'kill-server'])
        for p in reversed(self.procs):
            try:
                os.killpg(p.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for p in reversed(self.procs):
            try:
                p.wait(2)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        if self.bus:
            os.kill(self.bus, signal.SIGTERM)
        self.tmp.cleanup()


def fit(desk, name):
    """Puts the window inside the screen: moved to its corner, and made smaller where it is larger."""
    ids = desk.xdotool('search', '--onlyvisible', '--name', name).split()
    for i in ids[-1:]:
        ext = re.findall(r'\d+', desk.out(['xprop', '-id', i, '_NET_FRAME_EXTENTS']).split('=')[-1])
        l, r, t, b = map(int, ext) if len(ext) == 4 else (0, 0, 0, 0)
        desk.xdotool('windowactivate', i)
        g = dict(q.split('=') for q in desk.xdotool('getwindowgeometry', '--shell', i).split() if '=' in q)
        w, h = int(g['WIDTH']), int(g['HEIGHT'])
        nw, nh = min(w, desk.w - l - r), min(h, desk.h - t - b)
        if (nw, nh) != (w, h):
            desk.xdotool('windowsize', i, nw, nh)
        x, y = int(g['X']) - l, int(g['Y']) - t
        nx, ny = max(0, min(x, desk.w - nw - l - r)), max(0, min(y, desk.h - nh - t - b))
        if (nx, ny) != (x, y):
            desk.xdotool('windowmove', i, nx, ny)


def window_of(desk, found):
    """[x, y, w, h] of the window with the focus, with its frame and its open menu; None where there is none."""
    i = desk.xdotool('getactivewindow').strip()
    info = desk.out(['xwininfo', '-id', i]) if i else ''
    if 'Width' not in info:
        return None
    x, y, w, h = (int(re.search(k + r':\s+(-?\d+)', info)[1])
                  for k in ('Absolute upper-left X', 'Absolute upper-left Y', 'Width', 'Height'))
    ext = re.findall(r'\d+', desk.out(['xprop', '-id', i, '_NET_FRAME_EXTENTS']).split('=')[-1])
    l, r, t, b = map(int, ext) if len(ext) == 4 else (0, 0, 0, 0)
    boxes = [[x - l, y - t, x + w + r, y + h + b]] + [c['box'] for c in found if c['kind'] == 'item']
    x0, y0 = (max(0, min(q[k] for q in boxes)) for k in (0, 1))
    x1, y1 = min(desk.w, max(q[2] for q in boxes)), min(desk.h, max(q[3] for q in boxes))
    return [x0, y0, x1 - x0, y1 - y0]


def controls_of(desk, spec, page):
    """A list of dict(kind, name, box, visible text?, value, states) in pixels of the screen."""
    how = spec.get('boxes', 'atspi')
    if how == 'dom':
        return page.look(desk)
    if how == 'xaw':
        return xaw(desk, spec)
    if how == 'grid':
        return grid(desk, spec)
    helper = subprocess.run([sys.executable, HERE + '/eval_set_atspi.py'], env=desk.env, capture_output=True, text=True, timeout=600)
    if helper.returncode:
        raise RuntimeError(helper.stderr)
    return json.loads(helper.stdout)


def xaw(desk, spec):
    """Xaw's widgets are X windows; which is which follows from their ids, as a program always makes them in one order."""
    top = desk.xdotool('search', '--onlyvisible', '--name', spec['window']).split()[-1]
    tree, found = desk.out(['xwininfo', '-id', top, '-tree']), []
    for line in tree.splitlines():
        m = re.match(r'\s+(0x[0-9a-f]+) .*?(\d+)x(\d+)\+(-?\d+)\+(-?\d+)\s+\+(-?\d+)\+(-?\d+)', line)
        if m and m[1] != hex(int(top)):
            info = desk.out(['xwininfo', '-id', m[1]])
            x, y, w, h = (int(re.search(k + r':\s+(-?\d+)', info)[1])
                          for k in ('Absolute upper-left X', 'Absolute upper-left Y', 'Width', 'Height'))
            if 'IsViewable' in info:
                found.append((int(m[1], 16), [x, y, x + w, y + h]))
    found.sort()
    if os.environ.get('EVAL_SET_RAW'):
        return [dict(kind='raw', name=str(i), box=b, text=True, value='', states=[]) for i, (_, b) in enumerate(found)]
    found = [b for _, b in found]
    return [dict(kind=k, name=n, box=found[i], text=True, value=v, states=[]) for i, k, n, v in spec['widgets']]


def grid(desk, spec):
    """Texts of a terminal by tmux' own copy of the screen."""
    top = desk.xdotool('search', '--onlyvisible', '--name', spec['window']).split()[-1]
    hints = desk.out(['xprop', '-id', top, 'WM_NORMAL_HINTS'])
    cw, ch = map(int, re.search(r'resize increment: (\d+) by (\d+)', hints).groups())
    base = re.search(r'base size: (\d+) by (\d+)', hints)
    info = desk.out(['xwininfo', '-id', top])
    x, y = (int(re.search(k + r':\s+(-?\d+)', info)[1]) for k in ('Absolute upper-left X', 'Absolute upper-left Y'))
    pad = (int(base[1]) // 2, int(base[2]) // 2)
    rows = desk.out(['tmux', '-S', desk.tmp.name + '/tmux', 'capture-pane', '-p']).split('\n')
    out = []
    for kind, name, text, nth in spec['widgets']:
        hits = [(r, m.start()) for r, line in enumerate(rows) for m in re.finditer(re.escape(text), line)]
        if len(hits) <= nth:
            raise RuntimeError(f'{text!r} is not in the terminal:\n' + '\n'.join(rows))
        r, c = hits[nth]
        a, b = x + pad[0] + c * cw, y + pad[1] + r * ch
        out.append(dict(kind=kind, name=name, box=[a, b, a + len(text) * cw, b + ch], text=True, value='', states=[]))
    return out


def version(spec):
    if spec.get('version'):
        return spec['version']
    out = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', spec['package']], capture_output=True, text=True).stdout
    return out or 'unknown'


def save(im, path):
    """The same pixels in fewer bytes: a palette where there are at most 256 colours."""
    colours = im.getcolors(256)
    if colours:
        flat = im.convert('P', palette=Image.ADAPTIVE, colors=len(colours), dither=0)
        if flat.convert('RGB').tobytes() == im.tobytes():
            im = flat
    im.save(path, optimize=True)


class Maker:
    def __init__(self, out):
        self.out, self.targets, self.steps, self.questions = out, [], [], []
        os.makedirs(out + '/images', exist_ok=True)

    def keep(self, made):
        """Takes over what is there of screens that are not made now."""
        def others(rows):
            return [r for r in rows if not any(re.fullmatch(re.escape(n) + r'(-step\d+)?\.png', r['img_filename']) for n in made)]

        if os.path.exists(self.out + '/targets.json'):
            for name in TARGETS:
                with open(f'{self.out}/{name}.json') as f:
                    self.targets += others(json.load(f))
            for name in ('steps', 'questions'):
                with open(f'{self.out}/{name}.jsonl') as f:
                    setattr(self, name, others(map(json.loads, f)))

    def run(self, spec):
        desk, page = Desk(spec), None
        try:
            if spec.get('boxes') == 'dom':
                page = eval_set_screens.Page(HERE + '/eval_set_pages', spec)
                desk.start(page.browser(desk))
            else:
                for path, text in spec.get('files', {}).items():
                    with open(f'{desk.tmp.name}/{path}', 'w') as f:
                        f.write(text)
                for line in spec.get('before', []):
                    subprocess.run(line, shell=True, env=desk.env, cwd=desk.tmp.name, check=True, **QUIET)
                desk.start([a.replace('~', desk.tmp.name) for a in spec['run']])
            wait(spec['name'], 20, lambda: desk.xdotool('search', '--onlyvisible', '--name', spec['window']).split())
            desk.settled(4)
            if spec.get('fit', True):
                fit(desk, spec['window'])
            if 'place' in spec:
                desk.xdotool('search', '--onlyvisible', '--name', spec['window'], 'windowmove', *spec['place'])
            for step in spec.get('do', []):
                desk.settled(3)
                self.act(desk, step, controls_of(desk, spec, page) if step[0] in ('click', 'input') else [])
            desk.xdotool('mousemove', desk.w - 1, desk.h - 1)
            im = desk.settled()
            found = controls_of(desk, spec, page)
            if spec.get('targets', True):
                self.screen(spec, im, found, window_of(desk, found))
            for task in spec.get('tasks', []):
                self.task(desk, spec, task, page)
        finally:
            desk.close()
            if page:
                page.close()

    def source(self, spec, name, window):
        more = dict(window=window) if window else {}
        return dict(more, img_filename=name, data_source=spec['toolkit'], program=spec['program'], version=version(spec),
                    size='%dx%d' % spec['size'])

    def screen(self, spec, im, found, window):
        if window:
            x, y, w, h = window
            found = [c for c in found if x <= c['box'][0] and c['box'][2] <= x + w and y <= c['box'][1] and c['box'][3] <= y + h]
        name = spec['name'] + '.png'
        save(im, f'{self.out}/images/{name}')
        w, h = im.size
        for kind, instruction, b in eval_set_targets.targets(spec, found, w, h):
            bbox = None if b is None else [b[0], b[1], b[2] - b[0], b[3] - b[1]]
            self.targets.append(dict(self.source(spec, name, window), bbox=bbox, instruction=instruction, data_type=kind))
        for kind, question, answers in eval_set_targets.questions(spec, found) if spec.get('questions', True) else ():
            self.questions.append(dict(self.source(spec, name, window), question=question, answers=answers, data_type=kind))

    def find(self, found, ref):
        """A control by `kind:name`, or `kind:name:n` for the nth of them."""
        kind, name, *n = ref.split(':')
        hits = [c for c in found if c['kind'] == kind and c['name'] == name]
        if len(hits) <= (int(n[0]) if n else 0):
            raise RuntimeError(f'{ref} is not among ' + ', '.join(f'{c["kind"]}:{c["name"]}' for c in found))
        return hits[int(n[0]) if n else 0]

    def act(self, desk, step, found):
        kind = step[0]
        if kind in ('click', 'input'):
            b = self.find(found, step[1])['box']
            desk.xdotool('mousemove', (b[0] + b[2]) // 2, (b[1] + b[3]) // 2, 'click', 1)
        if kind == 'key':
            desk.xdotool('key', *step[1:])
        if kind == 'input' or kind == 'type':
            desk.settled(2)
            desk.xdotool('type', '--delay', '20', step[-1])

    def task(self, desk, spec, task, page):
        """Does a task, writing down before each step what is seen and what is right then."""
        history, window, (goal, steps) = [], None, task
        for i, step in enumerate(steps + [('finished',)]):
            desk.xdotool('mousemove', desk.w - 1, desk.h - 1)
            im = desk.settled(4)
            name = f'{spec["name"]}-step{i}.png'
            save(im, f'{self.out}/images/{name}')
            found = controls_of(desk, spec, page) if step[0] in ('click', 'input') else []
            window = window_of(desk, found) or window
            row = dict(self.source(spec, name, window), goal=goal, history=list(history))
            if step[0] == 'finished':
                row.update(expect=dict(action='finished'), data_type='finished')
                self.steps.append(row)
                break
            if step[0] in ('click', 'input'):
                c = self.find(found, step[1])
                b = c['box']
                if not eval_set_targets.inside(b, *im.size):
                    raise RuntimeError(f'{step[1]} is not on the screen')
                middle = [(b[0] + b[2]) // 2, (b[1] + b[3]) // 2]
                row['expect'] = dict(action=step[0], bbox=[b[0], b[1], b[2] - b[0], b[3] - b[1]])
                if 'FOCUSED' in c['states']:
                    row['expect']['focused'] = True  # typing without a point arrives there too
                row['target'] = '%s "%s"' % (eval_set_targets.THINK.get(c['kind'], c['kind']), c['name'])
                past = dict(action=step[0], start_point=middle)
            elif step[0] == 'key':
                row['expect'] = dict(action='press', keys=list(step[2:]))
                past = dict(action='press', keys=row['expect']['keys'])
            else:
                row['expect'], past = dict(action='input'), dict(action='input')
            if step[0] in ('input', 'type'):
                row['expect']['text'] = past['text'] = step[-1]
            row['data_type'] = 'first step' if i == 0 else 'later step'
            self.steps.append(row)
            history.append(past)
            self.act(desk, step if step[0] != 'key' else step[:2], found)

    def write(self):
        def lines(rows, path):
            with open(f'{self.out}/{path}', 'w') as f:
                for r in rows:
                    f.write(json.dumps(r) + '\n')

        order = {s['name']: i for i, s in enumerate(eval_set_screens.SCREENS)}
        for rows in (self.targets, self.steps, self.questions):
            rows.sort(key=lambda r: order[re.sub(r'(-step\d+)?\.png$', '', r['img_filename'])])
        for name in TARGETS:
            rows = [json.dumps(r) for r in self.targets if (name == 'icons') == (r['data_type'] == 'known icon')]
            with open(f'{self.out}/{name}.json', 'w') as f:
                f.write('[\n' + ',\n'.join(rows) + '\n]\n')
        lines(self.steps, 'steps.jsonl')
        lines(self.questions, 'questions.jsonl')


def main():
    out, only = sys.argv[1], sys.argv[2:]
    maker, failed = Maker(out), []
    specs = [s for s in eval_set_screens.SCREENS if not only or s['name'].startswith(tuple(only))]
    maker.keep([s['name'] for s in specs])
    for spec in specs:
        try:
            maker.run(spec)
            print(spec['name'], len(maker.targets), len(maker.steps), len(maker.questions), flush=True)
        except (TimeoutError, RuntimeError, subprocess.SubprocessError) as e:
            failed.append(spec['name'])
            print(spec['name'], 'failed:', e, flush=True)
    maker.write()
    if failed:
        sys.exit('failed: ' + ' '.join(failed))


if __name__ == '__main__':
    main()
