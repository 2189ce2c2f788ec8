"""Writes manifest.mpd of a DASH on-demand package for FOLDER/video.mp4 and FOLDER/audio.mp4.

Only scripts/fixtures calls this, so what the clip is stands here as it is.
"""
import pathlib
import sys

import boxes

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" \
type="static" mediaPresentationDuration="PT8S" minBufferTime="PT4S">
  <Period>
"""
SET = """    <AdaptationSet contentType="{kind}" mimeType="{kind}/mp4" subsegmentAlignment="true" subsegmentStartsWithSAP="1">
      <Representation id="{kind}" bandwidth="{bandwidth}" {attributes}>
        <BaseURL>{kind}.mp4</BaseURL>
        <SegmentBase indexRange="{index}" timescale="{timescale}">
          <Initialization range="0-{last}"/>
        </SegmentBase>
      </Representation>
    </AdaptationSet>
"""
TAIL = "  </Period>\n</MPD>\n"
TRACKS = {
    "video": 'codecs="avc1.4d400c" width="320" height="180" frameRate="25"',
    "audio": 'codecs="mp4a.40.2" audioSamplingRate="48000"',
}


def adaptation_set(folder, kind):
    data = (folder / f"{kind}.mp4").read_bytes()
    sidx = next(box for box in boxes.walk(data) if box.type == "sidx")
    timescale = int.from_bytes(data[sidx.payload + 8:sidx.payload + 12], "big")
    return SET.format(kind=kind, bandwidth=len(data), attributes=TRACKS[kind], timescale=timescale,
                      index=f"{sidx.start}-{sidx.end - 1}", last=sidx.start - 1)


folder = pathlib.Path(sys.argv[1])
text = HEAD + "".join(adaptation_set(folder, kind) for kind in TRACKS) + TAIL
(folder / "manifest.mpd").write_text(text)
