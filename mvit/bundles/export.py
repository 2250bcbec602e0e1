"""Export for the edge: the network cut off at one exit, as ONNX or as PyTorch's own pt2.

The file takes a batch of prepared pictures (B, 3, S, S) in float32 under the name `image` and gives
`scores` (B, out): class probabilities; of a counter it takes tiles and gives the people in each.
How a photo becomes an input, step by step, what the scores mean and the place of the exit travel in
its metadata under the key `mvit`, as JSON; docs/exporting.md reads them with ONNX Runtime alone.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mvit.bundles.whole import check_file, written_whole
from mvit.clock import NoClock, measure
from mvit.models.multi_exit import MultiExitViT
from mvit.models.truncated import Truncated
from mvit.tasks import Task

FORMATS = ("onnx", "pt2")
TOLERANCE = 1e-3
BATCHES = (2, 1, 3)  # sizes that a file is checked with; the first is the one it is traced with


class ExportError(ValueError):
    """An export that cannot be made; the message says why and how to mend it."""


class Answering(nn.Module):
    """An exit's network that says what its logits mean. image: (B, 3, S, S) -> scores (B, out)."""

    def __init__(self, cut: Truncated, task: Task):
        super().__init__()
        self.cut, self.task = cut, task

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.task.answers(self.cut(image))


def export(
    model: MultiExitViT, layer: int, head: str, path: str | Path, format: str = "onnx"
) -> dict:
    """Write the network truncated at an exit and check the file against the model on random
    pictures, in batches of several sizes.

    Return {path, format, layer, head, size (bytes), parameters, macs, latency_ms (median of one
    picture, of a counter one tile), runtime, max_difference (of the scores)}. The check and the
    latency come from ONNX Runtime, or from PyTorch for pt2. Raises PlanError if there is no such
    exit, ExportError for another format, a missing package, a path that cannot be written, a
    network that the format cannot hold, or a file that answers differently by more than 1e-3.
    """
    path = _checked(Path(path), format)
    task, whole = model.task, copy.deepcopy(model).cpu().float().eval()
    cut = Answering(Truncated(whole, layer, head).alone(), task).eval()

    def off(answer: Answer, image: torch.Tensor) -> float:
        [(*_, logits, _)] = whole.steps(image, [(layer, head)], NoClock())
        return float(np.abs(answer(image) - task.answers(logits).numpy()).max())

    side, generator = task.input_px, torch.Generator().manual_seed(0)
    images = [torch.randn(n, 3, side, side, generator=generator) for n in BATCHES]
    about = json.dumps(task.recipe() | {"layer": layer, "head": head})
    try:
        with written_whole(path) as partial:
            write = _write_onnx if format == "onnx" else _write_pt2
            runtime, answer = write(cut, images[0], partial, about=about)
            difference = max(off(answer, image) for image in images)
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"{path} answers differently from the model (by {difference:.2g}, the limit "
                    f"is {TOLERANCE}): not written"
                )
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    return {
        "path": str(path),
        "format": format,
        "layer": layer,
        "head": head,
        "size": path.stat().st_size,
        "parameters": sum(p.numel() for p in cut.parameters()),
        "macs": model.exit_macs(layer, head),
        "latency_ms": measure(lambda: answer(images[1]), n=15).median,
        "runtime": runtime,
        "max_difference": difference,
    }


def _checked(path: Path, format: str) -> Path:
    """The path, if a file of this format can be called so; see `export` for what is refused."""
    if format not in FORMATS:
        raise ExportError(f"there is no format '{format}'; use {' or '.join(FORMATS)}")
    other = {f".{name}" for name in FORMATS if name != format}
    if path.suffix.lower() in other:
        raise ExportError(
            f"{path.name} is no name for {format}; pass --format, or end it otherwise"
        )
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}; make it first")
    try:
        check_file(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error
    return path


Answer = Callable[[torch.Tensor], np.ndarray]


def _write_onnx(cut: Answering, image: torch.Tensor, path: Path, about: str) -> tuple[str, Answer]:
    try:
        import onnxruntime

        import_module("onnxscript")  # torch.onnx needs it and would fail later, at length
    except ImportError as missing:
        cure = "pip install onnx onnxscript onnxruntime, or use --format pt2"
        raise ExportError(f"ONNX needs the package '{missing.name}': {cure}") from missing
    try:
        program = torch.onnx.export(
            cut,
            (image,),
            dynamo=True,
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError("ONNX cannot hold this network; use --format pt2") from error
    program.model.metadata_props["mvit"] = about
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda x: session.run(
        ["scores"], {"image": x.numpy()}
    )[0]


def _write_pt2(cut: Answering, image: torch.Tensor, path: Path, about: str) -> tuple[str, Answer]:
    batch = {"image": {0: torch.export.Dim("batch")}}
    with torch.no_grad():  # not inference mode: its tensors cannot be saved
        program = torch.export.export(cut, (image,), dynamic_shapes=batch)
    data = io.BytesIO()  # torch's own writer ends the process if the disk is full
    torch.export.save(program, data, extra_files={"mvit": about})
    path.write_bytes(data.getbuffer())
    module = program.module()

    def answer(x: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return module(x).numpy()

    return f"torch {torch.__version__}", answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m mvit export`, besides the common ones."""
    parser.add_argument(
        "--exit",
        type=int,
        required=True,
        metavar="LAYER",
        help="the layer to cut after; "
        "without --head at the best head's exit, after the last layer at the final one",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="onnx", help="onnx (default) or pt2, PyTorch's own"
    )
    parser.add_argument(
        "--out", type=Path, help="the file to write (default: TASK-BACKBONE-HEAD-LAYER.FORMAT here)"
    )


def run(args: argparse.Namespace, model: MultiExitViT) -> dict:
    """Do what the command line asks. args: --exit, --format, --out, and the common --task,
    --backbone and --head, which must name one."""
    path = args.out or Path(f"{args.task}-{args.backbone}-{args.head}-{args.exit}.{args.format}")
    return export(model, args.exit, args.head, path=path, format=args.format)


def describe(result: dict) -> str:
    """One line for a person."""
    return (
        f"{result['path']}: {result['head']} after layer {result['layer']}, "
        f"{result['size'] / 1e6:.1f} MB, {result['latency_ms']:.3g} ms a picture "
        f"({result['runtime']}), scores within {result['max_difference']:.1g} of the model's"
    )
