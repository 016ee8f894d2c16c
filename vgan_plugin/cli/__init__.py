"""The command line `vgan`: parse, call one function, print. Every outcome becomes an exit status here."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

import vgan_plugin
from vgan_plugin.cli.output import error_line, leave_stdout, open_closed_streams, print_json
from vgan_plugin.cli.signals import stopped_by_signals
from vgan_plugin.errors import ExtraMissing, UsageError, VganError

COMMANDS = (
    *("fill", "interpolate", "inpaint", "extend", "synthesize", "scan", "pipe"),
    *("models", "doctor", "bench", "train", "export", "evaluate"),
)
INTERRUPTED = 130
_COMPLETION = "_VGAN_COMPLETE"
"""Set by a shell that wants to know what could come next."""
_NEEDED = ("av", "numpy", "onnxruntime", "pluggy")
"""Packages that come with vgan; one may have been taken away since, or two wheels have shared its folder."""
BUG = 70
"""A bug of ours; the same number as in sysexits.h."""
_EPILOG = """\b
Exit status:
  0    done
  1    done, but something is left unrepaired, or a fallback (blend, repeat)
       made frames instead of the generator; both are named
  2    usage
  3    the input cannot be read
  4    the output cannot be written
  5    model, bundle or plugin unusable
  6    the device asked for is not there
  130  interrupted; nothing half-written has the output's name
"""


class Commands(click.Group):
    """The commands, each in a module of its own that is imported when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's
        """Names in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"vgan_plugin.cli.{cmd_name}").command
        return command


@click.command(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(vgan_plugin.__version__, prog_name="vgan", message="%(prog)s %(version)s")
def vgan() -> None:
    """Find and make missing video frames."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `vgan` and give its exit status; nothing is raised.

    Args:
        arguments: without the program's name; None = those of the process.
    """
    open_closed_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with stopped_by_signals():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        if _COMPLETION in os.environ:
            vgan.main(prog_name="vgan", complete_var=_COMPLETION)
        with vgan.make_context("vgan", list(arguments)) as running:
            result = vgan.invoke(running)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        error = VganError("Interrupted", "it was asked to stop, and left no unfinished output", "run it again")
        return _fail(arguments, error, INTERRUPTED)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except SystemExit as leave:  # click's, after completion
        return leave.code if isinstance(leave.code, int) else 0
    except BrokenPipeError:  # nobody reads the help any more
        leave_stdout()
        return 0
    except click.exceptions.NoArgsIsHelpError as error:  # who says nothing wants to know what there is to say
        print(error.ctx.get_help(), file=sys.stderr)  # noqa: T201
        return UsageError.exit_status
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "vgan"
        message = " ".join(error.format_message().split()).rstrip(".")
        return _fail(arguments, UsageError("Usage", message, f"see {command} --help"))
    except VganError as error:
        return _fail(arguments, error)
    except Exception as error:  # noqa: BLE001 the last door: a bug becomes a line, and a traceback on request
        if {"-v", "--verbose"} & set(arguments):
            traceback.print_exc()
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if isinstance(error, ImportError) and str(error.name).partition(".")[0] in _NEEDED:
            do = "pip install vgan in a fresh environment"
            return _fail(arguments, ExtraMissing("A package that vgan needs is not there, or only in part", why, do))
        return _fail(arguments, VganError("This is a bug of vgan", why, "report it, with the output of --verbose"), BUG)


def _fail(arguments: list[str], error: VganError, status: int | None = None) -> int:
    status = error.exit_status if status is None else status
    print(error_line(error), file=sys.stderr)  # noqa: T201 the one line of an error
    if "--json" in arguments:
        facts = {"code": error.code, "what": error.what, "why": error.why, "do": error.do}
        print_json({"format": 1, "status": status, "error": facts})
    return status
