"""A policy as people write it, in a file or as a text, with what they say instead of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlrek.errors import PolicyError
from mlrek.policy import Policy
from mlrek.policy.parsing import parse_policy
from mlrek.sources.storage import read_small_text, say_missing_path
from mlrek.text import join_said


def read_policy(
    path: str, baseline: str = "", group_by: str = "", slice_by: Sequence[str] = ()
) -> Policy:
    """The policy in a file, with what the command line says instead of it.

    Raises:
        PolicyError: There is no such file, or it is no valid policy.
        UsageError: The grouping is no regular expression, or a column has none.
    """
    try:
        text = read_small_text(path, "utf-8-sig")
    except FileNotFoundError as exc:
        begin = "`mlrek policy init VERSION -o FILE` writes one to start from"
        raise PolicyError(f"{path}: {join_said(say_missing_path(path), begin)}") from exc
    except OSError as exc:
        raise PolicyError(f"{path}: the policy cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # no UTF-8, endless, or no path at all
        raise PolicyError(f"{path}: the policy cannot be read: {exc}") from exc
    return make_policy(text, path, baseline, group_by, slice_by)


def make_policy(
    text: str, uri: str, baseline: str = "", group_by: str = "", slice_by: Sequence[str] = ()
) -> Policy:
    """The policy of a text, with what its caller says instead of it; messages call it `uri`.

    Raises:
        PolicyError: It is no valid policy.
        UsageError: The grouping is no regular expression, or a column has none.
    """
    policy = parse_policy(text, uri=uri, baseline=baseline)
    if not group_by and not slice_by:
        return policy
    from mlrek.comparison.pairing import group_images  # with all that compares versions
    from mlrek.formats.image_columns import parse_patterns

    if group_by:
        group_images((), group_by)  # refuses what is no regular expression
    return with_groups(policy, group_by, parse_patterns(slice_by))


def with_groups(policy: Policy, group_by: str, slice_by: Mapping[str, str] | None = None) -> Policy:
    """The policy with other groups and further columns, where some are named."""
    asked = policy.test_set
    asked = replace(
        asked,
        group_by=group_by or asked.group_by,
        slice_by={**asked.slice_by, **(slice_by or {})},
    )
    return replace(policy, test_set=asked)
