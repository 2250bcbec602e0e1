"""A visitor's real runs on the page "Latency slider"."""

from types import SimpleNamespace

import pytest

from pages.parts.timeline import series


def test_a_run_that_a_later_script_did_not_wait_for_is_not_counted(monkeypatch):
    found = SimpleNamespace(exit=None)
    own = series.Series("here", 20.0, 3)

    def inference(bundle, work):
        if own.number == 1:
            own.want(0)  # Stop was clicked while the second run was under way
        return found

    monkeypatch.setattr(series.ui, "inference", inference)

    def stop():
        raise KeyboardInterrupt  # as Streamlit's own, no Exception

    monkeypatch.setattr(series.st, "stop", stop)
    with pytest.raises(KeyboardInterrupt):
        series.go_on(own, None, None, plan=[])
    assert (own.left, own.number, len(own.runs)) == (0, 1, 1)
