"""What is asked of every method: which cells train, which are tested, and what is resampled for the intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cells_cohort import Cohort, CohortConfig
from benchmarks.measure import ROOT
from benchmarks.real_mice import NETWORK, TRAINING_SETS, mouse_folds, training_on
from benchmarks.runs import DRAWS_NOTHING, Training
from benchmarks.studies import OTHER_MOUSE, ZILIONIS_HUMAN, ZILIONIS_MOUSE

METHODS = (NETWORK, "majority", "logistic", "pca_logistic", "mlp", "celltypist", "scanvi")
WITHOUT_PEERS, FEW_METHODS = METHODS[:-2], (NETWORK, "logistic")
OF_LATER_SEEDS = tuple(name for name in WITHOUT_PEERS if name not in DRAWS_NOTHING)
"""What runs on the same real cells with more than one seed; CellTypist and scANVI are left out, for time."""
LEFT_OUT = ("NEUT", "MAL", "ENDO_L", "PERI", "MAC", "T_REG", "PLASMA", "ERY")
"""Types that are unknown in turn: every lineage, common and rare, some with near relatives that stay known."""
SIMULATED_CONFIG, REAL_CONFIG = "configs/experiment/cells_benchmark.yaml", "configs/experiment/cells_real.yaml"
ZILIONIS_TREE = ROOT / "configs" / "ontology_zilionis.yaml"
MICE = (ZILIONIS_MOUSE, *OTHER_MOUSE)
DONORS, STUDY, UNKNOWN, FOLDS, STUDIES, HUMAN = "donors", "study", "left_out", "mice", "studies", "human"
PARTS = (DONORS, STUDY, UNKNOWN, FOLDS, STUDIES, HUMAN)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One training and one test of every method.

    Attributes
    ----------
    part, name, seed
        The question, which case of it, and the seed.
    training
        What methods learn from.
    test, floor_test
        Cells that are predicted; floors read them under the gene names of the training cells.
    group, stratum
        Columns of obs: what is resampled for intervals, and within what.
    tree
        Label tree; None = the project's own.
    methods
        Methods that run.
    """

    part: str
    name: str
    seed: int
    training: Training
    test: Path
    floor_test: Path
    group: str = "donor_id"
    stratum: str = "study"
    tree: Path | None = ZILIONIS_TREE
    methods: tuple[str, ...] = METHODS


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes of a run.

    Attributes
    ----------
    work
        Folder of files and results.
    data
        Folder of real data.
    seeds
        Seeds of cohorts and methods.
    cohort
        Sizes of the simulated cohorts.
    quick
        Whether each part takes only its first case, with few epochs and, but for the first part, few methods.
    """

    work: Path
    data: Path
    seeds: Sequence[int]
    cohort: CohortConfig
    quick: bool = False

    def cohort_of(self, seed: int) -> Cohort:
        """Return the cohort of a seed."""
        return Cohort(self.cohort, seed, self.work)

    @property
    def cells(self) -> Path:
        """Folder of the real files."""
        return self.work / "real"

    @property
    def human_as_mouse(self) -> Path:
        """Human cells under the names of mouse genes."""
        return self.cells / "zilionis_human_as_mouse.h5ad"

    def chosen(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return the settings of a part that are run."""
        if not self.quick:
            return list(settings)
        first = settings[0]
        methods = first.methods if first.part == DONORS else FEW_METHODS
        return [replace(first, training=replace(first.training, max_epochs=2), methods=methods)]


def donors(plan: Plan) -> list[Setting]:
    """Return the cohorts with mice of both studies held out."""
    return plan.chosen([_simulated(plan, DONORS, "both studies", seed) for seed in plan.seeds])


def study(plan: Plan) -> list[Setting]:
    """Return the cohorts with the second study held out, which no training mouse is of."""
    return plan.chosen([_simulated(plan, STUDY, "second study", seed) for seed in plan.seeds])


def left_out(plan: Plan) -> list[Setting]:
    """Return the cohorts without the training cells of one type, seeds taking turns over the types."""
    seeds = [plan.seeds[i % len(plan.seeds)] for i in range(len(LEFT_OUT))]
    return plan.chosen([_simulated(plan, UNKNOWN, name, seed) for name, seed in zip(LEFT_OUT, seeds, strict=True)])


def folds(plan: Plan) -> list[Setting]:
    """Return the four folds of the mice of Zilionis 2019, trained on two mice and tested on two."""
    source, settings = plan.cells / f"{ZILIONIS_MOUSE.name}.h5ad", []
    for fold in mouse_folds():
        test = plan.cells / f"{fold.name}.h5ad"
        for seed in plan.seeds:
            training = training_on(TRAINING_SETS[0], {ZILIONIS_MOUSE.name: source}, fold.test_donors, seed)
            settings.append(_real(plan, FOLDS, fold.name, training, test, group="sample_id", stratum="donor_id"))
    return plan.chosen(settings)


def studies(plan: Plan) -> list[Setting]:
    """Return each labelled mouse study held out in turn, labels no finer than types."""
    files, settings = {s.name: plan.cells / f"types_{s.name}.h5ad" for s in MICE}, []
    for held_out in MICE:
        for seed in plan.seeds:
            others = tuple(path for name, path in files.items() if name != held_out.name)
            training = Training(files=others, max_epochs=8, batch_size=128, seed=seed)
            settings.append(_real(plan, STUDIES, held_out.name, training, files[held_out.name], group="sample_id"))
    return plan.chosen(settings)


def human(plan: Plan) -> list[Setting]:
    """Return all labelled mouse cells as training, and human lung tumours as test, through the symbol rule."""
    files = {s.name: plan.cells / f"{s.name}.h5ad" for s in (*MICE, ZILIONIS_HUMAN)}
    test, renamed = files[ZILIONIS_HUMAN.name], plan.human_as_mouse
    trained = [training_on(TRAINING_SETS[-1], files, (), seed) for seed in plan.seeds]
    return plan.chosen([_real(plan, HUMAN, ZILIONIS_HUMAN.name, one, test, renamed) for one in trained])


SETTINGS: dict[str, Callable[[Plan], list[Setting]]] = dict(
    zip(PARTS, (donors, study, left_out, folds, studies, human), strict=True)
)


def _simulated(plan: Plan, part: str, name: str, seed: int) -> Setting:
    cohort = plan.cohort_of(seed)
    files = {DONORS: cohort.training, STUDY: cohort.first_study}
    test = cohort.second_study if part == STUDY else cohort.held_out
    return Setting(
        part=part,
        name=name,
        seed=seed,
        training=Training(files=(files.get(part, cohort.without(name)),), seed=seed, config=SIMULATED_CONFIG),
        test=test,
        floor_test=test,
        tree=None,
        methods=WITHOUT_PEERS if part == UNKNOWN else METHODS,
    )


def _real(
    plan: Plan,
    part: str,
    name: str,
    training: Training,
    test: Path,
    floor_test: Path | None = None,
    *,
    group: str = "donor_id",
    stratum: str = "study",
) -> Setting:
    return Setting(
        part=part,
        name=name,
        seed=training.seed,
        training=replace(training, config=REAL_CONFIG),
        test=test,
        floor_test=floor_test or test,
        group=group,
        stratum=stratum,
        methods=METHODS if training.seed == plan.seeds[0] else OF_LATER_SEEDS,
    )
