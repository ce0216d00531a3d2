"""The entry point: runs a command, and turns whatever happens into an exit code and a sentence."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, cast

import typer

from lamina.cli.describe import describe
from lamina.cli.evaluate import evaluate
from lamina.cli.explain import explain
from lamina.cli.importing import export, import_weights
from lamina.cli.info import info
from lamina.cli.predict import predict
from lamina.cli.sample import sample
from lamina.cli.summary import summary
from lamina.cli.terminal import emit_json, note, styled
from lamina.cli.train import train
from lamina.cli.zoo import zoo
from lamina.errors import BadInputError, LaminaError

__all__ = ["app", "main"]

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

# What Typer raises for wrong usage; it offers the base class of this one under no name of its own.
_UsageErrors = cast("tuple[type[Exception], ...]", typer.BadParameter.__bases__)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 the run failed, 2 bad input, refused before anything was written.",
)
_WORK, _EXCHANGE, _LOOK = "From data to answers", "To and from elsewhere", "Look inside"
app.command(rich_help_panel=_WORK)(train)
app.command(rich_help_panel=_WORK)(predict)
app.command(rich_help_panel=_WORK)(sample)
app.command(rich_help_panel=_WORK)(evaluate)
app.command(rich_help_panel=_WORK)(describe)
app.command("import", rich_help_panel=_EXCHANGE)(import_weights)
app.command(rich_help_panel=_EXCHANGE)(export)
app.command(rich_help_panel=_LOOK)(explain)
app.command(rich_help_panel=_LOOK)(summary)
app.command(rich_help_panel=_LOOK)(zoo)
app.command(rich_help_panel=_LOOK)(info)


@app.callback(invoke_without_command=True)
def lamina(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Neural networks from data to a trained, honestly measured model.

    [bold]lamina train photos/[/bold]     a folder with a sub-folder of pictures for each class
    [bold]lamina train table.csv --target price[/bold]
    [bold]lamina predict runs/photos new.jpg[/bold]
    [bold]lamina evaluate runs/photos more_photos/[/bold]
    """
    if version:
        import lamina

        typer.echo(f"lamina {lamina.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; default: the process's own.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 bad input or usage, 130 interrupted before there was a result.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show must not end the run
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in arguments
    try:
        with _terminated_like_interrupted():
            command: Any = typer.main.get_command(app)
            with command.make_context("lamina", arguments, obj=arguments) as context:
                command.invoke(context)
            if sys.stdout is not None:  # started with stdout closed
                sys.stdout.flush()
    except typer.Exit as finished:
        return finished.exit_code
    except _UsageErrors as error:
        usage: Any = error
        path = usage.ctx.command_path if usage.ctx else "lamina"
        return _fail(REFUSED, "UsageError", usage.format_message(), f"See {path} --help.", as_json)
    except LaminaError as error:
        code = REFUSED if isinstance(error, BadInputError) else FAILED
        message = str(error)
        message = message.removesuffix(error.hint).rstrip() if error.hint else message
        return _fail(code, type(error).__name__, message, error.hint, as_json)
    except BrokenPipeError:
        # The reader has had enough. What Python still holds for it must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "Interrupted", "Interrupted.", "", as_json)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(FAILED, "OSError", f"{where}{error.strerror or error}.", "", as_json)
    except MemoryError:
        return _fail(FAILED, "MemoryError", "The memory is full.", "Try a smaller --batch-size or --size.", as_json)
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):  # jax's words; its exception class has moved between releases
            hint = "Try a smaller --batch-size or --size."
            return _fail(FAILED, "MemoryError", "The device's memory is full.", hint, as_json)
        traceback.print_exc()
        hint = "Please report it with the lines above and the command."
        return _fail(FAILED, "Bug", f"This is a bug in Lamina ({type(error).__name__}: {error}).", hint, as_json)
    return DONE


def _fail(code: int, kind: str, message: str, hint: str, as_json: bool) -> int:
    """Say what went wrong: on stderr for people, as the one JSON object on stdout for scripts."""
    note(f"{styled('error:', 'red')} {message}")
    if hint:
        note(f"{styled('hint:', 'cyan')} {hint}")
    if as_json:
        emit_json({"error": {"kind": kind, "message": message, "hint": hint}})
    return code


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does: a training ends cleanly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raise_interrupt: Callable[..., None] = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
    before = signal.signal(signal.SIGTERM, raise_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
