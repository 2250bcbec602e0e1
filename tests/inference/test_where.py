"""Where a counter finds people: maps that add up, in both shapes of picture and in any part."""

import numpy as np
import pytest
import torch

from mvit.inference.where import inside, people_by_layer, scaled, whole
from mvit.models.multi_exit import MultiExitViT
from mvit.models.people_map import people_maps
from mvit.models.transcrowd import transcrowd
from mvit.scenes.drawing import render
from mvit.tasks import TASKS, tile_boxes

TINY = {"depth": 2, "embed_dim": 64, "num_heads": 1}


@pytest.fixture(scope="module")
def model() -> MultiExitViT:
    torch.manual_seed(0)
    return MultiExitViT(transcrowd("vit_tiny_patch16_384", **TINY), TASKS["crowd"], {}).eval()


@pytest.mark.parametrize("size", [(144, 96), (96, 144)])
def test_each_layer_has_a_map_of_the_whole_picture(model, size):
    found = people_by_layer(model, people_maps(64, (1, 2)), render(3, 1, size).picture)
    assert found.keys() == {1, 2}
    assert found[1].shape == ((48, 72) if size[0] > size[1] else (72, 48))
    assert (found[1] >= 0).all() and not np.allclose(found[1], found[2])


def test_every_tile_lies_at_its_place():
    tiles = np.arange(6)[:, None].repeat(4, 1)  # 2 x 2 patches, each says its tile's number
    for upright in (False, True):
        full = whole(tiles, upright)
        for number, (left, top, _, _) in enumerate(tile_boxes(upright)):
            assert (full[top // 192, left // 192] == number).all()


def test_a_scaled_map_adds_up_to_the_count_and_never_below_zero():
    people = np.random.default_rng(0).random((48, 72), np.float32)
    for count in (0.0, 3.7, 912.0):
        assert scaled(people, count).sum() == pytest.approx(count, rel=1e-4)
    assert scaled(people, -8.0).sum() == 0
    assert scaled(np.zeros((4, 6)), 12.0).sum() == pytest.approx(12)


def test_a_rectangle_counts_what_is_inside_it():
    people = np.zeros((48, 72))
    people[10, 20] = 4  # from 20/72 to 21/72 across, from 10/48 to 11/48 down
    assert inside(people, 0, 0, 1, 1) == pytest.approx(4)
    assert inside(people, 0.5, 0, 1, 1) == 0
    assert inside(people, 0, 0, 20.5 / 72, 1) == pytest.approx(2)
    parts = [inside(people, *box) for box in ((0, 0, 0.28, 1), (0.28, 0, 1, 1))]
    assert sum(parts) == pytest.approx(4)
