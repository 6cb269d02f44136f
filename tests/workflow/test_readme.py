"""README and config say what the records say."""

import csv
import re
from pathlib import Path

import yaml

from stagewise.analysis.readme import filled, gallery, section
from stagewise.study import load_config

PROJECT = Path(__file__).resolve().parents[2]


def test_the_results_section_is_what_the_records_give(monkeypatch):
    monkeypatch.chdir(PROJECT)
    readme = Path("README.md").read_text(encoding="utf-8")
    assert filled(readme, section(Path("evidence/digits"))) == readme


def test_the_gallery_is_what_the_study_gives(monkeypatch):
    monkeypatch.chdir(PROJECT)
    page = Path("docs/gallery.md").read_text(encoding="utf-8")
    assert page == gallery(Path("evidence/digits"), load_config("config.yaml")), "make readme"


def test_links_and_pictures_exist():
    for page in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_make_target_in_the_readme_exists():
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)", (PROJECT / "README.md").read_text()):
        assert f"\n{target}:" in makefile


def test_learning_rates_are_the_recorded_choice():
    config = yaml.safe_load((PROJECT / "config.yaml").read_text())
    with open(PROJECT / "config/digits-tune.csv") as stream:
        rows = list(csv.DictReader(stream))
    chosen = {row["arm"]: float(row["rate"]) for row in rows if row["chosen"] == "True"}
    assert config["learning_rates"] == chosen
    tried = {arm: sorted(float(r["rate"]) for r in rows if r["arm"] == arm) for arm in chosen}
    assert len({tuple(rates) for rates in tried.values()}) == 1, "grids of equal size"
