"use strict";

const DELAY = 120; // milliseconds after the last stroke until it is translated
const MOST_UNDO = 30;
const canvas = document.getElementById("canvas");
const output = document.getElementById("output");
const context = canvas.getContext("2d", { willReadFrequently: true });
const past = [];
let model = null;
let tool = "brush";
let colour = "#000000";
let background = "#ffffff";
let stroke = null;
let timer = null;
let running = false;
let again = false;
let cursor = { x: 0.5, y: 0.5 };

const element = (name) => document.getElementById(name);

/** Asks for the model in use; a new one clears nothing, but translates the drawing again. */
async function loadModel() {
  const response = await fetch("/api/model");
  if (!response.ok) return;
  const described = await response.json();
  if (!described.commit) {
    element("model").textContent = `No model can be used yet: ${described.problem || "commit pairs to training first"}.`;
    return;
  }
  const first = model === null;
  model = described;
  element("model").textContent = `Model ${model.commit.slice(0, 12)}, trained on pictures of ${model.width} by ${model.height} pixels.`;
  if (first) prepare();
  translate();
}

function prepare() {
  for (const surface of [canvas, output]) { surface.width = model.width; surface.height = model.height; }
  const colours = model.palette.length ? model.palette : ["#000000", "#ffffff"];
  background = model.palette.length ? model.palette[0] : "#ffffff";
  colour = model.palette.length > 1 ? model.palette[1] : "#000000";
  element("width").value = Math.max(1, Math.round(model.width / 64));
  element("palette").replaceChildren(...colours.map(swatch));
  clear();
}

function swatch(value) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.background = value;
  button.title = value;
  button.setAttribute("aria-label", `colour ${value}`);
  button.setAttribute("aria-pressed", String(value === colour));
  button.addEventListener("click", () => {
    colour = value;
    for (const other of element("palette").children) other.setAttribute("aria-pressed", String(other === button));
    if (tool === "eraser") choose("brush");
  });
  return button;
}

function choose(name) {
  tool = name;
  for (const each of ["brush", "rectangle", "eraser"]) element(each).setAttribute("aria-pressed", String(each === name));
}

function remember() {
  past.push(context.getImageData(0, 0, canvas.width, canvas.height));
  if (past.length > MOST_UNDO) past.shift();
}

function clear() {
  context.fillStyle = background;
  context.fillRect(0, 0, canvas.width, canvas.height);
}

function position(event) {
  const box = canvas.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width * canvas.width, y: (event.clientY - box.top) / box.height * canvas.height };
}

/** Draws a line without smoothing, since a label map must not get colours in between. */
function line(from, to) {
  const width = Number(element("width").value);
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
  context.fillStyle = tool === "eraser" ? background : colour;
  for (let i = 0; i <= steps; i += 1) {
    const x = Math.round(from.x + (to.x - from.x) * i / steps - width / 2);
    const y = Math.round(from.y + (to.y - from.y) * i / steps - width / 2);
    context.fillRect(x, y, width, width);
  }
}

function rectangle(from, to) {
  context.putImageData(past[past.length - 1], 0, 0);
  context.fillStyle = colour;
  const x = Math.round(Math.min(from.x, to.x));
  const y = Math.round(Math.min(from.y, to.y));
  context.fillRect(x, y, Math.round(Math.abs(to.x - from.x)), Math.round(Math.abs(to.y - from.y)));
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  remember();
  stroke = { start: position(event), last: position(event) };
  if (tool !== "rectangle") line(stroke.last, stroke.last);
  changed();
});

canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  const now = position(event);
  if (tool === "rectangle") rectangle(stroke.start, now); else line(stroke.last, now);
  stroke.last = now;
  changed();
});

for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { stroke = null; });

canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const at = { x: cursor.x * canvas.width, y: cursor.y * canvas.height };
  if (event.key === " ") {
    remember();
    line(at, at);
  } else if (event.key in moves) {
    const step = event.ctrlKey ? 8 : 2;
    const to = {
      x: Math.min(canvas.width, Math.max(0, at.x + moves[event.key][0] * step)),
      y: Math.min(canvas.height, Math.max(0, at.y + moves[event.key][1] * step)),
    };
    if (event.shiftKey) line(at, to);
    cursor = { x: to.x / canvas.width, y: to.y / canvas.height };
  } else {
    return;
  }
  event.preventDefault();
  changed();
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undo(); }
});

function undo() {
  if (past.length) { context.putImageData(past.pop(), 0, 0); changed(); }
}

/** Translates a while after the last change; one request at a time, the newest drawing next. */
function changed() {
  clearTimeout(timer);
  timer = setTimeout(translate, DELAY);
}

async function translate() {
  if (!model) return;
  if (running) { again = true; return; }
  running = true;
  try {
    const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const response = await send("/api/translate", { body: picture, headers: { "content-type": "image/png", accept: "image/png" } });
    const commit = response.headers.get("x-model-commit");
    const blob = await response.blob();
    const bitmap = await createImageBitmap(blob);
    output.getContext("2d").drawImage(bitmap, 0, 0, output.width, output.height);
    element("made").textContent = `translation by model ${commit.slice(0, 12)}`;
    output.dataset.commit = commit;
    const save = element("save");
    if (save.href.startsWith("blob:")) URL.revokeObjectURL(save.href);
    save.href = URL.createObjectURL(blob);
  } catch (error) {
    element("made").textContent = error.message;
  } finally {
    running = false;
    if (again) { again = false; translate(); }
  }
}

/** Puts a picture on the canvas, scaled to cover it. */
async function show(source) {
  try {
    const picture = source instanceof Blob ? await createImageBitmap(source) : source;
    const width = picture.videoWidth || picture.width;
    const height = picture.videoHeight || picture.height;
    const scale = Math.max(canvas.width / width, canvas.height / height);
    remember();
    context.imageSmoothingEnabled = !(model && model.labels);
    context.drawImage(picture, (canvas.width - width * scale) / 2, (canvas.height - height * scale) / 2, width * scale, height * scale);
    translate();
  } catch {
    announce("This browser cannot read the picture; upload it instead.");
  }
}

element("brush").addEventListener("click", () => choose("brush"));
element("rectangle").addEventListener("click", () => choose("rectangle"));
element("eraser").addEventListener("click", () => choose("eraser"));
element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", () => { remember(); clear(); changed(); });
element("open").addEventListener("change", (event) => { if (event.target.files[0]) show(event.target.files[0]); });
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((candidate) => candidate.type.startsWith("image/"));
  if (file) show(file);
});
canvas.addEventListener("dragover", (event) => event.preventDefault());
canvas.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
});

element("camera").addEventListener("click", async () => {
  const video = element("video");
  try {
    if (!video.srcObject) {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.hidden = false;
      await video.play();
      element("camera").textContent = "Take the picture";
      return;
    }
    await show(video);
  } catch (error) {
    announce(`The camera cannot be used: ${error.message}`);
  }
  for (const track of video.srcObject ? video.srcObject.getTracks() : []) track.stop();
  video.srcObject = null;
  video.hidden = true;
  element("camera").textContent = "Camera";
});

if (element("commit")) {
  element("commit").addEventListener("click", async () => {
    try {
      const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      const added = await (await send("/api/pictures", { body: picture })).json();
      element("made").textContent = `committed as ${added.path} in ${added.commit.slice(0, 12)}`;
    } catch (error) {
      announce(error.message);
    }
  });
}

document.addEventListener("state", (event) => {
  if (event.detail.model && (!model || event.detail.model !== model.commit)) loadModel();
});
loadModel();
