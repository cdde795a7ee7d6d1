"""Remove windows that were taken before they had drawn their words: python blank.py WINDOWS"""

import glob
import json
import os
import sys

from PIL import Image

OF = 0.5  # share of the words without ink


def drawn(im, xs, y):
    """Is there more than one colour where a word is said to be?"""
    part = im.crop((int(min(xs)) - 3, int(y) - 6, int(max(xs)) + 4, int(y) + 7))
    return any(low < high for low, high in part.getextrema())


def main(folder):
    gone = 0
    for name in glob.glob(folder + '/*.json'):
        with open(name) as f:
            words = [q for q in json.load(f)['words'] if q[1]]
        with Image.open(name[:-5] + '.png') as im:
            rgb = im.convert('RGB')
        missing = sum(not drawn(rgb, xs, y) for _, xs, y in words)
        if words and missing > OF * len(words):
            os.remove(name)
            os.remove(name[:-5] + '.png')
            gone += 1
    print(f'{gone} blank windows removed')


if __name__ == '__main__':
    main(sys.argv[1])
