"""Evidence on the stage of samples, made up."""

import numpy as np

from schema.predictions import LOG_ODDS
from scoring.stages import CellEvidence, OutputEvidence


def made_evidence(at_least, log_odds, refusal=""):
    """Evidence of a ridge head, that names the first row of each sample as its heaviest cell."""
    n = len(at_least)
    first, nothing = np.arange(n), np.zeros(n, dtype=np.int64)
    cells = CellEvidence(LOG_ODDS, first, 100 * first, nothing, np.full(n, 0.25), np.full(n, 0.01))
    return OutputEvidence(at_least, log_odds, np.zeros_like(log_odds), cells, np.full(n, 500.0), refusal)
