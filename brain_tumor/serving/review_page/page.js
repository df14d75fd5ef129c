// What Gradio leaves out: a live region and names for people who do not see the page, and a refusal that stays.
() => {
  const status = document.getElementById("bt-status");
  if (status) {
    status.setAttribute("role", "status");
    status.setAttribute("aria-live", "polite");
  }
  const drop = document.querySelector("#bt-drop button");
  if (drop) drop.setAttribute("aria-label", "Choose pictures, DICOM files, volumes or a zip, or drop them or a folder here");
  const input = document.querySelector("#bt-drop input[type=file]");
  if (input) input.setAttribute("aria-label", "Files");

  // Gradio says what is too much in a toast, which goes; here the status line says it, before anything is uploaded.
  const zone = document.getElementById("bt-drop");
  const limits = document.querySelector("#bt-limits p");
  const excess = document.getElementById("bt-excess");
  if (!zone || !limits || !excess) return;
  const refused = (files) => {
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (files.length <= limits.dataset.files && size <= limits.dataset.bytes) return false;
    window.btExcess = [files.length, size];
    excess.click();
    return true;
  };
  const end = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "drop") event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    else event.target.value = "";
  };

  // Gradio takes files and no folders: their files are handed on by their places in them, but for what is no scan.
  const named = (file, path) => new File([file], path.replace(/^\//, ""), { type: file.type });
  const beside = (path) => /(^|\/)(\.[^/]*|DICOMDIR|__MACOSX)(\/|$)/.test(path);
  const give = (files) => {
    if (!files.length) { window.btExcess = [0, 0]; excess.click(); return; }
    if (refused(files)) return;
    const held = new DataTransfer();
    for (const file of files) held.items.add(file);
    const taking = zone.querySelector("input[type=file]");
    taking.files = held.files;
    taking.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const listed = async (reader) => {
    const found = [];
    for (;;) { // a hundred at a time, in Chromium
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return found;
      found.push(...some);
    }
  };
  const walk = async (entry, found) => {
    if (found.length > limits.dataset.files || beside(entry.fullPath)) return;
    if (entry.isDirectory) for (const each of await listed(entry.createReader())) await walk(each, found);
    else found.push(named(await new Promise((resolve, reject) => entry.file(resolve, reject)), entry.fullPath));
  };
  const take = async (event) => {
    const entries = event.type === "drop" ? [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry?.()) : [];
    if (entries.some((each) => each?.isDirectory)) {
      end(event);
      const found = [];
      try {
        for (const each of entries) if (each) await walk(each, found);
      } catch (error) { // a file that this user may not read
        found.length = 0;
      }
      give(found);
      return;
    }
    const files = [...((event.type === "drop" ? event.dataTransfer : event.target)?.files ?? [])];
    if (refused(files)) end(event);
  };
  for (const kind of ["change", "drop"]) zone.addEventListener(kind, take, true);

  const folder = document.createElement("input");
  folder.type = "file";
  folder.webkitdirectory = true;
  folder.id = "bt-folder-input";
  folder.hidden = true;
  folder.addEventListener("change", () => {
    const files = [...folder.files].filter((each) => !beside(each.webkitRelativePath));
    give(files.map((each) => named(each, each.webkitRelativePath)));
    folder.value = "";
  });
  document.body.append(folder);
  document.getElementById("bt-folder")?.addEventListener("click", () => folder.click());
}
