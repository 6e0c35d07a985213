"""A disk in memory that may fail: full, torn, lossy.

Content that was written and names that were given are in the page cache first. A power loss takes
what was not synced, and leaves what the rules of ext4 and xfs allow:

Rule 1: what a file held when it was synced is there, unless it was overwritten or cut since.
Rule 2: what was written since is there up to some byte, with zeros where a file grew before its
data came.
Rule 3: changes to the names in a folder are done in their order, up to some change; a synced folder
has all of them.
Rule 4: a rename between two folders is done in both or in none.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from random import Random

from ashtune._src.study.disk import FOLDER_FOR_THE_OWNER, FOR_THE_OWNER, Disk, Status

UMASK = 0o022
MOST_LINKS = 40
MOST_OPEN = 1_024

NO_SPACE = "no space"
NO_INODE = "no inode"
READ_ERROR = "read error"
SYNC_ERROR = "sync error"
SLOW_SYNC = "slow sync"
SHORT_WRITE = "short write"
NO_DESCRIPTOR = "no descriptor"
FAULTS = (NO_SPACE, NO_INODE, READ_ERROR, SYNC_ERROR, SLOW_SYNC, SHORT_WRITE, NO_DESCRIPTOR)


class Node:
    """A file, folder or link: what it is now, and what of it would survive."""

    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.content = bytearray()
        self.durable = b""
        self.unsynced: list[tuple[int, bytes] | int] = []
        """Writes (offset, data) and cuts (size) since it was synced, oldest first."""
        self.lost: list[tuple[int, int]] = []
        """Where (offset, length) pages count as written that are not: a sync had failed."""
        self.names: dict[str, Node] = {}
        self.durable_names: dict[str, Node] = {}
        self.changed_ns = 0
        self.locked_by: int | None = None

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Opened:
    """An open file: where it is, and whose."""

    def __init__(self, node: Node, flags: int, process: Hashable) -> None:
        self.node = node
        self.flags = flags
        self.process = process
        self.position = 0


class Renaming:
    """A change to names that is done as a whole: of (folder, name) to a file, or to none."""

    def __init__(self, *changes: tuple[Node, str, Node | None]) -> None:
        self.changes = changes
        self.folders = {folder for folder, _, _ in changes}

    def survive(self) -> None:
        for folder, name, node in self.changes:
            if node is None:
                folder.durable_names.pop(name, None)
            else:
                folder.durable_names[name] = node


class SimulatedDisk(Disk):
    """A disk in memory. Permission bits are kept, but nobody is refused for them.

    Args:
        random: Decides what fails and what a power loss takes.
        rates: Fault -> how probable it is at each call that it fits.
        plan: Number of a call (from 0) -> fault, which comes at this call or at the first that it
            fits after it.
        bytes_in_all: The size of the disk.
        inodes_in_all: The most files, folders and links.
        slow: Called when a sync is slow.

    ``injected`` counts the faults that a caller met, and what power losses took; ``calls`` all
    calls by name. ``process``: whose the files are that are opened from now on, for
    :meth:`process_kill`.
    """

    def __init__(
        self,
        random: Random,
        *,
        rates: Mapping[str, float] | None = None,
        plan: Mapping[int, str] | None = None,
        bytes_in_all: int | None = None,
        inodes_in_all: int | None = None,
        slow: Callable[[], None] = lambda: None,
    ) -> None:
        self.random = random
        self.rates = dict(rates or {})
        self.plan = dict(plan or {})
        assert all(fault in FAULTS for fault in (*self.rates, *self.plan.values()))
        self.bytes_in_all = bytes_in_all
        self.inodes_in_all = inodes_in_all
        self.slow = slow
        self.injected: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.process: Hashable = None
        self._number_of_calls = 0
        self._due: list[str] = []
        self._clock = 0
        self._most_used = 0  # files that were deleted may still be in it
        self._root = Node(stat.S_IFDIR | FOLDER_FOR_THE_OWNER)
        self._pending: list[Renaming] = []
        self._opened: dict[int, Opened] = {}
        # no number of a real file: a call that went past the disk is seen at once
        self._next_descriptor = 1_000_000

    # What the code calls

    def open(
        self, path: str, flags: int, mode: int = FOR_THE_OWNER, *, at: int | None = None
    ) -> int:
        self._called("open")
        if len(self._opened) >= MOST_OPEN or self._fails(NO_DESCRIPTOR, "open"):
            raise error(errno.EMFILE, path)
        folder, name = self._parent(path, at)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            if not flags & os.O_CREAT:
                raise error(errno.ENOENT, path)
            node = self._new("open", path, stat.S_IFREG | (mode & ~UMASK))
            self._give_names((folder, name, node))
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            raise error(errno.EEXIST, path)
        elif flags & os.O_DIRECTORY and not node.is_folder:
            raise error(errno.ENOTDIR, path)
        elif node.is_link:
            raise error(errno.ELOOP, path)
        elif node.is_folder and not flags & os.O_DIRECTORY:
            raise error(errno.EISDIR, path)
        elif flags & os.O_TRUNC and node.content:
            self._cut(node, 0)
        self._next_descriptor += 1
        self._opened[self._next_descriptor] = Opened(node, flags, self.process)
        return self._next_descriptor

    def close(self, file: int) -> None:
        self._called("close")
        self._of(file)
        self._close(file)

    def read(self, file: int, size: int) -> bytes:
        opened = self._of(file)
        data = self._read("read", opened, size, opened.position)
        opened.position += len(data)
        return data

    def read_at(self, file: int, size: int, offset: int) -> bytes:
        return self._read("read_at", self._of(file), size, offset)

    def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
        self._called("write")
        opened = self._of(file)
        if not opened.flags & (os.O_WRONLY | os.O_RDWR):
            raise error(errno.EBADF)
        piece = bytes(data)
        offset = len(opened.node.content) if opened.flags & os.O_APPEND else opened.position
        if self._fails(NO_SPACE, "write"):
            if not piece or self.random.random() < 0.5:
                raise error(errno.ENOSPC)
            # what still went in; the next write is refused
            piece = piece[: self.random.randrange(len(piece))]
            self._due.append(NO_SPACE)
            if not piece:
                raise error(errno.ENOSPC)
        elif len(piece) > 1 and self._fails(SHORT_WRITE, "write"):
            piece = piece[: self.random.randrange(1, len(piece))]
        if self.bytes_in_all is not None and piece:
            growth = max(0, offset + len(piece) - len(opened.node.content))
            if growth > self.bytes_in_all - self._most_used:
                self._most_used = self.bytes_used()
            room = self.bytes_in_all - self._most_used
            if growth > room:
                self.injected[f"{NO_SPACE} at write"] += 1
                piece = piece[: max(0, len(piece) - (growth - max(0, room)))]
                if not piece:
                    raise error(errno.ENOSPC)
        self._write(opened.node, offset, piece)
        opened.position = offset + len(piece)
        return len(piece)

    def size(self, file: int) -> int:
        self._called("size")
        return len(self._of(file).node.content)

    def truncate(self, file: int, size: int) -> None:
        self._called("truncate")
        opened = self._of(file)
        if not opened.flags & (os.O_WRONLY | os.O_RDWR):
            raise error(errno.EINVAL)
        self._cut(opened.node, size)

    def sync(self, file: int) -> None:
        self._called("sync")
        node = self._of(file).node
        if self._fails(SLOW_SYNC, "sync"):
            self.slow()
        if self._fails(SYNC_ERROR, "sync"):
            if self.random.random() < 0.5:  # as Linux: the pages count as written now, and are not
                self._lose(node)
            raise error(errno.EIO)
        if node.is_folder:
            self._sync_names(node)
            return
        node.durable = with_zeros(node.content, node.lost)
        node.unsynced.clear()
        if self.random.random() < 0.5:  # the journal of the file system takes all names along
            self._sync_all_names()

    def lock(self, file: int) -> None:
        self._called("lock")
        node = self._of(file).node
        if node.locked_by not in (None, file):
            raise error(errno.EAGAIN)
        node.locked_by = file

    def sync_folder(self, path: str) -> bool:
        self._called("sync_folder")
        folder = self._folder(path)
        if self._fails(SLOW_SYNC, "sync_folder"):
            self.slow()
        if self._fails(SYNC_ERROR, "sync_folder"):
            return False
        self._sync_names(folder)
        return True

    def rename(self, path: str, final: str) -> None:
        self._called("rename")
        folder, name = self._parent(path, None)
        new_folder, new_name = self._parent(final, None)
        node = folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        there = new_folder.names.get(new_name)
        if node is there:
            return
        if node.is_folder and self._is_within(new_folder, node):
            raise error(errno.EINVAL, path)
        if there is not None:
            if there.is_folder and self._is_within(folder, there):
                raise error(errno.ENOTEMPTY, final)
            if node.is_folder and not there.is_folder:
                raise error(errno.ENOTDIR, final)
            if not node.is_folder and there.is_folder:
                raise error(errno.EISDIR, final)
            if there.names:
                raise error(errno.ENOTEMPTY, final)
        self._give_names((folder, name, None), (new_folder, new_name, node))

    def unlink(self, path: str, *, at: int | None = None) -> None:
        self._called("unlink")
        folder, name = self._parent(path, at)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        if node.is_folder:
            raise error(errno.EISDIR, path)
        self._give_names((folder, name, None))

    def make_folder(self, path: str) -> None:
        self._called("make_folder")
        folder, name = self._parent(path, None)
        if name == "" or name in folder.names:
            raise error(errno.EEXIST, path)
        node = self._new("make_folder", path, stat.S_IFDIR | (FOLDER_FOR_THE_OWNER & ~UMASK))
        self._give_names((folder, name, node))

    def make_writable(self, path: str, *, at: int | None = None) -> None:
        self._called("make_writable")
        folder, name = self._parent(path, at)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        if not node.is_folder:
            raise error(errno.ENOTDIR, path)
        node.mode = stat.S_IFMT(node.mode) | FOLDER_FOR_THE_OWNER

    def set_changed(self, file: int, changed_ns: int) -> None:
        self._called("set_changed")
        self._of(file).node.changed_ns = changed_ns

    def remove_folder(self, path: str, *, at: int | None = None) -> None:
        self._called("remove_folder")
        folder, name = self._parent(path, at)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        if not node.is_folder:
            raise error(errno.ENOTDIR, path)
        if node.names:
            raise error(errno.ENOTEMPTY, path)
        self._give_names((folder, name, None))

    def names(self, folder: str | int) -> list[str]:
        self._called("names")
        if isinstance(folder, int):
            node = self._of(folder).node
            if not node.is_folder:
                raise error(errno.ENOTDIR)
            return sorted(node.names)
        if self._fails(NO_DESCRIPTOR, "names"):
            raise error(errno.EMFILE, folder)
        return sorted(self._folder(folder).names)

    def status(self, path: str, *, at: int | None = None) -> Status:
        self._called("status")
        folder, name = self._parent(path, at)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        return Status(node.mode, len(node.content), node.changed_ns)

    def make_link(self, target: str, path: str) -> None:
        self._called("make_link")
        folder, name = self._parent(path, None)
        if name == "" or name in folder.names:
            raise error(errno.EEXIST, path)
        node = self._new("make_link", path, stat.S_IFLNK | 0o777)
        node.content = bytearray(target.encode())
        node.durable = bytes(node.content)
        self._give_names((folder, name, node))

    def read_link(self, path: str) -> str:
        self._called("read_link")
        folder, name = self._parent(path, None)
        node = folder if name == "" else folder.names.get(name)
        if node is None:
            raise error(errno.ENOENT, path)
        if not node.is_link:
            raise error(errno.EINVAL, path)
        return node.content.decode()

    # What the test calls

    def fail(self, fault: str, times: int = 1) -> None:
        """Have the next calls that a fault fits meet it, so many of them."""
        assert fault in FAULTS
        self._due += [fault] * times

    def process_kill(self, process: Hashable = None) -> None:
        """Close the files of a process (None: of all) and its locks; what it wrote stays."""
        for file, opened in list(self._opened.items()):
            if process is None or opened.process == process:
                self._close(file)

    def power_loss(self) -> None:
        """Close all files, and keep of what was not synced what chance and the rules leave."""
        self.process_kill()
        halted: set[Node] = set()
        for left, renaming in zip(range(len(self._pending), 0, -1), self._pending, strict=True):
            if renaming.folders & halted or self.random.random() < 1 / (left + 1):
                halted |= renaming.folders
                self.injected["power loss: a name"] += 1
            else:
                renaming.survive()
        self._pending.clear()
        self._restart(self._root, set())

    def bytes_used(self) -> int:
        """Return the bytes of all files that have a name."""
        return sum(len(node.content) for node in self._nodes())

    def tree(self) -> dict[str, bytes | str | None]:
        """Return what stands where: bytes of a file, the text of a link, None for a folder."""
        files: dict[str, bytes | str | None] = {}
        self._walk("", self._root, files)
        return files

    # The inside

    def _called(self, call: str) -> None:
        self.calls[call] += 1
        fault = self.plan.pop(self._number_of_calls, None)
        self._number_of_calls += 1
        if fault is not None:
            self._due.append(fault)

    def _fails(self, fault: str, call: str) -> bool:
        if fault in self._due:
            self._due.remove(fault)
        elif not (rate := self.rates.get(fault)) or self.random.random() >= rate:
            return False
        self.injected[f"{fault} at {call}"] += 1
        return True

    def _of(self, file: int) -> Opened:
        opened = self._opened.get(file)
        if opened is None:
            raise error(errno.EBADF)
        return opened

    def _close(self, file: int) -> None:
        node = self._opened.pop(file).node
        if node.locked_by == file:
            node.locked_by = None

    def _read(self, call: str, opened: Opened, size: int, offset: int) -> bytes:
        self._called(call)
        if opened.node.is_folder:
            raise error(errno.EISDIR)
        if opened.flags & os.O_WRONLY:
            raise error(errno.EBADF)
        if self._fails(READ_ERROR, call):
            raise error(errno.EIO)
        return bytes(opened.node.content[offset : offset + size])

    def _write(self, node: Node, offset: int, data: bytes) -> None:
        if not data:
            return
        self._most_used += max(0, offset + len(data) - len(node.content))
        apply(node.content, (offset, data))
        node.unsynced.append((offset, data))
        node.lost = without(node.lost, offset, offset + len(data))
        self._touch(node)

    def _cut(self, node: Node, size: int) -> None:
        self._most_used += max(0, size - len(node.content))
        apply(node.content, size)
        node.unsynced.append(size)
        node.lost = [
            (offset, min(length, size - offset)) for offset, length in node.lost if offset < size
        ]
        self._touch(node)

    def _touch(self, node: Node) -> None:
        self._clock += 1
        node.changed_ns = self._clock

    def _lose(self, node: Node) -> None:
        """Count what was written as synced although it is not: zeros stand in its place."""
        lost = bytearray(node.durable)
        for change in node.unsynced:
            apply(lost, change if isinstance(change, int) else (change[0], bytes(len(change[1]))))
        node.lost += [
            (change[0], len(change[1])) for change in node.unsynced if not isinstance(change, int)
        ]
        node.durable = bytes(lost)
        node.unsynced.clear()

    def _new(self, call: str, path: str, mode: int) -> Node:
        is_full = (
            self.inodes_in_all is not None and sum(1 for _ in self._nodes()) >= self.inodes_in_all
        )
        if is_full:
            self.injected[f"{NO_INODE} at {call}"] += 1
        if is_full or self._fails(NO_INODE, call):
            raise error(errno.ENOSPC, path)
        node = Node(mode)
        self._touch(node)
        return node

    def _give_names(self, *changes: tuple[Node, str, Node | None]) -> None:
        renaming = Renaming(*changes)
        for folder, name, node in changes:
            if node is None:
                folder.names.pop(name, None)
            else:
                folder.names[name] = node
            self._touch(folder)
        self._pending.append(renaming)

    def _sync_names(self, folder: Node) -> None:
        """Do what is pending in a folder, and first whatever has to be done before it."""
        wanted, due = {folder}, []
        for renaming in reversed(self._pending):
            if renaming.folders & wanted:
                wanted |= renaming.folders
                due.append(renaming)
        for renaming in reversed(due):
            renaming.survive()
        self._pending = [renaming for renaming in self._pending if renaming not in due]

    def _sync_all_names(self) -> None:
        for renaming in self._pending:
            renaming.survive()
        self._pending.clear()

    def _restart(self, node: Node, seen: set[Node]) -> None:
        if node in seen:
            return
        seen.add(node)
        if node.is_folder:
            node.names = dict(node.durable_names)
            for child in node.names.values():
                self._restart(child, seen)
        elif not node.is_link:
            self._tear(node)

    def _tear(self, node: Node) -> None:
        if not node.unsynced:
            if bytes(node.content) != node.durable:
                self.injected["power loss: pages that a failed sync had dropped"] += 1
        else:
            survivors = self.random.randint(0, len(node.unsynced))
            left = bytearray(node.durable)
            for change in node.unsynced[:survivors]:
                apply(left, change)
            rest = node.unsynced[survivors:]
            if rest and not isinstance(rest[0], int):
                offset, data = rest[0]
                apply(left, (offset, data[: self.random.randrange(len(data))]))
                if self.random.random() < 0.2:  # it had grown already, its data had not come
                    apply(left, max(len(left), offset + len(data)))
                    self.injected["power loss: zeros"] += 1
                self.injected["power loss: a torn or lost write"] += 1
            node.durable = bytes(left)
            node.unsynced.clear()
        node.content = bytearray(node.durable)
        node.lost.clear()

    def _nodes(self) -> set[Node]:
        nodes: set[Node] = set()
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            nodes.add(node)
            waiting += node.names.values()
        return nodes

    def _walk(self, path: str, folder: Node, files: dict[str, bytes | str | None]) -> None:
        for name, node in sorted(folder.names.items()):
            if node.is_folder:
                files[f"{path}/{name}"] = None
                self._walk(f"{path}/{name}", node, files)
            else:
                files[f"{path}/{name}"] = (
                    node.content.decode() if node.is_link else bytes(node.content)
                )

    @staticmethod
    def _is_within(node: Node, folder: Node) -> bool:
        waiting = [folder]
        while waiting:
            reached = waiting.pop()
            if reached is node:
                return True
            waiting += reached.names.values()
        return False

    def _folder(self, path: str) -> Node:
        stack = self._stack(path, [self._root])
        if not stack[-1].is_folder:
            raise error(errno.ENOTDIR, path)
        return stack[-1]

    def _parent(self, path: str, at: int | None) -> tuple[Node, str]:
        """Return the folder of a path's last part, and that part."""
        begin = (
            [self._root] if at is None or path.startswith("/") else self._way_to(self._of(at).node)
        )
        before, _, name = path.rstrip("/").rpartition("/")
        stack = self._stack(before, begin) if before else begin
        if not stack[-1].is_folder:
            raise error(errno.ENOTDIR, path)
        return stack[-1], name

    def _way_to(self, node: Node) -> list[Node]:
        """Return the folders from the root to an open folder, as a path may
        lead out of the folder.
        """
        ways = [[self._root]]
        while ways:
            way = ways.pop()
            if way[-1] is node:
                return way
            ways += [[*way, each] for each in way[-1].names.values() if each.is_folder]
        return [node]

    def _stack(self, path: str, begin: list[Node], *, links: int = 0) -> list[Node]:
        stack = [self._root] if path.startswith("/") else list(begin)
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if not stack[-1].is_folder:
                raise error(errno.ENOTDIR, path)
            if part == "..":
                if len(stack) > 1:
                    stack.pop()
                continue
            node = stack[-1].names.get(part)
            if node is None:
                raise error(errno.ENOENT, path)
            if node.is_link:
                if links >= MOST_LINKS:
                    raise error(errno.ELOOP, path)
                stack = self._stack(node.content.decode(), stack, links=links + 1)
            else:
                stack.append(node)
        return stack


def error(number: int, path: str = "") -> OSError:
    """Return what the operating system would raise."""
    return (
        OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))
    )


def apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    """Write (offset, data), or cut or lengthen to a size."""
    if isinstance(change, int):
        del content[change:]
        content += bytes(change - len(content))
        return
    offset, data = change
    if offset > len(content):
        content += bytes(offset - len(content))
    content[offset : offset + len(data)] = data


def without(ranges: list[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Return ranges (offset, length) less what lies between ``begin`` and ``end``."""
    left = []
    for offset, length in ranges:
        if offset < begin:
            left.append((offset, min(length, begin - offset)))
        if offset + length > end:
            left.append((max(offset, end), offset + length - max(offset, end)))
    return left


def with_zeros(content: bytearray, ranges: list[tuple[int, int]]) -> bytes:
    """Return a file's content with zeros where pages were lost."""
    left = bytearray(content)
    for offset, length in ranges:
        end = min(offset + length, len(left))
        if end > offset:
            left[offset:end] = bytes(end - offset)
    return bytes(left)
