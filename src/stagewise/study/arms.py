"""What the steps of a plan share: the settings of an arm, and how they become a run."""

from typing import Any

from stagewise import catalogue
from stagewise.study.checks.common import Config, method_entry
from stagewise.study.checks.data import image_size
from stagewise.study.regimes import REGIMES, Regime, weights_folder
from stagewise.study.runs import Run, Spec, run_path


class Arms:
    """Reads one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.study = config["study"]

    @property
    def regime(self) -> Regime:
        """The regime of the step ``two_stage``."""
        return REGIMES[self.config["two_stage"]["regime"]]

    def training(self, arm: str, label: str, *overrides: dict[str, Any]) -> dict[str, Any]:
        """Training settings of an arm: the defaults, its step's overrides, those of its method
        (a ``label``), its own tuned rate."""
        settings = dict(self.config["training"])
        for override in (*overrides, method_entry(self.config, label).get("training", {})):
            settings |= override
        if arm in self.config["learning_rates"]:
            settings["lr"] = self.config["learning_rates"][arm]
        return settings

    def method(self, label: str) -> dict[str, Any]:
        """``method`` and ``weights`` of a spec, with the method's own defaults filled in."""
        entry = method_entry(self.config, label)
        name = entry["method"]
        options = {
            option: entry.get(option, default)
            for option, default in catalogue.method_options(name).items()
        }
        weights = {**catalogue.method_weights(name), **entry.get("weights", {})}
        return {"method": {"method": name, **options}, "weights": weights}

    def title(self, label: str) -> str:
        """What tables call a method: its own name, or the label of a variant of it."""
        name = method_entry(self.config, label)["method"]
        return catalogue.method_title(name) if name == label else label

    def network(self, pair: str, role: str) -> dict[str, Any]:
        """A network's name with every option filled in."""
        entry = self.config["pairs"][pair][role]
        return {**catalogue.network_options(entry["network"]), **entry}

    def run(
        self,
        arm: str,
        seed: int,
        *,
        data: tuple[str, str],
        init: str,
        method: str,
        recipe: dict[str, Any],
        training: dict[str, Any],
        network: dict[str, Any] | None = None,
        exits: str | None = None,
        probe: bool = False,
        parents: dict[str, str] | None = None,
        reference: str = "",
        labels: dict[str, Any],
    ) -> Run:
        """A run that trains: ``data`` is its task and images, ``init`` its start (see
        ``training.run.STARTS``), ``method`` a label; a teacher that its method does not need is
        left out of ``parents``."""
        step, _, name = arm.partition("/")
        spec: Spec = {
            "seed": seed,
            "data": {"task": data[0], "images": data[1]},
            "init": init,
            **self.method(method),
            "recipe": recipe,
            "training": training,
        }
        spec |= {"network": network} if network else {}
        spec |= {"exits": exits} if exits else {}
        spec |= {"probe": True} if probe else {}
        if "teacher" not in catalogue.method_needs(spec["method"]["method"]):
            parents = {role: path for role, path in (parents or {}).items() if role != "teacher"}
        labels = {"method": method, "recipe": recipe["recipe"], **labels}
        return Run(self.study, step, name, seed, spec, parents or {}, reference, labels)

    def path(self, arm: str, seed: int) -> str:
        """Folder of an arm's run."""
        return run_path(self.study, arm, seed)

    def teacher_path(self, pair: str, kind: str = "") -> str:
        """Folder of a pair's teacher; ``kind`` is what its name ends in."""
        return self.path(f"teachers/{pair}{kind}", self.config["teachers"]["seed"])

    def imagenet_start(self, pair: str, role: str) -> tuple[str, dict[str, str]]:
        """``init`` of a spec and the parent that it names, for a network that starts from ImageNet
        weights where regime and pair want it, else from scratch."""
        block, size = self.config["two_stage"], image_size(self.config)
        if not (self.regime.imagenet and pair in block["pairs"]):
            return "scratch", {}
        assert size is not None, "regime_problems"
        network = self.config["pairs"][pair][role]["network"]
        return "features", {"init": weights_folder(network, size)}
