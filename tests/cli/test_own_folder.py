"""The README's section on one's own pictures, typed from its first line to its last, on a few small
pictures and a narrow network in place of the bundled one."""

import re
import shlex
from pathlib import Path

import pytest
from bundles import BACKBONE, save_bundle
from thin import narrow
from toys import colours, write_folder
from visit import open_app, well

from mvit.bundles import weights
from mvit.cli import main as cli
from mvit.tasks import TASKS, Task

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```bash\n([^`]*--task-name[^`]*)```")


@pytest.fixture
def at_home(tmp_path, monkeypatch) -> Path:
    """A folder with `my_pictures` and a bundle of a narrow network where the README expects
    ViT-Ti/16's."""
    narrow(monkeypatch)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    save_bundle(tmp_path / "weights", TASKS["cifar10"])
    pictures = colours(3, classes=2, side=40)
    pictures.labels = ("cat", "dog")
    write_folder(tmp_path / "my_pictures", pictures)
    first = next((tmp_path / "my_pictures" / "cat").iterdir())
    first.rename(first.with_name("1.jpg"))  # the name that the README traces
    return tmp_path


def test_the_section_is_followed_to_the_letter(at_home, capsys):
    [block] = BLOCK.findall((ROOT / "README.md").read_text())
    assert block in (ROOT / "docs" / "training.md").read_text()
    lines = block.replace("\\\n", " ").strip().splitlines()
    assert lines[0].startswith("python -m mvit train") and lines[-1] == "streamlit run app.py"
    said = []
    for line in lines[:-1]:
        words = shlex.split(line, comments=True)
        assert words[:3] == ["python", "-m", "mvit"]
        assert cli.main([*words[3:], "--device", "cpu"]) == 0, line
        said.append(capsys.readouterr().out)
    assert "best head: " in said[0] and f"weights/pets/{BACKBONE}" in said[0]
    see = re.search(r"see it: python -m mvit (trace PICTURE .*), or", said[0])[1]
    picture = str(at_home / "my_pictures" / "cat" / "1.jpg")
    assert cli.main([picture if word == "PICTURE" else word for word in shlex.split(see)]) == 0
    for command in (["deadline", picture, "--ms", "60000"], ["evaluate", "--data", "my_pictures"]):
        assert cli.main([*command, "--task", "pets", "--device", "cpu"]) == 0
    assert ("pets", BACKBONE) in weights.offers()


def test_the_app_offers_the_new_task(at_home):
    save_bundle(at_home / "weights", Task("pets", ("cat", "dog"), native_px=32, input_px=64))
    app = well(open_app("models", task="pets"))
    assert "pets" in app.selectbox(key="task").options
