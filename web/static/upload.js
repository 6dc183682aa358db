"use strict";

const PREVIEWS = 60;
const form = document.getElementById("upload");
let chosen = new Map(); // path -> File

/** Reads a dropped folder, whose entries come in parts. */
async function walk(entry, prefix, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.set(prefix + file.name, file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return;
    for (const child of entries) await walk(child, `${prefix}${entry.name}/`, found);
  }
}

/** Leaves out the name of the folder itself, as `pix2pix put` does. */
function withoutFolder(path) {
  const slash = path.indexOf("/");
  return slash < 0 ? path : path.slice(slash + 1);
}

function choose(files) {
  chosen = files;
  const preview = document.getElementById("preview");
  for (const picture of preview.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
  preview.replaceChildren(...[...files].slice(0, PREVIEWS).map(([path, file]) => {
    const tile = document.createElement("div");
    tile.className = "tile";
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    const name = document.createElement("span");
    name.textContent = path;
    tile.append(picture, name);
    return tile;
  }));
  document.getElementById("send").disabled = !files.size;
  document.getElementById("result").textContent = files.size ? `${files.size} files chosen` : "";
}

function refuse(path, reason) {
  const table = document.getElementById("refused");
  table.hidden = false;
  const row = table.insertRow();
  row.insertCell().textContent = path;
  row.insertCell().textContent = reason;
}

if (form) {
  document.getElementById("files").addEventListener("change", (event) => {
    choose(new Map([...event.target.files].map((file) => [file.name, file])));
  });
  document.getElementById("folder").addEventListener("change", (event) => {
    choose(new Map([...event.target.files].map((file) => [withoutFolder(file.webkitRelativePath), file])));
  });
  const drop = document.getElementById("drop");
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const found = new Map();
    for (const entry of entries) await walk(entry, "", found);
    const single = entries.length === 1 && entries[0].isDirectory;
    choose(single ? new Map([...found].map(([path, file]) => [withoutFolder(path), file])) : found);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = document.getElementById("send");
    const progress = document.getElementById("progress");
    const result = document.getElementById("result");
    button.disabled = true;
    progress.hidden = false;
    try {
      const { upload } = await (await send("/api/uploads")).json();
      let sent = 0;
      let accepted = 0;
      for (const [path, file] of chosen) {
        try {
          const address = path.split("/").map(encodeURIComponent).join("/");
          await send(`/api/uploads/${upload}/files/${address}`, { method: "PUT", body: file });
          accepted += 1;
        } catch (error) {
          refuse(path, error.message);
        }
        sent += 1;
        progress.value = sent / chosen.size;
      }
      const query = new URLSearchParams({ repo: form.elements.repo.value, message: form.elements.message.value });
      const done = await (await send(`/api/uploads/${upload}/commit?${query}`)).json();
      result.textContent = done.commit
        ? `${done.files_put} of ${accepted} files committed as ${done.repo}@${done.commit.slice(0, 12)}`
        : `${done.repo} has the same files already`;
    } catch (error) {
      result.textContent = error.message;
    }
    button.disabled = false;
  });
}
