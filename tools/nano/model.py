"""The network: MiMo-VL's architecture (Hugging Face's Qwen2_5_VL, whose tensor names it has) at 9.7 M parameters.

Besides the model proper it carries the small heads of the auxiliary losses, which are not exported.  Training
batches consist of many segments that see only a prefix and themselves; `Blocks` computes just those scores.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class C:
    """sizes"""

    vd, vl, vh, vff, full = 192, 9, 3, 512, (3, 8)
    d, l, h, kv, hd, ff, vocab = 256, 6, 4, 2, 64, 704, 1024
    # the layers in which words are read, labels found, the target aimed at, and its place arrives
    states = (1, 2, 3, 4)
    theta, mrope = 10000.0, (8, 12, 12)
    kinds, icons = 22, 80  # of controls, and of icons by their pictures, in the losses


class RMS(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight).to(x.dtype)


def rot(x, cos, sin):
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Blocks(torch.autograd.Function):
    """Attention in blocks.  A block (i, a, b, p, add) is the queries a..b of row i, over the keys 0..p and a..b, with
    `add` [b-a, p+b-a] (or None) added to the scores; queries in no block get zero."""

    @staticmethod
    def forward(ctx, q, k, v, blocks):
        q = q * q.shape[-1] ** -0.5
        out, probs = torch.zeros_like(q), []
        for i, a, b, p, add in blocks:
            s = torch.matmul(q[i, :, a:b], Blocks.keys(k, i, a, b, p).transpose(-1, -2))
            if add is not None:
                s += add
            s = torch.softmax(s, -1)
            out[i, :, a:b] = torch.matmul(s, Blocks.keys(v, i, a, b, p))
            probs.append(s)
        ctx.save_for_backward(q, k, v, *probs)
        ctx.blocks = blocks
        return out

    @staticmethod
    def keys(k, i, a, b, p):
        return torch.cat((k[i, :, :p], k[i, :, a:b]), 1) if p else k[i, :, a:b]

    @staticmethod
    def backward(ctx, g):
        q, k, v, *probs = ctx.saved_tensors
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (i, a, b, p, _), s in zip(ctx.blocks, probs):
            go = g[i, :, a:b]
            dvs = torch.matmul(s.transpose(-1, -2), go)
            ds = torch.matmul(go, Blocks.keys(v, i, a, b, p).transpose(-1, -2))
            ds = torch._softmax_backward_data(ds, s, -1, s.dtype)
            dq[i, :, a:b] = torch.matmul(ds, Blocks.keys(k, i, a, b, p))
            dks = torch.matmul(ds.transpose(-1, -2), q[i, :, a:b])
            for d, z in ((dk, dks), (dv, dvs)):
                d[i, :, a:b] += z[:, p:]
                if p:
                    d[i, :, :p] += z[:, :p]
        return dq * q.shape[-1] ** -0.5, dk, dv, None


class VAttn(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.qkv = nn.Linear(c.vd, 3 * c.vd)
        self.proj = nn.Linear(c.vd, c.vd)
        self.h = c.vh

    def forward(self, x, cos, sin, mask):  # x [B,N,d]
        n, tokens, d = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4)
        q, k = rot(q, cos, sin), rot(k, cos, sin)
        if tokens == 64:
            a = torch.matmul(q * (q.shape[-1] ** -0.5), k.transpose(-1, -2))
            if mask is not None:
                a = a.masked_fill(~mask, -1e9)
            o = torch.matmul(torch.softmax(a.float(), -1).to(v.dtype), v)
        elif self.training:
            with torch.autocast('cpu', enabled=False):
                o = Blocks.apply(q, k, v, [(i, 0, tokens, 0, None) for i in range(n)])
        else:
            o = F.scaled_dot_product_attention(q, k, v)
        return self.proj(o.transpose(1, 2).reshape(n, tokens, d))


class VMlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.vd, c.vff)
        self.up_proj = nn.Linear(c.vd, c.vff)
        self.down_proj = nn.Linear(c.vff, c.vd)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class VBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1 = RMS(c.vd)
        self.norm2 = RMS(c.vd)
        self.attn = VAttn(c)
        self.mlp = VMlp(c)


class Patch(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.proj = nn.Conv3d(3, c.vd, (2, 14, 14), (2, 14, 14), bias=False)


class Merger(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_q = RMS(c.vd)
        self.mlp = nn.Sequential(nn.Linear(4 * c.vd, 4 * c.vd), nn.GELU(), nn.Linear(4 * c.vd, c.d))


class Visual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.patch_embed = Patch(c)
        self.blocks = nn.ModuleList(VBlock(c) for _ in range(c.vl))
        self.merger = Merger(c)

    def forward(self, img):
        """img [B,3,H,W] normalised, H and W multiples of 28 -> tokens [B,n,d], (patch features, places, valid)"""
        c = self.c
        n, _, height, width = img.shape
        gh, gw = height // 14, width // 14
        x = F.conv2d(img, self.patch_embed.proj.weight.sum(2), stride=14)
        # pad to whole windows of 8x8 patches; windows one after another, merge groups together inside
        ph, pw = (-gh) % 8, (-gw) % 8
        hh, ww = gh + ph, gw + pw
        nh, nw = hh // 8, ww // 8
        windows = nh * nw

        def win(t):  # [...,hh,ww] -> [...,windows,64]
            lead = t.shape[:-2]
            t = t.reshape(*lead, nh, 4, 2, nw, 4, 2)
            m = len(lead)
            t = t.permute(*range(m), m, m + 3, m + 1, m + 4, m + 2, m + 5)
            return t.reshape(*lead, windows, 64)

        ok = win(F.pad(torch.ones(gh, gw), (0, pw, 0, ph))).bool()
        place = torch.stack(torch.meshgrid(torch.arange(hh), torch.arange(ww), indexing='ij'))
        place = win(place).float()
        x = win(F.pad(x, (0, pw, 0, ph))).permute(0, 2, 3, 1)
        if torch.is_autocast_enabled('cpu'):
            x = x.to(torch.bfloat16)
        hd = c.vd // c.vh
        inv = 1 / (10000 ** (torch.arange(0, hd // 2, 2).float() / (hd // 2)))
        fr = torch.cat((place[0][..., None] * inv, place[1][..., None] * inv), -1)
        fr = torch.cat((fr, fr), -1)
        cos, sin = fr.cos(), fr.sin()
        partial = not bool(ok.all())
        keep = ok.flatten().nonzero().squeeze(1)
        mask = ok[:, None, None, :].expand(windows, 1, 64, 64).repeat(n, 1, 1, 1) if partial else None
        for i, b in enumerate(self.blocks):
            y = b.norm1(x)
            if i in c.full:
                y = y.reshape(n, windows * 64, c.vd)[:, keep]
                y = b.attn(y, cos.reshape(-1, hd)[keep], sin.reshape(-1, hd)[keep], None)
                if partial:
                    z = torch.zeros(n, windows * 64, c.vd, dtype=y.dtype)
                    z[:, keep] = y
                    y = z
            else:
                co = cos[None].expand(n, -1, -1, -1).reshape(n * windows, 1, 64, hd)
                si = sin[None].expand(n, -1, -1, -1).reshape(n * windows, 1, 64, hd)
                y = b.attn(y.reshape(n * windows, 64, c.vd), co, si, mask)
            x = x + y.view(n, windows, 64, c.vd)
            x = x + b.mlp(b.norm2(x))
        m = self.merger.mlp(self.merger.ln_q(x).reshape(n, windows * 16, 4 * c.vd))
        # back to row by row order of merged cells
        cell = torch.arange(windows * 16).reshape(nh, 4, nw, 4).permute(0, 2, 1, 3).reshape(-1)
        back = torch.empty_like(cell)
        back[cell] = torch.arange(cell.numel())
        back = back.reshape(hh // 2, ww // 2)[: gh // 2, : gw // 2].reshape(-1)
        return m[:, back], (x, place, ok)


class Attn(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.d, c.h * c.hd)
        self.k_proj = nn.Linear(c.d, c.kv * c.hd)
        self.v_proj = nn.Linear(c.d, c.kv * c.hd)
        self.o_proj = nn.Linear(c.h * c.hd, c.d, bias=False)

    def forward(self, x, cos, sin, mask, cache=None):
        """mask: of scaled_dot_product_attention, or a list of blocks"""
        c = self.c
        n, length, _ = x.shape
        q = self.q_proj(x).view(n, length, c.h, c.hd).transpose(1, 2)
        k = self.k_proj(x).view(n, length, c.kv, c.hd).transpose(1, 2)
        v = self.v_proj(x).view(n, length, c.kv, c.hd).transpose(1, 2)
        q, k = rot(q, cos, sin), rot(k, cos, sin)
        self.qk = (q, k) if self.training else None
        if cache is not None:
            if cache:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            cache[:] = [k, v]
        k = k.repeat_interleave(c.h // c.kv, 1)
        v = v.repeat_interleave(c.h // c.kv, 1)
        if isinstance(mask, list):
            with torch.autocast('cpu', enabled=False):
                o = Blocks.apply(q, k, v, mask)
        else:
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(o.transpose(1, 2).reshape(n, length, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.d, c.ff, bias=False)
        self.up_proj = nn.Linear(c.d, c.ff, bias=False)
        self.down_proj = nn.Linear(c.ff, c.d, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn = Attn(c)
        self.mlp = Mlp(c)
        self.input_layernorm = RMS(c.d)
        self.post_attention_layernorm = RMS(c.d)


class LM(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.d)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.l))
        self.norm = RMS(c.d)


def half_precision():
    """bf16 where the processor multiplies it; elsewhere it is emulated, many times slower than f32."""
    return torch.autocast('cpu', torch.bfloat16, enabled=torch.cpu.get_capabilities()['avx512_bf16'])


# the parameters that only training has
HEADS = 'ocr place_read pq pk tq tk cq ck rd place_aimed place_arrived kinds spot icons within_arrived'
AUX = tuple(n + '.' for n in HEADS.split())


class Nano(nn.Module):
    def __init__(self, c=C):
        super().__init__()
        self.c = c
        self.visual = Visual(c)
        self.model = LM(c)
        # the heads of the auxiliary losses, new ones last: an optimiser's state goes by their order
        self.ocr = nn.Linear(c.vd, 2 * 96)
        self.place_read = nn.Linear(c.d, 128)
        for name in ('pq', 'pk', 'tq', 'tk', 'cq', 'ck'):
            setattr(self, name, nn.Linear(c.d, 128))
        self.rd = nn.Linear(c.d, c.d)
        self.place_aimed = nn.Linear(c.d, 128)
        self.place_arrived = nn.Linear(c.d, 128)
        self.kinds = nn.Linear(c.vd, c.kinds)
        self.spot = nn.Linear(c.d, c.kinds + 2 * 28)
        self.icons = nn.Linear(c.d, c.icons)
        self.within_arrived = nn.Linear(c.d, 128)
        for n, p in self.named_parameters():
            if p.dim() >= 2:
                nn.init.normal_(p, std=0.02 if 'embed' in n else 1 / math.sqrt(p[0].numel()))
            if n.endswith(('o_proj.weight', 'down_proj.weight', 'attn.proj.weight')):
                p.data.mul_(1 / math.sqrt(2 * c.l))
            if n.endswith('bias'):
                nn.init.zeros_(p)

    def rope(self, pos):  # [3,B,S]
        c = self.c
        inv = 1 / (c.theta ** (torch.arange(0, c.hd, 2).float() / c.hd))
        f = (pos[..., None].float() * inv).split(c.mrope, -1)
        f = torch.cat([part[i] for i, part in enumerate(f)], -1)
        f = torch.cat((f, f), -1)
        return f.cos()[:, None], f.sin()[:, None]

    def lm(self, x, pos, mask, caches=None):
        """the normalised last state, and those that the losses look at"""
        cos, sin = self.rope(pos)
        states = []
        for i, l in enumerate(self.model.layers):
            x = x + l.self_attn(l.input_layernorm(x), cos, sin, mask, None if caches is None else caches[i])
            x = x + l.mlp(l.post_attention_layernorm(x))
            states.append(x)
        return self.model.norm(x), [states[i] for i in self.c.states]
