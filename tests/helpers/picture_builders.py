"""What corpus.py makes unusual and hostile picture files of, and what is expected of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener

register_heif_opener()  # for saving

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
QUARTERS = (RED, GREEN, BLUE, WHITE)  # top left, top right, bottom left, bottom right
SECRET = "Rue-Secrete-48.8566N"  # put into metadata; must reach neither a log nor a message


@dataclass(frozen=True)
class Case:
    """One file: `expect` is a predicate on the RGB array, or words that must be in the error's
    sentence."""

    name: str
    kind: str
    data: bytes
    expect: Callable[[np.ndarray], bool] | str

    def meets(self, result: np.ndarray | str) -> bool:
        """Whether this picture, or the sentence of an error, is what reading must give."""
        if isinstance(self.expect, str):
            return isinstance(result, str) and self.expect in result
        return not isinstance(result, str) and self.expect(result)


def corners(
    *colors: tuple[int, int, int], size: tuple[int, int] = (48, 32), slack: int = 8
) -> Callable[[np.ndarray], bool]:
    """Return a predicate: the picture has this (width, height) and these corner colours, row by
    row."""

    def holds(pixels: np.ndarray) -> bool:
        found = pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)
        return pixels.shape == (size[1], size[0], 3) and bool(
            (np.abs(found - np.array(colors)) <= slack).all()
        )

    return holds


def is_all(
    value: tuple[int, int, int], size: tuple[int, int], slack: int = 2
) -> Callable[[np.ndarray], bool]:
    """Return a predicate: every pixel of a picture of this (width, height) has this colour."""

    def holds(pixels: np.ndarray) -> bool:
        if pixels.shape != (size[1], size[0], 3):
            return False
        bands = [pixels[..., band] for band in range(3)]
        return all(
            abs(int(end) - goal) <= slack
            for band, goal in zip(bands, value, strict=True)
            for end in (band.min(), band.max())
        )

    return holds


SAME = corners(*QUARTERS)


def quarters(width: int = 48, height: int = 32, colors=QUARTERS) -> Image.Image:
    """Return a picture of four coloured quarters, so that a turn, a mirror or a wrong colour shows
    in its corners."""
    pixels = np.zeros((height, width, len(colors[0])), np.uint8)
    half_y, half_x = height // 2, width // 2
    (
        pixels[:half_y, :half_x],
        pixels[:half_y, half_x:],
        pixels[half_y:, :half_x],
        pixels[half_y:, half_x:],
    ) = colors
    return Image.fromarray(pixels)


def save(image: Image.Image, kind: str, **options) -> bytes:
    """Return a Pillow image as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return one PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, color: int, rows: bytes, *extra: bytes, interlaced: int = 0
) -> bytes:
    """Return a PNG from its raw rows (each with its filter byte) and chunks to put before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def png_with(extra: bytes, image: Image.Image | None = None) -> bytes:
    """Return a PNG of four quarters with chunks put after its header."""
    data = save(image or quarters(), "PNG")
    return data[:33] + extra + data[33:]


def blank_png(
    width: int, height: int, depth: int, color: int, row_bytes: int, interlaced: int = 0
) -> bytes:
    """Return a PNG of zeros that is small however many pixels it claims, written row by row to
    spare memory."""
    packer, packed = zlib.compressobj(1), []
    for _ in range(height):
        packed.append(packer.compress(bytes(1 + row_bytes)))
    if interlaced:  # its seven passes have at most two filter bytes a row more
        packed.append(packer.compress(bytes(2 * height)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", b"".join(packed) + packer.flush())
        + chunk(b"IEND", b"")
    )


def jpeg_with(code: int, body: bytes, data: bytes | None = None) -> bytes:
    """Return a JPEG with a segment of the given marker put first."""
    data = data or save(quarters(), "JPEG", quality=95, subsampling=0)
    return data[:2] + struct.pack(">BBH", 255, code, 2 + len(body)) + body + data[2:]


def exif(*tags: tuple[int, int, int], following: int = 0) -> bytes:
    """Return EXIF data of (tag, type, value) entries, without the "Exif" prefix; `following` is the
    offset of the next directory."""
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following)


def tiff(
    pixels: np.ndarray, tags: dict[int, tuple[int, ...]] | None = None, order: str = "<"
) -> bytes:
    """Return an uncompressed TIFF of (H, W) or (H, W, C) numbers; `tags` overrides its tags, all
    written as 32-bit numbers."""
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    body = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    form = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    every = {
        256: (width,),
        257: (height,),
        258: (8 * pixels.itemsize,) * samples,
        259: (1,),
        262: (1 if samples == 1 else 2,),
        273: (8,),
        277: (samples,),
        278: (height,),
        279: (len(body),),
        339: (form,) * samples,
    } | (tags or {})
    out = {"<": b"II*\0", ">": b"MM\0*"}[order] + bytes(4) + body
    entries = b""
    for tag, values in sorted(every.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(packed) == 4 else struct.pack(order + "I", len(out))
        out += b"" if len(packed) == 4 else packed
        entries += struct.pack(order + "HHI", tag, 4, len(values)) + place
    directory = struct.pack(order + "H", len(every)) + entries + bytes(4)
    return out[:4] + struct.pack(order + "I", len(out)) + out[8:] + directory


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP container of the given chunks."""
    inside = b"".join(
        struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) % 2) for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside


def more_scans(data: bytes, copies: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated, which costs a decoder a pass over all
    pixels each time."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * copies + data[-2:]


def plain() -> dict[str, bytes]:
    """Return the four quarters in every format that is read."""
    image = quarters()
    return {
        "jpeg": save(image, "JPEG", quality=95, subsampling=0),
        "progressive": save(image, "JPEG", quality=95, subsampling=0, progressive=True),
        "png": save(image, "PNG"),
        "webp": save(image, "WEBP", quality=100),
        "webp-lossless": save(image, "WEBP", lossless=True),
        "gif": save(image, "GIF"),
        "bmp": save(image, "BMP"),
        "tiff": save(image, "TIFF"),
        "tiff-lzw": save(image, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": save(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-packbits": save(image, "TIFF", compression="packbits"),
        "heic": save(image, "HEIF", quality=90),
        "avif": save(image, "AVIF", quality=90),
    }
