"use strict";

// A viewer draws two layers of a scene on a canvas, the left one up to a divider. Layers are
// pyramids of tiles in data URIs, which are decoded when they are first seen.

const NEAREST = 16; // screen pixels of a pixel at the largest zoom
const STEP = 1.25;

function bytesOf(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) found[i] = raw.charCodeAt(i);
  return found;
}

async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const ARRAYS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, float32: Float32Array, float64: Float64Array,
};

function shown(value) {
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(7)));
}

/** A layer: the whole picture at the coarsest level, tiles at finer ones, and values. */
class Layer {
  constructor(facts, whole, redraw) {
    Object.assign(this, { facts, whole, redraw, images: new Map(), values: null, asked: false });
  }

  /** Return the decoded tile at "level/row/col"; if it is not decoded yet, draw again later. */
  tile(place) {
    const known = this.images.get(place);
    if (known !== undefined) return known;
    const text = this.facts.tiles[place];
    this.images.set(place, null);
    if (text === undefined) return null;
    const image = new Image();
    image.src = "data:image/webp;base64," + text;
    image.decode().then(() => {
      this.images.set(place, image);
      this.redraw();
    }, () => {});
    return null;
  }

  /** Decode the values once, then draw again. */
  async load() {
    if (this.asked || !this.facts.values || typeof DecompressionStream === "undefined") return;
    this.asked = true;
    const { type, data, valid } = this.facts.values;
    const values = new ARRAYS[type](await inflated(data));
    this.valid = valid ? new Uint8Array(await inflated(valid)) : null;
    this.values = values;
    this.redraw();
  }

  /** Return the values of all bands at a row and column of the value grid; null where invalid. */
  at(row, col) {
    if (!this.values) return undefined;
    const { bands, rows, cols } = this.facts.values;
    const place = row * cols + col;
    if (this.valid && !((this.valid[place >> 3] >> (7 - (place & 7))) & 1)) return null;
    return Array.from({ length: bands }, (_, band) => this.values[band * rows * cols + place]);
  }
}

class Viewer {
  constructor(root, stills, facts) {
    this.root = root;
    this.facts = facts;
    [this.height, this.width] = facts.sizes[0];
    this.find = (name) => root.querySelector(name);
    this.canvas = this.find("canvas");
    this.divider = this.find(".divider");
    this.frame = 0;
    this.layers = new Map(facts.layers.map((each) => [each.key, new Layer(
      each, stills.querySelector(`img[data-layer="${each.key}"]`), () => this.redraw(),
    )]));
    this.split = 0.5;
    this.pointers = new Map();
    this.place = { row: Math.floor(this.height / 2), col: Math.floor(this.width / 2) };
    // A wide scene needs less height.
    this.find(".stage").style.aspectRatio = `${this.width} / ${this.height}`;
    this.choose();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.resize();
  }

  choose() {
    this.sides = [this.find(".left"), this.find(".right")];
    this.sides.forEach((select, side) => {
      for (const [key, layer] of this.layers) select.add(new Option(layer.facts.title, key));
      select.selectedIndex = side;
      select.addEventListener("change", () => this.redraw());
    });
  }

  get chosen() {
    return this.sides.map((select) => this.layers.get(select.value));
  }

  listen() {
    const { canvas, divider } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      // Without a click before, the wheel scrolls the page.
      if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      this.zoom(Math.exp(-event.deltaY * lines / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    divider.addEventListener("pointerdown", (event) => {
      divider.setPointerCapture(event.pointerId);
      divider.focus();
      event.preventDefault();
    });
    divider.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      if (divider.hasPointerCapture(event.pointerId)) {
        this.divide((event.clientX - box.left) / box.width);
      } else {
        this.point(event.clientX - box.left, event.clientY - box.top);
      }
    });
    divider.addEventListener("keydown", (event) => {
      const steps = {
        ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02,
        PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1,
      };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.divide(this.split + steps[event.key]);
    });
    this.find(".in").addEventListener("click", () => this.zoom(STEP * STEP));
    this.find(".out").addEventListener("click", () => this.zoom(1 / STEP / STEP));
    this.find(".fit").addEventListener("click", () => this.fit());
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.point(event.offsetX, event.offsetY);
  }

