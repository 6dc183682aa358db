"""Trains a model on a folder of pairs: the loop, read top-down.

Training resumes exactly: the pairs of a step are a function of its number (`pix2pix.training.dataset`), and weights,
moments and counters are saved together (`pix2pix.training.resumption`).

The work folder holds results under fixed names, and a state that nobody needs once the result is there:

    checkpoint/           resulting weights      metrics.jsonl         losses and held-out figures
    hyperparameters.json  all of them            samples/              pictures
    report.html           all of it on a page    state/                checkpoints to resume from, TensorBoard's events
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix.errors import WorkError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Rejection
from pix2pix.model.metrics import is_better
from pix2pix.progress import Progress, silent
from pix2pix.tensorflow import tf
from pix2pix.training import checkpoints
from pix2pix.training.checkpoints import Checkpoint
from pix2pix.training.dataset import Batch, Dataset, batches, load
from pix2pix.training.devices import choose
from pix2pix.training.metrics_log import Journal
from pix2pix.training.preview import Showcase
from pix2pix.training.resumption import States, arrays_of, check_work_folder, course_of, is_finite, restore
from pix2pix.training.saving import Saver
from pix2pix.training.step import LOSSES, TrainingStep, in_words
from pix2pix.training.validation import Validation


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        step: steps in all, those before a resumption counted in.
        resumed_from: the step from which this call went on; 0 for a fresh start.
        metrics: of the resulting weights: held-out ``l1`` ([-1, 1]), ``psnr`` (dB) and ``ssim`` where pairs were held
            out, and the last mean ``loss_discriminator``, ``loss_adversarial`` and ``loss_l1``.
        rejected: files that were left out.
        train_pairs: pairs learnt from.
        held_out_pairs: pairs measured on.
        finished: False where `stop` ended it; no result is written then, and the state is saved.
        seconds: in the training loop, earlier calls included.
        notes: what a person should know, e.g. that no pair was held out.
    """

    step: int
    resumed_from: int
    metrics: dict[str, float]
    rejected: tuple[Rejection, ...]
    train_pairs: int
    held_out_pairs: int
    finished: bool
    seconds: float
    notes: tuple[str, ...]


