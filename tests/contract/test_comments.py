"""The one comment of a job in its pull request, against stand-ins of GitHub's and GitLab's APIs."""

import json
import re
import time

import pytest
from fakes.code_hosts import READER, TOKEN, GitHubServer, GitLabServer, HostFault

from mlrek.errors import CommentError, UsageError
from mlrek.promotion.comments import name_job, open_pull_request, write_comment
from mlrek.render.comment import write_marker

PASSED = "### Promotion check: v3 against v2\n\n**✅ passed**: v3 may be promoted.\n"
FAILED = "### Promotion check: v3 against v2\n\n**❌ failed**: v3 may not be promoted.\n"
NAME = "Check/check"
MARKER = write_marker(NAME)
HEAD = "a" * 40
LIMIT = "You have exceeded a secondary rate limit"


@pytest.fixture(scope="module")
def hosts():
    """Both stand-ins."""
    servers = {"github": GitHubServer(), "gitlab": GitLabServer()}
    for server in servers.values():
        server.start()
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def server(request, hosts):
    """An empty host: GitHub unless a test names another."""
    found = hosts[getattr(request, "param", "github")]
    fresh = type(found)()
    for name in ("comments", "pulls", "faults", "requests", "tokens"):
        setattr(found, name, getattr(fresh, name))
    return found


BOTH = pytest.mark.parametrize("server", ["github", "gitlab"], indirect=True)


@pytest.fixture
def waits():
    """The seconds that were waited, without waiting them."""
    return []


@pytest.fixture
def write(server, waits, tmp_path):
    """Write a text as the job of an event does."""

    def run(text=PASSED, name=NAME, token=TOKEN, event=None):
        host = open_pull_request(make_environ(server, tmp_path, token, event), waits.append)
        return host and write_comment(host, name, text)

    return run


def make_environ(server, folder, token=TOKEN, event=None):
    """The variables of a job."""
    if isinstance(server, GitLabServer):
        return {**server.env, "GITLAB_TOKEN": token}
    path = folder / "event.json"
    usual = {"pull_request": {"number": 7, "head": {"sha": HEAD}}}
    path.write_text(json.dumps(usual if event is None else event))
    own = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "12", "GITHUB_EVENT_PATH": str(path)}
    return {**server.env, **own, "GITHUB_TOKEN": token}


@BOTH
def test_a_comment_is_written_once_and_then_rewritten(server, write):
    """The second text is in the place of the first, whatever others have said between."""
    server.add("nice!")
    first = write(PASSED)
    server.add("thanks!")
    second = write(FAILED)
    own = [body for body in server.bodies if body.startswith(MARKER)]

    assert (first.action, second.action) == ("created", "updated")
    assert len(server.comments) == 3
    assert len(own) == 1
    assert "❌ failed" in own[0]
    assert "✅ passed" not in own[0]


@BOTH
def test_another_name_has_its_own_comment(server, write):
    """One job may check several models."""
    for name in ("a", "b", "a", "b"):
        write(PASSED, name)

    assert len(server.comments) == 2


def test_a_comment_says_which_job_ran_on_which_commit(server, write):
    """By a link."""
    write()

    link = "[This job](https://github.example/o/r/actions/runs/12)"
    assert server.bodies[0].endswith(f"\n{link} ran mlrek at commit aaaaaaaaaa.\n")


@pytest.mark.parametrize("server", ["gitlab"], indirect=True)
def test_a_note_says_which_job_ran_on_which_commit(server, write):
    """By GitLab's own variables."""
    write()

    link = "[This job](https://gitlab.example/j/1)"
    assert server.bodies[0].endswith(f"\n{link} ran mlrek at commit cccccccccc.\n")


def test_the_mark_in_another_bot_s_comment_is_not_ours(server, write):
    """A token that may write might overwrite it; it is left, and ours is written."""
    text = f"{MARKER}\nsomebody else's"
    server.add(text, "other[bot]", "Bot")
    server.add(text, "github-actions")  # a person of that name, no bot
    server.add(text, "somebody")
    for _ in range(2):
        write()

    assert server.bodies[:3] == [text] * 3
    assert len(server.comments) == 4


