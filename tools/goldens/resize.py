"""Makes tests/unit/vision/golden_resize.h: checksums of Pillow's bicubic and of transformers' slow
Qwen2VLImageProcessor over a picture that a formula defines, and smart_resize's answers.

    python3 tools/goldens/resize.py > tests/unit/vision/golden_resize.h
"""
import sys
import zlib

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import (
    Qwen2VLImageProcessor, smart_resize)

PAIRS = [
    (1, 1, 1, 2), (1, 1, 28, 28), (2, 3, 5, 1), (8, 8, 8, 3), (8, 8, 3, 8), (13, 7, 28, 28),
    (28, 28, 13, 7), (31, 33, 17, 15), (33, 31, 34, 32), (64, 48, 640, 480), (100, 100, 101, 99),
    (100, 100, 99, 101), (97, 343, 136, 2), (17, 270, 62, 14), (60, 128, 10, 24),
    (300, 200, 308, 196), (320, 240, 322, 238), (333, 517, 336, 504), (500, 3, 3, 500),
    (3, 500, 500, 3), (640, 480, 644, 476), (641, 479, 28, 28), (700, 20, 1, 1), (20, 700, 1, 1),
    (800, 600, 812, 588), (1024, 768, 1036, 756), (1024, 600, 1036, 588), (1280, 800, 1288, 812),
    (1366, 768, 1372, 756), (1920, 1080, 1316, 728),
]
SIZES = [  # w, h, min_pixels, max_pixels
    (1920, 1080, 3136, 3211264), (3840, 2160, 3136, 3211264), (540, 599, 3136, 3211264),
    (2560, 1440, 3136, 3211264), (2560, 1440, 3136, 12845056), (14, 14, 3136, 3211264),
    (70, 42, 3136, 3211264), (1886, 1544, 3136, 3211264), (1024, 768, 3136, 1003520),
    (1920, 1080, 3136, 1003520), (1280, 800, 0, 3211264), (42, 42, 0, 3211264),
    (5000, 25, 3136, 3211264), (1, 1, 200704, 1003520), (98, 126, 3136, 3211264),
    # another order of the two divisions gives another answer for these
    (2250, 2560, 3136, 3211264), (1536, 1080, 3136, 1003520), (2000, 900, 3136, 1003520),
]
PATCHES = [(56, 56), (333, 517), (640, 480), (1280, 800)]


def picture(w, h):
    """Must stay equal to test_picture() in tests/unit/vision/picture.h."""
    x = np.arange(w, dtype=np.uint32)[None, :, None]
    y = np.arange(h, dtype=np.uint32)[:, None, None]
    c = np.arange(3, dtype=np.uint32)[None, None, :]
    v = x * np.uint32(2654435761) ^ (y * np.uint32(40503) + c * np.uint32(97))
    v = v ^ v >> np.uint32(15)
    v = v * np.uint32(2246822519)
    return (v >> np.uint32(24)).astype(np.uint8)


def main():
    print("/* Made by tools/goldens/resize.py with Pillow %s, transformers %s, numpy %s. */" %
          (PIL.__version__, transformers.__version__, np.__version__))
    print("static const struct golden_resize {\n    int w, h, to_w, to_h;\n    uint32_t crc;\n"
          "} golden_resizes[] = {")
    for w, h, to_w, to_h in PAIRS:
        out = Image.fromarray(picture(w, h)).resize((to_w, to_h), Image.BICUBIC)
        print("    {%d, %d, %d, %d, 0x%08x}," % (w, h, to_w, to_h, zlib.crc32(out.tobytes())))
    print("};\n\nstatic const struct golden_size {\n    int w, h;\n    int64_t min_pixels, max_pixels;"
          "\n    int to_w, to_h;\n} golden_sizes[] = {")
    for w, h, lo, hi in SIZES:
        to_h, to_w = smart_resize(h, w, 28, lo, hi)
        print("    {%d, %d, %d, %d, %d, %d}," % (w, h, lo, hi, to_w, to_h))
    print("};\n\n/* crc of the first temporal slice: rows [n, 3 * 14 * 14], little-endian floats */")
    print("static const struct golden_patch {\n    int w, h, grid_w, grid_h;\n    uint32_t crc;\n"
          "} golden_patches[] = {")
    for w, h in PATCHES:
        p = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=3211264)
        out = p(images=[Image.fromarray(picture(w, h))], return_tensors="np")
        rows = out["pixel_values"].reshape(-1, 3, 2, 14, 14)
        if not np.array_equal(rows[:, :, 0], rows[:, :, 1]):
            sys.exit("the two temporal slices of a still image differ")
        _, grid_h, grid_w = out["image_grid_thw"][0]
        flat = np.ascontiguousarray(rows[:, :, 0]).astype("<f4").tobytes()
        print("    {%d, %d, %d, %d, 0x%08x}," % (w, h, grid_w, grid_h, zlib.crc32(flat)))
    print("};")


if __name__ == "__main__":
    main()
