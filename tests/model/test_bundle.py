import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle import Bundle, load_bundle, save_bundle
from model.encoder import EncoderConfig
from model.inference import Predictor
from model.network import Network, NetworkConfig
from model.novelty import Novelty
from model.stage_support import StageSupport
from model.staging import Staging, StagingShape
from schema.calls import CallRules
from schema.confusion import Confusion, DetectionLimit
from schema.depths import N_DEPTHS
from schema.errors import BundleError, OutputError
from schema.genes import GeneVocabulary
from schema.predictions import STAGE_OUTPUTS
from schema.stages import StageScale

GOLDEN = Path(__file__).parent / "golden"

SUPPORT = {
    output: StageSupport(
        n_samples=12,
        n_donors=9,
        n_studies=1,
        p_value=0.5,
        cramers_v=float("nan"),
        kappa=0.1,
        probe="depth",
        probe_kappa=0.2,
        probe_p=0.25,
        reason=reason,
    )
    for output, reason in zip(STAGE_OUTPUTS, ("", "no"), strict=True)
}


LIMIT = DetectionLimit(percent=0.4, n_cells=500, n_donors=2, n_samples=100)


def made_confusion(n_types):
    said = np.random.default_rng(0).dirichlet(np.ones(n_types), (2, N_DEPTHS, n_types)).astype(np.float32)
    return Confusion(np.array([3, 7]), np.arange(2 * N_DEPTHS * n_types).reshape(2, N_DEPTHS, n_types), said)


def new_staging(ontology):
    sizes = tuple((n_counted(ontology, without), 4) for without in (False, True))
    shape = StagingShape(heads=("composition and looks", "attention"), n_folds=2, seen=(0, 3), sizes=sizes)
    staging = Staging(ontology, shape, n_hidden=8, n_latent=4, n_levels=6).eval()
    for number, buffer in enumerate(staging.buffers()):
        if buffer.is_floating_point():
            buffer.fill_(0.1 * number)
    return staging


def n_counted(ontology, without_neutrophils):
    roles = ontology.roles
    out = ontology.below(*roles.outside_denominator, *([roles.neutrophil] if without_neutrophils else []))
    return int((~out).sum())


@pytest.fixture
def bundle(ontology):
    torch.manual_seed(0)
    config = NetworkConfig(encoder=EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4))
    scale = StageScale.load("mouse_carcinogenesis")
    network = Network(n_genes=3, n_leaves=len(ontology.leaves), config=config).eval()
    novelty = Novelty(n_nodes=len(ontology.nodes), n_latent=4, n_genes=3, n_types=len(ontology.nodes_at(2)))
    novelty.centre.fill_(0.25)
    novelty.seen[3] = True
    prior = torch.arange(1.0, len(ontology.leaves) + 1)
    network.cell_type_head.adjust((prior / prior.sum()).log(), 1.0)
    return Bundle(
        network=network,
        config=config,
        ontology=ontology,
        scale=scale,
        vocabulary=GeneVocabulary(("Cxcr2", "S100a8", "Epcam"), ("ENSMUSG00000026180", "", ""), "mouse"),
        temperatures=torch.tensor([1.0, 1.5, 2.0]),
        novelty=novelty,
        rules=CallRules(back_off=0.65, novelty=float("inf")),
        confusion=made_confusion(len(ontology.nodes_at(2))),
        state_confusion=made_confusion(9),
        detection_limit=LIMIT,
        training_labels={"NEUT": 3, "N_ANG": 2, "L1_MYE": 5},
        made_labels=("DBL_OTHER",),
        training_prior=prior / prior.sum(),
        metrics={"val/cell_type/ece": 0.02},
        checks={"back_off": [{"back_off": 0.5, "accuracy": float("nan")}], "reliability": [], "novelty": []},
        provenance={"seed": 0},
        staging=new_staging(ontology),
        stage_support=SUPPORT,
    )


