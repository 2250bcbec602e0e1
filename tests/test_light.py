"""What is quick to import stays so."""

import subprocess
import sys

HEAVY = "torch torchvision timm captum scipy accelerate pandas altair cv2 onnx onnxruntime".split()
CODE = f"""
import contextlib, sys
import mvit, pages.parts.first, pages.parts.link, pages.parts.queue, pages.parts.start
from mvit.cli.main import main
with contextlib.suppress(SystemExit):
    main(["--help"])
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_the_library_the_first_view_and_the_help_of_the_commands_import_nothing_heavy():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert "deadline" in found.stdout and found.stdout.strip().splitlines()[-1] == "[]"
