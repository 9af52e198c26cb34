"""One version's evaluation as people hold it in Python: numbers, tables, figures, the page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from mlrek.api.given import check_share
from mlrek.api.sliced import SliceBy, list_slices_by
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Doubt, Evaluation, Task
from mlrek.figures import Choice, draw_figure
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import Metrics, Number, PredictionRule, Predictions
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.numbers import MAIN_SCORES, list_headlines, list_numbers, name_metric
from mlrek.metrics.reported import ReportedAt, reported_at
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import SliceReport
from mlrek.metrics.test_set import count_once, test_set_digest
from mlrek.metrics.thresholds import AtChosenThreshold, compute_at_chosen_threshold
from mlrek.promotion import Referred
from mlrek.render import null_undefined
from mlrek.render.doubts import list_version_remarks, list_warnings, order_doubts
from mlrek.render.labels import display_names, label_columns
from mlrek.render.report import render_report
from mlrek.render.version import build_shown_json, choose_shown
from mlrek.sources import AwsOptions
from mlrek.sources.entries import Source, VersionEntry
from mlrek.text import escape_unprintable, fmt

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

Normalize = Literal["true", "pred", "all"]

_COUNTS: Final = ("tp", "fp", "fn")
_MAX_CLOSE: Final = 3
_PAGE_HEIGHT: Final = 640  # pixels, in a notebook
_NO_TRUTH: Final = "no truth"
_UNDEFINED: Final = "undefined at this threshold: there is nothing to take a share of"
_AXES: Final[Mapping[str, int | None]] = {"true": 1, "pred": 0, "all": None}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NumberMap(Mapping[str, Number]):
    """Numbers by their key, in the order of the documentation; it cannot be changed.

    A key that is not there raises a `KeyError` that names keys with that ending.
    """

    _numbers: Mapping[str, Number]

    def __getitem__(self, key: str) -> Number:
        try:
            return self._numbers[key]
        except KeyError:
            raise KeyError(self._say_missing(key)) from None

    def __contains__(self, key: object) -> bool:
        return key in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        shown = ", ".join(f"{key} {fmt(self[key].value)}" for key in list(self)[:_MAX_CLOSE])
        return f"<{len(self):,} numbers: {shown}{', …' * (len(self) > _MAX_CLOSE)}>"

    def to_frame(self) -> "DataFrame":
        """A row for each number, the index is its key.

        Columns: `value`, `low`, `high` (float64, NaN where undefined) and `reason` (str).
        """
        from pandas import DataFrame, Index

        found = list(self.values())
        columns = {name: [getattr(one, name) for one in found] for name in ("value", "low", "high")}
        frame = DataFrame(columns, dtype="float64")
        frame["reason"] = objects(one.reason for one in found)
        return frame.set_axis(Index(list(self), dtype=object, name="key"))

    def _say_missing(self, key: str) -> str:
        close = [known for known in self._numbers if known.endswith(f"/{key}")][:_MAX_CLOSE]
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        return f"no number {key!r}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ThresholdNumbers(NumberMap):
    """Numbers at one threshold for all labels, without intervals.

    Keys: `precision`, `recall`, `f1` (micro averages, 0 to 1, NaN where undefined), `tp`, `fp` and
    `fn` (counts), and of each label `label_precision/cat`, `label_recall/cat`, `label_f1/cat`,
    `label_tp/cat`, `label_fp/cat`, `label_fn/cat`, `label_support/cat`. `threshold` (0 to 1) is
    the one that was read: of a version whose images are not published the nearest published one.
    `stops_at` says where the published records stop, '' where they do not.
    """

    threshold: float
    stops_at: str = ""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {fmt(self[name].value)}" for name in MAIN_SCORES)
        return f"<at threshold {self.threshold:g}: {shown}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an evaluation was read from, and how, so that it can be logged as `sync` logs it.

    `state` is the identity of its files before they were read.
    """

    source: Source
    entry: VersionEntry
    state: Mapping[str, str]
    skip_bad_lines: bool
    threshold: float
    aws: AwsOptions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class EvaluatedVersion:
    """The evaluation of one version: what `mlrek.read` and `mlrek.evaluate` give.

    It cannot be changed and is safe in threads; every table is made anew where it is asked for, so
    that changing one changes nothing else. Shown in a notebook it is its report page.

    Attributes:
        metrics: Each number by its key as in MLflow, but with raw label names:
            `aggregate/accuracy`, `label_f1/cat`, `at_threshold/…`, `reported/…`, …. Each has
            `value`, `low` and `high` (95 % interval, NaN where there is none) and `reason`, which
            says why an undefined one (NaN) is. All of them, also what a run has no room for.
        referred: The evaluation with the run that it is from, as `mlrek.promotion` has it.
        origin: The source that it was read from, None for a run, or for arrays.
    """

    metrics: NumberMap
    referred: Referred
    origin: Origin | None = None
    _computed: Metrics

    @property
    def evaluation(self) -> Evaluation:
        """What all this is computed from, each image once."""
        return self.referred.evaluation

    @property
    def version(self) -> str:
        """The version's name."""
        return self.evaluation.version.name

    @property
    def version_arn(self) -> str:
        """The version's ARN, or what stands for one."""
        return self.evaluation.version.arn

    @property
    def project(self) -> str:
        """The name of its project."""
        return self.evaluation.version.project.name

    @property
    def run_id(self) -> str | None:
        """The MLflow run that it was read from, None where it was read from elsewhere."""
        return self.referred.run_id or None

    @property
    def task(self) -> str:
        """`classification` (one label an image), `multilabel`, `detection` or `segmentation`."""
        return self._computed.task.value

    @property
    def test_images(self) -> int | None:
        """How many distinct images it was tested on, None where nothing tells."""
        return self._computed.test_images

    @property
    def test_set_digest(self) -> str | None:
        """Equal for two versions exactly when images and truth are; None without images."""
        return test_set_digest(self.evaluation) or None

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens its numbers, those that stop a check first."""
        return order_doubts(list_doubts(self.evaluation, self._computed))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything a reader must know, one line each, the doubts first."""
        return list_warnings(self.evaluation, self._computed)

    @property
    def labels(self) -> "DataFrame":
        """A row for each label, in label order; the index is the label too.

        Columns: `label` (str); `support`, `tp`, `fp`, `fn` (int64: images, boxes or pixels);
        all others float64, NaN where undefined: `precision`, `recall`, `f1`, `ap`, `roc_auc` and
        the ends of their 95 % intervals `…_low`, `…_high`; `threshold`, the provider's assumed
        one; `at_threshold_precision`, `…_recall`, `…_f1`; `reported_precision`, …; segmentation
        also has `iou` and `dice`; where thresholds were fitted on the test set
        `crossfit_precision`, …. The same as `per_label.csv` of a run.
        """
        from pandas import DataFrame, Index

        names = objects(self.evaluation.labels)
        columns = label_columns(self.evaluation, self._computed)
        return DataFrame({"label": names, **columns}).set_axis(Index(names, dtype=object))

    @property
    def predictions(self) -> "DataFrame":
        """What was predicted: a row for each image, of a detection for each box.

        Columns: `image` (str); `truth` and `predicted` (str or None; of several labels an image,
        and of masks, lists of str in label order, None where nothing could be read);
        `confidence` (float64, 0 to 1, NaN where there is none; of several labels a list, one for
        each predicted); `right` (boolean: <NA> for an image without truth).

        Of boxes, found ones and missed: `outcome` (str: `TP`, `FP`, `FN`), `x_min`, `y_min`,
        `x_max`, `y_max` (float64, pixels where the size of the image is known, else shares) and
        `error` (str, the kind of a mistake, '' for none).

        Raises:
            EvaluationError: The provider published no record of its images.
        """
        found = self._computed.predictions
        if found is None:
            raise EvaluationError(f"{self.version}: nothing is published of single images")
        if self.evaluation.task in {Task.MULTILABEL, Task.SEGMENTATION}:
            return _list_images(self.evaluation, found)
        return _list_rows(self.evaluation, found)

    def slices(self, by: SliceBy = None) -> "DataFrame":
        """Where it is weak: a row for each slice of the test images, worst first, then for pairs.

        A slice is the images with one value of a column: of the columns that files tell (a site, a
        camera), of the true `label`, of `box_size` and `image_size`. One with fewer than 20 images
        is left out. The same rows as in `slices.csv` of a run and `mlrek show --slices --json`.

        >>> import mlrek
        >>> ev = mlrek.read("examples/digits#v1-naive-bayes")
        >>> worst = ev.slices(by="label").iloc[0]
        >>> f"{worst['slice']}: {worst['difference']:+.3f}, {worst['judgement']}"
        'label=eight: -0.267, worse'

        Columns: `family` (str: `single`, or `pair` for the common images of two); `column`,
        `value` and `slice` (str: `site`, `A`, `site=A`); `same_images` (list of str: slices that
        hold the very same images); `images` (int64); each headline number of the task and the ends
        of its 95 % interval, as `accuracy`, `accuracy_low`, `accuracy_high`; `score_name` (str),
        what slices are compared by, `score`, `rest` (that of all other images), `difference`,
        `low`, `high` (of its 95 % interval), `p` and `p_adjusted` (after Holm over the family), all
        float64, NaN where undefined; `judgement` (str: `worse`, `better`, `undecided`), `part_of`
        (str: the slice that it tells the same as, '' for none) and `reason` (str).

        Args:
            by: The name of a column, or several; None for all. Or columns of your own, as a frame
                or a dict: `{"site": values}` with a value for each image in the order of
                `predictions` (None or NaN for none), or by the images' names (a dict, or a Series
                with them as its index); `{"site": "REGEX"}` reads it from the images' names, the
                first group of what is found.

        Raises:
            UsageError: There is no such column, or the text is no regular expression.
            EvaluationError: The provider published no record of its images; values are of another
                number than the images, or of none of them.
        """
        return list_slices_by(self.evaluation, self._computed, self.referred.prediction_rule, by)

    def confusion_matrix(self, normalize: Normalize | None = None) -> "DataFrame":
        """The confusion matrix, rows true, columns predicted, labels in label order.

        `(none)` and `(background)` are there where something was not predicted, or is not true.

        Args:
            normalize: None for counts (int64); for shares (float64) `"true"` of the row, `"pred"`
                of the column, `"all"` of everything. A share of nothing is 0, as scikit-learn's.

        Raises:
            EvaluationError: There is no matrix of such a version.
            UsageError: `normalize` is something else.
        """
        from pandas import DataFrame, Index

        confusion = self._computed.confusion
        if normalize is not None and normalize not in _AXES:
            raise UsageError(f"normalize: {normalize!r} is none of None, 'true', 'pred', 'all'")
        if confusion is None:
            raise EvaluationError(f"{self.version}: what is published allows no confusion matrix")
        n = len(self._computed.labels)
        rows, columns = (display_names(names, n) for names in (confusion.rows, confusion.columns))
        return DataFrame(
            _normalize(confusion.counts, normalize),
            index=Index(rows, dtype=object, name="true"),
            columns=Index(columns, dtype=object, name="predicted"),
        )

    def at(self, threshold: float) -> ThresholdNumbers:
        """The numbers with one threshold for all labels, each label against the rest.

        Args:
            threshold: From 0 to 1; predicted is what has at least this confidence.

        Raises:
            UsageError: The threshold is no number from 0 to 1.
            EvaluationError: There are no confidences, nor numbers published over thresholds.
        """
        threshold = check_share("threshold", threshold)
        if self.evaluation.has_images:
            return _read_chosen(
                compute_at_chosen_threshold(self.evaluation, threshold), self.evaluation.labels
            )
        curves = self.evaluation.reported.curves
        found = {label: reported_at(curve, threshold) for label, curve in curves.items()}
        if (whole := found.get("")) is None:
            raise EvaluationError(f"{self.version}: nothing is published over thresholds")
        return _read_published(whole, {label: one for label, one in found.items() if label and one})

    def report(self) -> str:
        """The report page as one self-contained HTML document, at most 3 MB.

        The same as `report.html` of its MLflow run. Images are read where the source has them.
        """
        page = render_report(
            self.evaluation,
            self._computed,
            remarks=list_version_remarks(self.evaluation, self._computed),
            test_set_digest=test_set_digest(self.evaluation),
            read_images=self.referred.read_images,
            drawn_labels=self.referred.drawn_labels,
            slices=self._compute_slices(),
        )
        return page.decode("utf-8")

    def _compute_slices(self) -> SliceReport | None:
        """Those of the page; None where no file tells by what its images could be sliced."""
        if not self.evaluation.slice_columns:
            return None
        rule = self.referred.prediction_rule
        return compute_slices(self.evaluation, rule, metrics=self._computed)

    def plot_confusion_matrix(self, top_labels: int = 0) -> "Figure":
        """Heat map of the confusion matrix: count and percent of the row in each cell.

        Args:
            top_labels: Only so many labels, the most confused; 0: all, up to 25, past these those
                that are drawn for all versions of its project, if it was read from a run.

        Raises:
            EvaluationError: There is no matrix of such a version.
        """
        return self._draw("confusion_matrix.png", top_labels)

    def plot_threshold_curves(self) -> "Figure":
        """Precision, recall and F1 of all labels together over the threshold.

        Raises:
            EvaluationError: There are no such curves of this version.
        """
        return self._draw("threshold_curves.png")

    def plot_precision_recall(self) -> "Figure":
        """Precision against recall: all labels together, and each label.

        Raises:
            EvaluationError: There are no such curves of this version.
        """
        return self._draw("precision_recall.png")

    def plot_label_iou(self) -> "Figure":
        """The IoU of each label of a segmentation, with its 95 % interval.

        Raises:
            EvaluationError: It is no segmentation.
        """
        return self._draw("label_iou.png")

    def to_dict(self) -> dict[str, Any]:
        """The same document as `mlrek show VERSION --json`; None for what is undefined."""
        shown = choose_shown(self.evaluation, self._computed)
        document: dict[str, Any] = null_undefined(build_shown_json(shown))
        return document

    def __repr__(self) -> str:
        images = "" if self.test_images is None else f", {self.test_images:,} images"
        name, number = next(iter(list_headlines(self._computed).items()), ("", None))
        said = f", {name_metric(name)} {fmt(number.value)}" if number else ""
        whose = escape_unprintable(f"{self.project}/{self.version}")
        return f"<EvaluatedVersion {whose}: {self.task}{images}{said}>"

    def _repr_html_(self) -> str:
        return frame_page(self.report())

    def _draw(self, picture: str, top_labels: int = 0) -> "Figure":
        drawn = () if top_labels else self.referred.drawn_labels
        choice = Choice(top_labels=top_labels, drawn_labels=drawn)
        figure = draw_figure(picture, self._computed, version=self.version, choice=choice)
        if figure is None:
            name = picture.removesuffix(".png").replace("_", " ")
            raise EvaluationError(f"{self.version}: there is nothing to draw as {name}")
        return figure


