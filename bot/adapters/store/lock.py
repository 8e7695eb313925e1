"""One process to one SQLite file, and none on a network file system, where its locks do not hold.

See sqlite.org/wal.html ("All processes using a database must be on the same host computer") and
sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bot.errors import DatabaseError

MOUNTS = Path("/proc/self/mounts")
OVER_THE_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs"),
        *("ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2", "gfs2"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"),
    }
)


@contextmanager
def sole_process(database: Path) -> Iterator[None]:
    """Hold the database file for this process alone. Raises DatabaseError if that cannot be."""
    kind = network_file_system(database.absolute(), mounts())
    if kind is not None:
        raise DatabaseError(
            f"The database {database} is on a network file system ({kind}), where SQLite is not "
            "safe. Put it on a local disk, or use PostgreSQL."
        )
    with _opened(database.with_name(f"{database.name}.lock")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatabaseError(
                f"Another mailcfg already runs on the database {database}. Stop it first, or use "
                "PostgreSQL for several."
            ) from error
        yield


def network_file_system(path: Path, mounts: str) -> str | None:
    """The kind of network file system that holds an absolute path, or None if it is a local one.

    `mounts` is a mount table (proc(5), `/proc/mounts`): device, mount point, type, options.
    """
    rows = (line.split() for line in mounts.splitlines())
    points = [(Path(_unescaped(row[1])), row[2]) for row in rows if len(row) > 2]
    holding = [(len(point.parts), kind) for point, kind in points if path.is_relative_to(point)]
    kind = max(holding, default=(0, ""), key=lambda found: found[0])[1]
    return kind if kind in OVER_THE_NETWORK else None


def _unescaped(point: str) -> str:
    """Spaces and the like are written in octal in a mount table."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)


def mounts() -> str:
    return MOUNTS.read_text(encoding="utf-8", errors="replace") if MOUNTS.exists() else ""


def _opened(file: Path) -> TextIO:
    try:
        return file.open("a")
    except OSError as error:
        raise DatabaseError(
            f"The database's folder cannot be written to: {error.strerror}. Make {file.parent.absolute()} "
            "and give mailcfg's user the right to write there, or name another place in "
            "MAILCFG_DATABASE_URL."
        ) from error
