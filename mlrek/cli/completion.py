"""Completion in bash, zsh and fish: the scripts, and what they ask for at each press of Tab.

A script hands over the line up to the cursor and shows the words that come back, a line each. Where
none comes back the shell completes files. Names come from files and stores of others: what a shell
would take for more than a name is escaped or left out.
"""

import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import typer
from typer.core import TyperGroup

from mlrek.cli.command import SHELL_VARIABLE
from mlrek.cli.values import Typed, Value, suggest_values
from mlrek.errors import MlrekError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from typer._click import Command as AnyCommand
    from typer._click import Parameter

LINE_VARIABLE: Final = "_MLREK_LINE"
PATIENCE_S: Final = 4
MAX_WORDS: Final = 500
OPTIONAL: Final = frozenset({"--register"})
"""Options whose value may be left out: the next word is completed as if it was."""
_PLAIN = re.compile(r"[^\w@%+=:,./#~-]")
_RISKY_IN_QUOTES = re.compile(r"[^\w@%+=:,./#~ -]")
_BREAKS = ":=@"
"""Where bash begins a new word of its own, within one of ours."""
_OPEN_ENDS = ("/", "#", "@", ":", "=")
_KINDS = {
    ("sync", "--version"): "VERSION_NAME",
    ("archive", "--version"): "VERSION_NAME",
    ("ui", "SOURCE"): "PAGE",
    ("", "--experiment"): "EXPERIMENT",
    ("", "--profile"): "PROFILE",
}
"""Values whose name in the help says too little, by command ('': any)."""

BASH = r"""
_mlrek_completion() {
    local IFS=$'\n' line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(_MLREK_COMPLETE=bash _MLREK_LINE="${COMP_LINE:0:COMP_POINT}" "$1" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/#@:=] ]]; then
        type compopt >/dev/null 2>&1 && compopt -o nospace
    fi
    return 0
}
complete -o default -F _mlrek_completion mlrek
"""
ZSH = r"""
#compdef mlrek
_mlrek() {
    local -a lines whole shown_whole begun shown_begun
    local line word shown
    lines=("${(@f)$(_MLREK_COMPLETE=zsh _MLREK_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \
        ${words[1]} 2>/dev/null)}")
    for line in $lines; do
        word=${line%%$'\t'*}
        shown=${line/$'\t'/  -- }
        if [[ $word == *[/#@:=] ]]; then
            begun+=("$word") shown_begun+=("$shown")
        else
            whole+=("$word") shown_whole+=("$shown")
        fi
    done
    if (( $#whole + $#begun == 0 )); then
        _files
        return
    fi
    (( $#whole )) && compadd -l -d shown_whole -a whole
    (( $#begun )) && compadd -l -S '' -d shown_begun -a begun
    return 0
}
if [[ $funcstack[1] == _mlrek ]]; then
    _mlrek "$@"
else
    compdef _mlrek mlrek
fi
"""
FISH = r"""
function __mlrek_complete
    set -l line (commandline -cp | string collect)
    set -l found (env _MLREK_COMPLETE=fish _MLREK_LINE=$line mlrek 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c mlrek -f -a '(__mlrek_complete)'
"""
SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedLine:
    """The words before the cursor, the last one apart: as it is meant, and as it is typed."""

    words: tuple[str, ...]
    word: str
    quote: str = ""


def answer(command: "AnyCommand", environ: Mapping[str, str]) -> None:
    """Print what the last word of a line may become; nothing, whatever goes wrong."""
    shell = environ.get(SHELL_VARIABLE, "")
    with suppress(Exception), _limited():
        line = split_line(environ.get(LINE_VARIABLE, ""))
        for i, value in enumerate(complete_line(command, line)):
            if i == MAX_WORDS:
                break
            written = write_value(value, line, shell)
            if written:
                sys.stdout.write(f"{written}\n")
    with suppress(OSError):
        sys.stdout.flush()


