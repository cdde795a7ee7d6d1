"""Vocabulary of the generators: labels, values and phrases, broad and random so that the model must read."""

import random
import string

try:
    WORDS = [w.strip() for w in open('/usr/share/dict/words')]
except OSError:
    WORDS = 'alpha beta gamma delta river stone cloud table green yellow paper window garden silver market'.split()
WORDS = [w for w in WORDS if w.isascii() and w.isalpha() and 2 <= len(w) <= 11]
UI = [
    u.replace('_', ' ')
    for u in '''OK Cancel Save Open Close Quit Exit New Edit View Help File Tools Options Settings Preferences Apply Reset
Submit Send Search Find Replace Undo Redo Cut Copy Paste Delete Remove Add Insert Format Print Export Import Upload Download Refresh Reload Back
Forward Next Previous Finish Start Stop Pause Resume Play Record Login Logout Sign_in Sign_up Register Continue Skip Yes No Accept Decline Allow
Deny Ignore Retry Abort Browse Select_all Clear Done More Less Show Hide Connect Disconnect Install Update Run Debug Build Test Remember_me Save_as
Log_in Log_out Dark_mode Enable_sync Send_report Auto_save Show_password Full_screen Zoom_in Zoom_out Home Profile Account Security Network Display
Sound Keyboard Mouse Language About Documents Pictures Music Videos Inbox Sent Drafts Archive Contacts Calendar Tasks Reports Users Groups'''.split()
]
BUTTONS = 'OK Cancel Save Submit Send Apply Reset Close Add Next Back Finish Register Continue Clear Done Yes No Login Help Create Update'.split()
FIELDS = [
    u.replace('_', ' ')
    for u in '''Name First_name Last_name Surname Full_name Email E-mail Email_address Password Username User_name Phone
Phone_number Mobile Address Street City Town State Country Zip_code Postal_code Company Organization Department Title Subject Message Comment Notes
Description Date Birthday Date_of_birth Time Amount Price Quantity Total Discount Age Gender Occupation Website URL Host Port Server User_ID Nickname
Middle_name Job_title Account Reference Order_number Tag Category Colour Color Size Weight Height Room Floor Building Item Code Currency Language
Region Fax Team Manager Project Task Version File_name Path Key Value Author Publisher Year Month Day Hours Rate Invoice Customer Contact Place'''.split()
]
FIRST = '''Ada Bob Alice Carol David Emma Frank Grace Henry Irene Jack Karen Liam Maria Nina Oscar Paul Quinn Rosa Sam Tina Umar Vera Will Xena Yuri Zoe Alan
Linus Greta Hugo Ivan Julia Kurt Lena Mona Noah Olga Peter Ruth Sara Tom Ursula Victor Wanda John Jane Mary Anna Ben Clara Dora Erik'''.split()
LAST = '''Lovelace Smith Jones Turing Hopper Brown Miller Davis Wilson Moore Taylor Thomas White Harris Martin Clark Lewis Young Walker Hall Allen King Wright
Scott Green Baker Adams Nelson Carter Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart Morris Rogers Reed Cook Bell'''.split()
CITY = '''Paris London Berlin Rome Madrid Vienna Oslo Prague Lisbon Dublin Athens Warsaw Tokyo Seoul Delhi Cairo Lima Boston Chicago Denver Austin
Dallas Seattle Toronto Sydney Geneva Zurich Munich Hamburg Milan Lyon Porto Krakow Kyiv Riga Tallinn Helsinki Stockholm Copenhagen'''.split()
DOMAIN = ['example.com', 'mail.org', 'test.io', 'example.org', 'mail.com', 'work.net']


def odd_label(r):
    """A label as programs have them beside words of a dictionary: little words, numbers, names of files and of code."""

    def w():
        return r.choice(WORDS) if r.random() < 0.5 else r.choice(UI).split()[0]

    little = r.choice('and and or of to to in for with from the at by on as a now up per this'.split())
    n, v = str(r.randint(0, 60)), r.random()
    if v < 0.35:
        t = f'{w()} {little} {w()}' if r.random() < 0.7 else f'{w()} {w()} {little} {w()} {w()}'
    elif v < 0.45:
        start = r.choice(
            ['You can', 'Do not', 'They', 'Show the', 'Use a', 'How to find', 'Look up the', 'On to']
        )
        t = f'{start} {w().lower()} {w().lower()}'
    elif v < 0.65:
        t = r.choice(['{w} {n}', '{n} {w}', '{n}. {w}', '{w} {n} {u}', '{n} {w} {u}']).format(
            w=w(), n=n, u=w()
        )
    elif v < 0.8:
        t = w().capitalize() + w().capitalize() if r.random() < 0.5 else w().lower() + w().lower()
    elif v < 0.9:
        end = r.choice(['.txt', '.py', '.conf', '.css', '.png', '.so', '/'])
        t = w().lower() + r.choice(['', '-', '_', '.']) + r.choice([w().lower(), n]) + end
    else:
        t = r.choice(['{w}-{u} {x}', '{w} & {u}', '{w}/{u}', '{w}...', '({w})', '{w} ({u})', "{w}'s {u}"])
        t = t.format(w=w(), u=w().lower(), x=w().lower())
    return t


