"""A teacher that was trained elsewhere serves unchanged; a wrong file gets one clear error."""

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import KD, run_spec, toy_raw, train
from safetensors.torch import save_file
from torch.nn.functional import interpolate
from torchvision.models import list_models, mnasnet0_5, resnet18

from stagewise import catalogue
from stagewise.analysis.records.run_files import RunFiles
from stagewise.data.prepare import prepare
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.models.foreign import torchvision as ours
from stagewise.models.foreign.base import Foreign
from stagewise.models.store import Architecture, build, load_network, save_network
from stagewise.runs import imagenet
from stagewise.runs.given import Seen, given_teacher, make_given
from stagewise.study.config.pairs import Teacher

SIZE = 32
SEEN = Seen(4, 3, 8, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def elsewhere(classes: int = 4) -> torch.nn.Module:
    """Torchvision's network with weights that nobody else has."""
    torch.manual_seed(3)
    return resnet18(num_classes=classes).eval()


def saved(folder: Path, content: Any = None) -> dict[str, Any]:
    """A config's entry for what is saved as torch does."""
    path = folder / "teacher.pth"
    torch.save(elsewhere().state_dict() if content is None else content, path)
    return {"weights": str(path), "sha256": sha256_file(path)}


def entry(**given: Any) -> Teacher:
    return Teacher(network="torchvision:resnet18", options={"input_size": SIZE}, **given)


def test_a_state_dict_of_torchvision_teaches_unchanged(tmp_path: Path) -> None:
    """On pixels normalised by the study's mean it answers as on its own."""
    network, architecture = given_teacher(entry(**saved(tmp_path)), SEEN)
    save_network(network, architecture, tmp_path / "model.safetensors")
    network, architecture = load_network(tmp_path / "model.safetensors")
    pixels = torch.rand(5, 3, 8, 8)

    def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
        return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.no_grad():
        found = network.eval()(normalised(SEEN.mean, SEEN.std))
        own = normalised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        large = interpolate(own, (SIZE, SIZE), mode="bilinear", antialias=True)
        expected = elsewhere()(large)
    assert torch.allclose(found.logits, expected, atol=1e-4)
    assert (found.taps, found.pooled.shape) == ({}, (5, 512))
    assert architecture.options == {"input_size": SIZE}


def test_it_teaches_a_student(tmp_path: Path) -> None:
    raw = toy_raw()
    settings = {"validation": 0.25, "test": 0.25, "split_seed": 0, "classes": None}
    settings |= {"student_images_per_class": 4, "target_images_per_class": 3}
    data = tmp_path / "prepared.safetensors"
    images = raw.images.repeat(3, axis=1)
    colour = type(raw)(images, raw.labels, raw.classes)
    prepare(colour, {**settings, "source": "toy", "source_classes": [0, 1]}, data)
    make_given(entry(**saved(tmp_path)), data, tmp_path / "model.safetensors")
    spec = run_spec(**KD, training={"epochs": 1})
    assert train(spec, data, tmp_path / "run", teacher=tmp_path / "model.safetensors").exists()
    kept = {"network": {"network": "torchvision:resnet18", "input_size": SIZE}}
    spec = run_spec(**kept, init="given", recipe={"recipe": "as_is"})
    measured = train(spec, data, tmp_path / "teacher", init=tmp_path / "model.safetensors")
    assert sha256_file(measured) == sha256_file(tmp_path / "model.safetensors")
    record = RunFiles(measured.parent).record
    assert (record.protocol["epochs"], record.protocol["training_macs"]) == (0, 0)
    assert record.test_accuracy >= 0
    assert len((measured.parent / "history.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_what_training_scripts_put_around_it_is_taken_off(tmp_path: Path, wrapper: str) -> None:
    parallel = {f"module.{name}": tensor for name, tensor in elsewhere().state_dict().items()}
    found, _ = given_teacher(entry(**saved(tmp_path, {wrapper: parallel, "epoch": 3})), SEEN)
    assert torch.equal(found.classifier.weight, elsewhere().fc.weight)


def test_safetensors_need_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    save_file(elsewhere().state_dict(), path)
    found, _ = given_teacher(entry(weights=str(path)), SEEN)
    assert torch.equal(found.classifier.weight, elsewhere().fc.weight)
    with pytest.raises(UserError, match=r"has SHA-256 .*, not abc; correct one of the two"):
        given_teacher(entry(weights=str(path), sha256="abc"), SEEN)


def test_a_new_head_leaves_the_rest(tmp_path: Path) -> None:
    given = saved(tmp_path, elsewhere(1000).state_dict())
    with pytest.raises(UserError, match=r"for 4 classes \('fc.weight' has shape \[1000, 512\]"):
        given_teacher(entry(**given), SEEN)
    found, _ = given_teacher(entry(**given, head="new"), SEEN)
    assert found.classifier.weight.shape == (4, 512)
    assert torch.equal(found.body.conv1.weight, elsewhere(1000).conv1.weight)


class Code:
    """Opening its pickle would run something."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


def test_a_wrong_file_gets_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(saved(tmp_path)["weights"]).read_bytes()
    halved, code = tmp_path / "halved.pth", tmp_path / "code.pth"
    halved.write_bytes(whole[: len(whole) // 2])
    code.write_bytes(pickle.dumps(Code()))
    other = mnasnet0_5(num_classes=4).state_dict()
    holes = elsewhere().state_dict()
    holes["conv1.weight"][0] = torch.nan
    wrong = {
        "no such file": {"weights": str(tmp_path / "none.pth"), "sha256": "0"},
        "is read only where its checksum .* add `sha256: [0-9a-f]{64}`": {"weights": str(halved)},
        "no weights of torch's": {"weights": str(halved), "sha256": sha256_file(halved)},
        "no weights of torch's .*(?i:weights.only)": {
            **{"weights": str(code), "sha256": sha256_file(code)}
        },
    }
    for said, given in wrong.items():
        with pytest.raises(UserError, match=said):
            given_teacher(entry(**given), SEEN)
    for said, content in {
        r"do not fit 'torchvision:resnet18' for 4 classes \('conv1.weight' is missing\)": other,
        "'body.conv1.weight' holds values that are not finite": holes,
        "holds more than named tensors": [1, 2],
        "'extra' has no place in it": {**elsewhere().state_dict(), "extra": torch.ones(1)},
    }.items():
        with pytest.raises(UserError, match=said):
            given_teacher(entry(**saved(tmp_path, content)), SEEN)
    assert "run" not in capsys.readouterr().out


def test_grey_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes colour images, these have 1 channels"):
        given_teacher(entry(**saved(tmp_path)), Seen(4, 1, 8))


def test_the_names_are_torchvisions() -> None:
    import torchvision

    there = {n for n in list_models(module=torchvision.models) if not n.startswith("squeezenet")}
    assert {*ours.NAMES.split()} == there
    assert catalogue.network_file("torchvision:resnet18")
    assert not catalogue.network_file("torchvision:resnet19")
    assert not catalogue.network_file("nowhere:resnet18")
    assert "torchvision:resnet18" in catalogue.named_like("torchvision:resnet19")


FAMILIES = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t
mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf resnet18 resnext50_32x4d
shufflenet_v2_x0_5 swin_t swin_v2_t vgg11 vit_b_32 wide_resnet50_2
"""


@pytest.mark.parametrize("name", FAMILIES.split())
def test_every_family_is_built(name: str) -> None:
    """Without numbers; its last layer is what the classes need."""
    with torch.device("meta"):
        network = ours.build(f"torchvision:{name}", 7, 3).eval()
        features = network(torch.zeros(2, 3, 224, 224))
    assert features.logits.shape == (2, 7)
    assert features.pooled.shape == (2, network.classifier.in_features)
    assert all(tensor.is_meta for tensor in network.state_dict().values())


def test_a_network_of_timm_takes_its_weights() -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("test_vit", num_classes=4).eval()
    own = build(Architecture("timm:test_vit", {"input_size": 160}, 4, 3, 160), seed=0).eval()
    assert isinstance(own, Foreign)
    own.take(theirs.state_dict())
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(own(images).logits, theirs(images), atol=1e-5)
    with pytest.raises(UserError, match="timm has no such network"):
        build(Architecture("timm:nothing", {"input_size": 224}, 4, 3, 32), seed=0)


def test_where_timm_is_not_installed_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"timm is not installed; .* 'stagewise\[timm\]'"):
        build(Architecture("timm:test_vit", {"input_size": 160}, 4, 3, 160), seed=0)


def test_torchvisions_own_weights_are_fetched_and_get_a_new_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a mirror here, under a name that ends as torchvision's do."""
    theirs = elsewhere(1000)
    torch.save(theirs.state_dict(), tmp_path / "some.pth")
    name = f"resnet18-{sha256_file(tmp_path / 'some.pth')[:8]}.pth"
    (tmp_path / "some.pth").rename(tmp_path / name)
    monkeypatch.setattr(imagenet, "_address", lambda network: f"{tmp_path}/none/{name}")
    hosted = {"weights": "torchvision", "head": "new"}
    network, _ = given_teacher(entry(**hosted, mirrors=(str(tmp_path),)), SEEN)
    assert isinstance(network, Foreign)
    assert torch.equal(network.body.conv1.weight, theirs.conv1.weight)
    assert network.classifier.out_features == SEEN.classes
    (tmp_path / name).write_bytes(b"another")
    with pytest.raises(UserError, match=r"has SHA-256 .* fetch it again"):
        given_teacher(entry(**hosted, mirrors=(str(tmp_path),)), SEEN)


def test_torchvisions_addresses_name_a_checksum() -> None:
    for name in ("resnet50", "vgg11", "convnext_tiny"):
        assert re.fullmatch(r"https://.*/\w+-[0-9a-f]{8}\.pth", imagenet._address(name))
