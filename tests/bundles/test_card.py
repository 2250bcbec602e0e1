"""What a card says of the pictures behind its figures, and when it is read."""

import pytest

from mvit.bundles.card import WeightsError, measured_on, read_card, write_card


def test_only_the_published_split_of_a_built_in_task_is_called_official():
    built_in = {"task": {"name": "cifar10"}}
    assert measured_on(built_in, "CIFAR-10") == "the official CIFAR-10 test split"
    assert measured_on({"task": {"name": "pets"}}, "pets") == "its own pets test split"
    sample = {"task": {"name": "cifar10"}, "test_part": {"words": "a sample"}}
    assert measured_on(sample, "CIFAR-10") == "CIFAR-10: a sample"


def test_a_card_that_was_read_is_read_anew_when_its_file_changes(tmp_path):
    card = {"task": {"name": "pets"}, "architecture": "vit", "files": {}}
    write_card(tmp_path, card)
    first = read_card(tmp_path)
    first["task"]["name"] = "changed by one asker"
    assert read_card(tmp_path) == card, "each asker has a copy"
    write_card(tmp_path, card | {"architecture": "tiv"})
    assert read_card(tmp_path)["architecture"] == "tiv"
    (tmp_path / "card.json").unlink()
    with pytest.raises(WeightsError, match="missing"):
        read_card(tmp_path)
