"""One self-contained HTML page: a template, a style, scripts, and data as JSON. No network."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from mlrek.tables.json_text import Json

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES: Final = 3_000_000
"""The largest page: a browser opens it at once."""

_ESCAPED: Final = str.maketrans(
    {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
)


def render_page(
    template: str, data: Mapping[str, Json], *, scripts: Sequence[str], **facts: Any
) -> bytes:
    """The page as one file in UTF-8.

    Args:
        template: A template beside this module.
        data: What the scripts find in `<script id="data">`.
        scripts: Scripts beside this module, run in this order in one scope.
        facts: What the template fills in; text is escaped there.
    """
    from markupsafe import Markup

    script = "\n".join(("(() => {", *map(_read_asset, scripts), "})();"))
    html = (
        _environment()
        .get_template(template)
        .render(
            **facts,
            style=Markup(_read_asset("page.css")),  # noqa: S704 our own file
            script=Markup(script),  # noqa: S704 our own files
            data=Markup(embed_json(data)),  # noqa: S704 escaped for this very place
        )
    )
    return html.encode("utf-8", "backslashreplace")


def embed_json(data: Mapping[str, Json]) -> str:
    r"""JSON as the content of a script element: no character in it ends that, or begins a comment.

    >>> embed_json({"label": "</script><!--"})
    '{"label":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPED)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mlrek.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read_asset(name: str) -> str:
    return files("mlrek.report").joinpath("assets", name).read_text(encoding="utf-8")
