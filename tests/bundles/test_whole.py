"""Files that are written whole, where files can be written."""

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mvit.bundles.whole import check_folder, read_json, write_json, written_whole


def test_whoever_may_read_the_folder_may_read_its_weights(tmp_path):
    tmp_path.chmod(0o755)
    with written_whole(tmp_path / "head.safetensors") as file:
        save_file({"weight": torch.ones(1)}, file)
    assert stat.S_IMODE((tmp_path / "head.safetensors").stat().st_mode) == 0o644


def test_a_full_disk_leaves_the_file_before_and_is_told_as_the_system_does(tmp_path):
    file = tmp_path / "head.safetensors"
    file.write_bytes(b"before")
    with pytest.raises(OSError, match="No space left on device.*head.safetensors"):
        with written_whole(file) as partial:
            partial.write_bytes(b"half")
            raise SafetensorError("No space left on device")
    assert os.listdir(tmp_path) == [file.name] and file.read_bytes() == b"before"


def test_two_that_write_one_file_at_once_never_mix(tmp_path, monkeypatch):
    file = tmp_path / "card.json"
    with written_whole(file) as one:
        one.write_text("one, half")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with written_whole(file) as other:
            other.write_text("other")
        assert file.read_text() == "other"
    assert file.read_text() == "one, half" and os.listdir(tmp_path) == [file.name]


def test_a_device_and_a_folder_are_no_files_to_replace(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, reason in ((tmp_path / "pipe", "no file to write to"), (tmp_path, "directory")):
        with pytest.raises(OSError, match=reason), written_whole(place):
            pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_that_takes_no_files_is_known_before_it_is_made(tmp_path):
    check_folder(tmp_path / "new" / "newer")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        check_folder(tmp_path / "file" / "below")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_that_says_it_takes_files_and_takes_none_is_known_too():
    with pytest.raises(OSError, match="Nothing can be written there: '/proc'"):
        check_folder(Path("/proc") / "x")


@pytest.mark.parametrize("data", [None, b"", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 10**5])
def test_a_record_that_is_damaged_or_missing_is_empty(tmp_path, data):
    file = tmp_path / "done.json"
    if data is not None:
        file.write_bytes(data)
    assert read_json(file) == {}
    write_json(file, {"a": 1})
    assert read_json(file) == {"a": 1}
