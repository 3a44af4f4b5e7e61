"""What strangers install: the wheel, the image and the Makefile around them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# Where a package is imported under another name, or comes with another one.
DISTRIBUTIONS = {"PIL": "pillow", "botocore": "boto3", "keras_tuner": "keras-tuner"}
OPTIONAL = {"tensorflow"}  # an extra
TARGETS = {"help", "install", "sweep", "test", "check", "bench", "lock", "clean"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_wheel_holds_every_source_and_data_file_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("cvcore", "jobs")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".toml", ".json", ".typed"}
    }

    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert {"cvcore/py.typed", "jobs/py.typed", "cvcore/recipes/quickstart.toml"} <= wanted
    assert held == wanted


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_wheel_installs_the_program_and_asks_for_one_of_two_tensorflows(
    wheel: zipfile.ZipFile,
) -> None:
    (folder,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{folder}/METADATA").decode()
    plain = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]

    assert "cvjobs = jobs.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert {"cpu", "gpu"} <= set(re.findall(r"^Provides-Extra: (\w+)$", metadata, re.MULTILINE))
    assert not [line for line in plain if "tensorflow" in line and "extra ==" not in line]


def test_every_foreign_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[><=]", one)[0] for one in project["dependencies"]}
    known = sys.stdlib_module_names | {"cvcore", "jobs"} | OPTIONAL

    imported: set[str] = set()
    for package in ("cvcore", "jobs"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.partition(".")[0])

    assert {DISTRIBUTIONS.get(name, name) for name in imported - known} == declared


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock", ("cpu", "dev")), ("requirements-gpu.lock", ("gpu",))],
    ids=["cpu", "gpu"],
)
def test_a_lock_pins_every_requirement_with_hashes_and_names_no_index(
    lock: str, extras: tuple[str, ...]
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    text = (ROOT / lock).read_text()
    entries = re.findall(r"^([a-z0-9-]+)==\S+(?: ;.*)? \\\n    --hash=sha256:", text, re.MULTILINE)

    assert {re.split(r"[\[><=]", one)[0] for one in wanted} <= set(entries)
    assert len(entries) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert "://" not in text


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_image_is_built_from_the_gpu_lock_and_runs_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "COPY requirements-gpu.lock" in dockerfile
    assert "--require-hashes" in dockerfile
    assert re.findall(r"^USER (\w+)$", dockerfile, re.MULTILINE)[-1] not in {"0", "root"}


def test_what_the_image_copies_is_let_through_to_its_build() -> None:
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)

    assert {name for line in copies for name in line.split()} == set(allowed)


def test_make_alone_lists_the_targets() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)) >= TARGETS


def test_installing_without_the_right_python_says_what_is_needed(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    done = subprocess.run(
        ["make", "install", "PYTHON="], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "needs Python 3.11" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_runs_the_command_of_the_readme_and_fails_with_it(
    tmp_path: Path,
) -> None:
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "Makefile").write_text("test:\n\t@echo 3 passed\n\t@exit 7\n")

    done = subprocess.run(["bash", script], capture_output=True, text=True)

    assert done.returncode != 0
    assert "3 passed" in done.stdout
    assert "make test" in (ROOT / "README.md").read_text()
