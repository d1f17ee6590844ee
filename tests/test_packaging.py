"""What `pip install` brings: the wheel in an environment that holds no checkout, and the sdist that makes the same."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import safelist

ROOT = Path(__file__).parents[1]
DOCS = {str(path.relative_to(ROOT / "docs")): path.read_bytes() for path in (ROOT / "docs").rglob("*.md")}


def build(source: Path, target: Path, *kinds: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    day = os.environ | {"SOURCE_DATE_EPOCH": "1795824000"}  # the pages have one: nothing may hang on when this runs
    done = subprocess.run(
        [*command, *kinds], cwd=source, env=day, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist of this checkout."""
    directory = tmp_path_factory.mktemp("built")
    build(ROOT, directory, "-t", "wheel", "-t", "sdist")
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (made,) = built.glob("*.whl")
    return made


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_the_migrations_and_the_units(wheel: Path) -> None:
    found = contents(wheel)
    migrations = {path.name for path in (ROOT / "migrations").rglob("*.py")}
    files = [path for path in (ROOT / "safelist").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    package = {str(path.relative_to(ROOT)) for path in files}
    units = {"safelist/systemd/system/safelist.timer", "safelist/systemd/sysusers.d/safelist.conf"}
    assert {"safelist/publisher/targets/rspamd.lua", "safelist/py.typed", *units} <= package  # PEP 561
    assert {name.rpartition("/")[2] for name in found if name.startswith("safelist/migrations/")} >= migrations
    assert found.keys() >= package
    tops = {name.partition("/")[0] for name in found}
    assert tops == {"safelist"} | {f"safelist-{safelist.__version__}.{kind}" for kind in ("data", "dist-info")}
    shared = {name.partition(".data/data/share/")[2]: text for name, text in found.items() if "/share/" in name}
    made = {name: shared.pop(name) for name in list(shared) if name.startswith(("man/", "bash-completion/"))}
    assert shared == {f"doc/safelist/{name}": text for name, text in DOCS.items()}
    assert {"man/man1/safelist.1", "man/man1/safelist-sync.1", "man/man5/safelist.toml.5"} <= made.keys()
    assert b"_SAFELIST_COMPLETE=complete_bash" in made["bash-completion/completions/safelist"]


def test_the_sdist_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "again", "-t", "wheel")
    assert contents(tmp_path / "again" / wheel.name) == contents(wheel)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it; the libraries are those that run this test, without this checkout."""
    environment = tmp_path_factory.mktemp("opt") / "safelist"
    venv.create(environment, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, timeout=120, cwd=environment)
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def test_an_installed_wheel_makes_a_database_and_publishes(installed: Path, tmp_path: Path) -> None:
    def run(*command: str) -> str:
        home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "SAFELIST_CONFIG": str(tmp_path / "safelist.toml")}
        done = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    where = run(str(installed / "bin" / "python"), "-c", "import safelist; print(safelist.__file__)").strip()
    assert Path(where).is_relative_to(installed)
    command = str(installed / "bin" / "safelist")
    assert run(command, "--version").strip().endswith(safelist.__version__)
    (tmp_path / "safelist.toml").write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/safelist.db"\n[publish.rspamd]\npath = "{tmp_path}/senders"\n'
    )
    run(command, "db", "upgrade")
    assert (tmp_path / "safelist.db").stat().st_size
    run(command, "override", "allow", "bob@partner.example", "--reason", "x")
    assert "do -- safelist" in run(command, "publish", "--json")
    assert "bob@partner.example" in (tmp_path / "senders").read_text()


def test_what_the_units_of_an_installed_wheel_name_is_there(installed: Path, tmp_path: Path) -> None:
    """But a unit could not run it where it lies here, which the command would say."""
    program = str(installed / "bin" / "safelist")
    refused = subprocess.run([program, "install", "units", "--show"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "no unit can run this" in refused.stderr) == (64, True)
    command = [program, "install", "units", "--directory", str(tmp_path), "--program", "/opt/safelist/bin/safelist"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    units = list(tmp_path.rglob("*.service"))
    assert len(units) >= 6
    for unit in units:
        named = re.findall(r"file://(\S+)", unit.read_text())
        assert named
        assert all(Path(path).is_relative_to(installed) and Path(path).is_file() for path in named)


def test_the_demo_runs_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """It needs no file of a checkout, and the guide that it names last is there."""
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    command = [str(installed / "bin" / "safelist"), "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "lifted: Spamhaus ZEN answers 127.0.0.4" in done.stdout
    (told,) = (line for line in done.stdout.splitlines() if line.startswith("Then collect your own lists: "))
    guide = Path(told.rpartition(" ")[2])
    assert guide.is_relative_to(installed)
    assert guide.is_file()
