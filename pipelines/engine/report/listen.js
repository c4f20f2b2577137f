"use strict";
// One recording at a time, and all at one place: what is chosen goes on where the other one was.
window.addEventListener("load", () => {
  for (const root of document.querySelectorAll("[data-listen]")) {
    listen(root, [...root.querySelectorAll("audio")]);
  }
});

function listen(root, players) {
  const bar = root.querySelector("[data-switch]");
  let heard = 0;

  const buttons = players.map((player, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = player.getAttribute("aria-label");
    button.addEventListener("click", () => choose(k));
    bar.append(button);
    return button;
  });

  function mark() {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === heard)));
  }

  function choose(k) {
    if (k === heard) return;
    const before = players[heard];
    const playing = !before.paused;
    before.pause();
    players[k].currentTime = before.currentTime;
    heard = k;
    mark();
    if (playing) players[k].play();
  }

  players.forEach((player, k) => {
    // A player's own button may start another one: then that one is heard from there.
    player.addEventListener("play", () => {
      players.forEach((other) => { if (other !== player) other.pause(); });
      heard = k;
      mark();
    });
    player.addEventListener("seeked", () => {
      if (k !== heard) return;
      players.forEach((other) => {
        const apart = Math.abs(other.currentTime - player.currentTime);
        if (other !== player && apart > 0.02) other.currentTime = player.currentTime;
      });
    });
  });
  mark();
  bar.hidden = false;
}
