"""The subcommands `put`, `get` and `ls`: files into a commit, files out of one.

They exist beside `pachctl` because they commit all or nothing, send only what differs, and take any file name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from cli.console import emit, progress, say, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit


@click.command()
@click.argument("repo")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--branch", default="master", show_default=True)
@click.option("--prefix", default="/", show_default=True, help="Folder in the repo to put the files below.")
@click.option("--mirror", is_flag=True, help="Also delete what SOURCE lacks (below --prefix).")
@click.option("-m", "--message", default="", help="What this commit is for.")
@with_session
def put(
    session: Session, repo: str, sources: tuple[str, ...], branch: str, prefix: str, mirror: bool, message: str
) -> None:
    """Put files or folders into REPO as ONE commit; only what differs is sent."""
    from pachyderm.client import upload
    from pachyderm.client.branches import BranchName
    from pachyderm.client.connection import connect
    from pachyderm.dag import repos
    from pachyderm.dag.references import existing_repo

    name = BranchName(repo, branch)
    if name in repos.PROVENANCE or name == repos.MODEL:
        inputs = " or ".join(one.repo for one in repos.INPUTS)
        raise RequestError(f"{name} is filled by a pipeline and takes no files by hand; put them into {inputs}")
    above = _above(prefix)
    files, encoded = _collect(sources, above, session.store.resolve())
    with connect(session.target()) as client, progress(session, f"put {repo}") as show:
        existing_repo(client, repo)
        done = upload.put(
            client,
            name,
            files,
            mirror_under=above if mirror else None,
            message=message,
            progress=show,
        )
    if encoded:
        say(session, f"{encoded} file name(s) were percent-encoded, for Pachyderm refuses them; get decodes them")
    document = {
        "repo": repo,
        "commit": done.commit,
        "files_put": done.put,
        "files_deleted": done.deleted,
        "bytes": done.bytes,
        "names_encoded": encoded,
    }
    text = f"{repo}@{done.commit}: {done.put} put, {done.deleted} deleted, {done.bytes} bytes"
    emit(session, document, text if done.commit else f"nothing differs from {repo}@{branch}; no commit was made")


def _above(prefix: str) -> str:
    """The folder in the repo that a prefix names, with a slash at both ends; its names are encoded as files' are."""
    from pachyderm.client.file_names import encode

    parts = [part for part in prefix.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RequestError(f"the prefix {prefix} has a '..' in it; name the folder in the repo itself")
    return "/".join(["", *(encode(part) for part in parts), ""])


def _collect(sources: tuple[str, ...], above: str, store: Path) -> tuple[dict[str, Path], int]:
    """Path in the commit -> local file, without those of the store itself, and how many names had to be encoded."""
    from pachyderm.client.file_names import encode

    found: dict[str, Path] = {}
    encoded = 0
    for named in sources:
        source = Path(named)
        if not named or not source.exists():
            raise RequestError(f"{named or 'an empty name'} does not exist")
        held = list(_walk(source, store))
        if not held:
            raise RequestError(f"the folder {source} holds no file")
        for relative, local in held:
            name = encode(relative)
            path = above + name
            if path in found:
                if not found[path].samefile(local):
                    both = f"{local} and {found[path]} would both become {path}"
                    raise RequestError(f"{both}; put them under two prefixes")
                continue
            encoded += name != relative
            found[path] = local
    return found, encoded


def _walk(source: Path, store: Path) -> Iterator[tuple[str, Path]]:
    """Relative path and path of each file of a folder, or of the one file that is named."""
    if source.is_file():
        yield source.name, source
        return
    found: list[Path] = []
    for place, folders, names in os.walk(source, onerror=_refuse_folder):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in (*names, *links)]
        folders[:] = [name for name in folders if (here / name).resolve() != store]
    for path in sorted(found):
        if not path.is_file():
            raise RequestError(f"{path} is no regular file; take it out of the folder")
        if not os.access(path, os.R_OK):
            raise RequestError(f"{path} cannot be read; change its mode")
        yield path.relative_to(source).as_posix(), path


def _refuse_folder(error: OSError) -> NoReturn:
    # What cannot be seen must not pass for deleted.
    raise RequestError(f"the folder {error.filename} cannot be read: {error.strerror}; change its mode") from error


@click.command()
@click.argument("source", metavar="REPO[@COMMIT]")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--glob", "pattern", help="Only files that match, e.g. '/**.png'.")
@with_session
def get(session: Session, source: str, target: Path, pattern: str | None) -> None:
    """Get a commit's files into the new folder TARGET, all or nothing."""
    from pachyderm.client.commits import inspect
    from pachyderm.client.connection import connect
    from pachyderm.client.download import download
    from pachyderm.client.file_names import decode
    from pachyderm.client.files import files, matching
    from pachyderm.dag.references import resolve, split

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(f"{target} exists already and is not empty; name a new folder")
    target = Path(os.path.realpath(target))
    if target == Path.cwd():
        raise RequestError(f"{target} is the current folder, which cannot be made anew; name a new folder")
    repo, name, path = split(source)
    if pattern and path != "/":
        raise RequestError(f"{source} names a path, and --glob a pattern; give one of the two")
    with connect(session.target()) as client, progress(session, f"get {repo}") as show:
        commit = resolve(client, repo, name)
        if not commit.ended:
            say(session, f"waiting for {commit}, which is {commit.state}; Ctrl-C ends the waiting")
        commit = inspect(client, repo, commit.id, wait=True)
        _warn_of_error(session, commit)
        listing = matching(client, repo, commit.id, pattern) if pattern else files(client, repo, commit.id, path)
        if not listing and (pattern or path != "/"):
            raise RequestError(f"no file of {commit} matches {pattern or path}; pix2pix ls {commit} lists them")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            download(
                client,
                repo,
                commit.id,
                listing,
                partial,
                whole=pattern is None and path == "/",
                rename=lambda stored: decode(stored.lstrip("/")),
                progress=show,
            )
            partial.chmod(0o777 & ~_umask())
            partial.replace(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    total = sum(entry.bytes for entry in listing.values())
    document = {"commit": commit.id, "files": len(listing), "bytes": total}
    emit(session, document, f"{commit}: {len(listing)} files, {total} bytes in {target}")


def _warn_of_error(session: Session, commit: Commit) -> None:
    if commit.error:
        say(
            session,
            f"{commit} ended with an error; the files may be those of the good commit before it: {commit.error}",
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@click.command()
@click.argument("source", metavar="REPO[@COMMIT][:PATH]")
@with_session
def ls(session: Session, source: str) -> None:
    """List the files of a commit."""
    from pachyderm.client.connection import connect
    from pachyderm.client.files import files
    from pachyderm.dag.references import resolve, split

    repo, name, path = split(source)
    with connect(session.target()) as client:
        commit = resolve(client, repo, name)
        _warn_of_error(session, commit)
        listing = files(client, repo, commit.id, path)
        if not listing and path != "/":
            raise RequestError(f"{commit} has no file or folder {path}; pix2pix ls {commit} lists what it has")
    rows = [{"path": path, "bytes": entry.bytes, "hash": entry.hash} for path, entry in listing.items()]
    emit(session, rows, table(("path", "bytes", "hash"), rows) if rows else f"{commit} holds no file")
