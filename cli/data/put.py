"""The subcommand `put`: files into one commit, sending only what differs."""

from __future__ import annotations

import click

from cli.console import emit, print_message, progress, shorten
from cli.options import Session, with_session


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
    lead out of it. File names that Pachyderm refuses are percent-encoded, and `get` decodes them. An interrupted put of
    1,000 files or 100 MB and more goes on where it stopped when the command is repeated within 30 minutes.
    """
    import os

    from cli.data.put_warnings import input_warnings
    from pachyderm.client import upload
    from pachyderm.client.branches import BranchName
    from pachyderm.client.connection import connect
    from pachyderm.client.local_files import collect, folder_of
    from pachyderm.client.resumable_upload import memory_of
    from pachyderm.dag.references import existing_repo, refuse_output
    from pachyderm.dag.repos import INPUT_IMAGES

    name = BranchName(repo, branch)
    refuse_output(name)
    folder = folder_of(prefix)
    files, encoded = collect(sources, folder, session.store.resolve())
    with connect(session.target()) as client, progress(session, f"put {repo}") as show:
        existing_repo(client, repo)
        result = upload.put(
            client,
            name,
            files,
            mirror_under=folder if mirror else None,
            message=message,
            resend=resend,
            memory=memory_of(session.target(), name, folder, sources, os.environ),
            progress=show,
        )
        warnings = input_warnings(client, files) if result.commit and name == INPUT_IMAGES else ()
    if result.resumed:
        print_message(session, f"{result.resumed} files had been sent by a put that was interrupted")
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
        "files_resumed": result.resumed,
        "warnings": list(warnings),
    }
    name_shown = f"{repo}@{shorten(session, result.commit)}"
    text = f"{name_shown}: {result.put} files put, {result.deleted} deleted, {result.bytes} bytes sent"
    if not result.commit:
        text = f"nothing to do: {name} has the same files already"
    emit(session, document, f"{text}; {result.resent} files sent again" if resend else text)
