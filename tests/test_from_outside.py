"""A head and a task that are registered from outside, without a line changed in mvit, are trained,
stored, loaded, and found in cards, charts and pages like those that were always there."""

import dataclasses

import pytest
import torch
from safetensors.torch import save_file
from toys import colours, write_folder
from visit import charts, open_app, well

import mvit
from mvit.bundles import weights
from mvit.evaluation.paper import by_head, exits_of
from mvit.models import macs
from mvit.models.backbone import Backbone
from mvit.models.extra_heads import EVERY
from mvit.models.heads import Head
from mvit.tasks import TASKS, Task
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.study import Study, train

TINY = "vit_tiny_patch16_224"


class MeanHead(Head):
    """`mean`: the mean of all tokens, through one dense layer."""

    about = "the mean of all tokens; a toy."

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.dense = torch.nn.Linear(dim, dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.dense(tokens.mean(1))

    @property
    def describe_macs(self) -> int:
        return macs.linear(1, self.dim, self.dim)


@dataclasses.dataclass(frozen=True)
class Negatives(Task):
    """Colours, seen as on a film."""

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        return -super().normalise(pixels)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The toy head trained on the toy task, as its bundle's card."""
    tmp_path = tmp_path_factory.mktemp("outside")
    write_folder(tmp_path / "pictures" / "train", colours(10))
    folder = write_folder(tmp_path / "pictures" / "test", colours(4, seed=1)).parent
    torch.manual_seed(0)
    start = Backbone.create(TINY, 3, img_size=32).vit.state_dict()
    save_file(start, tmp_path / "init.safetensors")
    task = Negatives("negatives", tuple("abc"), native_px=8, input_px=32)
    exits = ExitRecipe(
        rates=(1e-3,), batch=8, round_images=8, max_rounds=1, val_images=3, trial_steps=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EVERY, "mean", MeanHead)
        patch.setitem(TASKS, task.name, task)
        patch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
        yield train(
            Study(
                task=task,
                data=folder,
                run=tmp_path / "run",
                init=tmp_path / "init.safetensors",
                recipe=Recipe(stages=((32, 0.1),), batch=8),
                exits=dataclasses.replace(exits, trial_layers=(2,)),
                heads=("mean", "mlp"),
                layers=(2, 4, 6),
                device="cpu",
            )
        )


def test_a_toy_head_and_task_are_in_the_card_with_their_cost(trained):
    assert trained["task"]["name"] == "negatives"
    rows = {(e["layer"], e["head"]): e for e in trained["exits"]}
    assert set(rows) == {(b, h) for b in (2, 4, 6) for h in ("mean", "mlp")}
    layers_apart = [rows[4, h]["macs"] - rows[2, h]["macs"] for h in ("mean", "mlp")]
    assert layers_apart[0] == layers_apart[1] > 0 and 0 <= rows[4, "mean"]["accuracy"] <= 1
    assert set(by_head(exits_of(trained))["head"]) == {"mean", "mlp"}


def test_they_load_and_run(trained):
    model = mvit.load("negatives", device="cpu")
    assert type(model.task) is Negatives and type(model.head_at(4, "mean")) is MeanHead
    picture = colours(1).x[0].permute(1, 2, 0).numpy()
    plain = Task("plain", tuple("abc"), native_px=8, input_px=32)
    assert torch.equal(model.task.prepare(picture), -plain.prepare(picture))
    exits = list(model.run(picture, model.plan("mean")))
    assert [e.head for e in exits] == ["mean"] * 3 + ["final"]
    assert weights.verify() == [{"task": "negatives", "backbone": TINY, "ok": True, "reason": None}]


@pytest.mark.parametrize("page", ["watch", "compare", "paper", "models"])
def test_pages_show_them(trained, page):
    app = well(open_app(page, task="negatives"))
    told = "\n".join(str(getattr(element, "proto", "")) for element in app.main)
    tables = "\n".join(table.value.to_string() for table in app.dataframe)
    assert "mean" in told or "mean" in tables
    if page in ("compare", "paper"):
        assert charts(app)
    if page in ("watch", "compare"):
        assert MeanHead.about in told