def split_line(text: str) -> TypedLine:
    """The words of a line from the program's name on, as a shell would take them apart.

    >>> split_line("A=1 mlrek show models:/di")
    TypedLine(words=('show',), word='models:/di', quote='')
    >>> split_line('mlrek show x --label "golden re')
    TypedLine(words=('show', 'x', '--label'), word='golden re', quote='"')
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words, quote = [], ""
    try:
        words = list(iter(lexer.get_token, None))
    except ValueError:  # a quote that is not closed yet
        words = _split_before(text)
        quote = getattr(lexer, "state", "") or ""
        words.append(lexer.token)
    else:
        if not words or text[-1:].isspace():
            words.append("")
    names = [Path(word).name for word in words]
    begin = names.index("mlrek") + 1 if "mlrek" in names[:-1] else 0
    *before, word = words[begin:]
    return TypedLine(words=tuple(before), word=word, quote=quote if quote in {"'", '"'} else "")


def _split_before(text: str) -> list[str]:
    """The words before the one whose quote is open."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    with suppress(ValueError):
        while (word := lexer.get_token()) is not None:
            words.append(word)
    return words


def complete_line(command: "AnyCommand", line: TypedLine) -> Iterator[Value]:
    """What the last word of a line may become, each once."""
    names, left = [], list(line.words)
    while isinstance(command, TyperGroup):
        positions = [i for i, word in enumerate(left) if not word.startswith("-")]
        if not positions:
            break
        name = left[positions[0]]
        if name not in command.commands:
            return
        command, left = command.commands[name], left[positions[0] + 1 :]
        names.append(name)
    seen = set()
    for value in _complete_word(command, " ".join(names), left, line.word):
        if value.word.startswith(line.word) and value.word not in seen:
            seen.add(value.word)
            yield value


def write_value(value: Value, line: TypedLine, shell: str) -> str:
    r"""A value as the shell's script takes it, '' for one that no script can hand on.

    >>> write_value(Value(word="golden retriever"), split_line("mlrek show x --label g"), "bash")
    'golden\\ retriever'
    >>> live = Value(word="models:/pets@live")
    >>> write_value(live, split_line("mlrek show models:/pets@l"), "bash")
    '@live'
    """
    if not value.word.isprintable():
        return ""
    if shell != "bash":
        shown = "".join(c if c.isprintable() else " " for c in value.help)
        return f"{value.word}\t{shown}" if shown else value.word
    if line.quote:
        return "" if _RISKY_IN_QUOTES.search(value.word) else value.word
    escaped = _PLAIN.sub(lambda found: f"\\{found[0]}", value.word)
    cut = max(line.word.rfind(mark) + (mark != "@") for mark in _BREAKS)
    prefix = _PLAIN.sub(lambda found: f"\\{found[0]}", line.word[: max(cut, 0)])
    return escaped.removeprefix(prefix)


def install_completion(shell: str, environ: Mapping[str, str]) -> Path:
    """Write the script where the shell reads it when it starts; the file.

    Raises:
        UsageError: There is no completion for this shell.
        MlrekError: The files cannot be written.
    """
    shell, home = choose_shell(shell, environ), Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    path, start, line = {
        "bash": (home / ".bash_completions/mlrek.sh", home / ".bashrc", "source '{path}'"),
        "zsh": (
            home / ".zfunc/_mlrek",
            home / ".zshrc",
            "fpath+=('{folder}'); autoload -Uz compinit; compinit",
        ),
        "fish": (config / "fish/completions/mlrek.fish", None, ""),
    }[shell]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPTS[shell].lstrip(), encoding="utf-8")
        if start is not None:
            _append(start, line.format(path=path, folder=path.parent))
    except OSError as exc:
        raise MlrekError(f"{exc.filename or path}: cannot be written: {exc.strerror}") from exc
    return path


