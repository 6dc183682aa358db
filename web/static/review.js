"use strict";

/** Sends the verdict about the candidate that the page shows. */
const review = document.getElementById("review");
if (review) {
  review.addEventListener("submit", async (event) => {
    event.preventDefault();
    const verdict = {
      commit: review.dataset.commit,
      verdict: event.submitter.value,
      by: review.elements.by.value,
      reason: review.elements.reason.value,
    };
    try {
      await send("/api/review", { body: JSON.stringify(verdict), headers: { "content-type": "application/json" } });
      window.location.reload();
    } catch (error) {
      document.getElementById("refusal").textContent = error.message;
    }
  });
}
