"""Settings that a method cannot run with are refused as it is made, so before a run of it has a folder."""

from typing import Any

import pytest

from engines import registry
from engines.errors import WorkbenchError

REFUSED: tuple[tuple[str, str, Any], ...] = (
    ("attribution", "verify", 0),
    ("cosine", "top_k", ()),
    ("das", "steps", -1),
    ("das", "sites", ("nowhere",)),
    ("dbm", "steps", 0),
    ("dbm", "penalties", (-1.0,)),
    ("full_das", "steps", 0),
    ("full_das", "final_steps", 0),
    ("joint_das", "sets", 0),
    ("joint_das", "steps", 0),
    ("joint_das", "together", 5),
    ("pca", "sizes", (0,)),
    ("plot", "shortlist", 0),
    ("plot_das", "signature", "means"),
    ("plot_das", "steps", 0),
    ("plot_das", "support", "pcs"),
    ("plot_joint", "together", 0),
    ("plot_pca", "bands", 0),
    ("plot_pca", "top_k", (0,)),
    ("plot_reference", "site_epsilons", ()),
    ("plot_soft", "beta", 0.0),
    ("plot_staged", "layers", 0),
    ("plot_staged", "draws", -1),
)
NOTHING_TO_REFUSE = {"argmax_iia", "full_swap", "random_site"}
"""Methods without settings."""


@pytest.mark.parametrize(("method", "name", "value"), REFUSED)
def test_a_method_refuses_what_it_cannot_run_with_as_it_is_made(method: str, name: str, value: Any) -> None:
    make = registry.load("engines.methods", method, "METHOD", "method")
    make()
    with pytest.raises(WorkbenchError):
        make(**{name: value})


def test_every_method_with_settings_is_tried() -> None:
    assert {method for method, _, _ in REFUSED} | NOTHING_TO_REFUSE == set(registry.names("engines.methods"))
