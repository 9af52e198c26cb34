"""The parts of `docs` that are made of the code.

They are between `<!-- generated: KIND … -->` and `<!-- end -->`. The kinds:

`options COMMAND`: what a command takes. `policy TABLE`: the keys of a policy's table.
`doubts`: each kind and what it does. `numbers PATTERN …`: definitions of numbers by their keys.
`python NAME`: a public name with its docstring.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

import typer

GENERATED = re.compile(
    r"(?P<head><!-- generated: (?P<kind>\w+) ?(?P<words>[^\n]*?) -->\n).*?(?P<tail><!-- end -->)",
    re.DOTALL,
)
TASKS = {
    "classification": "one label an image",
    "multilabel": "several labels an image",
    "detection": "boxes",
    "segmentation": "masks",
    "any": "all tasks",
}
EFFECTS = {
    "stops": "stops checks that read a number which it touches",
    "stops_relative": "stops checks against a baseline",
    "stops_intervals": "stops checks that read an interval",
    "said": "is said, and stops nothing",
}
MOST_CHOICES = 4
SECTION = re.compile(r"(?P<title>[A-Z]\w+):")
ARGUMENT = re.compile(r"(?P<name>\*{0,2}\w+): (?P<text>.*)", re.DOTALL)


def generate(text: str) -> str:
    """The page with its generated parts as the code is now."""
    return GENERATED.sub(
        lambda m: f"{m['head']}\n{_KINDS[m['kind']](m['words']).strip()}\n\n{m['tail']}", text
    )


def list_keys() -> set[str]:
    """The key of every number that is defined, of any task."""
    return {key for found in _list_definitions().values() for key in found}


def list_words(text: str, kind: str) -> list[str]:
    """The words of each generated part of a kind."""
    return [found["words"] for found in GENERATED.finditer(text) if found["kind"] == kind]


def select_keys(patterns: str) -> list[str]:
    """The keys that patterns name, in the order of the code."""
    keys = dict.fromkeys(key for found in _list_definitions().values() for key in found)
    return [key for key in keys if any(fnmatchcase(key, one) for one in patterns.split())]


def _list_definitions() -> dict[str, dict[str, str]]:
    from mlrek.evaluation import Task
    from mlrek.metrics.numbers import _ANY_TASK, list_definitions

    positive = "POSITIVE"
    found = {}
    for task in Task:
        own = list_definitions(task)
        if task.value == "classification":
            own |= {
                key: text.replace(repr(positive), "the positive label")
                for key, text in list_definitions(task, positive).items()
            }
        found[task.value] = own
    known = {key for own in found.values() for key in own}
    found["any"] = {key: text for key, text in _ANY_TASK.items() if key not in known}
    return found


def _write_numbers(patterns: str) -> str:
    lines = []
    for key in select_keys(patterns):
        meanings: dict[str, list[str]] = {}
        for task, found in _list_definitions().items():
            if key in found:
                meanings.setdefault(found[key], []).append(TASKS[task])
        for text, tasks in meanings.items():
            lines.append(f"- `{key}` ({', '.join(tasks)}): {_mark(text)}.")
    return "\n".join(lines)


def _mark(text: str) -> str:
    """A text that markdown shows as it is."""
    return re.sub(r"([*_|<])", r"\\\1", text)


def _write_options(words: str) -> str:
    from mlrek.cli import make_app
    from mlrek.cli.command import COMMON

    command = typer.main.get_command(make_app())
    for word in words.split():
        command = command.commands[word]
    lines = []
    for param in command.params:
        if getattr(param, "hidden", False) or getattr(param, "rich_help_panel", "") == COMMON:
            continue
        if param.param_type_name == "argument":
            lines.append(f"- `{param.metavar or param.name.upper()}`: {_mark(_join(param.help))}")
        elif param.name != "help":
            lines.append(f"- `{_name_option(param)}`: {_mark(_join(param.help))}")
    return "\n".join(lines)


def _name_option(param: typer.core.TyperOption) -> str:
    names = ", ".join((*param.opts, *param.secondary_opts))
    return names if param.is_flag or not param.metavar else f"{names} {param.metavar}"


def _join(text: str | None) -> str:
    return " ".join((text or "").split())


def _write_policy(table: str) -> str:
    from mlrek.policy.schema import build_schema

    described = build_schema()["properties"][table]
    inner = described.get("items", described)
    lines = [f"{described['description']}", ""]
    required = set(inner.get("required", ()))
    for key, value in inner["properties"].items():
        needed = ", needed" if key in required else ""
        lines.append(f"- `{key}` ({_say_type(value)}{needed}): {_mark(value['description'])}")
    return "\n".join(lines)


def _say_type(value: dict) -> str:
    if len(value.get("enum", ())) > MOST_CHOICES:
        return "kinds of doubts"
    if "enum" in value:
        return " or ".join(f'`"{one}"`' for one in value["enum"])
    if value["type"] == "array":
        return f"list of {_say_type(value['items'])}"
    limits = {"minimum": "from", "maximum": "to", "exclusiveMaximum": "below"}
    said = [
        f"{word} {value[name]:g}"
        for name, word in limits.items()
        if name in value and abs(value[name]) < 1e300  # else: any finite number
    ]
    words = {"string": "text", "boolean": "true or false", "integer": "whole number"}
    return " ".join((words.get(value["type"], value["type"]), *said))


def _write_doubts(_words: str) -> str:
    from mlrek.evaluation import EFFECTS as OF_KINDS

    rows = [f"| `{kind}` | {EFFECTS[effect]} |" for kind, effect in OF_KINDS.items()]
    return "\n".join(("| kind | effect |", "| --- | --- |", *rows))


def _write_python(name: str) -> str:
    import mlrek

    found = getattr(mlrek, name)
    lines = [*_describe(name, found)]
    if isinstance(found, type):
        for attribute, value in vars(found).items():
            if attribute.startswith("_") or not (callable(value) or isinstance(value, property)):
                continue
            lines += ["", f"#### `{name}.{attribute}`", "", *_describe(attribute, value)]
    return "\n".join(lines)


def _describe(name: str, found: object) -> Iterator[str]:
    if inspect.isfunction(found):
        yield from ("```text", _sign(name, found), "```", "")
    yield from _convert(inspect.getdoc(found) or "")


def _sign(name: str, function: Callable[..., object]) -> str:
    """The call with its arguments, one a line where they are many."""
    signature = inspect.signature(function)
    parts, starred = [], False
    for one in signature.parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = "" if one.default is one.empty else f"={one.default!r}"
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        parts.append(f"{stars}{one.name}{default}")
    line = f"{name}({', '.join(parts)})"
    if len(line) <= 72:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _convert(text: str) -> Iterator[str]:
    """A docstring in Google's style as markdown."""
    section = ""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.splitlines()
        title = SECTION.fullmatch(lines[0])
        if title:
            section = title["title"]
            yield from (f"**{section}**", "")
            lines = lines[1:]
        if lines and lines[0].lstrip().startswith(">>>"):
            yield from ("```pycon", *inspect.cleandoc("\n".join(lines)).splitlines(), "```", "")
        elif section and (not lines or lines[0].startswith(" ")):
            yield from (*_list_entries(lines), "")
        else:
            section = ""
            yield from (_mark_text(" ".join(lines)), "")


def _list_entries(lines: list[str]) -> Iterator[str]:
    entries: list[list[str]] = []
    for line in lines:
        if line.startswith("     ") and entries:
            entries[-1].append(line.strip())
        else:
            entries.append([line.strip()])
    for entry in entries:
        found = ARGUMENT.fullmatch(" ".join(entry))
        if found:
            yield f"- `{found['name']}`: {_mark_text(found['text'])}"
        else:
            yield f"- {_mark_text(' '.join(entry))}"


def _mark_text(text: str) -> str:
    """Text of a docstring: what is not within backticks is marked."""
    parts = text.split("`")
    return "`".join(part if i % 2 else _mark(part) for i, part in enumerate(parts))


_KINDS = {
    "options": _write_options,
    "policy": _write_policy,
    "doubts": _write_doubts,
    "numbers": _write_numbers,
    "python": _write_python,
}
