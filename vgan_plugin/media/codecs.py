"""Which encoder a clip leaves with, and its settings: the source's own family, lossless where the source was, else
near-visually-lossless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av

from vgan_plugin.errors import CodecUnusable
from vgan_plugin.media.frames import Hdr
from vgan_plugin.media.layouts import LAYOUTS
from vgan_plugin.media.reader import VideoFacts
from vgan_plugin.types import PixelFormat

_QUALITY: dict[str, dict[str, str]] = {
    "libx264": {"crf": "14", "preset": "medium"},
    "libx265": {"crf": "15", "preset": "medium"},
    "libsvtav1": {"crf": "16", "preset": "7"},
    "libvpx-vp9": {"crf": "14", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
    "libvpx": {"crf": "4", "b": "40M", "deadline": "good", "cpu-used": "3"},
    "mpeg4": {"flags": "+qscale", "global_quality": "236"},  # quantiser 2, in FFmpeg's units of 118
    "mpeg2video": {"flags": "+qscale", "global_quality": "236"},
    "mpeg1video": {"flags": "+qscale", "global_quality": "236"},
    "mjpeg": {"flags": "+qscale", "global_quality": "236"},
    "prores_ks": {},
    "ffv1": {"level": "3", "slicecrc": "1"},
}
_LOSSLESS: dict[str, dict[str, str]] = {
    "libx264": {"qp": "0", "preset": "medium"},
    "libx265": {"x265-params": "lossless=1", "preset": "medium"},
    "libvpx-vp9": {"lossless": "1", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
    "ffv1": _QUALITY["ffv1"],
}
_FAMILY = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "prores": "prores_ks",
    **{same: same for same in ("mpeg4", "mpeg2video", "mpeg1video", "mjpeg")},
    **{
        same: same for same in ("ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "rawvideo", "v210", "qtrle", "png")
    },
}
_MPEG = {"mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "mp1", "mp2", "mp3", "ac3", "dts"}
_TRANSPORT = _MPEG | {
    *("vvc", "cavs", "avs2", "avs3", "dirac", "vc1", "aac", "aac_latm", "eac3", "truehd", "opus", "s302m"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "hdmv_text_subtitle", "klv", "timed_id3"),
}
_PROGRAM = _MPEG | {"pcm_s16be", "pcm_dvd", "dvd_subtitle"}
_HOLDS = {"mpegts": _TRANSPORT, **dict.fromkeys(("mpeg", "vob", "dvd", "svcd", "vcd"), _PROGRAM)}
"""Muxers that write any codec, and what can be read again."""
_NEXT = ("libx264", "libvpx-vp9", "ffv1")
_NEXT_LOSSLESS = ("ffv1", "libx264", "libx265", "libvpx-vp9")
_COMMON = "libx264, libx265, libsvtav1, libvpx-vp9, prores_ks, ffv1, mjpeg, utvideo"


@dataclass(frozen=True)
class Encoding:
    """An encoder with its settings.

    Attributes:
        codec: FFmpeg's name of the encoder.
        stored: pixel format that the encoder gets.
        options: its options.
        asked: options the user gave: each must be taken.
    """

    codec: str
    stored: str
    options: dict[str, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()


def candidates(facts: VideoFacts, form: PixelFormat) -> list[Encoding]:
    """Encoders for a clip, the best first, when the user named none: all of them take its samples as they are."""
    family = _FAMILY.get(facts.codec)
    names = [family] if family else []
    names += [name for name in (_NEXT_LOSSLESS if facts.lossless else _NEXT) if name != family]
    found = []
    for name in names:
        stored = _stored(name, form)
        if stored is None:
            continue
        options = _LOSSLESS.get(name, {}) if facts.lossless else _QUALITY.get(name, {})
        found.append(Encoding(name, stored, _with_hdr(name, options, facts.hdr)))
    return found


def named(codec: str, asked: Mapping[str, str], facts: VideoFacts, form: PixelFormat) -> Encoding:
    """The encoder the user asked for.

    Raises:
        CodecUnusable: it is not an encoder, not one for video, or does not take the samples as they are.
    """
    codec = _FAMILY.get(codec, codec)
    try:
        kind = av.Codec(codec, "w").type
    except ValueError as error:
        raise CodecUnusable(
            f"Unknown encoder {codec!r}", "this FFmpeg does not have it", f"use for example {_COMMON}"
        ) from error
    if kind != "video":
        raise CodecUnusable(f"Encoder {codec!r} cannot be used", f"it is for {kind}", f"use for example {_COMMON}")
    if codec == "mjpeg" and form.family == "yuv" and not facts.colour.full_range:
        raise CodecUnusable(
            f"Encoder {codec!r} cannot be used",
            "its samples are taken for full range, and the video's are not",
            "use another one, for example ffv1, which takes nearly all",
        )
    stored = _stored(codec, form)
    if stored is None:
        takes = ", ".join(f.name for f in av.Codec(codec, "w").video_formats or ())
        raise CodecUnusable(
            f"Encoder {codec!r} does not take pixel format {form.name}",
            f"it takes {takes}",
            "use another one, for example ffv1, which takes nearly all",
        )
    options = dict(_LOSSLESS.get(codec, _QUALITY.get(codec, {})) if facts.lossless else _QUALITY.get(codec, {}))
    if {"crf", "qp", "b", "global_quality"} & set(asked):  # a quality of the user's replaces ours
        options = {k: v for k, v in options.items() if k not in ("crf", "qp", "b", "global_quality", "flags")}
    options.update(asked)
    return Encoding(codec, stored, _with_hdr(codec, options, facts.hdr), frozenset(asked))


def keeps_hdr(codec: str) -> bool:
    """Whether `_with_hdr` knows how this encoder is told."""
    return codec in ("libx264", "libx265", "libsvtav1")


def counts_frames(codec: str, time_base: Fraction) -> bool:
    """Whether an encoder knows frame numbers at a constant rate only, not times in these ticks."""
    return codec in ("mpeg1video", "mpeg2video") or (codec == "mpeg4" and time_base.denominator > 65535)


def readable(container: str, codec: str) -> bool:
    """Whether a codec, by its canonical name, can be read again from what FFmpeg's muxer makes of it."""
    return container not in _HOLDS or codec in _HOLDS[container]


