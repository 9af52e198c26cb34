"""`mlrek ui`: MLflow, opened on the page that shows the versions side by side."""

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlrek.runs.listing import Page
    from mlrek.sources import AwsOptions
    from mlrek.tracking.links import Links


def ui(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Project, experiment or source; else that of the version logged last.",
            show_default=False,
        ),
    ] = "",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Of a local store's pages; 0: 5000 or the next free.",
        ),
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Open MLflow on the page that shows the versions side by side.

    Serves the pages of a local store until Ctrl-C. Of a server it prints and opens the link.

    Example: mlrek ui digits
    """
    from mlrek.errors import TrackingError
    from mlrek.runs.listing import find_page
    from mlrek.tracking.connection import connect_existing, explain_managed, is_sagemaker
    from mlrek.tracking.links import is_local_store, ui_address

    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    explain_managed(uri, os.environ)
    aws = account.aws
    opens = not (no_open or output.as_json)
    if is_sagemaker(uri):
        _show_signed(uri, source, aws, output, opens=opens)
        return
    store = connect_existing(tracking_uri)
    if store is None:
        raise TrackingError("nothing is logged here yet: mlrek sync SOURCE")
    page = find_page(store, source, aws)
    if is_local_store(store.tracking_uri):
        _serve(store.tracking_uri, page, port, output, opens=opens)
    else:
        _show_page(page, ui_address(store.tracking_uri), output, opens=opens)


def _serve(tracking_uri: str, page: "Page", port: int, output: Output, *, opens: bool) -> None:
    """Serve the pages of a local store until Ctrl-C, which is how it should end."""
    from mlrek.tracking.connection import serve_pages

    with _until_interrupted(), serve_pages(tracking_uri, port) as server:
        _show_page(page, server.address, output, opens=opens)
        output.hint("Serving MLflow's pages; Ctrl-C ends.")
        sys.stdout.flush()
        server.wait()


def _show_signed(uri: str, source: str, aws: "AwsOptions", output: Output, *, opens: bool) -> None:
    """Open the pages of SageMaker's managed MLflow, on those of a SOURCE where one is named."""
    from mlrek.runs.listing import find_page
    from mlrek.sources.aws import AwsClients, asking_aws
    from mlrek.tracking.connection import check_address, connect, create_page
    from mlrek.tracking.links import Links

    page = find_page(connect(uri), source, aws) if source else None
    check_address(uri)
    clients = AwsClients(replace(aws, region=uri.split(":")[3]))
    with asking_aws(uri, needs="sagemaker:CreatePresignedMlflowTrackingServerUrl (or …AppUrl)"):
        signed = create_page(uri, clients.sagemaker)
    if page is not None:  # a browser takes the place within the pages along to where it is sent
        signed = f"{signed}#{page.build_links('http://x').charts.partition('#')[2]}"
    _show(page, Links(charts=signed, compare="", runs="", images=""), [signed], output, opens=opens)
    if not output.as_json:
        output.hint("The link is for you alone, and holds for minutes.")


def _show_page(page: "Page", address: str, output: Output, *, opens: bool) -> None:
    from mlrek.runs.results import list_pages

    links = page.build_links(address)
    lines = [f"{page.experiment}:", *(line.text for line in list_pages(links))]
    _show(page, links, lines, output, opens=opens)


def _show(
    page: "Page | None", links: "Links", lines: list[str], output: Output, *, opens: bool
) -> None:
    """Print the links, and open the first in a browser."""
    from mlrek.render import Line

    place = (page.experiment, page.experiment_id) if page else (None, None)
    named = dict(zip(("experiment", "experiment_id"), place, strict=True))
    output.show(map(Line, lines), lambda: {**named, "links": asdict(links)})
    if opens and _has_display():
        import webbrowser

        webbrowser.open(links.charts)


def _has_display() -> bool:
    """Whether a window can open; a browser in the terminal would be in the way."""
    if sys.platform in {"darwin", "win32"}:
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


@contextmanager
def _until_interrupted() -> "Iterator[None]":
    """Take Ctrl-C, and the signals that end a service, as the end of the block."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.signal(number, interrupt) for number in numbers if number}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
