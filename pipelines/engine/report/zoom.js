"use strict";
// Zoom and pan of pictures that show one field of view: what one does, all do.
// areas: elements that cut off what reaches beyond them; each holds one element that is moved.
function zoomable(host, areas, { drags = () => true, words = "image" } = {}) {
  const state = { scale: 1, x: 0.5, y: 0.5 };
  const most = 12;

  const bar = document.createElement("div");
  bar.className = "zoom";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", `Zoom of ${words}`);
  const told = document.createElement("output");
  const button = (text, label, act) => {
    const one = document.createElement("button");
    one.type = "button";
    one.textContent = text;
    one.setAttribute("aria-label", label);
    one.title = label;
    one.addEventListener("click", act);
    bar.append(one);
    return one;
  };
  button("+", "Zoom in", () => zoom(1.5));
  button("−", "Zoom out", () => zoom(1 / 1.5));
  const back = button("Reset", "Reset the zoom", reset);
  bar.append(told);
  host.append(bar);

  function show() {
    const half = 0.5 / state.scale;
    state.x = Math.min(1 - half, Math.max(half, state.x));
    state.y = Math.min(1 - half, Math.max(half, state.y));
    for (const { area, content } of areas) {
      const x = 100 * state.scale * (0.5 - state.x);
      const y = 100 * state.scale * (0.5 - state.y);
      content.style.setProperty("--zoom", state.scale);
      content.style.transform = `translate(${x}%, ${y}%) scale(${state.scale})`;
      area.classList.toggle("zoomed", state.scale > 1);
    }
    told.textContent = `${state.scale.toFixed(1)}×`;
    back.disabled = state.scale === 1;
  }

  // The point (u, v) of an area, in shares of it, stays where it is.
  function zoom(factor, u = 0.5, v = 0.5) {
    const before = state.scale;
    state.scale = Math.min(most, Math.max(1, before * factor));
    state.x += (u - 0.5) * (1 / before - 1 / state.scale);
    state.y += (v - 0.5) * (1 / before - 1 / state.scale);
    show();
  }

  function reset() {
    Object.assign(state, { scale: 1, x: 0.5, y: 0.5 });
    show();
  }

  function move(u, v) {
    state.x -= u / state.scale;
    state.y -= v / state.scale;
    show();
  }

  const steps = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1],
    ArrowDown: [0, -0.1] };
  for (const { area } of areas) {
    area.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey || event.altKey)) return;
      event.preventDefault();
      const box = area.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, (event.clientX - box.left) / box.width,
        (event.clientY - box.top) / box.height);
    }, { passive: false });
    area.addEventListener("pointermove", (event) => {
      if (!event.buttons || state.scale === 1 || !drags(event)) return;
      move(event.movementX / area.clientWidth, event.movementY / area.clientHeight);
    });
    area.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "+" || event.key === "=") zoom(1.5);
      else if (event.key === "-" || event.key === "−") zoom(1 / 1.5);
      else if (event.key === "0") reset();
      else if (steps[event.key] && state.scale > 1) move(...steps[event.key]);
      else return;
      event.preventDefault();
    });
    area.addEventListener("dblclick", reset);
  }
  show();
  // Where a point of the screen lies, in shares of what is shown at scale 1.
  return (event, area) => {
    const box = area.getBoundingClientRect();
    return [state.x + ((event.clientX - box.left) / box.width - 0.5) / state.scale,
      state.y + ((event.clientY - box.top) / box.height - 0.5) / state.scale];
  };
}

// Panels: each picture holds its image, scales and colour bar; over the image lies a copy of it.
window.addEventListener("load", () => {
  for (const group of document.querySelectorAll("[data-zoom]")) {
    const areas = [];
    for (const figure of group.querySelectorAll("[data-frame]")) {
      const { frame: [left, top, width, height], letters } = JSON.parse(figure.dataset.frame);
      const picture = figure.querySelector("img");
      const holder = document.createElement("div");
      holder.className = "picture";
      picture.replaceWith(holder);
      const area = document.createElement("div");
      area.className = "lens";
      area.tabIndex = 0;
      area.setAttribute("role", "group");
      area.setAttribute("aria-label", `${picture.alt}: zoom with + and −, move with the arrows`);
      const percent = (share) => `${100 * share}%`;
      Object.assign(area.style, { left: percent(left), top: percent(top), width: percent(width),
        height: percent(height) });
      const copy = picture.cloneNode();
      copy.alt = "";
      copy.draggable = false;
      Object.assign(copy.style, { width: percent(1 / width), height: percent(1 / height),
        left: percent(-left / width), top: percent(-top / height) });
      const content = document.createElement("div");
      content.className = "copy";
      content.append(copy);
      area.append(content);
      for (const [side, letter] of Object.entries(letters ?? {})) {
        const mark = document.createElement("span");
        mark.className = `letter ${side}`;
        mark.textContent = letter;
        mark.setAttribute("aria-hidden", "true");
        area.append(mark);
      }
      holder.append(picture, area);
      areas.push({ area, content });
    }
    if (areas.length) zoomable(group.querySelector("[data-zoom-bar]"), areas,
      { words: group.dataset.zoom });
  }
});
