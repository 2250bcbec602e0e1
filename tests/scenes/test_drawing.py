"""Drawn crowd scenes: the count is exact, every head shows, the seed decides everything."""

import time

import numpy as np
import pytest

from mvit.scenes import drawing as scenes
from mvit.scenes.camera import camera_for, place
from mvit.scenes.drawing import GROUNDS, LIGHTS, MAX_PEOPLE, render

SMALL = (384, 256)


@pytest.mark.parametrize("people", [0, 1, 7, 100])
def test_exactly_so_many_people_with_their_heads_in_the_picture(people):
    scene = render(people, seed=3, size=SMALL)
    assert scene.count == people and scene.points.shape == (people, 2)
    assert scene.picture.shape == (256, 384, 3) and scene.picture.dtype == np.uint8
    assert (scene.points >= 0).all() and (scene.points < SMALL).all()


def test_the_seed_decides_everything():
    first, again, other = (render(40, seed, size=SMALL) for seed in (5, 5, 6))
    assert np.array_equal(first.picture, again.picture) and np.array_equal(
        first.points, again.points
    )
    assert not np.array_equal(first.picture, other.picture)


def test_more_people_stand_in_the_same_place():
    few, many = render(10, 11, size=SMALL), render(60, 11, size=SMALL)
    assert (few.ground, few.light) == (many.ground, many.light)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_head_shows_on_every_ground(ground):
    size = (768, 512)
    for seed in range(3):
        rngs = [np.random.default_rng([seed, part]) for part in range(4)]
        camera = camera_for(300, size, ground, rngs[1])
        crowd = scenes.uncover(place(300, camera, rngs[2]), camera, rngs[2])
        assert scenes.visible(crowd, camera).min() >= scenes.LEAST_VISIBLE


def test_a_painted_head_changes_the_picture_where_its_point_says():
    empty, scene = (
        render(n, 21, size=(576, 384), ground="square", light="overcast", raw=True) for n in (0, 12)
    )
    changed = np.abs(scene.picture.astype(int) - empty.picture).max(2)
    heads = [
        changed[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].max() for x, y in scene.points
    ]
    assert min(heads) > 20


def test_near_heads_are_larger_than_far_ones():
    rng = np.random.default_rng(2)
    camera = camera_for(100, (1152, 768), "street", rng)
    crowd = place(100, camera, rng)
    far, near = crowd.u[crowd.points[:, 1].argmin()], crowd.u[crowd.points[:, 1].argmax()]
    assert 6 <= far < near <= 75


@pytest.mark.parametrize("light", LIGHTS)
def test_no_scene_is_too_dark_or_too_bright_to_see(light):
    assert 25 < render(20, 4, size=SMALL, light=light).picture.mean() < 225


def test_two_thousand_people_find_room_in_bounded_time():
    start = time.process_time()
    scene = render(2000, 9)
    # seconds of work; about 1.2 on an idle core
    assert scene.count == 2000 and time.process_time() - start < 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": -1},
        {"people": MAX_PEOPLE + 1},
        {"seed": -1},
        {"size": (20, 20)},
        {"ground": "moon"},
        {"light": "none"},
        {"crowding": 1.5},
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(wrong):
    with pytest.raises(ValueError, match="not|there are"):
        render(**{"people": 5, "seed": 0, "size": SMALL} | wrong)


def test_at_several_moments_the_same_people_come_and_go_in_one_place():
    none, few, many = scenes.moments([0, 5, 30], 4, SMALL, raw=True)
    assert [s.count for s in (none, few, many)] == [0, 5, 30]
    assert np.array_equal(few.points, many.points[:5])
    alone = render(30, 4, size=SMALL, raw=True)
    assert np.array_equal(many.picture, alone.picture)
    changed = (few.picture != none.picture).any(2)
    assert 0 < changed.mean() < 0.2  # the place itself stays as it was
