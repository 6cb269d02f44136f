"""A study's data where no Snakemake makes them: made anew when what they depend on has changed."""

import os
from pathlib import Path
from typing import Any

from stagewise import catalogue
from stagewise.data.folders import listing_fingerprint
from stagewise.data.prepare import prepare
from stagewise.data.raw import load_raw, noted, save_raw
from stagewise.data.sources.base import load_source
from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file, write_json
from stagewise.study.config import Config
from stagewise.study.config.source import (
    prepare_settings,
    raw_file,
    source_fact,
    source_options,
)
from stagewise.study.fingerprint import fingerprint


def present_listing(config: Config) -> str:
    """Fingerprint of the user's own images; where a folder is gone, of those that are stored;
    empty where the source has no folders."""
    folders = source_fact(config, "FOLDERS") or {}
    if folders and all(map(os.path.isdir, folders.values())):
        return listing_fingerprint(folders.values())
    return noted(raw_file(config), "listing") if folders else ""


def make_data(config: Config, scripts: Path) -> Path:
    """The prepared data of a study, where Snakemake would put them.

    ``scripts``: the folder of the scripts, whose code the data depend on. What the data that are
    there were made from is noted in ``work/``; where nothing is noted (data from elsewhere), they
    are made again, and kept as they are if that gives the same bytes.

    Raises:
        UserError: the source cannot be had, or cannot be split as the settings ask.
    """
    raw, folder = Path(raw_file(config)), Path("data") / config.study
    prepared, note = folder / "prepared.safetensors", Path("work/data") / f"{config.study}.json"
    source = catalogue.module_name(catalogue.sources()[config.data.source])
    listing, settings = present_listing(config), prepare_settings(config)
    wanted: dict[str, Any] = {
        "raw": [str(raw), listing, fingerprint(scripts / "download.py", source)],
        "settings": settings,
        "code": fingerprint(scripts / "prepare.py"),
    }
    known = _noted(note)
    old = sha256_file(prepared) if prepared.is_file() else ""
    if old and known == {**wanted, "sha256": old}:
        return prepared
    same_raw = known.get("raw") in (None, wanted["raw"])
    if not (raw.is_file() and same_raw and noted(raw, "listing") == listing):
        options = source_options(config)
        save_raw(load_source(config.data.source, options, Path("work/downloads")), raw)
    new = prepared.with_name(".prepared.new")
    info = prepare(load_raw(raw), settings, new)
    found = sha256_file(new)
    if found == old:  # its time stays, from which Snakemake would conclude that it changed
        new.unlink()
    else:
        os.replace(new, prepared)
        write_json(folder / "summary.json", info)
        if old:
            print(f"{prepared}: made anew, as its settings, images or code have changed")
    write_json(note, {**wanted, "sha256": found})
    return prepared


def _noted(note: Path) -> dict[str, Any]:
    """What was noted; nothing where that is damaged."""
    try:
        content = read_json(note)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}
