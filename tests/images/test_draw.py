"""Overlays: colour where it matters, the picture elsewhere, and nothing odd lets them fail."""

import numpy as np
import pytest

from mvit.images.draw import count_tiles, overlay

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_no_heat_leaves_the_picture_in_grey():
    shown = overlay(PICTURE, np.zeros((14, 14)))
    assert shown.shape == PICTURE.shape and shown.dtype == np.uint8
    assert (np.ptp(shown.astype(int), axis=2) == 0).all()


def test_colour_appears_only_where_the_heat_is():
    heat = np.zeros((40, 60))
    heat[:, 30:] = 1
    shown = overlay(PICTURE, heat).astype(int)
    assert np.ptp(shown[:, :25], axis=2).max() == 0 and np.ptp(shown[:, 35:], axis=2).mean() > 50


def test_more_heat_is_brighter_for_any_colour_vision():
    black = np.zeros((4, 4, 3), np.uint8)
    light = [
        overlay(black, np.full((4, 4), level)).astype(int).sum()
        for level in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert light == sorted(light) and light[0] < light[-1]


def test_the_picture_itself_is_not_changed():
    before = PICTURE.copy()
    overlay(PICTURE, np.ones((7, 7)))
    assert (PICTURE == before).all()


def test_odd_values_count_as_the_nearest_legal_one():
    odd = np.array([[np.nan, np.inf], [-np.inf, 7.0]])
    legal = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert (overlay(PICTURE, odd) == overlay(PICTURE, legal)).all()


def test_strength_zero_shows_no_colour():
    assert (
        overlay(PICTURE, np.ones((5, 5)), strength=0) == overlay(PICTURE, np.zeros((5, 5)))
    ).all()


@pytest.mark.parametrize(
    ("picture", "heat"),
    [
        (PICTURE[..., 0], np.ones((4, 4))),
        (PICTURE.astype(float), np.ones((4, 4))),
        (PICTURE, np.ones((4, 4, 3))),
        (PICTURE, np.ones((0, 4))),
    ],
)
def test_wrong_arrays_are_refused(picture, heat):
    with pytest.raises(ValueError, match="must be"):
        overlay(picture, heat)


def test_every_tile_gets_its_frame_and_count_and_the_picture_stays():
    picture = np.full((768, 1152, 3), 90, np.uint8)
    boxes = [(0, 0, 384, 384), (384, 384, 768, 768)]
    drawn = count_tiles(picture, boxes, [12.4, -3.0])
    assert (picture == 90).all() and drawn.shape == picture.shape
    touched = (drawn != picture).any(axis=2)
    assert touched[:384, :384].sum() > 3000 and touched[384:, 384:768].sum() > 3000
    assert not touched[:384, 768:].any() and not touched[384:, :384].any()
