"""The one way in for pictures: bytes to RGB uint8, or one typed error.

Pillow decodes (pillow-heif for HEIC), told the format by the file's content. Before it decodes, the
size is checked, and what lets a small file cost minutes or gigabytes is refused: see SECURITY.md.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from pillow_heif.as_plugin import HeifImageFile

from mvit.images.jpeg import bare_jpeg
from mvit.images.limits import (
    DAMAGED,
    MAX_BYTES,
    MAX_PIXELS,
    UNUSUAL,
    ImageError,
    check_bytes,
    check_size,
)

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageError", "is_video", "picture_bytes", "read_image"]

READS = 100_000  # of a file, by Pillow's parsers in Python
MAX_READS = {"GIF": 8_000}  # comments are joined block by block, in quadratic time
MOST_PIXELS = {"HEIF": 25_000_000, "AVIF": 25_000_000}  # decoders keep 12 bytes a pixel
MAX_PIECES = 65_536  # strips or tiles of a TIFF
BAND_PIXELS = 1_000_000  # converted at a time

# Pillow's classes, not Image.open, which warns of large pictures before their size is checked.
DECODERS = {
    rb"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    rb"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    rb"GIF8[79]a": GifImagePlugin.GifImageFile,
    rb"II\*\0|MM\0\*": TiffImagePlugin.TiffImageFile,
    # with a header of a known length, so that a text that begins with "BM" is no picture
    rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0": BmpImagePlugin.BmpImageFile,
    rb"RIFF....WEBP": WebPImagePlugin.WebPImageFile,
    rb"....ftyp(avi[fs]|(mif1|msf1).{4}(.{4}){0,9}?avi[fs])": AvifImagePlugin.AvifImageFile,
    rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)": HeifImageFile,
}
VIDEO = rb"....(ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xba\xb3]"
FOREIGN = {  # what a file that is no picture of ours begins with, and what people call it
    rb"%PDF-|.{0,1000}?%PDF-\d": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "an EPS or PostScript drawing",
    rb"(?i:[^\xff\x89]{0,4000}?<svg[\s>])": "an SVG drawing",
    rb"(?i:\s*(<\?xml|<!doctype|<html))": "a web page or XML text",
    VIDEO: "a video",
    rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!": "a compressed archive",
    rb"8BPS": "a Photoshop document",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|\xff\x0a|\0\0\0\x0cJXL ": "a JPEG 2000 or JPEG XL picture",
    rb"\0\0[\x01\x02]\0": "an icon",
    rb"II\+\0|MM\0\+": "a BigTIFF file",
}

# What a file says about itself is its owner's, and decoders write some of it to logs.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class _Stream(io.BytesIO):
    """A file that can be read so many times only, because floods of tiny parts cost minutes."""

    left = READS

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ImageError(DAMAGED)
        return super().read(size)


def picture_bytes(file: Path) -> bytes:
    """The content of a file that may be a picture, never more than MAX_BYTES of it. Raises
    ImageError."""
    try:
        if not file.is_file():  # a pipe would wait for ever
            file.stat()
            raise ImageError("This cannot be read: it is not a file; please choose a picture.")
        check_bytes(file.stat().st_size)
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"This file cannot be read: {error.strerror or error}.") from error


def read_image(data: bytes) -> np.ndarray:
    """Read the bytes of a picture file as a person would see it: upright, first frame, on white.

    Returns RGB uint8 (H, W, 3), H * W at most MAX_PIXELS. Reads JPEG, PNG, WebP, GIF, BMP, TIFF,
    HEIC and AVIF, recognised by content; of the metadata only the orientation is used. Raises
    ImageError, whose message is one sentence for the user. Safe to call from several threads.
    """
    return _upright(*_read(data))


def is_video(data: bytes) -> bool:
    """Whether these bytes begin as a video's file does, and not as a picture's."""
    return _find(DECODERS, data) is None and bool(re.match(VIDEO, data, re.S))


def orientation(data: bytes) -> int:
    """The EXIF orientation, 1..8, that `read_image` applies to these bytes. Raises ImageError."""
    return _read(data)[1]


def _read(data: bytes) -> tuple[np.ndarray, int]:
    """The pixels as they are stored, RGB uint8 (H, W, 3), and their orientation, 1..8."""
    if not data:
        raise ImageError("This file is empty; please choose a JPEG or PNG picture.")
    check_bytes(len(data))
    decoder = _find(DECODERS, data)
    if decoder is None:
        if name := _find(FOREIGN, data):
            raise ImageError(
                f"This is {name}, which is not supported; please save it as JPEG or PNG and try "
                "again."
            )
        raise ImageError(
            "This file is not a picture; please choose a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or "
            "TIFF file."
        )
    try:
        return _decode(decoder, data)
    except ImageError:
        raise
    # decoders raise about anything on damaged data; the cause may quote the file, so it is not kept
    except Exception:
        raise ImageError(DAMAGED) from None


def _find(by_start: dict[bytes, object], data: bytes) -> object | None:
    return next((v for start, v in by_start.items() if re.match(start, data, re.S)), None)


def _decode(decoder: type, data: bytes) -> tuple[np.ndarray, int]:
    exif = b""
    if decoder is JpegImagePlugin.JpegImageFile:
        data, exif = bare_jpeg(data)
    if decoder is TiffImagePlugin.TiffImageFile:
        _refuse_unusual_tiff(data)
    stream = _Stream(data)
    stream.left = MAX_READS.get(decoder.format, READS)
    image = decoder(stream)
    check_size(*image.size, most=MOST_PIXELS.get(image.format, MAX_PIXELS))
    if image.format == "BMP" and image.tile[0][0] == "bmp_rle":  # a loop in Python
        raise ImageError(UNUSUAL.format("BMP"))
    turn = _orientation(image.info.get("exif") or exif)
    if image.format == "WEBP":
        return _on_white(_webp(image, data)), turn
    box = image.tile[0][1] if image.format == "GIF" else None
    image.load()
    if image.format == "PNG":  # which may come after the pixels
        turn = _orientation(image.info.get("exif") or b"")
    if image.mode.startswith(("I", "F")):
        return _grey(image), turn
    pixels = _on_white(image)
    if box and box != (0, 0, *image.size):  # white around a small first frame
        left, top, right, bottom = box
        frame = pixels[top:bottom, left:right].copy()
        pixels[:] = 255
        pixels[top:bottom, left:right] = frame
    return pixels, turn


def _refuse_unusual_tiff(data: bytes) -> None:
    """Refuse what Pillow decodes slowly, or with far more memory than the picture has, before it
    makes a Python object of every strip."""
    stream = io.BytesIO(data)
    tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
    stream.seek(tags.next)
    tags.load(stream)
    width, height = tags[256], tags[257]
    check_size(width, height)
    pieces = max(len(tags.get(273, ())), len(tags.get(324, ())))
    piece = tags.get(322, width) * tags.get(323, min(tags.get(278, height), height))
    # JPEG inside a TIFF, and colours other than grey, RGB, palette and CMYK
    odd = tags.get(259, 1) in (6, 7) or tags.get(262, 1) not in (0, 1, 2, 3, 5)
    if odd or pieces > MAX_PIECES or piece > 2 * MAX_PIXELS:
        raise ImageError(UNUSUAL.format("TIFF"))


def _webp(image: Image.Image, data: bytes) -> np.ndarray:
    """The pixels of a WebP file, RGB or RGBA, by OpenCV: Pillow keeps four copies, 610 MB."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[1::-1] != image.size:
        raise ImageError(DAMAGED)
    code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(pixels, code, dst=pixels)