def phrase(r, n=None):
    if n is None and r.random() < 0.08:
        return odd_label(r)
    if n is None and r.random() < 0.45 or n == 1 and r.random() < 0.3:
        return r.choice(UI)
    n = n or r.choice([1, 1, 1, 2, 2, 3])
    ws = [r.choice(WORDS) for _ in range(r.randint(1, n))]
    s = r.random()
    if s < 0.55:
        ws = [w.capitalize() if i == 0 else w.lower() for i, w in enumerate(ws)]
    elif s < 0.75:
        ws = [w.capitalize() for w in ws]
    elif s < 0.8:
        ws = [w.upper() for w in ws]
    else:
        ws = [w.lower() for w in ws]
    t = ' '.join(ws)
    if r.random() < 0.06:
        t += ' ' + str(r.randint(0, 999))
    return t


def form_label(r):
    if r.random() < 0.6:
        return r.choice(FIELDS)
    ws = [r.choice(WORDS) for _ in range(r.choice([1, 1, 2]))]
    t = ' '.join(ws).lower()
    return t[0].upper() + t[1:] if r.random() < 0.85 else t


def value_for(r, label=''):
    l = label.lower()
    v = r.random()
    if v < 0.7:
        if 'mail' in l:
            return (
                (r.choice(FIRST + LAST).lower() if r.random() < 0.5 else r.choice(WORDS).lower())
                + r.choice(['', '', str(r.randint(1, 99))])
                + '@'
                + r.choice(DOMAIN)
            )
        if 'name' in l or l in ('author', 'contact', 'manager', 'customer'):
            if 'first' in l or 'nick' in l:
                return r.choice(FIRST)
            if 'last' in l or l == 'surname':
                return r.choice(LAST)
            return r.choice(FIRST) + (' ' + r.choice(LAST) if r.random() < 0.5 else '')
        if l in ('city', 'town', 'region', 'place', 'state', 'country'):
            return r.choice(CITY)
        if any(q in l for q in ('phone', 'mobile', 'fax')):
            return ''.join(r.choice(string.digits) for _ in range(r.randint(5, 10)))
        if any(q in l for q in ('date', 'birthday')):
            return '%04d-%02d-%02d' % (r.randint(1950, 2030), r.randint(1, 12), r.randint(1, 28))
        if any(
            q in l
            for q in (
                'amount',
                'price',
                'quantity',
                'total',
                'age',
                'port',
                'year',
                'code',
                'number',
                'rate',
                'hours',
                'size',
            )
        ):
            return str(r.randint(1, 99999))
    v = r.random()
    if v < 0.25:
        return r.choice(WORDS).lower()
    if v < 0.4:
        return r.choice(WORDS).capitalize()
    if v < 0.5:
        return r.choice(WORDS).lower() + ' ' + r.choice(WORDS).lower()
    if v < 0.6:
        return str(r.randint(0, 99999))
    if v < 0.7:
        return r.choice(FIRST)
    if v < 0.78:
        return r.choice(CITY)
    if v < 0.9:
        return r.choice(WORDS).lower() + '@' + r.choice(DOMAIN)
    return r.choice(WORDS).capitalize() + ' ' + str(r.randint(1, 99))


def scramble(r, letters, least, most):
    return ''.join(r.choice(letters) for _ in range(r.randint(least, most)))


def hard_value(r):
    """Something to copy that no dictionary has: long numbers, codes, mail addresses, paths."""
    v = r.random()
    if v < 0.25:
        return scramble(r, string.digits, 5, 11)
    if v < 0.35:
        return scramble(r, string.ascii_lowercase, 4, 9)
    if v < 0.5:
        return scramble(r, string.ascii_letters + string.digits, 4, 10)
    if v < 0.8:
        name = r.choice(FIRST + LAST + WORDS).lower() + r.choice(
            ['', '', '.' + r.choice(LAST).lower(), str(r.randint(1, 99))]
        )
        return (
            name
            + '@'
            + r.choice(WORDS).lower()
            + '.'
            + r.choice(['com', 'org', 'net', 'mil', 'edu', 'io', 'de', 'co.uk', 'info'])
        )
    if v < 0.9:
        return path(r)
    return (
        r.choice(WORDS) + r.choice('-_./') + r.choice(WORDS).lower() + r.choice(['', str(r.randint(0, 99))])
    )


def path(r):
    """A path as shells and mktemp make them."""
    p = '/' + r.choice(['tmp', 'tmp', 'home', 'var', 'usr', 'opt'])
    if r.random() < 0.6:
        p += '/tmp.' + scramble(r, string.ascii_letters + string.digits, 6, 10)
    for _ in range(r.choice([0, 1, 1, 2])):
        p += '/' + r.choice(WORDS).lower()
    return p + (r.choice(['.txt', '.py', '.log', '/']) if r.random() < 0.2 else '')
