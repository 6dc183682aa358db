"""Measures the model against a Keras version in the manner of TensorFlow's tutorial, and against eager PyTorch.

    python benchmarks/model.py [--torch-python PATH] [--affinelayer PYTHON PATH] [--rounds 3] [--size 256]
        [--filters 64]

Reproduces every figure about the model's speed in this repository. Contenders run in their own processes and take
turns, round by round; the median of the rounds' means is printed. PyTorch is left out, with a message, if the given
Python (default: this one) lacks it. With ``--affinelayer``, the step of affinelayer's ``pix2pix.py`` at PATH takes
part, in a PYTHON with TensorFlow 2.15.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix.tensorflow import configure_tensorflow

HERE = Path(__file__).parent


class Contender:
    """A process that runs the functions of one module of `peers`."""

    def __init__(self, name: str, module: str, python: str = sys.executable, **environment: str) -> None:
        self.name = name
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent), **environment}
        self._process = subprocess.Popen(
            [python, str(HERE / "contender.py"), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )

    def run(self, function: str, count: int, **arguments: object) -> dict[str, object]:
        """Return ``seconds`` of each run, or an ``error``."""
        if self._process.poll() is not None:
            return {"error": "it could not start"}
        try:
            self._process.stdin.write(json.dumps([function, count, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "its process ended (is its framework installed?)"}

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the process at once; a request in progress is answered with an error."""
        self._process.kill()


def take_turns(
    contenders: list[Contender], function: str, rounds: int, count: int, **arguments: object
) -> dict[str, float]:
    """Return the median of the rounds' mean seconds of each contender; those that cannot run are named and left out."""
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            reply = contender.run(function, count, **arguments)
            if "error" in reply:
                if not found.pop(contender.name, None):
                    print(f"  {contender.name}: left out: {reply['error']}")
            elif contender.name in found:
                # Not the median: ours averages the weights in one of eight steps.
                found[contender.name].append(statistics.fmean(reply["seconds"]))
    return {name: statistics.median(seconds) for name, seconds in found.items() if seconds}


def show(title: str, seconds: dict[str, float], scale: float, unit: str) -> None:
    """Print a table; `scale` > 0 turns seconds into a rate, 0 into milliseconds."""
    print(f"\n{title}")
    for name, value in seconds.items():
        figure = f"{scale / value:8.2f} {unit}" if scale else f"{value * 1000:8.1f} {unit}"
        print(f"  {name:34} {figure}   {value / seconds['ours']:.2f}x ours' time")


def cpu() -> str:
    """Return the name of the processor and its relevant features."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown processor")
    flags = next((line.split(": ")[1].split() for line in lines if line.startswith("flags")), [])
    wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
    present = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in wanted)
    return f"{name}, {len(os.sched_getaffinity(0))} cores; {present}"


def pictures(folder: Path, count: int, width: int, height: int) -> None:
    """Write synthetic photographs: noise at several scales."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for n in range(count):
        total = np.zeros((height, width, 3))
        for size in (4, 16, 64, 256):
            noise = draw.uniform(0, 255, (max(1, height * size // width), size, 3)).astype(np.uint8)
            total += np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC), float) / 4
        Image.fromarray(total.astype(np.uint8)).save(folder / f"{n:03d}.jpg", quality=88)


def resizing(rounds: int) -> None:
    """Measure 1024x768 JPEG to 256x256 PNG, against a sequential loop over Pillow."""
    from pix2pix.datasets.resize import resize_folder
    from pix2pix.hyperparameters import ResizeParameters

    def plain(path: Path) -> bytes:
        out = io.BytesIO()
        with Image.open(path) as picture:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
            square.resize((256, 256), Image.Resampling.LANCZOS).save(out, "PNG")
        return out.getvalue()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder / "in", 64, 1024, 768)
        seconds: dict[str, list[float]] = {"ours": [], "Pillow, LANCZOS, sequential": []}
        for n in range(rounds):
            start = time.perf_counter()
            resize_folder(folder / "in", folder / f"out{n}", ResizeParameters())
            seconds["ours"].append(time.perf_counter() - start)
            start = time.perf_counter()
            for path in (folder / "in").iterdir():
                plain(path)
            seconds["Pillow, LANCZOS, sequential"].append(time.perf_counter() - start)
    show("Resize 1024x768 JPEG to 256 PNG", {k: statistics.median(v) for k, v in seconds.items()}, 64, "pictures/s")


def input_pipeline(rounds: int) -> None:
    """Measure pairs per second into the step, against decoding and scaling floats each time."""
    import tensorflow as tf

    from pix2pix.hyperparameters import resolve
    from pix2pix.training.dataset import batch
    from pix2pix.training.loading import load

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        pictures(folder, 64, 512, 256)
        parameters = resolve("train", {"held_out": 0.0})
        pairs = load(folder, parameters).training

        def read(path: tf.Tensor) -> tf.Tensor:
            both = tf.cast(tf.io.decode_jpeg(tf.io.read_file(path)), tf.float32) / 127.5 - 1
            halves = [tf.image.resize(half, [286, 286], "bicubic") for half in (both[:, :256], both[:, 256:])]
            return tf.image.random_flip_left_right(tf.image.random_crop(tf.concat(halves, -1), [256, 256, 6]))

        files = tf.data.Dataset.list_files(str(folder / "*.jpg")).map(read, tf.data.AUTOTUNE).batch(1).prefetch(2)
        seconds: dict[str, list[float]] = {"ours": [], "decode and scale floats each time": []}
        for n in range(rounds):
            start = time.perf_counter()
            for step in range(64):
                batch(pairs, parameters, 64 * n + step)
            seconds["ours"].append(time.perf_counter() - start)
            start = time.perf_counter()
            for _ in files:
                pass
            seconds["decode and scale floats each time"].append(time.perf_counter() - start)
    show("Input pipeline, 256x256 pairs", {k: statistics.median(v) for k, v in seconds.items()}, 64, "pairs/s")


