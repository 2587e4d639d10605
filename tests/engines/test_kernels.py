"""Laws of a datum given another: classes of a subset whose data have weight, and of one whose data have none."""

from fractions import Fraction

import numpy as np
import pytest

from engines.dataset import Dataset
from engines.hypothesis import Source
from engines.kernels import kernel
from engines.treeify import Slot


@pytest.mark.parametrize("exact", [True, False])
def test_data_without_weight_are_drawn_only_where_their_class_has_no_other(exact: bool):
    rows = [{"side": side} for side in (0, 0, 1, 1)]
    weights = [Fraction(1), Fraction(0), Fraction(0), Fraction(0)]
    data = Dataset.of("sides", rows, {}, weights, {"all": [0, 1, 2, 3]})
    law = kernel(Slot("one", "root", 0, Source("dataset", "all:side")), data, exact=exact)
    found = {number: [part.tolist() for part in law.support(number)] for number in (0, 1)}
    assert found == {0: [[0], [1]], 1: [[2, 3], [Fraction(1, 2), Fraction(1, 2)]]}
    assert set(law.draw(np.array([0, 1]), np.array([0.1, 0.9])).tolist()) == {0}
    assert set(law.draw(np.array([2, 3]), np.array([0.1, 0.9])).tolist()) == {2, 3}
