"""`mlrek.compare`: two versions, paired image by image, as people hold it in Python."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mlrek.api.evaluated import EvaluatedVersion, frame_page, objects
from mlrek.api.given import Place, check_text
from mlrek.api.reading import refer
from mlrek.comparison import (
    Comparison,
    Difference,
    ImageChange,
    SliceDifference,
    TestSets,
    Why,
)
from mlrek.comparison.compare import CompareSettings
from mlrek.errors import EvaluationError
from mlrek.evaluation import Doubt, Task
from mlrek.figures import draw_difference
from mlrek.promotion.compare import (
    Compared,
    build_compared_json,
    compare_references,
    load_label_map,
)
from mlrek.promotion.keeping import render_comparison
from mlrek.render import null_undefined
from mlrek.render.comparison import find_headline
from mlrek.sources import AwsOptions
from mlrek.text import escape_unprintable, fmt
from mlrek.tracking.connection import connect_for_reading, keep_loggers

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

_NUMBERS: Final = ("baseline", "candidate", "difference", "low", "high", "p", "p_adjusted")
_WORDS: Final = ("judgement", "reason")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ComparedVersions:
    """Two versions, paired image by image: what `mlrek.compare` gives.

    It cannot be changed and is safe in threads; every table is made anew where it is asked for.
    Shown in a notebook it is the page of the comparison. Differences are candidate minus baseline.

    Attributes:
        compared: Both evaluations with their comparison, as `mlrek.promotion` has them.
    """

    compared: Compared

    @property
    def comparison(self) -> Comparison:
        """All of it, as `mlrek.comparison` has it."""
        return self.compared.comparisons[0]

    @property
    def baseline(self) -> str:
        """The name of the version that is compared with."""
        return self.comparison.baseline.name

    @property
    def candidate(self) -> str:
        """The name of the version that is compared."""
        return self.comparison.candidate.name

    @property
    def verdict(self) -> str:
        """Whether they have one test set: `same`, `overlapping` or `disjoint`."""
        return self.comparison.test_sets.verdict.value

    @property
    def judgement(self) -> str:
        """What the first headline number says of the candidate.

        `better`, `worse`, `undecided` or `unchanged`; `undecided` too where there is no number.
        """
        headline = find_headline(self.comparison)
        return headline.judgement.value if headline else "undecided"

    @property
    def test_set(self) -> TestSets:
        """How many images are shared, and how many only one side has, or another truth."""
        return self.comparison.test_sets

    @property
    def metrics(self) -> "DataFrame":
        """A row for each number of all labels together.

        Columns: `name` and `scope` (str; `whole`: all test images of each version, `shared`: those
        that both have); `baseline`, `candidate`, `difference`, `low`, `high` (float64; the ends of
        the 95 % interval of the difference), `p` and `p_adjusted` (float64, 0 to 1), NaN where
        undefined; `judgement` (str: `better`, `worse`, `undecided`, `unchanged`) and `reason` (str,
        why something is missing, '' where nothing is).
        """
        whole = [d for d in self.comparison.differences if not d.label]
        return _list_differences(whole, ("name", "scope"))

    @property
    def labels(self) -> "DataFrame":
        """A row for each number of each label: the columns of `metrics`, and `label` (str)."""
        own = [d for d in self.comparison.differences if d.label]
        return _list_differences(own, ("name", "label", "scope"))

    @property
    def slices(self) -> "DataFrame":
        """A row for each slice of the shared images, those that got worse first.

        Columns: `slice` (str: `site=A`); `same_images` (list of str: slices that hold the very same
        images); `images` (int64); `score_name` (str: the number that each is judged by) and, of
        it, `baseline`, `candidate`, `difference`, `low`, `high`, `p`, `p_adjusted` (after Holm over
        all slices; float64, NaN where undefined); of each headline number of the task, where it was
        computed, `accuracy_baseline`, `…_candidate`, `…_low`, `…_high`; `judgement`, `part_of`
        (str: the slice that it tells the same as, '' for none) and `reason`. Labels are in
        `labels`.
        """
        return _list_slices(self.comparison.slices)

    @property
    def fixed(self) -> "DataFrame":
        """A row for each shared image that only the candidate has right.

        Columns: `image` (str); `truth`, `baseline` and `candidate` (str or None: what is true, and
        what each version answered; lists of str where an image may have several);
        `baseline_confidence` and `candidate_confidence` (float64, 0 to 1, NaN where there is none).
        """
        return self._list_changes("fixed")

    @property
    def broken(self) -> "DataFrame":
        """A row for each shared image that only the baseline has right; columns as of `fixed`."""
        return self._list_changes("broken")

    @property
    def changed(self) -> "DataFrame":
        """A row for each shared image that both have wrong in different ways, as `fixed`."""
        return self._list_changes("changed")

    @property
    def why(self) -> Mapping[str, Why]:
        """Why each headline number moved: parts that add up to `total`, in its own unit.

        By the number's name, with `label_set`, `test_set`, `relabelled`, `model`, `threshold`,
        `unexplained` and `total` (floats, NaN where it cannot be told), `intervals` and `note`.
        """
        return MappingProxyType(dict(self.comparison.why))

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens the numbers of either side, or the comparison."""
        return self.comparison.doubts

    @property
    def warnings(self) -> tuple[str, ...]:
        """Further remarks, one line each."""
        return self.comparison.warnings

    def report(self) -> str:
        """The page of the comparison as one self-contained HTML document.

        The same as `mlrek compare --html`.
        """
        return render_comparison(self.compared).decode("utf-8")

    def plot_confusion_difference(self) -> "Figure":
        """Heat map of what changed in the confusion matrix on shared images.

        Raises:
            EvaluationError: There is no matrix of such versions.
        """
        figure = draw_difference(self.comparison, self.compared.drawn_labels)
        if figure is None:
            raise EvaluationError(f"{self.candidate}: there is no confusion matrix to compare")
        return figure

    def to_dict(self) -> dict[str, Any]:
        """The same document as `mlrek compare --no-log --json`; None for what is undefined."""
        document: dict[str, Any] = null_undefined(build_compared_json(self.compared))
        return document

    def _list_changes(self, kind: str) -> "DataFrame":
        from pandas import DataFrame, Series

        changes: Sequence[ImageChange] = getattr(self.comparison, kind)
        spell = _spell_one if self.comparison.task is Task.CLASSIFICATION else list
        columns = {
            "image": objects(change.image for change in changes),
            "truth": objects(spell(change.truth) for change in changes),
        }
        answers = {
            "baseline": [change.baseline for change in changes],
            "candidate": [change.candidate for change in changes],
        }
        columns |= {
            side: objects(spell(one.labels) for one in found) for side, found in answers.items()
        }
        columns |= {
            f"{side}_confidence": Series([one.confidence for one in found], dtype="float64")
            for side, found in answers.items()
        }
        return DataFrame(columns)

    def __repr__(self) -> str:
        headline = find_headline(self.comparison)
        said = ""
        if headline is not None:
            change = fmt(headline.difference, signed=True)
            said = f", {headline.name} {change} ({headline.judgement.value})"
        pair = escape_unprintable(f"{self.candidate} against {self.baseline}")
        return f"<ComparedVersions {pair}: {self.verdict} test set{said}>"

    def _repr_html_(self) -> str:
        return frame_page(self.report())


