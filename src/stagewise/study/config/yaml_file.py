"""One YAML file, as plain values."""

from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from stagewise.errors import UserError
from stagewise.files import regular_size

LARGEST = 1_000_000
"""Bytes of a configuration; PyYAML reads as many in six seconds."""


PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Where a shell keeps what a command wrote, as in ``--config <(command)``."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a repeated key (plain YAML keeps the last one silently) and aliases
    (a few nested ones stand for billions of values)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise UserError(
                f"{mark.name}: line {mark.line + 1}: an alias (*name); write the value out instead"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(
                    f"{node.start_mark.name}: {key}: the key stands twice in one block"
                    f" (from line {node.start_mark.line + 1}); keep one"
                )
        return super().construct_mapping(node, deep)


class _Named(StringIO):
    """Text of a file, whose name PyYAML's messages tell."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def load_yaml(path: Path | str) -> Any:
    """Read one YAML file; raises ``UserError`` where it is missing or is not YAML."""
    try:
        if not str(path).startswith(PIPES):  # any other pipe might be waited for without end
            regular_size(path)
        with open(path, "rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UserError(
                f"{path}: larger than {LARGEST:,} bytes, which no configuration needs; shorten it"
            )
        named = _Named(content.decode("utf-8"), str(path))
        return yaml.load(named, _Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name an existing configuration") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a readable file") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML: nested too deeply; flatten it") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not valid YAML: byte {error.start} is no UTF-8; save the file as UTF-8"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {reason}; correct it there") from None
