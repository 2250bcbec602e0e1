"""Picture files as untrusted bytes: recognise the format and cut the file to its bare first
picture, before any decoder sees it.

What is cut away (EXIF, colour profiles, texts, thumbnails, later frames) is where the privacy leaks
and most decoder bombs are.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from mvit.images.picture import DAMAGED, ImageError, Picture, check_size
from mvit.images.tiff_tags import bare_tiff, orientation

# segments, chunks or blocks in one file; far above real pictures, and walked in a fraction of a
# second
MAX_PARTS = 100_000
# samples a JPEG decoder passes over: 20 times 40 megapixels in colour; usual progressive pictures
# take 10
MAX_WORK = 2_400_000_000
MAX_BUFFER = 250_000_000  # bytes a JPEG decoder keeps to refine a picture pass by pass

FOREIGN = (  # what a file that is no picture of ours begins with, and what people call it
    (re.compile(rb"%PDF-|.{0,1000}?%PDF-\d", re.S), "a PDF document"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "an EPS or PostScript drawing"),
    (re.compile(rb"[^\xff\x89]{0,4000}?<svg[\s>]", re.I | re.S), "an SVG drawing"),
    (re.compile(rb"\s*(<\?xml|<!doctype|<html)", re.I), "a web page or XML text"),
    (re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.S), "a HEIC photo"),
    (re.compile(rb"....ftypavi", re.S), "an AVIF picture"),
    (
        re.compile(rb"....(ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xba\xb3]", re.S),
        "a video",
    ),
    (re.compile(rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!"), "a compressed archive"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (
        re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|\xff\x0a|\0\0\0\x0cJXL "),
        "a JPEG 2000 or JPEG XL picture",
    ),
    (re.compile(rb"\0\0[\x01\x02]\0"), "an icon"),
)
# sizes; so that a text that begins with "BM" is not called a damaged picture
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def bare_picture(data: bytes) -> Picture:
    """Recognise picture bytes by content and cut them to the first picture; raises ImageError with
    a sentence for the user."""
    readers = {
        b"\xff\xd8\xff": _jpeg,
        b"\x89PNG\r\n\x1a\n": _png,
        b"GIF87a": _gif,
        b"GIF89a": _gif,
        b"II*\0": bare_tiff,
        b"MM\0*": bare_tiff,
        b"II+\0": bare_tiff,
        b"MM\0+": bare_tiff,
    }
    reader = next((read for magic, read in readers.items() if data.startswith(magic)), None)
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        reader = _bmp
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        reader = _webp
    if reader is None:
        name = next((name for pattern, name in FOREIGN if pattern.match(data)), None)
        if name:
            raise ImageError(
                f"This is {name}, which is not supported; please save it as JPEG or PNG and try again."
            )
        raise ImageError(
            "This file is not a picture; please choose a JPEG, PNG, WebP, GIF, BMP or TIFF file."
        )
    try:
        return reader(data)
    except (struct.error, IndexError, KeyError):
        raise ImageError(DAMAGED) from None


def _take(data: bytes, start: int, size: int) -> bytes:
    """Return data[start : start + size]; raises struct.error where a truncated file would give
    less."""
    if size < 0 or start + size > len(data):
        raise struct.error("truncated")
    return data[start : start + size]


#
#
# -----------------------------------------------------------------------------------------------------------------
# JPEG

# not a stuffed byte, padding or a restart
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.S)
_SOF, _NO_SOF = range(0xC0, 0xD0), (0xC4, 0xC8, 0xCC)
_DHT, _EOI, _SOS, _DQT, _DRI, _APP0, _APP1, _APP14 = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE


def _jpeg(data: bytes) -> Picture:
    parts, position, scans, size, turn, samples, seen = [data[:2]], 2, 0, None, 1, 0, set()
    for _ in range(MAX_PARTS):
        marker = _MARKER.search(data, position)
        if marker is None:
            raise struct.error("no end")  # the rest of the picture is missing
        code, start = marker[1][0], marker.start()
        if code == _EOI:
            break
        (length,) = struct.unpack_from(">H", data, marker.end())
        body = _take(data, marker.end() + 2, length - 2)
        position = marker.end() + length
        if code in _SOF and code not in _NO_SOF:
            if code > 0xC2 or body[0] != 8:
                raise ImageError(
                    "This kind of JPEG file is not supported; please save it as an ordinary JPEG or as PNG and try again."
                )
            if size is not None:
                raise struct.error("two frames")
            height, width, components = struct.unpack_from(">HHB", body, 1)
            # before the limits on work below, so that the plainer reason is given
            check_size(width, height)
            size, samples, progressive = (width, height), width * height * components, code == 0xC2
        elif code == _SOS:
            scans += 1
            following = _MARKER.search(data, position)
            position = following.start() if following else len(data)
        elif code in (_APP0, _APP14):  # the colour space depends on the first of each
            if code in seen or not body.startswith((b"JFIF\0", b"Adobe")):
                continue
            seen.add(code)
        elif code == _APP1 and body.startswith(b"Exif\0\0") and _APP1 not in seen:
            seen.add(_APP1)
            turn = orientation(body)
            continue
        elif code not in (_DHT, _DQT, _DRI):
            continue
        parts.append(data[start:position])
    else:
        raise struct.error("no end")
    if size is None or scans == 0:
        raise struct.error("no picture")
    if scans * samples > MAX_WORK or ((progressive or scans > 1) and 2 * samples > MAX_BUFFER):
        raise ImageError(
            "This JPEG file needs too much work to decode; please save it as an ordinary (baseline) JPEG and try again."
        )
    return Picture("JPEG", b"".join((*parts, b"\xff\xd9")), size, turn)


#
#
# ------------------------------------------------------------------------------------------------------------------
# PNG


def _png(data: bytes) -> Picture:
    chunks: dict[bytes, bytes] = {}
    pixels, position = [], 8
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = _take(data, position + 8, length)
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        position += 12 + length
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            if kind[0] & 0x20:  # a damaged chunk that the pixels do not need
                continue
            raise struct.error("bad checksum")
        if kind == b"IDAT":
            pixels.append(body)
        elif kind in (b"IHDR", b"PLTE", b"tRNS", b"eXIf"):
            chunks.setdefault(kind, body)
        elif kind == b"IEND":
            break
    else:
        raise struct.error("no end")
    width, height, depth, color = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    clear, see_through = None, chunks.get(b"tRNS")
    if see_through and color in (0, 2):
        # Compared here with the decoded pixels, because Pillow compares levels of 1 to 8 bits with
        # levels of 16.
        clear = struct.unpack_from(">H" if color == 0 else ">HHH", see_through)
        if color == 2 and depth == 16:
            clear = tuple(level >> 8 for level in clear)
        elif depth < 8:
            clear = tuple(level * 255 // (2**depth - 1) for level in clear)
    kept = [(kind, chunks[kind]) for kind in (b"IHDR", b"PLTE") if kind in chunks]
    kept += [(b"tRNS", see_through)] if see_through and color == 3 else []
    kept += [(b"IDAT", b"".join(pixels)), (b"IEND", b"")]
    parts = [data[:8]]
    for kind, body in kept:
        parts += [
            struct.pack(">I4s", len(body), kind),
            body,
            struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))),
        ]
    return Picture(
        "PNG", b"".join(parts), (width, height), orientation(chunks.get(b"eXIf", b"")), clear=clear
    )


#
#
# ------------------------------------------------------------------------------------------------------------------
# GIF


def _gif(data: bytes) -> Picture:
    def end_of_blocks(start: int) -> int:
        for _ in range(MAX_PARTS):
            size = data[start]
            start += 1 + size
            if size == 0:
                return start
        raise struct.error("no end")

    def color_table(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    canvas_width, canvas_height, flags = struct.unpack_from("<HHB", data, 6)
    position = first = 13 + color_table(flags)
    control = b""
    for _ in range(MAX_PARTS):
        if data[position] != 0x21:
            break
        end = end_of_blocks(position + 2)
        if data[position + 1] == 0xF9:  # graphic control: which colour is transparent
            control = data[position:end]
        position = end
    if data[position] != 0x2C:
        raise struct.error("no picture")
    x, y, width, height, local = struct.unpack_from("<HHHHB", data, position + 1)
    end = end_of_blocks(position + 10 + color_table(local) + 1)
    frame = _take(data, position, end - position)
    # The one frame becomes the whole picture; read_image puts it at its place on the canvas.
    head = data[:6] + struct.pack("<HH", width, height) + data[10:first]
    frame = frame[:1] + bytes(4) + frame[5:]
    canvas = max(canvas_width, x + width), max(canvas_height, y + height)
    return Picture(
        "GIF", b"".join((head, control, frame, b";")), (width, height), canvas=canvas, offset=(x, y)
    )


#
#
# ------------------------------------------------------------------------------------------------------------------
# BMP


def _bmp(data: bytes) -> Picture:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        return Picture("BMP", data, struct.unpack_from("<HH", data, 18))
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in (0, 3):  # Pillow expands run lengths in a slow loop
        raise ImageError(
            "This is a compressed BMP file, which is not supported; please save the picture as PNG and try again."
        )
    return Picture("BMP", data, (max(width, 0), abs(height)))


#
#
# -----------------------------------------------------------------------------------------------------------------
# WebP


def _webp_chunks(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(MAX_PARTS):
        if position + 8 > end:
            return
        kind, size = struct.unpack_from("<4sI", data, position)
        yield kind, _take(data, position + 8, size)
        position += 8 + size + size % 2
    raise struct.error("no end")


def _webp(data: bytes) -> Picture:
    (length,) = struct.unpack_from("<I", data, 4)
    _take(data, 8, length)
    chunks: dict[bytes, bytes] = {}
    for kind, body in _webp_chunks(data, 12, 8 + length):
        chunks.setdefault(kind, body)
    canvas, offset = None, (0, 0)
    if b"ANMF" in chunks:
        frame = chunks.pop(b"ANMF")
        offset = 2 * int.from_bytes(frame[:3], "little"), 2 * int.from_bytes(frame[3:6], "little")
        inner = dict(_webp_chunks(frame, 16, len(frame)))
        canvas = _webp_canvas(chunks[b"VP8X"])
        chunks = {b"EXIF": chunks.get(b"EXIF", b"")} | inner
    if b"VP8L" in chunks:
        body = chunks[b"VP8L"]
        (packed,) = struct.unpack_from("<I", body, 1)
        size = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        parts = [(b"VP8L", body)]
    else:
        body = chunks[b"VP8 "]
        width, height = struct.unpack_from("<HH", body, 6)
        size = width & 0x3FFF, height & 0x3FFF
        parts = [(b"VP8 ", body)]
        if b"ALPH" in chunks:
            edges = b"".join((side - 1).to_bytes(4, "little")[:3] for side in size if side)
            parts = [(b"VP8X", b"\x10\0\0\0" + edges), (b"ALPH", chunks[b"ALPH"]), *parts]
    if canvas and (canvas[0] < offset[0] + size[0] or canvas[1] < offset[1] + size[1]):
        raise struct.error("frame outside the canvas")
    inside = b"".join(
        struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) % 2) for kind, body in parts
    )
    whole = b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside
    return Picture("WEBP", whole, size, orientation(chunks.get(b"EXIF", b"")), canvas, offset)


def _webp_canvas(header: bytes) -> tuple[int, int]:
    return int.from_bytes(_take(header, 4, 3), "little") + 1, int.from_bytes(
        _take(header, 7, 3), "little"
    ) + 1
