"""The same with an input that no datum has."""

from tests.screens.cases.layers import case

DEMO = case("lacking", reads=("z",))
