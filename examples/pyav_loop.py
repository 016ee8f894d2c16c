"""A loop of one's own with PyAV: decode, repair, encode.

Usage: python pyav_loop.py IN OUT.mkv
"""

from __future__ import annotations

import sys

import av

from vgan_plugin.hosts.pyav import fill_frames


def main(source: str, target: str) -> None:
    with av.open(source) as reader, av.open(target, "w") as writer:
        video = reader.streams.video[0]
        out = writer.add_stream("ffv1", rate=video.average_rate)
        out.width, out.height, out.pix_fmt = video.width, video.height, video.pix_fmt
        out.codec_context.time_base = video.time_base
        frames = fill_frames(
            reader.decode(video),
            rate=video.average_rate,
            on_made=lambda made: print(f"{float(made.time):.3f} s: {made.why}, made by {made.method}"),
        )
        for frame in frames:
            frame.pict_type = 0  # the encoder shall not follow the source's
            writer.mux(out.encode(frame))
        writer.mux(out.encode(None))


if __name__ == "__main__":
    main(*sys.argv[1:3])
