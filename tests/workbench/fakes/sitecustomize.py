"""Puts the fakes in place of the plug-ins in every Python process that has this folder on its path."""

import sys
from types import ModuleType

from tests.workbench.fakes import problems
from workbench import catalog

catalog.METHODS = "tests.workbench.fakes.methods"
catalog.PROGRAMS = "tests.workbench.fakes.programs"
catalog.TASKS = catalog.LANGUAGE = "tests.workbench.fakes.tasks"

bridge = ModuleType("tracr_bridge.task")
vars(bridge).update(known=str, network=problems.network, problem=problems.toy)
sys.modules["tracr_bridge.task"] = bridge
