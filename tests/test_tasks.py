"""Tasks: labels in the data sets' order, and exactly which picture the model gets to see."""

import numpy as np
import pytest
import torch

from mvit.tasks import TASKS, Task

CIFAR10 = TASKS["cifar10"]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_labels_are_the_data_sets_own():
    assert CIFAR10.labels == (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    fine = TASKS["cifar100"].labels
    # CIFAR-100 numbers its classes alphabetically
    assert len(set(fine)) == 100 and list(fine) == sorted(fine)
    assert (fine[0], fine[99], TASKS["cifar100"].outputs) == ("apple", "worm", 100)


def test_a_task_is_found_under_its_own_name():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


@pytest.mark.parametrize("height, width", [(32, 32), (10, 50), (1, 1), (480, 640), (33, 32)])
def test_any_picture_becomes_one_normalised_input(height, width):
    x = CIFAR10.prepare(noise(height, width))
    assert x.shape == (1, 3, 224, 224) and x.dtype == torch.float32
    assert x.min() >= -1 and x.max() <= 1  # mean 0.5, deviation 0.5


def test_a_picture_of_the_data_set_is_not_touched_before_it_is_enlarged():
    small = noise(32, 32)
    assert (CIFAR10.reduce(small) == small).all()
    pixels = torch.from_numpy(small).permute(2, 0, 1)[None]
    assert torch.equal(CIFAR10.prepare(small), CIFAR10.normalise(CIFAR10.enlarge(pixels)))


def test_a_photo_is_reduced_to_its_centre_square_as_averages():
    photo = noise(128, 200)
    centre = photo[:, 36:164].astype(float)
    means = centre.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(CIFAR10.reduce(photo) - means).max() <= 1
    upright = CIFAR10.reduce(photo.transpose(1, 0, 2)).transpose(1, 0, 2).astype(float)
    assert np.abs(upright - means).max() <= 1


def test_the_picture_itself_is_left_alone():
    photo = noise(50, 60)
    before = photo.copy()
    CIFAR10.prepare(photo)
    CIFAR10.seen(photo)
    assert (photo == before).all()


def test_enlarging_keeps_plain_colours_and_the_range():
    plain = torch.full((2, 3, 32, 32), 200, dtype=torch.uint8)
    assert torch.allclose(CIFAR10.enlarge(plain), torch.tensor(200 / 255), atol=1e-5)
    edges = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    edges[..., 16:] = 255  # a bicubic filter overshoots here
    pixels = CIFAR10.enlarge(edges)
    assert pixels.shape == (1, 3, 224, 224) and pixels.min() == 0 and pixels.max() == 1


@pytest.mark.parametrize(("mean", "std"), [(0.4, 0.2), ((0.5, 0.4, 0.3), (0.2, 0.3, 0.1))])
def test_what_the_page_shows_is_what_the_model_gets(mean, std):
    task = Task("own", ("a", "b"), native_px=48, input_px=96, mean=mean, std=std)
    seen = task.seen(noise(70, 90))
    assert seen.shape == (96, 96, 3) and seen.dtype == np.uint8
    given = task.prepare(noise(70, 90))[0].permute(1, 2, 0).numpy() * std + mean
    assert np.abs(seen / 255 - given).max() <= 0.5 / 255 + 1e-6


def test_red_stays_red():
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    x = CIFAR10.prepare(red)
    assert (x[:, 0] > 0.99).all() and (x[:, 1:] < -0.99).all()
