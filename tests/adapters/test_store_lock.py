"""One process to one SQLite file, and none on a network file system."""

import asyncio
import sys
from pathlib import Path

import pytest

from bot.adapters.store.lock import network_file_system, sole_process
from bot.errors import DatabaseError

LOCAL = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
tmpfs /run tmpfs rw 0 0
"""
SHARED = LOCAL + "files:/export /srv/mail nfs4 rw,vers=4.2 0 0\n"


@pytest.mark.parametrize(
    ("path", "mounts", "kind"),
    [
        ("/data/mailcfg.db", LOCAL, None),
        ("/srv/mail/mailcfg.db", SHARED, "nfs4"),
        ("/srv/mailbox/mailcfg.db", SHARED, None),
        ("/srv/mail/local/x.db", SHARED + "/dev/vdb /srv/mail/local ext4 rw 0 0\n", None),
        ("/mnt/my share/x.db", LOCAL + "//nas/share /mnt/my\\040share cifs rw 0 0\n", "cifs"),
        ("/home/me/x.db", LOCAL + "me@host: /home/me fuse.sshfs rw 0 0\n", "fuse.sshfs"),
        ("/data/mailcfg.db", "", None),
        ("/data/mailcfg.db", "a damaged line\n\n", None),
    ],
)
def test_the_mount_table_tells_where_sqlite_is_not_safe(path: str, mounts: str, kind: str | None):
    assert network_file_system(Path(path), mounts) == kind


def test_a_second_holder_is_refused_and_told_why(tmp_path: Path):
    database = tmp_path / "mailcfg.db"
    with sole_process(database), pytest.raises(DatabaseError) as refused, sole_process(database):
        pass
    assert str(refused.value) == (
        f"Another mailcfg already runs on the database {database}. Stop it first, or use "
        "PostgreSQL for several."
    )


def test_the_database_is_free_again_afterwards(tmp_path: Path):
    with sole_process(tmp_path / "mailcfg.db"):
        pass
    with sole_process(tmp_path / "mailcfg.db"):
        pass


async def test_the_lock_of_a_killed_process_does_not_stay(tmp_path: Path):
    database = tmp_path / "mailcfg.db"
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys\nfrom pathlib import Path\nfrom bot.adapters.store.lock import sole_process\n"
        f"with sole_process(Path({str(database)!r})):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(DatabaseError), sole_process(database):
        pass

    holder.kill()
    await holder.wait()

    with sole_process(database):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    database = tmp_path / "nowhere" / "mailcfg.db"
    with pytest.raises(DatabaseError, match="folder cannot"), sole_process(database):
        pass
