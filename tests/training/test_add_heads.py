"""Heads added to a bundle: trained on its frozen backbone, measured like the others, everything
else left as it was."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import colours, write_folder

import mvit
from mvit.bundles import weights
from mvit.bundles.weights import WeightsError
from mvit.data import labelled as data
from mvit.data.labelled import DataError
from mvit.evaluation import paper
from mvit.evaluation.measure import evaluate
from mvit.evaluation.predictions import (
    PredictionsError,
    load_predictions,
    practical,
    save_predictions,
)
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import PlanError
from mvit.training import add_heads as additions
from mvit.training.add_heads import add_heads
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.study import Study, own_task, train

TINY = "test_vit"  # timm's own toy: six layers of 64 channels


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A bundle with two heads after two layers, then with two more: study, folder, the files
    before, both cards, both recordings."""
    tmp_path = tmp_path_factory.mktemp("additions")
    write_folder(tmp_path / "pictures" / "train", colours(8))
    folder = write_folder(tmp_path / "pictures" / "test", colours(3, seed=1)).parent
    torch.manual_seed(0)
    save_file(Backbone.create(TINY, 3, img_size=32).vit.state_dict(), tmp_path / "init.safetensors")
    task = dataclasses.replace(own_task(folder, "mine", native_px=8), input_px=32)
    exits = ExitRecipe(
        rates=(1e-3,), batch=8, round_images=8, max_rounds=1, trial_steps=1, trial_layers=(2,)
    )
    study = Study(
        task=task,
        data=folder,
        run=tmp_path / "run",
        architecture=TINY,
        init=tmp_path / "init.safetensors",
        recipe=Recipe(stages=((32, 0.3),), batch=8),
        exits=exits,
        device="cpu",
        heads=("mlp", "resmlp"),
        layers=(2, 5),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
        before, bundle = train(study), tmp_path / "weights" / "mine" / TINY
        files, recorded = (
            {f: f.read_bytes() for f in bundle.rglob("*.safetensors")},
            load_predictions(bundle),
        )
        yield (
            study,
            bundle,
            files,
            before,
            add_heads(study, ("fnet", "gmlp")),
            recorded,
            load_predictions(bundle),
        )


def test_the_bundle_has_the_new_heads_and_loads(grown):
    study, bundle, _, _, card, *_ = grown
    assert card == json.loads((bundle / "card.json").read_text()) and all(
        b["ok"] for b in weights.verify()
    )
    model = mvit.load("mine", TINY, device="cpu")
    assert list(model.heads) == ["mlp", "resmlp", "fnet", "gmlp"] and model.exits("gmlp") == [
        (2, "gmlp"),
        (5, "gmlp"),
    ]
    measured = {(e["layer"], e["head"]): e["accuracy"] for e in card["exits"]}
    again = {(e["layer"], e["head"]): e["accuracy"] for e in evaluate(model, study.data)["exits"]}
    assert (
        measured.keys() == again.keys()
        and np.mean([abs(measured[k] - again[k]) for k in again]) < 0.05
    )
    assert {(e["layer"], e["head"]) for e in card["exits"] if e["practical"]} == practical(
        measured, 1 / 3
    )


def test_nothing_else_is_touched(grown):
    _, bundle, files, before, card, old, new = grown
    assert all(
        f.read_bytes() == content
        for f, content in files.items()
        if f.name != "predictions.safetensors"
    )
    assert {k: v for k, v in card.items() if k not in ("exits", "files", "added")} == {
        k: v for k, v in before.items() if k not in ("exits", "files")
    }
    assert [e for e in card["exits"] if e["head"] in ("mlp", "resmlp")] == before["exits"]
    assert card["added"].keys() == {"fnet", "gmlp"} and card["added"]["gmlp"]["batch"] == 8
    for split, p in old.items():
        assert np.array_equal(new[split].select(p.exits).top1, p.top1) and np.array_equal(
            new[split].select(p.exits).entropy, p.entropy
        )


def test_the_recordings_cover_every_exit_by_layer_and_end_with_the_final_one(grown):
    *_, card, _, new = grown
    for recorded in new.values():
        assert [e for e, _ in recorded.exits] == [2, 2, 2, 2, 5, 5, 5, 5, 6] and recorded.exits[
            -1
        ] == (6, "final")
    known = {(e["layer"], e["head"]): e["accuracy"] for e in card["exits"]}
    assert dict(zip(new["test"].exits, new["test"].accuracy.tolist(), strict=True)) == known | {
        (6, "final"): card["final"]["accuracy"]
    }


def test_added_heads_are_stored_in_8_bits_where_no_exit_pays_and_measured_as_stored(grown):
    study, bundle, _, _, card, *_, new = grown
    for name in ("fnet", "gmlp"):
        storage = card["added"][name]["storage"]
        assert storage["pictures"] == len(new["val"].truth)
        kinds = {t.dtype for t in load_file(bundle / "heads" / f"{name}.safetensors").values()}
        assert (torch.int8 in kinds) == (storage["head_bits"][name] == 8)
    model = mvit.load("mine", TINY, device="cpu")
    again = {(e["layer"], e["head"]): e["accuracy"] for e in evaluate(model, study.data)["exits"]}
    for exit in card["exits"]:
        if exit["head"] in ("fnet", "gmlp"):
            assert again[exit["layer"], exit["head"]] == pytest.approx(exit["accuracy"])


def test_a_second_call_trains_nothing_and_changes_nothing(grown, monkeypatch):
    study, bundle, _, _, card, _, recorded = grown
    monkeypatch.setattr(data, "augment", lambda *_: pytest.fail("took a step"))
    assert add_heads(study, ("fnet", "gmlp")) == card
    for split, p in load_predictions(bundle).items():
        assert p.exits == recorded[split].exits and np.array_equal(p.top1, recorded[split].top1)


@pytest.fixture
def meanwhile(grown, monkeypatch):
    """Call it with entries for the card that somebody else writes while heads learn; afterwards the
    bundle is as it was."""
    _, bundle, *_ = grown
    before, learn = weights.read_card(bundle), additions.learn

    def change(**entries):
        def learning(*args, **given):
            learnt = learn(*args, **given)
            weights.write_card(bundle, before | entries)
            return learnt

        monkeypatch.setattr(additions, "learn", learning)

    yield change
    weights.write_card(bundle, before)


def test_what_others_wrote_while_heads_learned_is_kept(grown, meanwhile):
    meanwhile(unlike={"wrongly": 0.5})
    assert add_heads(grown[0], ("fnet", "gmlp"))["unlike"] == {"wrongly": 0.5}


def test_heads_do_not_go_on_another_backbone_than_they_learned_on(grown, meanwhile):
    study, bundle, *_, card, _, _ = grown
    meanwhile(files=card["files"] | {"backbone.safetensors": {"sha256": "0", "bytes": 1}})
    kept = {f: f.read_bytes() for f in bundle.rglob("*.safetensors")}
    with pytest.raises(DataError, match="was replaced while heads learned"):
        add_heads(study, ("fnet", "gmlp"))
    assert {f: f.read_bytes() for f in bundle.rglob("*.safetensors")} == kept


def test_heads_that_were_cut_off_before_the_card_was_written_are_added_again(grown):
    study, bundle, *_, card, _, recorded = grown
    added = {}
    for name, p in recorded.items():
        own = np.array([head in ("fnet", "gmlp") for _, head in p.exits])
        added[name] = dataclasses.replace(p, top1=np.where(own[:, None], (p.top1 + 1) % 3, p.top1))
    save_predictions(bundle, added)  # of heads that the card does not tell of yet
    with pytest.raises(PredictionsError, match="they are of another network"):
        load_predictions(bundle)
    assert add_heads(study, ("fnet", "gmlp")) == card
    assert load_predictions(bundle)["test"].quality == recorded["test"].quality


def test_heads_can_go_into_a_bundle_of_their_own_beside_the_first(grown):
    study, bundle, _, before, card, *_ = grown
    files = {f: f.read_bytes() for f in bundle.rglob("*") if f.is_file()}
    # trained already, so only measured and written
    own = add_heads(study, ("fnet", "gmlp"), into="beside")
    assert {f: f.read_bytes() for f in bundle.rglob("*") if f.is_file()} == files
    assert own["files"].keys() == {
        "backbone.safetensors",
        "heads/fnet.safetensors",
        "heads/gmlp.safetensors",
    }
    backbone = card["files"]["backbone.safetensors"] | {"of": TINY}
    assert own["files"]["backbone.safetensors"] == backbone  # held once
    assert not (bundle.parent / "beside" / "backbone.safetensors").exists()
    assert (
        own["init"] == f"the backbone of the bundle {TINY}"
        and own["exit_recipe"]["batch"] == 8
        and "added" not in own
    )
    added = card["added"]["fnet"]["storage"]
    assert own["storage"] == {"bits": before["storage"]["bits"]} | added
    assert added["head_bits"].keys() == {"fnet", "gmlp"}
    assert (
        own["exits"] == [e for e in card["exits"] if e["head"] in ("fnet", "gmlp")]
        and own["final"] == card["final"]
    )
    assert [e for e, _ in load_predictions(bundle.parent / "beside")["test"].exits] == [
        2,
        2,
        5,
        5,
        6,
    ]
    assert mvit.load("mine", "beside", device="cpu").exits("gmlp") == [(2, "gmlp"), (5, "gmlp")]
    shared = paper.with_siblings("mine", before)
    assert set(shared["head"]) == {"mlp", "resmlp", "fnet", "gmlp"} and len(shared) == 8
    assert set(shared[shared["head"] == "gmlp"].pictures) == {own["exit_recipe"]["rounds"] * 8}


def test_what_cannot_be_added_is_said_before_anything_is_trained(grown):
    study = grown[0]
    with pytest.raises(PlanError, match="unknown head 'psychic'; there are: mlp, vit"):
        add_heads(study, ("gmlp", "psychic"))
    with pytest.raises(WeightsError, match="no bundle mine/other in .* to add heads to"):
        add_heads(dataclasses.replace(study, name="other"), ("gmlp",))
    with pytest.raises(
        DataError, match="these are not the test pictures that test_vit was measured on"
    ):
        add_heads(dataclasses.replace(study, test_limit=4), ("gmlp",))
