// A page with one widget and no kernel.

import { renderExplorer } from "./explorer_page.js";
import { render as renderInspector } from "./inspector.js";
import { inspectorModel, stepperModel } from "./offline.js";
import { render as renderStepper } from "./stepper.js";

const place = document.getElementById("widget");
const stored = JSON.parse(document.getElementById("state")?.textContent ?? "null");
if (place) {
  const { kind } = place.dataset;
  if (kind === "explorer") renderExplorer(stored, place);
  else if (kind === "inspector") renderInspector({ model: inspectorModel(stored), el: place });
  else renderStepper({ model: stepperModel(stored), el: place });
}
