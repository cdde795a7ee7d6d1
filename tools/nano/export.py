"""Write a training state as a Hugging Face folder: python export.py STATE.pt FOLDER (bf16, auxiliary heads dropped)."""

import os
import shutil
import sys
import torch
from safetensors.torch import save_file

from model import AUX

HERE = os.path.dirname(os.path.abspath(__file__))


def main(src, dst):
    os.makedirs(dst, exist_ok=True)
    c = torch.load(src)
    out = {}
    for k, v in c.get('ema', c['m']).items():
        if k.startswith(AUX):
            continue
        if k.endswith('patch_embed.proj.weight'):  # one image is one frame doubled: halves that add up
            v = v.sum(2, keepdim=True).div(2).repeat(1, 1, 2, 1, 1)
        out[k] = v.to(torch.bfloat16).contiguous()
    save_file(out, dst + '/model.safetensors.new', metadata={'format': 'pt'})
    os.replace(dst + '/model.safetensors.new', dst + '/model.safetensors')
    for f in (
        'config.json',
        'generation_config.json',
        'preprocessor_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
    ):
        if not os.path.exists(f'{dst}/{f}'):
            shutil.copy(f'{os.environ.get("NANO_DATA", HERE + "/../../data/nano")}/{f}', f'{dst}/{f}')


main(sys.argv[1], sys.argv[2])
