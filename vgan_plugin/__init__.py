"""vgan: the plugin that video tools call when a frame is missing."""

__version__ = "0.1.0"