@pytest.fixture
def folder(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_predicts_the_same_after_a_round_trip(bundle, folder, make_batch):
    again = load_bundle(folder)
    batch = make_batch([[1.0, 0.0, 5.0]])
    assert torch.equal(again.network(batch).logits, bundle.network(batch).logits)
    assert again.vocabulary == bundle.vocabulary
    assert again.ontology == bundle.ontology
    assert again.scale == bundle.scale
    assert again.temperatures.tolist() == [1.0, 1.5, 2.0]
    for name, value in bundle.novelty.state_dict().items():
        assert torch.equal(again.novelty.state_dict()[name], value), name
    assert again.rules == bundle.rules
    assert again.made_labels == ("DBL_OTHER",)
    assert again.checks["back_off"] == [{"back_off": 0.5, "accuracy": None}]
    assert torch.equal(again.training_prior, bundle.training_prior)
    assert torch.equal(again.network.cell_type_head.log_prior, bundle.network.cell_type_head.log_prior)
    assert float(again.network.cell_type_head.strength) == 1.0
    for name, values in vars(bundle.confusion).items():
        np.testing.assert_array_equal(getattr(again.confusion, name), values)
    assert again.is_calibrated
    assert again.detection_limit == LIMIT
    for name, value in bundle.staging.state_dict().items():
        assert torch.equal(again.staging.state_dict()[name], value), name
    assert again.staging.shape == bundle.staging.shape
    assert str(again.stage_support) == str(SUPPORT)
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "genes.tsv", "weights.safetensors"]


def test_the_prior_is_written_by_the_name_of_the_leaf(folder, ontology):
    written = json.loads((folder / "bundle.json").read_text())["training_prior"]
    names = [ontology.nodes[leaf].id for leaf in ontology.leaves]
    assert list(written) == names
    assert written[names[2]] == pytest.approx(3 / sum(range(1, len(names) + 1)))


def test_neutrophils_are_known_only_from_labels_at_or_below_them(bundle):
    assert bundle.knows_neutrophils
    object.__setattr__(bundle, "training_labels", {"L1_MYE": 5, "MONO": 2})
    assert not bundle.knows_neutrophils


def test_ambient_droplets_are_known_from_labels_or_because_they_were_made(bundle):
    assert not bundle.knows_ambient
    object.__setattr__(bundle, "made_labels", ("AMBIENT",))
    assert bundle.knows_ambient
    object.__setattr__(bundle, "made_labels", ())
    object.__setattr__(bundle, "training_labels", {"AMBIENT": 5})
    assert bundle.knows_ambient


def test_an_existing_bundle_is_never_overwritten(bundle, folder):
    with pytest.raises(OutputError, match="never overwritten"):
        save_bundle(bundle, folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "genes.tsv", "bundle.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "genes.tsv"])
def test_a_changed_file_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 5}, "bundles of format 6: got format 5"),
        ({"format": 7}, "format 7"),
        ({"surprise": 1}, "surprise"),
        ({"temperatures": [1.0]}, "temperatures"),
        ({"temperatures": [1.0, 0.0, 1.0]}, "temperatures"),
        ({"rules": {"back_off": 0.2, "novelty": 1.0}}, "back_off"),
        ({"rules": {"back_off": 0.5}}, "novelty"),
        ({"training_prior": {"MAL": 1.0}}, "training_prior that cannot be used"),
        ({"training_prior": [1.0]}, "training_prior that cannot be used"),
        ({"files": {"../weights.safetensors": "0"}}, "a wrong list of files in bundle/bundle.json"),
        (
            {"network": {"encoder": {"n_hidden": 9}}},
            r"of the network as .* where .* belongs in bundle/weights.safetensors",
        ),
        ({"network": {"encoder": {"wings": 2}}}, "wings"),
        ({"staging": {"shape": {}, "support": {}}}, "KeyError"),
        ({"staging": None}, "a stage that bundle.json does not have"),
        ({"genes": {"n_genes": 3, "digest": "0"}}, "genes.tsv"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder, change, message):
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_bundle_that_judged_one_output_only_is_refused(folder):
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    del content["staging"]["support"]["without neutrophils"]
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="without neutrophils"):
        load_bundle(folder)


