"use strict";

// A map of two layers with a divider. Places are in units of the Web Mercator square: 0 to 1 from
// west to east and from north to south.

const TILE = 256;
const KEPT = 400;
const AT_ONCE = { translation: 2, other: 3 };
const CLOSEST = 4; // levels beyond the resolution of the scene, where pixels are squares

const $ = (id) => document.getElementById(id);
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
const lonOf = (x) => x * 360 - 180;
const latOf = (y) => (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
const xOf = (lon) => (lon + 180) / 360;
const yOf = (lat) => {
  const radians = (clamp(lat, -85.0511, 85.0511) * Math.PI) / 180;
  return (1 - Math.asinh(Math.tan(radians)) / Math.PI) / 2;
};

let scene; // what the server says about the layers
const view = { x: 0.5, y: 0.5, zoom: 1 };
let split = 0.5;
const map = $("map");
const panes = [];

class Pane {
  // The tiles of one layer, on one side of the divider.
  constructor(box) {
    this.box = box;
    this.layer = null;
    this.tiles = new Map();
    this.busy = 0;
  }

  show(layer) {
    if (layer === this.layer) return;
    for (const tile of this.tiles.values()) this.drop(tile);
    this.tiles.clear();
    this.layer = layer;
  }

  get level() {
    const sharp = window.devicePixelRatio > 1.5 ? 1 : 0;
    return clamp(Math.round(view.zoom) + sharp, 0, scene.maxzoom + 2);
  }

  update() {
    const { level } = this;
    const count = 2 ** level;
    const half = { x: map.clientWidth / 2, y: map.clientHeight / 2 };
    const side = TILE * 2 ** view.zoom;
    const span = (at, reach) => [at - reach / side, at + reach / side];
    const wanted = new Set();
    const [west, east] = span(view.x, half.x);
    const [north, south] = span(view.y, half.y);
    const first = (at) => Math.floor(at * count);
    for (let y = first(Math.max(north, scene.y[0])); y <= first(Math.min(south, scene.y[1])); y++) {
      for (let x = first(Math.max(west, scene.x[0])); x <= first(Math.min(east, scene.x[1])); x++) {
        if (x >= 0 && y >= 0 && x < count && y < count) wanted.add(`${level}/${x}/${y}`);
      }
    }
    for (const key of wanted) {
      if (!this.tiles.has(key)) this.tiles.set(key, this.make(key));
    }
    const done = [...wanted].every((key) => this.tiles.get(key).done);
    for (const [key, tile] of this.tiles) {
      tile.wanted = wanted.has(key);
      // Tiles of other levels stay until those that replace them are there.
      const stays = tile.wanted || (tile.image && (!done || tile.level === level));
      if (!stays || (!tile.wanted && this.tiles.size > KEPT)) {
        this.drop(tile);
        this.tiles.delete(key);
      } else {
        this.place(tile, half, side);
      }
    }
    this.box.classList.toggle("magnified", view.zoom > scene.maxzoom + 0.5);
    this.load();
  }

  make(key) {
    const [level, x, y] = key.split("/").map(Number);
    return { key, level, x, y, image: null, done: false, abort: null, wanted: true };
  }

  place(tile, half, side) {
    if (!tile.image) return;
    const count = 2 ** tile.level;
    // Edges on whole pixels, so that no line shows between tiles.
    const edge = (at, middle, reach) => Math.round((at / count - middle) * side + reach);
    const left = edge(tile.x, view.x, half.x);
    const top = edge(tile.y, view.y, half.y);
    const { style } = tile.image;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${edge(tile.x + 1, view.x, half.x) - left}px`;
    style.height = `${edge(tile.y + 1, view.y, half.y) - top}px`;
    style.zIndex = tile.level === this.level ? 100 : tile.level;
    style.visibility = tile.level > this.level + 3 ? "hidden" : "";
  }

  load() {
    const most = this.layer === "translation" ? AT_ONCE.translation : AT_ONCE.other;
    const missing = [...this.tiles.values()].filter((t) => t.wanted && !t.done && !t.abort);
    const middle = (tile) => {
      const count = 2 ** tile.level;
      return Math.hypot((tile.x + 0.5) / count - view.x, (tile.y + 0.5) / count - view.y);
    };
    missing.sort((one, other) => middle(one) - middle(other));
    for (const tile of missing) {
      if (this.busy >= most) break;
      this.fetch(tile);
    }
    showWork();
  }

  async fetch(tile) {
    tile.abort = new AbortController();
    this.busy += 1;
    const { layer } = this;
    try {
      const answer = await fetch(`tiles/${layer}/${tile.key}.png`, { signal: tile.abort.signal });
      if (answer.status === 200) await this.draw(tile, await answer.blob());
      else if (answer.status !== 204) fail(await answer.text());
      tile.done = true;
    } catch (error) {
      if (error.name !== "AbortError") {
        tile.done = true;
        fail("The server does not answer; is geotranslate serve still running?");
      }
    } finally {
      tile.abort = null;
      this.busy -= 1;
      this.load();
      schedule();
    }
  }

  async draw(tile, blob) {
    const image = new Image(TILE, TILE);
    image.alt = "";
    image.draggable = false;
    image.src = URL.createObjectURL(blob);
    await image.decode();
    if (!this.tiles.has(tile.key)) {
      URL.revokeObjectURL(image.src);
      return;
    }
    tile.image = image;
    this.box.append(image);
  }

  drop(tile) {
    if (tile.abort) tile.abort.abort();
    if (tile.image) {
      URL.revokeObjectURL(tile.image.src);
      tile.image.remove();
    }
  }

  // Tiles from afar show what is translated so far: they are asked for anew when they come back.
  forgetFar() {
    for (const [key, tile] of this.tiles) {
      if (tile.level < scene.minzoom && !tile.wanted) {
        this.drop(tile);
        this.tiles.delete(key);
      }
    }
  }
}

let frame = 0;
function schedule() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  for (const pane of panes) {
    if (pane.layer === "translation") pane.forgetFar();
    pane.update();
  }
  const at = split * 100;
  $("above").style.clipPath = `inset(0 0 0 ${at}%)`;
  $("above").style.opacity = $("opacity").value / 100;
  $("divider").style.left = `${at}%`;
  $("divider").setAttribute("aria-valuenow", Math.round(at));
  const gap = `calc(${100 - at}% + 1.4rem)`;
  $("left-name").style.right = gap;
  $("right-name").style.left = `calc(${at}% + 1.4rem)`;
  $("left-name").hidden = split < 0.08;
  $("right-name").hidden = split > 0.92;
  const far = panes.some((pane) => pane.layer === "translation" && pane.level < scene.minzoom);
  $("hint").hidden = !far;
  map.dataset.zoom = view.zoom.toFixed(2);
  clearTimeout(noting);
  noting = setTimeout(notePlace, 300);
}

// The address of the page tells the place, so that it can be kept and sent. Browsers refuse to
// change it many times a second.
let noting = 0;
function notePlace() {
  const place = [view.zoom.toFixed(2), latOf(view.y).toFixed(6), lonOf(view.x).toFixed(6)];
  history.replaceState(null, "", `#${place.join("/")}`);
}

function showWork() {
  const pane = panes.find((each) => each.layer === "translation");
  const left = pane ? [...pane.tiles.values()].filter((tile) => tile.wanted && !tile.done).length : 0;
  const work = pane && pane.level < scene.minzoom ? "loading" : "translating";
  $("work").textContent = left ? `${work}: ${left} tile${left > 1 ? "s" : ""} to go` : "";
}

function fail(text) {
  $("error").textContent = text;
  $("error").hidden = false;
}

// Moving

function zoomTo(zoom, px = map.clientWidth / 2, py = map.clientHeight / 2) {
  const before = TILE * 2 ** view.zoom;
  view.zoom = clamp(zoom, scene.least, scene.maxzoom + CLOSEST);
  const after = TILE * 2 ** view.zoom;
  view.x += (px - map.clientWidth / 2) * (1 / before - 1 / after);
  view.y += (py - map.clientHeight / 2) * (1 / before - 1 / after);
  moved();
}

function pan(dx, dy) {
  const side = TILE * 2 ** view.zoom;
  view.x -= dx / side;
  view.y -= dy / side;
  moved();
}

function moved() {
  view.x = clamp(view.x, scene.x[0], scene.x[1]);
  view.y = clamp(view.y, scene.y[0], scene.y[1]);
  $("error").hidden = true;
  schedule();
}

function fitZoom() {
  const wide = map.clientWidth / TILE / (scene.x[1] - scene.x[0]);
  const high = map.clientHeight / TILE / (scene.y[1] - scene.y[0]);
  return Math.log2(Math.min(wide, high)) - 0.05;
}

function showAll() {
  view.x = (scene.x[0] + scene.x[1]) / 2;
  view.y = (scene.y[0] + scene.y[1]) / 2;
  zoomTo(fitZoom());
}

function setSplit(value) {
  split = clamp(value, 0, 1);
  schedule();
}

const pointers = new Map();
function spread() {
  const [one, other] = [...pointers.values()];
  return {
    length: Math.hypot(one.x - other.x, one.y - other.y),
    x: (one.x + other.x) / 2,
    y: (one.y + other.y) / 2,
  };
}

map.addEventListener("pointerdown", (event) => {
  if (event.target.closest("#divider, button")) return;
  map.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, position(event));
});

map.addEventListener("pointermove", (event) => {
  const at = position(event);
  showPlace(at);
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (pointers.size === 1) {
    pointers.set(event.pointerId, at);
    pan(at.x - before.x, at.y - before.y);
    return;
  }
  const old = spread();
  pointers.set(event.pointerId, at);
  const now = spread();
  pan(now.x - old.x, now.y - old.y);
  if (old.length > 0) zoomTo(view.zoom + Math.log2(now.length / old.length), now.x, now.y);
});

for (const end of ["pointerup", "pointercancel"]) {
  map.addEventListener(end, (event) => pointers.delete(event.pointerId));
}

map.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const at = position(event);
    const lines = event.deltaMode === 1 ? 20 : 1;
    zoomTo(view.zoom - clamp((event.deltaY * lines) / 240, -1, 1), at.x, at.y);
  },
  { passive: false },
);

