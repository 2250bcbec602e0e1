"""Starting from a model hub, tried on a local one (timm's `local-dir:`): training, resuming, a
wrong architecture, and no hub at all."""

import dataclasses
import json

import pytest
import timm
import torch
from timm.models import save_for_hf
from toys import colours, write_folder

from mvit.bundles import weights
from mvit.cli import main as cli
from mvit.cli import train as train_command
from mvit.data import labelled as data
from mvit.data.labelled import DataError
from mvit.tasks import CrowdTask, Task
from mvit.training.initial import architecture_of, starting_backbone

TINY = "vit_tiny_patch16_224"
TASK = Task("mine", ("a", "b", "c"), native_px=8, input_px=32)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """(name for timm, the model that lies there): a ViT-Ti/16 for 48-pixel pictures and five
    classes, as timm itself puts it on a hub."""
    folder = tmp_path_factory.mktemp("hub") / "my_vit"
    torch.manual_seed(0)
    model = timm.create_model(TINY, num_classes=5, img_size=48)
    save_for_hf(
        model,
        str(folder),
        model_config={"pretrained_cfg": {}},
        model_args={"img_size": 48},
        safe_serialization=True,
    )
    return f"local-dir:{folder}", model


def test_a_hub_folder_knows_its_architecture_and_hands_over_its_layers(hub):
    name, model = hub
    assert (
        architecture_of(name) == TINY
        and architecture_of(f"{TINY}.augreg_in21k") == f"{TINY}.augreg_in21k"
    )
    backbone = starting_backbone(TINY, TASK, None, name)
    assert torch.equal(backbone.vit.blocks[5].mlp.fc1.weight, model.blocks[5].mlp.fc1.weight)
    # a fresh final exit, positions resampled from 3 x 3
    assert backbone.vit.head.out_features == 3 and backbone.grid == 2


def test_a_counter_starts_from_a_hub_too(hub):
    name, model = hub
    backbone = starting_backbone(TINY, CrowdTask("crowd", input_px=48), None, name)
    assert torch.equal(backbone.vit.blocks[5].mlp.fc1.weight, model.blocks[5].mlp.fc1.weight)
    assert backbone.grid == 3 and hasattr(backbone.vit.head, "fc")


def test_the_command_trains_from_a_hub_writes_a_bundle_that_loads_and_resumes(
    hub, tmp_path, monkeypatch, capsys
):
    write_folder(tmp_path / "pictures" / "train", colours(6))
    folder = write_folder(tmp_path / "pictures" / "test", colours(2, seed=1)).parent
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(
        train_command, "own_task", lambda folder, name: dataclasses.replace(TASK, name=name)
    )
    command = [
        "train",
        "--backbone",
        hub[0],
        "--data",
        str(folder),
        "--task-name",
        "mine",
        "--run",
        str(tmp_path / "run"),
        "--stages",
        "32:0.5",
        "--batch",
        "8",
        "--exit-batch",
        "8",
        "--max-rounds",
        "1",
        "--trial-steps",
        "1",
        "--rates",
        "1e-3",
        "--heads",
        "mlp",
        "--device",
        "cpu",
        "--json",
    ]
    assert cli.main(command) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["architecture"], card["init"]) == (
        TINY,
        "timm my_vit, pre-trained weights of a model hub",
    )
    assert (
        str(tmp_path) not in json.dumps(card)
        and weights.bundles() == [("mine", TINY)]
        and weights.verify()[0]["ok"]
    )
    monkeypatch.setattr(data, "augment", lambda *_: pytest.fail("took a step"))
    assert cli.main(command) == 0 and json.loads(capsys.readouterr().out) == card


def test_what_is_no_plain_vit_or_not_there_is_refused_in_one_sentence(tmp_path):
    save_for_hf(
        timm.create_model("test_resnet"),
        str(tmp_path / "resnet"),
        model_config={"pretrained_cfg": {}},
        safe_serialization=True,
    )
    name = f"local-dir:{tmp_path / 'resnet'}"
    assert architecture_of(name) == "test_resnet"
    with pytest.raises(ValueError, match="'test_resnet' cannot be a backbone"):
        starting_backbone("test_resnet", TASK, None, name)
    nothing = f"local-dir:{tmp_path / 'nothing'}"
    with pytest.raises(DataError, match="there is no model of timm's at local-dir:"):
        architecture_of(nothing)
    for task in (TASK, CrowdTask("crowd", input_px=48)):
        with pytest.raises(DataError, match="could not get .* from the model hub .*with --init"):
            starting_backbone(TINY, task, None, nothing)
