"""A configuration: typed blocks, one or a few a file, and the checks across them."""

from stagewise.study.config.reading import load_config, resolve_config
from stagewise.study.config.study import Config
from stagewise.study.config.yaml_file import load_yaml

__all__ = ["Config", "load_config", "load_yaml", "resolve_config"]
