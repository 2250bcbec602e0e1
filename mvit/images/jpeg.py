"""The marker segments of a JPEG file, read before any decoder: the one format whose decoders can be
kept busy for minutes and filled with gigabytes by a small intact file."""

from __future__ import annotations

import re
import struct

from mvit.images.limits import DAMAGED, UNUSUAL, ImageError, check_size

MAX_SEGMENTS = 100_000  # far above real pictures, and walked in a fraction of a second
# samples a decoder passes over: 20 times 40 megapixels in colour; progressive pictures take 10
MAX_WORK = 2_400_000_000
MAX_BUFFER = 250_000_000  # bytes a decoder keeps to refine a picture scan by scan

# not a stuffed byte, padding or a restart
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.S)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EOI, _SOS, _APP0, _APP1, _APP14 = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
_NEEDED = {0xC4, 0xDB, 0xDD}  # Huffman tables, quantisation tables, restart interval


def bare_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """Cut a JPEG to what its pixels need: (the file, its EXIF data or nothing). Raises ImageError
    where decoding would take too much work, or where the file does not reach its end."""
    try:
        return _walk(data)
    except (struct.error, IndexError):
        raise ImageError(DAMAGED) from None


def _walk(data: bytes) -> tuple[bytes, bytes]:
    parts, seen, at, exif = [data[:2]], set(), 2, b""
    scans, samples, buffered = 0, 0, False
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(data, at)
        if marker is None:
            break  # the rest of the picture is missing
        code, start = marker[1][0], marker.end()
        if code == _EOI and scans:
            if scans * samples > MAX_WORK or (buffered and 2 * samples > MAX_BUFFER):
                raise ImageError(
                    "This JPEG file needs too much work to decode; please save it as an ordinary "
                    "(baseline) JPEG and try again."
                )
            return b"".join((*parts, b"\xff\xd9")), exif
        (length,) = struct.unpack_from(">H", data, start)
        at, body = start + length, data[start + 2 : start + length]
        needed = code in _NEEDED
        if code in _FRAMES:
            height, width, layers = struct.unpack_from(">HHB", body, 1)
            check_size(width, height)  # first, so that the plainer reason is given
            if code > 0xC2 or body[0] != 8:
                raise ImageError(UNUSUAL.format("JPEG"))
            if samples:
                break
            samples, needed, buffered = width * height * layers, True, code == 0xC2
        elif code == _SOS:
            following = _MARKER.search(data, at)
            at, needed = following.start() if following else len(data), True
            scans += 1
            buffered |= scans > 1
        elif code in (_APP0, _APP14) and body.startswith((b"JFIF\0", b"Adobe")):
            needed = code not in seen  # the colour space depends on the first of each
            seen.add(code)
        elif code == _APP1 and body.startswith(b"Exif\0\0"):
            exif = exif or body[6:]
        if needed:
            parts.append(data[marker.start() : at])
    raise ImageError(DAMAGED)