@pytest.mark.parametrize("server", ["gitlab"], indirect=True)
def test_the_mark_in_another_s_note_is_not_ours(server, write):
    """Nor in what GitLab itself says of somebody's doings."""
    text = f"{MARKER}\nsomebody else's"
    server.add(text)
    server.add(text, 5, system=True)
    for _ in range(2):
        write()

    assert server.bodies[:2] == [text] * 2
    assert len(server.comments) == 3


def test_a_mark_that_is_quoted_is_no_comment_of_ours(server, write):
    """Only a comment that begins with it is."""
    text = f"> {MARKER}\n> passed\n\nreally?"
    server.add(text, "github-actions[bot]", "Bot")
    write()

    assert server.bodies[0] == text
    assert len(server.comments) == 2


@pytest.mark.parametrize("login", ["my-app[bot]", "a-person"])
def test_the_owner_of_any_token_finds_its_own_comment(server, write, login):
    """An app of your own, or a person's token."""
    server.tokens[TOKEN] = login
    for _ in range(2):
        write()

    assert len(server.comments) == 1


def test_an_owner_that_cannot_be_asked_for_is_that_of_a_job(server, write):
    """Some tokens may not ask by GraphQL."""
    for _ in range(2):
        server.faults = [HostFault("POST", 403, message="Resource not accessible")]
        write()

    assert len(server.comments) == 1


@BOTH
def test_it_is_found_behind_many_pages(server, write):
    """All of 250 comments are looked at, also the last ones."""
    for i in range(250):
        server.add(f"comment {i}")
    write()
    server.requests.clear()
    write(FAILED)

    assert len(server.comments) == 251
    assert "❌ failed" in server.bodies[250]
    lists = [one for one in server.requests if re.fullmatch(r"GET .*/(comments|notes)", one)]
    assert len(lists) == 3


@BOTH
def test_of_several_that_are_ours_one_stays(server, write):
    """Two jobs at once may each have written one."""
    write()
    server.comments.append({**server.comments[0], "id": 5000})
    write(FAILED)

    assert len(server.comments) == 1
    assert "❌ failed" in server.bodies[0]


@BOTH
@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        ({"status": 502}, [1.0]),
        ({"status": 503, "headers": {"Retry-After": "9"}}, [9.0]),
        ({"status": 429, "headers": {"Retry-After": "7"}}, [7.0]),
        ({"status": 403, "headers": {"Retry-After": "5"}, "message": LIMIT}, [5.0]),
        ({"status": 403, "message": LIMIT}, [60.0]),
    ],
)
def test_what_fails_for_the_moment_is_asked_again(server, write, waits, fault, waited):
    """After the time that the host names, or that it asks for where it names none."""
    server.faults = [HostFault("GET", **fault)]
    write()

    assert len(server.comments) == 1
    assert waits == waited


def test_the_end_of_a_spent_limit_is_waited_for(server, write, waits):
    """GitHub names the second at which it counts anew."""
    ends = str(int(time.time()) + 30)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": ends}
    server.faults = [HostFault("GET", 403, headers=headers, message="API rate limit exceeded")]
    write()

    assert len(server.comments) == 1
    assert len(waits) == 1
    assert 20 < waits[0] <= 30


def test_a_limit_that_ends_in_an_hour_is_not_waited_for(server, write, waits):
    """The job would cost more than the comment; it says when to come again."""
    server.faults = [HostFault("GET", 429, times=9, headers={"Retry-After": "3600"})]

    with pytest.raises(CommentError, match=r"answers 429 .* pause of 3,600 seconds"):
        write()
    assert waits == []


def test_a_broken_host_is_given_up(server, write, waits):
    """After four tries, with growing pauses."""
    server.faults = [HostFault("GET", 500, times=99, message="oh no")]

    with pytest.raises(CommentError, match=r"no comment: GitHub answers 500 \(oh no\)"):
        write()
    assert waits == [1.0, 2.0, 4.0]


