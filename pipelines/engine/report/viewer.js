"use strict";
// All images are in the page: they are there when it is.
window.addEventListener("load", () => {
  for (const root of document.querySelectorAll("[data-viewer]")) {
    explore(root, JSON.parse(root.dataset.viewer), [...root.querySelectorAll("img")]);
  }
});

// The codes of a volume from its picture, whose tiles are the planes.
function volumeOf(image, [planes, rows, columns], across) {
  const copy = document.createElement("canvas");
  copy.width = columns * across;
  copy.height = rows * Math.ceil(planes / across);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
  const codes = new Uint8Array(planes * rows * columns);
  for (let plane = 0, to = 0; plane < planes; plane += 1) {
    const top = Math.floor(plane / across) * rows;
    const left = (plane % across) * columns;
    for (let row = 0; row < rows; row += 1) {
      let from = 4 * ((top + row) * copy.width + left);
      for (let column = 0; column < columns; column += 1, to += 1, from += 4) {
        codes[to] = pixels[from];
      }
    }
  }
  return codes;
}

function explore(root, about, images) {
  const { shape, scales, layers, overlays, views } = about;
  for (const scale of scales) [scale.low, scale.high] = [scale.levels[0], scale.levels[255]];
  const volumes = images.map((image) => volumeOf(image, shape, about.across));
  const heat = Uint8Array.from(atob(about.heat), (c) => c.charCodeAt(0));
  const strides = [shape[1] * shape[2], shape[2], 1];
  const stages = root.querySelector(".stages");
  const controls = root.querySelector(".controls");
  const last = layers.length - 1;
  const state = { place: [...about.start], split: last > 0 ? 50 : 100, left: 0, right: last,
    opacity: 0.75, cross: false, shown: overlays.map((o) => o.shown),
    windows: scales.map(({ window: [a, b] }) => ({ centre: (a + b) / 2, width: b - a })) };
  const digits = (value) => Number(value.toPrecision(3)).toString();
  const named = (number, unit) => `${digits(number)} ${unit}`.trim();

  function field(label, input, host = controls) {
    const box = document.createElement("label");
    const words = document.createElement("span");
    words.textContent = label;
    box.append(words, input);
    host.append(box);
    return { box, words, input };
  }

  function range(label, minimum, maximum, value, change, host) {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: minimum, max: maximum, step: "any", value });
    const made = field(label, input, host);
    input.addEventListener("input", () => { change(Number(input.value)); draw(); });
    return made;
  }

  function press(label, act, host) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", act);
    host.append(button);
    return button;
  }

  function check(label, value, change) {
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", checked: value });
    const box = document.createElement("label");
    box.className = "check";
    box.append(input, document.createTextNode(` ${label}`));
    input.addEventListener("change", () => { change(input.checked); draw(); });
    return box;
  }

  function choice(label, value, change) {
    const select = document.createElement("select");
    layers.forEach(({ title }, k) => select.add(new Option(title, k, false, k === value)));
    field(label, select);
    select.addEventListener("change", () => { change(Number(select.value)); draw(); });
  }

  const faces = views.map(face);
  stages.classList.toggle("many", views.length > 1);
  stages.closest(".bench").classList.toggle("many", views.length > 1);

  function face(view) {
    const axes = [0, 1, 2].filter((k) => k !== view.axis);
    const [rows, columns] = axes.map((k) => shape[k]);
    const box = document.createElement("div");
    box.className = "face";
    const area = document.createElement("div");
    area.className = "stage";
    area.tabIndex = 0;
    area.setAttribute("role", "group");
    const content = document.createElement("div");
    content.className = "copy";
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: columns, height: rows });
    canvas.style.aspectRatio = view.aspect;
    canvas.setAttribute("role", "img");
    content.append(canvas);
    // Lines of the page, not of the canvas: as thin however large a pixel is.
    const line = (name) => {
      const one = document.createElement("div");
      one.className = name;
      content.append(one);
      return one;
    };
    const lines = { edge: line("edge"), across: line("cross row"), down: line("cross column") };
    area.append(content);
    for (const [side, letter] of Object.entries(view.letters ?? {})) {
      const mark = document.createElement("span");
      mark.className = `letter ${side}`;
      mark.textContent = letter;
      area.append(mark);
    }
    if (views.length > 1) {
      const title = document.createElement("h3");
      title.textContent = view.name;
      box.append(title);
    }
    box.append(area);
    stages.append(box);
    let plane = null;
    if (view.labels.length > 1) {
      plane = range("", 0, view.labels.length - 1, state.place[view.axis],
        (v) => { state.place[view.axis] = v; }, box);
      plane.input.step = 1;
    }
    const context = canvas.getContext("2d");
    return { view, axes, rows, columns, area, content, canvas, lines, plane, context,
      frame: context.createImageData(columns, rows),
      index: new Int32Array(rows * columns) };
  }

  if (about.moves) play(faces[0].plane);

  function play(plane) {
    if (!plane) return;
    const box = document.createElement("div");
    controls.append(box);
    let timer = null;
    const button = press("Play", () => {
      if (timer) { clearInterval(timer); timer = null; } else {
        timer = setInterval(() => {
          state.place[0] = (state.place[0] + 1) % shape[0];
          draw();
        }, 1000 / about.moves);
      }
      button.textContent = timer ? "Pause" : "Play";
    }, box);
  }

  if (last > 0) {
    choice("Left", 0, (v) => { state.left = v; });
    choice("Right", last, (v) => { state.right = v; });
    range("Border between left and right", 0, 100, 50, (v) => { state.split = v; });
  }
  const bands = scales.map((scale, k) => {
    const span = scale.high - scale.low;
    const names = scales.length > 1
      ? layers.filter((l) => l.scale === k).map((l) => l.title).join(", ") : "";
    const level = range("Level", scale.low, scale.high, 0,
      (v) => { state.windows[k].centre = v; });
    const width = range("Window", span / 255, span, span, (v) => { state.windows[k].width = v; });
    const presets = Object.entries(scale.presets);
    const box = document.createElement("div");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `Windows ${names}`.trim());
    if (presets.length > 1) {
      for (const [name, [black, white]] of presets) {
        press(name, () => {
          state.windows[k] = { centre: (black + white) / 2, width: white - black };
          draw();
        }, box);
      }
      controls.append(box);
    }
    return { scale, span, names: names ? ` (${names})` : "", level, width, box };
  });

  const legends = overlays.map((overlay) => {
    const line = document.createElement("span");
    line.className = "legend";
    const swatch = document.createElement("i");
    if (overlay.colour) swatch.style.background = overlay.colour;
    else {
      const stops = [0, 36, 73, 109, 146, 182, 219, 255].map(
        (c) => `rgb(${heat[3 * c]} ${heat[3 * c + 1]} ${heat[3 * c + 2]})`);
      swatch.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
      swatch.className = "bar";
      line.append(document.createTextNode(digits(overlay.low)));
    }
    line.append(swatch);
    if (!overlay.colour) {
      line.append(document.createTextNode(named(overlay.high, overlay.unit)));
    }
    return line;
  });
  if (overlays.length || views.length > 1) {
    const box = document.createElement("fieldset");
    const title = document.createElement("legend");
    title.textContent = "Overlays";
    box.append(title);
    overlays.forEach((overlay, k) => {
      const line = document.createElement("div");
      line.append(check(overlay.title, state.shown[k], (on) => { state.shown[k] = on; }),
        legends[k]);
      box.append(line);
    });
    if (views.length > 1) box.append(check("Lines of the planes", state.cross,
      (on) => { state.cross = on; }));
    controls.append(box);
    if (overlays.length) {
      range("Opacity of overlays", 0, 1, state.opacity, (v) => { state.opacity = v; });
    }
  }
  const readout = document.createElement("output");
  readout.className = "readout";
  controls.append(readout);

  function table(k) {
    const { levels, inverse } = scales[k];
    const { centre, width } = state.windows[k];
    const black = centre - width / 2;
    return Uint8ClampedArray.from(levels, (value) => {
      const share = (value - black) / width;
      return 255 * (inverse ? 1 - share : share);
    });
  }

  function indices({ view, axes, rows, columns, index }) {
    const [down, right] = axes.map((k) => strides[k]);
    const start = state.place[view.axis] * strides[view.axis];
    for (let row = 0, i = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1, i += 1) {
        index[i] = start + row * down + column * right;
      }
    }
  }

  // Of a projection: where the largest value of its layer lies along each ray.
  function highest({ view, axes, rows, columns, index }) {
    const volume = volumes[view.projected];
    const [down, right] = axes.map((k) => strides[k]);
    const step = strides[view.axis];
    for (let row = 0, i = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1, i += 1) {
        let best = row * down + column * right;
        for (let k = 1, at = best + step; k < shape[view.axis]; k += 1, at += step) {
          if (volume[at] > volume[best]) best = at;
        }
        index[i] = best;
      }
    }
  }

  function draw() {
    const greys = scales.map((_, k) => table(k));
    const over = overlays.map((overlay, k) => ({ overlay, codes: volumes[layers.length + k], k }))
      .filter(({ k }) => state.shown[k]);
    for (const one of faces) paint(one, greys, over);
    bands.forEach(({ scale, names, level, width, box }, k) => {
      const { centre, width: wide } = state.windows[k];
      level.input.value = centre;
      width.input.value = wide;
      level.words.textContent = `Level ${named(centre, scale.unit)}${names}`;
      width.words.textContent = `Window ${named(wide, scale.unit)}${names}`;
      const used = [state.left, state.right].some((l) => layers[l].scale === k) ||
        views.some((v) => v.projected !== undefined && layers[v.projected].scale === k);
      for (const part of [level.box, width.box, box]) part.hidden = !used;
    });
    legends.forEach((legend, k) => { legend.hidden = !state.shown[k]; });
  }

  function paint(one, greys, over) {
    const { view, rows, columns, frame, canvas, lines, plane, index } = one;
    const fixed = view.projected;
    if (fixed === undefined) indices(one);
    else if (!one.done) { highest(one); one.done = true; }
    const border = fixed === undefined && last > 0 ? Math.round(columns * state.split / 100) : columns;
    const pair = fixed === undefined ? [state.left, state.right] : [fixed, fixed];
    const sides = pair.map((l) => [volumes[l], greys[layers[l].scale]]);
    const pixels = frame.data;
    for (let i = 0, column = 0; i < rows * columns; i += 1) {
      const side = column < border ? 0 : 1;
      const [codes, grey] = sides[side];
      const at = index[i];
      const value = grey[codes[at]];
      let red = value, green = value, blue = value;
      for (const { overlay, codes: laid } of over) {
        const code = laid[at];
        if (!code || (overlay.over !== null && overlay.over !== pair[side])) continue;
        if (overlay.colour) {
          const share = 0.6 * state.opacity * code / 255;
          const [r, g, b] = overlay.rgb ??= [1, 3, 5].map(
            (k) => parseInt(overlay.colour.slice(k, k + 2), 16));
          red += share * (r - red); green += share * (g - green); blue += share * (b - blue);
        } else {
          const share = state.opacity * (code / 255) ** 0.7;
          red += share * (heat[3 * code] - red);
          green += share * (heat[3 * code + 1] - green);
          blue += share * (heat[3 * code + 2] - blue);
        }
      }
      pixels[4 * i] = red;
      pixels[4 * i + 1] = green;
      pixels[4 * i + 2] = blue;
      pixels[4 * i + 3] = 255;
      column = column + 1 === columns ? 0 : column + 1;
    }
    one.context.putImageData(frame, 0, 0);
    lines.edge.hidden = !(border > 0 && border < columns);
    lines.edge.style.left = `${100 * border / columns}%`;
    const middles = one.axes.map((k) => 100 * (state.place[k] + 0.5) / shape[k]);
    lines.across.hidden = lines.down.hidden = !state.cross || views.length < 2;
    lines.across.style.top = `${middles[0]}%`;
    lines.down.style.left = `${middles[1]}%`;
    const label = plane ? view.labels[state.place[view.axis]] : view.name;
    const titles = [...new Set(pair)].map((l) => layers[l].title).join(" and ");
    canvas.setAttribute("aria-label", `${label}: ${titles}`);
    one.area.setAttribute("aria-label", `${label}: + and − zoom, arrows move or change the plane`);
    if (plane) {
      plane.input.value = state.place[view.axis];
      plane.words.textContent = label;
      plane.input.setAttribute("aria-valuetext", label);
    }
  }

  function turn(one, by) {
    if (!one.plane) return false;
    const { axis, labels } = one.view;
    state.place[axis] = Math.min(labels.length - 1, Math.max(0, state.place[axis] + by));
    draw();
    return true;
  }

  const host = document.createElement("div");
  stages.after(host);
  const where = zoomable(host, faces, { drags: (event) => event.shiftKey, words: "the images" });

  for (const one of faces) {
    const { area, view, axes, canvas } = one;
    let moved = 0;
    area.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (one.plane) event.preventDefault();
      turn(one, Math.sign(event.deltaY));
    }, { passive: false });
    area.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
      const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10,
        PageDown: 10 }[event.key];
      if (by && turn(one, by)) event.preventDefault();
    });
    canvas.addEventListener("pointerdown", (event) => {
      moved = 0;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const place = pointed(one, event);
      if (place) tell(one, place);
      if (!event.buttons || event.shiftKey) return;
      moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      const side = view.projected ?? (where(event, area)[0] < state.split / 100 || last === 0
        ? state.left : state.right);
      const k = layers[side].scale;
      const { low, high } = scales[k];
      const step = (high - low) / canvas.clientWidth / 2;
      const now = state.windows[k];
      now.width = Math.min(high - low,
        Math.max((high - low) / 255, now.width + event.movementX * step));
      now.centre = Math.min(high, Math.max(low, now.centre + event.movementY * step));
      draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (moved > 3 || event.shiftKey || views.length < 2) return;
      const place = pointed(one, event);
      if (!place) return;
      axes.forEach((k, i) => { state.place[k] = place[i]; });
      if (view.projected !== undefined) {
        const at = one.index[place[0] * one.columns + place[1]];
        state.place[view.axis] = Math.floor(at / strides[view.axis]) % shape[view.axis];
      }
      draw();
    });
  }

  function pointed(one, event) {
    const [u, v] = where(event, one.area);
    if (u < 0 || u >= 1 || v < 0 || v >= 1) return null;
    return [Math.floor(v * one.rows), Math.floor(u * one.columns)];
  }

  function tell(one, [row, column]) {
    const at = one.index[row * one.columns + column];
    const parts = layers.map(({ title, scale }, l) => {
      const { levels, unit } = scales[scale];
      const code = volumes[l][at];
      const sign = code === 0 ? "≤ " : code === 255 ? "≥ " : "";
      return `${title} ${sign}${named(levels[code], unit)}`;
    });
    overlays.forEach(({ title, low, high, unit, colour }, k) => {
      if (state.shown[k] && !colour) {
        const code = volumes[layers.length + k][at];
        parts.push(`${title} ${named(low + code * (high - low) / 255, unit)}`);
      }
    });
    readout.textContent = parts.join(", ");
  }

  draw();
  root.hidden = false;
}
