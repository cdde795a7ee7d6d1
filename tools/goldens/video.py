"""Makes tests/unit/vision/golden_video.h: which frames qwen_vl_utils 0.0.14 takes of recordings of
many lengths and rates, how large, and checksums of transformers' patches over them.

    python3 tools/goldens/video.py > tests/unit/vision/golden_video.h

needs qwen_vl_utils==0.0.14 (and what it imports)."""
import random
import sys
import types
import zlib
from fractions import Fraction

import numpy as np
import torch
import transformers
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

sys.path.insert(0, "tools/goldens")
from resize import picture  # noqa: E402

# Only the arithmetic of qwen_vl_utils is used; what it reads videos with may be missing.
for name in ("requests", "torchvision", "torchvision.io", "torchvision.transforms"):
    sys.modules.setdefault(name, types.ModuleType(name))
for name, value in (("io", sys.modules["torchvision.io"]),
                    ("transforms", sys.modules["torchvision.transforms"])):
    if not hasattr(sys.modules["torchvision"], name):
        setattr(sys.modules["torchvision"], name, value)
if not hasattr(sys.modules["torchvision.transforms"], "InterpolationMode"):
    sys.modules["torchvision.transforms"].InterpolationMode = None
from qwen_vl_utils import vision_process as q  # noqa: E402


places = [0, 0]  # all, those where torch falls elsewhere


def plan(n, fps, w, h):
    """As fetch_video does with the numbers of a file."""
    frames = q.smart_nframes({}, total_frames=n, video_fps=fps)
    index = [round(Fraction(i * (n - 1), frames - 1)) for i in range(frames)]
    # torch's own, in float, may fall to the other side of a half
    for i, t in enumerate(torch.linspace(0, n - 1, frames).round().long().tolist()):
        exact = Fraction(i * (n - 1), frames - 1)
        assert t == index[i] or abs(exact - t) < Fraction(1, 2) + Fraction(n, 2 ** 21)
        places[0] += 1
        places[1] += t != index[i]
    sampled = frames / max(n, 1e-6) * fps
    factor = 28
    least = q.VIDEO_MIN_TOKEN_NUM * factor * factor
    total = q.MODEL_SEQ_LEN * factor * factor * 0.9
    most = max(min(q.VIDEO_MAX_TOKEN_NUM * factor * factor, total / frames * q.FRAME_FACTOR),
               int(least * 1.05))
    hb, wb = q.smart_resize(h, w, factor=factor, min_pixels=least, max_pixels=most)
    return frames, index, wb, hb, 2 / sampled


def main():
    rnd = random.Random(3)
    rows = [(2, 1.0, 640, 480), (3, 30.0, 640, 480), (4, 2.0, 640, 480), (5, 2.0, 100, 60),
            (7, 1.0, 1920, 1080), (30, 30.0, 1920, 1080), (299, 29.97, 1280, 720),
            (9000, 25.0, 1920, 1080), (100000, 60.0, 1366, 768), (1536, 4.0, 1280, 800)]
    for _ in range(200):
        rate = rnd.choice([1.0, 5.0, 10.0, 23.976, 25.0, 29.97, 30.0, 60.0])
        rows.append((rnd.randint(2, 60000), rate, rnd.randint(60, 2560), rnd.randint(60, 1440)))
    print("/* Made by tools/goldens/video.py with qwen_vl_utils 0.0.14, torch %s, transformers %s. */" %
          (torch.__version__, transformers.__version__))
    print("static const struct golden_plan {\n    int n_frames;\n    double fps;\n    int w, h;\n"
          "    int n, to_w, to_h;\n    double seconds;\n    uint32_t index; /* crc of the int32s */\n"
          "} golden_plans[] = {")
    for n, fps, w, h in rows:
        if max(w, h) / min(w, h) > 20:
            continue
        frames, index, wb, hb, seconds = plan(n, fps, w, h)
        print("    {%d, %r, %d, %d, %d, %d, %d, %.9g, 0x%08x}," % (
            n, fps, w, h, frames, wb, hb, seconds, zlib.crc32(np.array(index, "<i4").tobytes())))
    print("};\n/* Of %d places torch.linspace in float puts %d one frame away. */" % tuple(places))
    print("\n/* Frame i is picture(w, h) with i * 40 added to every byte. */\n"
          "static const struct golden_cut {\n    int w, h, n, grid_t;\n    uint32_t crc;\n"
          "} golden_cuts[] = {")
    p = Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=10 ** 7)
    for w, h, n in [(56, 84, 2), (84, 28, 6), (112, 56, 5), (28, 28, 1)]:
        base = picture(w, h)
        frames = [base + np.uint8(i * 40) for i in range(n)]
        flat, (t, _, _) = p._preprocess(frames, do_resize=True, resample=3, do_rescale=True,
                                        rescale_factor=1 / 255, do_normalize=True,
                                        image_mean=p.image_mean, image_std=p.image_std, patch_size=14,
                                        temporal_patch_size=2, merge_size=2, size=p.size,
                                        do_convert_rgb=False)
        print("    {%d, %d, %d, %d, 0x%08x}," % (
            w, h, n, t, zlib.crc32(np.ascontiguousarray(flat).astype("<f4").tobytes())))
    print("};")


if __name__ == "__main__":
    main()
