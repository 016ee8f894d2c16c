"""MoviePy: repair a clip, then twice its rate, at exactly that rate.

Usage: python moviepy_effect.py IN OUT.mp4
"""

from __future__ import annotations

import sys

from moviepy import VideoFileClip

from vgan_plugin.hosts.moviepy import Fill, Interpolate, exact_rate


def main(source: str, target: str) -> None:
    with VideoFileClip(source) as clip:
        out = clip.with_effects([Fill(), Interpolate(2)])
        print(f"{clip.fps} -> {out.fps} frames a second, {out.duration} s")
        out.write_videofile(target, codec="libx264", logger=None, ffmpeg_params=exact_rate(out))


if __name__ == "__main__":
    main(*sys.argv[1:3])
