"""Files made to hurt whoever reads them: bombs, floods, damage, and files that are no pictures."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
from picture_builders import (
    BLACK,
    BLUE,
    RED,
    SAME,
    SECRET,
    WHITE,
    Case,
    blank_png,
    chunk,
    exif,
    is_all,
    jpeg_with,
    more_scans,
    plain,
    png,
    png_with,
    quarters,
    riff,
    save,
    tiff,
)
from PIL import Image


def metadata_cases():
    secret = SECRET.encode()
    loop = exif((274, 3, 1), (0x8769, 4, 8), following=8)
    yield Case("exif-loop", "EXIF loop", jpeg_with(0xE1, b"Exif\0\0" + loop), SAME)
    yield Case(
        "exif-junk",
        "damaged EXIF",
        jpeg_with(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff" + secret),
        SAME,
    )
    yield Case(
        "exif-turn-99", "damaged EXIF", jpeg_with(0xE1, b"Exif\0\0" + exif((274, 3, 99))), SAME
    )
    huge = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 3, 2**32 - 1, 8)
    yield Case("exif-huge-count", "damaged EXIF", jpeg_with(0xE1, huge), SAME)
    yield Case(
        "exif-place", "metadata", jpeg_with(0xE1, b"Exif\0\0" + exif((274, 3, 1)) + secret), SAME
    )
    yield Case("comment", "metadata", jpeg_with(0xFE, secret * 99), SAME)
    yield Case(
        "tiff-text", "metadata", save(quarters(), "TIFF", tiffinfo={270: SECRET, 315: SECRET}), SAME
    )
    yield Case("png-text", "metadata", png_with(chunk(b"tEXt", b"Author\0" + secret)), SAME)
    jpeg = save(quarters(), "JPEG", quality=95, subsampling=0)
    tiny = b"\xff\xe1\0\x09Exif\0\0\x01"  # a decoder that glues these together needs minutes
    yield Case(
        "jpeg-exif-flood", "huge metadata", jpeg[:2] + tiny * 1_800_000 + jpeg[2:], "damaged"
    )
    yield Case(
        "jpeg-app-flood",
        "huge metadata",
        jpeg[:2] + (b"\xff\xe5\xff\xff" + bytes(65533)) * 300 + jpeg[2:],
        SAME,
    )
    bomb = zlib.compress(bytes(60_000_000), 9)
    yield Case(
        "png-ztxt-bomb",
        "decompression bomb",
        png_with(chunk(b"zTXt", b"a\0\0" + bomb) * 200),
        "damaged",
    )
    yield Case(
        "png-iccp-bomb", "decompression bomb", png_with(chunk(b"iCCP", b"a\0\0" + bomb)), "damaged"
    )
    yield Case("png-bad-text", "damaged chunk", png_with(b"\0\0\0\x04tEXtabcdabcd"), "damaged")
    picture = save(quarters(), "PNG")
    place = picture.index(b"IDAT") + 6
    yield Case(
        "png-bad-pixels",
        "damaged chunk",
        picture[:place] + bytes([picture[place] ^ 255]) + picture[place + 1 :],
        "damaged",
    )
    yield Case(
        "png-chunk-flood", "huge metadata", png_with(chunk(b"teXt", b"") * 1_500_000), "damaged"
    )
    gif = save(quarters(), "GIF")
    place = 13 + (3 << (gif[10] & 7) + 1)
    yield Case(
        "gif-comment-flood",
        "huge metadata",
        gif[:place] + b"!\xfe" + (b"\xff" + bytes(255)) * 70_000 + b"\0" + gif[place:],
        "damaged",
    )


def size_cases():
    many, nothing = "too many pixels", "no pixels"
    yield Case(
        "too-large", "too large", save(quarters(), "PNG") + bytes(20 * 1024 * 1024), "too large"
    )
    yield Case(
        "at-the-limit",
        "just small enough",
        (lambda d: d + bytes(20 * 1024 * 1024 - len(d)))(save(quarters(), "PNG")),
        SAME,
    )
    yield Case("png-bomb", "pixel bomb", png(50_000, 50_000, 8, 2, b""), many)
    yield Case("png-2**31", "pixel bomb", png(2**31 - 1, 2**31 - 1, 16, 6, b""), many)
    yield Case(
        "png-40mp",
        "just small enough",
        blank_png(8000, 5000, 8, 2, 24_000),
        is_all(BLACK, (8000, 5000)),
    )
    yield Case(
        "png-40mp-rgba16",
        "just small enough",
        blank_png(8000, 5000, 16, 6, 64_000),
        is_all(WHITE, (8000, 5000)),
    )
    yield Case(
        "png-40mp-interlaced",
        "just small enough",
        blank_png(8000, 5000, 16, 6, 64_000, interlaced=1),
        is_all(WHITE, (8000, 5000)),
    )
    large = Image.new("RGB", (8000, 5000), RED)
    large_palette = Image.new("P", (8000, 5000))
    large_palette.putpalette(RED)
    for name, data in {
        "gif": save(large_palette, "GIF"),
        "tiff": save(large, "TIFF", compression="tiff_lzw"),
        "webp": save(large, "WEBP", method=0),
    }.items():
        yield Case(f"{name}-40mp", "just small enough", data, is_all(RED, (8000, 5000)))
    turned = save(
        large, "JPEG", progressive=True, subsampling=0, exif=b"Exif\0\0" + exif((274, 3, 7))
    )
    yield Case("jpeg-40mp-turned", "just small enough", turned, is_all(RED, (5000, 8000)))
    yield Case("png-over-40mp", "pixel bomb", png(8000, 5001, 1, 0, b""), many)
    gif = save(quarters(), "GIF")
    yield Case("gif-bomb", "pixel bomb", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], many)
    yield Case(
        "bmp-bomb",
        "pixel bomb",
        (lambda d: d[:18] + struct.pack("<ii", 90_000, -90_000) + d[26:])(plain()["bmp"]),
        many,
    )
    yield Case(
        "tiff-bomb",
        "pixel bomb",
        tiff(np.zeros((2, 2), np.uint8), {256: (60_000,), 257: (60_000,)}),
        many,
    )
    jpeg = plain()["jpeg"]
    place = jpeg.index(b"\xff\xc0") + 5
    yield Case(
        "jpeg-bomb", "pixel bomb", jpeg[:place] + b"\xff\xff\xff\xff" + jpeg[place + 4 :], many
    )
    lossless = plain()["webp-lossless"]
    yield Case(
        "webp-bomb",
        "pixel bomb",
        lossless[:21] + struct.pack("<I", 0x0FFFFFFF) + lossless[25:],
        many,
    )
    yield Case(
        "webp-canvas-bomb",
        "pixel bomb",
        riff((b"VP8X", b"\2\0\0\0" + b"\xff" * 6), (b"ANMF", bytes(16) + lossless[12:])),
        "damaged",
    )
    yield Case("png-0x0", "zero pixels", png(0, 0, 8, 2, b""), "damaged")
    # the frame's own size counts, as in browsers
    yield Case("gif-0x0", "zero pixels", gif[:6] + bytes(4) + gif[10:], SAME)
    yield Case("jpeg-0x0", "zero pixels", jpeg[:place] + bytes(4) + jpeg[place + 4 :], nothing)
    yield Case(
        "tiff-0x0", "zero pixels", tiff(np.zeros((2, 2), np.uint8), {256: (0,), 257: (0,)}), nothing
    )
    yield Case(
        "bmp-0x0", "zero pixels", (lambda d: d[:18] + bytes(8) + d[26:])(plain()["bmp"]), "damaged"
    )
    yield Case("1x1", "one pixel", save(Image.new("RGB", (1, 1), RED), "PNG"), is_all(RED, (1, 1)))
    for name, kind in (("png", "PNG"), ("jpeg", "JPEG"), ("gif", "GIF"), ("tiff", "TIFF")):
        yield Case(
            f"1x50000-{name}",
            "1 x 50000",
            save(Image.new("RGB", (1, 50_000), BLUE), kind),
            is_all(BLUE, (1, 50_000)),
        )
        yield Case(
            f"50000x1-{name}",
            "1 x 50000",
            save(Image.new("RGB", (50_000, 1), BLUE), kind),
            is_all(BLUE, (50_000, 1)),
        )
    slow = save(Image.new("L", (8000, 5000), 128), "JPEG", progressive=True)
    yield Case(
        "jpeg-22-scans", "many scans", more_scans(slow, 22), is_all((128,) * 3, (8000, 5000))
    )
    yield Case("jpeg-60-scans", "many scans", more_scans(slow, 60), "too much work")
    yield Case("jpeg-scan-bomb", "many scans", more_scans(slow, 50_000), "too much work")
    yield Case(
        "jpeg-cmyk-bomb",
        "many scans",
        save(Image.new("CMYK", (8000, 4999)), "JPEG", progressive=True),
        "too much work",
    )


def tiff_cases():
    dot = np.zeros((16, 16), np.uint8)
    column = {278: (1,), 273: tuple(range(8, 60_008)), 279: (1,) * 60_000}
    yield Case(
        "tiff-many-strips",
        "TIFF strips",
        tiff(np.full((60_000, 1), 9, np.uint8), column),
        is_all((9,) * 3, (1, 60_000)),
    )
    again = {257: (5000,), 278: (4999,), 273: (8,) * 100_000}
    yield Case(
        "tiff-strip-bomb",
        "TIFF strips",
        tiff(np.zeros((4, 5000), np.uint8), again),
        "not supported",
    )
    yield Case(
        "tiff-strip-flood",
        "TIFF strips",
        tiff(dot, {257: (1_000_000,), 278: (1,), 273: (8,) * 1_000_000}),
        "not supported",
    )
    yield Case(
        "tiff-tile-bomb",
        "TIFF tiles",
        tiff(dot, {322: (50_000,), 323: (50_000,), 324: (8,), 325: (256,)}),
        "not supported",
    )
    yield Case("tiff-no-pixels", "damaged TIFF", tiff(dot, {273: (10_000_000,)}), "damaged")
    yield Case("tiff-samples", "damaged TIFF", tiff(dot, {277: (60_000,)}), "damaged")
    yield Case(
        "tiff-loop", "TIFF loop", (lambda d: d[:-4] + d[4:8])(tiff(dot)), is_all(BLACK, (16, 16))
    )
    yield Case("bigtiff", "BigTIFF", b"II+\0\x08\0\0\0" + bytes(99), "not supported")


def foreign_cases():
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("picture.png", save(quarters(), "PNG"))
    foreign = {
        "SVG": svg,
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run",
        "PDF": b"%PDF-1.7\n" + bytes(50),
        "archive": archive.getvalue(),
        "video": b"\0\0\0\x18ftypisom" + bytes(99),
        "Photoshop": b"8BPS\0\1" + bytes(99),
        "icon": b"\0\0\1\0\1\0" + bytes(99),
        "web page": b"<!DOCTYPE html><html>",
    }
    for word, data in foreign.items():
        yield Case(f"foreign-{word.lower()}", f"not supported: {word}", data, word)
    yield Case("pdf-then-jpeg", "polyglot", b"%PDF-1.4\n" + plain()["jpeg"], "PDF")
    yield Case("jpeg-then-zip", "polyglot", plain()["jpeg"] + archive.getvalue(), SAME)
    yield Case(
        "jpeg-with-html", "polyglot", jpeg_with(0xFE, b"<script>alert(1)</script><svg>"), SAME
    )
    yield Case("gif-javascript", "polyglot", b"GIF89a=1;alert(1)//", "damaged")
    yield Case("empty", "empty", b"", "empty")
    yield Case("one-byte", "not a picture", b"\xff", "not a picture")
    yield Case("text", "not a picture", b"BM is short for bitmap, or so they say.", "not a picture")
    yield Case("random", "not a picture", np.random.default_rng(7).bytes(100_000), "not a picture")
    yield Case(
        "bmp-rle",
        "compressed BMP",
        (lambda d: d[:30] + b"\1" + d[31:])(plain()["bmp"]),
        "not supported",
    )
    yield Case(
        "jpeg-arithmetic",
        "unusual JPEG",
        plain()["jpeg"].replace(b"\xff\xc0", b"\xff\xc9"),
        "not supported",
    )
    yield Case(
        "jpeg-12-bit",
        "unusual JPEG",
        plain()["jpeg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        "not supported",
    )
