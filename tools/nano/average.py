"""A mixture of the averaged weights of two states of one training: python average.py A.pt SHARE_OF_A B.pt OUT.pt"""

import sys

import torch


def main(a, share, b, out):
    a, b = (torch.load(f, map_location='cpu')['ema'] for f in (a, b))
    # one may be older than some of the auxiliary heads
    mixed = {n: a[n] * share + b[n] * (1 - share) for n in a if n in b}
    torch.save(dict(m=mixed, ema=mixed), out)


if __name__ == '__main__':
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4])