def view_evaluation(evaluation: Evaluation, rule: PredictionRule | None = None) -> EvaluatedVersion:
    """An evaluation from anywhere as people hold it, with all its numbers computed."""
    once = count_once(evaluation)
    return view_referred(Referred(evaluation=once, published=evaluation, rule=rule))


def view_referred(referred: Referred, origin: Origin | None = None) -> EvaluatedVersion:
    """What a VERSION names as people hold it, by the prediction rule that it has."""
    metrics = compute_metrics(referred.evaluation, prediction_rule=referred.prediction_rule)
    numbers = {
        f"{row.name}/{row.label}" if row.label else row.name: row.number
        for row in list_numbers(referred.evaluation, metrics)
    }
    return EvaluatedVersion(
        metrics=NumberMap(numbers), referred=referred, origin=origin, _computed=metrics
    )


def frame_page(page: str) -> str:
    """A page within another one: its styles and scripts touch nothing around it."""
    document = page.replace("&", "&amp;").replace('"', "&quot;")  # all that an attribute asks for
    return (
        f'<iframe srcdoc="{document}" sandbox="allow-scripts allow-popups" loading="lazy" '
        f'style="width: 100%; height: {_PAGE_HEIGHT}px; border: 0"></iframe>'
    )


def objects(texts: Iterable[Any]) -> "Series[Any]":
    """Texts (or lists of them) as a column that every version of pandas keeps as they are."""
    from pandas import Series

    return Series(list(texts), dtype=object)


