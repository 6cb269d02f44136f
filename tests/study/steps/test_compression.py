"""Pruning and recovery: arms that differ in one thing each, and equal budgets."""

from dataclasses import replace
from typing import Any

from plans import arm, edited, plan

from stagewise.recipes.base import make_phases
from stagewise.study.spec import TrainSpec


def test_ways_of_recovery_differ_in_one_thing_each() -> None:
    """Loss, recipe, teacher, weights or budget, beside the arm that has the others."""
    ways = ["ce", "kd", "two_stage_ce", "two_stage_kd", "rewound_ce", "rewound_kd", "self_kd"]
    new = ["scratch_ce", "scratch_ce_macs", "scratch_kd"]
    found = plan(edited("pruning.0.recover", [*ways, *new, "two_stage_kd_bn"]))
    runs = {name: arm(f"recovery/resnet.baseline.l2-4x.{name}", among=found) for name in ways + new}
    specs = {name: run.spec for name, run in runs.items()}
    teacher, dense = "runs/toy/teachers/resnet/seed-0", "runs/toy/students/resnet.baseline/seed-0"
    for label in ("ce", "kd"):
        same = {specs[name].method["method"] for name in runs if name.endswith(label)}
        assert same == {label}
        plain = specs[label]
        assert replace(specs[f"two_stage_{label}"], recipe=plain.recipe) == plain
        rewound = specs[f"rewound_{label}"]
        back = replace(rewound, recipe=plain.recipe, training=plain.training)
        assert back == plain
        assert replace(rewound.training, lr=plain.training.lr) == plain.training
        assert specs[f"rewound_{label}"].recipe == {"recipe": "rewound", "of": 30}
    first = arm("recovery/resnet.baseline.l2-4x.two_stage_kd_bn", among=found).spec
    stages = specs["two_stage_kd"].recipe
    assert replace(first, recipe=stages) == specs["two_stage_kd"]
    assert first.recipe == {**stages, "estimate_first": 1}, "beyond the budget, no weight moves"
    assert specs["self_kd"] == specs["kd"]
    assert (runs["kd"].parents["teacher"], runs["self_kd"].parents["teacher"]) == (teacher, dense)
    epochs = {name: spec.training.epochs for name, spec in specs.items()}
    assert {epochs.pop(name) for name in ways} == {10}
    assert epochs == {"scratch_ce": 30, "scratch_ce_macs": 4 * 30 + 10, "scratch_kd": 30 + 10}
    dense, extra, ratio = 30, 10, 4  # an epoch of the shape costs a fourth of one of the dense
    assert epochs["scratch_ce_macs"] / ratio == dense + extra / ratio, "as many MACs as recovery"
    assert {specs[name].init for name in new} == {"shape"}


def test_the_dense_student_may_have_kd_from_its_start_on() -> None:
    """For the epochs of its own training and the extra ones, from the weights it began with."""

    def change(raw: dict[str, Any]) -> None:
        raw["recovery"] |= {"dense": ["kd", "kd_throughout"]}
        raw["pruning"].append({"pair": "resnet", "chain": "pretrained", "ratios": [2]})

    found = plan(change)
    for chain, begun in (
        ("baseline", "students/resnet.baseline"),
        ("pretrained", "students/resnet.pretrained"),
        ("two_stage", "two_stage/resnet.kd"),
    ):
        first = arm(begun, among=found)
        extra, whole = (
            arm(f"recovery/resnet.{chain}.dense.{name}", among=found)
            for name in ("kd", "kd_throughout")
        )
        assert (whole.spec.init, whole.parents.get("init")) == (
            first.spec.init,
            first.parents.get("init"),
        )
        assert extra.parents["init"] == first.path
        assert whole.parents["teacher"] == extra.parents["teacher"]
        assert whole.spec.method == extra.spec.method
        epochs = first.spec.training.epochs + extra.spec.training.epochs
        assert whole.spec.training.epochs == epochs


def test_a_chain_may_prune_the_student_of_standard_training() -> None:
    block = {"pair": "resnet", "chain": "pretrained", "ratios": [2], "recover": ["ce"]}
    found = plan(edited("pruning", [block]))
    pruned = arm("pruning/resnet.pretrained.l2-2x", 1, found)
    assert pruned.parents == {"init": "runs/toy/students/resnet.pretrained/seed-1"}
    assert pruned.labels["task"] == found.runs[pruned.parents["init"]].labels["task"] == "target"
    assert arm("recovery/resnet.pretrained.l2-2x.ce", 1, found).parents == {"init": pruned.path}


