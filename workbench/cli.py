"""The command ``workbench``: data on stdout, narration on stderr, an exit code that scripts can rely on.

No command has logic of its own: it parses, calls, prints. Whatever needs torch is imported inside the command that
needs it, so that ``--help`` and ``ls`` answer at once.
"""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from engines.errors import InvalidHypothesis, InvalidSetting, InvalidSite, StoreError, UnknownName, WorkbenchError
from workbench import (
    config_cli,
    exam_cli,
    inspect_cli,
    list_cli,
    mib_cli,
    provenance,
    queue_cli,
    run_cli,
    scrub_cli,
    show_cli,
    tune_cli,
)
from workbench.command import FAILED, INTERRUPTED, OK, STORE, USAGE, complain

CODES = """\b
Exit codes:
  0    ok
  1    a run failed, or the exam, a verification or a demo was not passed
  2    wrong usage, an unknown name, a setting or a hypothesis that is not allowed
  3    the store of runs: no such run, a damaged one, a disk that refuses
  130  interrupted; what was finished is kept
  143  an exam that was ended by SIGTERM; what was finished is kept
"""
EXAMPLES = f"""\b
Examples:
  workbench ls methods
  workbench run rasp.reverse/compiled/opposite plot_das --set steps=50
  workbench run rasp.reverse/compiled/opposite full_das --detach
  workbench log -f 3f2a
  workbench show 3f2a --json
  workbench exam --programs reverse,sort --methods plot_das
  workbench demo scrub-easy-hard

{CODES}"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors of the user become one line, others keep their traceback."""
    if sys.stdout is None:
        return complain("stdout is closed, so that nothing can be printed; open it, or write >/dev/null", USAGE)
    try:
        code = app(args=arguments, prog_name="workbench", standalone_mode=False) or OK
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _misused(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        return complain("interrupted", INTERRUPTED)
    except WorkbenchError as error:
        return refuse(error)
    except BrokenPipeError:
        return _had_enough()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:  # files say their own sentence
            raise
        _let_go()
        return complain("the disk that stdout goes to is full; free some space there", STORE)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Typer ends the process with 1 there
            return _had_enough()
        raise


def refuse(error: WorkbenchError) -> int:
    """Say an error of the user; returns its exit code."""
    if isinstance(error, StoreError):
        return complain(str(error), STORE)
    wrong = isinstance(error, UnknownName | InvalidSetting | InvalidSite | InvalidHypothesis)
    return complain(str(error), USAGE if wrong else FAILED)


def _had_enough() -> int:
    """End well: the reader of what is printed, such as ``head``, has seen enough."""
    _let_go()
    return OK


def _let_go() -> None:
    """Send what is left for stdout nowhere; else it is tried again when the process ends."""
    if sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def _misused(message: str) -> int:
    if message.startswith("Usage:"):  # a group without a command answers with its help
        print(message, file=sys.stderr)
        return USAGE
    return complain(f"{message.rstrip('.')}{' See' if message.endswith('?') else '; see'} 'workbench --help'", USAGE)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"workbench {provenance.versions()['causal-workbench']}")
        raise typer.Exit


@app.callback(epilog=EXAMPLES)
def workbench(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Put localization methods to the test on compiled programs whose circuit is known."""


list_cli.mount(app)
run_cli.mount(app)
show_cli.mount(app)
exam_cli.mount(app)
scrub_cli.mount(app, list_cli.lists)
inspect_cli.mount(app)
config_cli.mount(app)
queue_cli.mount(app)
mib_cli.mount(app)
tune_cli.mount(app)

if __name__ == "__main__":
    sys.exit(main())
