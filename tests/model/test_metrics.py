import numpy as np
import torch
from sklearn.metrics import f1_score

from model.metrics import CellTypeMetrics
from model.tree import LabelTree


def test_type_metrics_equal_scikit_learn(ontology):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(300, len(ontology.leaves)))).float()
    label = torch.from_numpy(rng.integers(-1, len(ontology.nodes), 300))
    logits += 2 * torch.from_numpy(ontology.leaves_below)[label] * (label >= 0)[:, None]
    logits[label < 0, -1] += 5  # calls of the last leaf, which an index of -1 would find right
    tree = LabelTree(ontology)
    metrics = CellTypeMetrics(ontology, "val")
    for part in (slice(0, 100), slice(100, 300)):
        metrics.update(logits[part], label[part], tree)
    got = metrics.compute()
    types = ontology.nodes_at(2)
    mass = np.log(np.exp(logits.double().numpy()) @ ontology.leaves_below.T)
    called, truth = types[mass[:, types].argmax(1)], np.append(ontology.ancestor_at(2), -1)[label.numpy()]
    known = truth >= 0
    assert known.sum() < 300
    expected = f1_score(truth[known], called[known], average="macro", labels=np.union1d(truth[known], called[known]))
    np.testing.assert_allclose(float(got["val/cell_type/f1_macro"]), expected, rtol=1e-5)
    leaf = ontology.leaves[logits.numpy().argmax(1)]
    at_leaf = np.isin(label.numpy(), ontology.leaves)
    finest = f1_score(
        label.numpy()[at_leaf],
        leaf[at_leaf],
        average="macro",
        labels=np.union1d(label.numpy()[at_leaf], leaf[at_leaf]),
    )
    assert (label == -1).any()
    np.testing.assert_allclose(float(got["val/cell_type/f1_macro_finest"]), finest, rtol=1e-5)
    np.testing.assert_allclose(float(got["val/cell_type/accuracy"]), (truth == called)[known].mean(), rtol=1e-5)
