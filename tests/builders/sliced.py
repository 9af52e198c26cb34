"""Versions whose images have a site, and decisions on their slices."""

from dataclasses import replace

import numpy as np
from builders.evaluations import build_evaluation

from mlrek.evaluation import Provider, SliceColumn, Version
from mlrek.policy.parsing import parse_policy
from mlrek.promotion import Referred
from mlrek.promotion.check import decide_again

LABELS = ("a", "b")


def make_sites(sizes, right, *, name="v2", lost=(), column="site", folder="s3://b"):
    """A version with so many images of each site, of which so many are right.

    Labels alternate; the wrong images of a site are its last ones. Images of `lost` sites have no
    truth.
    """
    truth, records, images, sites = [], [], [], []
    for site, n in sizes.items():
        for i in range(n):
            true = i % 2
            said = true if i < right[site] else 1 - true
            truth.append([] if site in lost else [true])
            records.append([(said, 0.6 + 0.3 * ((i * 7) % 11) / 11)])
            images.append(f"{folder}/{site}/{name_place(i)}.png")
            sites.append(site)
    evaluation = build_evaluation(
        truth, records, labels=LABELS, images=images, provider=Provider.CUSTOM
    )
    version = Version(project=evaluation.version.project, arn=f"arn:{name}", name=name)
    return Referred(evaluation=with_column(replace(evaluation, version=version), column, sites))


def name_place(i: int) -> str:
    """Letters alone, so that no trailing number groups images."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{i:04d}")


def with_column(evaluation, name, values):
    """The evaluation with a further column of texts; None for no value."""
    distinct = tuple(sorted({value for value in values if value is not None}))
    codes = np.array([-1 if value is None else distinct.index(value) for value in values])
    column = SliceColumn(name=name, values=distinct, codes=codes)
    return replace(evaluation, slice_columns=(*evaluation.slice_columns, column))


def with_sites(referred: Referred, values, name="site") -> Referred:
    """The version with other values of its column."""
    bare = replace(referred.evaluation, slice_columns=())
    return replace(referred, evaluation=with_column(bare, name, values))


def without_columns(referred: Referred) -> Referred:
    """The version without any column."""
    return replace(referred, evaluation=replace(referred.evaluation, slice_columns=()))


def decide_slices(toml: str, candidate: Referred, baseline: Referred | None = None):
    """The decision from evaluations alone; without a baseline it is the first promotion."""
    return decide_again(
        parse_policy(toml, baseline="models:/m@champion"), candidate, baseline, None
    )
