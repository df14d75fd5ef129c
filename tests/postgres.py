"""A PostgreSQL server of the tests' own, on loopback, gone when they end."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INSTALL = "apt-get install postgresql (or another package with initdb and pg_ctl)"
USER, PASSWORD = "tester", "s3cret-of-the-tests"


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL's initdb and pg_ctl, which Debian keeps off PATH; None without one."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = [Path(found) for found in [shutil.which("initdb")] if found]
    folders = [path.resolve().parent for path in [*on_path, *installed]]
    return next((folder for folder in reversed(folders) if (folder / "pg_ctl").exists()), None)


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Start a server with the empty database `postgres`, and give its address, `postgresql://…`."""
    # Not in pytest's folder, which only its owner may enter: PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="brain-tumor-postgres-"))
    options: dict[str, Any] = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, "timeout": 120}
    if os.geteuid() == 0:
        account = _unprivileged()
        os.chown(folder, account.pw_uid, account.pw_gid)
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = str(folder / "data"), str(folder / "log")
    control = [str(binaries / "pg_ctl"), "--pgdata", data]
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    initdb = [str(binaries / "initdb"), "--pgdata", data, "--username", USER, "--pwfile", str(folder / "password")]
    try:
        subprocess.run(
            [*initdb, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"], **options
        )
        subprocess.run([*control, "--wait", "--log", log, "--options", settings, "start"], **options)
        try:
            yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], **options)
    finally:
        shutil.rmtree(folder)


def _unprivileged() -> pwd.struct_passwd:
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]