@BOTH
@pytest.mark.parametrize("is_done", [True, False])
def test_a_creation_without_an_answer_leaves_one_comment(server, write, is_done):
    """A gateway may fail before or after the comment is there: it is looked for."""
    if isinstance(server, GitHubServer):  # whose first POST asks for the owner
        server.faults = [HostFault("POST", 200, message="")]
    server.faults.append(HostFault("POST", 502, done=is_done))
    write()

    assert len(server.comments) == 1


def test_a_fork_s_token_names_the_form_of_two_workflows(server, write):
    """GitHub lets it write nothing; that is no reason to try again."""
    with pytest.raises(CommentError) as caught:
        write(token=READER)

    assert "403 (Resource not accessible by integration)" in str(caught.value)
    assert "fork-check.yml and fork-comment.yml" in str(caught.value)
    assert "pull-requests: write" in str(caught.value)
    assert server.comments == []


@pytest.mark.parametrize("server", ["gitlab"], indirect=True)
@pytest.mark.parametrize("token", [READER, "wrong", ""])
def test_a_token_that_may_not_write_notes_says_which_may(server, write, token):
    """Or none, as in a fork."""
    with pytest.raises(CommentError, match=r"GITLAB_TOKEN must be a token .* scope `api`"):
        write(token=token)


@BOTH
@pytest.mark.parametrize("token", [READER, "wrong-t0ken", "wrong\nt0ken"])
def test_no_message_holds_the_token(server, write, token):
    """Whatever goes wrong."""
    with pytest.raises(CommentError) as caught:
        write(token=token)

    assert "t0ken" not in str(caught.value)
    assert "t0ken" not in repr(caught.value.__cause__)


def test_a_token_is_not_taken_to_another_host(server, write, hosts):
    """A redirection is an error, not a way."""
    elsewhere = hosts["gitlab"]
    elsewhere.requests.clear()
    for status in (301, 302, 307, 308):
        headers = {"Location": f"{elsewhere.url}/repos"}
        server.faults = [HostFault("GET", status, headers=headers)]
        with pytest.raises(CommentError, match=f"answers {status}"):
            write()

    assert elsewhere.requests == []


@BOTH
def test_a_long_text_is_cut_to_what_the_host_takes(server, write):
    """Whole lines, what is folded closed, and how many lines lack is said."""
    fold = "<details><summary>9 checks passed</summary>\n\n{}\n</details>\n"
    rows = "".join(f"- row {i} {'x' * 990}\n" for i in range(2000))
    write(PASSED + "\n" + fold.format(rows))
    (body,) = server.bodies
    last = [line for line in body.split("\n") if line.startswith("- row")][-1]
    n = int(last.split()[2]) + 1

    assert server.longest - 2000 < len(body) <= server.longest
    assert f"\n</details>\n\n**{2000 - n:,} lines are left out**" in body
    assert body.count("<details>") == body.count("</details>") == 1
    assert "ran mlrek" in body


def test_signs_of_two_units_count_twice(server, write):
    """Who counts as JavaScript does takes it as well."""
    write(PASSED + "\n- " + "😀" * 200 + ("\n- " + "😀" * 500) * 200 + "\n")

    units = len(server.bodies[0].encode("utf-16-le")) // 2
    assert 60_000 < units <= 65_536


def test_a_check_without_an_answer_replaces_what_was_said(server, write):
    """An old "passed" does not stay while nobody knows."""
    write(PASSED)
    write("")

    assert len(server.comments) == 1
    assert "no answer" in server.bodies[0]
    assert "passed" not in server.bodies[0]


RUN = {
    "event": "pull_request",
    "html_url": "https://github.example/o/r/actions/runs/11",
    "head_sha": HEAD,
    "head_branch": "fix",
    "head_repository": {"full_name": "fork/r", "owner": {"login": "fork"}},
}


def make_pull(number=7, sha=HEAD, label="fork:fix", name="fork/r"):
    """A pull request as GitHub lists it."""
    return {"number": number, "head": {"sha": sha, "label": label, "repo": {"full_name": name}}}


