"""Clips for the interoperability matrix: one row for each way of coding that FFmpeg of this system can encode.

`make(folder, name)` writes progressive and fragmented MP4 files of the row and returns their paths. Rows of
real media that no encoder here makes come from the folder of shared media, when it is there.
"""
import collections
import pathlib
import subprocess

MEDIA = pathlib.Path("../shared/media")

Clip = collections.namedtuple("Clip", "name kind arguments source")

PICTURE = "testsrc2=size=320x180:rate=25:duration=2"
# Film noise gives slices, tiles and superframes of real sizes.
NOISY = "testsrc2=size=640x360:rate=25:duration=1.2,noise=alls=20:allf=t"
SOUND = "sine=frequency=440:sample_rate=48000:duration=2"


def video(name, arguments, source=PICTURE):
    return Clip(name, "video", f"-pix_fmt yuv420p {arguments}", source)


def audio(name, arguments):
    return Clip(name, "audio", arguments, SOUND)


CLIPS = [
    video("avc-cavlc", "-c:v libx264 -profile:v baseline -g 25"),
    video("avc-cabac-slices-weighted", "-c:v libx264 -x264-params slices=5:bframes=3:weightp=2:weightb=1:keyint=25", NOISY),
    video("avc-interlaced-mbaff", "-c:v libx264 -flags +ilme+ildct -x264-params tff=1:bframes=2:keyint=25", NOISY),
    video("avc-avc3", "-c:v libx264 -g 25 -tag:v avc3 -bsf:v dump_extra=freq=keyframe"),
    video("avc-high10", "-c:v libx264 -profile:v high10 -pix_fmt yuv420p10le -g 25"),
    video("hevc", "-c:v libx265 -x265-params log-level=error:keyint=25 -tag:v hvc1"),
    video("hevc-slices-weighted", "-c:v libx265 -x265-params log-level=error:slices=4:weightb=1:bframes=4:keyint=25 -tag:v hvc1", NOISY),
    video("hevc-wavefront-hev1", "-c:v libx265 -x265-params log-level=error:wpp=1:b-pyramid=1:keyint=25 -tag:v hev1", NOISY),
    # What FFmpeg has no encoder for is a fixture, in one shape.
    Clip("mv-hevc", "video", "", "fixtures/clip/codecs/mv_hevc.mp4"),
    video("av1-tiles", "-c:v libaom-av1 -cpu-used 8 -row-mt 0 -tiles 2x2 -g 25", NOISY.replace("640x360", "1024x576")),
    video("av1-hidden-frames", "-c:v libsvtav1 -preset 10 -g 25"),
    video("vp9-tiles-superframes", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -tile-columns 2 -auto-alt-ref 1 -lag-in-frames 16 -g 25",
          NOISY.replace("640x360", "1024x576")),
    audio("aac", "-c:a aac -b:a 64k"),
    audio("ac-3", "-c:a ac3 -b:a 96k"),
    audio("e-ac-3", "-c:a eac3 -b:a 96k"),
    audio("opus", "-c:a libopus -b:a 48k -strict -2"),
    audio("flac", "-c:a flac -strict -2"),
    audio("alac", "-c:a alac"),
    audio("mp3", "-c:a libmp3lame -b:a 64k"),
    audio("dts", "-c:a dca -strict -2 -b:a 384k"),
]

FRAGMENTED = "-movflags +frag_keyframe+delay_moov+default_base_moof -frag_duration 1000000"


def ffmpeg(*arguments):
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ffmpeg {' '.join(arguments)}: {done.stderr}")


def make(clip, folder):
    """The clip as a progressive and as a fragmented file."""
    if not clip.arguments:
        return dict.fromkeys(("progressive", "fragmented", "single-file"), pathlib.Path(clip.source).resolve())
    progressive, fragmented = folder / f"{clip.name}.mp4", folder / f"{clip.name}-fragmented.mp4"
    ffmpeg("-f", "lavfi", "-i", clip.source, *clip.arguments.split(), str(progressive))
    # Copied, not encoded again: both have the same samples.
    tag = clip.arguments.split("-tag:v ")[1].split()[0] if "-tag:v " in clip.arguments else None
    ffmpeg("-i", str(progressive), "-c", "copy", *(["-tag:v", tag] if tag else []), "-strict", "-2",
           *FRAGMENTED.split(), str(fragmented))
    return {"progressive": progressive, "fragmented": fragmented, "single-file": progressive}
