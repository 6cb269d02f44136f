"""What a run does, as data: one definition for those who plan it, do it and read about it.

A spec is written as JSON **without what it does not use**: a field whose value is its default is
left out, so a new option changes the spec of no run that does not use it. A default here therefore
means "as if the option did not exist" and never changes. Where no value means that (a batch size, a
rate), the field is ``stated``: its default is a study's, and it is always written.

Options of a network, method or recipe are those that differ from the defaults in its file, which
the run's code fingerprint covers; ``settings`` fills them in, for records.
"""

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen

from stagewise import catalogue
from stagewise.errors import UserError

Rate = Annotated[float, Gt(0), Le(10)]
Entry = dict[str, Any]
"""A member of the catalogue and its options: ``{"network": name, option: value, …}``."""

ClassifierStart = Literal["family", "linear", "zero"]

REESTIMATION, AS_IS = "reestimate_batch_norm", "as_is"
STILL = (REESTIMATION, AS_IS)
"""The recipes that move no weight, so that a rate has no effect."""
REWOUND = "rewound"
"""The recipe whose rate is that of an earlier training."""


def stated(default: Any) -> Any:
    """A field that is always written; ``default`` is what a study starts from."""
    return field(default=default, metadata={"stated": True})


@dataclass(frozen=True, kw_only=True)
class Written:
    """A dataclass that is written without its defaults, and read back."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}
    """For the configurations that hold one: no further keys, no conversions."""

    def written(self) -> dict[str, Any]:
        """The fields that are stated or differ from their default, as plain JSON values."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata.get("stated") or value != each.default:
                value = value.written() if isinstance(value, Written) else value
                found[each.name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def read(cls, content: Any) -> Self:
        """The inverse of ``written``.

        Raises:
            UserError: a key is unknown, absent, or of another type.
        """
        if not isinstance(content, dict):
            raise UserError(f"spec: {content!r:.80} is no mapping of keys")
        hints = get_type_hints(cls)
        for name in content:
            if name not in hints:
                raise UserError(f"spec: '{name}' is unknown; {catalogue.nearest(name, hints)}")
        try:
            return cls(**{name: _as(hints[name], name, value) for name, value in content.items()})
        except TypeError as error:
            raise UserError(f"spec: {error}; add it") from None


def _as(kind: Any, name: str, value: Any) -> Any:
    """``value`` of a field ``name`` of type ``kind``."""
    if is_dataclass(kind) and isinstance(kind, type) and issubclass(kind, Written):
        return kind.read(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        value = tuple(value)
    plain = _plain(kind)
    allowed = (*plain, int) if float in plain else plain
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in plain):
        raise UserError(f"spec: {name}: {value!r:.80} is of the wrong type")
    return value


def _plain(kind: Any) -> tuple[type, ...]:
    """The classes of a type's values."""
    origin = get_origin(kind)
    if origin is None:
        return (kind,)
    if origin is Literal:
        return tuple({type(choice) for choice in get_args(kind)})
    if isinstance(origin, type) and origin.__module__ == "builtins":
        return (origin,)
    return tuple(part for choice in get_args(kind) for part in _plain(choice))


@dataclass(frozen=True, kw_only=True)
class Training(Written):
    """How a run trains; the config's blocks ``training`` hold the same keys."""

    epochs: Annotated[int, Ge(1), Le(100_000)] = stated(100)
    """Passes over the training images."""
    batch_size: Annotated[int, Ge(2), Le(65_536)] = stated(64)
    """Images of a step."""
    lr: Rate = stated(0.05)
    """Peak learning rate of the main phase."""
    momentum: Annotated[float, Ge(0), Lt(1)] = stated(0.9)
    """Of SGD."""
    nesterov: bool = False
    """Nesterov's form of the momentum."""
    weight_decay: Annotated[float, Ge(0), Le(1)] = stated(0.0005)
    """Added to the gradient: this share of the weight."""
    schedule: Literal["constant", "cosine", "steps"] = stated("cosine")
    """What the learning rate does over a phase."""
    milestones: Annotated[tuple[Annotated[float, Gt(0), Le(100_000)], ...], MaxLen(1000)] = ()
    """Where `schedule: steps` divides the rate by 10: rising shares of the epochs (below 1), or
    epochs (from 1); empty is the CRD benchmark's 0.625, 0.75, 0.875."""
    warm_up: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of a phase's steps over which its rate rises evenly from 0 to what the schedule says;
    0 is none."""
    clip: Annotated[float, Ge(0), Le(1_000_000)] = 0.0
    """Norm above which the gradient of all that moves is scaled down to it; 0 is none."""
    crop: Annotated[int, Ge(0), Le(32)] = stated(4)
    """Padding of the random crop in pixels; 0 is none."""
    flip: bool = stated(True)
    """Random horizontal flip."""
    rotation: Annotated[float, Ge(0), Le(180)] = 0.0
    """Random rotation by up to so many degrees; 0 is none."""
    auto_augment: bool = False
    """AutoAugment's policy for CIFAR."""
    mixup: Annotated[float, Ge(0), Le(100)] = 0.0
    """Alpha of mixup; 0 is none. With `cutmix` too, each image takes one of the two, at even
    odds."""
    cutmix: Annotated[float, Ge(0), Le(100)] = 0.0
    """Alpha of CutMix; 0 is none."""
    evaluate_every: Annotated[int, Ge(1)] = stated(1)
    """Epochs between validations; the last epoch always is."""
    threads: Annotated[int, Ge(1), Le(64)] = stated(1)
    """CPU threads of a run; part of the spec because it changes float sums."""
    dtype: Literal["float32", "bfloat16"] = stated("float32")
    """Precision of forward and backward passes; bfloat16 is for processors that have it."""


@dataclass(frozen=True, kw_only=True)
class Images(Written):
    """What a run sees: the classes of a ``task`` (``all``, ``source``, ``target``), with all
    (``full``) or the ``few`` training images that students see; ``draw`` numbers the division into
    source and target, and the draw of the few (0: the prepared one)."""

    task: str = stated("all")
    images: str = stated("full")
    draw: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainSpec(Written):
    """A run that trains: a network, a list of phases, and maybe a teacher.

    ``init`` is its start (see ``runs.start``), ``exits`` the heads on its stages, ``exit_places``
    the stages that have one where not all do, ``weights`` those of loss terms that differ from the
    method's own, ``observers`` what watches it (files of ``measure/``). ``divergence``: whether a
    loss that is not finite fails the run, or ends it, with a record of what it came to.
    ``classifier``: how a new classifier on given features starts, as its network's family does, as
    torch's linear layers do, or at zero.
    """

    seed: int
    data: Images
    init: str
    method: Entry
    recipe: Entry
    training: Training
    weights: dict[str, float] = field(default_factory=dict)
    network: Entry = field(default_factory=dict)
    exits: str = ""
    exit_places: tuple[int, ...] = ()
    observers: tuple[str, ...] = ()
    divergence: Literal["fails", "ends"] = "fails"
    classifier: ClassifierStart = "family"

    def written(self) -> dict[str, Any]:
        """Without empty mappings, which are defaults too."""
        return {name: value for name, value in super().written().items() if value != {}}

    def settings(self) -> dict[str, Any]:
        """Everything, with the options' defaults filled in: what records keep for readers."""
        method, recipe = self.method["method"], self.recipe["recipe"]
        full: dict[str, Any] = asdict(self) | {
            "method": catalogue.method_options(method) | self.method,
            "weights": catalogue.method_weights(method) | self.weights,
            "recipe": catalogue.recipe_options(recipe) | self.recipe,
            "observers": list(self.observers),
            "exit_places": list(self.exit_places),
        }
        if self.network:
            full["network"] = catalogue.network_options(self.network["network"]) | self.network
        return full

    def modules(self) -> list[str]:
        """Modules that the run's code fingerprint covers beyond the script that does it."""
        method = self.method["method"]
        files = [catalogue.methods()[method], catalogue.recipes()[self.recipe["recipe"]]]
        if self.network:
            files += filter(None, [catalogue.network_file(self.network["network"])])
        if part := catalogue.method_needs(method).teacher_part:
            files.append(catalogue.methods()[part])
        files += [catalogue.observers()[name] for name in self.observers]
        files += [catalogue.heads()[self.exits]] if self.exits else []
        return [catalogue.module_name(path) for path in files]


@dataclass(frozen=True, kw_only=True)
class PruneSpec(Written):
    """A run that prunes its parent by ``criterion`` to ``ratio`` times fewer MACs, within
    ``tolerance`` (a share of the target); channels are scored once where ``one_shot``.

    What stays of every layer: ``min_channels``, and ``min_share`` of its channels, in multiples of
    ``round_to``; layers whose name fits a pattern of ``keep`` lose none.
    """

    network: Entry
    seed: int
    data: Images
    criterion: str
    ratio: float
    min_channels: int
    min_share: float
    tolerance: float
    threads: int
    one_shot: bool = False
    round_to: int = 1
    keep: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Everything, with the network's options filled in."""
        options = catalogue.network_options(self.network["network"])
        return asdict(self) | {"network": options | self.network, "keep": list(self.keep)}

    def modules(self) -> list[str]:
        """Modules that the run's code fingerprint covers beyond the script that does it."""
        files = (
            catalogue.networks()[self.network["network"]],
            catalogue.criteria()[self.criterion],
        )
        return [catalogue.module_name(path) for path in files]


Spec = TrainSpec | PruneSpec