def test_the_second_workflow_finds_the_pull_request_by_its_commit(server, write):
    """A run of a fork names no number, and what it left in files is not believed."""
    server.pulls = [make_pull(5, name="fork/other"), make_pull(), make_pull(8, label="x:fix")]
    write(event={"workflow_run": RUN, "pull_request": {"number": 1}})

    assert len(server.comments) == 1
    assert "[This job](https://github.example/o/r/actions/runs/11) ran mlrek" in server.bodies[0]


@pytest.mark.parametrize(
    "event",
    [
        {"workflow_run": RUN},
        {"workflow_run": {**RUN, "event": "push"}},
        {"workflow_run": {**RUN, "head_sha": "b" * 40}},
        {"ref": "refs/heads/main"},
        {"issue": {"number": 7}},
        [],
    ],
)
def test_a_job_of_no_open_pull_request_writes_nothing(server, write, event):
    """It is closed, a newer commit has come, or it was never one."""
    server.pulls = [] if event == {"workflow_run": RUN} else [make_pull()]

    assert write(event=event) is None
    assert server.comments == []


def test_a_command_in_a_pull_request_s_comment_is_a_job_of_it(server, write):
    """GitHub calls it an issue there."""
    write(event={"issue": {"number": 7, "pull_request": {"url": "x"}}})

    assert len(server.comments) == 1


def test_elsewhere_there_is_no_pull_request():
    """On a laptop the command says where it works."""
    with pytest.raises(UsageError, match="GitHub Actions or GitLab CI"):
        open_pull_request({"GITHUB_TOKEN": TOKEN}, time.sleep)


def test_a_comment_is_named_by_its_job():
    """So that two workflows do not overwrite each other."""
    job = {"GITHUB_WORKFLOW": "Check", "GITHUB_JOB": "parts"}

    assert name_job(job) == "Check/parts"
    assert name_job({"CI_JOB_NAME": "mlrek-check"}) == "mlrek-check"


def test_the_command_says_what_became_of_the_comment(server, run_mlrek, tmp_path):
    """As a line with its address, or as JSON."""
    (tmp_path / "check.md").write_text(PASSED, encoding="utf-8")
    environ = make_environ(server, tmp_path)
    first = run_mlrek("comment", "check.md", env=environ)
    second = run_mlrek("comment", "check.md", "--json", env=environ)

    assert first.stdout == "comment created: https://github.example/c\n"
    assert json.loads(second.stdout) == {"action": "updated", "url": "https://github.example/c"}
    assert "✅ passed" in server.bodies[0]


def test_the_command_fails_with_a_warning_for_the_job(server, run_mlrek, tmp_path):
    """Exit code 1; the annotation is one line, whatever the host says."""
    message = "no\n::error::x"
    server.faults = [HostFault("GET", 422, message=message)]
    environ = make_environ(server, tmp_path)
    done = run_mlrek("comment", "gone.md", env=environ, check=False)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("::")]

    assert done.returncode == 1
    assert warnings == [
        "::warning title=mlrek comment::no comment: GitHub answers 422 (no ::error::x)"
    ]
    assert TOKEN not in done.stderr


def test_the_command_needs_a_job(run_mlrek):
    """Elsewhere it is wrong usage, and says what writes the text."""
    environ = {"GITHUB_ACTIONS": "", "GITLAB_CI": ""}
    done = run_mlrek("comment", "check.md", env=environ, check=False)

    assert done.returncode == 2
    assert "`mlrek check --markdown FILE` writes the text" in done.stderr


def test_the_command_has_nothing_to_say_without_a_pull_request(server, run_mlrek, tmp_path):
    """A push to the main branch is no fault."""
    environ = make_environ(server, tmp_path, event={"ref": "refs/heads/main"})
    done = run_mlrek("comment", "check.md", env=environ)

    assert done.stdout == ""
    assert "no comment: this job is of no open pull request" in done.stderr
    assert server.requests == []
