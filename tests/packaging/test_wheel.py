"""The wheel: installed in a fresh environment, it finds its data and compiles a model."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_installed_wheel_builds_a_model(tmp_path: Path, example: Path) -> None:
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("tinycompile-*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"tinycompile"}
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, system_site_packages=False)
    python = environment / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    zipfile.ZipFile(wheel).extractall(site)
    (Path(site) / "dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    output = tmp_path / "kws"
    code = "import sys; from tinycompile.cli import main; main()"
    command = [python, "-c", code, "build", str(example / "kws_dscnn.onnx"), "--board", "mps2-an386", "-o", str(output)]
    subprocess.run(command, check=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert (output / "firmware.elf").stat().st_size > 10_000
