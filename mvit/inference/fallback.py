"""When the GPU fails - out of memory, or gone - go on with the CPU and say so."""

from __future__ import annotations

import copy

import torch
from torch import nn


class DeviceLostError(RuntimeError):
    """The device is gone and the weights with it; the message says how to go on."""


def is_device_failure(error: BaseException) -> bool:
    """Whether an error comes from the GPU itself: out of memory, or a CUDA error."""
    failed = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))
    return isinstance(error, failed) or (
        isinstance(error, RuntimeError) and "CUDA error" in str(error)
    )


def cpu_copy(model: nn.Module, error: BaseException) -> tuple[nn.Module, str]:
    """A copy of the model on the CPU, in float32, and a sentence for the user that says why.

    The model itself is left as it is, so others may go on using it. Raises DeviceLostError if its
    weights cannot be read any more.
    """
    try:
        # A plain deepcopy would copy on the full GPU first: hand it the tensors already copied.
        done: dict[int, object] = {
            id(p): nn.Parameter(p.detach().cpu(), p.requires_grad) for p in model.parameters()
        }
        done |= {id(b): b.detach().cpu() for b in model.buffers()}
        substitute = copy.deepcopy(model, done).float()
    except RuntimeError as lost:
        raise DeviceLostError(
            "the GPU does not answer any more; load the model again with device cpu"
        ) from lost
    torch.cuda.empty_cache()  # what other requests need: does nothing without a GPU
    reason = "ran out of memory" if isinstance(error, torch.OutOfMemoryError) else "failed"
    return substitute, f"the GPU {reason}; this was computed on the CPU"
