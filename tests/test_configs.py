"""Every YAML in configs/ parses, and options that do not exist are refused."""

from pathlib import Path

import pytest

from predict import PredictConfig
from schema.command import parse_config
from schema.errors import UsageError
from schema.labels import CellOntology
from train import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
TRAINING = sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("configs/experiment/*.yaml")])
TRAINING = [path for path in TRAINING if path.name not in {"predict.yaml"} and not path.name.startswith("ontology")]


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_training_configs_parse(path, tmp_path):
    config = parse_config(TrainConfig, ["--config", str(path), "--output", str(tmp_path)])
    assert isinstance(config, TrainConfig)
    assert config.output == tmp_path


def test_the_prediction_config_parses():
    arguments = ["in.h5ad", "--config", str(ROOT / "configs/predict.yaml"), "--bundle", "b", "--output", "o"]
    config = parse_config(PredictConfig, arguments, positional="input")
    assert (config.input.name, config.bundle.name, config.output.name) == ("in.h5ad", "b", "o")


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/ontology*.yaml")), ids=lambda path: path.stem)
def test_label_trees_load(path):
    assert len(CellOntology.load(path).nodes) > len(CellOntology.load().nodes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "o", "--data.batch_size", "many"], "batch_size"),
        (["--output", "o", "--data.batchsize", "3"], "batchsize"),
        ([], "output"),
        (["--output", "o", "--data.batch_size", "0"], "batch_size=0"),
        (["--output", "o", "--network.encoder.dropout", "1"], "dropout"),
        (["--output", "o", "--tracking.mode", "loud"], "mode"),
    ],
)
def test_wrong_options_are_one_usage_error(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse_config(TrainConfig, arguments)


def test_several_files_are_a_list():
    arguments = ["--output", "o", "--data.files", "[a.h5ad, b.zarr]", "--split.test_donors", "[m1, m2]"]
    config = parse_config(TrainConfig, arguments)
    assert config.data.files == ("a.h5ad", "b.zarr")
    assert config.split.test_donors == ("m1", "m2")
