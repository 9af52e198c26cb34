"""MLflow as services run it: SageMaker's by its plug-in, and servers with workspaces."""

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import serve_mlflow

pytestmark = pytest.mark.server
SERVER = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/team"
APP = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-app/app-1A2B"


@pytest.fixture(scope="module")
def workspace_server(tmp_path_factory):
    """The address of a server with a workspace `team`; clients write artifacts themselves."""
    folder = tmp_path_factory.mktemp("mlflow-workspaces")
    root = ("--no-serve-artifacts", "--default-artifact-root", str(folder / "artifacts"))
    with serve_mlflow(folder, "--enable-workspaces", *root) as uri:
        request = urllib.request.Request(
            f"{uri}/api/3.0/mlflow/workspaces",
            json.dumps({"name": "team"}).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        yield uri


@pytest.fixture(scope="module")
def sagemaker():
    """A stub of SageMaker's API: its `env`, and what it was `asked`."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = self.headers["X-Amz-Target"].partition(".")[2]
            asked.append((action, json.loads(body)))
            answer = json.dumps({"AuthorizedUrl": f"https://signed/{action}?authToken=t"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.env = {"AWS_ENDPOINT_URL_SAGEMAKER": f"http://127.0.0.1:{server.server_port}"}
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("arn", [SERVER, APP])
def test_sagemakers_mlflow_is_a_store_like_others(run_mlrek, digits, workspace_server, arn):
    """By its real plug-in: runs and registered versions; what is there stays as it is."""
    pytest.importorskip("sagemaker_mlflow")
    env = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": workspace_server}
    place = ("--tracking-uri", arn, "--experiment", arn.rpartition("/")[2], "--json")
    args = ("sync", digits, "--version", "v2-linear", f"--register={arn[-4:]}", *place)
    first = json.loads(run_mlrek(*args, env=env).stdout)
    again = json.loads(run_mlrek(*args, env=env).stdout)
    shown = run_mlrek("show", f"models:/{arn[-4:]}/1", "--tracking-uri", arn, env=env)

    assert first["tracking_uri"] == arn
    assert first["projects"][0]["links"]["charts"] == ""
    assert [version["action"] for version in first["versions"]] == ["created"]
    assert first["versions"][0]["model"] == {"name": arn[-4:], "version": 1}
    assert [version["action"] for version in again["versions"]] == ["unchanged"]
    assert "v2-linear" in shown.stdout


def test_its_plugin_says_nothing_about_other_stores(run_mlrek, digits, workspace_server):
    """It would complain at each request that their URI is no ARN."""
    pytest.importorskip("sagemaker_mlflow")
    done = run_mlrek("sync", digits, "-q", "--tracking-uri", workspace_server)

    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arn", "action", "named"),
    [
        (SERVER, "CreatePresignedMlflowTrackingServerUrl", {"TrackingServerName": "team"}),
        (APP, "CreatePresignedMlflowAppUrl", {"Arn": APP}),
    ],
)
def test_ui_opens_the_signed_page_of_each_kind(run_mlrek, sagemaker, arn, action, named):
    """As SageMaker's own API gives it."""
    done = run_mlrek("ui", "--tracking-uri", arn, "--json", env=sagemaker.env)

    assert json.loads(done.stdout)["links"]["charts"] == f"https://signed/{action}?authToken=t"
    assert sagemaker.asked[-1][0] == action
    assert named.items() <= sagemaker.asked[-1][1].items()


def test_ui_of_a_source_opens_its_charts_behind_the_signature(
    run_mlrek, digits, sagemaker, workspace_server
):
    """A browser takes the part after `#` along to where the signed page sends it."""
    pytest.importorskip("sagemaker_mlflow")
    env = sagemaker.env | {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": workspace_server}
    place = ("--tracking-uri", SERVER)
    run_mlrek("sync", digits, "--experiment", "signed", *place, env=env)
    done = run_mlrek("ui", "signed", *place, env=env)

    signed, _, page = done.stdout.strip().partition("#")
    assert signed.endswith("?authToken=t")
    assert page.startswith("/experiments/")
    assert "compareRunsMode=CHART" in page


@pytest.mark.parametrize("workspace", ["team", ""])
def test_each_link_names_the_workspace(run_mlrek, digits, workspace_server, workspace):
    """Of `sync`, `evaluate` and `ui`; who names none writes to MLflow's default one."""
    env = {"MLFLOW_WORKSPACE": workspace} if workspace else {}
    place = ("--tracking-uri", workspace_server, "--json")
    synced = json.loads(run_mlrek("sync", digits, *place, env=env).stdout)
    opened = json.loads(run_mlrek("ui", *place, "--no-open", env=env).stdout)

    for links in (synced["projects"][0]["links"], opened["links"]):
        for link in links.values():
            query = parse_qs(urlsplit(urlsplit(link).fragment).query)
            assert query["workspace"] == [workspace or "default"]


def test_a_server_without_workspaces_has_links_without(run_mlrek, digits, mlflow_server):
    """As most have them."""
    place = ("--tracking-uri", mlflow_server, "--experiment", "plain", "--json")
    done = run_mlrek("sync", digits, *place)

    assert "workspace=" not in done.stdout


@pytest.mark.browser
def test_each_link_opens_its_page_in_a_workspace(run_mlrek, digits, workspace_server, page):
    """And not "Welcome to MLflow"."""
    env = {"MLFLOW_WORKSPACE": "team"}
    place = ("--tracking-uri", workspace_server, "--json")
    links = json.loads(run_mlrek("sync", digits, *place, env=env).stdout)["projects"][0]["links"]
    words = {
        "charts": (r"aggregate\s*\(\d+\)",),
        "runs": ("v2-linear", "v4-new-split"),
        "compare": ("v2-linear", "v4-new-split"),
        "images": ("v2-linear", r"charts\s*\(\d+\)"),
        "compare_newest": ("v3-neighbours", "v4-new-split"),
        "project": ("project.html",),
        "report": ("report.html",),
    }

    for name, link in links.items():
        page(f"workspace-{name}", link, *words[name])
        assert "Welcome to MLflow" not in page.text
