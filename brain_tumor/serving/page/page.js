// What Gradio leaves out for people who do not see the page: a live region, names for what has none.
() => {
  const status = document.getElementById("bt-status");
  if (status) {
    status.setAttribute("role", "status");
    status.setAttribute("aria-live", "polite");
  }
  const drop = document.querySelector("#bt-drop button");
  if (drop) drop.setAttribute("aria-label", "Choose pictures, DICOM or NIfTI files, or drop them here");
  const input = document.querySelector("#bt-drop input[type=file]");
  if (input) input.setAttribute("aria-label", "Files");
}
