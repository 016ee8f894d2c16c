"""The conformance suite: what vgan relies on in a generator or a detector, as tests that you run on yours.

Three lines in a test file of yours, where your plugin is installed:

    from vgan_plugin.testing import GeneratorConformance

    class TestMine(GeneratorConformance):
        generator = "mine"

pytest collects the tests from the class. Each is a sentence; one that fails says what was expected and what came.
Nothing here needs pytest, a model or a file.
"""

from vgan_plugin.testing.detectors import DetectorConformance
from vgan_plugin.testing.generators import GeneratorConformance
from vgan_plugin.testing.scenes import NotConforming, moving

__all__ = ["DetectorConformance", "GeneratorConformance", "NotConforming", "moving"]
