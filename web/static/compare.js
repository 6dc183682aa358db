"use strict";

const divider = document.getElementById("divider");
const difference = document.getElementById("difference");
const figures = document.querySelectorAll(".comparison");

if (divider) {
  divider.addEventListener("input", () => {
    for (const figure of figures) figure.style.setProperty("--divider", `${divider.value}%`);
  });
  difference.addEventListener("change", () => {
    for (const figure of figures) figure.classList.toggle("differing", difference.checked);
  });
}
