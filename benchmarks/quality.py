"""Compares pictures after equal processor time: ours, the Keras model of TensorFlow's tutorial, and junyanz' model.

    npm pack openmoji@17 @iconify-json/fluent-emoji-high-contrast @lobehub/fluent-emoji-3d
    python benchmarks/quality.py OUT --packages . --photographs FOLDER --python PATH [--seconds 60] [--seeds 3]

PATH is a Python that has torch, piq, flip-evaluator and resvg-py. Every contender learns from the same pairs with batch
size 1, the same filters and the same crops' size, on one core; its held-out pairs are measured by
`peers/picture_metrics.py`. OUT gets the sets, a run each, ``table.md`` and ``pictures.html``; what is there is not made
again, so that a comparison can be continued.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pair_sets import SETS, Sources, make_set
from quality_page import write_page

HERE = Path(__file__).parent
HIGHER_IS_BETTER = ("ms_ssim", "vif")
METRICS = ("l1", "ms_ssim", "vif", "flip", "nlpd", "swd", "stride")


@dataclass(frozen=True)
class Contender:
    """What is compared.

    Attributes:
        module: of `peers`, whose command line is that of `peers.learning`.
        changes: hyperparameters of ours.
        torch: whether it needs the Python with PyTorch.
    """

    module: str
    changes: Mapping[str, object] = field(default_factory=dict)
    torch: bool = False


PAPERS_RATE = 2e-4
RATES = (PAPERS_RATE, 4e-4, 8e-4, 1.6e-3)
CONSTANT: dict[str, object] = {"learning_rate_schedule": "constant"}
CONTENDERS = {
    "ours": Contender("learn_ours"),
    "ours, paper": Contender("learn_ours", {"preset": "paper"}),
    **{f"ours, rate {rate}": Contender("learn_ours", CONSTANT | {"learning_rate": rate}) for rate in RATES},
    **{
        f"ours, {name}": Contender("learn_ours", CONSTANT | {"learning_rate": PAPERS_RATE, **changes})
        for name, changes in {
            "average and resize": {"upsampling": "resize"},
            "resize alone": {"upsampling": "resize", "weight_average": 0.0},
        }.items()
    },
    **{
        f"ours, {name}": Contender("learn_ours", CONSTANT | {"learning_rate": PAPERS_RATE, "candidate": values})
        for name, values in {
            "generator at twice the rate": {"generator_rate": 2.0},
            "discriminator at twice the rate": {"discriminator_rate": 2.0},
            "label smoothing": {"label_smoothing": 0.1},
            "feature matching": {"feature_matching": 10.0},
            "R1": {"r1": 1.0},
            "spectral norm": {"spectral_norm": True},
            "DiffAugment": {"augment": True},
            "NLPD": {"nlpd": 10.0},
            "DiffAugment, NLPD and spectral norm": {"augment": True, "nlpd": 10.0, "spectral_norm": True},
        }.items()
    },
    "Keras tutorial": Contender("learn_keras"),
    "junyanz": Contender("learn_junyanz", torch=True),
}
PEERS = ("Keras tutorial", "junyanz")


def learn(options: argparse.Namespace, set_name: str, name: str, seed: int) -> Path:
    """Let a contender learn, unless it has; return the file with its outputs."""
    contender = CONTENDERS[name]
    out = Path(options.out) / "runs" / f"{set_name}.{name}.{seed}.npz"
    if not out.exists():
        out.parent.mkdir(exist_ok=True)
        python = options.python if contender.torch else sys.executable
        data = Path(options.out) / f"{set_name}.npz"
        arguments = ["--seconds", str(options.seconds), "--seed", str(seed), "--filters", str(options.filters)]
        command = [python, str(HERE / "peers" / f"{contender.module}.py"), str(data), str(out), *arguments]
        # oneDNN on for the tutorial, too, which is the faster of its two ways.
        environment = {"PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        subprocess.run(
            [*command, "--changes", json.dumps(dict(contender.changes))], env=os.environ | environment, check=True
        )
    return out


def measured(options: argparse.Namespace, set_name: str, runs: list[Path]) -> Iterator[dict[str, list[float]]]:
    """Yield the metrics of each run, of every picture."""
    command = [options.python, str(HERE / "peers" / "picture_metrics.py"), str(Path(options.out) / f"{set_name}.npz")]
    found = subprocess.run([*command, *map(str, runs)], capture_output=True, text=True, check=True)
    return map(json.loads, found.stdout.splitlines())


def table(found: Mapping[str, list[dict[str, list[float]]]], ours: str) -> list[str]:
    """Return the lines of one set's table: means over pictures and seeds, the spread over seeds, and who is ahead."""
    lines = [f"| | {' | '.join(METRICS)} | steps |", f"|---|{'---:|' * (len(METRICS) + 1)}"]
    means = {}
    for name, runs in found.items():
        figures = {metric: [statistics.fmean(run[metric]) for run in runs] for metric in METRICS}
        means[name] = {metric: statistics.fmean(values) for metric, values in figures.items()}
        cells = [
            f"{means[name][m]:.4g}" + (f" ± {statistics.stdev(v):.2g}" if len(v) > 1 else "")
            for m, v in figures.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {statistics.fmean(run['steps'][0] for run in runs):.0f} |")
    peers = [name for name in PEERS if name in means]
    if peers:
        ahead = [m for m in METRICS if all(_is_better(m, means[ours], means[peer]) for peer in peers)]
        lines += [
            "",
            f"Ahead of {' and '.join(peers)} in {len(ahead)} of {len(METRICS)}: {', '.join(ahead) or 'none'}.",
        ]
    return lines


def _is_better(metric: str, ours: Mapping[str, float], theirs: Mapping[str, float]) -> bool:
    difference = ours[metric] - theirs[metric]
    return difference > 0 if metric in HIGHER_IS_BETTER else difference < 0


def main() -> None:
    """Make the sets, let all learn, measure, and write table and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", type=Path, default=Path(), help="folder of the archives that npm pack wrote")
    parser.add_argument("--photographs", type=Path, help="folder of photographs, for the set edges")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch, piq, flip-evaluator, resvg-py")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--size", type=int, default=64, choices=(64, 128, 256))
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time of each training")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines, shown = [], {}
    for set_name in options.sets:
        data = options.out / f"{set_name}.npz"
        if not data.exists():
            make_set(set_name, Sources(options.packages, options.photographs, options.python), options.size, data)
        runs = [
            (name, learn(options, set_name, name, seed))
            for seed in range(1, options.seeds + 1)
            for name in options.contenders
        ]
        found: dict[str, list[dict[str, list[float]]]] = {}
        for (name, _), metrics in zip(runs, measured(options, set_name, [path for _, path in runs]), strict=True):
            found.setdefault(name, []).append(metrics)
        lines += [f"### {set_name}", "", *table(found, options.contenders[0]), ""]
        first_seed = dict(reversed(runs))
        with np.load(data) as arrays:
            shown[set_name] = arrays["test"], {name: first_seed[name] for name in found}, found
    text = "\n".join(lines)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    write_page(options.out / "pictures.html", shown, options.contenders[0])
    print(text)


if __name__ == "__main__":
    main()
