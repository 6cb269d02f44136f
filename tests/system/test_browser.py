"""The report in a real browser: it renders in every size, light and dark, and asks nobody."""

import shutil
import subprocess

import matplotlib.image
import pytest
from projects import copy_project

SIZES = {"phone": "390,844", "laptop": "1280,800"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Report of the smoke study."""
    project = copy_project(tmp_path_factory.mktemp("smoke"))
    project.snakemake()
    return project.folder / "results/smoke/report.html"


def chromium(*arguments, profile):
    """Run headless chromium; returns its stdout and stderr."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "install Debian's package chromium"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={profile}", *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_renders(report, tmp_path, size, scheme):
    picture = tmp_path / "page.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    chromium(
        f"--screenshot={picture}", f"--window-size={SIZES[size]}", *dark, report.as_uri(),
        profile=tmp_path / "profile",
    )  # fmt: skip
    pixels = matplotlib.image.imread(picture)[..., :3]
    background = pixels[2, 2].mean()
    assert background < 0.3 if scheme == "dark" else background > 0.9
    assert pixels.std() > 0.05


def test_the_report_loads_nothing_from_elsewhere(report, tmp_path):
    page = chromium("--dump-dom", report.as_uri(), profile=tmp_path / "profile").stdout
    assert page.count("<svg") >= 5
    text = report.read_text(encoding="utf-8")
    for attribute in ("src=", "href="):
        targets = [part.split('"', 2)[1] for part in text.split(attribute)[1:] if '"' in part]
        assert not [target for target in targets if target.startswith(("http", "//"))]