map.addEventListener("dblclick", (event) => {
  if (event.target.closest("#divider, button")) return;
  const at = position(event);
  zoomTo(view.zoom + 1, at.x, at.y);
});

function position(event) {
  const box = map.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function showPlace(at) {
  const side = TILE * 2 ** view.zoom;
  const lon = lonOf(view.x + (at.x - map.clientWidth / 2) / side);
  const lat = latOf(view.y + (at.y - map.clientHeight / 2) / side);
  $("place").textContent = `${lat.toFixed(6)}°, ${lon.toFixed(6)}°`;
}

const divider = $("divider");
divider.addEventListener("pointerdown", (event) => {
  divider.setPointerCapture(event.pointerId);
  divider.focus();
  event.preventDefault();
});
divider.addEventListener("pointermove", (event) => {
  if (divider.hasPointerCapture(event.pointerId)) setSplit(position(event).x / map.clientWidth);
});
divider.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1 };
  if (event.key in moves) setSplit(split + moves[event.key]);
  else if (event.key === "Home") setSplit(0);
  else if (event.key === "End") setSplit(1);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

map.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const step = 120;
  const keys = {
    ArrowLeft: () => pan(step, 0),
    ArrowRight: () => pan(-step, 0),
    ArrowUp: () => pan(0, step),
    ArrowDown: () => pan(0, -step),
    "+": () => zoomTo(view.zoom + 1),
    "=": () => zoomTo(view.zoom + 1),
    "-": () => zoomTo(view.zoom - 1),
    0: showAll,
    ",": () => setSplit(split - 0.05),
    ".": () => setSplit(split + 0.05),
  };
  if (!(event.key in keys)) return;
  keys[event.key]();
  event.preventDefault();
});

