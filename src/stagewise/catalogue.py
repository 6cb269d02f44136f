"""What exists: networks, methods, recipes and data sets, read from the source files.

A method, recipe or data set is a file of its room; its name is the file's name. A network is a key
of the ``NETWORKS`` dict of a file in ``models/``. Names, options and needs are read with ``ast``,
so planning a study imports none of these modules (nor torch), and a new file is known at once. The
exception is a data source whose facts depend on its options: it has a function ``facts``.
"""

import ast
import difflib
import importlib
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from stagewise.declarations import Needs
from stagewise.errors import UserError

PACKAGE = Path(__file__).resolve().parent
LARGEST_OPTION = 1024
"""Largest value of a network's option, such as ``width``."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the known names where none is near."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """What a module assigns to its constant ``name``, or None."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return value
    return None


@cache
def _literal(tree: ast.Module, name: str) -> Any:
    """The value of the module-level constant ``name``, or None."""
    value = _assigned(tree, name)
    return None if value is None else ast.literal_eval(value)


def _keywords(function: ast.FunctionDef) -> dict[str, Any]:
    """Keyword-only parameters of a function with their literal defaults (None where required)."""
    arguments = function.args
    return {
        argument.arg: None if default is None else ast.literal_eval(default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }


@cache
def _function(tree: ast.Module | ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The function ``name`` of a module, or of a class."""
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return next((function for function in functions if function.name == name), None)


def _has(path: Path, name: str) -> bool:
    """Whether a module defines the class ``name``."""
    return any(isinstance(n, ast.ClassDef) and n.name == name for n in _tree(path).body)


def _origins(tree: ast.Module) -> dict[str, tuple[Path, str]]:
    """Name → file and name in it, for what a module imports from a method's file."""
    known = {module_name(path): path for path in _files("methods").values()}
    return {
        alias.asname or alias.name: (known[node.module], alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module in known
        for alias in node.names
    }


def _initialiser(path: Path, name: str) -> ast.FunctionDef | None:
    """``__init__`` of a class in a method's file: its own, or that of its first base which has one
    in a method's file."""
    tree = _tree(path)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        origin = _origins(tree).get(name)
        return _initialiser(*origin) if origin else None
    own = _function(classes[name], "__init__")
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
    return own or next((i for base in bases if (i := _initialiser(path, base))), None)


@cache
def _listing(package: Path, room: str) -> dict[str, Path]:
    files = sorted((package / room).glob("*.py"))
    return {file.stem: file for file in files if not file.stem.startswith("_")}


def _files(room: str) -> dict[str, Path]:
    return _listing(PACKAGE, room)


def _members(room: str, base: str) -> dict[str, Path]:
    return {name: path for name, path in _files(room).items() if name != base}


def methods() -> dict[str, Path]:
    """Method name → file. ``methods/base.py`` holds what they share."""
    return _members("methods", "base")


def recipes() -> dict[str, Path]:
    """Recipe name → file."""
    return _members("recipes", "base")


def observers() -> dict[str, Path]:
    """Observer name → file: what can watch a run (a class ``Observer``)."""
    return {name: path for name, path in _files("measure").items() if _has(path, "Observer")}


def criteria() -> dict[str, Path]:
    """Pruning criterion → file."""
    return _files("pruning/criteria")


def criterion_fact(name: str, constant: str) -> Any:
    """A constant of a criterion's file; None where it has none.

    ``GRADIENTS``: it asks for the loss's. ``ISOMORPHIC``: groups are ranked by kind. ``UNIFORM``:
    each is ranked by itself. ``RECIPE``: by which its students are first trained.
    """
    return _literal(_tree(criteria()[name]), constant)


def heads() -> dict[str, Path]:
    """Head of an exit → file. ``models/heads/base.py`` holds what they share."""
    return _members("models/heads", "base")


def sources() -> dict[str, Path]:
    """Data source name → file."""
    return _members("data/sources", "base")


@cache
def networks() -> dict[str, Path]:
    """Network name → the file whose ``NETWORKS`` lists it."""
    found: dict[str, Path] = {}
    for path in _files("models").values():
        found |= dict.fromkeys(_literal(_tree(path), "NETWORKS") or {}, path)
    return found


def libraries() -> dict[str, Path]:
    """Library → the file that makes its networks ours."""
    return _members("models/foreign", "base")


def network_file(name: str) -> Path | None:
    """A network's file: one of the zoo's, or of the library whose ``NAMES`` have it (any, where the
    file has no list); None where there is no such network."""
    library, colon, own = name.partition(":")
    if not colon:
        return networks().get(name)
    file = libraries().get(library)
    known = _literal(_tree(file), "NAMES") if file else None
    return file if known is None or own in known.split() else None


def named_like(name: str) -> list[str]:
    """The networks that a name that there is not may have meant."""
    library, colon, _ = name.partition(":")
    if not colon:
        return [*networks()]
    file = libraries().get(library)
    names = (_literal(_tree(file), "NAMES") or "").split() if file else libraries()
    return [f"{library}:{own}" for own in names] if file else [f"{each}:…" for each in names]


def is_foreign(name: str) -> bool:
    """Whether a network is another library's."""
    return ":" in name


def _network_tree(name: str) -> ast.Module:
    file = network_file(name)
    assert file is not None, name
    return _tree(file)


def _positioned(room: str) -> dict[str, Path]:
    """The files of a room that have a ``POSITION``, in that order; the others help them."""
    places = {name: _literal(_tree(path), "POSITION") for name, path in _files(room).items()}
    members = [name for name, place in places.items() if place is not None]
    return {name: _files(room)[name] for name in sorted(members, key=places.__getitem__)}


def tables() -> dict[str, Path]:
    """Table name → file, in the order of ``study.md``."""
    return _positioned("analysis/tables")


def figures() -> dict[str, Path]:
    """Figure name → file, in the order of the report."""
    return _positioned("analysis/figures")


def caption(figure: str) -> str:
    """``CAPTION`` of a figure's file, with the fields that ``figures/captions.py`` fills."""
    return str(_literal(_tree(figures()[figure]), "CAPTION"))


def first_line(path: Path) -> str:
    """What a file says of itself: the first line of its docstring."""
    return (ast.get_docstring(_tree(path)) or "").partition("\n")[0]


@cache
def module_name(path: Path) -> str:
    """``…/stagewise/methods/kd.py`` → ``stagewise.methods.kd``."""
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))


def method_options(name: str) -> dict[str, Any]:
    """Option → default of a method: the keyword-only parameters of its class ``Method``."""
    init = _initialiser(methods()[name], "Method")
    return _keywords(init) if init else {}


def method_weights(name: str) -> dict[str, float]:
    """Loss term → default weight (``WEIGHTS`` of the method's file)."""
    return dict(_literal(_tree(methods()[name]), "WEIGHTS") or {})


def method_title(name: str) -> str:
    """What tables call a method: ``NAME`` of its file, else the file's name."""
    return str(_literal(_tree(methods()[name]), "NAME") or name)


def label_title(label: str, name: str) -> str:
    """What tables call a method under a label: its own title, ``OtO*`` for ``oto_star``, ``MSKD,
    two exits`` for ``mskd_two_exits``; its words where it does not begin with the method's name."""
    title, rest = method_title(name), label.removeprefix(f"{name}_")
    if label == name:
        return title
    if rest == label:
        return label.replace("_", " ")
    return f"{title}*" if rest == "star" else f"{title}, {rest.replace('_', ' ')}"


@cache
def _needs(path: Path) -> Needs:
    call = _assigned(_tree(path), "NEEDS")
    if call is None:
        return Needs()
    where = f"{path}: NEEDS"
    known = [field.name for field in fields(Needs)]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
        raise UserError(f"{where}: must be Needs(name=value, …), of {', '.join(known)}")
    given = {keyword.arg or "**": keyword.value for keyword in call.keywords}
    for name in given:
        if name not in known:
            raise UserError(f"{where}: '{name}' is unknown; {nearest(name, known)}")
    try:
        return Needs(**{name: ast.literal_eval(value) for name, value in given.items()})
    except ValueError:
        raise UserError(f"{where}: values must be literals, like True, 4 or 'exits_ce'") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def method_needs(name: str) -> Needs:
    """What a method needs beyond the student's logits (``NEEDS`` of its file).

    Raises:
        UserError: the file's ``NEEDS`` are not as they must be.
    """
    needs = _needs(methods()[name])
    part = needs.teacher_part
    if part and (part not in methods() or not teacher_part(part)):
        raise UserError(
            f"{methods()[name]}: NEEDS: teacher_part '{part}' is no method's file with a PART;"
            f" {nearest(part, [n for n in methods() if teacher_part(n)])}"
        )
    return needs


def teacher_part(name: str) -> str:
    """What the runs that train a method on a frozen teacher are called: ``PART`` of its file, as in
    ``teachers/<pair>.<PART>``; empty where it is no part of a teacher."""
    return str(_literal(_tree(methods()[name]), "PART") or "")


def method_recipe(name: str) -> dict[str, Any]:
    """The recipe that a method asks for (``RECIPE`` of its file), else one stage."""
    return dict(_literal(_tree(methods()[name]), "RECIPE") or {"recipe": "one_stage"})


def recipe_options(name: str) -> dict[str, Any]:
    """Option → default of a recipe: the keyword-only parameters of its function ``phases``."""
    function = _function(_tree(recipes()[name]), "phases")
    return _keywords(function) if function else {}


def network_options(name: str) -> dict[str, Any]:
    """Option → default of a network: the keyword-only parameters of its file's ``build``."""
    build = _function(_network_tree(name), "build")
    return _keywords(build) if build else {}


def source_options(name: str) -> dict[str, Any]:
    """Option → default of a data source: the keyword-only parameters of its file's ``load``."""
    load = _function(_tree(sources()[name]), "load")
    return _keywords(load) if load else {}


def network_fact(name: str, constant: str) -> Any:
    """A constant of a network's file, or the network's entry where it is a dict of networks; None
    where it has none.

    ``WIDTHS``: channels of the stem and of each stage, in multiples of ``width``. ``SMALLEST``:
    least image size. ``WIDEST``: channels of a layer wider than these. ``UNPRUNABLE``: why pruning
    cannot take it. ``IMAGENET``: torchvision's weights for it. ``SOURCE``: paper and code.
    """
    value = _literal(_network_tree(name), constant)
    return value.get(name) if isinstance(value, dict) else value


def stages(network: str) -> int:
    """Stages of a network; 0 where it is unknown, or does not say."""
    widths = network_fact(network, "WIDTHS") if network_file(network) else None
    return len(widths) - 1 if widths else 0


def source_fact(name: str, fact: str, options: dict[str, Any]) -> Any:
    """A constant of a source's file, or what its function ``facts`` says; None where none does.

    ``SIZE``: pixels of an image's side. ``CHANNELS``: 3 where not stated. ``CLASSES``.
    ``IMAGES``: in each class, a number or a list.
    ``HAS_TEST``: a test set of its own. ``FOLDERS``: key of the config → folder that is read.

    Raises:
        UserError: the data that the options name are not as they must be.
    """
    tree = _tree(sources()[name])
    value = _literal(tree, fact)
    if value is None and _function(tree, "facts"):
        value = importlib.import_module(module_name(sources()[name])).facts(**options).get(fact)
    return value


def least_seeds() -> int:
    """Seeds that a verdict needs (``MIN_SEEDS`` of analysis/claims/rules.py)."""
    return int(_literal(_tree(PACKAGE / "analysis/claims/rules.py"), "MIN_SEEDS"))


@cache
def split_claims() -> dict[str, list[str]]:
    """A claim of older studies → those that it became."""
    return dict(_claim_book()["split"])


@cache
def _claim_book() -> dict[str, Any]:
    import yaml

    text = (PACKAGE / "papers/claims.yaml").read_text(encoding="utf-8")
    # Read at every start: libyaml, where PyYAML has it, is many times as fast.
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    book: dict[str, Any] = yaml.load(text, _Loader)
    return book


OR = " | "
"""Between arms in ``claims.yaml`` of which one is taken, the best on validation images."""


@cache
def claims() -> dict[str, list[list[str]]]:
    """Claim → the arms, with ``{pair}`` and maybe ``{rate}`` in them, that each of its headline
    contrasts compares; where one of several is taken, with ``OR`` between them."""
    return {
        claim["id"]: [
            [contrast[side]["arm"] for side in ("treatment", "control") if side in contrast]
            for contrast in claim["contrasts"]
            if contrast["role"] == "headline"
        ]
        for claim in _claim_book()["claims"]
    }
