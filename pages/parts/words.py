"""The field's words in one plain sentence each, for hover help everywhere."""

from mvit.models.extra_heads import EVERY

WORDS = {
    "backbone": "The vision transformer itself: it cuts the picture into patches and passes them through its encoder layers in turn.",
    "layer": "One of the encoder layers of the backbone, counted from 1. Each one refines what the layers before it found.",
    "exit": "A small extra network (a head) behind a layer, which answers before the remaining layers have run.",
    "final": "The final exit: the backbone's own answer, after all its layers.",
    "head": "The kind of small network an exit uses. How it was trained is on the Models page.",
    "confidence": "The probability the exit gives to its own answer. Sure is not the same as right.",
    "elapsed": "Time since the run began when the exit fired: all layers and all exits so far. Of a few runs, the middle one.",
    "alone": "What this exit alone costs: the layers up to it and its own head, no other exits.",
    "macs": "Multiply-accumulates: one multiplication and one addition each. The same on every machine. M: million, G: billion.",
    "practical": "An exit that is more accurate on the test set than every earlier exit of the same head (the paper's definition).",
    "plain": "The same backbone run the ordinary way, with no exits at all, timed on this picture in turn with the runs.",
    "settled": "The first layer from which every later exit, the final one included, gives the same answer.",
}


def about(head: str) -> str | None:
    """What a head is, in one line; None for the final exit."""
    return EVERY[head].about if head in EVERY else None


def head_help(heads: list[str]) -> str:
    """Hover help for a choice of heads: what a head is, and one line on each."""
    return WORDS["head"] + "\n\n" + "\n".join(f"- **{h}**: {about(h)}" for h in heads)


def percent(share: float, digits: int = 0) -> str:
    """A share of 0..1 as percent, never broken over two lines."""
    return f"{100 * share:.{digits}f}\u00a0%"


def exit_list(plan: list[tuple[int, str]]) -> str:
    """The exits of a plan as a caption names them: `layer 4, layer 8, final`."""
    return ", ".join("final" if head == "final" else f"layer {layer}" for layer, head in plan)
