"""The headline at the end of a replay names an exit that convinces, if there is one."""

import pytest

from mvit.models.exit import Exit
from pages.parts.timeline.runs import Measured, found, settled_exit, told_exit


def run(*sure: float, first: str = "cat") -> Measured:
    """A run whose exits are so sure of "cat", but the first of `first`."""
    exits = []
    for layer, share in enumerate(sure, 1):
        scores = [share, 1 - share] if layer > 1 or first == "cat" else [1 - share, share]
        exits.append(
            Exit(
                layer,
                "final" if layer == len(sure) else "mlp",
                scores=scores,
                labels=("cat", "dog"),
                elapsed_ms=4.0 * layer,
                head_ms=1.0,
                ms=4.0 * layer,
                macs=layer,
            )
        )
    return Measured(exits=exits, macs=[e.macs for e in exits], plain_ms=24.0, truth="cat")


@pytest.mark.parametrize(
    "sure, first, layer",
    [
        ((0.6, 0.7, 0.95, 0.99), "cat", 3),
        ((0.6, 0.7, 0.8, 0.85), "cat", 1),  # none is so sure
        ((0.99, 0.7, 0.95, 0.99), "dog", 3),  # sure, but of what did not stay
    ],
)
def test_the_first_sure_exit_of_those_that_stay_is_named(sure, first, layer):
    assert told_exit(run(*sure, first=first).exits, "mlp").layer == layer


def test_the_headline_is_true_to_the_run():
    measured = run(0.6, 0.7, 0.95, 0.99)
    assert settled_exit(measured.exits, "mlp").layer == 1
    assert found(measured, ["mlp"]) == (
        "cat from layer 3, 95\u00a0% sure, ready after 12.0 ms; "
        "the plain network needs 24.0 ms, 2.0 times as long"
    )
