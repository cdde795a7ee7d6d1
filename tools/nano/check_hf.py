"""Compare a folder's logits in transformers with those of model.py: python check_hf.py FOLDER"""

import sys
import torch
import torch.nn.functional as F
from transformers import Qwen2_5_VLForConditionalGeneration
import gen_drawn
from model import Nano
from pack import IMG, POST, PRE, encode, norm
from safetensors.torch import load_file

d = sys.argv[1]
hf = Qwen2_5_VLForConditionalGeneration.from_pretrained(d, dtype=torch.float32).eval()
m = Nano().eval()
m.load_state_dict({k: v.float() for k, v in load_file(d + '/model.safetensors').items()}, strict=False)
w, h = 364, 252
x = norm(gen_drawn.Screen(w, h, 3).render().img)
gh, gw = h // 14, w // 14
patches = (
    x[None]
    .repeat(2, 1, 1, 1)
    .reshape(1, 2, 3, gh // 2, 2, 14, gw // 2, 2, 14)
    .permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    .reshape(gh * gw, -1)
)
n = (gh // 2) * (gw // 2)
ids = list(PRE) + [IMG] * n + POST + encode('Click Save<|im_end|>\n<|im_start|>assistant\n')
p = len(PRE)
pos = [[i] * 3 for i in range(p)] + [[p, p + r, p + c] for r in range(gh // 2) for c in range(gw // 2)]
st = p + max(gh, gw) // 2
pos += [[st + k] * 3 for k in range(len(ids) - len(pos))]
t = torch.tensor([ids])
with torch.no_grad():
    a = hf(
        input_ids=t,
        pixel_values=patches,
        image_grid_thw=torch.tensor([[1, gh, gw]]),
        attention_mask=torch.ones_like(t),
    ).logits[0, -1]
    f, _ = m.visual(x[None])
    e = m.model.embed_tokens(t).masked_scatter((t == IMG)[..., None], f)
    S = len(ids)
    o, _ = m.lm(
        e,
        torch.tensor(pos).T[:, None].float(),
        torch.ones(S, S, dtype=torch.bool).tril()[None, None],
    )
    b = F.linear(o[0, -1], m.model.embed_tokens.weight)
print('largest difference %.5f of %.2f' % ((a - b).abs().max(), a.abs().max()))
