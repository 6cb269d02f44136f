"""README and config say what the records say."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from stagewise.analysis.publish.evidence import page
from stagewise.analysis.publish.readme import filled, gallery, section
from stagewise.study.config import load_config

PROJECT = Path(__file__).resolve().parents[2]


def test_the_results_section_is_what_the_records_give(monkeypatch):
    monkeypatch.chdir(PROJECT)
    readme = Path("README.md").read_text(encoding="utf-8")
    assert filled(readme, section(Path("evidence/digits"), Path())) == readme


def test_the_gallery_is_what_the_study_gives(monkeypatch):
    monkeypatch.chdir(PROJECT)
    page = Path("docs/gallery.md").read_text(encoding="utf-8")
    config = load_config("config.yaml").as_dict()
    assert page == gallery(Path("evidence/digits"), config), "make readme"


def test_evidence_pages_are_what_their_records_give(monkeypatch):
    monkeypatch.chdir(PROJECT)
    plans = list(Path("evidence").glob("*/plan.json"))
    assert {plan.parent.name for plan in plans} >= {"cifar100-cpu-table", "crd-10-epochs"}
    for plan in plans:
        text = (plan.parent / "README.md").read_text(encoding="utf-8")
        [command] = re.findall(r"`([^`]+)` does it again", text)
        assert page(plan.parent, command) == text, plan.parent


def test_the_page_of_benchmarks_is_what_the_results_give(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import table

    assert (PROJECT / "benchmarks/README.md").read_text(encoding="utf-8") == table.page()


def test_the_page_of_verdicts_is_what_the_results_give(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import table

    assert (PROJECT / "docs/verdicts.md").read_text(encoding="utf-8") == table.verdicts()


def test_links_and_pictures_exist():
    kept = (PROJECT / "evidence").glob("*/README.md")
    for file in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md"), *kept]:
        for link in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (file.parent / link).exists(), f"{file}: {link}"


def test_every_make_target_in_the_readme_exists():
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)", (PROJECT / "README.md").read_text()):
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize(
    ("study", "outcome"),
    [
        ("config", "digits-tune"),
        ("config/digits-two-stage", "digits-two-stage-tune"),
        ("config/cifar100-cpu-two-stage", "cifar100-cpu-two-stage-tune"),
    ],
)
def test_learning_rates_are_the_recorded_choice(study, outcome):
    config = yaml.safe_load((PROJECT / f"{study}.yaml").read_text())
    with open(PROJECT / f"config/{outcome}.csv") as stream:
        rows = list(csv.DictReader(stream))
    chosen = {row["arm"]: row for row in rows if row["chosen"] == "True"}
    rates = {arm: float(row["rate"]) for arm, row in chosen.items()}
    first = {a: float(r["stage1_rate"]) for a, r in chosen.items() if r.get("stage1_rate")}
    assert config["learning_rates"] == rates
    assert config.get("stage1_rates", {}) == first
    tried = {arm: {float(r["rate"]) for r in rows if r["arm"] == arm} for arm in chosen}
    tune = yaml.safe_load((PROJECT / f"config/{outcome}.yaml").read_text())["tune"]
    grid = set(tune["rates"])
    for arm, own in tried.items():
        assert grid <= own, f"{arm}: had not the grid of all"
        further = own - grid
        assert not any(min(grid) < rate < max(grid) for rate in further), "beyond an edge alone"
    # tuned until no chosen rate is at an edge
    assert all(min(tried[arm]) < rate < max(tried[arm]) for arm, rate in rates.items())
    assert min(int(row["n"]) for row in rows) >= 3, "seeds"
