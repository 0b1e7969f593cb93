"""Installs the engines, each into an environment of its own, with pip and Maven.

    python3 install.py [ENGINE ...]

An environment is a folder named for the engine and for its pins in versions.toml, in the user's cache folder. It is kept
between runs and made anew when a pin changes; one that was cut short is not taken for whole.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "headlessly" / "engines"
COMPLETE = "complete"  # an empty file: all was installed


def versions():
    """The pins, by engine."""
    return tomllib.loads((HERE / "versions.toml").read_text())


def environment(engine):
    """The folder of an engine's environment, whether it is there or not."""
    pins = versions()[engine]
    key = json.dumps([pins["pip"], pins.get("maven", []), sys.version_info[:2]])
    return CACHE / f"{engine}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def python(engine):
    """The Python of an engine's environment."""
    return str(environment(engine) / "bin" / "python")


def install(engine):
    """Makes an engine's environment unless it is there, and gives its folder. Older ones of the same engine go."""
    folder = environment(engine)
    if (folder / COMPLETE).exists():
        return folder
    for old in CACHE.glob(f"{engine}-????????????"):
        shutil.rmtree(old)
    print(f"installing {engine} into {folder}", flush=True)
    venv.create(folder, with_pip=True)
    pins = versions()[engine]
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins["pip"]])
    for artifact in pins.get("maven", []):
        copy_artifact(artifact, folder / "maven")
    (folder / COMPLETE).touch()
    return folder


def copy_artifact(artifact, folder):
    """Copies a Maven artifact into a folder; of an archive, what is in it."""
    run(["mvn", "-B", "-q", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"])
    _, name, version, packaging = artifact.split(":")
    if packaging == "jar":
        return
    archive = folder / f"{name}-{version}.{packaging}"
    if packaging == "zip":  # shutil's own way leaves out names with two dots, which jars here have
        with zipfile.ZipFile(archive) as z:
            z.extractall(folder)
    else:
        shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()


def run(command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}")


if __name__ == "__main__":
    for name in sys.argv[1:] or versions():
        install(name)
