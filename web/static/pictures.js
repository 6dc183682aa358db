"use strict";

/** Loads the next page of the grid when the reader comes near its end. */
const grid = document.getElementById("pictures");
const observer = new IntersectionObserver(async (entries) => {
  for (const entry of entries.filter((candidate) => candidate.isIntersecting)) {
    observer.unobserve(entry.target);
    const response = await fetch(entry.target.dataset.fragment);
    if (!response.ok) continue;
    entry.target.insertAdjacentHTML("afterend", await response.text());
    entry.target.remove();
    watch();
  }
}, { rootMargin: "1200px" });

function watch() {
  const more = grid.querySelector(".more");
  if (more) observer.observe(more);
}

watch();
