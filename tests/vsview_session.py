"""A user at vsview, without a screen: opens a script, looks through it in our panel, and tells what was seen as JSON.

    QT_QPA_PLATFORM=offscreen python tests/vsview_session.py clip.vpy shot.png [frame]

Runs in a process of its own: there is one Qt application and one VapourSynth a process.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QRect
from PySide6.QtWidgets import QApplication
from vsview.api import PluginGraphicsView
from vsview.app.main import Application, MainWindow
from vsview.app.plugins.manager import PluginManager
from vsview.app.tools.frameprops.categories import CategoryRegistry
from vsview.app.tools.frameprops.formatters import FormatterRegistry
from vsview.app.tools.scening import plugin as scening

from vgan_plugin.hosts.vsview_panel import Panel


def until(true: Callable[[], bool], what: str) -> None:
    """Let the application work until something is so."""
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.01)


def session(script: Path, shot: Path, frame: int | None) -> dict[str, Any]:
    app = Application(["vsview"], no_settings=True)
    PluginManager.load()
    window = MainWindow()
    window.resize(1280, 800)
    window.show()
    PluginManager.wait_for_loaded()
    seen: dict[str, Any] = {
        "processor": repr(PluginManager.video_processor),
        "plugins": [plugin.identifier for plugin in PluginManager.all_plugins],
    }
    scening.load_plugins()
    seen["parsers"] = [p.filter.label for p in scening.manager.hook.vsview_scening_register_parser()]
    seen["serializers"] = [s.filter.label for s in scening.manager.hook.vsview_scening_register_serializer()]

    button, loaded = window.load_new_script(script)
    workspace = button.workspace
    until(loaded.done, "the script is loaded")
    seen["loaded"] = loaded.result()
    seen["category"] = CategoryRegistry.get_category("VGanConfidence")
    seen["confidence"] = FormatterRegistry.format_value("VGanConfidence", 0.4321)
    panel = next(plugin for plugin in workspace.plugins if isinstance(plugin, Panel))
    until(lambda: workspace.playback.can_reload, "the first frame is shown")
    splitter = workspace.plugin_splitter
    splitter.plugin_tabs.setCurrentWidget(panel)
    splitter.setSizes([760, 520])
    panel.find_all()
    until(panel._looking.done, "the clip is looked through")
    until(lambda: panel.frames.topLevelItemCount() == len(panel.made), "the list is shown")
    seen["made"] = {n: [round(sure, 4), method] for n, (sure, method) in sorted(panel.made.items())}
    rows = [panel.frames.topLevelItem(i) for i in range(panel.frames.topLevelItemCount())]
    seen["rows"] = [[row.text(column) for column in range(4)] for row in rows]
    seen["notches"] = [int(notch.data) for notch in workspace.tbar.timeline.custom_notches["vgan"]]

    seen["doubtful"] = []
    here = workspace.playback.state.current_frame
    for _ in range(sum(sure < panel.below.value() for sure, _ in panel.made.values())):
        panel.next_doubtful()
        until(lambda before=here: workspace.playback.state.current_frame != before, "the next doubtful frame is shown")
        here = workspace.playback.state.current_frame
        seen["doubtful"].append(int(here))
    if frame is not None and frame != here:
        panel.api.playback.seek(frame)
        until(lambda: workspace.playback.state.current_frame == frame, "the frame is shown")
    until(lambda: panel.frames.currentItem() is not None, "the frame is marked in the list")
    seen["marked"] = panel.frames.currentItem().text(0)
    panel.draw.setChecked(True)
    clip = panel.api.current_voutput.vs_output.clip
    panel.api.current_view.set_rect_selection(
        QRect(clip.width // 12, clip.height // 16, clip.width // 3, clip.height // 4)
    )
    del clip
    seen["mask"] = panel.mask.text()
    rest = time.monotonic() + 1.5
    until(lambda: time.monotonic() > rest, "the pictures are drawn")
    seen["shot"] = window.grab().save(str(shot))
    seen["pictures"] = [not view.pixmap_item.pixmap().isNull() for view in panel.findChildren(PluginGraphicsView)]
    panel.draw.setChecked(False)
    reloaded = workspace.reload_content()  # what was found belongs to the old script
    until(reloaded.done, "the script is loaded again")
    seen["after reload"] = len(panel.made)
    app.processEvents()
    return seen


if __name__ == "__main__":
    try:
        found = session(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        os._exit(0)  # Qt's threads and VapourSynth's do not agree on who goes first
    except BaseException:  # noqa: BLE001 told, and the process ends whatever threads run
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
