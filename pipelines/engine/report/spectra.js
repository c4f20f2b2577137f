"use strict";
window.addEventListener("load", () => {
  for (const root of document.querySelectorAll("[data-spectra]")) {
    spectra(root, JSON.parse(root.dataset.spectra));
  }
});

function spectra(root, about) {
  const [bands, lines, samples] = about.shape;
  const pixels = lines * samples;
  const sheets = {};
  root.querySelectorAll("[data-sheet]").forEach((image, k) => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [pixels, bands];
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    sheets[about.sheets[k]] = context.getImageData(0, 0, pixels, bands).data;
  });
  const stage = root.querySelector(".stage");
  const [across, down] = stage.querySelectorAll(".cross");
  const canvas = root.querySelector("canvas");
  const told = root.querySelector("output");
  const controls = root.querySelector(".controls");
  const state = { line: lines >> 1, sample: samples >> 1, band: bands >> 1, held: false };
  const digits = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–");

  const label = document.createElement("label");
  const words = document.createElement("span");
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: bands - 1, step: 1, value: state.band });
  label.append(words, slider);
  controls.append(label);
  slider.addEventListener("input", () => { state.band = Number(slider.value); draw(); });
  const legend = document.createElement("p");
  legend.className = "key";
  const entries = [["before", "#8fb8de", ""], ["estimate", "#f0a35e", ""]];
  if (sheets.deviation) entries.push(["90 % interval", "#f0a35e", "pale"]);
  for (const mark of about.marks) entries.push([mark.title, mark.colour, "dot"]);
  for (const [name, colour, kind] of entries) {
    const swatch = document.createElement("i");
    swatch.style.background = colour;
    swatch.className = kind;
    const entry = document.createElement("span");
    entry.append(swatch, document.createTextNode(name));
    legend.append(entry);
  }
  controls.append(legend);

  // Values of a pixel in all bands; NaN where absent.
  function at(line, sample) {
    const { low, high, away, deviation } = about.scales;
    const out = { before: [], estimate: [], half: [], flags: [] };
    for (let band = 0; band < bands; band += 1) {
      const place = 4 * (band * pixels + line * samples + sample);
      const code = sheets.estimate[place];
      const shown = low[band] + (high[band] - low[band]) * (code - 1) / 254;
      const k = sheets.before[place];
      const root2 = (k - 128) / 127;
      out.estimate.push(code ? shown : NaN);
      out.before.push(k ? shown + away[band] * Math.sign(root2) * root2 ** 2 : NaN);
      const d = sheets.deviation ? sheets.deviation[place] : 0;
      out.half.push(d ? about.interval * deviation[band] * ((d - 1) / 254) ** 2 : NaN);
      out.flags.push(sheets.flags ? sheets.flags[place] : 0);
    }
    return out;
  }

  function limits(values) {
    const inner = values.estimate.flatMap((v, k) =>
      [v - (values.half[k] || 0), v + (values.half[k] || 0)]).filter(Number.isFinite);
    const other = values.before.filter(Number.isFinite).sort((a, b) => a - b);
    const part = (share) => other[Math.round(share * (other.length - 1))];
    const all = [...inner, part(0.02), part(0.98)].filter(Number.isFinite);
    if (!all.length) return [0, 1];
    const least = Math.min(...all), most = Math.max(...all);
    const margin = 0.06 * (most - least) || 1;
    return [least - margin, most + margin];
  }

  function ticks(low, high, count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
    const out = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) out.push(v);
    return out;
  }

  function draw() {
    const values = at(state.line, state.sample);
    const share = window.devicePixelRatio || 1;
    const wide = canvas.clientWidth || 560, high = 300;
    canvas.width = wide * share;
    canvas.height = high * share;
    const c = canvas.getContext("2d");
    c.scale(share, share);
    c.fillStyle = "#0d1013";
    c.fillRect(0, 0, wide, high);
    const box = { left: 62, top: 12, right: wide - 14, bottom: high - 44 };
    const x = about.x;
    const [x0, x1] = [Math.min(...x), Math.max(...x)];
    const [y0, y1] = limits(values);
    const px = (v) => box.left + (v - x0) / (x1 - x0 || 1) * (box.right - box.left);
    const py = (v) => box.bottom - (v - y0) / (y1 - y0) * (box.bottom - box.top);
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = c.strokeStyle = "#c9d1d9";
    c.lineWidth = 1;
    c.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    c.textAlign = "center";
    for (const v of ticks(x0, x1, 5)) c.fillText(digits4(v), px(v), box.bottom + 15);
    c.fillText(about.xLabel, (box.left + box.right) / 2, high - 8);
    c.textAlign = "right";
    for (const v of ticks(y0, y1, 5)) c.fillText(digits(v), box.left - 6, py(v) + 4);
    c.save();
    c.translate(12, (box.top + box.bottom) / 2);
    c.rotate(-Math.PI / 2);
    c.textAlign = "center";
    c.fillText(about.yLabel, 0, 0);
    c.restore();
    c.save();
    c.beginPath();
    c.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    c.clip();
    const order = x.map((_, k) => k).sort((a, b) => x[a] - x[b]);
    if (sheets.deviation) {
      c.strokeStyle = "#f0a35e77";
      const gap = (box.right - box.left) / bands;
      c.lineWidth = Math.max(1.5, gap);
      for (const k of order) {
        if (!Number.isFinite(values.estimate[k] + values.half[k])) continue;
        c.beginPath();
        c.moveTo(px(x[k]), py(values.estimate[k] - values.half[k]));
        c.lineTo(px(x[k]), py(values.estimate[k] + values.half[k]));
        c.stroke();
      }
    }
    curve(values.before, "#8fb8de", 1);
    curve(values.estimate, "#f0a35e", 1.8);
    for (const k of order) {
      about.marks.forEach((mark, i) => {
        if (!(values.flags[k] & mark.bit)) return;
        c.fillStyle = mark.colour;
        c.fillRect(px(x[k]) - 1.5, box.bottom - 7 - 7 * i, 3, 6);
      });
    }
    c.strokeStyle = "#ffffff88";
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(px(x[state.band]), box.top);
    c.lineTo(px(x[state.band]), box.bottom);
    c.stroke();
    c.restore();

    function curve(ys, colour, width) {
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.beginPath();
      let pen = false;
      for (const k of order) {
        if (!Number.isFinite(ys[k])) { pen = false; continue; }
        if (pen) c.lineTo(px(x[k]), py(ys[k])); else c.moveTo(px(x[k]), py(ys[k]));
        pen = true;
      }
      c.stroke();
    }
    canvas.toBand = (u) => {
      const want = x0 + (u * wide - box.left) / (box.right - box.left) * (x1 - x0);
      return order.reduce((a, b) => (Math.abs(x[b] - want) < Math.abs(x[a] - want) ? b : a));
    };
    say(values);
  }

  function digits4(value) { return Number(value.toPrecision(4)).toString(); }

  function say(values) {
    const k = state.band;
    const place = about.xLabel === "band" ? `Band ${k + 1}`
      : `Band ${k + 1} (${about.xLabel.split(" / ")[0]} ${digits4(about.x[k])} ${
        about.xLabel.split(" / ")[1] ?? ""})`;
    const parts = [`before ${digits(values.before[k])}`, `estimate ${digits(values.estimate[k])}`];
    if (Number.isFinite(values.half[k])) {
      parts.push(`90 % interval ${digits(values.estimate[k] - values.half[k])} to ${
        digits(values.estimate[k] + values.half[k])}`);
    }
    const flags = about.marks.filter((mark) => values.flags[k] & mark.bit).map((mark) => mark.title);
    if (flags.length) parts.push(`flags: ${flags.join(", ")}`);
    const pixel = `Line ${about.lines[state.line]}, sample ${about.samples[state.sample]}`;
    words.textContent = place;
    slider.value = k;
    slider.setAttribute("aria-valuetext", `${place}: ${parts.join(", ")}`);
    told.textContent = `${pixel}. ${place}: ${parts.join(", ")}.`;
    canvas.setAttribute("aria-label", `Spectrum of ${pixel.toLowerCase()}`);
    const share = (value, size) => `${100 * (value + 0.5) / size}%`;
    across.style.top = share(about.lines[state.line], about.size[0]);
    down.style.left = share(about.samples[state.sample], about.size[1]);
  }

  const nearest = (places, value) => places.reduce(
    (best, v, k) => (Math.abs(v - value) < Math.abs(places[best] - value) ? k : best), 0);

  function choose(event) {
    const area = stage.getBoundingClientRect();
    state.line = nearest(about.lines, (event.clientY - area.top) / area.height * about.size[0] - 0.5);
    state.sample = nearest(about.samples,
      (event.clientX - area.left) / area.width * about.size[1] - 0.5);
    draw();
  }
  // A click keeps the pixel, so that its spectrum can be read; another click lets it go.
  stage.addEventListener("pointermove", (event) => { if (!state.held) choose(event); });
  stage.addEventListener("click", (event) => {
    state.held = !state.held;
    stage.classList.toggle("held", state.held);
    choose(event);
  });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const by = step[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    state.held = true;
    state.line = Math.min(lines - 1, Math.max(0, state.line + by[0]));
    state.sample = Math.min(samples - 1, Math.max(0, state.sample + by[1]));
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    const area = canvas.getBoundingClientRect();
    state.band = canvas.toBand((event.clientX - area.left) / area.width);
    draw();
  });
  window.addEventListener("resize", draw);
  root.hidden = false;
  draw();
}
