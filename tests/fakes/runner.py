"""GitHub's runner, as far as a composite action and the workflows that use it need it."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
OWN = "mlrek/mlrek@"
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]
"""How the runner starts `shell: bash`."""
SIGN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<name>[\w.*-]+)|(?P<sign>&&|\|\||[!=]=|[!()]))"
)


class Expression:
    """What stands between `${{` and `}}`, read from left to right."""

    def __init__(self, text: str, known: dict):
        found = list(SIGN.finditer(text.strip()))
        assert "".join(one[0] for one in found) == text.strip(), text
        self.parts = [(one.lastgroup, one[one.lastgroup]) for one in found]
        self.known = known

    def read(self) -> str | bool:
        """The value of the rest: `||` and `&&` give one of their sides."""
        value = self.read_and()
        while self.skip("||"):
            other = self.read_and()
            value = value or other
        return value

    def read_and(self) -> str | bool:
        """A chain of `&&`."""
        value = self.read_equality()
        while self.skip("&&"):
            other = self.read_equality()
            value = other if value else value
        return value

    def read_equality(self) -> str | bool:
        """A value, or whether two are alike: capitals do not count."""
        value = self.read_value()
        for sign in ("==", "!="):
            if self.skip(sign):
                is_same = str(value).lower() == str(self.read_value()).lower()
                return is_same if sign == "==" else not is_same
        return value

    def read_value(self) -> str | bool:
        """A text, a function of status, or what a context holds: '' for nothing."""
        if self.skip("!"):
            return not self.read_value()
        if self.skip("("):
            value = self.read()
            assert self.skip(")")
            return value
        kind, text = self.parts.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if self.skip("("):
            assert self.skip(")")
            return self.known["functions"][text]
        found = self.known
        for key in text.split("."):
            found = found.get(key, "") if isinstance(found, dict) else ""
        return found

    def skip(self, sign: str) -> bool:
        """Go behind a sign, if it is the next."""
        is_next = bool(self.parts) and self.parts[0] == ("sign", sign)
        if is_next:
            self.parts.pop(0)
        return is_next


def evaluate(text: str, known: dict) -> str | bool:
    """The value of an expression, where contexts are dicts in dicts."""
    expression = Expression(text, known)
    value = expression.read()
    assert not expression.parts, text
    return value


def fill(text: object, known: dict) -> str:
    """A text of a workflow with the values of its expressions."""
    if isinstance(text, bool):
        return str(text).lower()

    def show(match):
        value = evaluate(match[1], known)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"\$\{\{(.*?)\}\}", show, str(text), flags=re.DOTALL)


@dataclass
class Done:
    """How a job ended: its code (of the step that failed last, else 0), what it wrote."""

    code: int = 0
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    environments: list[dict[str, str]] = field(default_factory=list)

    @property
    def annotations(self) -> list[str]:
        """The workflow commands that the runner would have read."""
        return [line for line in self.log.splitlines() if re.match(r"\s*::|\s*##\[", line)]


@dataclass
class Runner:
    """A machine: a folder with the checkout (`workspace`), and one for what is passing (`temp`).

    `env` is what every step has, as that which leads to a stand-in; `github` and `vars` are
    contexts of expressions.
    """

    workspace: Path
    temp: Path
    env: dict[str, str]
    github: dict = field(default_factory=dict)

    def run_action(self, **given: object) -> Done:
        """Use this repository's own action with these inputs (`_` for `-` in their names)."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        values = {name.replace("_", "-"): value for name, value in given.items()}
        assert set(values) <= set(action["inputs"]), "GitHub warns of inputs that there are not"
        known = {"github": self.github, "runner": {"temp": str(self.temp)}, "steps": {}}
        usual = {n: one.get("default", "") for n, one in action["inputs"].items()}
        given = {
            name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in values.items()
        }
        known["inputs"] = {name: fill(value, known) for name, value in usual.items()} | given
        done, failed = Done(), False
        for step in action["runs"]["steps"]:
            known["functions"] = {"cancelled": False, "always": True, "success": not failed}
            if not self._is_wanted(step.get("if", ""), known):
                continue
            if "run" not in step:
                assert step["uses"].startswith("actions/setup-python@")
                continue
            code, outputs = self._run_step(step, known, done)
            known["steps"][step.get("id", "")] = {"outputs": outputs}
            if code:
                failed, done.code = True, code
        for name, output in action.get("outputs", {}).items():
            done.outputs[name] = fill(output["value"], known)
        return done

    def run_job(self, workflow: Path, places: dict[str, Path]) -> Done | None:
        """Do the one job of a workflow that uses the action; None where its `if` says no.

        Artifacts go to and come from `places`, by their names.
        """
        (job,) = yaml.safe_load(workflow.read_text())["jobs"].values()
        known = {"github": self.github, "runner": {"temp": str(self.temp)}, "vars": {}}
        known["functions"] = {"cancelled": False, "always": True, "success": True}
        if not self._is_wanted(job.get("if", ""), known):
            return None
        done = Done()
        for step in job["steps"]:
            given = {name: fill(value, known) for name, value in step.get("with", {}).items()}
            if step["uses"].startswith(OWN):
                done = self.run_action(**given)
                known["functions"]["success"] = done.code == 0
            elif step["uses"].startswith("actions/upload-artifact@"):
                assert self._is_wanted(step.get("if", ""), known)
                shutil.copytree(given["path"], places[given["name"]], dirs_exist_ok=True)
            elif step["uses"].startswith("actions/download-artifact@"):
                if places[given["name"]].exists():
                    shutil.copytree(places[given["name"]], given["path"])
                else:
                    assert step["continue-on-error"] is True
            else:
                assert step["uses"].startswith("actions/checkout@")
        return done

    def _is_wanted(self, condition: str, known: dict) -> bool:
        """Whether a step runs: without a function of status only while nothing has failed."""
        condition = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", str(condition).strip())
        if not re.search(r"\b(always|cancelled|failure|success)\(\)", condition):
            condition = f"success() && ({condition})" if condition else "success()"
        return bool(evaluate(condition, known))

    def _run_step(self, step: dict, known: dict, done: Done) -> tuple[int, dict[str, str]]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what is filled into a script is code"
        own = {name: fill(value, known) for name, value in step.get("env", {}).items()}
        files = {n: self.temp / n.lower() for n in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        env = {
            **self.env,
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_OS": "Linux",
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            **{name: str(path) for name, path in files.items()},
            **own,
        }
        done.environments.append(env)
        ran = subprocess.run(
            [*SHELL, str(script)],
            cwd=self.workspace,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        done.log += ran.stdout
        done.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        return ran.returncode, dict(line.split("=", 1) for line in lines)


def make_environment(environ: dict[str, str]) -> dict[str, str]:
    """What a fresh machine has; pip finds the packages of this one there already."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
    settings = {n: v for n, v in environ.items() if n in kept or n.startswith("PIP_")}
    return settings | {
        "PYTHONPATH": os.pathsep.join(_list_packages()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _list_packages() -> list[str]:
    import sys

    return [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
