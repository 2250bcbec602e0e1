"""docs/exporting.md as a user follows it: its programs read the exported file without this library
and say what the product says about the example photos."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import mvit
from mvit.bundles.export import export

HERE = Path(__file__).resolve().parents[2]
DOCS = (HERE / "docs/exporting.md").read_text()
CLASSIFY, COUNT = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
EXAMPLES = json.loads((HERE / "examples/examples.json").read_text())


@pytest.mark.parametrize(
    "task, head, program, within",
    [
        ("cifar10", "resmlp", CLASSIFY, 1e-3),
        # the same program as for cifar10, told by the file to crop and filter otherwise
        pytest.param("imagenet1k", "lens", CLASSIFY, 1e-3, marks=pytest.mark.slow),
        ("crowd", "resmlp", COUNT, 0.1),
    ],
)
def test_the_program_of_the_docs_says_what_the_product_says(tmp_path, task, head, program, within):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = mvit.load(task, device="cpu", heads=[head])
    export(model, 1, head, tmp_path / "cut.onnx")
    shown = "crowd" if task == "crowd" else "cifar10"
    files = [HERE / "examples" / e["file"] for e in EXAMPLES if e.get("task", "cifar10") == shown]
    if task == "crowd":  # one of either shape: six large tiles each
        upright = [file for file in files if Image.open(file).height > Image.open(file).width]
        files = [next(file for file in files if file not in upright), upright[0]]
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-I", "program.py", "cut.onnx", *map(str, files)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert len(files) >= (2 if task == "crowd" else 5) and "mvit" not in re.findall(
        r"import (.*)", program
    )
    for file, line in zip(files, said.splitlines(), strict=True):
        image = mvit.images.read_image(file.read_bytes())
        [exit] = model.run(image, [(1, head)])
        if task == "crowd":
            assert line.startswith(str(file)) and abs(float(line.split()[-1]) - exit.count) < within
        else:
            _, label, confidence = line.split("\t")
            assert label == exit.label and abs(float(confidence) - exit.confidence) < within


def test_the_example_is_short_and_every_step_of_the_metadata_is_one_it_knows():
    assert len([line for line in CLASSIFY.splitlines() if line.strip()]) <= 15
    for task in mvit.TASKS.values():
        recipe = task.recipe()
        assert all(f"`{key}`" in DOCS for key in recipe)
        json.dumps(recipe)
        assert (recipe["native_px"], recipe["input_px"]) == (task.native_px, task.input_px)
