"""Amazon Lookout for Vision's ARNs and names of files: text -> what they name.

The service ended on 2025-10-31; its ARNs still say which version a saved file is of.
"""

import re
from dataclasses import dataclass

from mlrek.evaluation import Project, Provider, Version

# Any partition; the account may be masked, as it is in published examples.
_ARN = re.compile(
    r"(?P<service>arn:[a-z0-9-]+:lookoutvision:[a-z0-9-]*:[A-Za-z0-9_]*)"
    r":(?:project/(?P<project>[A-Za-z0-9_-]{1,255})"
    r"|model/(?P<project_of_model>[A-Za-z0-9_-]{1,255})/(?P<version>[1-9][0-9]{0,9}))"
)

_MODEL_ARN = re.compile(rb'"(?:ModelArn|model-arn)"\s*:\s*"([^"\\]{1,1000})"')
_SERVICE_NAME = re.compile(
    r"Evaluation(?:Manifest|Result)-(?P<project>[A-Za-z0-9_-]+)-(?P<version>[1-9][0-9]*)"
    r"(?: ?\([0-9]+\))?(?:\.|$)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutArn:
    """What the ARN of a project or of one of its models says; `version_name` is '' in a project's.

    `project` is the one it names, or that its model is of.
    """

    project: Project
    version_name: str


def parse_lookout_arn(text: str) -> LookoutArn | None:
    """The parts of a project's or a model's ARN; None for anything else."""
    match = _ARN.fullmatch(text)
    if match is None:
        return None
    name = match["project"] or match["project_of_model"]
    project = Project(
        provider=Provider.LOOKOUT, arn=f"{match['service']}:project/{name}", name=name
    )
    return LookoutArn(project=project, version_name=match["version"] or "")


def parse_lookout_version(text: str) -> Version | None:
    """The version that a model's ARN names; None when it is not the ARN of a model."""
    arn = parse_lookout_arn(text)
    if arn is None or not arn.version_name:
        return None
    return Version(project=arn.project, arn=text, name=arn.version_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutName:
    """What the service's own name of a file says."""

    project_name: str
    version_name: str


def find_lookout_version(head: bytes) -> Version | None:
    """The version that the first bytes of a manifest or a result name; None where none is."""
    match = _MODEL_ARN.search(head)
    return parse_lookout_version(match[1].decode("ascii", "replace")) if match else None


def parse_lookout_name(name: str) -> LookoutName | None:
    """What the name of a downloaded file says; None when the service did not give it.

    >>> parse_lookout_name("EvaluationResult-wood-panels-2 (1).json")
    LookoutName(project_name='wood-panels', version_name='2')
    """
    match = _SERVICE_NAME.search(name)
    return match and LookoutName(project_name=match["project"], version_name=match["version"])
