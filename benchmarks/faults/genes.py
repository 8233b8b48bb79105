"""Names of genes that hardly meet those of the bundle, or meet them in odd ways."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.faults.edits import written
from benchmarks.faults.fault import Expected, Fault, answers, refused, same

Names = list[str]


def _fault(name: str, change: Callable[[ad.AnnData], ad.AnnData | None], expected: Expected) -> Fault:
    return Fault(row="genes", name=name, make=written(change), expected=expected)


def _named(change: Callable[[Names], Names], *, ids: bool = False) -> Callable[[ad.AnnData], None]:
    """Rename the index of var; ids are kept beside it, or taken out."""

    def changed(adata: ad.AnnData) -> None:
        adata.var_names = pd.Index(change(list(adata.var_names)), dtype=object)
        if not ids:
            del adata.var["gene_id"]

    return changed


def _share(percent: float) -> Callable[[Names], Names]:
    """Keep the names of some genes and make up those of the others."""

    def change(names: Names) -> Names:
        n = round(len(names) * percent / 100)
        return names[:n] + [f"Unheard{number}" for number in range(len(names) - n)]

    return change


def _by_id(suffix: str = "", *, symbols: bool = True) -> Callable[[ad.AnnData], None]:
    """Take Ensembl ids for the index, with symbols beside them or without."""

    def changed(adata: ad.AnnData) -> None:
        if symbols:
            adata.var["gene_symbol"] = adata.var_names
        adata.var_names = pd.Index([f"{gene}{suffix}" for gene in adata.var["gene_id"]], dtype=object)
        del adata.var["gene_id"]

    return changed


def _numbered(adata: ad.AnnData) -> None:
    adata.var["gene_symbol"] = adata.var_names
    adata.var_names = pd.Index([str(number) for number in range(adata.n_vars)], dtype=object)
    del adata.var["gene_id"]


def _split_genes(adata: ad.AnnData) -> ad.AnnData:
    """Count each gene in two columns of the same name, whose sums are the counts."""
    whole = adata.X.tocsc()
    half = whole.copy()
    half.data = np.floor(half.data / 2)
    var = pd.DataFrame(index=pd.Index([*adata.var_names, *adata.var_names], dtype=object))
    return ad.AnnData(sp.hstack([half, whole - half]).tocsr(), obs=adata.obs, var=var)


def _two_genomes(adata: ad.AnnData) -> ad.AnnData:
    names = [f"mm10_{name}" for name in adata.var_names] + [f"GRCh38_{name.upper()}" for name in adata.var_names]
    return ad.AnnData(sp.hstack([adata.X, adata.X]).tocsr(), obs=adata.obs, var=pd.DataFrame(index=names))


def _dates(names: Names) -> Names:
    spoilt = ["1-Mar", "2-Mar", "1-Sep", "2-Sep", "1-Dec", "2023-03-01 00:00:00"]
    return [*names[: len(names) - len(spoilt)], *spoilt]


def _transposed(adata: ad.AnnData) -> ad.AnnData:
    return adata.T.copy()


def _antibodies(adata: ad.AnnData) -> ad.AnnData:
    tags = sp.csr_matrix(np.random.default_rng(0).poisson(50, (adata.n_obs, 20)).astype(np.float32))
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * adata.n_vars + ["Antibody Capture"] * 20},
        index=[*adata.var_names, *(f"CD{number}-TotalSeqB" for number in range(20))],
    )
    return ad.AnnData(sp.hstack([adata.X, tags]).tocsr(), obs=adata.obs, var=var)


def _antibodies_alone(adata: ad.AnnData) -> ad.AnnData:
    made = adata[:, :30].copy()
    made.var["feature_types"] = "Antibody Capture"
    made.var_names = [f"CD{number}-TotalSeqB" for number in range(30)]
    return made


def _extra(adata: ad.AnnData) -> ad.AnnData:
    more = sp.csr_matrix((adata.n_obs, 300), dtype=np.float32)
    names = [*adata.var_names, *(f"Gm{number}" for number in range(300))]
    return ad.AnnData(sp.hstack([adata.X, more]).tocsr(), obs=adata.obs, var=pd.DataFrame(index=names))


_ENOUGH = "enough of the bundle's genes"

FAULTS = [
    _fault("none in common", _named(_share(0)), refused(_ENOUGH, "0.0%")),
    _fault("1 % in common", _named(_share(1)), refused(_ENOUGH, "7 of ")),
    _fault("9 % in common", _named(_share(9)), refused(_ENOUGH, "(8.9%)")),
    _fault("30 % in common", _named(_share(30)), answers("few of the bundle's genes")),
    _fault("45 % in common", _named(_share(45)), answers("few of the bundle's genes")),
    _fault("lower case", _named(lambda names: [name.lower() for name in names]), refused("mouse or human symbols")),
    _fault("upper case, taken for human", _named(lambda names: [name.upper() for name in names]), answers("human")),
    _fault("Ensembl ids with symbols beside", _by_id(), same("(100.0%)")),
    _fault("Ensembl ids with versions", _by_id(".12"), same("(100.0%)")),
    _fault("Ensembl ids alone", _by_id(symbols=False), same("Ensembl id")),
    _fault("numbers with symbols beside", _numbered, same("by symbol")),
    _fault("numbers alone", _named(lambda names: [str(number) for number in range(len(names))]), refused("symbols or")),
    _fault("empty names", _named(lambda names: [""] * len(names)), refused("var")),
    _fault("all of one name", _named(lambda names: ["Cxcr2"] * len(names)), refused(_ENOUGH)),
    _fault("spaces around names", _named(lambda names: [f" {name} " for name in names]), same("(100.0%)")),
    _fault("a prefix of the genome", _named(lambda names: [f"mm10___{name}" for name in names]), same("(100.0%)")),
    _fault("duplicate names, made unique", _named(lambda names: [*names[:-1], f"{names[0]}-1"]), answers("(99.9%)")),
    _fault("duplicate names", _split_genes, same("(100.0%)")),
    _fault("two genomes", _two_genomes, refused("one species")),
    _fault("dates of a spreadsheet", _named(_dates), answers("6 genes are named like dates")),
    _fault("genes as cells", _transposed, refused("Transpose it")),
    _fault("antibodies among genes", _antibodies, same("(100.0%)")),
    _fault("antibodies alone", _antibodies_alone, refused("there must be genes", "Antibody Capture alone")),
    _fault("300 more genes", _extra, same("(100.0%)")),
    _fault("genes of a plant", _named(lambda names: [f"AT1G{n:05d}" for n in range(len(names))]), refused("genes")),
    _fault(
        "genes of zebrafish", _named(lambda names: [f"ENSDARG{n:011d}" for n in range(len(names))]), refused("genes")
    ),
]
