// Asks platform storage for this browser's secret and hands it to the host by a same-origin request. Only this page
// can make that request, and it takes the secret from the platform's own origin alone: an answer that somebody else
// relays proves nothing.
"use strict";

(async () => {
  const page = document.getElementById("storage");
  const { confirmUrl, key, origins, target, idToken, state, ticket } = page.dataset;
  const place = { target, origins: origins.split(" ").filter(Boolean) };

  const refuse = (refusal) => {
    document.getElementById("busy").hidden = true;
    document.getElementById("refused-title").textContent = refusal.title;
    document.getElementById("refused-advice").textContent = refusal.advice;
    if (refusal.code) document.getElementById("refused-code").textContent = refusal.code;
    document.getElementById("refused").hidden = false;
  };

  // A person who allowed cookies here (the Storage Access request of the page before) is recognised by the cookie,
  // which the same-origin request below then carries.
  try {
    const permission = await navigator.permissions.query({ name: "storage-access" });
    if (permission.state === "granted") await document.requestStorageAccess();
  } catch { /* a browser without that interface */ }

  const secret = await PlatformStorage.get(place, key);
  try {
    const answer = await fetch(confirmUrl, {
      method: "POST",
      credentials: "same-origin",
      cache: "no-store",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id_token: idToken, state, ticket, secret: secret || "" }),
    });
    const result = await answer.json();
    if (result.location) location.replace(result.location);
    else refuse(result.refusal);
  } catch {
    refuse({ title: "Please try again in a moment", advice: "The connection was lost. Open the link again." });
  }
})();
