"""Export for the edge: the network cut off at one exit, as ONNX or as PyTorch's own pt2.

The file takes a normalised picture (1, 3, S, S) in float32 under the name `image` and gives
`scores` (1, out): class probabilities. Of a counter it takes one tile at a time and gives the
people in it. Labels, normalisation and the place of the exit travel in its metadata under the key
`mvit`, as JSON.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mvit.clock import measure
from mvit.models.multi_exit import FINAL, MultiExitViT

FORMATS = ("onnx", "pt2")
TOLERANCE = 1e-3


class ExportError(ValueError):
    """An export that cannot be made; the message says why and how to mend it."""


class Truncated(nn.Module):
    """The backbone up to one layer and the head there; nothing of the later layers is kept. image:
    (B, 3, S, S) -> scores: (B, out)."""

    def __init__(self, model: MultiExitViT, layer: int, head: str):
        super().__init__()
        self.task = model.task
        own = model.head_at(layer, head)
        vit = model.backbone.vit
        self.embed = nn.ModuleList([vit.patch_embed, vit.norm_pre])
        self.cls_token, self.positions = vit.cls_token, vit.pos_embed
        self.blocks = nn.Sequential(*vit.blocks[:layer])
        self.norm = vit.norm if head == FINAL else None
        self.head = own

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        patch_embed, norm_pre = self.embed
        # (B, N, D); a grid (B, h, w, D) first if the backbone takes any size
        patches = patch_embed(image).flatten(1, -2)
        # (B, 1+N, D)
        tokens = torch.cat([self.cls_token.expand(len(image), -1, -1), patches], 1) + self.positions
        tokens = self.blocks(norm_pre(tokens))
        logits = self.head(tokens if self.norm is None else self.norm(tokens)[:, 0])
        return self.task.answers(logits)


def export(
    model: MultiExitViT, layer: int, head: str, path: str | Path, format: str = "onnx"
) -> dict:
    """Write the network truncated at an exit and check the file against the model on a random
    picture.

    Gives back {path, format, layer, head, size (bytes), parameters, macs, latency_ms (median),
    runtime, max_difference (of the scores)}. The check and the latency come from ONNX Runtime, or
    from PyTorch for pt2. Raises PlanError if there is no such exit, ExportError for another format,
    a missing package, a path that cannot be written, or a file that answers differently by more
    than 1e-3.
    """
    if format not in FORMATS:
        raise ExportError(f"there is no format '{format}'; use {' or '.join(FORMATS)}")
    path = Path(path)
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}; make it first")
    # a copy without the later blocks
    cut = copy.deepcopy(Truncated(model, layer, head)).cpu().float().eval()
    side = model.task.input_px
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        [(*_, logits, _)] = (
            copy.deepcopy(model).cpu().float().steps(image, [(layer, head)], _NoClock())
        )
    expected = model.task.answers(logits).numpy()
    task = model.task
    about = {
        "task": task.name,
        "labels": task.labels,
        "layer": layer,
        "head": head,
        "mean": task.mean,
        "std": task.std,
    }
    # so that a file of the real name is whole, and checked
    partial = path.with_name(f"partial-{path.name}")
    try:
        runtime, answer = (_write_onnx if format == "onnx" else _write_pt2)(
            cut, image, partial, json.dumps(about)
        )
        difference = float(np.abs(answer() - expected).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path} answers differently from the model (by {difference:.2g}, the limit is {TOLERANCE}): not written"
            )
        os.replace(partial, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return {
        "path": str(path),
        "format": format,
        "layer": layer,
        "head": head,
        "size": path.stat().st_size,
        "parameters": sum(p.numel() for p in cut.parameters()),
        "macs": model.exit_macs(layer, head),
        "latency_ms": measure(answer, n=15).median,
        "runtime": runtime,
        "max_difference": difference,
    }


class _NoClock:
    """For a run whose time does not matter."""

    def mark(self) -> None:
        return None


def _write_onnx(cut: Truncated, image: torch.Tensor, path: Path, about: str):
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx needs it and would fail later, with a page of text
    except ImportError as missing:
        cure = "pip install onnx onnxscript onnxruntime, or use --format pt2"
        raise ExportError(f"ONNX needs the package '{missing.name}': {cure}") from missing
    program = torch.onnx.export(
        cut, (image,), dynamo=True, input_names=["image"], output_names=["scores"], verbose=False
    )
    program.model.metadata_props["mvit"] = about
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {"image": image.numpy()}
    return f"onnxruntime {onnxruntime.__version__}", lambda: session.run(["scores"], feed)[0]


def _write_pt2(cut: Truncated, image: torch.Tensor, path: Path, about: str):
    with torch.no_grad():  # not inference mode: its tensors cannot be saved
        program = torch.export.export(cut, (image,))
    data = io.BytesIO()  # torch's own writer ends the process if the disk is full
    torch.export.save(program, data, extra_files={"mvit": about})
    path.write_bytes(data.getbuffer())
    module = program.module()

    def answer() -> np.ndarray:
        with torch.inference_mode():
            return module(image).numpy()

    return f"torch {torch.__version__}", answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m mvit export`, besides the common ones."""
    parser.add_argument(
        "--exit", type=int, required=True, metavar="LAYER", help="the layer to cut after"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="onnx", help="onnx (default) or pt2, PyTorch's own"
    )
    parser.add_argument(
        "--out", type=Path, help="the file to write (default: TASK-BACKBONE-HEAD-LAYER.FORMAT here)"
    )


def run(args: argparse.Namespace, model: MultiExitViT) -> dict:
    """Do what the command line asks. args: --exit, --head, --format, --out, and the common --task
    and --backbone."""
    head = args.head or FINAL
    path = args.out or Path(f"{args.task}-{args.backbone}-{head}-{args.exit}.{args.format}")
    return export(model, args.exit, head, path, args.format)


def describe(result: dict) -> str:
    """One line for a person."""
    return (
        f"{result['path']}: {result['head']} after layer {result['layer']}, {result['size'] / 1e6:.1f} MB, "
        f"{result['latency_ms']:.3g} ms a picture ({result['runtime']}), scores within {result['max_difference']:.1g} of the model's"
    )