def test_families_are_the_same_arms_at_other_rates() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["recovery"] |= {"families": {"low": {"lr": 0.003}}, "dense": ["ce", "kd"]}
        raw["learning_rates"] = {"recovery/resnet.baseline.l2-4x.kd": 0.3}

    found = plan(change)
    own = [run for run in found.step("recovery") if not run.arm.endswith(".low")]
    low = {run.arm for run in found.step("recovery")} - {run.arm for run in own}
    assert low == {f"{run.arm}.low" for run in own if run.labels["recovery"] != "bn"}
    assert all(run.labels.get("family") == "low" for run in found.runs.values() if run.arm in low)
    assert not any("family" in run.labels for run in own)
    assert {run.arm for run in own if ".dense." in run.arm} == {
        f"recovery/resnet.{chain}.dense.{label}"
        for chain in ("baseline", "two_stage")
        for label in ("ce", "kd")
    }
    usual = arm("recovery/resnet.baseline.l2-4x.kd", among=found)
    lower = arm("recovery/resnet.baseline.l2-4x.kd.low", among=found)
    assert usual.spec.training.lr == 0.3
    assert lower.spec == replace(usual.spec, training=replace(usual.spec.training, lr=0.003))


def test_stage_1_of_a_recovery_has_the_rate_of_the_rest() -> None:
    """Where nothing says another: in a family always, else unless it is given or tuned."""
    name = "recovery/resnet.baseline.l2-4x.two_stage_kd"

    def rates(tuned: dict[str, float], **given: float) -> tuple[float, float]:
        def change(raw: dict[str, Any]) -> None:
            raw["recovery"] |= {"families": {"low": {"lr": 0.003}}, **given}
            raw["recovery"]["training"]["lr"] = 0.02
            raw["pruning"][0]["recover"] = ["kd", "two_stage_kd"]
            raw["stage1_rates"] = tuned

        found = plan(change)
        own, low = (
            make_phases(run.spec.recipe, epochs=10, lr=run.spec.training.lr)
            for run in (arm(name, among=found), arm(f"{name}.low", among=found))
        )
        assert [phase.lr for phase in own[1:] + low[1:]] == [0.02, 0.003]
        return own[0].lr, low[0].lr

    assert rates({}) == (0.02, 0.003)
    assert rates({}, stage1_lr=0.5) == (0.5, 0.003)
    assert rates({name: 0.7}, stage1_lr=0.5) == (0.7, 0.003)


def test_what_is_trained_anew_is_trained_as_the_dense_student_was() -> None:
    """By the batches and at the rate of that one, not of a recovery; as many steps an epoch."""
    new = ["scratch_ce", "scratch_ce_macs", "scratch_kd"]

    def change(raw: dict[str, Any]) -> None:
        raw["two_stage"]["training"] |= {"batch_size": 7, "epochs": 9}
        raw["learning_rates"] = {"two_stage/resnet.kd": 0.3}
        raw["recovery"]["training"] |= {"lr": 0.02}
        raw["recovery"] |= {"families": {"low": {"lr": 0.003}}, "dense": ["kd", "kd_throughout"]}
        raw["pruning"] = [
            {"pair": "resnet", "chain": "two_stage", "ratios": [2], "recover": ["kd", *new]}
        ]

    found = plan(change)
    recovered = arm("recovery/resnet.two_stage.l2-2x.kd", among=found).spec.training
    dense = arm("two_stage/resnet.kd", among=found).spec.training
    assert recovered.batch_size != 7
    assert dense.lr == 0.3
    anew = [f"l2-2x.{name}" for name in new] + ["dense.kd_throughout"]
    for name in anew:
        own = arm(f"recovery/resnet.two_stage.{name}", among=found).spec.training
        assert replace(own, epochs=9) == dense
        low = arm(f"recovery/resnet.two_stage.{name}.low", among=found).spec.training
        assert low == replace(own, lr=0.003)


def test_recoveries_that_are_named_log_the_shock() -> None:
    """At every family of rates, and nothing else about them changes."""

    def change(raw: dict[str, Any]) -> None:
        raw["recovery"] |= {"families": {"low": {"lr": 0.003}}}

    def probe(raw: dict[str, Any]) -> None:
        change(raw)
        raw["pruning"][0]["probe"] = ["kd"]

    before, after = plan(change), plan(probe)
    logging = {
        run.arm: before.runs[path]
        for path, run in after.runs.items()
        if run.step == "recovery" and run.spec.observers
    }
    assert {arm.removesuffix(".low") for arm in logging} == {
        f"recovery/resnet.baseline.l2-{ratio}x.kd" for ratio in (2, 4)
    }
    for path, run in after.runs.items():
        plain = before.runs[path].spec
        assert run.spec == (replace(plain, observers=("shock",)) if run.arm in logging else plain)