def choose_shell(shell: str, environ: Mapping[str, str]) -> str:
    """The shell that was named, else the one that the command was typed in.

    Raises:
        UsageError: There is no completion for it.
    """
    if shell == "auto":
        shell = _detect_shell() or Path(environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        named = f"{shell or 'this shell'}: "
        raise UsageError(f"{named}completion is there for bash, zsh and fish; name one of them")
    return shell


def _detect_shell() -> str:
    with suppress(ImportError, RuntimeError, OSError):  # it has an error of its own for "unknown"
        import shellingham  # type: ignore[import-untyped] # Typer needs it, too

        return str(shellingham.detect_shell()[0])
    return ""


def _append(path: Path, line: str) -> None:
    """A line at the end of a file, unless it is there already."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    if line not in text.splitlines():
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n" if text and not text.endswith("\n") else f"{line}\n")


def _complete_word(
    command: "AnyCommand", name: str, before: list[str], word: str
) -> Iterator[Value]:
    """What belongs at the end of a command's words."""
    params = [param for param in command.params if not getattr(param, "hidden", False)]
    options = {
        opt: p for p in params if p.opts[0][:1] == "-" for opt in (*p.opts, *p.secondary_opts)
    }
    typed, pending, is_closed = _read_words(options, before)
    option, mark, value = word.partition("=")
    if pending is not None:
        yield from suggest_values(_find_kind(pending, name), word, typed)
    elif mark and option in options and not is_closed:
        for one in suggest_values(_find_kind(options[option], name), value, typed):
            yield Value(word=f"{option}={one.word}", help=one.help)
    elif word.startswith("-") and not is_closed:
        yield from _list_options(options, before)
    elif isinstance(command, TyperGroup):
        for known, below in command.commands.items():
            yield Value(word=known, help=_say_first(below.help or ""))
    else:
        arguments = [param for param in params if param.opts[0][:1] != "-"]
        place = min(len(typed.arguments), len(arguments) - 1)
        if arguments and (place == len(typed.arguments) or arguments[place].nargs == -1):
            yield from suggest_values(_find_kind(arguments[place], name), word, typed)


def _read_words(
    options: "Mapping[str, Parameter]", words: list[str]
) -> "tuple[Typed, Parameter | None, bool]":
    """The words by what they are, the option that lacks its value, whether `--` ended options."""
    arguments: list[str] = []
    values: dict[str, str] = {}
    pending: Parameter | None = None
    is_closed = False
    for word in words:
        name, mark, value = word.partition("=")
        if pending is not None:
            values[pending.opts[0]] = word
            pending = None
        elif word == "--" and not is_closed:
            is_closed = True
        elif is_closed or not word.startswith("-") or word == "-":
            arguments.append(word)
        elif mark:
            values[name] = value
        elif (
            name in options
            and name not in OPTIONAL
            and not getattr(options[name], "is_flag", False)
        ):
            pending = options[name]
    return Typed(arguments=arguments, options=values), pending, is_closed


def _list_options(options: "Mapping[str, Parameter]", before: list[str]) -> Iterator[Value]:
    """The options that may still come, by their long names."""
    for option, param in options.items():
        is_used = option in before and not getattr(param, "multiple", False)
        if option.startswith("--") and not is_used:
            yield Value(word=option, help=_say_first(getattr(param, "help", "") or ""))
    yield Value(word="--help", help="Show this message and exit.")


def _find_kind(param: "Parameter", command: str) -> str:
    name = param.opts[0] if param.opts[0].startswith("-") else (param.metavar or "").rstrip(".…")
    usual = (param.metavar or "").strip("[]").rstrip(".…")
    return _KINDS.get((command, name)) or _KINDS.get(("", name)) or usual


def _say_first(text: str) -> str:
    return " ".join(cleandoc(text).split("\n\n")[0].split())


class _limited:  # noqa: N801 - used like a function
    """Give up after a while, where the system can tell: nobody waits longer for a word."""

    def __enter__(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._end)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def __exit__(self, *_raised: object) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _end(self, _number: int, _frame: "FrameType | None") -> None:
        raise TimeoutError


def show_option(value: str) -> NoReturn:
    """`--show-completion`: print the script."""
    typer.echo(SCRIPTS[choose_shell(value, os.environ)].strip())
    raise typer.Exit


def install_option(value: str) -> NoReturn:
    """`--install-completion`: write the script, and say where."""
    path = install_completion(value, os.environ)
    typer.echo(f"completion is installed in {path}; it works in the next terminal you open")
    raise typer.Exit
