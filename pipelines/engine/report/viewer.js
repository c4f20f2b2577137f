"use strict";
// All images are in the page: they are there when it is.
window.addEventListener("load", () => {
  for (const root of document.querySelectorAll("[data-viewer]")) {
    start(root, JSON.parse(root.dataset.viewer), [...root.querySelectorAll("img")]);
  }
});

function start(root, about, sprites) {
  const { rows, columns, labels, low, high } = about;
  const codes = sprites.map((image) => {
    const copy = document.createElement("canvas");
    copy.width = columns;
    copy.height = rows * labels.length;
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, copy.width, copy.height).data;
  });
  const canvas = root.querySelector("canvas");
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.aspectRatio = about.aspect;
  const context = canvas.getContext("2d");
  const frame = context.createImageData(columns, rows);
  // A line of the page, not of the canvas: as thin however large a pixel is.
  const edge = document.createElement("div");
  edge.className = "edge";
  canvas.after(edge);
  const controls = root.querySelector(".controls");
  const last = codes.length - 1;
  const state = { plane: labels.length >> 1, split: codes.length > 1 ? 50 : 100,
    left: 0, right: last, centre: 0, width: 1 };

  function field(label, input) {
    const box = document.createElement("label");
    const words = document.createElement("span");
    words.textContent = label;
    box.append(words, input);
    controls.append(box);
    return { words, input };
  }

  function range(label, minimum, maximum, value, change) {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: minimum, max: maximum, step: "any", value });
    const made = field(label, input);
    input.addEventListener("input", () => { change(Number(input.value)); draw(); });
    return made;
  }

  function choice(label, value, change) {
    const select = document.createElement("select");
    about.layers.forEach((title, k) => select.add(new Option(title, k, false, k === value)));
    field(label, select);
    select.addEventListener("change", () => { change(Number(select.value)); draw(); });
  }

  let plane = null;
  if (labels.length > 1) {
    plane = range("", 0, labels.length - 1, state.plane, (v) => { state.plane = v; });
    plane.input.step = 1;
  }
  if (codes.length > 1) {
    choice("Left", 0, (v) => { state.left = v; });
    choice("Right", last, (v) => { state.right = v; });
    range("Border between left and right", 0, 100, 50, (v) => { state.split = v; });
  }
  const span = high - low;
  const level = range("Level", low, high, 0, (v) => { state.centre = v; });
  const width = range("Window", span / 255, span, span, (v) => { state.width = v; });
  const names = Object.entries(about.presets);
  if (names.length > 1) {
    const box = document.createElement("div");
    for (const [name, ends] of names) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => { preset(ends); draw(); });
      box.append(button);
    }
    controls.append(box);
  }

  function preset([black, white]) {
    state.centre = (black + white) / 2;
    state.width = white - black;
  }

  function draw() {
    const black = state.centre - state.width / 2;
    const grey = Uint8ClampedArray.from({ length: 256 }, (_, c) => {
      const share = (low + c * span / 255 - black) / state.width;
      return 255 * (about.inverse ? 1 - share : share);
    });
    const border = Math.round(columns * state.split / 100);
    const from = state.plane * rows * columns;
    for (let i = 0; i < rows * columns; i += 1) {
      const layer = codes[i % columns < border ? state.left : state.right];
      frame.data.fill(grey[layer[4 * (from + i)]], 4 * i, 4 * i + 3);
      frame.data[4 * i + 3] = 255;
    }
    context.putImageData(frame, 0, 0);
    edge.hidden = !(codes.length > 1 && border > 0 && border < columns);
    edge.style.left = `${100 * border / columns}%`;
    level.input.value = state.centre;
    width.input.value = state.width;
    level.words.textContent = `Level ${digits(state.centre)} ${about.unit}`;
    width.words.textContent = `Window ${digits(state.width)} ${about.unit}`;
    if (plane) {
      plane.input.value = state.plane;
      plane.words.textContent = labels[state.plane];
      plane.input.setAttribute("aria-valuetext", labels[state.plane]);
    }
  }

  function digits(value) {
    return Number(value.toPrecision(3)).toString();
  }

  canvas.addEventListener("wheel", (event) => {
    if (!plane) return;
    event.preventDefault();
    const next = state.plane + Math.sign(event.deltaY);
    state.plane = Math.min(labels.length - 1, Math.max(0, next));
    draw();
  }, { passive: false });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const step = span / canvas.clientWidth / 2;
    state.width = Math.min(span, Math.max(span / 255, state.width + event.movementX * step));
    state.centre = Math.min(high, Math.max(low, state.centre + event.movementY * step));
    draw();
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  preset(about.window);
  draw();
  root.hidden = false;
}
