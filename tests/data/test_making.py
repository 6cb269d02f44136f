"""Data without Snakemake: made anew when settings or images change, else left as they are."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from stagewise.data.making import make_data
from stagewise.data.prepared import load_prepared
from stagewise.files import sha256_file
from stagewise.study.config import Config, resolve_config
from stagewise.study.config.source import raw_file

SCRIPTS = ROOT / "scripts"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(**data: Any) -> Config:
    network = {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}}
    given = {"source": "digits", "student_images_per_class": 5, **data}
    return resolve_config({"study": "toy", "pairs": {"resnet": network}, "data": given})


def folders(images: int = 10) -> dict[str, Any]:
    """A config's ``data`` of own images, two classes of ``images`` each."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for number in range(images):
            picture(Path("pets", name, f"{number}.png"), rng)
    return {"source": "image_folder", "path": "pets", "image_size": 8}


def picture(file: Path, rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)


def test_equal_settings_leave_the_file_alone() -> None:
    data = make_data(config(), SCRIPTS)
    assert (data.parent / "summary.json").is_file()
    os.utime(data, (1, 1))
    assert make_data(config(), SCRIPTS).stat().st_mtime == 1


@pytest.mark.parametrize(
    "change",
    [{"image_size": 12}, {"classes": 6}, {"split_seed": 3}, {"student_images_per_class": 4}],
)
def test_a_changed_setting_makes_other_data(
    change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sha256_file(make_data(config(), SCRIPTS))
    data = make_data(config(**change), SCRIPTS)
    assert sha256_file(data) != before
    assert f"{data}: made anew" in capsys.readouterr().out
    assert sha256_file(make_data(config(), SCRIPTS)) == before


def test_data_from_elsewhere_are_kept_if_they_are_the_same() -> None:
    data = make_data(config(), SCRIPTS)
    before = sha256_file(data)
    shutil.rmtree("work")  # as where data/ was copied
    os.utime(data, (1, 1))
    assert make_data(config(), SCRIPTS).stat().st_mtime == 1
    shutil.rmtree("work")
    make_data(config(split_seed=1), SCRIPTS)
    shutil.rmtree("work")
    assert sha256_file(make_data(config(), SCRIPTS)) == before


def test_data_that_another_put_in_their_place_are_noticed() -> None:
    data = make_data(config(), SCRIPTS)
    before = sha256_file(data)
    data.write_bytes(b"other")
    assert sha256_file(make_data(config(), SCRIPTS)) == before


def test_a_damaged_note_is_no_note() -> None:
    before = sha256_file(make_data(config(), SCRIPTS))
    Path("work/data/toy.json").write_text("[")
    assert sha256_file(make_data(config(), SCRIPTS)) == before


def test_new_and_removed_images_are_noticed() -> None:
    own = folders()
    given = config(**own, validation=0.2, test=0.2)

    def images() -> int:
        counts = load_prepared(make_data(given, SCRIPTS))[1]["counts"]
        return sum(counts[f"{split}.labels"] for split in ("train", "validation", "test"))

    assert images() == 20
    (Path("pets/cat/more")).mkdir()
    picture(Path("pets/cat/more/new.png"), np.random.default_rng(1))
    os.utime("pets/cat", (1, 1))  # as a copy leaves it
    assert images() == 21
    Path("pets/dog/3.png").unlink()
    assert images() == 20
    shutil.rmtree("pets")  # what was read is enough
    assert images() == 20
    assert Path(raw_file(given)).is_file()
