"""The tensors of a bundle: written in half precision or in 8 bits, verified before one is used.

8 bits: each matrix as whole numbers from -127 to 127 with one float32 scale for each row (output
channel) under the name `<matrix>:scale`, symmetric; vectors, and what has one row only, in half
precision. A matrix that a file would hold several times, as exits with one classifier do, is there
once, and the metadata tell under which names. Reading expands all this, so that a loaded model is
an ordinary one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file

from mvit.bundles.card import WeightsError, parts, refused
from mvit.bundles.places import located
from mvit.bundles.whole import written_whole

MAX_FILE_BYTES = 95_000_000
HEADER_BYTES = 200_000  # at most, of a safetensors file with some hundred tensors
SCALE, LARGEST = ":scale", 127
SAME = "same"  # in the metadata: {name of a matrix: name of the equal one that the file holds}


def is_matrix(tensor: torch.Tensor) -> bool:
    """Whether a weight has rows with scales of their own in 8 bits."""
    return tensor.ndim > 1 and len(tensor) > 1


def packed(state: dict[str, torch.Tensor], bits: int) -> dict[str, torch.Tensor]:
    """What a file of `bits` bits a weight holds of a module's state."""
    held = {}
    for name, tensor in state.items():
        if bits == 8 and is_matrix(tensor):
            rows = tensor.detach().float().flatten(1)
            # scales of 16 bits: a whole number of them is exact, so rounding twice changes nothing
            mantissa, exponent = torch.frexp(rows.abs().amax(1) / LARGEST)
            scale = torch.ldexp((mantissa * 2**16).ceil() / 2**16, exponent)
            scale[scale == 0] = 1.0
            held[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            held[name + SCALE] = scale
        else:
            held[name] = tensor.detach().half()
    return held


def expanded(held: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """The module's state that `packed` was given, rounded; raises WeightsError for 8 bits without
    fitting scales, or scales without their 8 bits."""
    state = {name: tensor for name, tensor in held.items() if not name.endswith(SCALE)}
    for name in held.keys() - state.keys():
        of, scale = name.removesuffix(SCALE), held[name]
        rows = state.get(of)
        if rows is None or rows.dtype != torch.int8 or scale.shape != rows.shape[:1]:
            raise refused(file, f"{name} does not fit the 8-bit rows of {of}")
        state[of] = scale.float().view(-1, *[1] * (rows.ndim - 1)) * rows
    if bare := sorted(name for name in state if state[name].dtype == torch.int8):
        raise refused(file, f"{bare[0]} has 8 bits but no scale")
    return state


def _once(held: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors without the matrices that are equal to an earlier one, bit for bit, and these names:
    {left out: kept}."""
    kept, same, names = {}, {}, {}
    for name, tensor in held.items():
        tensor = kept[name] = tensor.cpu().contiguous()
        if is_matrix(tensor):
            bits = hashlib.sha256(tensor.view(torch.uint8).numpy()).digest()
            first = names.setdefault((tensor.dtype, tensor.shape, bits), name)
            if first != name:
                same[name] = first
                del kept[name]
    return kept, same


def _with_same(tensors: dict[str, torch.Tensor], data: bytes, file: Path) -> None:
    """Put the matrices that a file names as equal to another one among its tensors; raises
    WeightsError for one that is equal to nothing. data: the whole file."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    try:
        for name, of in json.loads(header.get("__metadata__", {}).get(SAME, "{}")).items():
            tensors.setdefault(name, tensors[of])
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise refused(file, "it names a matrix as equal to one that it does not hold") from error


def round_to(module: torch.nn.Module, bits: int) -> None:
    """Round a module's weights in place to what a file of `bits` bits a weight holds."""
    own = module.state_dict()
    for name, tensor in expanded(packed(own, bits), Path()).items():
        own[name].copy_(tensor)


def read_tensors(file: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read a safetensors file whole, 8 bits expanded; raises WeightsError if it is missing, altered
    or truncated, or holds a NaN or infinity."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise refused(file, "the file is missing or cannot be read") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise refused(file, "its sha256 differs from the card's, so it was altered or truncated")
    try:
        tensors = load_safetensors(data)
    except SafetensorError as error:
        raise refused(file, f"it is not a safetensors file ({error})") from error
    _with_same(tensors, data, file)
    tensors = expanded(tensors, file)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise refused(file, f"{name} is not made of finite floating-point numbers")
    return tensors


def fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Put tensors into a module; raises WeightsError unless names and shapes are exactly the
    module's."""
    if missing := sorted(module.state_dict().keys() - tensors.keys()):
        raise refused(file, f"it lacks {missing[0]} and {len(missing) - 1} more")
    put(module, tensors, file)


def put(module: torch.nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Put some of a module's tensors into it, in the module's dtype; raises WeightsError for a
    strange name or shape."""
    own = module.state_dict()
    if extra := sorted(tensors.keys() - own.keys()):
        raise refused(file, f"it holds {extra[0]}, which this model does not have")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise refused(
                file, f"{name} has shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
        own[name].copy_(tensor)


def save_part(module: torch.nn.Module, folder: Path, part: str, bits: int = 16) -> dict[str, dict]:
    """Write the backbone or one head of a bundle in `bits` bits a weight; return {file: {"sha256",
    "bytes"}} for the card. Raises WeightsError."""
    return save_held(packed(module.state_dict(), bits), folder, part)


def save_held(
    held: dict[str, torch.Tensor], folder: Path, part: str, metadata: dict[str, str] | None = None
) -> dict[str, dict]:
    """Write what `packed` gave to the part's file or, if it is large, files; as `save_part`."""
    files = {}
    matrices = {name: tensor for name, tensor in held.items() if not name.endswith(SCALE)}
    scales = sum(held[name].nbytes for name in held.keys() - matrices.keys())
    (folder / part).parent.mkdir(parents=True, exist_ok=True)
    shards = split_torch_state_dict_into_shards(
        matrices,
        filename_pattern=part + "{suffix}.safetensors",
        max_shard_size=max(1, MAX_FILE_BYTES - HEADER_BYTES - scales),
    )
    for name, keys in shards.filename_to_tensors.items():
        keys = [k for key in keys for k in (key, key + SCALE) if k in held]
        with written_whole(folder / name) as file:
            kept, same = _once({key: held[key] for key in keys})
            told = (metadata or {}) | ({SAME: json.dumps(same)} if same else {})
            save_file(kept, file, told or None)
            data = file.read_bytes()
            if len(data) > MAX_FILE_BYTES:
                raise WeightsError(
                    f"{name} has {len(data):,} bytes; the limit is {MAX_FILE_BYTES:,}"
                )
        files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return files


def read_part(module: torch.nn.Module, where: Path, part: str, files: dict[str, dict]) -> None:
    """Fill a module from its file or, one after the other, from its files. files: a card's."""
    names, missing = parts(files).get(part), module.state_dict().keys()
    if not names:
        raise refused(where / f"{part}.safetensors", "the card does not list it")
    for name in names:
        file = located(where, name, files[name])
        tensors = read_tensors(file, files[name]["sha256"])
        put(module, tensors, file)
        missing = missing - tensors.keys()
    if missing:
        raise refused(file, f"it lacks {min(missing)} and {len(missing) - 1} more")
