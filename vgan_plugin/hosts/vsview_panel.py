"""vsview's panel: what was there, what was made and the difference, and the list of made frames."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import wait
from typing import Any

import vapoursynth as vs
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from vsview.api import (
    ActionDefinition,
    PluginAPI,
    PluginGraphicsView,
    VideoOutputProxy,
    WidgetPluginBase,
    run_in_background,
    run_in_loop,
)

NAME = "vgan"
_GAIN = 4
_DOUBT = 0.6
_SURE, _DOUBTFUL = QColor("#2e9e5b"), QColor("#d9480f")


def source_of(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip with what was shown before in the place of its made frames."""

    def show(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001 the host's signature
        before = f.props.get("VGanSource")
        alike = before is not None and (before.format.id, before.width, before.height) == (
            f.format.id,
            f.width,
            f.height,
        )
        return before if alike else f  # a script may have converted what was made

    return clip.std.ModifyFrame(clip, show)


def difference_of(clip: vs.VideoNode) -> vs.VideoNode:
    """How far the made frames are from what was shown before, times four: luma alone where there is one."""
    pair, matrix = [clip, source_of(clip)], vs.MATRIX_RGB
    if clip.format.color_family != vs.RGB:
        pair, matrix = [node.std.ShufflePlanes(0, vs.GRAY) for node in pair], vs.MATRIX_BT709
    difference = vs.core.std.Expr(pair, f"x y - abs {_GAIN} *")
    return difference.std.SetFrameProps(_Range=vs.RANGE_FULL, _Matrix=matrix)


def _note(made: dict[int, tuple[float, str]], n: int, props: Mapping[str, Any]) -> bool:
    """Keep what a frame says of itself; whether that is new."""
    if not props.get("VGanMade") or n in made:
        return False
    made[n] = (float(props.get("VGanConfidence", 0.0)), str(props.get("VGanMethod", "")))
    return True


class _View(PluginGraphicsView):  # type: ignore[misc]
    """One of the three pictures."""

    def __init__(self, parent: QWidget, api: PluginAPI, node: Any) -> None:
        super().__init__(parent, api)
        self._node = node
        self.set_autofit(True)

    def get_node(self, clip: vs.VideoNode) -> vs.VideoNode:
        """The clip that it shows."""
        return self._node(clip)


class Panel(WidgetPluginBase):  # type: ignore[misc]
    """The tool panel."""

    identifier = NAME
    display_name = "vgan"
    shortcuts = (ActionDefinition(f"{NAME}.next", "Next doubtful made frame", "Shift+D"),)

    def __init__(self, parent: QWidget, api: PluginAPI) -> None:
        super().__init__(parent, api)
        self.made: dict[int, tuple[float, str]] = {}
        self._clips: dict[int, dict[int, tuple[float, str]]] = {}
        self._stop = threading.Event()
        self._looking: Any = None
        self._pictures()
        self._list()
        self._mask()
        self.api.register_shortcut(f"{NAME}.next", self.next_doubtful, self, context=Qt.ShortcutContext.WindowShortcut)
        self.api.register_on_destroy(self.forget)

    # What it shows

    def _pictures(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self.pictures = QSplitter(Qt.Orientation.Vertical, self)
        for title, node in (
            ("source", source_of),
            ("made", lambda clip: clip),
            (f"difference x {_GAIN}", difference_of),
        ):
            box = QWidget(self.pictures)
            inside = QVBoxLayout(box)
            inside.setContentsMargins(0, 0, 0, 0)
            inside.addWidget(QLabel(title, box))
            inside.addWidget(_View(box, self.api, node), 1)
        layout.addWidget(self.pictures, 3)

    def _list(self) -> None:
        self.frames = QTreeWidget(self)
        self.frames.setHeaderLabels(["frame", "time", "confidence", "method"])
        self.frames.setRootIsDecorated(False)
        self.frames.setUniformRowHeights(True)
        self.frames.itemActivated.connect(self._go)
        self.frames.itemClicked.connect(self._go)
        self.find = QPushButton("Find made frames", self)
        self.find.setToolTip("Go through the whole clip; frames that have been looked at are listed already")
        self.find.clicked.connect(self.find_all)
        self.below = QDoubleSpinBox(self)
        self.below.setRange(0, 1)
        self.below.setSingleStep(0.05)
        self.below.setValue(_DOUBT)
        self.below.setPrefix("doubtful below ")
        self.below.valueChanged.connect(self._show_list)
        self.next = QPushButton("Next doubtful", self)
        self.next.clicked.connect(self.next_doubtful)
        row = QHBoxLayout()
        for widget in (self.find, self.below, self.next):
            row.addWidget(widget)
        self.layout().addLayout(row)
        self.layout().addWidget(self.frames, 2)

    def _mask(self) -> None:
        self.draw = QPushButton("Mask", self)
        self.draw.setCheckable(True)
        self.draw.setToolTip("Draw a rectangle on the picture")
        self.draw.toggled.connect(self._enable_drawing)
        self.mask = QLineEdit(self)
        self.mask.setReadOnly(True)
        self.mask.setPlaceholderText("a rectangle on the picture becomes a mask here")
        copy = QPushButton("Copy", self)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.mask.text()))
        row = QHBoxLayout()
        for widget in (self.draw, self.mask, copy):
            row.addWidget(widget)
        self.layout().addLayout(row)

    # What the viewer tells

    def on_current_voutput_changed(self, voutput: VideoOutputProxy, tab_index: int) -> None:
        """Another clip: what is known of it is listed."""
        made = self._clips.setdefault(tab_index, {})
        if made is not self.made:
            self._stop.set()
            self.made = made
        super().on_current_voutput_changed(voutput, tab_index)
        self._show_list()

    def on_current_frame_changed(self, n: int) -> None:
        """A frame is shown: if it is a made one, it belongs on the list."""
        props = self.api.current_voutput.props.get(n)
        if props is not None and _note(self.made, n, props):
            self._show_list()
        self._mark(n)

    def on_view_rect_selection_changed(self, rect: QRect) -> None:
        """A rectangle is drawn: the mask in words."""
        x, y, width, height = rect.x(), rect.y(), rect.width(), rect.height()
        self.mask.setText("" if rect.isEmpty() else f"vgan.inpaint(clip, vgan.box(clip, {x}, {y}, {width}, {height}))")

    def on_hide(self) -> None:
        """The panel goes away: so does the drawing."""
        self.draw.setChecked(False)

    def _enable_drawing(self, on: bool) -> None:
        self.api.current_view.rect_selection_enabled = on

    # Made frames

    def forget(self) -> None:
        """The script goes away: stop looking, and forget what was found."""
        self._stop.set()
        if self._looking is not None:
            wait([self._looking], timeout=10)
        self._looking = None
        self._clips.clear()
        self.made = {}

    def find_all(self) -> None:
        """Go through the clip for made frames; a second call stops."""
        if self._looking is not None and not self._looking.done():
            self._stop.set()
            return
        self._stop.clear()
        self._looking = self._look(self.api.current_voutput.vs_output.clip, self.made)

    @run_in_background(name="vgan-find")  # type: ignore[untyped-decorator]
    def _look(self, clip: vs.VideoNode, made: dict[int, tuple[float, str]]) -> None:
        with self.api.vs_context():
            for n, f in enumerate(clip.frames(close=True)):
                if self._stop.is_set():
                    return
                if _note(made, n, f.props) or n % 50 == 0:
                    self._tell(f"{n + 1} of {clip.num_frames} frames looked at, {len(made)} made")
        self._tell(f"{len(made)} of {clip.num_frames} frames are made")

    @run_in_loop  # type: ignore[untyped-decorator]
    def _tell(self, line: str) -> None:
        self.api.statusMessage.emit(line)
        self._show_list()

    @run_in_loop  # type: ignore[untyped-decorator]
    def _show_list(self, *_: object) -> None:
        """List and notches, as far as frames are known."""
        self.frames.clear()
        self.api.timeline.clear_notches(NAME, update=False)
        for n, (confidence, method) in sorted(self.made.items()):
            time = self.api.current_voutput.frame_to_time(n)
            item = QTreeWidgetItem([str(n), time.to_ts(), f"{confidence:.2f}", method])
            colour = _DOUBTFUL if confidence < self.below.value() else _SURE
            item.setForeground(2, colour)
            item.setData(0, Qt.ItemDataRole.UserRole, n)
            self.frames.addTopLevelItem(item)
            self.api.timeline.add_notch(NAME, n, colour, f"{method}, {confidence:.2f}", n, update=False)
        self.api.timeline.update()
        self._mark(self.api.current_frame)

    @run_in_loop  # type: ignore[untyped-decorator]
    def _mark(self, n: int) -> None:
        """Mark frame n in the list, if it is there."""
        self.frames.setCurrentItem(next(iter(self.frames.findItems(str(n), Qt.MatchFlag.MatchExactly)), None))

    def _go(self, item: QTreeWidgetItem) -> None:
        self.api.playback.seek(item.data(0, Qt.ItemDataRole.UserRole))

    def next_doubtful(self) -> None:
        """Show the next made frame that is less sure than the threshold; after the last comes the first."""
        doubtful = sorted(n for n, (confidence, _) in list(self.made.items()) if confidence < self.below.value())
        here = self.api.current_frame
        if doubtful:
            self.api.playback.seek(next((n for n in doubtful if n > here), doubtful[0]))
        else:
            self.api.statusMessage.emit("No doubtful frame is known: find made frames first")
