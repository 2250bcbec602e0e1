"""The sentences above charts say what the tables and figures of the same page say."""

import re

import pytest
from visit import metric, open_app, timeline, well

pytestmark = pytest.mark.usefixtures("examples")


def sentence(app, pattern: str) -> re.Match:
    """The one sentence on the page that the pattern is in."""
    said = [m.value.replace("\\", "").replace("\u00a0", " ") for m in app.markdown]
    return next(found for text in said if (found := re.search(pattern, text)))


def table(app, *columns: str):
    return next(d.value for d in app.dataframe if {*columns} <= {*d.value.columns})


def test_the_stop_rule_s_sentence_is_made_of_its_four_numbers(recorded):
    app = well(open_app("rules"))
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


def test_the_moving_budget_s_headings_tell_its_shares(recorded):
    app = well(open_app("budget"))
    rows = table(app, "way", "answered", "right", "wasted")
    told = sentence(app, r"Answered in time: .* (\d+) %, .* (\d+) %, .* (\d+) %; wasted").groups()
    assert [int(n) for n in told] == [round(100 * share) for share in rows.answered]
    assert float(metric(app, "plain network: in time")[:-2]) == round(100 * rows.answered[1], 1)
    best = float(sentence(app, r"Right most often over the stream: .*?, ([\d.]+) %;")[1])
    assert best == round(100 * rows.right.max(), 1)


def test_watch_s_headings_tell_the_last_row_of_its_table(tiny_weights):
    app = well(open_app("watch"))
    last = table(app, "elapsed_ms", "macs", "confidence").iloc[-1]
    name, sure = sentence(app, r"The final exit says (.*), (?:> )?(\d+) % sure").groups()
    assert (name, int(sure)) == (last.label, round(100 * last.confidence))
    assert timeline(app)["parts"]["plain-how"] == f"ready after {timeline(app)['plain']:.1f} ms"


def test_the_paper_s_finding_is_a_row_of_its_table(tiny_weights):
    app = well(open_app("paper"))
    rows = table(app, "accuracy", "behind", "share")
    if found := re.search(
        r"#### (\w+) at layer (\d+) is within one point .* for (\d+) %",
        sentence(app, "#### .*(one point)").string,
    ):
        row = rows[(rows["head"] == found[1]) & (rows.layer == int(found[2]))].iloc[0]
        assert row.behind <= 1 and round(100 * row.share) == int(found[3])
    else:
        assert (rows.behind > 1).all()
