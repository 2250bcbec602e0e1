"""The field's words in one plain sentence each, for hover help everywhere."""

from pages.parts import diagrams

WORDS = {
    "backbone": "The backbone is the vision transformer itself: it cuts the picture into patches "
    "and passes them through its encoder layers, one after another.",
    "layer": "A layer is one of the backbone's encoder layers, counted from 1. Each layer refines "
    "what the layers before it found.",
    "exit": "An exit is a small extra network (a head) behind a layer. It answers before the "
    "remaining layers have run.",
    "final": "The final exit is the backbone's own answer, after all its layers. The plain network "
    "gives the same answer; it only runs no other exits before.",
    "head": "A head is the small network that an exit uses; there are several kinds. The Models "
    "page says how the heads were trained.",
    "class token": "The class token is the vector in which the network gathers what the whole "
    "picture shows.",
    "confidence": "Confidence is the probability that the exit gives to its own answer. A sure "
    "answer may still be wrong.",
    "elapsed": "Time from the start of the run until this exit had answered: all layers and all "
    "exits so far. Of a few runs, the one of middle length is shown.",
    "alone": "What this exit costs by itself: the layers up to it and its own head, without the "
    "other exits.",
    "macs": "MACs are multiply-accumulates: one multiplication and one addition each. Their "
    "number is the same on every machine. M: million, G: billion.",
    "practical": "A practical exit is more accurate on the test set than every earlier exit of the "
    "same head (the paper's definition), and better than guessing.",
    "plain": "The plain network is the same backbone, run the ordinary way from the first layer to "
    "the last, without early exits. Its answer is that of the final exit.",
    "settled": "An answer is settled at the first layer from which every later exit, the final one "
    "included, gives the same answer.",
}

OTHER_AIM = "other pages choose their few exits for another aim, so they may differ."
SPLITS = {
    "part_A": "dense crowds (part A)",
    "part_B": "streets (part B)",
    "beijing_brt": "pictures of a bus stop (Beijing-BRT)",
    "brt": "pictures of a bus stop that no exit learned from (Beijing-BRT)",
}


def split_name(name: str) -> str:
    """A test set's part in words."""
    return SPLITS.get(name, name.replace("_", " "))


def about(head: str) -> str | None:
    """What a head is, in one line; None for the final exit."""
    # late, because it brings PyTorch, which the words themselves do without
    from mvit.models.extra_heads import EVERY

    return EVERY[head].about if head in EVERY else None


def drawn(head: str) -> str:
    """What a head is: its picture, if it has one, over one line."""
    told = about(head)
    image = f"{diagrams.picture(head, told)}\\\n  " if head in diagrams.PICTURES else ""
    return f"{image}**{head}**: {told}"


def head_help(heads: list[str]) -> str:
    """Hover help for a choice of heads: what a head is, and a picture and one line on each."""
    hollow = (
        " In the pictures, hollow tokens are not read." if diagrams.PICTURES.keys() & heads else ""
    )
    token = (
        f" {WORDS['class token']}" if any("class token" in (about(h) or "") for h in heads) else ""
    )
    return WORDS["head"] + token + hollow + "\n\n" + "\n".join(f"- {drawn(h)}" for h in heads)


def percent(share: float, digits: int = 0) -> str:
    """A share of 0..1 as percent, never broken over two lines, and never `-0 %`."""
    return f"{100 * share:z.{digits}f}\u00a0%"


def saved(share: float) -> dict[str, str | None]:
    """What is saved of some work or time, as `st.metric` shows it: `12 %`, or nothing, and how much
    more it takes."""
    told = percent(share)
    nothing = told == percent(0) or share < 0
    more = f"{percent(-share)} more" if nothing and told != percent(0) else None
    value = "nothing" if nothing else told
    return {"value": value, "delta": more, "delta_color": "off", "delta_arrow": "off"}


def work_saved(share: float) -> str:
    """What is saved of the plain network's work, or added to it: `saves 12 % of the work`."""
    if percent(share) == percent(0):
        return "saves none of the work"
    if share < 0:
        return f"takes {percent(-share)} more work than the plain network"
    return f"saves {percent(share)} of the work"


def listed(said: list[str]) -> str:
    """Several things as a sentence names them: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def exit_list(plan: list[tuple[int, str]]) -> str:
    """The exits of a plan as a caption names them: `layer 4, layer 8, final`."""
    return ", ".join("final" if head == "final" else f"layer {layer}" for layer, head in plan)