def _bands(picture: Image.Image | np.ndarray) -> Iterator[tuple[slice, Image.Image]]:
    """A picture in bands, so that a large one is never held three times."""
    array = isinstance(picture, np.ndarray)
    height, width = picture.shape[:2] if array else (picture.height, picture.width)
    step = max(1, BAND_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        if array:
            yield rows, Image.fromarray(picture[rows])
        else:
            yield rows, picture.crop((0, rows.start, width, rows.stop))


def _on_white(picture: Image.Image | np.ndarray) -> np.ndarray:
    """A picture of 8 bits as RGB uint8 (H, W, 3), on white where it is transparent."""
    height, width = np.shape(picture)[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    pixels = np.empty((height, width, 3), np.uint8)
    for rows, band in _bands(picture):
        pixels[rows] = np.asarray(_rgb(band))
    return pixels


def _rgb(band: Image.Image) -> Image.Image:
    if not band.has_transparency_data:
        return band.convert("RGB")
    white = Image.new("RGBA", band.size, "white")
    return Image.alpha_composite(white, band.convert("RGBA")).convert("RGB")


def _grey(image: Image.Image) -> np.ndarray:
    """Grey levels of 16 bits, or of 32 as integers or floats, as RGB uint8 (H, W, 3): 0..65535,
    0..1 or 0..255 if they keep to that, else their own range."""
    levels = np.empty((image.height, image.width), np.float32)
    for rows, band in _bands(image):
        levels[rows] = np.asarray(band)
    finite = np.isfinite(levels)
    low = float(np.min(levels, where=finite, initial=np.inf))
    high = float(np.max(levels, where=finite, initial=-np.inf))
    tops = {"F": (1.0, 255.0), "I": (255.0,)}.get(image.mode, (65535.0,))
    if usual := [top for top in tops if low >= 0 and high <= top]:
        low, high = 0.0, usual[0]
    with np.errstate(all="ignore"):  # infinities and not-a-numbers are dealt with in the next line
        levels = (levels - np.float32(low)) / np.float32(max(high - low, 1e-30))
    np.nan_to_num(levels, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    grey = np.rint(levels.clip(0, 1, out=levels) * 255).astype(np.uint8)
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # white is zero
        grey = 255 - grey
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _orientation(exif: bytes) -> int:
    """The orientation in EXIF data, 1..8; 1 when it is absent or the data is damaged, as browsers
    do. Pillow's own reader warns of damaged data on standard error."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from(f"{order}HHIH", exif, at)
            if (tag, kind, number) == (274, 3, 1):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Apply an EXIF orientation, 1..8, to RGB uint8 (H, W, 3)."""
    if turn >= 5:
        # mirrored about the main diagonal: orientation 5; the others add a flip
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(turn)
    return pixels if flip is None else cv2.flip(pixels, flip)
