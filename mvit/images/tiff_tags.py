"""The tags of a TIFF file and of EXIF (the same layout): the orientation, and a TIFF cut down to
what its pixels need."""

from __future__ import annotations

import struct
from math import ceil

from mvit.images.picture import ImageError, Picture, check_size

# tag -> (type, count, the four bytes that hold the value or its offset)
Tags = dict[int, tuple[int, int, bytes]]

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_SIZES, PLANAR, COLOR_MAP = 273, 277, 278, 279, 284, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
FILL_ORDER, T4_OPTIONS, T6_OPTIONS, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT = (
    266,
    292,
    293,
    317,
    338,
    339,
)

# Orientation is left out on purpose: it is applied once, by read_image, for every format.
KEPT = (
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    STRIP_OFFSETS,
    SAMPLES,
    ROWS,
    STRIP_SIZES,
    PLANAR,
    T4_OPTIONS,
    T6_OPTIONS,
    PREDICTOR,
    COLOR_MAP,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_SIZES,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
)
# the rest are one number
LISTS = (
    BITS,
    STRIP_OFFSETS,
    STRIP_SIZES,
    COLOR_MAP,
    TILE_OFFSETS,
    TILE_SIZES,
    EXTRA_SAMPLES,
    SAMPLE_FORMAT,
)
# none, three fax codes, LZW, deflate, PackBits, old deflate; no JPEG inside
COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946)
PHOTOMETRICS = (0, 1, 2, 3, 5)  # white is zero, black is zero, RGB, palette, CMYK
FORMATS = {1: "B", 3: "H", 4: "I"}  # the types that hold whole numbers
MAX_NUMBERS = 200_000  # in one tag; the longest colour map has 196,608
MAX_PIECES = 65_536  # strips or tiles; each costs the decoder a Python object
MAX_PIECE_BYTES = 250_000_000  # the decoder holds one whole strip or tile beside the picture
UNUSUAL = "This kind of TIFF file is not supported; please save the picture as PNG and try again."


def read_tags(data: bytes) -> tuple[str, Tags]:
    """Read the byte order ("<" or ">") and the first directory of TIFF or EXIF data; raises
    struct.error or KeyError if damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    entries = data[start + 2 : start + 2 + 12 * count]
    return order, {
        tag: (kind, n, value)
        for tag, kind, n, value in struct.iter_unpack(order + "HHI4s", entries)
    }


def numbers(data: bytes, order: str, entry: tuple[int, int, bytes]) -> tuple[int, ...]:
    """Return the whole numbers of a tag; raises struct.error or KeyError if they are damaged or
    unbelievably many."""
    kind, count, value = entry
    if not 1 <= count <= MAX_NUMBERS:
        raise struct.error("unlikely count")
    layout = f"{order}{count}{FORMATS[kind]}"
    if struct.calcsize(layout) <= 4:
        return struct.unpack_from(layout, value)
    return struct.unpack_from(layout, data, *struct.unpack(order + "I", value))


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1..8; 1 when it is absent or the EXIF data is damaged, as
    browsers do."""
    try:
        exif = exif.removeprefix(b"Exif\0\0")
        order, tags = read_tags(exif)
        turn = numbers(exif, order, tags[ORIENTATION])[0]
        return turn if 1 <= turn <= 8 else 1
    except (struct.error, KeyError, ValueError):
        return 1


def bare_tiff(data: bytes) -> Picture:
    """Cut a TIFF to its first picture and the tags its pixels need; raises ImageError, or
    struct.error or KeyError if damaged."""
    if data[2] == 43 or data[3] == 43:
        raise ImageError(
            "This is a BigTIFF file, which is not supported; please save the picture as JPEG or PNG and try again."
        )
    order, tags = read_tags(data)
    values = {tag: numbers(data, order, tags[tag]) for tag in KEPT if tag in tags}
    if any(len(value) > 1 for tag, value in values.items() if tag not in LISTS) or values.get(
        PLANAR
    ) not in (None, (1,), (2,)):
        raise struct.error("unlikely tags")

    def one(tag: int, default: int) -> int:
        return values.get(tag, (default,))[0]

    width, height, planar = one(WIDTH, 0), one(HEIGHT, 0), one(PLANAR, 1)
    check_size(width, height)
    samples, tiled, compression = one(SAMPLES, 1), TILE_OFFSETS in values, one(COMPRESSION, 1)
    if compression not in COMPRESSIONS or one(PHOTOMETRIC, 1) not in PHOTOMETRICS or samples > 5:
        raise ImageError(UNUSUAL)
    piece_width = one(TILE_WIDTH, 0) if tiled else width
    piece_height = one(TILE_HEIGHT, 0) if tiled else min(one(ROWS, height), height)
    bits = max(values.get(BITS, (1,))) * (1 if planar == 2 else samples)
    if 0 in (piece_width, piece_height):
        raise struct.error("empty pieces")
    pieces = (
        ceil(width / piece_width) * ceil(height / piece_height) * (samples if planar == 2 else 1)
    )
    if pieces > MAX_PIECES or piece_width * piece_height * bits / 8 > MAX_PIECE_BYTES:
        raise ImageError(UNUSUAL)
    # The decoder goes on for as many pieces as are listed, and beyond the end of the data into what
    # is put there below:
    # so a list that is too long, or a piece that is cut short, is refused here.
    starts = values[TILE_OFFSETS if tiled else STRIP_OFFSETS]
    sizes = values.get(TILE_SIZES if tiled else STRIP_SIZES, (0,) * pieces)
    if len(starts) != pieces or len(sizes) != pieces:
        raise struct.error("wrong number of pieces")
    if compression == 1:
        row, last = ceil(piece_width * bits / 8), (height - 1) % piece_height + 1
        column = ceil(height / piece_height)
        sizes = [
            row * (last if not tiled and i % column == column - 1 else piece_height)
            for i in range(pieces)
        ]
    if any(start + size > len(data) for start, size in zip(starts, sizes, strict=True)):
        raise struct.error("truncated")
    kept = [struct.pack(order + "HHI4s", tag, *tags[tag]) for tag in sorted(values)]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    padding = bytes(len(data) % 2)
    head = data[:4] + struct.pack(order + "I", len(data) + len(padding))
    return Picture(
        "TIFF",
        b"".join((head, data[8:], padding, directory)),
        (width, height),
        turn=orientation(data),
    )
