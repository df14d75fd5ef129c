// What Gradio leaves out: a live region and names for people who do not see the page, and a refusal that stays.
() => {
  const status = document.getElementById("bt-status");
  if (status) {
    status.setAttribute("role", "status");
    status.setAttribute("aria-live", "polite");
  }
  const drop = document.querySelector("#bt-drop button");
  if (drop) drop.setAttribute("aria-label", "Choose pictures, DICOM files or volumes, or drop them here");
  const input = document.querySelector("#bt-drop input[type=file]");
  if (input) input.setAttribute("aria-label", "Files");

  // Gradio says what is too much in a toast, which goes; here the status line says it, before anything is uploaded.
  const zone = document.getElementById("bt-drop");
  const limits = document.querySelector("#bt-limits p");
  const excess = document.getElementById("bt-excess");
  if (!zone || !limits || !excess) return;
  const stop = (event) => {
    const files = [...((event.type === "drop" ? event.dataTransfer : event.target)?.files ?? [])];
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (files.length <= limits.dataset.files && size <= limits.dataset.bytes) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "drop") event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    else event.target.value = "";
    window.btExcess = [files.length, size];
    excess.click();
  };
  for (const kind of ["change", "drop"]) zone.addEventListener(kind, stop, true);
}
