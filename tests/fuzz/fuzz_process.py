"""Fuzzes one parser with atheris, which follows the code that inputs reach: NAME RUNS FOLDER."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

PACKAGES = ["cli", "components", "pachyderm", "pix2pix", "workflows"]


def main(name: str, runs: str, folder: Path) -> None:
    """Fuzz until all runs are done; an error that is not a refusal ends the process with a code other than 0."""
    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=PACKAGES):
        from parsers import PARSERS, check

        parser = PARSERS[name]()
        for data in parser.seeds:
            check(parser, data)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(parser.seeds):
        (corpus / str(number)).write_bytes(data)
    options = [f"-runs={runs}", "-seed=1", "-max_len=8192", "-rss_limit_mb=4096", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: check(parser, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
