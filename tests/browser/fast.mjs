// Going through video fast: thumbnails that the player lists, and its trick play, of which key frames alone are fetched.

import { choose, until } from "./playback.mjs";
import { MANIFESTS } from "./rows.mjs";

const RATE = 4;
const SECONDS = 20;

/** In the page: the image tracks of Shaka Player, and the tile that it shows for a time, with the image that it lies in. */
const thumbnail = async (time) => {
  const player = window.drmPack.state.playing.player;
  const tracks = player.getImageTracks();
  const tile = tracks.length ? await player.getThumbnails(tracks[0].id, time) : null;
  if (!tile) return { tracks: tracks.length };
  const image = new Image();
  image.src = tile.uris[0];
  await image.decode();
  const { width, height, positionX, positionY, startTime, duration } = tile;
  const file = new URL(image.src).pathname.split("/").pop();
  return {
    tracks: tracks.length, tile: [file, startTime, duration, positionX, positionY, width, height].join(),
    image: `${image.naturalWidth}x${image.naturalHeight}`,
  };
};

/** The tile for each time, as the pack was made: 2 by 2 tiles of 32x18, one a second. */
const TILES = { 0.5: "1.jpg,0,1,0,0,32,18", 3.5: "1.jpg,3,1,32,18,32,18", 6.2: "2.jpg,6,1,0,18,32,18" };

/** Plays, looks at thumbnails, then goes on at a greater rate by key frames. */
export async function goesFast(page, { pack, kind }) {
  const wrong = [];
  const ranges = [];
  page.on("request", (request) => {
    const { range } = request.headers();
    if (range && /\/v1\/\d+\.m4s$/.test(new URL(request.url()).pathname)) ranges.push(range);
  });
  await choose(page, `${pack.name}/${MANIFESTS[kind]}`, "shaka");
  await page.locator("#play").click();
  const first = await until(page, (seen) => seen.error || seen.time >= 1);
  if (first.error || first.late) return { wrong: [first.error || "it does not begin"], seen: first };
  for (const [time, expected] of Object.entries(TILES)) {
    const found = await page.evaluate(thumbnail, Number(time));
    if (found.tracks !== 1 || found.tile !== expected || found.image !== "64x36") {
      wrong.push(`thumbnail at ${time} s: ${JSON.stringify(found)}, expected ${expected} in an image of 64x36`);
    }
  }
  const before = ranges.length;
  await page.evaluate((rate) => window.drmPack.state.playing.player.trickPlay(rate), RATE);
  const begin = Date.now();
  const seen = await until(page, (seen) => seen.error || seen.time >= SECONDS);
  const rate = (seen.time - first.time) / ((Date.now() - begin) / 1000);
  if (seen.error || seen.late) wrong.push(seen.error || `trick play: only ${seen.time.toFixed(1)} s were shown`);
  else if (rate < RATE / 2) wrong.push(`trick play: ${rate.toFixed(1)} s in a second, expected ${RATE}`);
  const fetched = ranges.length - before;
  if (fetched < 5) wrong.push(`trick play: ${fetched} key frames were fetched by their ranges`);
  if (seen.frames <= first.frames) wrong.push("trick play: no frame was shown");
  const note = `${seen.time.toFixed(1)} s  ${seen.frames - first.frames} frames  ${fetched} ranges  ${rate.toFixed(1)} times as fast`;
  return { wrong, seen, note };
}
