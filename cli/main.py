"""The command `pix2pix`: imports the subcommand that is called and turns its outcome into an exit code."""

from __future__ import annotations

import gc
import importlib
import sys

import click
from click.shell_completion import CompletionItem

from cli.options import Session, with_session

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("cli.data.init:init", "Set up a folder to work in, with a commented pix2pix.toml."),
    "setup": ("cli.data.setup:setup", "Create the repos, branches and provenance."),
    "put": ("cli.data.put:put", "Put files or folders into a repo as one commit."),
    "get": ("cli.data.get:get", "Download the files of a commit into a new folder."),
    "ls": ("cli.data.get:ls", "List the files of a commit."),
    "log": ("cli.data.log:log", "List the commits of a repo."),
    "diff": ("cli.data.diff:diff", "Compare two commits, as a list or a page of pictures."),
    "trigger": ("cli.runs.trigger:trigger", "Run the pipelines that open commits wait for."),
    "run": ("cli.runs.run:run", "Run one pipeline now, on this machine."),
    "status": ("cli.runs.status:status", "Show what is in use, runs, waits and has failed."),
    "plan": ("cli.runs.plan:plan", "Show what open commits, or files about to be put, will cause."),
    "why": ("cli.runs.why:why", "Explain what was decided about a commit set, and why."),
    "retry": ("cli.runs.retry:retry", "Run a commit set again."),
    "models": ("cli.record.models:models", "List the models, newest first."),
    "compare": ("cli.record.compare:compare", "Compare models side by side."),
    "promote": ("cli.record.promotion:promote", "Put a model into use."),
    "review": ("cli.record.review:review", "Compare the candidate with the model in use; approve or reject it."),
    "rollback": ("cli.record.promotion:rollback", "Return to the model promoted before."),
    "revert": ("cli.record.revert:revert", "Move an input back to an earlier commit."),
    "lineage": ("cli.record.lineage:lineage", "Trace a result back to its sources, or an input forward."),
    "fsck": ("cli.record.fsck:fsck", "Check the consistency of commits and records; repair."),
    "pairs": ("cli.folders.pairs:pairs", "Make A|B pairs from a folder of pictures."),
    "resize": ("cli.folders.pairs:resize", "Convert pictures of any format and size for the model."),
    "check": ("cli.folders.check:check", "Find faults in a folder of A|B pairs."),
    "split": ("cli.folders.split:split", "Split a folder by content into train, val and test."),
    "train": ("cli.folders.train:train", "Train a model on a folder of A|B pairs."),
    "evaluate": ("cli.folders.generate:evaluate", "Measure a model on a folder of A|B pairs."),
    "export": ("cli.folders.train:export", "Export a checkpoint as a SavedModel."),
    "generate": ("cli.folders.generate:generate", "Translate a folder of pictures."),
    "demo": ("cli.demo.demo:demo", "Run the whole workflow on procedural facades."),
    "web": ("cli.system.web:web", "Serve pages to watch, review and draw, and an API."),
    "compile": ("cli.system.compile:compile_pipelines", "Compile the pipelines to YAML."),
    "doctor": ("cli.system.doctor:doctor", "Check what is installed, reachable and usable."),
    "completion": ("cli.system.completion:completion", "Print the completion script for a shell."),
    "store": ("cli.system.store:store", "Serve and maintain the embedded store."),
}
"""Name -> (``module:object`` of the click command, its one-line help)."""

GARBAGE_THRESHOLD = 100_000
"""New objects, less deleted ones, between two searches for garbage."""


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called, so that ``pix2pix --help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the subcommands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        # What is imported stays: searching it for garbage, again and again, takes a tenth of the start of a command.
        gc.disable()
        try:
            command = getattr(importlib.import_module(module), name)
        finally:
            gc.freeze()
            gc.enable()
            # Listings and records are many small objects without cycles; with the default of 700, searching them takes
            # a sixth of a plan of 25,000 pictures.
            gc.set_threshold(GARBAGE_THRESHOLD)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} is not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; an unknown name gets suggestions, which click takes from loaded commands alone."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of subcommands from `COMMANDS`, importing none, and the common options."""
        names = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands from `COMMANDS`, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pix2pix-pipelines", prog_name="pix2pix")
@with_session
def pix2pix(session: Session) -> None:
    """Image-to-image translation with pix2pix, as Kubeflow pipelines over data that is versioned in Pachyderm.

    Works on an embedded store in a folder, or on a Pachyderm cluster given by --pachd. The commands pairs, resize,
    split, train, evaluate, export and generate work on plain folders, without either.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code (see `cli.failures`)."""
    try:
        # Without standalone mode click returns the code of a `click.exceptions.Exit` instead of exiting with it.
        code = pix2pix.main(args=arguments, prog_name="pix2pix", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that turns failures into exit codes
        from cli.failures import report

        sys.exit(report(error))
    if isinstance(code, int):
        sys.exit(code)


if __name__ == "__main__":
    main()
