#!/bin/sh
# A line of GStreamer: decode, repair, encode. Usage: gstreamer.sh IN OUT.webm
set -e
# GStreamer's loader takes the first python3 on PATH for its own: the system's, where PyGObject is. It finds vgan in
# PYTHONPATH, where that Python does not have it.
python=${VGAN_PYTHON:-$(command -v python3)}
sites=$("$python" -c 'import numpy, vgan_plugin, os; print(*{os.path.dirname(m.__path__[0]) for m in (numpy, vgan_plugin)}, sep=":")')
GST_PLUGIN_PATH=$("$python" -c 'import vgan_plugin; print(vgan_plugin.__path__[0] + "/hosts/gst")')
export GST_PLUGIN_PATH PYTHONPATH="$sites" PATH="/usr/bin:/bin:$PATH"
gst-launch-1.0 -q filesrc location="$1" ! decodebin ! videoconvert ! vganfill ! videoconvert ! \
    vp8enc deadline=1 target-bitrate=4000000 ! webmmux ! filesink location="$2"
