"""Unusual but mostly honest picture files: every orientation, colour mode and depth, animations,
and truncated ones."""

from __future__ import annotations

import struct

import numpy as np
from picture_builders import (
    BLACK,
    BLUE,
    GREEN,
    QUARTERS,
    RED,
    SAME,
    WHITE,
    Case,
    chunk,
    corners,
    exif,
    is_all,
    plain,
    png,
    png_with,
    quarters,
    riff,
    save,
    tiff,
)
from PIL import Image

TURNED = {  # EXIF orientation -> the picture that, stored so, is seen as the four quarters
    1: lambda im: im,
    2: lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda im: im.transpose(Image.Transpose.ROTATE_180),
    4: lambda im: im.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda im: im.transpose(Image.Transpose.TRANSPOSE),
    6: lambda im: im.transpose(Image.Transpose.ROTATE_90),
    7: lambda im: im.transpose(Image.Transpose.TRANSVERSE),
    8: lambda im: im.transpose(Image.Transpose.ROTATE_270),
}

ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def ordinary_cases():
    for name, data in plain().items():
        yield Case(f"plain-{name}", "plain", data, SAME)
        yield Case(f"after-{name}", "trailing junk", data + b"<script>alert(1)</script>" * 9, SAME)
        for share in (0.3, 0.6, 0.8):
            yield Case(
                f"cut-{name}-{share}", "truncated", data[: int(len(data) * share)], "damaged"
            )
        yield Case(
            f"head-{name}",
            "truncated",
            data[:13],
            "damaged" if "bmp" not in name else "not a picture",
        )
    avif = plain()["avif"]
    yield Case("avif-mif1", "brands of HEIC and AVIF", avif[:8] + b"mif1" + avif[12:], SAME)
    for turn, stored in TURNED.items():
        tags = b"Exif\0\0" + exif((274, 3, turn))
        image = stored(quarters())
        yield Case(
            f"jpeg-turn-{turn}",
            "EXIF orientation",
            save(image, "JPEG", quality=95, subsampling=0, exif=tags),
            SAME,
        )
        yield Case(f"png-turn-{turn}", "EXIF orientation", save(image, "PNG", exif=tags), SAME)
        yield Case(
            f"webp-turn-{turn}",
            "EXIF orientation",
            save(image, "WEBP", lossless=True, exif=tags),
            SAME,
        )
        for name, kind in (("heic", "HEIF"), ("avif", "AVIF")):
            data = save(image, kind, quality=90, exif=tags)
            yield Case(f"{name}-turn-{turn}", "EXIF orientation", data, SAME)
        yield Case(
            f"tiff-turn-{turn}", "EXIF orientation", tiff(np.asarray(image), {274: (turn,)}), SAME
        )