def train(
    pairs: Path,
    work: Path,
    parameters: TrainParameters,
    *,
    progress: Progress = silent,
    stop: Callable[[], bool] = bool,
    on_saved: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train, or go on training.

    Args:
        pairs: folder of A|B pairs (of single pictures for colorization).
        work: folder for results and state, made if it is missing; one that holds a state of the same pairs and
            parameters is gone on with. Workers of one training share it.
        parameters: see `pix2pix.hyperparameters`.
        progress: told after every step; the note has the last losses.
        stop: asked after every step; True saves the state and returns. The default never says so.
        on_saved: called from another thread when the work folder holds a new state to resume from; the longer it
            takes, the later the next state is saved.
        clock: seconds.

    Raises:
        InputError: no usable pairs; a work folder of other pairs, other hyperparameters or another program.
        WorkError: no space left, or losses that are no numbers any more.
    """
    check_work_folder(work, pairs)
    if parameters.deterministic:
        tf.config.experimental.enable_op_determinism()
    data = load(pairs, parameters)
    run = _Run(data, work, parameters, on_saved, clock)
    dealt = batches(data.training, parameters, run.course.step)
    with (
        checkpoints.full_disk_told(str(work)),
        contextlib.closing(run.journal),
        contextlib.closing(dealt),
        contextlib.closing(run.saver),
    ):
        finished = run.go(dealt, progress, stop)
        if finished:
            run.publish()
    return Trained(
        step=run.course.step,
        resumed_from=run.resumed_from,
        metrics=run.course.metrics,
        rejected=data.rejected,
        train_pairs=len(data.training),
        held_out_pairs=len(data.held_out),
        finished=finished,
        seconds=run.seconds(),
        notes=data.notes,
    )


class _Run:
    """One training on its way."""

    def __init__(
        self,
        data: Dataset,
        work: Path,
        parameters: TrainParameters,
        on_saved: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._data, self._work, self._parameters, self._clock = data, work, parameters, clock
        self._total = parameters.total_steps(len(data.training))
        self._states = States(work, parameters, data.digest)
        saved = self._states.newest()
        self.course = course_of(saved)
        self.resumed_from = self.course.step
        self._devices = choose(parameters)
        self._network = TrainingStep(parameters, self._devices, self._total)
        if saved:
            restore(self._network, saved.arrays)
        self._observer = Validation(self._network.generator, parameters)
        self._showcase = Showcase(work, data, parameters, self._devices, self._observer)
        self._showcase.forget_after(self.course.step)
        self.journal = Journal(work, self.course.step, writes=self._devices.chief)
        self._seconds_before, self._started = self.course.seconds, clock()
        self._on_saved = on_saved
        self.saver = Saver(parameters.save_seconds, clock)

    def seconds(self) -> float:
        """Seconds in the training loop so far, earlier calls included."""
        return self._seconds_before + self._clock() - self._started

    def go(self, dealt: Generator[Batch, None, None], progress: Progress, stop: Callable[[], bool]) -> bool:
        """Take step after step until the end; returns False where `stop` ended it."""
        course, parameters, over = self.course, self._parameters, self._is_over()
        every, note = parameters.steps_between_evaluations(self._total), ""
        if over:
            self._catch_up()
        while not over:
            pictures, seeds = next(dealt)
            course.pending.append(self._network(pictures, seeds, course.step + 1))
            course.step += 1
            over = self._is_over()
            if course.step % 10 == 1 or over:
                note = in_words(np.asarray(course.pending[-1]))
            if over or course.step % parameters.log_steps == 0:
                self._log()
            better = (over or course.step % every == 0) and self._evaluate()
            stopped = self._network.any_device(stop())
            if over or better or stopped or self._is_save_due():
                self._save()
            if over or stopped:
                self.saver.wait()
            progress(course.step, self._total, note)
            if stopped and not over:
                return False
        return True

    def publish(self) -> None:
        """Write the result folder."""
        course, step = self.course, self.course.step
        if course.best and course.best["step"] != step:
            step = int(course.best["step"])
            restore(self._network, self._states.of(step).arrays)
            course.metrics.update(self._observer.measure(self._data.held_out))
        if not self._devices.chief:
            return
        arrays = {name: values for name, values in arrays_of(self._network).items() if name != "optimizer" and values}
        checkpoints.write(self._work / checkpoints.RESULT, Checkpoint(step, self._parameters, arrays, course.metrics))
        document = json.dumps(dataclasses.asdict(self._parameters), indent=2) + "\n"
        (self._work / "hyperparameters.json").write_text(document, encoding="utf-8")
        self._showcase.publish(self.journal, course.step, self.seconds())

    def _is_over(self) -> bool:
        limit = self._parameters.max_seconds
        over = bool(self._total and self.course.step >= self._total) or bool(limit and self.seconds() >= limit)
        return self._network.any_device(over)

    def _is_save_due(self) -> bool:
        by_step = self._parameters.save_steps
        return self.saver.is_due() or (bool(by_step) and self.course.step % by_step == 0)

    def _log(self) -> None:
        """Write down the mean losses since the last line."""
        course, losses = self.course, self._losses()
        course.metrics.update({f"loss_{name}": value for name, value in losses.items()})
        images = course.step * self._parameters.batch_size
        self.journal.add_losses(course.step, images / len(self._data.training), images, self.seconds(), losses)
        course.pending.clear()

    def _losses(self) -> dict[str, float]:
        """Mean losses of the steps since the last line; stops a training that has left the numbers."""
        values = np.array([np.asarray(losses) for losses in self.course.pending], np.float32)
        self.course.pending = [[float(value) for value in losses] for losses in values]
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            self._diverged(self.course.step - len(values) + int(bad[0]))
        return dict(zip(LOSSES, values.mean(axis=0, dtype=np.float64).tolist(), strict=True))

    def _diverged(self, step: int) -> None:
        kept = self._states.last_step()
        good = f"the last good checkpoint, of step {kept}, is kept" if kept else "no checkpoint was due before"
        raise WorkError(
            f"the training diverged between steps {step} and {step + 1}: a loss is no finite number; {good}."
            f" Train into a new folder with a smaller learning_rate (now {self._parameters.learning_rate:g})"
        )

    def _evaluate(self) -> bool:
        """Measure the held-out pairs and look at the samples; returns whether the weights are the best so far."""
        course, name = self.course, self._parameters.keep_best
        found = self._observer.measure(self._data.held_out)
        if found:
            course.metrics.update(found)
            self.journal.add({"step": course.step, "held_out": found})
        if self._devices.chief:
            self._showcase.look(course.step)
            self._showcase.publish(self.journal, course.step, self.seconds())
        if name == "last" or not found or (course.best and not is_better(name, found[name], course.best["value"])):
            return False
        course.best = {"step": course.step, "value": found[name]}
        return True

    def _catch_up(self) -> None:
        """Do what a training that was stopped at its end, or behind it, had left undone."""
        if not self._showcase.has_look(self.course.step):
            if self.course.pending:
                self._log()
            self._evaluate()
            self._save()
            self.saver.wait()

    def _save(self) -> None:
        """Save all that a resumption needs, unless it would not be worth resuming from."""
        self.course.seconds = self.seconds()
        if self.course.pending:
            self._losses()
        if self._devices.chief:
            self.saver.save(self._copied)

    def _copied(self) -> Callable[[], None]:
        """Copy the state as it is now; what is returned stores the copy."""
        course, arrays = copy.deepcopy(self.course), arrays_of(self._network)

        def store() -> None:
            if not is_finite(arrays):
                self._diverged(course.step)
            self._states.save(course, arrays)
            arrays.clear()  # frees them before the transfer, which may take long
            self._on_saved()

        return store