def test_a_rewound_rate_is_the_dense_students() -> None:
    """In no family, by no pattern, tuned with the dense student; but an arm's own entry holds."""
    name = "recovery/resnet.baseline.l2-4x.rewound_kd"

    def planned(**more: Any) -> dict[str, Any]:
        def change(raw: dict[str, Any]) -> None:
            raw["pruning"][0]["recover"] = ["kd", "rewound_kd"]
            raw["recovery"] |= {"families": {"low": {"lr": 0.003}}}
            raw["recovery"]["training"]["lr"] = 0.007
            raw |= more

        return plan(change).runs

    def rate(rates: dict[str, float]) -> float:
        return planned(learning_rates=rates)[f"runs/toy/{name}/seed-0"].spec.training.lr

    dense = planned()["runs/toy/students/resnet.baseline/seed-0"].spec.training.lr
    assert rate({}) == rate({"recovery/*": 0.4}) == dense != 0.007
    assert rate({"students/resnet.baseline": 0.2}) == 0.2
    assert rate({"students/resnet.baseline": 0.2, name: 0.4}) == 0.4
    assert f"runs/toy/{name}.low/seed-0" not in planned()
    tuned = planned(tune={"rates": [0.1, 0.2]}).values()
    assert name not in {run.labels.get("tuned_arm") for run in tuned}


def test_recovery_arms_have_the_same_budget() -> None:
    epochs = {
        run.labels["recovery"]: run.spec.training.epochs
        for run in plan().step("recovery")
        if run.labels["chain"] == "baseline"
    }
    assert epochs.pop("scratch_kd") == 30 + 10
    assert set(epochs.values()) == {10}


def test_the_dense_student_is_given_the_same_extra_epochs_as_the_pruned_one() -> None:
    dense, pruned = (
        arm("recovery/resnet.baseline.dense.kd"),
        arm("recovery/resnet.baseline.l2-2x.kd"),
    )
    assert dense.spec == pruned.spec
    assert dense.parents["init"].endswith("students/resnet.baseline/seed-0")
    assert pruned.parents["init"].endswith("pruning/resnet.baseline.l2-2x/seed-0")


def test_recovery_goes_on_from_the_pruned_network_of_its_own_seed() -> None:
    runs = plan().runs
    for run in runs.values():
        if run.step in ("pruning", "recovery"):
            assert runs[run.parents["init"]].seed == run.seed


def test_pruning_as_usual_is_written_without_what_it_does_not_use() -> None:
    written = arm("pruning/resnet.baseline.l2-2x").spec.written()
    assert {*written} == {
        *("network", "seed", "data", "criterion", "ratio", "min_channels", "min_share"),
        *("tolerance", "threads"),
    }


def test_ways_of_pruning_have_names_and_specs_of_their_own() -> None:
    ways: dict[str, dict[str, Any]] = {
        "l1-one-shot-2x": {"criterion": "l1", "one_shot": True},
        "l1-by8-2x": {"criterion": "l1", "round_to": 8},
        "l1-kept-2x": {"criterion": "l1", "keep": ["stem*"]},
        "l1-2x": {"criterion": "l1"},
    }
    blocks = [{"pair": "resnet", "ratios": [2], "recover": ["kd"], **way} for way in ways.values()]
    among = plan(edited("pruning", blocks))
    for name, way in ways.items():
        run = arm(f"pruning/resnet.baseline.{name}", among=among)
        assert {k: v for k, v in run.spec.written().items() if k in way} == way
        assert run.labels["criterion"] == name.removesuffix("-2x")
        recovered = arm(f"recovery/resnet.baseline.{name}.kd", among=among)
        assert recovered.parents["init"] == run.path


def test_group_sparse_learning_comes_before_its_pruning_once() -> None:
    block = {"pair": "resnet", "criterion": "group_sl", "ratios": [2, 4], "recover": ["kd"]}
    among = plan(edited("pruning", [block, {**block, "ratios": [3]}]))
    sparse = arm("recovery/resnet.baseline.dense.group_sl", 1, among)
    assert sparse.parents == {"init": "runs/toy/students/resnet.baseline/seed-1"}
    assert isinstance(sparse.spec, TrainSpec)
    assert sparse.spec.recipe == {"recipe": "group_sl"}
    assert (sparse.spec.training.epochs, sparse.spec.training.weight_decay) == (10, 0.0)
    for ratio in (2, 3, 4):
        pruned = arm(f"pruning/resnet.baseline.group_sl-{ratio}x", 1, among)
        assert pruned.parents == {"init": sparse.path}
    paths = list(among.runs)
    assert paths.index(sparse.path) < paths.index(pruned.path)
