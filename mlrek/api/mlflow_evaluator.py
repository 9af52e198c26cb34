"""MLflow's evaluator `mlrek`: `mlflow.models.evaluate(…, evaluators=["mlrek"])` logs our numbers.

MLflow finds the class by its entry point and imports it with its own evaluators: what it needs is
imported where it evaluates.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_CLASSIFIER: Final = "classifier"


class MlrekEvaluator(ModelEvaluator):
    """Evaluates what gives an image one label: a model of any flavour, or a table of predictions.

    Logged into MLflow's run are metrics with their intervals, the pictures, tables and pages, and
    the tags that `mlrek compare runs:/A runs:/B`, `mlrek check` and `mlrek.read` need. Keys of
    `evaluator_config`, none of which must be given:

    | key | what |
    | --- | --- |
    | `labels` | the labels in their order, or a dict from number to name, as in `mlrek.evaluate` |
    | `images` | the column that names each image; the model does not get to see it |
    | `scores` | `"predict_proba"`: the probabilities of a scikit-learn model (what is done anyway
      where it has them), None: no confidences; or the names of columns, of the table or of what the
      model returns, one for each label, in the order of the labels (`score_<label>` are found) |
    | `thresholds`, `pos_label` | as in `mlrek.evaluate` |
    | `project`, `version` | whose numbers they are: names, or the ARN of a project; else the
      experiment, and the run's name with the beginning of its id |
    | `name` | of the test set: it is logged as one more dataset, with the digest that tells equal
      test sets from others |
    """

    @classmethod
    def can_evaluate(
        cls,
        *,
        model_type: str,
        evaluator_config: Mapping[str, Any],  # noqa: ARG003 - MLflow gives it
        **_further: object,
    ) -> bool:
        """Whether it is a classifier."""
        return model_type == _CLASSIFIER

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None,
        model: "PyFuncModel | None" = None,
        predictions: str | None = None,
        **further: object,
    ) -> EvaluationResult:
        """Evaluate, log into the run, and give back what was logged.

        Raises:
            EvaluationError: Truth and predictions contradict themselves, or each other.
            UsageError: The configuration names what is not there.
            TrackingError: MLflow cannot be reached or refuses.
        """
        from mlrek.api.mlflow_dataset import Wanted, evaluate_dataset

        wanted = Wanted(
            dataset=dataset,
            run_id=run_id,
            config=evaluator_config or {},
            model=model,
            predictions=predictions,
            further=further,
        )
        return evaluate_dataset(wanted)
