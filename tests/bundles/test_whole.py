"""Files that are written whole."""

import stat

import torch
from safetensors.torch import save_file

from mvit.bundles.whole import written_whole


def test_whoever_may_read_the_folder_may_read_its_weights(tmp_path):
    tmp_path.chmod(0o755)
    with written_whole(tmp_path / "head.safetensors") as file:
        save_file({"weight": torch.ones(1)}, file)
    assert stat.S_IMODE((tmp_path / "head.safetensors").stat().st_mode) == 0o644
