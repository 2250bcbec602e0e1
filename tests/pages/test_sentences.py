"""The sentences of every page say what the tables and figures of the same page say."""

import re
from pathlib import Path

import pytest
from visit import metric, open_app, timeline, well

from mvit.charts.style import macs_text, plain_label

pytestmark = pytest.mark.usefixtures("examples")
PAGES = sorted(p.stem for p in (Path(__file__).resolve().parents[2] / "pages").glob("*.py"))


def sentence(app, pattern: str) -> re.Match:
    """The one sentence on the page that the pattern is in."""
    said = [e.value for e in [*app.markdown, *app.caption, *app.info, *app.subheader]]
    said = [text.replace("\\", "").replace("\u00a0", " ") for text in said]
    return next(found for text in said if (found := re.search(pattern, text)))


def table(app, *columns: str):
    return next(d.value for d in app.dataframe if {*columns} <= {*d.value.columns})


def exit_of(rows, head: str, layer: int):
    return rows[(rows["head"] == head) & (rows.layer == layer)].iloc[0]


def rules(app):
    times, change = sentence(
        app, r"takes ([\d.]+) times .* (?:loses|gains) ([\d.]+) points"
    ).groups()
    deltas = {m.label: m.delta for m in app.metric}
    share = 1 + float(re.match(r"[+-]\d+", deltas["Average MACs"])[0]) / 100
    assert float(times) == pytest.approx(max(share, 1 / share), rel=0.05)
    assert abs(float(deltas["Right"].split()[0])) == float(change)
    early = int(sentence(app, r"#### (\d+) % leave before the end")[1])
    rows = table(app, "share", "right", "wrong", "exit")
    assert early == round(100 * rows[rows.exit != "final"].share.sum())
    by, most, at = sentence(
        app,
        r"have left after (?:layer |the )(\w+).*; the largest share, (\d+) %, leaves at "
        r"(?:layer |the )(\w+)",
    ).groups()
    assert rows[: rows.exit.tolist().index(by) + 1].share.sum() >= 0.5 - 1e-9
    top = rows.loc[rows.share.idxmax()]
    assert (at, int(most)) == (top.exit, round(100 * top.share))
    depths = next(d.value for d in app.dataframe if [*d.value.columns][:1] == ["layer"])
    settled, layer = sentence(app, r"(\d+) % of the pictures are settled by layer (\d+)").groups()
    assert int(settled) == round(100 * depths.share[depths.layer <= int(layer)].sum()) >= 50
    assert sentence(app, r"Some pictures are easy\.")


def budget(app):
    rows = table(app, "way", "answered", "right", "wasted")
    shares = r".* ([\d.]+) %, .* ([\d.]+) %, .* ([\d.]+) %"
    told = sentence(app, rf"Answered in time: {shares}\. Work wasted: {shares}").groups()
    assert [*told] == [f"{100 * share:.1f}" for share in [*rows.answered, *rows.wasted]]
    in_time = sentence(app, r"enough for the plain network in ([\d.]+) % of the cases")[1]
    assert in_time == f"{100 * rows.answered[1]:.1f}"
    assert float(metric(app, "plain network: in time")[:-2]) == round(100 * rows.answered[1], 1)
    best = float(sentence(app, r"Right most often over the stream: .*?, ([\d.]+) %")[1])
    assert best == round(100 * rows.right.max(), 1)


def watch(app):
    rows = table(app, "elapsed_ms", "macs", "confidence")
    last = rows.iloc[-1]
    name, sure = sentence(app, r"The final exit says (.*), (?:> )?(\d+) % sure").groups()
    assert (name, int(sure)) == (last.label, round(100 * last.confidence))
    assert timeline(app)["parts"]["plain-how"] == f"ready after {timeline(app)['plain']:.1f} ms"
    assert timeline(app)["finding"].startswith(f"{plain_label(last.label)} from ")
    cost = sentence(app, r"settle.*? at the final exit|exit after layer (\d+), where .*: (\d+) %")
    kept = rows[(rows.label != last.label)[::-1].cumsum()[::-1] == 0].iloc[0]
    if cost[1]:
        assert int(cost[1]) == kept.layer and int(cost[2]) == round(100 * kept.macs / last.macs)
        assert f"takes {macs_text(kept.macs)} MACs" in cost.string
    else:
        assert kept["head"] == "final"
    assert f"plain network's {macs_text(last.macs)} MACs" in cost.string


def compare(app):
    rows = table(app, "agrees", "own_macs")
    exits, final = rows[rows["head"] != "final"], rows.iloc[-1]
    alike = re.search(r"(\d+) of (\d+) exits say", sentence(app, "exits? says? '").string)
    counted = (int(alike[1]), int(alike[2])) if alike else (0, len(exits))
    assert counted == ((exits.label == final.label).sum(), len(exits))
    for head, layer, answer in re.findall(
        r"(\w+) after layer (\d+): '(.*?)'", " ".join(s.value for s in app.subheader)
    ):
        assert plain_label(exit_of(rows, head, int(layer)).label) == answer
        since = sentence(app, rf"#### {head} (?:gives .* from layer (\d+) on|does not end)")[1]
        own = exits[exits["head"] == head]
        assert own[own.layer >= int(since or 0)].agrees.all() == bool(since)
        assert not since or since == "1" or not own[own.layer == int(since) - 1].agrees.any()
    here = exits[exits.layer == app.slider(key="layer").value]
    for column, bar, unit in (("head_ms", "ms", "ms"), ("own_macs", "macs", "MACs")):
        pattern = rf"cheapest head is (\w+), .* {unit} to .* dearest is (\w+), .* {unit}$"
        low, high = sentence(app, pattern).groups()
        assert (low, high) == tuple(here["head"][[here[column].idxmin(), here[column].idxmax()]])
        assert high == here["head"][here[bar].idxmax()], "the longest bar"
    alone = [m.value for m in app.metric if m.label == "This exit alone"]
    assert alone[0] == f"{exit_of(rows, app.selectbox(key='left').value, 6).ms:.1f} ms"


