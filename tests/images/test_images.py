"""Hostile pictures: each ends in the right RGB picture or in one sentence, in bounded time and
memory, and leaves no trace."""

import gc
import json
import logging
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fuzz_images
import numpy as np
import pytest
from corpus import SECRET, corpus
from fuzz_images import complaint, mutations
from picture_builders import plain, png, quarters, save
from PIL import Image, ImageFile

from mvit.images import reader
from mvit.images.reader import MAX_BYTES, MAX_PIXELS, ImageError, read_image


def outcome(data: bytes) -> np.ndarray | str:
    try:
        return read_image(data)
    except ImageError as error:
        return str(error)


def test_the_corpus_is_large_and_varied():
    assert len(corpus()) >= 40
    assert len({case.kind for case in corpus()}) >= 25
    assert len({case.name for case in corpus()}) == len(corpus())


@pytest.mark.parametrize("name", plain())
def test_no_cut_of_a_picture_is_taken_for_the_whole(name):
    data = plain()[name]
    # The end mark, or padding, may be all that is missing: then all pixels are there, and right.
    whole = read_image(data)
    for end in range(1, len(data)):
        result = outcome(data[:end])
        assert isinstance(result, str) or np.array_equal(result, whole), (
            f"cut at {end} of {len(data)}"
        )


def test_the_picture_is_an_array_of_its_own():
    pixels = read_image(plain()["png"])
    assert (
        pixels.dtype == np.uint8
        and pixels.flags.c_contiguous
        and pixels.flags.writeable
        and pixels.flags.owndata
    )


def test_sentences_name_the_limit():
    many = outcome(next(case.data for case in corpus() if case.name == "png-bomb"))
    large = outcome(bytes(MAX_BYTES + 1))
    assert "50000 x 50000" in many and "40 megapixels" in many
    assert "20.1 MB; the limit is 20 MB" in large
    assert MAX_PIXELS == 40_000_000 and MAX_BYTES == 20 * 2**20


def test_an_error_keeps_nothing_of_the_file():
    with pytest.raises(ImageError) as caught:
        read_image(png(8, 8, 8, 0, b"too few rows"))
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_metadata_reaches_no_log_and_no_warning(caplog):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        told = [str(outcome(case.data)) for case in corpus() if SECRET.encode() in case.data]
        gc.collect()
    assert len(told) >= 5
    assert SECRET not in caplog.text + "".join(told)
    assert [str(warning.message) for warning in warned] == []


def test_no_global_setting_changes():
    def settings():
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    before = settings()
    for case in corpus():
        if len(case.data) < 100_000:
            outcome(case.data)
    assert settings() == before


def test_a_low_pillow_limit_set_elsewhere_gives_a_sentence(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "please" in outcome(plain()["png"])


@pytest.mark.parametrize("name, kind", [("heic", "HEIF"), ("avif", "AVIF")])
def test_phone_photos_are_limited_by_what_their_decoders_need(monkeypatch, name, kind):
    assert reader.MOST_PIXELS[kind] == 25_000_000
    monkeypatch.setitem(reader.MOST_PIXELS, kind, 48 * 32 - 1)
    assert "too many pixels (48 x 32" in outcome(plain()[name])


def test_eight_threads_read_what_one_reads():
    files = [
        case.data
        for case in corpus()
        if len(case.data) < 1_000_000 and "40mp" not in case.name and "scan" not in case.name
    ]
    serial = [outcome(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for threaded in (
            pool.map(outcome, files),
            reversed(list(pool.map(outcome, reversed(files)))),
        ):
            assert all(
                np.array_equal(one, other) for one, other in zip(serial, threaded, strict=True)
            )


def test_mutations_are_the_same_each_time_and_differ_from_their_source():
    sources = {case.data for case in corpus()}
    first = list(mutations(50, seed=3))
    assert first == list(mutations(50, seed=3)) != list(mutations(50, seed=4))
    assert sum(data in sources for _, data in first) < 5


def test_the_fuzzer_sees_a_broken_promise(monkeypatch):
    monkeypatch.setattr(fuzz_images, "read_image", lambda data: np.zeros((2, 2), np.uint8))
    assert complaint(b"")[0].startswith("gave")
    monkeypatch.setattr(fuzz_images, "read_image", lambda data: 1 / 0)
    assert complaint(b"")[0].startswith("raised")


def fuzz(cases: int) -> dict:
    """Run the fuzzer as a process of its own, whose peak memory is then that of reading
    pictures."""
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "helpers" / "fuzz_images.py"),
        "--cases",
        str(cases),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    # libtiff prints a line on damaged data, naming nothing of the file; nobody else prints
    # anything.
    libtiff = re.compile(r"(tempfile\.tif|\w*(Decode|Fax|LZW|TIFF|Strip)\w*): ")
    assert [line for line in done.stderr.splitlines() if not libtiff.match(line)] == []
    return json.loads(done.stdout)


def check(figures: dict, cases: int) -> None:
    # each ends in the right picture or the right sentence, under 2 s of CPU time and 500 MB
    assert figures["failures"] == []
    assert figures["mutations"] == cases and figures["files"] == cases + len(corpus())
    # the mutations are neither all noise nor all harmless
    assert figures["read"] > cases / 10 and figures["refused"] > cases / 10
    assert figures["written_files"] == 0
    assert 0 < figures["slowest_cpu_s"] < 2
    # the meter works: a picture of 40 megapixels is 120 MB
    assert 100 < figures["largest_mb"] < 500


def test_corpus_and_100_mutations_end_right_in_bounded_time_and_memory():
    check(fuzz_images.run(100, seed=0), 100)


@pytest.mark.slow
def test_corpus_and_10_000_mutations_end_right_in_bounded_time_and_memory():
    check(fuzz(10_000), 10_000)


def test_a_photo_survives_unchanged():
    photo = np.random.default_rng(1).integers(0, 256, (37, 53, 3), np.uint8)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {})):
        assert np.array_equal(read_image(save(Image.fromarray(photo), kind, **options)), photo), (
            kind
        )
    assert (
        np.abs(
            read_image(save(quarters(), "JPEG", quality=95, subsampling=0)).astype(int)
            - np.asarray(quarters())
        ).mean()
        < 3
    )
