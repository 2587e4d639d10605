"""Whether this system ends a user's processes at logout, which no process can prevent by itself.

systemd does so where ``KillUserProcesses=yes`` (logind.conf): what a login session started is ended with it, also what
has a session of its own, unless it was started outside of the login's scope.
"""

import getpass
import shutil
import subprocess
from functools import cache
from pathlib import Path

PATIENCE = 2.0
"""Seconds in which ``loginctl`` must have answered."""


@cache
def warning() -> str:
    """One sentence if runs do not outlive a logout here, else empty. It asks other processes, so ask in a thread."""
    return judge(_properties(), _scope(), getpass.getuser()) if shutil.which("loginctl") else ""


def judge(properties: dict[str, str], scope: str, user: str) -> str:
    """The sentence, by logind's properties and the control group of this process."""
    only, excluded = (properties.get(name, "").split() for name in ("KillOnlyUsers", "KillExcludeUsers"))
    if properties.get("KillUserProcesses") != "yes" or user in excluded or (only and user not in only):
        return ""
    if "session-" not in scope:  # started outside of a login's scope, as the sentence says
        return ""
    return (
        "this system ends what you started when you log out (KillUserProcesses=yes), runs as well: say once 'loginctl "
        "enable-linger', and start with 'systemd-run --user --scope workbench'"
    )


def _properties() -> dict[str, str]:
    """What logind says of itself; nothing where it does not run."""
    try:
        asked = subprocess.run(
            ["loginctl", "show-user"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    parts = [line.partition("=") for line in asked.stdout.splitlines()]
    return {name: value for name, equals, value in parts if equals}


def _scope() -> str:
    try:
        return Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
