"""What Streamlit and Altair do at every visit to a page, although its outcome is the same in a
whole run of the tests."""

import json
from functools import cache, wraps

from altair.utils import schemapi
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import local_script_runner


def do_once() -> None:
    """Search the installed packages for components once, and check a chart against Vega-Lite's
    schema unless an equal one has passed: half of what a page costs. Wait for a page without
    looking every three milliseconds whether it is done."""
    local_script_runner.require_widgets_deltas = ended
    manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
    check, passed = schemapi.validate_jsonschema, set()

    @wraps(check)
    def check_once(spec, schema, *more, **options):
        key = json.dumps((spec, schema), sort_keys=True, default=repr)
        if key in passed:
            return None
        if (wrong := check(spec, schema, *more, **options)) is None:
            passed.add(key)
        return wrong

    schemapi.validate_jsonschema = check_once


def ended(runner, timeout: float) -> None:
    """Wait for a run of a page to end."""
    runner._script_thread.join(timeout)
    if not runner.script_stopped():
        raise RuntimeError(f"the page was not done after {timeout} s")
