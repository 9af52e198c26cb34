"""Literal candidates, opponents and comparisons for the gate."""

from dataclasses import dataclass
from math import nan

from mlrek.comparison import Comparison, Difference, Leakage, Scope, TestSets, Verdict
from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.policy import (
    Candidate,
    Decision,
    Figure,
    Metric,
    Numbers,
    Opponent,
    TestImages,
    VersionIdentity,
)
from mlrek.policy.deciding import decide
from mlrek.policy.parsing import parse_policy

PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:p", name="p")
F1 = "aggregate/f1_macro"


@dataclass(frozen=True)
class Interval:
    """Evidence whose interval is the difference ± z · standard error, z from a short table."""

    difference: float
    standard_error: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Wider for more confidence."""
        z = {0.5: 0.6745, 0.8: 1.2816, 0.9: 1.6449, 0.95: 1.96, 0.99: 2.5758}[confidence]
        return (
            self.difference - z * self.standard_error,
            self.difference + z * self.standard_error,
        )


@dataclass(frozen=True)
class Fixed:
    """Evidence with the same interval at every confidence."""

    low: float
    high: float
    standard_error: float = 0.01

    def interval(self, confidence: float) -> tuple[float, float]:
        """As it was given."""
        return self.low, self.high


def make_difference(
    low=nan,
    high=nan,
    *,
    name=F1,
    label="",
    baseline=0.9,
    candidate=None,
    scope=Scope.SHARED,
    evidence=None,
    reason="",
) -> Difference:
    """A difference with an interval; without a candidate's value it is in the interval's middle."""
    value = baseline + (low + high) / 2 if candidate is None else candidate
    return Difference(
        name=name,
        scope=scope,
        label=label,
        baseline=baseline,
        candidate=value,
        reason=reason,
        evidence=evidence or Fixed(low, high),
    )


def make_comparison(
    *differences, verdict=Verdict.SAME, shared=500, relabelled=0, labels=("a",), doubts=()
):
    """Two versions of a project."""
    return Comparison(
        baseline=Version(project=PROJECT, arn="arn:v1", name="v1"),
        candidate=Version(project=PROJECT, arn="arn:v2", name="v2"),
        task=Task.CLASSIFICATION,
        labels=labels,
        test_sets=TestSets(
            verdict=verdict,
            shared=shared,
            only_baseline=0 if verdict == Verdict.SAME else 40,
            only_candidate=0 if verdict == Verdict.SAME else 30,
            relabelled=relabelled,
            duplicated=0,
        ),
        differences=differences,
        doubts=tuple(doubts),
    )


def make_candidate(
    figures=None,
    *,
    labels=("a", "b"),
    total=500,
    per_label=None,
    leakage=None,
    at=None,
    doubts=(),
    **changed,
) -> Candidate:
    """A candidate; `at` are its figures at any confidence other than 0.95."""
    numbers = make_numbers(figures or {F1: Figure(value=0.9, low=0.88, high=0.92)}, labels)
    other = make_numbers(at, labels) if at else numbers
    return Candidate(
        identity=VersionIdentity(version="v2", version_arn="arn:v2", run_id="r2"),
        numbers=numbers,
        numbers_at=lambda confidence: numbers if confidence == 0.95 else other,
        test_images=TestImages(total=total, per_label=per_label or {"a": 300, "b": 200}),
        leakage=leakage or Leakage(known=True),
        doubts=tuple(doubts),
        **changed,
    )


def make_numbers(figures, labels) -> Numbers:
    """Figures by name; a pair is a name and a label."""
    named = {
        Metric(name=key[0], label=key[1]) if isinstance(key, tuple) else Metric(name=key): figure
        for key, figure in figures.items()
    }
    return Numbers(figures=named, labels=labels)


def make_opponent(comparison=None, **changed) -> Opponent:
    """The baseline v1, compared already."""
    return Opponent(
        identity=VersionIdentity(version="v1", version_arn="arn:v1", run_id="r1"),
        comparison=comparison,
        shared_images=changed.pop("shared_images", None),
        **changed,
    )


def run(toml: str, candidate=None, opponent=None) -> Decision:
    """The decision on a policy; without an opponent it is the first promotion."""
    policy = parse_policy(toml, baseline="models:/m@champion")
    opponent = opponent or Opponent(absent="first promotion: models:/m@champion is not there yet")
    return decide(policy, candidate or make_candidate(), opponent)
