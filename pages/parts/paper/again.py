"""What Table I was asked beyond its cells: whether other chance would tell otherwise, and what the
last layers should begin from in layer-wise training."""

from __future__ import annotations

from collections.abc import Callable

from mvit.evaluation.paper import JOINT
from mvit.evaluation.table_again import last_steps, repeats, same_side


def lines(table: dict, value: str, spoken: Callable[[float], str]) -> list[str]:
    """The answers that the table holds, as lines of Markdown. value: the name of its figure;
    spoken: says one."""
    return [*_luck(table, value, spoken), *_last_step(table, spoken)]


def _luck(table: dict, value: str, spoken: Callable[[float], str]) -> list[str]:
    """What the same trainings gave with another seed."""
    rows = repeats(table, value)
    if rows.empty:
        return []
    heads = [
        f"`{head}` "
        + ", ".join(
            f"{' and '.join(spoken(v) for v in (r.first, *r.again))} {r.strategy}"
            for r in own.itertuples()
        )
        for head, own in rows.groupby("head", sort=False)
    ]
    same, of = same_side(rows)
    verdict = ""
    if of:
        verdict = (
            f"{'No' if same == of else f'With {of - same} of {of} trainings'}: end-to-end and "
            f"layer-wise, {same} of {of} came out on the same side of classifier-wise training "
            "every time. "
        )
    return [
        f"**Would other luck tell otherwise?** {verdict}After layer {table['layer']}, "
        "first as in the chart and then with each other seed, which draws other pictures, another "
        f"order and other first weights of the exits: {'; '.join(heads)}.{_changes(table, value)}"
    ]


def _changes(table: dict, value: str) -> str:
    """What each seed did to the final exit where the backbone learns too."""
    rows = repeats(table, "change")
    rows = rows[rows.strategy.isin(JOINT)]
    if rows.empty:
        return ""
    form, unit = ("{:+z.1f}", "people off") if value == "mae" else ("{:+z.2f}", "points")
    told = [
        f"`{r.head}` {' and '.join(form.format(v) for v in (r.first, *r.again))} {r.strategy}"
        for r in rows.itertuples()
    ]
    return f" The final exit changes, in {unit}: {', '.join(told)}."


def _last_step(table: dict, spoken: Callable[[float], str]) -> list[str]:
    """How good the final exit is by what its layers began from."""
    found = last_steps(table)
    if found is None:
        return []
    rows, plain, seed = found
    other = f" (another training, seed {seed})" if seed != table["budget"].get("seed", 0) else ""
    heads = [
        f"`{head}` " + ", ".join(f"{spoken(v)} from {begins}" for begins, v in own.dropna().items())
        for head, own in rows.iterrows()
    ]
    return [
        "**What should the layers above the exit begin from, layer-wise?** The exit and all below "
        f"it are fixed by then. The final exit is{other}, with {'; with '.join(heads)}; the plain "
        f"network, after as much training, {spoken(plain)}."
    ]
