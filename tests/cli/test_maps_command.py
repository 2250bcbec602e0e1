"""`train --maps`: what it refuses, in one sentence. tests/training/test_maps.py teaches with it."""


def test_maps_are_for_counters_and_take_no_other_data(tiny_weights, tmp_path, refused):
    backbone = ("--backbone", "vit_tiny_patch16_224")
    assert "--maps is for counters" in refused("train", "--maps", tmp_path, *backbone)
    ignored = refused("train", "--maps", tmp_path, "--data", tmp_path, *backbone)
    assert "--data" in ignored and "--maps would ignore it" in ignored
    missing = refused("train", "--task", "crowd", "--maps", tmp_path)
    assert "the card is missing" in missing