  move(event) {
    const now = [event.offsetX, event.offsetY];
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      this.point(...now);
      return;
    }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (others.length) {
      const fixed = others[0][1];
      const span = (at) => Math.hypot(at[0] - fixed[0], at[1] - fixed[1]);
      this.zoom(span(now) / (span(before) || 1), (fixed[0] + now[0]) / 2, (fixed[1] + now[1]) / 2);
    }
    const share = others.length ? 0.5 : 1;
    this.pan((before[0] - now[0]) * share, (before[1] - now[1]) * share);
    this.point(...now);
  }

  key(event) {
    const far = 60;
    const pans = {
      ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far],
    };
    if (event.key in pans) this.pan(...pans[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-" || event.key === "_") this.zoom(1 / STEP);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
    this.point(this.wide / 2, this.high / 2);
  }

  /** Size the canvas for the screen; the first time, show the whole scene. */
  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const fitted = this.scale === undefined || this.scale === this.least;
    [this.wide, this.high] = [box.width, box.height];
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * this.ratio);
    this.canvas.height = Math.round(box.height * this.ratio);
    const first = this.scale === undefined;
    if (fitted) this.fit();
    else this.pan(0, 0);
    // A long scene begins larger, as the whole of it would be a thin strip.
    const cover = Math.max(this.wide / this.width, this.high / this.height);
    if (first && cover > 3 * this.least) this.zoom(Math.sqrt(cover / this.least));
  }

  get least() {
    return Math.min(this.wide / this.width, this.high / this.height, NEAREST);
  }

  fit() {
    this.scale = this.least;
    this.left = this.top = 0;
    this.pan(0, 0);
  }

  /** Zoom by a factor; the pixel at x, y stays where it is. */
  zoom(factor, x = this.wide / 2, y = this.high / 2) {
    const former = this.scale;
    this.scale = Math.min(Math.max(former * factor, this.least), Math.max(NEAREST, this.least));
    this.left += x / former - x / this.scale;
    this.top += y / former - y / this.scale;
    this.pan(0, 0);
  }

  /** Move by screen pixels; the scene stays on the canvas, or in its middle if it is smaller. */
  pan(x, y) {
    const within = (start, size, room) => (size <= room
      ? (size - room) / 2
      : Math.min(Math.max(start, 0), size - room));
    this.left = within(this.left + x / this.scale, this.width, this.wide / this.scale);
    this.top = within(this.top + y / this.scale, this.height, this.high / this.scale);
    this.redraw();
  }

  divide(share) {
    this.split = Math.min(Math.max(share, 0), 1);
    this.redraw();
  }

  /** Show the values of the pixel at x, y on the canvas. */
  point(x, y) {
    const clamp = (value, size) => Math.min(Math.max(Math.floor(value), 0), size - 1);
    this.place = {
      row: clamp(this.top + y / this.scale, this.height),
      col: clamp(this.left + x / this.scale, this.width),
    };
    for (const layer of this.layers.values()) layer.load();
    this.redraw();
  }

  redraw() {
    if (this.frame || this.scale === undefined) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      this.label();
      this.read();
    });
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const middle = Math.round(width * this.split);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.chosen.forEach((layer, side) => {
      pen.save();
      pen.beginPath();
      pen.rect(side ? middle : 0, 0, side ? width - middle : middle, height);
      pen.clip();
      this.paint(pen, layer);
      pen.restore();
    });
  }

  /** Draw the visible tiles of a layer over its whole picture. */
  paint(pen, layer) {
    const zoom = this.scale * this.ratio;
    const edge = (value, start) => Math.round((value - start) * zoom);
    const place = (image, x, y, right, bottom) => {
      const [a, b] = [edge(x, this.left), edge(y, this.top)];
      pen.drawImage(image, a, b, edge(right, this.left) - a, edge(bottom, this.top) - b);
    };
    const { sizes, tile } = this.facts;
    const coarsest = sizes.length - 1;
    const wanted = Math.min(Math.max(Math.floor(-Math.log2(zoom) + 0.01), 0), coarsest);
    // Enlarged pixels keep their edges; so do classes, whose colors have no mean.
    pen.imageSmoothingEnabled = zoom < 1 && !(layer.facts.classes && zoom > 0.5);
    if (layer.whole.complete && layer.whole.naturalWidth) {
      const full = 2 ** coarsest;
      pen.save();
      pen.beginPath();
      pen.rect(
        edge(0, this.left), edge(0, this.top), Math.round(this.width * zoom),
        Math.round(this.height * zoom),
      );
      pen.clip();
      place(layer.whole, 0, 0, layer.whole.naturalWidth * full, layer.whole.naturalHeight * full);
      pen.restore();
    }
    for (let level = coarsest - 1; level >= wanted; level -= 1) {
      const side = tile * 2 ** level;
      const [rows, cols] = sizes[level];
      const last = (start, room, size) => Math.min(
        Math.floor((start + room / this.scale) / side), Math.ceil(size / tile) - 1,
      );
      const bottom = last(this.top, this.high, rows);
      const right = last(this.left, this.wide, cols);
      for (let row = Math.max(Math.floor(this.top / side), 0); row <= bottom; row += 1) {
        for (let col = Math.max(Math.floor(this.left / side), 0); col <= right; col += 1) {
          // Coarser tiles only stand in until the wanted ones are decoded.
          const image = level === wanted || layer.images.get(`${level}/${row}/${col}`)
            ? layer.tile(`${level}/${row}/${col}`) : null;
          if (image) {
            const [x, y] = [col * side, row * side];
            place(
              image, x, y, Math.min(x + image.naturalWidth * 2 ** level, this.width),
              Math.min(y + image.naturalHeight * 2 ** level, this.height),
            );
          }
        }
      }
    }
  }

  label() {
    const percent = Math.round(this.split * 100);
    const [left, right] = this.chosen.map((layer) => layer.facts.title);
    this.divider.style.left = `${this.split * 100}%`;
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `${left} ${percent} %, ${right} ${100 - percent} %`);
    this.canvas.setAttribute("aria-label", `${left} on the left of the divider, ${right} on the right`);
    this.find(".tag-left").textContent = left;
    this.find(".tag-right").textContent = right;
    this.find(".tag-left").hidden = this.split < 0.12;
    this.find(".tag-right").hidden = this.split > 0.88;
    const zoom = this.scale * 100;
    this.find(".scale").textContent = `${zoom < 10 ? zoom.toPrecision(2) : Math.round(zoom)}%`;
  }

  /** Write coordinates and values of the pixel under the pointer. */
  read() {
    const { row, col } = this.place;
    const { affine, crs, digits, step } = this.facts;
    this.find(".pixel").textContent = `column ${col}, row ${row}`;
    const [a, b, c, d, e, f] = affine;
    const [x, y] = [a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f];
    this.find(".crs").textContent = crs || "Coordinates";
    this.find(".xy").textContent = `${x.toFixed(digits)}, ${y.toFixed(digits)}`;
    const degrees = this.degrees(row + 0.5, col + 0.5);
    this.find(".geographic").hidden = !degrees;
    if (degrees) this.find(".lonlat").textContent = degrees.map((each) => each.toFixed(6)).join(", ");
    // Values are known at every n-th pixel.
    const near = (value, size) => Math.min(Math.round(value / step), Math.ceil(size / step) - 1);
    const [i, j] = [near(row, this.height), near(col, this.width)];
    this.find(".at").textContent = step > 1 ? ` of column ${j * step}, row ${i * step}` : "";
    this.values(i, j);
  }

  values(row, col) {
    const found = new Map();
    for (const [key, layer] of this.layers) {
      if (layer.facts.values) found.set(key, layer.at(row, col));
    }
    const [ours, theirs] = [found.get("translation"), found.get("truth")];
    if (this.layers.has("error") && !found.has("error")) {
      const known = ours && theirs;
      found.set("error", known ? ours.map((value, band) => value - theirs[band]) : ours && theirs);
    }
    const bands = Math.max(...[...this.layers.values()].map((each) => each.facts.values?.bands || 1));
    const rows = [...found].map(([key, values]) => {
      const line = document.createElement("tr");
      line.dataset.layer = key;
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = this.layers.get(key).facts.title;
      line.append(head);
      const words = this.words(key, values);
      for (let band = 0; band < bands; band += 1) {
        const cell = document.createElement("td");
        cell.textContent = words[band] ?? "";
        line.append(cell);
      }
      return line;
    });
    this.find(".values thead th").colSpan = bands + 1;
    this.find(".values tbody").replaceChildren(...rows);
  }

  words(key, values) {
    if (values === undefined) return ["–"];
    if (values === null) return ["no data"];
    if (key === "error" && this.layers.get(key).facts.values) return values.map((wrong) => (wrong ? "wrong" : "right"));
    return values.map((value) => (key === "error" && value > 0 ? "+" : "") + shown(value));
  }

  /** Return longitude and latitude, interpolated in a lattice over the scene. */
  degrees(row, col) {
    const lattice = this.facts.lonlat;
    if (!lattice) return null;
    const cells = lattice.size - 1;
    const [v, u] = [row / this.height * cells, col / this.width * cells];
    const [i, j] = [Math.min(Math.floor(v), cells - 1), Math.min(Math.floor(u), cells - 1)];
    const between = (grid) => {
      const upper = grid[i][j] + (grid[i][j + 1] - grid[i][j]) * (u - j);
      const lower = grid[i + 1][j] + (grid[i + 1][j + 1] - grid[i + 1][j]) * (u - j);
      return upper + (lower - upper) * (v - i);
    };
    const lon = between(lattice.lon);
    return [lon - 360 * Math.floor((lon + 180) / 360), between(lattice.lat)];
  }
}

for (const root of document.querySelectorAll(".viewer")) {
  const scene = root.closest(".scene");
  scene.classList.add("live");
  root.hidden = false;
  scene.querySelector(".legends").hidden = false;
  const start = (entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    const facts = JSON.parse(document.getElementById(`viewer-${root.dataset.scene}`).textContent);
    root.viewer = new Viewer(root, scene.querySelector(".stills"), facts);
  };
  new IntersectionObserver(start, { rootMargin: "400px" }).observe(root);
}