def latency(app):
    well(app.button(key="repeat").click().run())
    rows, real = table(app, "elapsed_ms", "macs_run"), table(app, "overshoot_ms")
    shown = timeline(app)
    assert [e["ms"] for e in shown["exits"]] == rows.elapsed_ms.tolist()
    told = sentence(app, r"(\d+|None) of (\d+) real runs had an answer(?:, mostly from (.*?)\.)?")
    ready = real[real.layer != "none"]
    assert (told[1].replace("None", "0"), int(told[2])) == (str(len(ready)), len(real))
    assert not told[3] or told[3].split()[-1] in ("exit", ready.layer.mode()[0])
    replayed = (rows.elapsed_ms <= shown["deadline"]).sum()
    places = ["none", *(str(b) for b in rows.layer[:-1]), "final"]
    beyond = real.layer.map(places.index) - replayed
    for n, said in (((beyond < 0).sum(), "got less far"), ((beyond > 0).sum(), "got further")):
        contradicted = [re.search(rf"(\d+) {said}", w.value) for w in app.warning]
        assert sum(int(found[1]) for found in contradicted if found) == n


def paper(app):
    rows = table(app, "accuracy", "behind", "share")
    if found := re.search(
        r"#### (\w+) at layer (\d+) is within one point .* for (\d+) %",
        sentence(app, "#### .*(one point)").string,
    ):
        row = exit_of(rows, found[1], int(found[2]))
        assert row.behind <= 1 and round(100 * row.share) == int(found[3])
    else:
        assert (rows.behind > 1).all()


def models(app):
    rows = table(app, "head", "layer", "accuracy")
    head, layer, right = sentence(
        app, r"Best early exit: (\w+) at layer (\d+), ([\d.]+) % right"
    ).groups()
    early = rows[rows.layer < rows.layer.max()]
    assert exit_of(rows, head, int(layer)).accuracy == early.accuracy.max()
    assert float(right) == round(100 * early.accuracy.max(), 1)
    assert (metric(app, "Exits"), metric(app, "Practical")) == (
        str(len(rows)),
        str(rows.practical.sum()),
    )


def crowd(app):
    rows = table(app, "raw output", "layer")
    own = exit_of(rows, app.selectbox(key="head").value, app.slider(key="layer").value)
    counts = own["raw output"], rows["raw output"].iloc[-1]
    shown = app.subheader[0].value, metric(app, "For comparison: final exit")
    for text, count in zip(shown, counts, strict=True):
        assert text.split()[0] == f"{max(count, 0):.0f}"
    low, high = sentence(app, r"the heads count (\d+) to (\d+) people").groups()
    here = rows[(rows.layer == own.layer) & (rows["head"] != "final")]["raw output"].clip(lower=0)
    assert (low, high) == (f"{here.min():.0f}", f"{here.max():.0f}")
    said, last = sentence(app, r"counts (\d+)[^,]*, the final exit (\d+)").groups()
    assert [said, last] == [f"{max(count, 0):.0f}" for count in counts]


def lesson(app):
    steps = {name: n for n, name in enumerate(app.slider(key="step").proto.help.splitlines(), 1)}
    to = next(n for name, n in steps.items() if "worth having" in name)
    well(app.slider(key="step").set_value(to).run())
    rows = table(app, "practical", "head")
    head, good = app.info[0], sentence(app, r"#### (\d+) of (\d+) exits are practical")
    assert (int(good[1]), int(good[2])) == (rows.practical.sum(), len(rows))
    told = re.search(
        r"(\d+) of (\d+) exits of (\w+) are practical.* (\d+) of (\d+) are", head.value
    )
    assert sentence(app, r"more often right than .*, and than guessing")
    own = rows[rows["head"] == told[3]]
    assert [int(told[i]) for i in (1, 2, 4, 5)] == [
        own.practical.sum(),
        len(own),
        *map(int, good.groups()),
    ]
    heads = next(n for name, n in steps.items() if "Many heads" in name)
    well(app.slider(key="step").set_value(heads).run())
    best, most, worst, least = re.search(
        r"(\w+) is right on (\d+).% .* layer \d+, (\w+) on (\d+)", app.info[0].value
    ).groups()
    bars = table(app, "name", "value").set_index("name").value
    assert (bars[best], bars[worst]) == (bars.max(), bars.min())
    assert [int(most), int(least)] == [round(100 * bars.max()), round(100 * bars.min())]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_s_sentences_are_made_of_the_numbers_in_its_tables(page, request):
    request.getfixturevalue("lab" if page == "crowd" else "recorded")
    more = {"lesson": {"hide": "guess"}, "latency": {"deadline": "100"}}.get(page, {})
    globals()[page](well(open_app(page, **more)))
