"""Trains a model on a folder of pairs; a training that was interrupted is resumed exactly.

The work folder holds results under fixed names, and a state that is not needed once the result is there:

    checkpoint/           resulting weights      metrics.jsonl         losses and held-out metrics
    hyperparameters.json  all of them            samples/              sample pictures
    report.html           the report             state/                states to resume from, TensorBoard's events
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
import tensorflow as tf

from pix2pix.datasets.checks.training_check import TrainingCheck, check_before_training
from pix2pix.errors import WorkError
from pix2pix.files import reporting_full_disk
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Rejection
from pix2pix.model.metrics import is_better
from pix2pix.progress import Progress, silent
from pix2pix.training import checkpoints
from pix2pix.training.checkpoints import Checkpoint
from pix2pix.training.dataset import Batch, Dataset, batches
from pix2pix.training.devices import choose
from pix2pix.training.first_weights import EarlierModel, begin_with, check_fit, first_weights, leaked
from pix2pix.training.loading import load
from pix2pix.training.metrics_log import MetricsLog
from pix2pix.training.preview import Preview
from pix2pix.training.resumption import (
    StateStore,
    check_work_folder,
    copy_arrays,
    is_finite,
    restore,
    result_arrays,
    train_state,
)
from pix2pix.training.saving import Saver
from pix2pix.training.step import LOSSES, TrainingStep, progress_note, without_fusion
from pix2pix.training.validation import Validator


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Attributes:
        step: steps in all, those before a resumption included.
        resumed_from: the step from which this call resumed; 0 for a fresh start.
        metrics: of the resulting weights: held-out ``l1`` ([-1, 1]), ``psnr`` (dB) and ``ssim`` if pairs were held out,
            and the last mean ``loss_discriminator``, ``loss_adversarial`` and ``loss_l1``.
        rejected: files that were left out.
        train_pairs: number of pairs learnt from.
        held_out_pairs: number of pairs measured on.
        finished: False if `stop` ended the training; the state is saved then, and no result is written.
        seconds: spent in the training loop, earlier calls included.
        notes: remarks for the user, e.g. that no pair was held out.
        check: probable faults of the pairs; None for colorization, which has no pairs.
        held_out: names of the pairs measured on, relative to their folder.
        began_with: name of the model whose weights it began with; empty if it began from its seed.
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
    check: TrainingCheck | None
    held_out: tuple[str, ...] = ()
    began_with: str = ""


def train(
    pairs: Path,
    work: Path,
    parameters: TrainParameters,
    *,
    earlier: EarlierModel | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = bool,
    on_saved: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train a model, or resume its training.

    Args:
        pairs: folder of A|B pairs (of single pictures for colorization).
        work: folder for results and state; created if missing. A training with the same pairs and parameters is resumed
            from the state in it. All workers of one training must begin with the same state; the first alone writes.
        parameters: see `pix2pix.hyperparameters`.
        earlier: the model whose weights the training begins with; None: those that its seed gives.
        progress: called after every step; the note has the last losses.
        stop: called after every step; if it returns True, the state is saved and the training ends. By default it
            never does.
        on_saved: called from another thread when the work folder holds a new state to resume from; the longer it
            takes, the later the next state is saved.
        clock: returns seconds.

    Raises:
        InputError: no usable pairs; a work folder of other pairs, other hyperparameters or another program; an earlier
            model that does not fit.
        WorkError: no space left, or the losses are no longer finite.
    """
    check_work_folder(work, pairs)
    check_fit(earlier, parameters)
    if parameters.deterministic:
        tf.config.experimental.enable_op_determinism()
    data = load(pairs, parameters)
    check = None if parameters.lab_colorization else check_before_training(pairs, parameters.shape)
    leak = leaked(earlier, data.held_out.names)
    earlier = None if leak else earlier
    with reporting_full_disk(str(work)), without_fusion():
        training = _Training(data, check, work, parameters, earlier, on_saved, clock)
        dealt = batches(data.training, parameters, training.state.step)
        with contextlib.closing(training), contextlib.closing(dealt):
            finished = training.run(dealt, progress, stop)
            if finished:
                training.publish()
    return Trained(
        step=training.state.step,
        resumed_from=training.resumed_from,
        metrics=training.state.metrics,
        rejected=data.rejected,
        train_pairs=len(data.training),
        held_out_pairs=len(data.held_out),
        finished=finished,
        seconds=training.seconds(),
        notes=(*data.notes, *filter(None, (check.note if check else "", leak))),
        check=check,
        held_out=data.held_out.names,
        began_with=earlier.name if earlier else "",
    )


