"""The command ``postproc``: its subcommands, and what ends them with a message."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from postproc import __version__
from postproc.cli.commands import (
    calibrate,
    demo,
    doctor,
    dump,
    evaluate,
    fuse,
    inspect,
    run,
    serve,
    store,
    validate,
    warmup,
)
from postproc.cli.exit_codes import FAILED, MISUSED
from postproc.cli.terminal import complain, tell_of_compiling
from postproc.errors import PostprocError
from postproc.installing import install


class _Commands(TyperGroup):
    """Ends a command with a message where what it was given is wrong or an extra is missing."""

    def get_params(self, ctx: Any) -> Any:
        return [_without_types(parameter) for parameter in super().get_params(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command whose help the terminal wraps; Typer would keep the lines of docstrings."""
        command: Any = super().get_command(ctx, cmd_name)
        for one in (command, *getattr(command, "commands", {}).values()) if command else ():
            one.help = "\n\n".join(" ".join(text.split()) for text in (one.help or "").split("\n\n"))
            for parameter in one.get_params(ctx):
                _without_types(parameter)
        return command

    def invoke(self, ctx: Any) -> Any:
        tell_of_compiling()
        try:
            return super().invoke(ctx)
        except PostprocError as error:
            complain(str(error))
            sys.exit(FAILED)
        except ImportError as error:
            if error.name is None:  # our own, which say what extra to install, name no module
                complain(str(error))
            elif error.name.partition(".")[0] == "pyarrow":  # what saved tensors are read and written with
                complain(f"this command needs an extra: {install('eval')} ({error})")
            else:
                raise
            sys.exit(MISUSED)
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # the reader of a pipe has left, as `head` does
                raise
            complain(str(error))
            sys.exit(FAILED)


def _without_types(parameter: Any) -> Any:
    """Have the help show no types of Python, as Typer shows those of flags, paths and numbers."""
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None
    elif parameter.is_flag:
        parameter.metavar = ""
    elif parameter.metavar is None:
        kind = getattr(parameter, "type_descriptor", None) or parameter.type  # the latter before Typer 0.27
        parameter.metavar = None if getattr(kind, "choices", None) else "NUMBER"
    return parameter


app = typer.Typer(
    cls=_Commands,
    help="From the raw output tensors of a recognition network to detections and classifications.",
    epilog="Start with [bold]postproc demo[/bold]: it needs no files of yours.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"postproc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version, and nothing else.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


app.command()(validate.validate)
app.command(epilog="For example: postproc run --spec spec.json --version version.json model.onnx *.jpg")(
    run.run
)
app.command(
    epilog="For example: postproc evaluate --spec spec.json --version version.json --truth truth.json "
    "model.onnx images/ --report report.html. To try it: postproc demo --dataset digits"
)(evaluate.evaluate)
app.command(
    epilog="For example: postproc calibrate --spec spec.json --version version.json --truth truth.json "
    "model.onnx images/ --output calibrated.json, or --tensors DIR instead of a network and images"
)(calibrate.calibrate)
app.command(epilog="For example: postproc inspect yolov8n.onnx --save yolov8n, then postproc run")(
    inspect.inspect
)
app.command(
    epilog="For example: postproc fuse yolov8n.onnx --spec yolov8n/spec.json --version yolov8n/version.json "
    "--output yolov8n.fused.onnx"
)(fuse.fuse)
app.command()(warmup.warmup)
app.command(
    epilog="For example: postproc dump --spec spec.json --version version.json model.onnx images/ "
    "--output tensors, then postproc run --tensors tensors"
)(dump.dump)
app.command(epilog="For example, on a machine with an NVIDIA GPU: postproc doctor --gpu")(doctor.doctor)
app.command()(demo.demo)
app.command(epilog="For example: postproc serve --data service, then open http://127.0.0.1:8000")(serve.serve)
app.add_typer(serve.keys_app, name="keys")
app.add_typer(store.store_app, name="store")