def encoders() -> set[str]:
    """Names of all encoders that this FFmpeg has."""
    return {name for name in av.codecs_available if _is_encoder(name)}


def _is_encoder(name: str) -> bool:
    try:
        return bool(av.Codec(name, "w").is_encoder)
    except ValueError:
        return False


def _stored(codec: str, form: PixelFormat) -> str | None:
    """The encoder's pixel format that holds the samples of `form` unchanged, or None."""
    formats = av.Codec(codec, "w").video_formats
    if formats is None or codec == "wrapped_avframe":
        return form.name
    names = [f.name for f in formats]
    if codec == "mjpeg":  # its own names say full range, and it refuses limited range
        return form.name.replace("yuv", "yuvj") if form.name.replace("yuv", "yuvj") in names else None
    if form.name in names:
        return form.name
    return next((n for n in names if n in LAYOUTS and LAYOUTS[n].planar == form.name), None)


def _with_hdr(codec: str, options: Mapping[str, str], hdr: Hdr | None) -> dict[str, str]:
    """The options with the encoder's own words for HDR10 metadata, and for keeping quiet."""
    words: list[str] = []
    key = {"libx264": "x264-params", "libx265": "x265-params", "libsvtav1": "svtav1-params"}.get(codec)
    if key is None:
        return dict(options)
    if codec == "libx265":
        words += ["log-level=none"]
    if hdr is not None:
        light = f"{hdr.light[0]},{hdr.light[1]}" if hdr.light else None
        display = None
        if hdr.primaries and hdr.luminance:
            plain = codec == "libsvtav1"  # it wants decimals; the integers of the others are taken and clip to nonsense
            xy = [str(float(v)) if plain else str(round(v * 50000)) for v in hdr.primaries]
            low, high = (str(float(v)) if plain else str(round(v * 10000)) for v in hdr.luminance)
            red, green, blue, white = (f"({xy[i]},{xy[i + 1]})" for i in (0, 2, 4, 6))
            display = f"G{green}B{blue}R{red}WP{white}L({high},{low})"
        names = {
            "libx264": ("mastering-display", "cll"),
            "libx265": ("master-display", "max-cll"),
            "libsvtav1": ("mastering-display", "content-light"),
        }[codec]
        if codec == "libx265":
            words += ["repeat-headers=1", *(["hdr10=1"] if display else [])]
        words += [f"{name}={value}" for name, value in zip(names, (display, light), strict=True) if value]
    if options.get(key):
        words.append(options[key])
    return {**options, key: ":".join(words)} if words else dict(options)