class _Training:
    """The loop over the steps, and what is due after each."""

    def __init__(
        self,
        data: Dataset,
        check: TrainingCheck | None,
        work: Path,
        parameters: TrainParameters,
        earlier: EarlierModel | None,
        on_saved: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._data, self._work, self._parameters, self._clock = data, work, parameters, clock
        self._total = parameters.total_steps(len(data.training))
        first = first_weights(earlier, parameters)
        self._states = StateStore(work, parameters, data.digest, first)
        saved = self._states.newest()
        self.state = train_state(saved)
        self.resumed_from = self.state.step
        self._devices = choose(parameters)
        self._network = TrainingStep(parameters, self._devices, self._total)
        if saved:
            restore(self._network, saved.arrays)
        elif first:
            begin_with(self._network, first)
        self._validator = Validator(self._network.averaged, parameters)
        name = earlier.name if earlier else ""
        self._preview = Preview(work, data, check, parameters, self._devices, self._validator, name)
        self._preview.remove_after(self.state.step)
        self._log = MetricsLog(work, self.state.step, writes=self._devices.chief)
        self._seconds_before, self._started = self.state.seconds, clock()
        self._on_saved = on_saved
        self._saver = Saver(parameters.save_seconds, clock)

    def close(self) -> None:
        """Wait for a running save, and close the log."""
        self._saver.close()
        self._log.close()

    def seconds(self) -> float:
        """Return the seconds spent in the training loop so far, earlier calls included."""
        return self._seconds_before + self._clock() - self._started

    def run(self, dealt: Generator[Batch, None, None], progress: Progress, stop: Callable[[], bool]) -> bool:
        """Take step after step until the end; return False if `stop` ended the training."""
        state, parameters, over = self.state, self._parameters, self._is_over()
        every, note = parameters.steps_between_evaluations(self._total), ""
        if over:
            self._complete_last_step()
        while not over:
            pictures, seeds = next(dealt)
            state.pending.append(self._network(pictures, seeds, state.step + 1))
            state.step += 1
            over = self._is_over()
            if state.step % 10 == 1 or over:
                # Reading the losses waits for the device, so not after every step.
                note = progress_note(np.asarray(state.pending[-1]))
            if over or state.step % parameters.log_steps == 0:
                self._log_losses()
            improved = (over or state.step % every == 0) and self._evaluate()
            stopped = self._network.any_device(stop())
            if over or improved or stopped or self._is_save_due():
                self._save()
            if over or stopped:
                self._saver.wait()
            progress(state.step, self._total, note)
            if stopped and not over:
                return False
        return True

    def publish(self) -> None:
        """Write the results."""
        if not self._devices.chief:
            return
        state, step = self.state, self.state.step
        if state.best and state.best["step"] != step:
            step = int(state.best["step"])
            restore(self._network, self._states.read(step).arrays)
            state.metrics.update(self._validator.measure(self._data.held_out))
        arrays = result_arrays(self._network)
        inputs = self._data.look.document()
        result = Checkpoint(step, self._parameters, arrays, state.metrics, inputs=inputs)
        checkpoints.write(self._work / checkpoints.RESULT, result)
        document = json.dumps(dataclasses.asdict(self._parameters), indent=2) + "\n"
        (self._work / "hyperparameters.json").write_text(document, encoding="utf-8")
        self._preview.publish(self._log, state.step, self.seconds())

    def _is_over(self) -> bool:
        limit = self._parameters.max_seconds
        over = bool(self._total and self.state.step >= self._total) or bool(limit and self.seconds() >= limit)
        return self._network.any_device(over)

    def _is_save_due(self) -> bool:
        save_steps = self._parameters.save_steps
        return self._saver.is_due() or (bool(save_steps) and self.state.step % save_steps == 0)

    def _log_losses(self) -> None:
        """Log the mean losses since the previous record of losses."""
        state, losses = self.state, self._mean_losses()
        state.metrics.update({f"loss_{name}": value for name, value in losses.items()})
        images = state.step * self._parameters.batch_size
        self._log.add_losses(state.step, images / len(self._data.training), images, self.seconds(), losses)
        state.pending.clear()

    def _mean_losses(self) -> dict[str, float]:
        """Return the mean losses of the pending steps.

        Raises:
            WorkError: a loss is not finite.
        """
        values = np.array([np.asarray(losses) for losses in self.state.pending], np.float32)
        self.state.pending = [[float(value) for value in losses] for losses in values]
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            # A loss is computed before the update of its step, so the update before it was the bad one.
            self._raise_diverged(self.state.step - len(values) + int(bad[0]))
        return dict(zip(LOSSES, values.mean(axis=0, dtype=np.float64).tolist(), strict=True))

    def _raise_diverged(self, step: int) -> None:
        saved = self._states.last_step()
        kept = f"the last good checkpoint, of step {saved}, is kept" if saved else "no checkpoint was due before"
        raise WorkError(
            f"the training diverged between steps {step} and {step + 1}: a loss is not finite; {kept}."
            f" Train into a new folder with a smaller learning_rate (now {self._parameters.first_rate:g})"
        )

    def _evaluate(self) -> bool:
        """Measure the held-out pairs and update the preview; return whether the weights are the best so far."""
        state, name = self.state, self._parameters.keep_best
        metrics = self._validator.measure(self._data.held_out)
        if metrics:
            state.metrics.update(metrics)
            self._log.add({"step": state.step, "held_out": metrics})
        if self._devices.chief:
            self._preview.keep_outputs(state.step)
            self._preview.publish(self._log, state.step, self.seconds())
        if name == "last" or not metrics or (state.best and not is_better(name, metrics[name], state.best["value"])):
            return False
        state.best = {"step": state.step, "value": metrics[name]}
        return True

    def _complete_last_step(self) -> None:
        """Do what is due at the end, if the training was stopped at or after it and this is still undone."""
        if not self._preview.has_outputs(self.state.step):
            if self.state.pending:
                self._log_losses()
            self._evaluate()
            self._save()
            self._saver.wait()

    def _save(self) -> None:
        """Save a state to resume from; its pending losses must be finite."""
        self.state.seconds = self.seconds()
        if self.state.pending:
            self._mean_losses()
        if self._devices.chief:
            self._saver.save(self._copy)

    def _copy(self) -> Callable[[], None]:
        """Copy the present state; return the function that stores the copy."""
        state, arrays = copy.deepcopy(self.state), copy_arrays(self._network)

        def store() -> None:
            if not is_finite(arrays):
                self._raise_diverged(state.step)
            self._states.save(state, arrays)
            arrays.clear()  # frees the memory before `on_saved`, which may take long
            self._on_saved()

        return store
