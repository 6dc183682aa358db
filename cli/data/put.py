"""The subcommand `put`: files into one commit, sending only what differs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from cli.console import emit, print_message, progress, shorten
from cli.options import Session, with_session
from pachyderm.errors import RequestError


@click.command()
@click.argument("repo")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--branch", metavar="NAME", default="master", show_default=True, help="Branch to commit to.")
@click.option(
    "--prefix", metavar="PATH", default="/", show_default=True, help="Folder in the repo to put the files under."
)
@click.option("--mirror", is_flag=True, help="Also delete files under --prefix that SOURCE does not have.")
@click.option("-m", "--message", metavar="TEXT", default="", help="Description of the commit.")
@click.option(
    "--resend",
    is_flag=True,
    help="Also send files that the repo has, to restore content that `store fsck` found damaged.",
)
@with_session
def put(
    session: Session,
    repo: str,
    sources: tuple[str, ...],
    branch: str,
    prefix: str,
    mirror: bool,
    message: str,
    resend: bool,
) -> None:
    """Put files or folders into REPO as one commit.

    Only files that differ from those in the repo are sent; if none does, no commit is made. The contents of a folder
    are put under the same relative paths. Links to files and folders are followed inside SOURCE, and refused if they
    lead out of it. File names that Pachyderm refuses are percent-encoded, and `get` decodes them.
    """
    from cli.data.put_warnings import input_warnings
    from pachyderm.client import upload
    from pachyderm.client.branches import BranchName
    from pachyderm.client.connection import connect
    from pachyderm.dag import repos
    from pachyderm.dag.references import existing_repo

    name = BranchName(repo, branch)
    if name in repos.PROVENANCE or name == repos.MODEL:
        inputs = " or ".join(source.repo for source in repos.INPUTS)
        raise RequestError(f"{name} is filled by a pipeline and cannot be written by hand; put the files into {inputs}")
    folder = _folder(prefix)
    files, encoded = _collect(sources, folder, session.store.resolve())
    with connect(session.target()) as client, progress(session, f"put {repo}") as show:
        existing_repo(client, repo)
        result = upload.put(
            client,
            name,
            files,
            mirror_under=folder if mirror else None,
            message=message,
            resend=resend,
            progress=show,
        )
        warnings = input_warnings(client, files) if result.commit and name == repos.INPUT_IMAGES else ()
    if encoded:
        print_message(session, f"{encoded} file names that Pachyderm refuses were percent-encoded; get decodes them")
    for warning in warnings:
        print_message(session, f"warning: {warning}")
    document = {
        "repo": repo,
        "commit": result.commit,
        "files_put": result.put,
        "files_deleted": result.deleted,
        "bytes": result.bytes,
        "names_encoded": encoded,
        "files_resent": result.resent,
        "warnings": list(warnings),
    }
    name_shown = f"{repo}@{shorten(session, result.commit)}"
    text = f"{name_shown}: {result.put} files put, {result.deleted} deleted, {result.bytes} bytes sent"
    if not result.commit:
        text = f"nothing to do: {name} has the same files already"
    emit(session, document, f"{text}; {result.resent} files sent again" if resend else text)


def _folder(prefix: str) -> str:
    """Return the folder in the repo that a prefix names, encoded like file names, with a slash at both ends."""
    from pachyderm.client.file_names import encode

    parts = [part for part in prefix.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RequestError(f"the prefix {prefix} contains '..'; give the path of a folder in the repo")
    return "/".join(["", *(encode(part) for part in parts), ""])


def _collect(sources: tuple[str, ...], folder: str, store: Path) -> tuple[dict[str, Path], int]:
    """Map paths in the commit to local files, leaving out the embedded store's, and count the encoded names."""
    from pachyderm.client.file_names import encode

    files: dict[str, Path] = {}
    encoded = 0
    for argument in sources:
        source = Path(argument)
        if not argument or not source.exists():
            raise RequestError(f"{argument or 'an empty name'} does not exist")
        entries = list(_walk(source, store))
        if not entries:
            raise RequestError(f"the folder {source} contains no files")
        for relative, local in entries:
            name = encode(relative)
            path = folder + name
            if path in files:
                if not files[path].samefile(local):
                    both = f"{local} and {files[path]} would both become {path}"
                    raise RequestError(f"{both}; put them separately, with different --prefix")
                continue
            encoded += name != relative
            files[path] = local
    return files, encoded


def _walk(source: Path, store: Path) -> Iterator[tuple[str, Path]]:
    """Yield the relative path and the path of each file in a folder, or of a single file."""
    if source.is_file():
        yield source.name, source
        return
    files: list[Path] = []
    real = source.resolve()
    folders: list[tuple[Path, tuple[Path, ...]]] = [(source, (real,))]
    while folders:
        folder, above = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            # With --mirror an unreadable folder would otherwise count as deleted.
            raise RequestError(
                f"the folder {folder} cannot be read: {error.strerror}; change its permissions"
            ) from error
        for path in (folder / entry.name for entry in entries):
            target = _target(path, real, above) if path.is_symlink() else above[-1] / path.name
            if not path.is_dir():
                files.append(path)
            elif target != store:
                folders.append((path, (*above, target)))
    for path in sorted(files):
        if not path.is_file():
            raise RequestError(f"{path} is not a regular file; remove it from the folder")
        if not os.access(path, os.R_OK):
            raise RequestError(f"{path} cannot be read; change its permissions")
        yield path.relative_to(source).as_posix(), path


def _target(link: Path, source: Path, above: tuple[Path, ...]) -> Path:
    """Return what a link leads to, refusing one out of the source or into itself.

    Args:
        link: a symbolic link.
        source: real path of the folder that is put.
        above: real paths of the folders that the link was reached through.
    """
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RequestError(f"{link} is a link that leads nowhere; remove it, or put a copy in its place") from error
    if not target.is_relative_to(source):
        raise RequestError(f"{link} is a link to {target}, outside {source}; remove it, or put a copy in its place")
    if target in above:
        raise RequestError(f"{link} is a link to {target}, a folder that contains it; remove the link")
    return target
