"""Table I of a counter: the same trainings, measured by how far counts are off.

The exits that every cell starts from are those of the bundle that `--init` names: they learned on
its frozen backbone to the end. Errors are compared picture by picture, so that chance is judged by
how much two trainings differ and not by how much crowds do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvit.data.labelled import DataError
from mvit.evaluation.counts import count
from mvit.evaluation.paper import ALONE
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.initial import take_over_exits
from mvit.training.table1_lab import TableLab, compared


@dataclass(kw_only=True)
class CountsLab(TableLab):
    """Trains and measures single cells of a counter's table."""

    begins_with_exits = True

    @property
    def fields(self) -> dict:
        return self.budget.counter()

    def started(self) -> tuple[MultiExitViT, dict]:
        """The bundle's backbone with its exits after the layer, which are trained to the end.
        Raises DataError for a start without them."""
        model = self.untrained()
        taken = take_over_exits(model, self.study.init, self.study.architecture)
        if lost := [head for head in self.heads if (self.layer, head) not in taken]:
            raise DataError(
                f"table1 of a counter starts from trained exits, but {self.study.init} has no "
                f"{lost[0]} after layer {self.layer}; pass a bundle with it as --init"
            )
        return model, {"round": 0}

    def start(self) -> dict:
        return self.quality(self.started()[0]) | {"rounds": 0, "validation": {}}

    def quality(self, model: MultiExitViT) -> dict:
        """{"final": mean absolute error in people, "exits": {head: that at the layer}, "errors":
        {head or "final": the absolute error in every test picture}}."""
        found = count(model, self.test, self.accelerator)
        errors = {head: np.abs(e) for (_, head), e in zip(found.exits, found.errors, strict=True)}
        means = {head: float(e.mean()) for head, e in errors.items()}
        kept = {head: e.round(2).tolist() for head, e in errors.items()}
        return {"final": means.pop(FINAL), "exits": means, "errors": kept}

    def rows(self, strategy: str, done: dict[str, dict]) -> list[dict]:
        """The rows of the training that was done last, one a head: {"strategy", "head", "mae" (at
        the layer), "splits": {set: {"mae", "final"}}, "final", "seconds"}, and with "gain" (how
        many people closer than the same head classifier-wise) and "change" (of the final exit's
        error against plain) by how much either could differ by chance: "gain_noise",
        "change_noise" (95 %)."""
        cell = done[next(reversed(done))]
        final, rows = self.against(cell, done["plain"]), []
        for head, mae in cell["exits"].items():
            worse, noise = compared(cell, done[ALONE], head)
            row = {"strategy": strategy, "head": head, "mae": mae, "gain": -worse}
            row |= {"gain_noise": noise, "splits": self.splits(cell, head)}
            rows.append(row | final | {"seconds": cell["seconds"]})
        return rows

    def against(self, cell: dict, plain: dict) -> dict:
        """How far the final exit is off, and by how many people further than the plain backbone's,
        with what of that chance could do (95 %)."""
        change, noise = compared(cell, plain, FINAL)
        return {"final": cell["final"], "change": change, "change_noise": noise}

    def splits(self, cell: dict, head: str) -> dict[str, dict]:
        """The mean absolute errors of a head and of the final exit in each set of pictures."""
        owner = np.array([name.split("/")[0] for name in self.test.names])
        of = {"mae": head, "final": FINAL}
        return {
            name: {
                key: float(np.mean(np.array(cell["errors"][which])[owner == name]))
                for key, which in of.items()
            }
            for name in dict.fromkeys(owner.tolist())
        }

    def told(self, cell: dict) -> str:
        exits = ", ".join(f"{head} off by {mae:.1f}" for head, mae in cell["exits"].items())
        return f"layer {self.layer} {exits}; final exit off by {cell['final']:.1f}"
