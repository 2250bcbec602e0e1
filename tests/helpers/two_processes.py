"""One of several processes that score the same thin model together: `python two_processes.py OUT`.

Which of them it is, and where the others are, say the variables that accelerate and torchrun set.
"""

import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from accelerate import Accelerator  # noqa: E402
from thin import TASK, thin_model  # noqa: E402
from toys import colours  # noqa: E402

from mvit.evaluation.predictions import FIELDS, Predictions, predict  # noqa: E402

PICTURES = 7  # odd, so that the processes get unequal shares


def score() -> Predictions:
    """Predictions of a fixed model on fixed pictures, shared among accelerate's processes."""
    pictures = colours(3, side=TASK.native_px).subset(slice(PICTURES))
    return predict(thin_model(depth=4), pictures, Accelerator(cpu=True), batch=2, show=False)


if __name__ == "__main__":
    found = score()
    np.savez(
        f"{sys.argv[1]}-{Accelerator(cpu=True).process_index}.npz",
        truth=found.truth,
        **{f: getattr(found, f) for f in FIELDS},
    )
