"""What the distribution holds and states, and that it works where it is installed, outside a clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("cli", "components", "pachyderm", "pix2pix", "web", "workflows")


def test_every_file_that_the_code_reads_is_package_data() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    files = [Path(line) for line in listed.stdout.splitlines()]
    left_out = [
        str(file)
        for file in files
        if file.suffix not in (".py", ".md") and not any(fnmatch(file.name, pattern) for pattern in patterns)
    ]
    assert left_out == []


def test_the_citation_and_the_project_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = PROJECT["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["repository-code"] == project["urls"]["Source"]


def test_ci_tests_the_oldest_and_the_newest_python_that_the_project_accepts() -> None:
    versions = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    tested = versions["jobs"]["test"]["strategy"]["matrix"]["python"]
    low, high = re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"])
    assert (tested[0], tested[-1]) == (f"3.{low}", f"3.{int(high) - 1}")


def interpreter(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(0o755)


def make(bin_folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Print what make would do for the environment, with only these interpreters on the path."""
    for tool in ("sh", "touch", "awk", "sed", "git"):
        program = shutil.which(tool)
        if program and not (bin_folder / tool).exists():
            (bin_folder / tool).symlink_to(program)
    command = [str(shutil.which("make")), "-B", *arguments, ".venv/python"]
    return subprocess.run(command, cwd=ROOT, env={"PATH": str(bin_folder)}, capture_output=True, text=True)


def test_make_picks_the_newest_python_that_runs(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3.13", "echo 'shim: not found' >&2; exit 127")
    interpreter(tmp_path, "python3.12", "exit 0")
    interpreter(tmp_path, "python3.11", "exit 0")
    planned = make(tmp_path, "-n")
    assert "python3.12 -m venv .venv" in planned.stdout
    assert "using python3.12" in planned.stdout


def test_make_refuses_an_unsuitable_python_and_says_which_are(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", "exit 1")
    nothing = make(tmp_path)
    assert nothing.returncode == 2
    assert "none of python3.13 python3.12 python3.11 python3" in nothing.stdout
    named = make(tmp_path, "PYTHON=python3")
    assert named.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13" in named.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The ``bin`` of an environment with the wheel; the dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    source, environment = folder / "source", folder / "environment"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if name.split("/")[0] in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *quiet, "--no-build-isolation", "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", *quiet, str(wheel)], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    shutil.rmtree(source)
    yield environment / "bin"


def run(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    ours = ("PYTHONPATH", "PACHD_ADDRESS", "PIX2PIX_STORE")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = [str(program), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)


def package_files(installed: Path) -> list[tuple[str, int]]:
    """The files of the installed packages, with their times, but for the byte code that Python keeps."""
    site = next((installed.parent / "lib").glob("python*/site-packages"))
    return sorted(
        (str(file), file.stat().st_mtime_ns) for file in site.rglob("*") if file.is_file() and file.suffix != ".pyc"
    )


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_installed_package_compiles_elsewhere_and_never_into_itself(installed: Path, tmp_path: Path) -> None:
    before = package_files(installed)
    found = run(installed / "python", "-c", "import pix2pix; print(pix2pix.__file__)", folder=tmp_path)
    assert found.stdout.startswith(str(installed.parent)), "the package in the environment, not the clone"
    assert run(installed / "pix2pix", "compile", "--check", folder=tmp_path).returncode == 0
    refused = run(installed / "pix2pix", "compile", folder=tmp_path)
    assert (refused.returncode, "-o DIR" in refused.stderr) == (2, True)
    compiled = run(installed / "pix2pix", "compile", "-o", "pipelines", folder=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    assert (tmp_path / "pipelines" / "training_and_export.yaml").read_bytes() == (
        ROOT / "workflows" / "training_and_export.yaml"
    ).read_bytes()
    assert package_files(installed) == before


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_installed_package_runs_the_demo_and_the_trigger(installed: Path, tmp_path: Path) -> None:
    before = package_files(installed)
    demo = run(installed / "pix2pix", "-q", "demo", "--output", "demo", folder=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert (tmp_path / "demo" / "report.html").is_file()
    again = run(installed / "pix2pix", "--store", "demo/store", "trigger", "--once", folder=tmp_path)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert package_files(installed) == before
