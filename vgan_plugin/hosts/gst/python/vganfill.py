"""Found by GStreamer's loader of Python plugins when GST_PLUGIN_PATH names the folder above this one's."""

from vgan_plugin.hosts.gstreamer import ELEMENT

__gstelementfactory__ = ELEMENT