$("in").addEventListener("click", () => zoomTo(view.zoom + 1));
$("out").addEventListener("click", () => zoomTo(view.zoom - 1));
$("all").addEventListener("click", showAll);
$("closer").addEventListener("click", () => zoomTo(Math.max(view.zoom + 1, scene.minzoom)));
$("opacity").addEventListener("input", schedule);
window.addEventListener("resize", () => scene && schedule());

function choose() {
  const names = Object.fromEntries(scene.layers.map((layer) => [layer.id, layer.name]));
  for (const [pane, select, label] of [
    [panes[0], $("left"), $("left-name")],
    [panes[1], $("right"), $("right-name")],
  ]) {
    pane.show(select.value);
    label.textContent = names[select.value];
  }
  schedule();
}

function places() {
  const [zoom, lat, lon] = location.hash.slice(1).split("/").map(Number);
  return [zoom, lat, lon].every(Number.isFinite) && location.hash.includes("/") ? { zoom, lat, lon } : null;
}

async function start() {
  const answer = await fetch("map.json");
  const found = await answer.json();
  const [west, south, east, north] = found.bounds;
  scene = { ...found, x: [xOf(west), xOf(east)], y: [yOf(north), yOf(south)] };
  document.title = found.title;
  $("title").textContent = found.title;
  panes.push(new Pane($("below")), new Pane($("above")));
  for (const [select, value] of [[$("left"), "source"], [$("right"), "translation"]]) {
    for (const layer of scene.layers) select.add(new Option(layer.name, layer.id));
    select.value = value;
    select.addEventListener("change", choose);
  }
  scene.least = Math.min(fitZoom(), scene.minzoom) - 1;
  const given = places();
  view.x = (scene.x[0] + scene.x[1]) / 2;
  view.y = (scene.y[0] + scene.y[1]) / 2;
  view.zoom = Math.max(fitZoom(), scene.maxzoom);
  if (given) {
    view.x = xOf(given.lon);
    view.y = yOf(given.lat);
    view.zoom = clamp(given.zoom, scene.least, scene.maxzoom + CLOSEST);
  }
  choose();
  moved();
}

start().catch((error) => fail(`The map cannot be shown: ${error.message}.`));
