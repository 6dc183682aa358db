"""Images: only locked and needed packages, a non-root user, and no moving tags."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from components.image import IMAGE
from pachyderm.specs import native

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.name.partition(".")[0]: path.read_text() for path in (ROOT / "dockerfiles").glob("*.Dockerfile")}
NAMES = sorted(FILES)
LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt") if path.stem != "without-tensorflow")


def lines(text: str) -> list[str]:
    """Return the instructions, each on one line, without comments."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in bare.replace("\\\n", " ").splitlines() if line.strip()]


def locked(name: str) -> dict[str, str]:
    """Return distribution -> version."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.M))


def test_there_are_two_images() -> None:
    assert NAMES == ["control", "worker"]


@pytest.mark.parametrize("name", NAMES)
def test_the_base_image_is_an_argument_without_a_default(name: str) -> None:
    assert "ARG PYTHON_IMAGE" in lines(FILES[name])
    froms = [line for line in lines(FILES[name]) if line.startswith("FROM")]
    assert froms == ["FROM ${PYTHON_IMAGE} AS packages", "FROM ${PYTHON_IMAGE}"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_installed_that_is_not_locked_and_no_shell_runs(name: str) -> None:
    runs = [line for line in lines(FILES[name]) if line.startswith("RUN")]
    assert runs
    for run in runs:
        assert run.startswith('RUN ["'), run
        assert '"install"' not in run or '"--require-hashes"' in run or '"--no-deps"' in run, run
        assert '"--no-build-isolation"' in run or '"install"' not in run or "build.txt" in run, run
    assert not re.search(r"^(ADD|SHELL) |apt-get|curl|wget", "\n".join(lines(FILES[name])), re.M)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_stage_has_no_root_user_and_writes_only_to_tmp(name: str) -> None:
    last = FILES[name][FILES[name].rindex("FROM ${PYTHON_IMAGE}") :]
    assert "USER 65532:65532" in lines(last)
    assert "WORKDIR /tmp" in lines(last)
    (environment,) = [line for line in lines(last) if line.startswith("ENV")]
    assert "HOME=/tmp" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    for label in ("source", "version", "revision", "created", "licenses", "title", "description"):
        assert f"org.opencontainers.image.{label}=" in last


@pytest.mark.parametrize("name", NAMES)
def test_the_standard_library_is_compiled_too_since_nothing_can_be_written_later(name: str, tmp_path: Path) -> None:
    last = FILES[name][FILES[name].rindex("FROM ${PYTHON_IMAGE}") :]
    (run,) = [line for line in lines(last) if line.startswith("RUN")]
    python, option, code = json.loads(run.removeprefix("RUN "))
    assert (python, option) == ("python", "-c")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("VALUE = 1")
    elsewhere = f"import sysconfig; sysconfig.get_path = {{'stdlib': {str(tmp_path)!r}}}.get;"
    subprocess.run([sys.executable, option, elsewhere + code], check=True)
    (compiled,) = (tmp_path / "package" / "__pycache__").iterdir()
    assert compiled.read_bytes()[4] == 0b01, "trusted without a look at its source"


@pytest.mark.parametrize("name", NAMES)
def test_the_build_context_admits_exactly_what_is_copied(name: str) -> None:
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]  # fmt: skip
    for line in lines(FILES[name]):
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                wanted = source.replace("${REQUIREMENTS}", "gpu.txt")
                assert wanted in allowed, source


def test_the_build_context_is_an_allow_list() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert patterns[0] == "*"
    allowed = {line[1:] for line in patterns if line.startswith("!")}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for path in ROOT.iterdir():
        is_package = path.is_dir() and any(fnmatch(path.name, pattern) for pattern in packages) and not path.suffix
        assert (path.name in allowed) is (is_package or path.name in ("LICENSE", "README.md", "pyproject.toml"))


def test_the_control_image_is_the_worker_less_tensorflow() -> None:
    control, worker, gpu = locked("control.txt"), locked("runtime.txt"), locked("gpu.txt")
    assert control.items() < worker.items()
    assert worker.items() < gpu.items()
    assert "tensorflow" not in control
    assert "kfp" in control
    assert any(name.startswith("nvidia-cudnn") for name in gpu)
    assert locked("build.txt").items() < worker.items()


@pytest.mark.parametrize("name", LOCKS)
def test_each_lock_has_a_hash_for_every_distribution_and_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    assert set(re.findall(r"(?<![a-z0-9])--[a-z-]+", text)) == {"--hash"}
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_label_of_the_gpu_image_names_the_licence_of_nvidias_libraries() -> None:
    last = FILES["worker"][FILES["worker"].rindex("FROM ${PYTHON_IMAGE}") :]
    for name in ("LICENSES", "DESCRIPTION"):
        assert re.search(rf"^ARG {name}=", last, re.M)
    assert 'org.opencontainers.image.licenses="${LICENSES}"' in last
    assert 'org.opencontainers.image.description="${DESCRIPTION}"' in last
    done = subprocess.run(
        ["make", "--dry-run", "image-worker", "image-worker-gpu", "BUILDER=builder", "PYTHON_IMAGE=python@sha256:0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    builds = [line for line in done.stdout.replace("\\\n", " ").splitlines() if line.startswith("builder build")]
    assert ["gpu.txt" in build for build in builds] == [False, True]
    assert ["AND LicenseRef-NVIDIA-Proprietary" in build for build in builds] == [False, True]
    assert ["proprietary CUDA and cuDNN" in build for build in builds] == [False, True]
    assert "nvidia-cudnn-cu12" in locked("gpu.txt")
    assert "nvidia-cudnn-cu12" not in locked("runtime.txt")


def test_make_tags_the_images_that_the_pipelines_and_the_specs_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    registry = re.search(r"^REGISTRY \?= (\S+)", makefile, re.M)
    assert registry
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    files = {
        tag.replace("$(REGISTRY)", registry[1]).replace("$(VERSION)", version)
        for tag in re.findall(r" -t (\S+) \.", makefile)
    }
    assert {IMAGE, f"{IMAGE}-gpu"} < files
    assert native.IMAGE == IMAGE
    for folder in (ROOT / "dockerfiles", ROOT / "deploy", ROOT / "pachyderm" / "specs"):
        for path in folder.rglob("*"):
            assert not path.is_file() or path.suffix == ".pyc" or ":latest" not in path.read_text(), path
