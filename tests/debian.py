"""What tests need of Debian's packages, installed by them where that is possible."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock


def install(*packages: str) -> str | None:
    """Install Debian packages; otherwise say why not. One process at a time: apt waits for no other."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"no {' or '.join(packages)} here, and no root with apt-get to install it"
    # In runlevel 1 a package starts no server of its own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with FileLock(Path(tempfile.gettempdir()) / "brain-tumor-apt.lock"):
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
            try:
                subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=240)
            except (subprocess.SubprocessError, OSError) as error:
                reason = " ".join(str(getattr(error, "stderr", None) or error).split())[-200:]
                return f"`{' '.join(command)}` failed: {reason}"
    return None
