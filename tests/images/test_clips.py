"""Clips: frames of a video evenly spread, pictures in a row, and one sentence for what is left
out."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from visit import png

from mvit.images import clips
from mvit.images.clips import clip_of
from mvit.images.limits import ImageError


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Makes a video whose i-th frame is grey of level 10 + step * i."""
    folder = tmp_path_factory.mktemp("films")

    def make(frames: int, fps: float = 10, *, step=4, suffix=".avi", code="MJPG") -> bytes:
        file = folder / f"film{suffix}"
        writer = cv2.VideoWriter(
            str(file), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), fps, (64, 48)
        )
        for i in range(frames):
            writer.write(np.full((48, 64, 3), 10 + step * i, np.uint8))
        writer.release()
        return file.read_bytes()

    return make


def levels(clip, step: int = 4) -> list[int]:
    """The numbers of the frames, by their grey."""
    return [round((float(frame.pixels.mean()) - 10) / step) for frame in clip.frames()]


@pytest.mark.parametrize("suffix, code", [(".avi", "MJPG"), (".mp4", "mp4v"), (".webm", "VP80")])
def test_all_frames_of_a_short_video_come_in_order_with_their_moments(film, suffix, code):
    clip = clip_of([("a", film(12, step=16, suffix=suffix, code=code))])
    seen = list(clip.frames())
    assert clip.count == 12 and not clip.remarks
    assert levels(clip, 16) == list(range(12)) and seen[0].pixels.shape == (48, 64, 3)
    assert [f.second for f in seen] == pytest.approx([i / 10 for i in range(12)], abs=0.01)


def test_many_frames_are_sampled_evenly_by_time(film):
    clip = clip_of([("a.avi", film(59, 10))])
    assert clip.count == clips.MOST_FRAMES
    assert set(np.diff(levels(clip))) == {2}
    assert clip.remarks == [
        "Of 59 frames 30, evenly spread, are looked at; the others are skipped."
    ]


def gif(frames: int) -> bytes:
    """A GIF whose i-th frame is grey of level 10 + 4 * i, a tenth of a second each."""
    first, *rest = (Image.new("L", (40, 30), 10 + 4 * i) for i in range(frames))
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=rest, duration=100)
    return out.getvalue()


def test_an_animated_gif_is_read_as_frames_and_a_still_one_as_a_picture():
    clip = clip_of([("a.gif", gif(4))])
    assert levels(clip) == [0, 1, 2, 3] and not clip.remarks
    assert [f.second for f in clip.frames()] == pytest.approx([0, 0.1, 0.2, 0.3])
    many = clip_of([("a.gif", gif(60))])
    assert many.count == clips.MOST_FRAMES and "Of 60 frames 30" in many.remarks[0]
    still = clip_of([("2.gif", gif(1)), ("1.gif", gif(1))])
    assert [(f.name, f.second) for f in still.frames()] == [("1.gif", None), ("2.gif", None)]


def test_a_long_video_is_cut_and_said(film):
    clip = clip_of([("a.avi", film(25, 1))])
    assert clip.remarks == [
        "This video is longer than 20 seconds; the first 20 are looked at."
    ] and levels(clip) == list(range(21))


def test_a_video_that_breaks_off_gives_what_comes_before(film):
    data = film(60, 10)
    clip = clip_of([("a.avi", data[: len(data) // 2])])
    assert "breaks off after" in clip.remarks[0] and levels(clip)[:3] == [0, 1, 2]
    assert 10 < clip.count <= 30


def test_a_video_that_takes_too_much_work_is_cut_and_said(film, monkeypatch):
    monkeypatch.setattr(clips, "MOST_READ", 5)
    clip = clip_of([("a.avi", film(12))])
    assert clip.count == 5 and "too much work" in clip.remarks[0]


@pytest.mark.parametrize("damage", ["no frames", "foreign codec", "header only"])
def test_a_video_without_a_frame_that_can_be_decoded_is_one_sentence(film, damage):
    data = {
        "no frames": film(0),
        "foreign codec": film(5).replace(b"MJPG", b"Qq7z"),
        "header only": b"\x00\x00\x00\x18ftypmp42" + bytes(300),
    }[damage]
    with pytest.raises(ImageError, match="no frames that can be decoded") as caught:
        clip_of([("a.avi", data)])
    assert ". " not in str(caught.value)


def test_frames_that_are_too_large_are_refused_before_any_is_decoded(film, monkeypatch):
    monkeypatch.setattr(clips, "MOST_PIXELS", 1000)
    with pytest.raises(ImageError, match="This video has too many pixels"):
        clip_of([("a.avi", film(3))])


def test_pictures_are_ordered_by_the_numbers_in_their_names_and_sampled():
    def picture(level: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (6, 4), (level,) * 3).save(out, "PNG")
        return out.getvalue()

    clip = clip_of([(f"f{i}.png", picture(10 + 4 * i)) for i in (10, 2, 1)])
    assert levels(clip) == [1, 2, 10] and [f.second for f in clip.frames()] == [None] * 3
    many = clip_of([(f"f{i}.png", picture(10 + 4 * i)) for i in range(59)])
    assert levels(many) == list(range(0, 60, 2)) and "59 pictures" in many.remarks[0]


def test_a_broken_picture_and_one_of_another_size_are_said_and_the_rest_is_read():
    out = io.BytesIO()
    Image.new("L", (20, 10)).save(out, "PNG")
    files = [
        ("1.png", png(1)),
        ("2.png", b"nonsense"),
        ("3.png", out.getvalue()),
        ("4.mp4", b"text"),
    ]
    first, second, third, fourth = clip_of(files).frames()
    assert first.pixels is not None and not first.remark
    assert second.pixels is None and "not a picture" in second.remark
    assert third.pixels is not None and "20 × 10" in third.remark and "70 × 50" in third.remark
    assert fourth.pixels is None and fourth.remark == clips.NO_VIDEO


def test_beside_a_video_other_files_are_left_out_and_said(film):
    clip = clip_of([("a.png", png(1)), ("b.avi", film(3))])
    assert clip.count == 3 and "b.avi" in clip.remarks[-1]
    with pytest.raises(ImageError, match="no files"):
        clip_of([])


def test_a_playlist_is_never_handed_to_the_decoder(monkeypatch):
    monkeypatch.setattr(clips.cv2, "VideoCapture", None)
    [frame] = clip_of([("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")]).frames()
    assert frame.pixels is None
