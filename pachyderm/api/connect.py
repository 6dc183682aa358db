"""Connection of a script or notebook to an embedded store or a cluster."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from pachyderm.api.versioned_data import VersionedData
from pachyderm.client.connection import Target
from pachyderm.client.connection import connect as open_target

_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")


def connect(where: str | os.PathLike[str] | None = None) -> VersionedData:
    """Connect to an embedded store or to a Pachyderm cluster.

    The project and the token of a cluster come from ``PACH_PROJECT`` and ``PACH_TOKEN``.

    Args:
        where: folder of an embedded store, which is created when something is put into it; or the address of a
            cluster, ``grpc://host:port``, ``grpcs://host:port`` or ``host:port``. None takes ``PACHD_ADDRESS``, else
            ``PIX2PIX_STORE``, else the folder ``.pix2pix``.

    Raises:
        RequestError: the address is malformed.
        UnreachableError: no Pachyderm answers at the address, or it refuses the token.
    """
    target = Target.from_environment(dict(os.environ))
    if where is not None:
        name = os.fspath(where)
        if "://" in name or (_HOST_AND_PORT.fullmatch(name) and not Path(name).exists()):
            target = replace(target, pachd=name)
        else:
            target = replace(target, pachd=None, store=Path(name))
    if target.pachd is not None:
        with open_target(target):
            pass
    return VersionedData(target)
