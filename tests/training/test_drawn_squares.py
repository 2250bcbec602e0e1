"""Which squares a counter learns from: how far they are zoomed, and of which sets more often."""

import numpy as np
import pytest
from PIL import Image

from mvit.data.crowds import Crowds, random_square
from mvit.data.folders import DataError
from mvit.scenes.drawing import render
from mvit.tasks import TASKS
from mvit.training import crowd_study
from mvit.training.counter import CrowdRecipe
from mvit.training.study import Study

TASK = TASKS["crowd"]


@pytest.mark.parametrize("zoom", [4 / 3, 2.0])
def test_a_square_is_zoomed_by_no_more_than_asked(zoom):
    """The ends of chance are the largest and the smallest square: two points as far apart."""
    picture, points = np.zeros((768, 1152, 3), np.uint8), np.array([[560.0, 380], [580, 380]])
    for far, times in ((0.0, zoom), (1.0, 1 / zoom)):
        draw = [far, 0.5, 0.5, 0.9, 0.5, 0.5, 0.9, 0.9]
        _, own = random_square(picture, points, 192, draw=draw, zoom=zoom)
        assert own[1, 0] - own[0, 0] == pytest.approx(20 * times)


def test_pictures_of_a_set_are_drawn_more_often():
    blank = np.zeros((768, 1152, 3), np.uint8)
    points = [np.empty((0, 2)), np.array([[1.0, 1.0]])]
    crowds = Crowds([blank, blank], points, ["part_A/1", "part_B/1"], repeat={"part_B": 2})
    tiles = crowds.tiles()
    assert tiles.index.tolist() == [*range(12), *range(6, 12)]
    assert tiles.y.tolist() == [0] * 6 + ([1] + [0] * 5) * 2
    assert (crowds + crowds).tiles().index.tolist() == [*range(24)]


def test_a_set_to_repeat_must_be_there(tmp_path):
    for split, number in (("train", 4), ("test", 2)):
        (tmp_path / "mine" / split).mkdir(parents=True)
        for i in range(number):
            scene = render(2 + 5 * i, i, (144, 96))
            Image.fromarray(scene.picture).save(tmp_path / "mine" / split / f"p{i}.png")
            np.save(tmp_path / "mine" / split / f"p{i}.npy", scene.points)
    recipe = CrowdRecipe(zoom=1.5, repeat=(("mine", 3),))
    study = Study(task=TASK, data=tmp_path / "mine", run=tmp_path, recipe=recipe, scenes=1)
    learned, val, test = crowd_study.parts(study)
    assert (learned.zoom, val.zoom, test.zoom) == (1.5, 4 / 3, 4 / 3)
    assert len(learned.tiles()) == 6 * (3 * (len(learned) - 1 - study.empties) + 1 + study.empties)
    study.recipe.repeat = (("part_A", 3),)
    with pytest.raises(DataError, match="no set 'part_A' to repeat; there are: mine"):
        crowd_study.parts(study)