def compare(  # noqa: PLR0913 - each is a word of its caller
    baseline: Place | EvaluatedVersion,
    candidate: Place | EvaluatedVersion,
    *,
    group_by: str | None = None,
    label_map: Mapping[str, str] | Place | None = None,
    tracking_uri: str | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> ComparedVersions:
    """Compare two versions, paired image by image. Nothing is written.

    >>> import mlrek
    >>> c = mlrek.compare("examples/digits#v1-naive-bayes", "examples/digits#v2-linear")
    >>> c.verdict, c.judgement, len(c.fixed), len(c.broken)
    ('same', 'better', 91, 14)
    >>> row = c.metrics.query("name == 'aggregate/accuracy' and scope == 'shared'").iloc[0]
    >>> f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
    '+0.102 (+0.077 to +0.129)'

    Args:
        baseline: A VERSION (see `mlrek.read`), or what `read` or `evaluate` gave.
        candidate: The same.
        group_by: A regular expression on image URIs whose first group names the object that is
            shown; objects are then the unit of every interval.
        label_map: New label names by old ones, or the place of a file that holds them.
        tracking_uri: The MLflow store of runs and models; None: as MLflow itself has it.
        region: The AWS region; None: that of the ARN, else your own.
        profile: The AWS profile; None: `AWS_PROFILE`.

    Raises:
        IncomparableError: They do different things, or one has no record of its images.
        UsageError: A VERSION names none, or several; `group_by` is no regular expression.
        SourceError: An evaluation cannot be read.
        TrackingError: MLflow cannot be reached, or has no such run, model or alias.
    """
    aws = AwsOptions(region=region or "", profile=profile or "")
    settings = CompareSettings(slices=True, group_by=group_by or "", label_map=_read_map(label_map))
    versions = [refer("baseline", baseline), refer("candidate", candidate)]
    open_store = partial(connect_for_reading, tracking_uri or "")
    with keep_loggers():
        return ComparedVersions(compared=compare_references(versions, aws, open_store, settings))


def _read_map(label_map: Mapping[str, str] | Place | None) -> Mapping[str, str]:
    if label_map is None or isinstance(label_map, Mapping):
        return dict(label_map or {})
    return load_label_map(check_text("label_map", label_map))


def _spell_one(labels: Sequence[str]) -> str | None:
    return labels[0] if labels else None


def _list_slices(found: Sequence[SliceDifference]) -> "DataFrame":
    from pandas import DataFrame, Series

    scores = [row.score for row in found]
    columns = {
        "slice": objects(row.name for row in found),
        "same_images": objects([*row.names[1:]] for row in found),
        "images": Series([len(row.images) for row in found], dtype="int64"),
        "score_name": objects(score.name for score in scores),
    }
    columns |= {
        name: Series([getattr(score, name) for score in scores], dtype="float64")
        for name in _NUMBERS
    }
    numbers = [{number.name: number for number in row.numbers} for row in found]
    for name in dict.fromkeys(name for row in numbers for name in row):
        for part in ("baseline", "candidate", "low", "high"):
            values = [getattr(row[name], part) if name in row else nan for row in numbers]
            short = name.removeprefix("aggregate/")
            columns[f"{short}_{part}"] = Series(values, dtype="float64")
    columns["judgement"] = objects(score.judgement.value for score in scores)
    columns["part_of"] = objects(row.part_of for row in found)
    columns["reason"] = objects(score.reason for score in scores)
    return DataFrame(columns)


def _list_differences(found: Sequence[Difference], names: Iterable[str]) -> "DataFrame":
    from pandas import DataFrame, Series

    columns = {name: objects(str(getattr(d, name)) for d in found) for name in names}
    columns |= {
        name: Series([getattr(d, name) for d in found], dtype="float64") for name in _NUMBERS
    }
    columns |= {name: objects(str(getattr(d, name)) for d in found) for name in _WORDS}
    return DataFrame(columns)
