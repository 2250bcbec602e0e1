"""One of several processes that score or train the same thin model together:
`python two_processes.py OUT score` or `... OUT train`.

Which of them it is, and where the others are, say the variables that accelerate and torchrun set.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from accelerate import Accelerator  # noqa: E402
from thin import TASK, thin_model  # noqa: E402
from toys import colours  # noqa: E402

from mvit.evaluation.predictions import FIELDS, Predictions, predict  # noqa: E402
from mvit.training.loop import Loop  # noqa: E402

PICTURES = 7  # odd, so that the processes get unequal shares


def score() -> Predictions:
    """Predictions of a fixed model on fixed pictures, shared among accelerate's processes."""
    pictures = colours(3, side=TASK.native_px).subset(slice(PICTURES))
    return predict(thin_model(depth=4), pictures, Accelerator(cpu=True), batch=2, show=False)


def train(batch: int) -> np.ndarray:
    """Weights of a linear model after four steps of a shared training that draws no numbers."""
    torch.manual_seed(0)
    model, x = torch.nn.Linear(3, 1), torch.randn(12, 3)
    loop = Loop(
        plan=[(0, batch)] * 4,
        losses=lambda step: [model(x[step.index]).square().mean() for _ in range(2)],
        pictures=len(x),
        state=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        accelerator=Accelerator(cpu=True),
        seed=0,
        clip=1.0,
    )
    losses = [loop.step(number) for number in range(len(loop.plan))]
    return np.concatenate([*(p.detach().flatten().numpy() for p in model.parameters()), losses])


def launch(out: Path, what: str) -> None:
    """Run two such processes to their end; raise AssertionError if one fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    world |= {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    both = [
        subprocess.Popen(
            [sys.executable, __file__, out, what],
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=300)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], errors


if __name__ == "__main__":
    out, what = sys.argv[1:]
    found = score() if what == "score" else None
    tensors = (
        {"truth": found.truth} | {f: getattr(found, f) for f in FIELDS}
        if found
        else {f"batch {batch}": train(batch) for batch in (1, 3, 4)}
    )
    np.savez(f"{out}-{Accelerator(cpu=True).process_index}.npz", **tensors)
