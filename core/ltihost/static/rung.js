// Finds the first rung of the ladder that holds: a cookie in this frame, platform storage, a window of its own.
"use strict";

(async () => {
  const page = document.getElementById("rung");
  const { authUrl, probeUrl, key, value, origins, target, accessUrl } = page.dataset;

  const cookieComesBack = async () => {
    try {
      const answer = await fetch(probeUrl, { credentials: "same-origin", cache: "no-store" });
      return answer.ok && (await answer.json()).cookie === true;
    } catch {
      return false;
    }
  };

  if (await cookieComesBack()) {
    location.replace(authUrl);
    return;
  }
  const place = { target, origins: origins.split(" ").filter(Boolean) };
  if (await PlatformStorage.put(place, key, value)) {
    location.replace(authUrl);
    return;
  }
  const show = (part) => {
    for (const name of ["busy", "choice", "opened"]) document.getElementById(name).hidden = name !== part;
  };
  show("choice");
  document.getElementById("window").addEventListener("click", () => show("opened"));

  const inside = document.getElementById("inside");
  if (typeof document.requestStorageAccess !== "function") inside.hidden = true;
  document.getElementById("access").addEventListener("click", async () => {
    try {
      await document.requestStorageAccess();
      location.replace(accessUrl);
    } catch {
      inside.hidden = true;
    }
  });
})();
