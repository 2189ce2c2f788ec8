// One cell of the matrix: a presentation in a player of the page.

import { listed } from "./listed.mjs";
import { MANIFESTS, SECONDS } from "./rows.mjs";

const PATIENCE = 40_000;

/** Chooses on the page as a user does and presses Play. */
export async function choose(page, path, player) {
  await page.locator(`[name=presentation][value="${path}"]`).check();
  await page.locator("#player").selectOption(player);
}

export const look = (page) => page.evaluate(() => {
  const { video, state } = window.drmPack;
  const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
  return {
    time: video.currentTime, ended: video.ended, frames: totalVideoFrames, dropped: droppedVideoFrames,
    error: document.getElementById("error").textContent,
    asked: [...new Set(state.licenses.flatMap((request) => request.kids))], took: state.playing?.took,
    kids: state.playing?.facts?.kids ?? [],
    shown: [...document.querySelectorAll("#tracks td.id")].map((cell) => cell.textContent),
    scheme: document.getElementById("scheme").textContent,
  };
});

export async function until(page, done, patience = PATIENCE) {
  const end = Date.now() + patience;
  let seen;
  do {
    seen = await look(page);
    if (done(seen)) return seen;
    await page.waitForTimeout(100);
  } while (Date.now() < end);
  return { ...seen, late: true };
}

/** Plays and says what was wrong: an empty list is a pass. */
export async function plays(page, cell) {
  const { pack, kind, player } = cell;
  await choose(page, `${pack.name}/${MANIFESTS[kind]}`, player);
  await page.evaluate(() => { window.drmPack.video.defaultPlaybackRate = 2; });
  await page.locator("#play").click();
  const wrong = [];
  if (pack.lists && !(await until(page, (seen) => seen.error || seen.time >= 1)).error) wrong.push(...await listed(page, cell));
  const seen = await until(page, (seen) => seen.error || seen.time >= SECONDS);
  if (seen.error) wrong.push(seen.error);
  else if (seen.late) wrong.push(`only ${seen.time.toFixed(1)} s were played`);
  if (seen.frames < 50) wrong.push(`${seen.frames} frames were decoded`);
  // One picture of the ladder is played: its key and that of the sound must have been asked for.
  for (const [type, kids] of Object.entries(pack.keys)) {
    if (!kids.some((kid) => seen.asked.includes(kid))) wrong.push(`no key of ${type} was asked for`);
  }
  const strange = pack.rotates ? [] : seen.asked.filter((kid) => !Object.values(pack.keys).flat().includes(kid));
  if (strange.length) wrong.push(`keys that the pack does not have: ${strange.join(", ")}`);
  return { wrong, seen };
}

/** Plays with a key that is not the right one: it must fail, and the page must say so. */
export async function failsWithWrongKey(page, cell) {
  const { pack, kind, player } = cell;
  await choose(page, `${pack.name}/${MANIFESTS[kind]}`, player);
  if (!(await page.locator("#own").evaluate((details) => details.open))) await page.locator("#own summary").click();
  await page.locator("#own-keys").fill([...new Set(Object.values(pack.keys).flat())].map((kid) => `${kid}:${"5a".repeat(16)}`).join("\n"));
  await page.locator("#own-form button").click();
  const seen = await until(page, (seen) => seen.error || seen.time >= SECONDS);
  const wrong = [];
  if (!seen.error) wrong.push(`no error; ${seen.time.toFixed(1)} s, ${seen.frames} frames`);
  else if (!/key is not the one/.test(seen.error)) wrong.push(`another error: ${seen.error}`);
  return { wrong, seen };
}
