"""The two pipelines of the trigger, with tasks that fill their commits with one line: who filled it.

They keep the protocol of a stage (claim, fence, one publication), so that what is tested is the trigger around them.
Orders to fail, wait or die are files in the folder that TEST_ORDERS names.
"""

from pathlib import Path

from kfp import compiler, dsl


@dsl.component(base_image="python", install_kfp_package=False)
def fill(commit_set: str, repo: str, after: str) -> str:
    import os
    import time
    from pathlib import Path

    import grpc
    from pachyderm_sdk.api import pfs

    from pachyderm.claims import give_back, live_claim, take
    from pachyderm.commits import inspect
    from pachyderm.connection import Target, connect

    run, orders = os.environ["PIX2PIX_RUN"], Path(os.environ["TEST_ORDERS"])
    with (orders / "began").open("a") as began:
        began.write(f"{repo} {commit_set} {run} {os.getpid()}\n")
    with connect(Target.from_environment(dict(os.environ))) as client:
        commit = inspect(client, repo, commit_set)
        if commit.id != commit_set or commit.state != "open":
            return commit_set
        claim = take(client, commit, run, str(os.getpid()))
        if claim is None:
            holder = live_claim(commit.metadata)
            raise RuntimeError(f"{commit} is claimed by {holder}")
        while (orders / "wait").exists():
            time.sleep(0.02)
        failing = orders / f"fail-{repo}"
        if failing.exists():
            give_back(client, commit, claim.number, "told to fail")
            raise RuntimeError(failing.read_text())
        if (orders / "die").exists():
            (orders / "die").unlink()
            os.kill(os.getppid(), 9)
            os.kill(os.getpid(), 9)
        if not (orders / "do-nothing").exists():
            changes = [
                pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/by")),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/by", raw=f"{run}\n".encode())),
            ]
            made = client.pfs.create_file_set(iter(changes))
            at = client.commit(repo, commit_set)
            client.pfs.add_file_set(commit=at, file_set_id=made.file_set_id)
            with client.transaction.transaction():
                client.edit_keys(repo, commit_set, add={f"over.{claim.number}": "good"})
                client.pfs.finish_commit(commit=client.commit(repo, commit_set))
            client.pfs.inspect_commit(commit=at, wait=pfs.CommitState.FINISHED)
            del grpc
    return commit_set


@dsl.pipeline(name="training_and_export")
def training_and_export(commit_set: str = "", hyperparameters: str = ""):
    first = fill(commit_set=commit_set, repo="checkpoint", after=hyperparameters).set_caching_options(False)
    fill(commit_set=commit_set, repo="model", after=first.output).set_caching_options(False)


@dsl.pipeline(name="preprocessing_and_generation")
def preprocessing_and_generation(commit_set: str = "", hyperparameters: str = ""):
    first = fill(commit_set=commit_set, repo="preprocess_images", after=hyperparameters).set_caching_options(False)
    fill(commit_set=commit_set, repo="generate_images", after=first.output).set_caching_options(False)


def compile_all(folder: Path) -> dict[str, Path]:
    """Compile into a folder; name -> file."""
    made = {}
    for pipeline in (training_and_export, preprocessing_and_generation):
        made[pipeline.name.replace("-", "_")] = folder / f"{pipeline.name.replace('-', '_')}.yaml"
        compiler.Compiler().compile(pipeline, str(folder / f"{pipeline.name.replace('-', '_')}.yaml"))
    return made