def mode_cases():
    image, halves = quarters(), (BLACK, WHITE, WHITE, BLACK)
    grey = quarters(colors=halves).convert("L")
    clear = quarters(colors=((255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 255, 255), (0, 0, 0, 128)))
    on_white = corners(RED, WHITE, BLUE, (127, 127, 127))
    yield Case(
        "cmyk-adobe", "CMYK", save(image.convert("CMYK"), "JPEG", quality=95, subsampling=0), SAME
    )
    yield Case("cmyk-tiff", "CMYK", save(image.convert("CMYK"), "TIFF"), SAME)
    yield Case(
        "rgb-adobe", "JPEG colour spaces", save(image, "JPEG", quality=95, keep_rgb=True), SAME
    )
    yield Case("palette", "palette", save(image.quantize(4), "PNG"), SAME)
    see_through = image.quantize(4)
    see_through.info["transparency"] = see_through.getpixel((2, 2))
    yield Case(
        "palette-clear",
        "palette with transparency",
        save(see_through, "PNG"),
        corners(WHITE, GREEN, BLUE, WHITE),
    )
    yield Case(
        "gif-clear",
        "palette with transparency",
        save(see_through, "GIF"),
        corners(WHITE, GREEN, BLUE, WHITE),
    )
    yield Case("png-alpha", "alpha", save(clear, "PNG"), on_white)
    yield Case("webp-alpha", "alpha", save(clear, "WEBP", lossless=True), on_white)
    yield Case(
        "webp-alpha-lossy",
        "alpha",
        save(clear, "WEBP", quality=100),
        corners(RED, WHITE, BLUE, (127,) * 3, slack=12),
    )
    yield Case("tiff-alpha", "alpha", save(clear, "TIFF"), on_white)
    yield Case("la", "grey and alpha", save(grey.convert("LA"), "PNG"), corners(*halves))
    yield Case("grey", "grey", save(grey, "JPEG", quality=95), corners(*halves))
    yield Case("1-bit-png", "1-bit", save(grey.convert("1"), "PNG"), corners(*halves))
    yield Case(
        "1-bit-fax",
        "1-bit",
        save(grey.convert("1"), "TIFF", compression="group4"),
        corners(*halves),
    )
    yield Case("1-bit-bmp", "1-bit", save(grey.convert("1"), "BMP"), corners(*halves))
    key = chunk(b"tRNS", struct.pack(">H", 3))
    # levels 3 3 2 2 0 0 0 0, of which 3 is transparent
    two_bits = png(8, 8, 2, 0, b"\0\xfa\x00" * 8, key)
    yield Case(
        "2-bit-clear",
        "grey with a transparent level",
        two_bits,
        lambda a: a[0, ::2, 0].tolist() == [255, 170, 0, 0],
    )
    rgb_key = chunk(b"tRNS", struct.pack(">HHH", *GREEN))
    yield Case(
        "rgb-clear",
        "colour that is transparent",
        png_with(rgb_key),
        corners(RED, WHITE, BLUE, WHITE),
    )
    steps = np.linspace(0, 65535, 512).astype(np.uint16).reshape(16, 32)

    def half_white(a) -> bool:
        ends = not a[0, 0].any() and (a[-1, -1] == 255).all()
        return a.shape == (16, 32, 3) and ends and abs(int(a[8, 0, 0]) - 128) < 3

    yield Case("grey16-png", "16-bit", save(Image.fromarray(steps), "PNG"), half_white)
    yield Case("grey16-tiff", "16-bit", tiff(steps), half_white)
    yield Case("grey16-tiff-big-endian", "16-bit", tiff(steps, order=">"), half_white)
    inverted = tiff(65535 - steps, {262: (0,)})
    yield Case("grey16-tiff-white-is-zero", "16-bit", inverted, half_white)
    wide = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    yield Case("rgb16-png", "16-bit", png(48, 32, 16, 2, rows), SAME)
    yield Case("rgb16-tiff", "16-bit", tiff(wide.astype(np.uint16)), SAME)
    yield Case("float-0-1", "float TIFF", tiff((steps / 65535).astype(np.float32)), half_white)
    yield Case(
        "float-0-255",
        "float TIFF",
        tiff(np.full((9, 9), 100, np.float32)),
        is_all((100,) * 3, (9, 9)),
    )
    yield Case("float-wide", "float TIFF", tiff(steps.astype(np.float32) * 3 - 9e4), half_white)
    holes = (steps / 65535).astype(np.float32)
    holes[1, :3] = np.nan, np.inf, -np.inf
    yield Case(
        "float-nan",
        "float TIFF",
        tiff(holes),
        lambda a: half_white(a) and a[1, :3, 0].tolist() == [0, 255, 0],
    )
    yield Case(
        "float-all-nan",
        "float TIFF",
        tiff(np.full((9, 9), np.nan, np.float32)),
        is_all(BLACK, (9, 9)),
    )
    yield Case("int32-tiff", "32-bit TIFF", tiff(steps.astype(np.int32) * 1000), half_white)
    yield Case("lab-tiff", "unusual colours", save(image.convert("LAB"), "TIFF"), "not supported")
    yield Case(
        "jpeg-in-tiff", "JPEG inside TIFF", save(image, "TIFF", compression="jpeg"), "not supported"
    )
    passes = b"".join(
        b"\0" + bytes(-(-(8 - x) // dx)) for x, y, dx, dy in ADAM7 for _ in range(y, 8, dy) if x < 8
    )
    yield Case(
        "interlaced-png",
        "interlaced PNG",
        png(8, 8, 8, 0, passes, interlaced=1),
        is_all(BLACK, (8, 8)),
    )
    yield Case("interlaced-gif", "interlaced GIF", save(image, "GIF", interlace=1), SAME)


def in_the_middle(pixels: np.ndarray) -> bool:
    """Tell whether a small frame is where its offset says, with white around it."""
    return (
        corners(WHITE, WHITE, WHITE, WHITE)(pixels)
        and tuple(pixels[10, 14]) == RED
        and tuple(pixels[22, 34]) == WHITE
    )


def animation_cases():
    frames = [quarters(), *(Image.new("RGB", (48, 32), (n, n, n)) for n in range(40))]
    more = {"save_all": True, "append_images": frames[1:]}
    yield Case("gif-animated", "animated", save(frames[0], "GIF", **more), SAME)
    yield Case("webp-animated", "animated", save(frames[0], "WEBP", lossless=True, **more), SAME)
    yield Case("apng", "APNG", save(frames[0], "PNG", **more), SAME)
    yield Case(
        "apng-wrong-order", "APNG", png_with(chunk(b"acTL", struct.pack(">II", 0, 0)) * 2), SAME
    )
    yield Case("tiff-pages", "many pages", save(frames[0], "TIFF", **more), SAME)
    gif = save(quarters(24, 16), "GIF")
    place = gif.index(b",", 13 + (3 << (gif[10] & 7) + 1))
    small = (
        gif[:6]
        + struct.pack("<HH", 48, 32)
        + gif[10:place]
        + b","
        + struct.pack("<HH", 12, 8)
        + gif[place + 5 :]
    )
    yield Case("gif-small-frame", "frame smaller than its canvas", small, in_the_middle)
    still = save(quarters(24, 16), "WEBP", lossless=True)
    frame = bytes([6, 0, 0, 4, 0, 0, 23, 0, 0, 15, 0, 0, 0, 0, 0, 0]) + still[12:]
    canvas = bytes([0x12, 0, 0, 0, 47, 0, 0, 31, 0, 0])
    inside = riff((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    yield Case("webp-small-frame", "frame smaller than its canvas", inside, in_the_middle)
    outside = riff((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", b"\xff" * 6 + frame[6:]))
    yield Case("webp-frame-outside", "frame outside its canvas", outside, "damaged")
    yield Case(
        "gif-thousands",
        "thousands of frames",
        gif[:-1] + gif[place:-1] * 40_000 + b";",
        corners(*QUARTERS, size=(24, 16)),
    )
    thousands = riff((b"VP8X", canvas), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * 40_000)
    yield Case("webp-thousands", "thousands of frames", thousands, in_the_middle)