@pytest.mark.parametrize("change", [{"MAL": 0.0}, {"MAL": 0.9}, {"UNKNOWN": 0.1}])
def test_a_prior_that_does_not_fit_is_refused(folder, change):
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    content["training_prior"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="training_prior"):
        load_bundle(folder)


def test_text_that_is_no_json_is_refused(folder):
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="not JSON"):
        load_bundle(folder)


def test_weights_that_are_not_finite_are_refused(bundle, tmp_path):
    with torch.no_grad():
        bundle.network.cell_type_head.members[0][2].bias[0] = float("nan")
    save_bundle(bundle, tmp_path / "bad")
    with pytest.raises(BundleError, match="not finite"):
        load_bundle(tmp_path / "bad")


def test_a_bundle_of_this_format_written_long_ago_says_what_it_said_then(make_batch):
    bundle = load_bundle(GOLDEN / "format_6")
    counts = np.zeros((3, 36))
    counts[0, :12], counts[1, 12:24], counts[2, 24:] = np.arange(1, 13), 7, 40 * np.arange(12)
    predictor = Predictor(bundle, device="cpu", n_samples=1)
    found = predictor.predict(make_batch(counts))
    np.testing.assert_allclose(found.latent[:, 0], [1.066625, -0.457843, -0.040360], atol=1e-4)
    np.testing.assert_allclose(found.probabilities.max(1), [0.127784, 0.275759, 0.183763], atol=1e-4)
    assert found.probabilities.argmax(1).tolist() == [3, 0, 0]
    np.testing.assert_allclose(found.novelty, [4.47579, 4.91842, 7.81615], atol=1e-2)
    levels = predictor.stages()["all"].at_least.numpy()
    np.testing.assert_allclose(levels, [[0.9962, 0.9779, 0.8921, 0.6088, 0.0]], atol=1e-3)


def test_a_bundle_of_an_earlier_format_is_refused_by_name():
    with pytest.raises(
        BundleError, match=r"reads bundles of format 6: got format 5 in format_5/bundle.json. Train it again"
    ):
        load_bundle(GOLDEN / "format_5")


@pytest.mark.parametrize(
    ("put", "text"),
    [
        (os.mkfifo, "something that is no file"),
        (Path.mkdir, "something that is no file"),
        (lambda path: path.symlink_to("/etc/hostname"), "a link"),
    ],
)
def test_what_is_no_plain_file_is_refused_unopened(folder, put, text):
    for name in ("bundle.json", "weights.safetensors", "genes.tsv"):
        (folder / name).unlink()
        put(folder / name)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert str(caught.value).startswith("3 faults, ")
    assert str(caught.value).count(text) == 3


def test_an_entry_that_stands_twice_is_refused(folder):
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace('"format"', '"format": 5, "format"', 1))
    with pytest.raises(BundleError, match="an entry that stands twice: 'format'"):
        load_bundle(folder)


def test_a_metric_that_is_not_known_is_written_as_json_has_it_and_read_again(bundle, tmp_path):
    object.__setattr__(bundle, "metrics", {"val/cell_type/ece": float("nan")})
    save_bundle(bundle, tmp_path / "bundle")
    assert json.loads((tmp_path / "bundle/bundle.json").read_text())["metrics"] == {"val/cell_type/ece": None}
    assert np.isnan(load_bundle(tmp_path / "bundle").metrics["val/cell_type/ece"])


def test_a_network_that_the_weights_cannot_fill_is_refused_before_it_is_made(folder):
    path = folder / "bundle.json"
    for change in ({"n_hidden": 2**40}, {"n_blocks": 10**9}, {"n_members": 10**9}):
        content = json.loads(path.read_text())
        content["network"]["encoder"] |= change
        path.write_text(json.dumps(content))
        with pytest.raises(BundleError, match="weights or more, where there are"):
            load_bundle(folder)


def test_tensors_of_another_number_type_are_refused(bundle, tmp_path):
    bundle.network.half()
    save_bundle(bundle, tmp_path / "half")
    with pytest.raises(BundleError, match=r"as float16 \(.* where float32 \(.* belongs in half/weights.safetensors"):
        load_bundle(tmp_path / "half")