def _list_rows(evaluation: Evaluation, found: Predictions) -> "DataFrame":
    """A row for each image, or box."""
    from pandas import DataFrame, array

    images = np.array(evaluation.images, dtype=object)
    labels = np.array((*evaluation.labels, None), dtype=object)  # code -1 is no label
    has_no_truth = np.array([outcome == _NO_TRUTH for outcome in found.outcome], dtype=np.bool_)
    right = array((found.y_true == found.y_pred) & (found.y_true >= 0), dtype="boolean")
    right[has_no_truth] = None
    columns = {
        "image": objects(images[found.image_idx]),
        "truth": objects(labels[found.y_true]),
        "predicted": objects(labels[found.y_pred]),
        "confidence": found.confidence,
        "right": right,
    }
    if found.boxes_xyxy is not None:
        corners = zip(("x_min", "y_min", "x_max", "y_max"), found.boxes_xyxy.T, strict=True)
        columns |= {"outcome": objects(found.outcome), **dict(corners)}
        columns |= {"error": objects(found.error)}
    return DataFrame(columns)


def _list_images(evaluation: Evaluation, found: Predictions) -> "DataFrame":
    """A row for each image with all its labels."""
    from pandas import DataFrame, array

    n = len(evaluation.images)
    truth: list[list[str]] = [[] for _ in range(n)]
    predicted: list[list[str]] = [[] for _ in range(n)]
    confidence: list[list[float]] = [[] for _ in range(n)]
    is_wrong = np.zeros(n, dtype=np.bool_)
    is_wrong[found.image_idx[found.y_true != found.y_pred]] = True
    rows = (found.image_idx, found.y_true, found.y_pred, found.confidence)
    for image, true, pred, sure in zip(*(column.tolist() for column in rows), strict=True):
        if true >= 0:
            truth[image].append(evaluation.labels[true])
        if pred >= 0:
            predicted[image].append(evaluation.labels[pred])
            confidence[image].append(sure)
    frame = DataFrame(
        {
            "image": objects(evaluation.images),
            "truth": objects(truth),
            "predicted": objects(predicted),
            "confidence": objects(confidence),
            "right": array(~is_wrong, dtype="boolean"),
        }
    )
    if evaluation.masks is not None:
        frame.loc[~evaluation.masks.readable, ["truth", "predicted", "confidence", "right"]] = None
    return frame


