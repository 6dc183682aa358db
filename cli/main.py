"""The command `pix2pix`: finds the subcommand, runs it, turns its outcome into an exit code.

It exists apart from the subcommands so that `pix2pix --help` imports none of them and answers at once.
"""

from __future__ import annotations

import importlib
import sys

import click

from cli.options import Session, with_session

COMMANDS: dict[str, tuple[str, str]] = {
    "setup": ("cli.data.setup:setup", "Make the six repos, their branches and provenance."),
    "put": ("cli.data.files:put", "Put files or folders into a repo as one commit."),
    "get": ("cli.data.files:get", "Get a commit's files into a new folder."),
    "ls": ("cli.data.files:ls", "List the files of a commit."),
    "log": ("cli.data.history:log", "List the commits of a repo."),
    "trigger": ("cli.runs.trigger:trigger", "Run what the commits ask for."),
    "run": ("cli.runs.run:run", "Run one pipeline now, here."),
    "status": ("cli.data.history:status", "Show each repo's head and what waits."),
    "why": ("cli.runs.why:why", "Tell what was decided about a commit set, and why."),
    "retry": ("cli.runs.retry:retry", "Run a commit set again."),
    "models": ("cli.record.models:models", "List the models, newest first."),
    "promote": ("cli.record.models:promote", "Make a model the one that generates."),
    "revert": ("cli.record.revert:revert", "Go back to an earlier commit of an input."),
    "rollback": ("cli.record.models:rollback", "Go back to the model promoted before."),
    "lineage": ("cli.record.lineage:lineage", "Walk from a result to what made it, or forward."),
    "diff": ("cli.data.diff:diff", "List or show what differs between two commits."),
    "fsck": ("cli.record.fsck:fsck", "Check that the record is true; repair what can be."),
    "demo": ("cli.demo.demo:demo", "Run the main job, end to end, on procedural facades."),
    "compile": ("cli.system.compile:compile_pipelines", "Compile the pipelines to YAML."),
    "doctor": ("cli.system.doctor:doctor", "Check what is installed, reachable and usable here."),
    "store": ("cli.system.store:store", "Look after the embedded store."),
    "pairs": ("cli.folders.datasets:pairs", "Make A|B pairs or prepared pictures from a folder."),
    "split": ("cli.folders.datasets:split", "Split a folder by content into train, val and test."),
    "resize": ("cli.folders.datasets:resize", "Bring pictures of any kind to what the model takes."),
    "train": ("cli.folders.model:train", "Train on a folder of A|B pairs."),
    "evaluate": ("cli.folders.model:evaluate", "Measure a model on a folder of A|B pairs."),
    "export": ("cli.folders.model:export", "Export a checkpoint as a SavedModel."),
    "generate": ("cli.folders.model:generate", "Translate a folder of pictures."),
}
"""Name -> (``module:object`` of the click command, its one-line help)."""


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the subcommands in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands from `COMMANDS` alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pix2pix-pipelines", prog_name="pix2pix")
@with_session
def pix2pix(session: Session) -> None:
    """pix2pix picture translation on Kubeflow, with every picture, model and parameter versioned in Pachyderm."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code (see `cli.failures`)."""
    try:
        # Without standalone mode click returns the code of a `click.exceptions.Exit` instead of ending with it.
        code = pix2pix.main(args=arguments, prog_name="pix2pix", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where every failure becomes an exit code
        from cli.failures import report

        sys.exit(report(error))
    if isinstance(code, int):
        sys.exit(code)


if __name__ == "__main__":
    main()