def limits() -> tuple[float, float]:
    """Return the GFLOP/s of this machine in one matrix product and in one convolution, the best of several."""
    import tensorflow as tf

    a = tf.random.normal([2048, 2048])
    x, kernel = tf.random.normal([8, 64, 64, 256]), tf.random.normal([3, 3, 256, 256])
    convolve = tf.function(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    found = []
    for work, flops in (
        (lambda: tf.matmul(a, a), 2 * 2048**3),
        (lambda: convolve(x, kernel), 2 * 8 * 64 * 64 * 9 * 256**2),
    ):
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            work().numpy()
            best = min(best, time.perf_counter() - start)
        found.append(flops / best / 1e9)
    return found[0], found[1]


def first_image(rounds: int) -> float:
    """Return the seconds from the start of a process to its first picture, with an exported model."""
    code = (
        "import sys; from pathlib import Path; from pix2pix.tensorflow import configure_tensorflow\n"
        "configure_tensorflow(); from pix2pix.inference.generate import generate\n"
        "generate(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    make = (
        "import sys; from pathlib import Path; from pix2pix.training import checkpoints\n"
        "from pix2pix.inference.export import export; from pix2pix.model.networks import Generator\n"
        "from pix2pix.hyperparameters import TrainParameters\n"
        "folder, p = Path(sys.argv[1]), TrainParameters()\n"
        "weights = {n: v.numpy() for n, v in Generator(p, 1).weights.items()}\n"
        "checkpoints.write(folder / 'c', checkpoints.Checkpoint(0, p, {'generator': weights}))\n"
        "export(folder / 'c', folder / 'model')"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder / "in", 1, 256, 256)
        subprocess.run([sys.executable, "-c", make, name], check=True, env=environment)
        seconds = []
        for n in range(rounds):
            start = time.perf_counter()
            arguments = [str(folder / "model"), str(folder / "in"), str(folder / f"out{n}")]
            subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def gpu(contender: Contender) -> None:
    """Print steps per second on a GPU, in each precision, compiled or not."""
    print("\nGPU, 256 px, 64 filters: steps/s")
    for batch in (1, 4, 16):
        for precision in ("float32", "bfloat16"):
            for xla in ("off", "on"):
                reply = contender.run("step", 20, batch=batch, precision=precision, xla=xla)
                figure = reply.get("error") or f"{1 / statistics.median(reply['seconds']):.2f}"
                print(f"  batch {batch:2}, {precision:8}, XLA {xla:3}: {figure}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with PyTorch")
    parser.add_argument("--affinelayer", nargs=2, metavar=("PYTHON", "PATH"), help="TensorFlow 2.15, and pix2pix.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="runs in a round")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=64)
    options = parser.parse_args()
    configure_tensorflow()
    shape = {"size": options.size, "filters": options.filters}
    print(cpu())
    contenders = [
        Contender("ours", "ours"),
        Contender("Keras tutorial, oneDNN off", "keras_tutorial", TF_ENABLE_ONEDNN_OPTS="0"),
        Contender("Keras tutorial, oneDNN on", "keras_tutorial", TF_ENABLE_ONEDNN_OPTS="1"),
        Contender("PyTorch, eager", "torch_eager", options.torch_python),
    ]
    title = f"{options.size} px, {options.filters} filters"
    script = []
    if options.affinelayer:
        python, path = options.affinelayer
        for switch in "01":
            environment = {"AFFINELAYER_SCRIPT": str(Path(path).resolve()), "TF_ENABLE_ONEDNN_OPTS": switch}
            name = f"affinelayer, oneDNN {('off', 'on')[int(switch)]}"
            script.append(Contender(name, "affinelayer", python, **environment))
    steps = take_turns([*contenders, *script], "step", options.rounds, options.steps, **shape)
    for contender in script:
        contender.close()
    show(f"Training step, batch 1, {title}", steps, 0, "ms")
    made = take_turns(contenders, "generate", options.rounds, 3, **shape)
    show(f"Generation, batch 8, {title}", made, 8, "pictures/s")
    for engine in ("tensorflow", "onnxruntime"):
        ratios = []
        for _ in range(options.rounds):
            inside = contenders[0].run("in_process", 3, **shape)["seconds"]
            outside = contenders[0].run("generate", 3, **shape, engine=engine)["seconds"]
            ratios.append(statistics.median(inside) / statistics.median(outside))
        speed = statistics.median(ratios)
        print(f"\nExported model in {engine}: {speed:.2f}x of the speed of the network in TensorFlow, in its process")
    for contender in contenders:
        contender.close()
    multiply, convolve = limits()
    print(f"\nThis machine: matrix product {multiply:.0f} GFLOP/s, convolution {convolve:.0f} GFLOP/s")
    if options.size == 256 and options.filters == 64:
        rate = 80.5 / steps["ours"]
        print(f"Our step: 80.5 GFLOP at {rate:.0f} GFLOP/s, {100 * rate / max(multiply, convolve):.0f} % of that limit")
    input_pipeline(options.rounds)
    resizing(options.rounds)
    print(f"\nStart of the process to first generated picture: {first_image(options.rounds):.1f} s")
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        with_gpu = Contender("ours", "ours")
        gpu(with_gpu)
        with_gpu.close()


if __name__ == "__main__":
    main()
