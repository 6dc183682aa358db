"use strict";

/** Sends a request that changes something; the CSRF token proves that it comes from this page. */
async function send(address, options = {}) {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const response = await fetch(address, {
    method: "POST", ...options, headers: { "x-csrf-token": token, accept: "application/json", ...options.headers },
  });
  if (!response.ok) {
    let problem = `${response.status} ${response.statusText}`;
    try { problem = (await response.json()).error || problem; } catch { /* the body is not JSON */ }
    throw new Error(problem);
  }
  return response;
}

/** Shows a message above the page, or hides it. */
function announce(text) {
  const banner = document.getElementById("status");
  banner.textContent = text;
  banner.hidden = !text;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-post]");
  if (!button || !window.confirm(button.dataset.confirm)) return;
  button.disabled = true;
  try {
    await send(button.dataset.post, { body: button.dataset.body });
    window.location.reload();
  } catch (error) {
    announce(error.message);
    button.disabled = false;
  }
});

/** The state of the server: `version` changes with any commit, `model` with the model in use. */
const events = new EventSource("/events");
let version = null;
events.addEventListener("state", async (event) => {
  const state = JSON.parse(event.data);
  announce(state.problem);
  document.dispatchEvent(new CustomEvent("state", { detail: state }));
  const live = document.getElementById("live");
  if (live && version !== null && version !== state.version) {
    const response = await fetch(live.dataset.fragment);
    if (response.ok) live.innerHTML = await response.text();
  }
  version = state.version;
});
events.addEventListener("error", () => announce("The server does not answer; trying again."));
window.addEventListener("pagehide", () => events.close());
