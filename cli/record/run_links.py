"""Leaves links out of a lineage that lead to runs which Kubeflow no longer has."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace

from pachyderm.record.lineage_graph import Graph

TIMEOUT = 5.0
"""Seconds to wait for the answer about one run."""


def with_live_links(graph: Graph, exists: Callable[[str], bool]) -> Graph:
    """Return a graph whose runs are linked only if they exist.

    Args:
        graph: the lineage.
        exists: whether a run that is linked with this address exists.
    """
    nodes = {
        name: replace(node, facts={key: value for key, value in node.facts.items() if key != "link"})
        if "link" in node.facts and not exists(node.facts["link"])
        else node
        for name, node in graph.nodes.items()
    }
    return replace(graph, nodes=nodes)


def run_exists(link: str) -> bool:
    """Ask Kubeflow, through the API behind its UI, whether the run of a link exists.

    Returns:
        False if the run is unknown or nobody answers; True also if the answer needs a login, which a browser has.
    """
    address, _, run = link.partition("/#/runs/details/")
    try:
        with urllib.request.urlopen(f"{address}/apis/v2beta1/runs/{run}", timeout=TIMEOUT):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (401, 403)
    except (OSError, ValueError):
        return False