def _normalize(counts: Any, normalize: Normalize | None) -> Any:
    if normalize is None:
        return counts.copy()
    total = counts.sum(axis=_AXES[normalize], keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def _read_chosen(chosen: AtChosenThreshold, labels: Sequence[str]) -> ThresholdNumbers:
    names = (*MAIN_SCORES, *_COUNTS)
    numbers = {name: _number(float(getattr(chosen, name))) for name in names}
    for name in (*names, "support"):
        column = getattr(chosen.per_label, name).tolist()
        numbers |= {
            f"label_{name}/{label}": _number(value)
            for label, value in zip(labels, column, strict=True)
        }
    return ThresholdNumbers(numbers, threshold=chosen.threshold, stops_at=chosen.stops_at)


def _read_published(whole: ReportedAt, labels: Mapping[str, ReportedAt]) -> ThresholdNumbers:
    found = whole.values  # noqa: PD011 - no pandas
    numbers = {name: _number(found.get(name, np.nan)) for name in (*MAIN_SCORES, *_COUNTS)}
    for label, one in labels.items():
        found = one.values  # noqa: PD011 - no pandas
        numbers |= {f"label_{name}/{label}": _number(value) for name, value in found.items()}
    return ThresholdNumbers(numbers, threshold=whole.threshold)


def _number(value: float) -> Number:
    return Number(value=float(value), reason=_UNDEFINED if np.isnan(value) else "")
