"""Tensors whose axes have names."""

import pytest
import torch

from engines.errors import InvalidModel
from engines.table import Axis, Table


def test_a_table_names_every_axis_and_every_entry_or_none() -> None:
    sites = Axis.of("site", ("a", "b", "c"))
    assert sites.entries == ("a", "b", "c")
    Table(torch.zeros(2, 3), (Axis("piece", None), sites))
    for axes in ((sites,), (sites, Axis("piece", None)), (sites, sites)):
        with pytest.raises(InvalidModel, match=r"a table of \[2, 3\] has the axes .*; name as many axes as"):
            Table(torch.zeros(2, 3), axes)
