"""What else a user could run, timed in turn with this model: each in its better number format, and
untrained where it is another network, since only its time counts."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch

from mvit.bench.engines import better, plain_ways
from mvit.bundles.export import ExportError, export
from mvit.clock import clock_for, rounds
from mvit.inference.precision import native_formats
from mvit.models.multi_exit import FINAL, MultiExitViT

Ways = dict[str, Callable]  # by number format


class UnavailableError(RuntimeError):
    """A peer that cannot be timed here; the message says why."""


def peers(model: MultiExitViT, x: torch.Tensor, head: str, n: int) -> list[dict]:
    """{name, ms, dtype} of each peer and of this model, or {name, skipped} with the reason.

    earlyon's exits lie after layers 4 and 10, so this model runs the same.
    """
    small = timm.create_model(
        "vit_tiny_patch16_224", num_classes=model.task.outputs, img_size=model.task.input_px
    )
    small = small.to(x.device).eval()
    offered: dict[str, Callable[[], Ways]] = {
        "this backbone, plain": lambda: plain_ways(model.backbone, x),
        "plain ViT-Ti": lambda: plain_ways(small, x.float()),
        "this model, exits after layers 4 and 10, none taken": lambda: _same(model, x, head),
        "this backbone in ONNX Runtime": lambda: _onnxruntime(model, x),
        "this backbone in OpenVINO": lambda: _openvino(model, x),
        "earlyon ViT-B/16": lambda: _earlyon(model, x),
    }
    works, skipped = {}, []
    for name, make in offered.items():
        try:
            works |= {(name, dtype): work for dtype, work in make().items()}
        except (UnavailableError, ExportError) as why:
            skipped.append({"name": name, "skipped": str(why)})
    with torch.inference_mode():
        ms = rounds(works, n, clock=clock_for(x.device))
    found = []
    for name in dict.fromkeys(name for name, _ in works):
        best = better(ms, [way for way in works if way[0] == name])
        found.append({"name": name, "ms": float(np.median(ms[best])), "dtype": best[1]})
    return found + skipped


def _same(model: MultiExitViT, x: torch.Tensor, head: str) -> Ways:
    if not {4, 10} <= {layer for layer, _ in model.exits(head)}:
        raise UnavailableError(f"has no `{head}` there")
    plan = [(4, head), (10, head), model.final_exit]
    return {str(model.dtype).removeprefix("torch."): lambda: list(model.run(x, plan))}


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UnavailableError("not installed")


def _exported(model: MultiExitViT, x: torch.Tensor, load: Callable[[Path], Ways]) -> Ways:
    """What `load` makes of the backbone as an ONNX file."""
    if x.device.type != "cpu":
        raise UnavailableError("timed on processors only")
    _need("onnxscript")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plain.onnx"
        export(model, model.depth, FINAL, path=file)
        return load(file)


def _onnxruntime(model: MultiExitViT, x: torch.Tensor) -> Ways:
    _need("onnxruntime")
    given = {"image": x.float().numpy()}

    def load(file: Path) -> Ways:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # its idle threads would go on spinning while the others are timed
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return {"float32": lambda: session.run(["scores"], given)}

    return _exported(model, x, load)


def _openvino(model: MultiExitViT, x: torch.Tensor) -> Ways:
    _need("openvino")
    given = x.float().numpy()

    def load(file: Path) -> Ways:
        import openvino

        core = openvino.Core()
        network = core.read_model(file)

        def way(precision: str) -> Callable:
            hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
            compiled = core.compile_model(network, "CPU", hints)
            return lambda: compiled([given])

        names = {"float32": "f32", "bfloat16": "bf16"}
        return {name: way(names[name]) for name in native_formats("cpu")}

    return _exported(model, x, load)


def _earlyon(model: MultiExitViT, x: torch.Tensor) -> Ways:
    """earlyon's ViT-B/16 with thresholds that no confidence reaches."""
    _need("earlyon")
    if model.task.input_px != 224:
        raise UnavailableError("takes 224 px only")
    from earlyon.models import vit_b_16_ee

    wrapper = vit_b_16_ee(model.task.outputs, pretrained=False).to(x.device).eval()
    wrapper.config.confidence_thresholds = [1.1] * len(wrapper.config.confidence_thresholds)
    return plain_ways(wrapper, x)
