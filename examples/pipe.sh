#!/bin/sh
# ffmpeg | vgan pipe | ffmpeg: repair the pictures of a file on their way, with its own times. Usage: pipe.sh IN OUT
set -e
times=$(mktemp)
trap 'rm -f "$times"' EXIT
ffmpeg -v error -y -i "$1" -map 0:v:0 -c copy -f framecrc "$times" # when each frame is shown: y4m does not say
ffmpeg -v error -i "$1" -map 0:v:0 -fps_mode passthrough -strict -1 -f yuv4mpegpipe - |
    vgan pipe fill --timing "$times" |
    ffmpeg -v error -y -i - -c:v ffv1 "$2"
